// SEC-A01, SEC-A14, HRD-13: who gets past the guard of the admin API: every route and method of the policy table, for every kind of principal, on objects
// of their own, of others and of nobody. The handlers are replaced by one that says "admitted"; the expected answer is worked out here from the
// requirement and a plain statement of what each principal holds. A route that is added is in here by itself.

import { expect, test } from 'bun:test';
import { OpenAPIHono } from '@hono/zod-openapi';
import { createApi, policyOf, standardGroups } from '../../src/api/api.ts';
import type { ApiParts, RouteGroup } from '../../src/api/environment.ts';
import { apiPrefix, type Requirement } from '../../src/api/policy.ts';
import { type Action, projectActions, systemActions } from '../../src/auth/actions.ts';
import { compileGrants, type Grant, noGrants } from '../../src/auth/grants.ts';
import { adminGrants, type Caller, type Principal } from '../../src/auth/principal.ts';
import { auditorActions, builtinRoles, publicActions } from '../../src/auth/roles.ts';
import type { Project } from '../../src/db/projects.ts';
import { errorResponse, statusOf } from '../../src/http/errors.ts';
import { createLog } from '../../src/lib/log.ts';

const admitted = 299;
const own = project(1, 'own', false);
const other = project(2, 'other', false);
const open = project(3, 'open', true);
const projects = [own, other, open];
const user = (id: number, grants: readonly Grant[]): Principal => ({
  kind: 'user',
  id,
  name: `u${id}`,
  isAdmin: false,
  grants: grants.length === 0 ? noGrants : compileGrants(grants),
  epoch: 0,
});
const robot = (id: number, grants: readonly Grant[]): Principal => ({
  kind: 'robot',
  id,
  name: `robot$r${id}`,
  grants: compileGrants(grants),
  epoch: 0,
});
const inOwn = (actions: ReadonlySet<Action>): Grant => ({ where: { kind: 'project', projectId: own.id }, actions });
const inOther = (actions: ReadonlySet<Action>): Grant => ({ where: { kind: 'project', projectId: other.id }, actions });
const role = (name: string): ReadonlySet<Action> => builtinRoles.find((one) => one.name === name)?.actions ?? new Set();
const none: ReadonlySet<Action> = new Set();
const everything: ReadonlySet<Action> = new Set([...projectActions, ...systemActions]);
const systemOnly = new Set<Action>(['user:list', 'project:create', 'robot:create', 'audit-log:list']);

interface Kind {
  readonly who: string;
  readonly principal: Principal;
  /** What it holds in its own project, elsewhere, and on the server; public projects open `publicActions` besides. */
  readonly own: ReadonlySet<Action>;
  readonly elsewhere: ReadonlySet<Action>;
  readonly system: ReadonlySet<Action>;
}

