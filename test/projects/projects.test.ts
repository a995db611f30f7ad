// Projects, labels, settings and numbers of a real server, as Harbor's clients ask for them.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type ApiAnswer, codeOf, postJson, type SendOptions, send } from '../api/client.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';

let server: RunningBreakwater;

beforeAll(async () => {
  const config = { presets: false, registries: { 'docker.io': { sources: [{ url: 'http://127.0.0.1:1', trust: 'authority' }] } } };
  server = await startBreakwater({ config: JSON.stringify(config) });
});
afterAll(async () => {
  await server?.stop();
});

const put = (path: string, body: unknown, options: SendOptions = {}) =>
  send(server, path, { ...options, method: 'PUT', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
const post = (path: string, body: unknown) => postJson(server, path, body);
const remove = (path: string) => send(server, path, { method: 'DELETE' });
const json = async (path: string): Promise<Record<string, unknown>> => (await send(server, path)).json() as Record<string, unknown>;
const failure = (answer: ApiAnswer) => [answer.status, codeOf(answer)];

describe('a project', () => {
  test("is made from all that Harbor's clients send, read back whole, and named in Location as they wish", async () => {
    const created = await postJson(
      server,
      '/projects',
      {
        project_name: 'harbor-like',
        metadata: { public: 'false', auto_scan: 'true', severity: 'low', prevent_vul: 'false' },
        cve_allowlist: { items: [{ cve_id: 'CVE-2026-0001' }], expires_at: null },
        storage_limit: -1,
        registry_id: null,
      },
      { headers: { 'x-resource-name-in-location': 'true' } },
    );
    expect(created.status).toBe(201);
    expect(created.headers.get('location')).toBe('/api/v2.0/projects/harbor-like');
    expect(await json('/projects/harbor-like')).toMatchObject({
      name: 'harbor-like',
      owner_id: 1,
      owner_name: 'admin',
      deleted: false,
      togglable: true,
      current_user_role_id: 1,
      current_user_role_ids: [1],
      repo_count: 0,
      metadata: { public: 'false', auto_scan: 'true', severity: 'low', prevent_vul: 'false' },
      cve_allowlist: { items: [{ cve_id: 'CVE-2026-0001' }] },
      kind: 'local',
    });
  });

  test('changes what it is told and nothing else', async () => {
    await post('/projects', { name: 'changing', metadata: { auto_scan: 'true' } });
    const before = await json('/projects/changing');
    expect((await put('/projects/changing', { metadata: { public: 'true' } })).status).toBe(200);
    const after = await json('/projects/changing');
    expect(after).toEqual({
      ...before,
      metadata: { public: 'true', auto_scan: 'true' },
      update_time: after.update_time,
      cve_allowlist: after.cve_allowlist,
    });
    expect((await fetch(`${server.url}/v2/changing/app/manifests/1`)).status).toBe(404);
    expect((await put('/projects/changing', { public: false, allows_sparse: true })).status).toBe(200);
    expect(await json('/projects/changing')).toMatchObject({ metadata: { public: 'false', auto_scan: 'true' }, allows_sparse: true });
    expect((await fetch(`${server.url}/v2/changing/app/manifests/1`)).status).toBe(401);
    for (const body of [
      { project_name: 'other' },
      { registry_id: 1 },
      { storage_limit: 5 },
      { metadata: { enable_content_trust: 'true' } },
      { kind: 'mirror' },
    ])
      expect([body, failure(await put('/projects/changing', body))]).toEqual([body, [400, 'BAD_REQUEST']]);
  });

  test('its words are added, read, changed and taken back one by one', async () => {
    await post('/projects', { name: 'worded' });
    const at = '/projects/worded/metadatas';
    expect(await json(`${at}/`)).toEqual({ public: 'false' });
    expect((await post(`${at}/`, { auto_scan: 'true' })).status).toBe(200);
    expect(failure(await post(at, { auto_scan: 'true' }))).toEqual([409, 'CONFLICT']);
    expect(await json(`${at}/auto_scan`)).toEqual({ auto_scan: 'true' });
    expect((await put(`${at}/auto_scan`, { auto_scan: 'false' })).status).toBe(200);
    expect((await put(`${at}/public`, { public: 'true' })).status).toBe(200);
    expect(await json(at)).toEqual({ public: 'true', auto_scan: 'false' });
    expect((await remove(`${at}/auto_scan`)).status).toBe(200);
    expect(failure(await remove(`${at}/auto_scan`))).toEqual([404, 'NOT_FOUND']);
    expect(failure(await put(`${at}/severity`, { severity: 'low' }))).toEqual([404, 'NOT_FOUND']);
    for (const body of [{ severity: 'awful' }, { constructor: 'x' }, { auto_scan: 'true', severity: 'low' }, {}])
      expect(failure(await post(at, body))).toEqual([400, 'BAD_REQUEST']);
  });

  test('says whether it can be deleted, and how much it holds', async () => {
    await post('/projects', { name: 'holding' });
    expect(await json('/projects/holding/_deletable')).toEqual({ deletable: true });
    const bytes = new TextEncoder().encode('kept');
    const digest = `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`;
    const authorization = `Basic ${btoa(`admin:${server.adminPassword}`)}`;
    const pushed = await fetch(`${server.url}/v2/holding/app/blobs/uploads/?digest=${digest}`, {
      method: 'POST',
      body: bytes,
      headers: { authorization, 'content-type': 'application/octet-stream' },
    });
    expect(pushed.status).toBe(201);
    expect(await json('/projects/holding/_deletable')).toMatchObject({ deletable: false, message: expect.stringContaining('holding/app') });
    const { project_id: id } = await json('/projects/holding');
    expect(await json(`/quotas/${id}`)).toMatchObject({
      ref: { id, name: 'holding', owner_name: 'admin' },
      hard: { storage: -1 },
      used: { storage: 4 },
    });
    expect(await json('/projects/holding/summary')).toMatchObject({
      repo_count: 1,
      project_admin_count: 1,
      quota: { hard: { storage: -1 }, used: { storage: 4 } },
    });
    expect((await json('/statistics')).total_storage_consumption).toBe(4);
  });
});

describe('lists of projects', () => {
  test('are searched, sorted and paged as Harbor does it', async () => {
    for (const name of ['list-b', 'list-a', 'list-c']) await post('/projects', { name, public: name === 'list-b' });
    const names = async (query: string) => {
      const answer = await send(server, `/projects?${query}`);
      expect([query, answer.status]).toEqual([query, 200]);
      return [(answer.json() as { name: string }[]).map(({ name }) => name), answer.headers.get('x-total-count')];
    };
    expect(await names('name=list-')).toEqual([['list-a', 'list-b', 'list-c'], '3']);
    expect(await names('q=name%3D~list-,public%3Dfalse&sort=-name')).toEqual([['list-c', 'list-a'], '2']);
    expect(await names('q=name%253D~list-&page=2&page_size=2')).toEqual([['list-c'], '3']);
    expect(await names('q=owner%3Dadmin,name%3D{list-a%20list-b}&sort=-project_id')).toEqual([['list-a', 'list-b'], '2']);
    expect(await names('owner=nobody')).toEqual([[], '0']);
    for (const query of ['q=password%3Dx', 'sort=password', 'q=name', 'page_size=101', 'colour=blue', 'page[]=1'])
      expect([query, ...failure(await send(server, `/projects?${query}`))]).toEqual([query, 400, 'BAD_REQUEST']);
  });

  test('without a login they hold and count what is public, alone', async () => {
    const all = await send(server, '/projects?name=list-', { password: false });
    expect((all.json() as { name: string }[]).map(({ name }) => name)).toEqual(['list-b']);
    expect(all.headers.get('x-total-count')).toBe('1');
    const found = (await send(server, '/search?q=list-', { password: false })).json() as { project: { name: string }[] };
    expect(found.project.map(({ name }) => name)).toEqual(['list-b']);
    expect(failure(await send(server, '/statistics', { password: false }))).toEqual([401, 'UNAUTHORIZED']);
    for (const query of ['name=list-a', 'q=name%3Dlist-a'])
      expect((await send(server, `/projects?${query}`, { password: false })).headers.get('x-total-count')).toBe('0');
    expect((await send(server, '/projects?project_name=list-a', { method: 'HEAD', password: false })).status).toBe(404);
  });
});

describe('labels', () => {
  test('are global or of a project, made, listed, changed and deleted', async () => {
    const made = await post('/labels', { name: 'stable', color: '#00ab9a', description: 'd', scope: 'g' });
    expect(made.status).toBe(201);
    const at = (made.headers.get('location') ?? '').replace('/api/v2.0', '');
    expect(await json(at)).toMatchObject({ name: 'stable', description: 'd', color: '#00ab9a', scope: 'g', project_id: 0 });
    expect(failure(await post('/labels', { name: 'stable' }))).toEqual([409, 'CONFLICT']);
    const { project_id: id } = await json('/projects/library');
    expect((await post('/labels', { name: 'stable', scope: 'p', project_id: id })).status).toBe(201);
    expect((await send(server, `/labels?scope=p&project_id=${id}`)).headers.get('x-total-count')).toBe('1');
    expect((await send(server, '/labels?scope=g&name=stab')).json()).toHaveLength(1);
    expect((await put(at, { name: 'steady', color: '' })).status).toBe(200);
    expect(await json(at)).toMatchObject({ name: 'steady', color: '', description: '' });
    expect((await remove(at)).status).toBe(200);
    expect(failure(await remove(at))).toEqual([404, 'NOT_FOUND']);
    for (const body of [{ name: '' }, { name: 'x', color: 'red' }, { name: 'x', scope: 'p' }, { name: 'x', size: 1 }, { name: 'a\u0000' }])
      expect([body, failure(await post('/labels', body))]).toEqual([body, [400, 'BAD_REQUEST']]);
    expect(failure(await post('/labels', { name: 'x', scope: 'p', project_id: 987_654 }))).toEqual([404, 'NOT_FOUND']);
  });
});

describe('settings', () => {
  test('are shown with whether they can be changed, and changed all or none', async () => {
    expect(await json('/configurations')).toMatchObject({
      project_creation_restriction: { value: 'adminonly', editable: true },
      auth_mode: { value: 'db_auth', editable: false },
      self_registration: { value: false, editable: false },
      storage_per_project: { value: -1, editable: false },
    });
    const changed = await put('/configurations', { banner_message: 'Maintenance at noon', self_registration: false, read_only: null });
    expect(changed.status).toBe(200);
    expect(await json('/systeminfo')).toMatchObject({
      banner_message: 'Maintenance at noon',
      harbor_version: expect.stringMatching(/^v2\./),
    });
    for (const body of [{ banner_message: 'x', self_registration: true }, { banner_message: 'x', nothing: 1 }, { banner_message: 5 }])
      expect(failure(await put('/configurations', body))).toEqual([400, 'BAD_REQUEST']);
    expect(await json('/systeminfo')).toMatchObject({ banner_message: 'Maintenance at noon' });
    expect(failure(await send(server, '/configurations', { password: false }))).toEqual([401, 'UNAUTHORIZED']);
  });
});

test('the server says what it is to those who log in, and how much room there is', async () => {
  expect((await send(server, '/systeminfo', { password: false })).json()).not.toHaveProperty('harbor_version');
  expect(await json('/systeminfo')).toMatchObject({ registry_url: new URL(server.url).host, external_url: server.url });
  expect(((await json('/systeminfo/volumes')).storage as { total: number }[])[0]?.total).toBeGreaterThan(0);
  const version = await fetch(`${server.url}/api/version`);
  expect([version.status, await version.json()]).toEqual([200, { version: 'v2.0' }]);
});
