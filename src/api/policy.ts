// The policy table of the admin API: what each route asks of the caller. The server does not start with a route that is missing here, and
// no handler runs before its line was applied (api.ts). It must never decide anything itself: `decideSystem` does.

import type { SystemAction } from '../auth/access.ts';

/** `public`: for everybody, without a login. */
export type RequiredAction = SystemAction | 'public';
/** By `METHOD /path/{parameter}`. A GET line also stands for HEAD. */
export type PolicyTable = Readonly<Record<string, RequiredAction>>;

export const apiPrefix = '/api/v2.0';

export const policy: PolicyTable = {
  [`GET ${apiPrefix}/ping`]: 'public',
  [`GET ${apiPrefix}/health`]: 'public',
  [`GET ${apiPrefix}/systeminfo`]: 'public',
  [`GET ${apiPrefix}/openapi.json`]: 'public',
  [`GET ${apiPrefix}/projects`]: 'project:list',
  [`POST ${apiPrefix}/projects`]: 'project:create',
  [`GET ${apiPrefix}/projects/{name}`]: 'project:read',
  [`DELETE ${apiPrefix}/projects/{name}`]: 'project:delete',
  [`GET ${apiPrefix}/sources`]: 'source:list',
  [`POST ${apiPrefix}/sources`]: 'source:create',
  [`POST ${apiPrefix}/sources/test`]: 'source:test',
  [`GET ${apiPrefix}/sources/{id}`]: 'source:list',
  [`PATCH ${apiPrefix}/sources/{id}`]: 'source:change',
  [`DELETE ${apiPrefix}/sources/{id}`]: 'source:delete',
  [`POST ${apiPrefix}/sources/{id}/test`]: 'source:test',
  [`GET ${apiPrefix}/sources/{id}/history`]: 'source:list',
  [`GET ${apiPrefix}/registries`]: 'source:list',
  [`POST ${apiPrefix}/registries`]: 'source:create',
  [`PATCH ${apiPrefix}/registries/{name}`]: 'source:change',
  [`DELETE ${apiPrefix}/registries/{name}`]: 'source:delete',
  [`PUT ${apiPrefix}/registries/{name}/order`]: 'source:change',
  [`GET ${apiPrefix}/presets`]: 'source:list',
  [`POST ${apiPrefix}/presets/update`]: 'source:change',
  [`GET ${apiPrefix}/explain`]: 'explain:read',
  [`GET ${apiPrefix}/warmups`]: 'warmup:read',
  [`POST ${apiPrefix}/warmups`]: 'warmup:change',
  [`GET ${apiPrefix}/warmups/{id}`]: 'warmup:read',
  [`DELETE ${apiPrefix}/warmups/{id}`]: 'warmup:change',
  [`GET ${apiPrefix}/pins`]: 'pin:read',
  [`POST ${apiPrefix}/pins/{set}`]: 'pin:change',
  [`DELETE ${apiPrefix}/pins/{set}`]: 'pin:change',
  [`GET ${apiPrefix}/verify`]: 'verify:read',
  [`GET ${apiPrefix}/archive`]: 'archive:export',
  [`POST ${apiPrefix}/archive`]: 'archive:import',
};

/** Routes whose JSON body may be larger than the usual limit: the bytes. */
export const bodyLimits: Readonly<Record<string, number>> = {
  [`POST ${apiPrefix}/warmups`]: 4 * 1024 * 1024,
  [`POST ${apiPrefix}/pins/{set}`]: 4 * 1024 * 1024,
};

/** Routes whose body is no JSON: the route reads it itself, within limits of its own. */
export const streamedBodies: ReadonlySet<string> = new Set([`POST ${apiPrefix}/archive`]);

/** A route as the router keeps it: `ALL` for middleware, parameters as `:name`. */
export interface RegisteredRoute {
  readonly method: string;
  readonly path: string;
}

/** The line of the table that a registered route belongs to. */
export function policyKey(route: RegisteredRoute): string {
  return `${route.method} ${route.path.replace(/:([A-Za-z]\w*)/g, '{$1}')}`;
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
