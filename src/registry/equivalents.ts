// Where else the same content may be found, by digest, when every source of a repository has failed (design O27 of the field notes): Docker's
// official images at public.ecr.aws, say. The digest is the proof, so a wrong entry costs a request and nothing more. Tags are never taken from
// there. It must never lead to a registry that is not configured, nor to one whose content is fetched with credentials: that is not for everybody.

import { parseRepositoryName, type RepositoryName } from '../oci/reference.ts';
import type { SourcePool } from './source-pool.ts';

/** Patterns `registry/repository`; both end in `/*`, both in `/**`, or neither. */
export interface Equivalent {
  readonly from: string;
  readonly to: string;
}
export interface EquivalentRepository {
  readonly registry: string;
  readonly repository: RepositoryName;
}
export type EquivalentsOf = (registry: string, repository: string) => readonly EquivalentRepository[];

/** Asked one after the other, so a few. */
const equivalentsMax = 4;

export function createEquivalents(options: {
  equivalents: readonly Equivalent[];
  pool: Pick<SourcePool, 'sourcesOf' | 'isAnonymous'>;
}): EquivalentsOf {
  const { equivalents, pool } = options;
  return (registry, repository) => {
    const name = `${registry}/${repository}`;
    const found = new Map<string, EquivalentRepository>();
    for (const pair of equivalents) {
      const other = translate(pair, name);
      if (other === undefined || other === name) continue;
      const slash = other.indexOf('/');
      const host = other.slice(0, slash);
      const inside = parseRepositoryName(other.slice(slash + 1));
      if (inside !== undefined && pool.sourcesOf(host).length > 0 && pool.isAnonymous(host))
        found.set(other, { registry: host, repository: inside });
    }
    return [...found.values()].slice(0, equivalentsMax);
  };
}

/** The name on the other side, or undefined where the pattern does not match. */
function translate({ from, to }: Equivalent, name: string): string | undefined {
  const wildcard = /\/(\*{1,2})$/.exec(from)?.[1];
  if (wildcard === undefined) return name === from ? to : undefined;
  const head = from.slice(0, -wildcard.length);
  const rest = name.startsWith(head) ? name.slice(head.length) : '';
  if (rest === '' || (wildcard === '*' && rest.includes('/'))) return undefined;
  return `${to.slice(0, -wildcard.length)}${rest}`;
}
