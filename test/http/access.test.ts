// Who gets in, and what those outside can tell: nothing. Tokens, logins and challenges over real requests.
// Docker's token authentication specification; RFC 6750 section 3; RFC 7617. The cases for private content come from the route table.

import { Database } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Route } from '../../src/oci/route.ts';
import {
  basicOf,
  bytesOf,
  type Call,
  codeOf,
  failuresIn,
  type Image,
  imageType,
  type Login,
  type Registry,
  sha256,
  startRegistry,
} from './registry.ts';

const other: Login = { name: 'other', password: 'another administrator' };
/** Used by one test only, so that the server does not remember it. */
const fresh: Login = { name: 'fresh', password: other.password };
let dataDir: string;
let registry: Registry;
let image: Image;
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'breakwater-access-'));
  await (await startRegistry({ dataDir })).stop();
  const accounts = new Database(join(dataDir, 'db/breakwater.sqlite'));
  const hash = await Bun.password.hash(other.password);
  for (const { name } of [other, fresh])
    accounts.run(
      `insert into account (name, name_folded, display_name, comment, provider, password_hash, is_admin, is_auditor, is_disabled,
        must_change_password, epoch, created_at_ms, updated_at_ms) values (?, ?, ?, '', 'local', ?, 1, 0, 0, 0, 0, 0, 0)`,
      [name, name, name, hash],
    );
  accounts.close();
  registry = await startRegistry({ dataDir });
  await registry.createProject('closed');
  image = await registry.pushImage('closed/app', 'v1');
});
afterAll(async () => {
  expect(failuresIn(registry)).toEqual([]);
  expect(await registry.stop()).toBe(0);
  rmSync(dataDir, { recursive: true, force: true });
});

interface Things {
  readonly repository: string;
  readonly tag: string;
  readonly manifest: string;
  readonly blob: string;
  readonly upload: string;
}
type Question = (things: Things) => { readonly path: string } & Call;

/** One request of each kind of route that names a repository. A new kind does not compile without one. */
const questions: Record<Exclude<Route['kind'], 'api-version' | 'catalog'>, Question[]> = {
  'manifest-get': [
    ({ repository, tag }) => ({ path: `/v2/${repository}/manifests/${tag}` }),
    ({ repository, manifest }) => ({ path: `/v2/${repository}/manifests/${manifest}` }),
    ({ repository, tag }) => ({ path: `/v2/${repository}/manifests/${tag}`, method: 'HEAD' }),
    ({ repository, manifest }) => ({ path: `/v2/${repository}/manifests/${manifest}`, headers: { 'if-none-match': `"${manifest}"` } }),
  ],
  'blob-get': [
    ({ repository, blob }) => ({ path: `/v2/${repository}/blobs/${blob}` }),
    ({ repository, blob }) => ({ path: `/v2/${repository}/blobs/${blob}`, method: 'HEAD' }),
    ({ repository, blob }) => ({ path: `/v2/${repository}/blobs/${blob}`, headers: { range: 'bytes=0-0' } }),
    ({ repository, blob }) => ({ path: `/v2/${repository}/blobs/${blob}`, headers: { range: 'bytes=99999-' } }),
    ({ repository, blob }) => ({ path: `/v2/${repository}/blobs/${blob}`, headers: { 'if-none-match': `"${blob}"` } }),
  ],
  'tag-list': [
    ({ repository }) => ({ path: `/v2/${repository}/tags/list` }),
    ({ repository }) => ({ path: `/v2/${repository}/tags/list?n=1&last=a` }),
  ],
  referrers: [({ repository, manifest }) => ({ path: `/v2/${repository}/referrers/${manifest}` })],
  'manifest-put': [
    ({ repository, tag }) => ({
      path: `/v2/${repository}/manifests/${tag}`,
      method: 'PUT',
      headers: { 'content-type': imageType },
      body: image.bytes,
    }),
    ({ repository, manifest }) => ({ path: `/v2/${repository}/manifests/${manifest}?tag=x`, method: 'PUT', body: image.bytes }),
  ],
  'manifest-delete': [
    ({ repository, tag }) => ({ path: `/v2/${repository}/manifests/${tag}`, method: 'DELETE' }),
    ({ repository, manifest }) => ({ path: `/v2/${repository}/manifests/${manifest}`, method: 'DELETE' }),
  ],
  'blob-delete': [({ repository, blob }) => ({ path: `/v2/${repository}/blobs/${blob}`, method: 'DELETE' })],
  'upload-start': [
    ({ repository }) => ({ path: `/v2/${repository}/blobs/uploads/`, method: 'POST' }),
    ({ repository, blob }) => ({ path: `/v2/${repository}/blobs/uploads/?digest=${blob}`, method: 'POST', body: 'x' }),
  ],
  'blob-mount': [
    ({ repository, blob }) => ({ path: `/v2/${repository}/blobs/uploads/?mount=${blob}&from=library/app`, method: 'POST' }),
    ({ repository, blob }) => ({ path: `/v2/${repository}/blobs/uploads/?mount=${blob}`, method: 'POST' }),
  ],
  'upload-status': [({ repository, upload }) => ({ path: `/v2/${repository}/blobs/uploads/${upload}` })],
  'upload-chunk': [({ repository, upload }) => ({ path: `/v2/${repository}/blobs/uploads/${upload}`, method: 'PATCH', body: 'x' })],
  'upload-finish': [
    ({ repository, upload, blob }) => ({ path: `/v2/${repository}/blobs/uploads/${upload}?digest=${blob}`, method: 'PUT', body: 'x' }),
  ],
  'upload-cancel': [({ repository, upload }) => ({ path: `/v2/${repository}/blobs/uploads/${upload}`, method: 'DELETE' })],
};
const allQuestions = Object.entries(questions).flatMap(([kind, list]) => list.map((question) => ({ kind, question })));