const kinds: readonly Kind[] = [
  { who: 'anonymous', principal: { kind: 'anonymous' }, own: none, elsewhere: none, system: none },
  { who: 'a user without rights', principal: user(10, []), own: none, elsewhere: none, system: none },
  ...builtinRoles.map((one, index) => ({
    who: one.name,
    principal: user(20 + index, [inOwn(one.actions)]),
    own: one.actions,
    elsewhere: none,
    system: none,
  })),
  {
    who: "another project's admin",
    principal: user(30, [inOther(role('projectAdmin'))]),
    own: none,
    elsewhere: role('projectAdmin'),
    system: none,
  },
  {
    who: 'an administrator',
    principal: { kind: 'user', id: 1, name: 'admin', isAdmin: true, grants: adminGrants, epoch: 0 },
    own: everything,
    elsewhere: everything,
    system: everything,
  },
  {
    who: 'an auditor',
    principal: user(31, [{ where: { kind: 'everywhere' }, actions: auditorActions }]),
    own: auditorActions,
    elsewhere: auditorActions,
    system: auditorActions,
  },
  {
    who: 'somebody with a few rights on the server',
    principal: user(32, [{ where: { kind: 'system' }, actions: systemOnly }]),
    own: none,
    elsewhere: none,
    system: systemOnly,
  },
  {
    who: 'a maintainer by a glob of projects',
    principal: user(33, [{ where: { kind: 'projects', glob: 'ow*' }, actions: role('maintainer') }]),
    own: role('maintainer'),
    elsewhere: none,
    system: none,
  },
  {
    who: 'a robot that pulls and pushes',
    principal: robot(40, [inOwn(new Set<Action>(['repository:pull', 'repository:push', 'project:read']))]),
    own: new Set<Action>(['repository:pull', 'repository:push', 'project:read']),
    elsewhere: none,
    system: none,
  },
  {
    who: 'a robot of the server with robot:create',
    principal: robot(41, [{ where: { kind: 'system' }, actions: new Set<Action>(['robot:create']) }]),
    own: none,
    elsewhere: none,
    system: new Set<Action>(['robot:create']),
  },
  {
    who: 'a robot of all projects',
    principal: robot(42, [{ where: { kind: 'all-projects' }, actions: role('developer') }]),
    own: role('developer'),
    elsewhere: role('developer'),
    system: none,
  },
  {
    who: 'a CI job',
    principal: { kind: 'workload', ruleId: 1, subject: 's', name: 'ci', grants: compileGrants([inOwn(role('developer'))]), epoch: 0 },
    own: role('developer'),
    elsewhere: none,
    system: none,
  },
];

/** Where the path's project or object is. */
type Place = 'own' | 'other' | 'open' | 'system' | 'absent';

const routes = Object.entries(policyOf()).flatMap(([key, requirement]) => {
  const [method = '', path = ''] = key.split(' ');
  return (method === 'GET' ? ['GET', 'HEAD'] : [method]).map((one) => ({ key, method: one, path, requirement }));
});

test(`every route, for ${kinds.length} kinds of principals`, async () => {
  const api = createApi(stubbedParts(), [...standardGroups.map(onlyGuarded)]);
  let cases = 0;
  for (const { key, method, path, requirement } of routes) {
    for (const place of placesOf(requirement)) {
      for (const kind of kinds) {
        const caller: Caller = { principal: kind.principal, method: 'password' };
        const body = ['POST', 'PUT', 'PATCH'].includes(method) ? { body: '{}', headers: { 'content-type': 'application/json' } } : {};
        const response = await api.handle(new Request(`http://localhost${fill(path, place)}`, { method, ...body }), caller);
        const isDocument = key === `GET ${apiPrefix}/openapi.json`;
        const expected = isDocument ? 200 : expectedStatus(requirement, place, kind);
        expect([method, path, place, kind.who, response.status]).toEqual([method, path, place, kind.who, expected]);
        cases++;
      }
    }
  }
  expect(kinds.length).toBeGreaterThanOrEqual(14);
  expect(cases).toBeGreaterThan(routes.length * kinds.length);
});

test('who may not know of a project or object gets word for word the answer for one that is not there', async () => {
  const api = createApi(stubbedParts(), [...standardGroups.map(onlyGuarded)]);
  const answer = async (method: string, path: string, principal: Principal): Promise<unknown> => {
    const response = await api.handle(
      new Request(`http://localhost${path}`, { method, body: method === 'GET' ? undefined : '{}' } as RequestInit),
      {
        principal,
        method: 'password',
      },
    );
    const headers = [...response.headers].filter(([name]) => name !== 'x-request-id');
    return [response.status, headers, (await response.text()).replaceAll(/\b(other|absent|2|999)\b/g, 'X')];
  };
  for (const { method, path, requirement } of routes.filter((route) => route.method !== 'HEAD')) {
    if (typeof requirement === 'string' || !('project' in requirement || 'object' in requirement)) continue;
    for (const principal of [{ kind: 'anonymous' } as const, user(10, []), user(20, [inOwn(role('projectAdmin'))])]) {
      const there = await answer(method, fill(path, 'other'), principal);
      expect([method, path, principal.kind, there]).toEqual([
        method,
        path,
        principal.kind,
        await answer(method, fill(path, 'absent'), principal),
      ]);
    }
  }
});

