// Repository names and tags: their grammar and nothing else. distribution-spec v1.1 "Pulling manifests".
// A name is never normalised into another one: what does not match is refused.

import { type Digest, parseDigest } from './digest.ts';
import { OciError } from './errors.ts';

declare const nameBrand: unique symbol;
declare const tagBrand: unique symbol;
/** One or more path components of lower-case letters, digits and single separators; at most 255 characters, 128 per component. */
export type RepositoryName = string & { readonly [nameBrand]: true };
export type Tag = string & { readonly [tagBrand]: true };

export const nameMaxLength = 255;
export const nameComponentMaxLength = 128;

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const namePattern = new RegExp(`^${component}(?:/${component})*$`);
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

export function parseRepositoryName(text: string): RepositoryName | undefined {
  if (text.length === 0 || text.length > nameMaxLength || !namePattern.test(text)) return undefined;
  return text.split('/').every((part) => part.length <= nameComponentMaxLength) ? (text as RepositoryName) : undefined;
}

/** Like `parseRepositoryName`; throws NAME_INVALID. */
export function requireRepositoryName(text: string): RepositoryName {
  const name = parseRepositoryName(text);
  if (name === undefined) {
    throw new OciError(
      'NAME_INVALID',
      'invalid repository name: lower-case letters, digits and single separators (. _ __ -), parts joined by /',
      {
        detail: { name: text.slice(0, 300) },
      },
    );
  }
  return name;
}

export function parseTag(text: string): Tag | undefined {
  return tagPattern.test(text) ? (text as Tag) : undefined;
}

export function requireTag(text: string): Tag {
  const tag = parseTag(text);
  if (tag === undefined) {
    throw new OciError(
      'TAG_INVALID',
      'invalid tag: expected up to 128 letters, digits, underscores, dots and dashes, not starting with . or -',
      {
        detail: { tag: text.slice(0, 200) },
      },
    );
  }
  return tag;
}

export type Reference = { readonly kind: 'tag'; readonly tag: Tag } | { readonly kind: 'digest'; readonly digest: Digest };

/** A tag or a digest; throws DIGEST_INVALID for what has a colon and is no digest, TAG_INVALID otherwise. */
export function requireReference(text: string): Reference {
  const digest = parseDigest(text);
  if (digest !== undefined) return { kind: 'digest', digest };
  if (text.includes(':')) throw new OciError('DIGEST_INVALID', 'not a supported digest', { detail: { digest: text.slice(0, 200) } });
  return { kind: 'tag', tag: requireTag(text) };
}

/** The reference as it stands in a URL. */
export function formatReference(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest;
}
