// Which repositories a source is asked for at all. Pure.

import { createGlob, type Glob } from '../lib/glob.ts';

export interface SourceScope {
  /** `repository`: the name inside the registry, such as library/nginx. */
  covers(repository: string): boolean;
}

/** An empty `allow` means all, `deny` wins. What is no pattern allows nothing and denies everything: a mistake must send no name anywhere. */
export function createSourceScope(scope: { readonly allow: readonly string[]; readonly deny: readonly string[] }): SourceScope {
  const allow = scope.allow.map(createGlob);
  const deny = scope.deny.map(createGlob);
  const matches = (glob: Glob | undefined, repository: string): boolean => glob?.test(repository) === true;
  return {
    covers: (repository) =>
      (allow.length === 0 || allow.some((glob) => matches(glob, repository))) &&
      !deny.some((glob) => glob === undefined || matches(glob, repository)),
  };
}