/** The whole answer, with what the client itself wrote taken out. */
async function answerTo(question: Question, things: Things, as: Call['as']): Promise<string> {
  const { path, ...call } = question(things);
  const response = await registry.call(path, { ...call, ...(as === undefined ? {} : { as }) });
  const headers = [...response.headers].filter(([name]) => name !== 'date').map((pair) => pair.join(': '));
  const text = [response.status, ...headers.sort(), await response.text()].join('\n');
  return Object.entries(things).reduce((rest, [name, value]) => rest.replaceAll(value, `<${name}>`), text);
}

async function existing(): Promise<Things> {
  const upload = (await registry.beginUpload('closed/app')).split('/').at(-1) ?? '';
  return { repository: 'closed/app', tag: 'v1', manifest: image.digest, blob: image.layerDigest, upload };
}
const hex = (letter: string): string => `sha256:${letter.repeat(64)}`;
const missing: Things = { repository: 'closed/nil', tag: 'v2', manifest: hex('a'), blob: hex('b'), upload: 'c'.repeat(40) };

describe('a private project, to somebody outside', () => {
  const outsiders: Record<string, () => Promise<NonNullable<Call['as']>>> = {
    'without a login': async () => 'anonymous',
    'with an anonymous token': async () => ({ token: await registry.token(['repository:closed/app:pull,push'], 'anonymous') }),
    'with a token for another repository': async () => ({ token: await registry.token(['repository:library/app:pull,push,delete']) }),
  };
  for (const [name, login] of Object.entries(outsiders)) {
    test(`${name}: what exists and what does not are told alike, for every kind of request`, async () => {
      const as = await login();
      const there = await existing();
      for (const { kind, question } of allQuestions) {
        const answer = await answerTo(question, there, as);
        expect([kind, answer.split('\n')[0]]).toEqual([kind, '401']);
        expect([kind, await answerTo(question, missing, as)]).toEqual([kind, answer]);
        // The repository exists, the thing in it does not.
        expect([kind, await answerTo(question, { ...missing, repository: there.repository }, as)]).toEqual([kind, answer]);
      }
      // Nothing was changed by asking.
      expect((await registry.call('/v2/closed/app/manifests/v1')).status).toBe(200);
      expect((await registry.call(`/v2/closed/app/blobs/uploads/${there.upload}`)).headers.get('range')).toBe('0-0');
    });
  }

  test('to its administrator the same requests differ (this suite can see a difference)', async () => {
    const there = await existing();
    for (const kind of ['manifest-get', 'blob-get', 'upload-status'] as const) {
      for (const question of questions[kind])
        expect(await answerTo(question, missing, 'admin')).not.toBe(await answerTo(question, there, 'admin'));
    }
  });

  test('it is in no catalog but an administrator’s', async () => {
    const catalog = async (as: Call['as']): Promise<unknown> => {
      const response = await registry.call('/v2/_catalog', as === undefined ? {} : { as });
      return response.status === 200 ? ((await response.json()) as { repositories: string[] }).repositories : response.status;
    };
    expect(await catalog('admin')).toContain('closed/app');
    expect(await catalog('anonymous')).toBe(401);
    expect(await catalog({ token: await registry.token([], 'anonymous') })).toBe(401);
    expect(await catalog({ token: await registry.token(['registry:catalog:*'], 'anonymous') })).toBe(401);
    expect(await catalog({ token: await registry.token(['repository:closed/app:pull']) })).toBe(401);
    expect(await catalog({ token: await registry.token(['registry:catalog:*']) })).toContain('closed/app');
  });
});

