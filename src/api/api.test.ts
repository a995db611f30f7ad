// The admin API without a socket: nothing runs before the policy table allowed it, and every failure has its code.

import { describe, expect, test } from 'bun:test';
import { noGrants } from '../auth/grants.ts';
import { adminGrants, type Caller } from '../auth/principal.ts';
import { changeableSettings, type ServerSettings } from '../config/server-settings.ts';
import type { Project } from '../db/projects.ts';
import { createLog } from '../lib/log.ts';
import { OciError, type OciErrorCode } from '../oci/errors.ts';
import type { ProjectWish } from '../registry/projects.ts';
import { createApi, policyOf, standardGroups } from './api.ts';
import type { ApiParts, RouteGroup } from './environment.ts';
import { apiPrefix, describeRequirement } from './policy.ts';

const admin: Caller = {
  principal: { kind: 'user', id: 1, name: 'admin', isAdmin: true, grants: adminGrants, epoch: 0 },
  method: 'password',
};
const somebody: Caller = {
  principal: { kind: 'user', id: 2, name: 'somebody', isAdmin: false, grants: noGrants, epoch: 0 },
  method: 'password',
};
const anonymous: Caller = { principal: { kind: 'anonymous' }, method: 'anonymous' };
const policy = policyOf();
const statuses: Partial<Record<OciErrorCode, number>> = {
  UNAUTHORIZED: 401,
  DENIED: 403,
  NOT_FOUND: 404,
  NAME_UNKNOWN: 404,
  METHOD_NOT_ALLOWED: 405,
  CONFLICT: 409,
};

const initialSettings = Object.fromEntries(
  Object.entries(changeableSettings).map(([name, { initial }]) => [name, initial]),
) as unknown as ServerSettings;
const absent = async (): Promise<never> => {
  throw new OciError('NOT_FOUND', 'there is nothing of that name');
};
async function* nothing(): AsyncGenerator<never> {}
const emptyOffline: ApiParts['offline'] = {
  warmups: {
    start: absent,
    list: async () => [],
    get: absent,
    cancel: absent,
    settled: async () => undefined,
    resume: async () => undefined,
    close: async () => undefined,
  },
  pins: { list: async () => [], add: absent, remove: absent },
  verifier: { images: nothing, everything: nothing },
  exporter: { prepare: absent },
  importer: { read: absent },
  start: async () => undefined,
  close: async () => undefined,
};

