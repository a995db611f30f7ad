// A repository whose content comes from a registry's sources.

import type { Access, RepositoryTarget } from '../auth/access.ts';
import type { RepositoryName } from '../oci/reference.ts';

export interface MirrorTarget extends RepositoryTarget {
  readonly upstream: { readonly registry: string; readonly repository: RepositoryName };
}

export function mirrorTargetOf(target: RepositoryTarget): MirrorTarget {
  if (target.upstream === undefined) throw new Error(`${target.name} is not a mirror's repository`);
  return { ...target, upstream: target.upstream };
}

/** A mirror target out of an access. */
export function mirrorAccess(access: Access<'pull'>): MirrorTarget {
  return mirrorTargetOf(access.target);
}
