// Rights that somebody holds: actions, and where they hold. `compileGrants` turns a list of them into what a request can ask quickly. Rights bind
// to the ids of projects; globs bind to names because that is what they say, and only administrators make them.

import { createGlob } from '../lib/glob.ts';
import type { Action } from './actions.ts';

export type GrantScope =
  /** The server as a whole; no project. */
  | { readonly kind: 'system' }
  /** The server and every project. */
  | { readonly kind: 'everywhere' }
  | { readonly kind: 'project'; readonly projectId: number }
  /** Every project, now and later. */
  | { readonly kind: 'all-projects' }
  /** Projects by name, as a glob of lib/glob.ts. */
  | { readonly kind: 'projects'; readonly glob: string }
  /** Repositories by full name, project included: `team-a/ci/**`. */
  | { readonly kind: 'repositories'; readonly glob: string };

export interface Grant {
  readonly where: GrantScope;
  readonly actions: ReadonlySet<Action>;
}

/** What is asked about: the server, or a project and, where it matters, one repository in it (full name). */
export interface ProjectPlace {
  readonly projectId: number;
  readonly projectName: string;
  readonly repository?: string;
}

export interface GrantSet {
  readonly grants: readonly Grant[];
  /** Projects named by id in a grant; not those that a glob or `all-projects` covers. */
  readonly projectIds: readonly number[];
  allowsOnSystem(action: Action): boolean;
  allowsIn(place: ProjectPlace, action: Action): boolean;
}

interface GlobGrant {
  readonly matches: (place: ProjectPlace) => boolean;
  readonly actions: ReadonlySet<Action>;
}

export function compileGrants(grants: readonly Grant[]): GrantSet {
  const onSystem = new Set<Action>();
  const inAll = new Set<Action>();
  const inProject = new Map<number, Set<Action>>();
  const byGlob: GlobGrant[] = [];
  for (const { where, actions } of grants) {
    switch (where.kind) {
      case 'system':
        addAll(onSystem, actions);
        break;
      case 'everywhere':
        addAll(onSystem, actions);
        addAll(inAll, actions);
        break;
      case 'all-projects':
        addAll(inAll, actions);
        break;
      case 'project': {
        const known = inProject.get(where.projectId) ?? new Set();
        addAll(known, actions);
        inProject.set(where.projectId, known);
        break;
      }
      case 'projects': {
        const glob = createGlob(where.glob);
        byGlob.push({ matches: (place) => glob?.test(place.projectName) === true, actions });
        break;
      }
      case 'repositories': {
        const glob = createGlob(where.glob);
        byGlob.push({ matches: (place) => place.repository !== undefined && glob?.test(place.repository) === true, actions });
        break;
      }
    }
  }
  return {
    grants,
    projectIds: [...inProject.keys()],
    allowsOnSystem: (action) => onSystem.has(action),
    allowsIn: (place, action) =>
      inAll.has(action) ||
      inProject.get(place.projectId)?.has(action) === true ||
      byGlob.some((grant) => grant.actions.has(action) && grant.matches(place)),
  };
}

function addAll<T>(to: Set<T>, from: Iterable<T>): void {
  for (const item of from) to.add(item);
}

export const noGrants: GrantSet = compileGrants([]);