describe('a digest', () => {
  test('SEC-A02: is readable only through a repository that holds it', async () => {
    await registry.createProject('elsewhere');
    await registry.pushImage('elsewhere/app', 'v1', bytesOf('another layer'));
    const path = `/v2/elsewhere/app/blobs/${image.layerDigest}`;
    for (const call of [
      {},
      { method: 'HEAD' },
      { headers: { range: 'bytes=0-0' } },
      { headers: { 'if-none-match': `"${image.layerDigest}"` } },
    ]) {
      expect((await registry.call(path, call)).status).toBe(404);
    }
    expect((await registry.call(`/v2/elsewhere/app/manifests/${image.digest}`)).status).toBe(404);
    const put = await registry.call('/v2/elsewhere/app/manifests/stolen', {
      method: 'PUT',
      headers: { 'content-type': imageType },
      body: image.bytes,
    });
    expect([put.status, await codeOf(put)]).toEqual([400, 'MANIFEST_BLOB_UNKNOWN']);
  });

  test('SEC-A03: is mounted only from a repository that holds it and that the token names', async () => {
    const mount = async (query: string, as: Call['as'] = 'admin'): Promise<number> =>
      (await registry.call(`/v2/elsewhere/mounted/blobs/uploads/?mount=${image.layerDigest}${query}`, { method: 'POST', as })).status;
    const isHere = async (): Promise<number> => (await registry.call(`/v2/elsewhere/mounted/blobs/${image.layerDigest}`)).status;
    const push = 'repository:elsewhere/mounted:pull,push';
    expect(await mount('')).toBe(202);
    expect(await mount('&from=elsewhere/app')).toBe(202);
    expect(await mount('&from=closed/nil')).toBe(202);
    expect(await mount('&from=nowhere/app')).toBe(202);
    expect(await mount('&from=closed/app', { token: await registry.token([push]) })).toBe(202);
    expect(await mount('&from=closed/app', { token: await registry.token([push, 'repository:closed/app:push']) })).toBe(202);
    expect(await isHere()).toBe(404);
    expect(await mount('&from=closed/app', { token: await registry.token([push, 'repository:closed/app:pull']) })).toBe(201);
    expect(await isHere()).toBe(200);
  });
});

describe('an upload session', () => {
  test('SEC-A05: of another user, repository or none is unknown', async () => {
    const location = await registry.beginUpload('closed/app');
    const id = location.split('/').at(-1);
    const digest = sha256(bytesOf('x'));
    for (const [path, as] of [
      [location, other],
      [`/v2/closed/else/blobs/uploads/${id}`, 'admin'],
      [`/v2/library/app/blobs/uploads/${id}`, 'admin'],
      [`/v2/closed/app/blobs/uploads/${'0'.repeat(40)}`, 'admin'],
      ['/v2/closed/app/blobs/uploads/short', 'admin'],
    ] as const) {
      for (const call of [{}, { method: 'PATCH', body: 'x' }, { method: 'PUT', body: 'x' }, { method: 'DELETE' }]) {
        const response = await registry.call(call.method === 'PUT' ? `${path}?digest=${digest}` : path, { ...call, as });
        expect([path, call.method, response.status, await codeOf(response)]).toEqual([path, call.method, 404, 'BLOB_UPLOAD_UNKNOWN']);
      }
    }
    expect((await registry.call(location)).headers.get('range')).toBe('0-0');
  });

  test('has an id nobody guesses', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => registry.beginUpload('closed/app')));
    for (const id of ids) expect(id).toMatch(/\/[0-9a-f]{40}$/);
    expect(new Set(ids).size).toBe(20);
  });
});

