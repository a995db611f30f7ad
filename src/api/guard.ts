// Runs before every handler: finds what the path names, asks `decide` for the right of the route's policy line, then reads the body within its limits.
// The one place of the admin API where callers are let in or refused. Who may not know that something is there gets the answer for what is not.

import type { Context, MiddlewareHandler } from 'hono';
import { matchedRoutes } from 'hono/route';
import { decide, decideSystem, type Resource, theSystem } from '../auth/access.ts';
import type { Action } from '../auth/actions.ts';
import type { Caller } from '../auth/principal.ts';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import type { ApiEnvironment, ApiParts, ObjectResolver, OwnedObject, RouteGroup } from './environment.ts';
import { bodyMaxBytes, readJsonText } from './json-body.ts';
import { apiPrefix, describeRequirement, type PolicyTable, policyKey, type Requirement } from './policy.ts';
import { needsStepUp, requireStepUp } from './step-up.ts';

const openBeforeChoosing: ReadonlySet<string> = new Set([
  `GET ${apiPrefix}/users/current`,
  // What the path of the one above matches too.
  `GET ${apiPrefix}/users/{user_id}`,
  `PUT ${apiPrefix}/users/{user_id}/password`,
]);
const methodsWithBody: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

type Guarded = Context<ApiEnvironment>;
type PathValues = ReadonlyMap<string, string>;

export function createGuard(options: {
  parts: ApiParts;
  table: PolicyTable;
  groups: readonly RouteGroup[];
  /** What runs before it and is no route. */
  before: readonly unknown[];
}): MiddlewareHandler<ApiEnvironment> {
  const { parts, table, groups } = options;
  const bodyLimits = new Map(groups.flatMap((group) => Object.entries(group.bodyLimits ?? {})));
  const streamed = new Set(groups.flatMap((group) => group.streamedBodies ?? []));
  const resolvers = new Map<string, ObjectResolver>(
    groups.flatMap((group) => Object.entries(group.objects ?? {}).map(([kind, make]) => [kind, make(parts)] as const)),
  );
  const guard: MiddlewareHandler<ApiEnvironment> = async (c, next) => {
    const routes = matchedRoutes(c).filter(({ handler }) => handler !== guard && !options.before.includes(handler));
    for (const route of routes) {
      const required = table[policyKey(route)];
      if (required === undefined) throw new Error(`${policyKey(route)} has no line in the policy table`);
      requireChosenPassword(c.env.caller, policyKey(route), required);
      await admit(c, required, pathValues(c.req.raw.url, route.path));
      if (needsStepUp(policyKey(route))) requireStepUp(c.env.caller, parts.sessions.isProved);
    }
    const { raw } = c.req;
    const isStreamed = routes.some((route) => streamed.has(policyKey(route)));
    if (routes.length > 0 && methodsWithBody.has(raw.method) && !isStreamed) {
      const maxBytes = Math.max(bodyMaxBytes, ...routes.map((route) => bodyLimits.get(policyKey(route)) ?? 0));
      c.req.raw = new Request(raw.url, { method: raw.method, headers: raw.headers, body: await readJsonText(raw, maxBytes) });
    }
    await next();
  };
  return guard;

  async function admit(c: Guarded, required: Requirement, values: PathValues): Promise<void> {
    const { caller } = c.env;
    if (required === 'public') return;
    if (caller.method === 'cli-secret')
      throw new OciError('DENIED', 'this token opens the registry alone; use a password, a session, or a token with reach "api"');
    if (required === 'login') return requireLogin(caller);
    if ('filtered' in required) return required.login === true ? requireLogin(caller) : undefined;
    if ('system' in required) {
      if (decideSystem(caller.principal, required.system)) return;
      throw refusal(caller, required);
    }
    return 'project' in required ? admitToProject(c, required, values) : admitToObject(c, required, values);
  }

  async function admitToProject(c: Guarded, required: { readonly project: Action }, values: PathValues): Promise<void> {
    const { caller } = c.env;
    const text = values.get('project_name_or_id') ?? values.get('project_name') ?? '';
    const isName = c.req.header('x-is-resource-name') === 'true';
    const project = await parts.projects.find(text, { isName });
    const repository = values.get('repository_name');
    const resource = project === undefined ? undefined : projectResource(project, repository);
    requireRight(caller, required.project, resource, `there is no project named ${text.slice(0, 255)}`);
    if (project === undefined) return;
    c.set('project', project);
    if (resource.repository !== undefined) c.set('repository', resource.repository);
  }

  async function admitToObject(c: Guarded, required: Extract<Requirement, { object: string }>, values: PathValues): Promise<void> {
    const { caller } = c.env;
    // Nobody learns without a login which ids there are.
    requireLogin(caller);
    const id = values.get(required.parameter ?? `${required.object.replaceAll('-', '_')}_id`) ?? '';
    const found = await findObject(required.object, id, caller);
    const resource = found === undefined ? undefined : found.project === undefined ? theSystem : projectResource(found.project, undefined);
    const absent = `there is no ${required.object} ${id.slice(0, 64)}`;
    if (resource?.kind === 'system') {
      if (!decide(parts.access, caller.principal, required.action, theSystem)) throw new OciError('NOT_FOUND', absent);
    } else requireRight(caller, required.action, resource, absent);
    c.set('object', found?.value);
    if (found?.project !== undefined) c.set('project', found.project);
  }

  async function findObject(kind: string, id: string, caller: Caller): Promise<OwnedObject | undefined> {
    const resolver = resolvers.get(kind);
    if (resolver === undefined) throw new Error(`nothing finds a ${kind}`);
    return resolver(id, caller);
  }

  function requireRight(
    caller: Caller,
    action: Action,
    resource: Extract<Resource, { kind: 'project' }> | undefined,
    absent: string,
  ): asserts resource is Extract<Resource, { kind: 'project' }> {
    if (resource !== undefined && decide(parts.access, caller.principal, action, resource)) return;
    if (caller.principal.kind === 'anonymous') throw new OciError('UNAUTHORIZED', 'log in to do this');
    const isSeen = resource !== undefined && decide(parts.access, caller.principal, 'project:read', resource);
    if (!isSeen) throw new OciError('NOT_FOUND', absent);
    throw new OciError('DENIED', `you may not do this (${action})`);
  }
}

