// Where the images of an archive go: their own full names, below a project, or the name that the only one is given. Pure.

import { OciError } from '../oci/errors.ts';
import { fullNameOf, type LayoutImage, tagOf } from './archive-layout.ts';

export interface ImportWish {
  /** Put all images into this project, below their names without the registry. */
  readonly project?: string;
  /** The name of the only image, with or without a tag. */
  readonly as?: string;
}

/** The name without a tag, as a person would write it, and the tag. BAD_REQUEST when neither the archive nor the wish names a repository. */
export function nameFor(image: LayoutImage, wish: ImportWish): { readonly name: string; readonly tag?: string } {
  const full = fullNameOf(image);
  const given = wish.as ?? full;
  if (given === undefined) {
    throw new OciError('BAD_REQUEST', `the archive names no repository for ${tagOf(image) ?? image.digest}; say which with --as NAME`);
  }
  const at = given.indexOf('@');
  const name = at === -1 ? given : given.slice(0, at);
  const colon = name.lastIndexOf(':');
  const hasTag = colon > name.lastIndexOf('/');
  const own = hasTag ? name.slice(colon + 1) : undefined;
  const tag = own ?? (wish.as === undefined || at !== -1 ? undefined : (tagFrom(full) ?? (full === undefined ? tagOf(image) : undefined)));
  const repository = hasTag ? name.slice(0, colon) : name;
  const placed = wish.project === undefined || wish.as !== undefined ? repository : `${wish.project}/${withoutHost(repository)}`;
  return { name: placed, ...(tag === undefined ? {} : { tag }) };
}

function tagFrom(full: string | undefined): string | undefined {
  if (full === undefined || full.includes('@')) return undefined;
  const colon = full.lastIndexOf(':');
  return colon > full.lastIndexOf('/') ? full.slice(colon + 1) : undefined;
}

function withoutHost(repository: string): string {
  const slash = repository.indexOf('/');
  const first = slash === -1 ? '' : repository.slice(0, slash);
  return first.includes('.') || first.includes(':') || first === 'localhost' ? repository.slice(slash + 1) : repository;
}