describe('a token', () => {
  test('SEC-A09: for a project that was deleted opens none made anew under its name', async () => {
    await registry.createProject('again');
    const old = { token: await registry.token(['repository:again/app:pull,push']) };
    const push = (as: Call['as'] = 'admin'): Promise<Response> => registry.call('/v2/again/app/blobs/uploads/', { method: 'POST', as });
    expect((await push(old)).status).toBe(202);
    await registry.deleteProject('again');
    expect((await push(old)).status).toBe(404);
    await registry.createProject('again');
    await registry.pushImage('again/app', 'v1');
    const refused = await push(old);
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, expect.stringContaining('error="insufficient_scope"')]);
    expect((await registry.call('/v2/again/app/manifests/v1', { as: old })).status).toBe(401);
    const mounted = `/v2/library/x/blobs/uploads/?mount=${sha256(bytesOf('a layer of again/app:v1'))}&from=again/app`;
    const both = { token: await registry.token(['repository:library/x:pull,push', 'repository:again/app:pull']) };
    expect((await registry.call(mounted, { method: 'POST', as: both })).status).toBe(201);
    expect((await push({ token: await registry.token(['repository:again/app:push']) })).status).toBe(202);
  });

  test('without enough scope is told the whole scope it needs', async () => {
    const as = { token: await registry.token(['repository:closed/app:pull']) };
    const refused = await registry.call('/v2/closed/app/blobs/uploads/', { method: 'POST', as });
    expect([refused.status, await codeOf(refused)]).toEqual([401, 'UNAUTHORIZED']);
    expect(refused.headers.get('www-authenticate')).toBe(
      `Bearer realm="${registry.url}/service/token",service="breakwater",scope="repository:closed/app:pull,push",error="insufficient_scope"`,
    );
    const mount = await registry.call(`/v2/closed/app/blobs/uploads/?mount=${hex('a')}&from=library/app`, { method: 'POST', as });
    expect(mount.headers.get('www-authenticate')).toContain('scope="repository:closed/app:pull,push repository:library/app:pull"');
  });

  test('opens no door of the admin API, whoever it is of', async () => {
    for (const scopes of [[], ['repository:closed/app:pull,push,delete'], ['registry:catalog:*']]) {
      const as = { token: await registry.token(scopes) };
      for (const path of ['/api/v2.0/projects', '/api/v2.0/sources', '/api/v2.0/ping']) {
        expect([path, (await registry.call(path, { as })).status]).toEqual([path, 401]);
      }
      const created = await registry.call('/api/v2.0/projects', {
        method: 'POST',
        as,
        headers: { 'content-type': 'application/json' },
        body: '{"name":"gained"}',
      });
      expect(created.status).toBe(401);
    }
    expect((await registry.call('/v2/gained/app/tags/list')).status).toBe(404);
  });

  test('SEC-A11: in the query or in a cookie is none', async () => {
    const token = await registry.token(['repository:closed/app:pull']);
    for (const call of [{}, { headers: { cookie: `token=${token}; sid=${token}` } }]) {
      for (const query of ['', `?access_token=${token}`, `?token=${token}`]) {
        expect((await registry.call(`/v2/closed/app/manifests/v1${query}`, { as: 'anonymous', ...call })).status).toBe(401);
      }
    }
  });
});