function partsWith(more: Partial<ApiParts> = {}): { parts: ApiParts; calls: string[]; wishes: ProjectWish[] } {
  const calls: string[] = [];
  const wishes: ProjectWish[] = [];
  const unexpected = (name: string) => (): never => {
    calls.push(name);
    throw new OciError('NOT_FOUND', `no ${name} here`);
  };
  const given: Partial<ApiParts> = {
    access: { anonymousPull: true },
    audit: { record: async () => undefined, note: () => undefined, noteRefusal: () => undefined },
    projects: {
      find: async (text, { isName }) =>
        Array.from({ length: 23 }, (_, index) => project(index + 1)).find((one) =>
          !isName && /^\d+$/.test(text) ? one.id === Number(text) : one.name === text,
        ),
      list: async () => {
        calls.push('list');
        return Array.from({ length: 23 }, (_, index) => project(index + 1));
      },
      page: async (_scope, wish) => {
        calls.push('page');
        const all = Array.from({ length: 23 }, (_, index) => project(index + 1));
        const matching = all.filter(({ name, isPublic }) =>
          wish.conditions.every((condition) =>
            condition.kind === 'part' ? name.includes(condition.value) : condition.kind === 'exact' && condition.value === isPublic,
          ),
        );
        return { projects: matching.slice(wish.offset, wish.offset + wish.limit), count: matching.length };
      },
      create: async (wish) => {
        calls.push('create');
        wishes.push(wish);
        if (wish.name === 'taken') throw new OciError('CONFLICT', 'a project named taken exists already');
        return { project: { ...project(99), name: wish.name, kind: wish.kind, isPublic: wish.isPublic }, warnings: [] };
      },
      delete: async (name) => {
        calls.push(`delete ${name}`);
      },
      change: unexpected('change'),
      details: async () => new Map(),
      rolesOf: async () => new Map(),
      memberCounts: async () => new Map(),
      contentOf: async () => undefined,
    },
    externalUrl: undefined,
    settings: { read: async () => initialSettings, change: unexpected('change') },
    explain: {
      explain: async () => {
        calls.push('explain');
        throw new OciError('NAME_UNKNOWN', 'means nothing here');
      },
    },
    offline: emptyOffline,
    sources: {
      list: () => [],
      get: unexpected('get'),
      add: unexpected('add'),
      change: unexpected('change'),
      remove: unexpected('remove'),
      order: unexpected('order'),
      addRegistry: unexpected('addRegistry'),
      changeRegistry: unexpected('changeRegistry'),
      describeRegistry: unexpected('describeRegistry'),
      removeRegistry: unexpected('removeRegistry'),
      test: unexpected('test'),
      testUnsaved: unexpected('testUnsaved'),
      reseed: unexpected('reseed'),
    },
    presets: {
      current: unexpected('current'),
      settings: undefined,
      lastCheck: () => undefined,
      check: unexpected('check'),
      start: () => undefined,
      stop: async () => undefined,
    },
    version: '9.9.9',
    log: createLog({ write: () => undefined }),
    history: { read: async () => ({ range: '24h', bucketMs: 60_000, buckets: [], total: { requests: 0, ok: 0, bytes: 0, verdicts: {} } }) },
    checkDatabase: async () => undefined,
    errors: {
      statusOf: (code) => statuses[code] ?? 400,
      errorResponse: (error, options) =>
        new Response(options.head ? null : JSON.stringify({ errors: [{ code: error.code, message: error.message }] }), {
          status: statuses[error.code] ?? 400,
          headers: { ...options.headers },
        }),
    },
    ...more,
  };
  return { parts: withStubs(given, calls), calls, wishes };
}

/** Parts that a test does not give are there, and everything they are asked for is not. */
function withStubs(given: Partial<ApiParts>, calls: string[]): ApiParts {
  const stubOf = (path: string): unknown =>
    new Proxy(() => undefined, {
      get: (_, name) => stubOf(`${path}.${String(name)}`),
      apply: () => {
        calls.push(path);
        throw new OciError('NOT_FOUND', `no ${path} here`);
      },
    });
  return new Proxy(given, {
    get: (target, name) => (name in target ? target[name as keyof ApiParts] : stubOf(String(name))),
  }) as ApiParts;
}

function project(id: number): Project {
  return {
    id,
    name: id === 23 ? '7' : `p${id}`,
    kind: 'local',
    isPublic: id % 2 === 0,
    registry: undefined,
    allowsSparse: false,
    epoch: 0,
    ownerId: undefined,
    createdAtMs: 0,
    updatedAtMs: 0,
  };
}