/** Who must choose another password may do that, and see who it is. */
function requireChosenPassword({ principal }: Caller, key: string, required: Requirement): void {
  if (principal.kind !== 'user' || principal.mustChangePassword !== true || required === 'public' || openBeforeChoosing.has(key)) return;
  throw new OciError('DENIED', `choose another password first: PUT ${apiPrefix}/users/${principal.id}/password`);
}

function requireLogin(caller: Caller): void {
  if (caller.principal.kind === 'anonymous') throw new OciError('UNAUTHORIZED', 'log in to do this');
}

function refusal(caller: Caller, required: Requirement): OciError {
  if (caller.principal.kind === 'anonymous') return new OciError('UNAUTHORIZED', 'log in to do this');
  return new OciError('DENIED', `you may not do this (${describeRequirement(required)})`);
}

/** What stands in the path for the `:name` parts of the route, decoded once. The router gives a middleware none. */
function pathValues(url: string, route: string): PathValues {
  const steps = new URL(url).pathname.split('/');
  const parts = route
    .split('/')
    .entries()
    .filter(([, part]) => part.startsWith(':'));
  return new Map([...parts].map(([index, part]) => [part.slice(1), decodeOnce(steps[index] ?? '')]));
}

/** `{repository_name}` comes without the project, its slashes encoded twice as Harbor wants it, or once. */
function projectResource(project: Project, encoded: string | undefined): Extract<Resource, { kind: 'project' }> {
  if (encoded === undefined) return { kind: 'project', project };
  const name = parseRepositoryName(`${project.name}/${decodeOnce(encoded)}`);
  if (name === undefined) throw new OciError('NAME_INVALID', 'the repository name is not one; its slashes must be encoded (a%252Fb)');
  return { kind: 'project', project, repository: name };
}

function decodeOnce(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
