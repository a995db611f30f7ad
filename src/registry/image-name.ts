// Images as people write them (`nginx:1.27`, `ghcr.io/owner/app@sha256:...`), and what such a name means here.

import type { RepositoryTarget } from '../auth/access.ts';
import { requireDigest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { type Reference, type RepositoryName, requireReference, requireRepositoryName, requireTag } from '../oci/reference.ts';
import { canonicalRegistry, type NameRules, resolveName } from './names.ts';

export interface ResolvedImage {
  readonly target: RepositoryTarget;
  readonly reference: Reference;
}

/** Name and reference of an image; the tag is `latest` when there is none, a digest wins over a tag beside it. NAME_INVALID, TAG_INVALID, DIGEST_INVALID. */
export function parseImage(image: string): { readonly name: RepositoryName; readonly reference: string } {
  const at = image.indexOf('@');
  if (at !== -1) {
    const name = image.slice(0, at).replace(/:[^/:]*$/, '');
    return { name: requireRepositoryName(name), reference: requireDigest(image.slice(at + 1)) };
  }
  const colon = image.lastIndexOf(':');
  const hasTag = colon > image.lastIndexOf('/');
  return {
    name: requireRepositoryName(hasTag ? image.slice(0, colon) : image),
    reference: requireTag(hasTag ? image.slice(colon + 1) : 'latest'),
  };
}

/**
 * What an image name from a compose file or a manifest means here. A first part that is a host name is a registry, unless a project bears it.
 * NAME_UNKNOWN when it means nothing here, and what `parseImage` throws.
 */
export async function resolveImage(names: NameRules, image: string): Promise<ResolvedImage> {
  const host = hostOf(image);
  const isProject = host !== undefined && (await names.projects.byName(host)) !== undefined;
  if (host !== undefined && !isProject && !names.registries.has(canonicalRegistry(host)))
    throw new OciError('NAME_UNKNOWN', `the registry ${host.slice(0, 100)} has no sources here; add one first`);
  const registry = host === undefined || isProject ? undefined : canonicalRegistry(host);
  const { name, reference } = parseImage(registry === undefined || host === undefined ? image : image.slice(host.length + 1));
  const target = await resolveName(names, name, registry);
  if (target === undefined) throw new OciError('NAME_UNKNOWN', `${name} means nothing here: no such project, and no root registry`);
  return { target, reference: requireReference(reference) };
}

/**
 * The image without this server's own address in front (`127.0.0.1:5000/library/x:1`), as people copy it from a pull. `ownHosts` are the names it
 * is known under; a loopback address is always its own.
 */
export function withoutOwnHost(image: string, ownHosts: readonly string[]): string {
  const host = hostOf(image);
  if (host === undefined) return image;
  const isLoopback = /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d{1,5})?$/.test(host);
  return isLoopback || ownHosts.includes(host.toLowerCase()) ? image.slice(host.length + 1) : image;
}

/** The first part when it is a host, as Docker tells it: with a dot or a port, or `localhost`. */
function hostOf(image: string): string | undefined {
  const slash = image.indexOf('/');
  const first = slash === -1 ? '' : image.slice(0, slash);
  return first.includes('.') || first.includes(':') || first === 'localhost' ? first : undefined;
}