function request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Request {
  return new Request(`http://server${apiPrefix}${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function codeOf(response: Response): Promise<unknown> {
  return JSON.parse(await response.text()).errors[0].code;
}

/** A request for each line of the table; GET lines as HEAD too. */
const everyRoute = Object.entries(policy).flatMap(([key, required]) => {
  const [method = '', path = ''] = key
    .replace(/\{project_name(_or_id)?\}/, 'p1')
    .replace(/\{[a-z_]+\}/g, '1')
    .split(' ');
  const short = path.slice(apiPrefix.length);
  return (method === 'GET' ? ['GET', 'HEAD'] : [method]).map((one) => ({ method: one, path: short, required }));
});

describe('the policy table', () => {
  const planted = (policyLines: RouteGroup['policy'], register: RouteGroup['register']): RouteGroup => ({ policy: policyLines, register });

  test('a route without a line keeps the server from starting', () => {
    const open = planted({}, (router) => {
      router.get(`${apiPrefix}/planted`, (c) => c.text('open'));
    });
    expect(() => createApi(partsWith().parts, [open])).toThrow(`GET ${apiPrefix}/planted`);
  });

  test('a line that is taken out of any group keeps the server from starting', () => {
    for (const [at, group] of standardGroups.entries()) {
      for (const key of Object.keys(group.policy)) {
        const { [key]: _, ...rest } = group.policy;
        const groups = standardGroups.with(at, { ...group, policy: rest });
        expect(() => createApi(partsWith().parts, groups)).toThrow(key);
      }
    }
  });

  test('a planted middleware that answers by itself keeps the server from starting', () => {
    const open = planted({}, (router) => {
      router.use(`${apiPrefix}/projects`, async (c) => c.text('open'));
    });
    expect(() => createApi(partsWith().parts, [open])).toThrow(`ALL ${apiPrefix}/projects`);
  });

  test('a planted route is asked for the right of its own line', async () => {
    const ran: string[] = [];
    const guarded = planted({ [`GET ${apiPrefix}/planted/{x}`]: { system: 'source:delete' } }, (router) => {
      router.get(`${apiPrefix}/planted/:x`, (c) => {
        ran.push(c.req.param('x'));
        return c.text('done');
      });
    });
    const api = createApi(partsWith().parts, [guarded]);
    expect((await api.handle(request('GET', '/planted/1'), somebody)).status).toBe(403);
    expect((await api.handle(request('GET', '/planted/2'), admin)).status).toBe(200);
    expect(ran).toEqual(['2']);
  });
});

describe('rights', () => {
  test('without a login every route that is not public is 401 with a challenge', async () => {
    const { parts } = partsWith();
    const api = createApi(parts);
    for (const { method, path, required } of everyRoute) {
      const response = await api.handle(request(method, path), anonymous);
      if (required === 'public' || (typeof required === 'object' && 'filtered' in required && required.login !== true)) {
        expect([method, path, response.status]).not.toEqual([method, path, 401]);
        continue;
      }
      expect([method, path, response.status]).toEqual([method, path, 401]);
      expect(response.headers.get('www-authenticate')).toBe('Basic realm="breakwater"');
      if (method !== 'HEAD') expect(await codeOf(response)).toBe('UNAUTHORIZED');
    }
  });

  test('a user without the right is 403, or 404 where it may not know that something is there; and nothing runs', async () => {
    const { parts, calls } = partsWith();
    const api = createApi(parts);
    for (const { method, path, required } of everyRoute) {
      if (typeof required === 'string' || 'filtered' in required) continue;
      const response = await api.handle(request(method, path), somebody);
      expect([method, path, response.status]).toEqual([method, path, 'system' in required ? 403 : 404]);
      expect(response.headers.get('www-authenticate')).toBeNull();
    }
    expect(calls.filter((call) => !/^\w+\.find/.test(call))).toEqual([]);
  });

  test('a body is not read before the right to send it is known', async () => {
    const api = createApi(partsWith().parts);
    const sent = request('POST', '/projects', { name: 'x' });
    expect((await api.handle(sent, anonymous)).status).toBe(401);
    expect(sent.bodyUsed).toBe(false);
  });

  test('the version is told after a login only', async () => {
    const api = createApi(partsWith().parts);
    expect(await (await api.handle(request('GET', '/systeminfo'), anonymous)).json()).toEqual({
      auth_mode: 'db_auth',
      primary_auth_mode: false,
      self_registration: false,
      banner_message: '',
    });
    expect(await (await api.handle(request('GET', '/systeminfo'), somebody)).json()).toMatchObject({
      breakwater_version: '9.9.9',
      project_creation_restriction: 'adminonly',
    });
  });
});

describe('requests', () => {
  test('an unknown path is NOT_FOUND, a known one with another method says which it allows', async () => {
    const api = createApi(partsWith().parts);
    expect(await codeOf(await api.handle(request('GET', '/nothing'), admin))).toBe('NOT_FOUND');
    expect(await codeOf(await api.handle(new Request('http://server/api/v1/projects'), admin))).toBe('NOT_FOUND');
    const wrong = await api.handle(request('PUT', '/projects', {}), admin);
    expect(await codeOf(wrong)).toBe('METHOD_NOT_ALLOWED');
    expect(wrong.headers.get('allow')).toBe('GET, HEAD, POST');
  });

  test("a project is created from Harbor's words and from ours, private unless it says otherwise", async () => {
    const { parts, wishes } = partsWith();
    const api = createApi(parts);
    for (const body of [
      { name: 'a' },
      { name: 'a', public: true, kind: 'overlay', registry: 'docker.io', allows_sparse: true },
      { project_name: 'a', metadata: { public: 'true', auto_scan: 'true', severity: null }, public: true, storage_limit: -1 },
      { project_name: 'a', metadata: {}, registry_id: null, public: null, cve_allowlist: { items: [{ cve_id: 'CVE-2026-1' }] } },
    ]) {
      expect((await api.handle(request('POST', '/projects', body), admin)).status).toBe(201);
    }
    expect(wishes).toEqual([
      { name: 'a', kind: 'local', isPublic: false, metadata: [], allowsSparse: false, ownerId: 1 },
      { name: 'a', kind: 'overlay', isPublic: true, metadata: [], allowsSparse: true, registry: 'docker.io', ownerId: 1 },
      { name: 'a', kind: 'local', isPublic: true, metadata: [{ name: 'auto_scan', value: 'true' }], allowsSparse: false, ownerId: 1 },
      {
        name: 'a',
        kind: 'local',
        isPublic: false,
        metadata: [],
        allowsSparse: false,
        ownerId: 1,
        cveAllowlist: '{"items":[{"cve_id":"CVE-2026-1"}]}',
      },
    ]);
  });

  test('a body with unknown, doubled, missing or wrong members is refused and says why', async () => {
    const { parts, calls } = partsWith();
    const api = createApi(parts);
    const refused: readonly (readonly [body: unknown, word: string])[] = [
      [{ name: 'a', storage_limit: 5 }, 'storage_limit'],
      [{ name: 'a', metadata: { auto_scan: 'perhaps' } }, 'auto_scan'],
      [{ name: 'a', metadata: { prevent_vul: 'true' } }, 'does not scan'],
      [{ name: 'a', metadata: { colour: 'blue' } }, 'colour'],
      [{ name: 'a', registry_id: 7 }, 'registry_id'],
      [{ name: 'a', project_name: 'a' }, 'exactly one'],
      [{ name: 'a', public: true, metadata: { public: 'false' } }, 'different things'],
      [{}, 'exactly one'],
      [{ name: '' }, 'name'],
      [{ name: 7 }, 'name'],
      [{ name: 'a', kind: 'remote' }, 'kind'],
      [{ name: 'a', public: 'yes' }, 'public'],
      [[{ name: 'a' }], 'body'],
      ['a', 'body'],
      [null, 'body'],
    ];
    for (const [body, word] of refused) {
      const response = await api.handle(request('POST', '/projects', body), admin);
      expect(response.status).toBe(400);
      const text = await response.text();
      expect(text).toContain('BAD_REQUEST');
      expect(text).toContain(word);
    }
    expect(calls).toEqual([]);
  });

  test('pages follow each other without gap or overlap, and the total is told', async () => {
    const api = createApi(partsWith().parts);
    const seen: string[] = [];
    let path: string | undefined = '/projects?page_size=10';
    while (path !== undefined) {
      const response: Response = await api.handle(request('GET', path), admin);
      expect(response.headers.get('x-total-count')).toBe('23');
      for (const one of JSON.parse(await response.text())) seen.push(one.name);
      path = /<\/api\/v2\.0([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    }
    expect(seen).toEqual(Array.from({ length: 23 }, (_, index) => project(index + 1).name));
  });

  test('a page out of bounds is refused, one behind the end is empty', async () => {
    const api = createApi(partsWith().parts);
    for (const query of ['page=0', 'page=x', 'page_size=-1', 'page_size=101', 'page=1&page=2', 'public=maybe', 'page=1.5', 'page=-1']) {
      expect((await api.handle(request('GET', `/projects?${query}`), admin)).status).toBe(400);
    }
    expect(await (await api.handle(request('GET', '/projects?page=9'), admin)).json()).toEqual([]);
  });

  test('a list is filtered by part of the name and by visibility', async () => {
    const api = createApi(partsWith().parts);
    const names = async (query: string): Promise<string[]> => {
      const listed = await (await api.handle(request('GET', `/projects?page_size=100&${query}`), admin)).text();
      return JSON.parse(listed).map((one: { name: string }) => one.name);
    };
    expect(await names('name=p2')).toEqual(['p2', 'p20', 'p21', 'p22']);
    expect(await names('name=p2&public=true')).toEqual(['p2', 'p20', 'p22']);
  });

  test('digits are an id unless they are said to be a name', async () => {
    const { parts, calls } = partsWith();
    const api = createApi(parts);
    const read = async (path: string, headers = {}) => (await api.handle(request('GET', path, undefined, headers), admin)).json();
    expect(await read('/projects/7')).toMatchObject({ name: 'p7', project_id: 7 });
    expect(await read('/projects/7', { 'x-is-resource-name': 'true' })).toMatchObject({ name: '7', project_id: 23 });
    expect(await read('/projects/p7', { 'x-is-resource-name': 'false' })).toMatchObject({ name: 'p7' });
    await api.handle(request('DELETE', '/projects/7', undefined, { 'x-is-resource-name': 'true' }), admin);
    expect(calls.at(-1)).toBe('delete 7');
  });

  test('HEAD says whether a project exists', async () => {
    const api = createApi(partsWith().parts);
    const status = async (path: string) => (await api.handle(request('HEAD', path), admin)).status;
    expect(await status('/projects?project_name=p3')).toBe(200);
    expect(await status('/projects?project_name=p')).toBe(404);
    expect(await status('/projects/p3')).toBe(200);
    expect(await status('/projects/none')).toBe(404);
  });

  test('a failure nobody foresaw is thrown on, for the server to log and hide', async () => {
    const failing = partsWith({ explain: { explain: () => Promise.reject(new TypeError('a secret detail')) } });
    await expect(createApi(failing.parts).handle(request('GET', '/explain?image=a'), admin)).rejects.toThrow('a secret detail');
  });

  test('health tells of a database that cannot be read, without the reason', async () => {
    const failing = partsWith({ checkDatabase: () => Promise.reject(new Error('disk I/O error')) });
    const text = await (await createApi(failing.parts).handle(request('GET', '/health'), anonymous)).text();
    expect(JSON.parse(text)).toEqual({ status: 'unhealthy', components: [{ name: 'database', status: 'unhealthy' }] });
  });

  test('no answer may be kept by a cache', async () => {
    const api = createApi(partsWith().parts);
    for (const { method, path } of everyRoute) {
      for (const caller of [anonymous, admin]) {
        expect(
          (await api.handle(request(method, path, method === 'POST' ? { name: 'a' } : undefined), caller)).headers.get('cache-control'),
        ).toBe('no-store');
      }
    }
  });
});

describe('the OpenAPI document', () => {
  test('has every route of the table with its right and its errors by status', async () => {
    const api = createApi(partsWith().parts);
    const document = JSON.parse(await (await api.handle(request('GET', '/openapi.json'), anonymous)).text());
    const described = Object.entries<Record<string, Record<string, unknown>>>(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation['x-required-action']] as const),
    );
    expect(Object.fromEntries(described)).toEqual(
      Object.fromEntries(Object.entries(policy).map(([key, required]) => [key, describeRequirement(required)])),
    );
    expect(document.paths[`${apiPrefix}/projects`].post.responses['409'].description).toBe('CONFLICT');
    expect(document.paths[`${apiPrefix}/projects`].post.security).toEqual([{ basic: [] }]);
    expect(document.paths[`${apiPrefix}/ping`].get.security).toEqual([]);
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(references).toContain('Errors');
    for (const name of new Set(references)) expect(Object.keys(document.components.schemas)).toContain(name);
    expect(JSON.stringify(document)).not.toContain('$defs');
  });
});