describe('a login', () => {
  test('that cannot be read or is wrong gives 401 with a challenge, never a failure', async () => {
    const odd = [
      'Basic',
      'Basic =',
      'Basic %%%',
      `Basic ${Buffer.from('admin').toString('base64')}`,
      basicOf({ name: 'admin', password: '' }),
      basicOf({ name: 'admin', password: `${registry.adminPassword}\0` }),
      basicOf({ name: 'admin\0', password: registry.adminPassword }),
      basicOf({ name: '', password: registry.adminPassword }),
      basicOf({ name: "admin' or '1'='1", password: 'x' }),
      basicOf({ name: 'admin', password: 'x'.repeat(3000) }),
      basicOf({ name: 'n'.repeat(5000), password: 'x' }),
      `Basic ${Buffer.from([0x61, 0x64, 0xff, 0x3a, 0xfe]).toString('base64')}`,
      'Bearer',
      'Bearer x',
      'Bearer a.b.c',
      'Bearer e30.e30.e30',
      `Bearer ${'.'.repeat(10_000)}`,
      `Bearer ${'a'.repeat(14_000)}`,
      `Bearer ${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"user:1","access":[]}').toString('base64url')}.`,
      'Digest username="admin"',
      'Negotiate abcdef',
      'admin',
    ];
    for (const authorization of odd) {
      for (const path of ['/v2/', '/v2/closed/app/manifests/v1', '/v2/library/app/tags/list', '/service/token', '/api/v2.0/projects']) {
        const response = await registry.call(path, { as: 'anonymous', headers: { authorization } });
        expect([path, authorization.slice(0, 60), response.status]).toEqual([path, authorization.slice(0, 60), 401]);
        expect(response.headers.get('www-authenticate')).toMatch(path.startsWith('/v2/') ? /^Bearer realm="/ : /^Basic realm="/);
        expect(await codeOf(response)).toBe('UNAUTHORIZED');
      }
    }
  }, 60_000);

  test('of fifty clients at once, all right, lets all in', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => registry.call('/v2/', { as: fresh })));
    expect(answers.map((answer) => answer.status)).toEqual(Array(50).fill(200));
  });

  test('SEC-G07: that fails a hundred times at once makes nobody else wait long', async () => {
    const guesses = Array.from({ length: 100 }, (_, index) => registry.call('/v2/', { as: { name: 'admin', password: `guess ${index}` } }));
    const sinceMs = performance.now();
    expect((await registry.call('/v2/closed/app/manifests/v1')).status).toBe(200);
    expect(performance.now() - sinceMs).toBeLessThan(1500);
    const statuses = (await Promise.all(guesses)).map((answer) => answer.status);
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
  }, 30_000);
});

describe('without anonymous pulls', () => {
  test('nobody sees anything before a login, with or without a token', async () => {
    const strict = await startRegistry({ config: 'presets: false\nmirror: { root: false }\nanonymous_pull: false\n' });
    try {
      await strict.pushImage('library/app', 'v1');
      const token = { token: await strict.token(['repository:library/app:pull', 'registry:catalog:*'], 'anonymous') };
      for (const path of ['/v2/library/app/manifests/v1', '/v2/library/app/tags/list', '/v2/_catalog']) {
        for (const as of ['anonymous', token] as const) expect([path, (await strict.call(path, { as })).status]).toEqual([path, 401]);
      }
      expect((await strict.call('/v2/library/app/manifests/v1')).status).toBe(200);
    } finally {
      await strict.stop();
    }
  });
});

describe('in front of Docker Hub', () => {
  test('its logins pull as nobody, and are refused for anything else', async () => {
    const config = 'presets: false\nregistries: { docker.io: { sources: [{ url: "http://127.0.0.1:1" }] } }\n';
    const mirror = await startRegistry({ config });
    try {
      await mirror.createProject('closed');
      const hub: Login = { name: 'somebody', password: 'at docker hub' };
      const ask = async (query: string, as: Login): Promise<number> => (await mirror.call(`/service/token?${query}`, { as })).status;
      const samename: Login = { name: 'admin', password: 'at docker hub' };
      for (const login of [hub, samename]) {
        expect(await ask('scope=repository:library/debian:pull', login)).toBe(200);
        expect(await ask('scope=repository:somebody/app:pull', login)).toBe(200);
        expect(await ask('account=somebody', login)).toBe(401);
        expect(await ask('scope=repository:library/debian:pull,push', login)).toBe(401);
        expect(await ask('scope=repository:closed/app:pull', login)).toBe(401);
        expect((await mirror.call('/v2/', { as: login })).status).toBe(401);
      }
      // The pull goes on to the (dead) source: it is not refused.
      const token = await mirror.token(['repository:library/debian:pull'], hub);
      const pull = await mirror.call('/v2/library/debian/manifests/v1', { as: { token } });
      expect([pull.status, pull.headers.has('retry-after')]).toEqual([503, true]);
      expect(mirror.logs()).not.toContain(hub.password);
    } finally {
      await mirror.stop();
    }
  });
});