/** The answer of the guard, by the plain rules. */
function expectedStatus(requirement: Requirement, place: Place, kind: Kind): number {
  const isAnonymous = kind.principal.kind === 'anonymous';
  if (requirement === 'public') return admitted;
  if (requirement === 'login') return isAnonymous ? 401 : admitted;
  if ('filtered' in requirement) return requirement.login === true && isAnonymous ? 401 : admitted;
  if ('system' in requirement) return kind.system.has(requirement.system) ? admitted : isAnonymous ? 401 : 403;
  const action: Action = 'project' in requirement ? requirement.project : requirement.action;
  if ('object' in requirement && isAnonymous) return 401;
  if (place === 'system') return kind.system.has(action) ? admitted : 404;
  const held = heldIn(place, kind);
  if (held.has(action)) return admitted;
  if (isAnonymous) return 401;
  return held.has('project:read') ? 403 : 404;
}

function heldIn(place: Place, kind: Kind): ReadonlySet<Action> {
  if (place === 'absent' || place === 'system') return none;
  const held =
    place === 'own' ? kind.own : place === 'other' ? kind.elsewhere : kind.who === "another project's admin" ? none : kind.elsewhere;
  return place === 'open' ? new Set([...held, ...publicActions]) : held;
}

function placesOf(requirement: Requirement): readonly Place[] {
  if (typeof requirement === 'string' || 'system' in requirement || 'filtered' in requirement) return ['absent'];
  return 'project' in requirement ? ['own', 'other', 'open', 'absent'] : ['own', 'other', 'open', 'system', 'absent'];
}

/** A path with its parameters filled: projects by name, objects by an id that says where they are. */
function fill(path: string, place: Place): string {
  return path.replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => {
    if (name.startsWith('project_name')) return place === 'system' ? 'absent' : place;
    if (name === 'repository_name') return 'app%252Fnested';
    return { own: '1', other: '2', open: '3', system: '4', absent: '999' }[place];
  });
}

/** The group with its policy lines, and handlers that only say that they were reached; objects are where their ids say. */
function onlyGuarded(group: RouteGroup): RouteGroup {
  const place = async (id: string) => {
    if (id === '4') return { value: {} };
    const found = projects.find((one) => String(one.id) === id);
    return found === undefined ? undefined : { project: found, value: {} };
  };
  return {
    ...group,
    objects: Object.fromEntries(Object.keys(group.objects ?? {}).map((kind) => [kind, () => place])),
    register: (router, parts) => {
      const seen = new OpenAPIHono();
      group.register(seen as never, parts);
      for (const route of seen.routes) router.on(route.method, route.path, (c) => c.body(null, admitted as never));
    },
  };
}

/** The guard needs projects and the policy; handlers are not run. */
function stubbedParts(): ApiParts {
  const stub: unknown = new Proxy(() => undefined, { get: () => stub, apply: () => stub });
  const given: Partial<ApiParts> = {
    access: { anonymousPull: true },
    audit: { record: async () => undefined, note: () => undefined, noteRefusal: () => undefined },
    log: createLog({ write: () => undefined }),
    errors: { errorResponse, statusOf },
    projects: { find: async (text: string) => projects.find((one) => one.name === text) } as unknown as ApiParts['projects'],
  };
  return new Proxy(given, { get: (target, name) => (name in target ? target[name as keyof ApiParts] : stub) }) as ApiParts;
}

function project(id: number, name: string, isPublic: boolean): Project {
  return {
    id,
    name,
    kind: 'local',
    isPublic,
    registry: undefined,
    allowsSparse: false,
    epoch: 0,
    ownerId: undefined,
    createdAtMs: 0,
    updatedAtMs: 0,
  };
}
