// What each route of the admin API asks of the caller. Every group of routes brings its lines; the server does not start with a route that has none,
// and no handler runs before its line was applied (guard.ts). It must never decide anything itself: `decide` does.

import type { Action, ProjectAction, SystemAction } from '../auth/actions.ts';

/** What a line asks. */
export type Requirement =
  /** For everybody, without a login. */
  | 'public'
  /** For whoever has logged in: it is about the caller. */
  | 'login'
  /** A right on the server as a whole. */
  | { readonly system: SystemAction }
  /** A right in the project that the path names (`{project_name_or_id}` or `{project_name}`). */
  | { readonly project: ProjectAction }
  /** A right where the object belongs that the path names by `{<object>_id}`: in its project, or on the server. */
  | { readonly object: string; readonly action: Action; readonly parameter?: string }
  /** The handler shows only what the caller has this right to, and counts nothing else. `login`: not to anonymous callers at all. */
  | { readonly filtered: Action; readonly login?: true };

/** By `METHOD /path/{parameter}`. A GET line also stands for HEAD. */
export type PolicyTable = Readonly<Record<string, Requirement>>;

export const apiPrefix = '/api/v2.0';

/** A route as the router keeps it: `ALL` for middleware, parameters as `:name`. */
export interface RegisteredRoute {
  readonly method: string;
  readonly path: string;
}

/** The lines of all groups as one table. Throws when two groups have a line for one route. */
export function joinPolicies(tables: readonly PolicyTable[]): PolicyTable {
  const joined: Record<string, Requirement> = {};
  for (const table of tables) {
    for (const [key, requirement] of Object.entries(table)) {
      if (Object.hasOwn(joined, key)) throw new Error(`two lines of the policy table for ${key}`);
      joined[key] = requirement;
    }
  }
  return joined;
}

/** The line of the table that a registered route belongs to. */
export function policyKey(route: RegisteredRoute): string {
  return `${route.method} ${route.path.replace(/:([A-Za-z]\w*)/g, '{$1}')}`;
}

/** A requirement in words, for refusals and the API's document. */
export function describeRequirement(requirement: Requirement): string {
  if (typeof requirement === 'string') return requirement;
  if ('system' in requirement) return requirement.system;
  if ('project' in requirement) return requirement.project;
  return 'filtered' in requirement ? requirement.filtered : requirement.action;
}

/** Throws, naming them, when a route has no line or a line no route: nothing may be served then. */
export function checkPolicy(table: PolicyTable, routes: readonly RegisteredRoute[]): void {
  const registered = new Set(routes.map(policyKey));
  const open = [...registered].filter((key) => !Object.hasOwn(table, key));
  if (open.length > 0) throw new Error(`routes without a line in the policy table: ${open.join(', ')}`);
  const stale = Object.keys(table).filter((key) => !registered.has(key));
  if (stale.length > 0) throw new Error(`lines of the policy table without a route: ${stale.join(', ')}`);
}

/** The methods that the table has for a path (`/api/v2.0/projects/team-a`); empty for an unknown path. */
export function methodsOf(table: PolicyTable, path: string): readonly string[] {
  return Object.keys(table).flatMap((key) => {
    const [method = '', pattern = ''] = key.split(' ');
    return matchesPattern(pattern, path) ? (method === 'GET' ? ['GET', 'HEAD'] : [method]) : [];
  });
}

function matchesPattern(pattern: string, path: string): boolean {
  const parts = path.split('/');
  const steps = pattern.split('/');
  return (
    parts.length === steps.length && steps.every((step, index) => (step.startsWith('{') ? parts[index] !== '' : step === parts[index]))
  );
}
