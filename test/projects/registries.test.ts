// Registries as Harbor's clients add, read, change, test and remove them; and that they are the same ones that our own words are about.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type ApiAnswer, codeOf, postJson, send } from '../api/client.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';

let server: RunningBreakwater;
let upstream: ReturnType<typeof Bun.serve>;
const asked: string[] = [];

beforeAll(async () => {
  upstream = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request) => {
      asked.push(request.headers.get('authorization') ?? 'anonymous');
      const isRight = request.headers.get('authorization') === `Basic ${btoa('reader:open sesame')}`;
      if (isRight) return Response.json({});
      return new Response('{}', { status: 401, headers: { 'www-authenticate': 'Basic realm="there"' } });
    },
  });
  server = await startBreakwater({ config: JSON.stringify({ presets: false, probes: { enabled: false } }) });
});
afterAll(async () => {
  await server?.stop();
  await upstream?.stop(true);
});

const put = (path: string, body: unknown) =>
  send(server, path, { method: 'PUT', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
const json = async (path: string) => (await send(server, path)).json() as Record<string, unknown>;
const failure = (answer: ApiAnswer) => [answer.status, codeOf(answer)];

test('one added with a name and an address is read back, and its mirror is there', async () => {
  const added = await postJson(server, '/registries', {
    name: 'my-hub',
    url: 'https://hub.docker.com',
    type: 'docker-hub',
    insecure: false,
    description: 'the hub',
    credential: { type: 'basic', access_key: 'reader', access_secret: 'open sesame' },
  });
  expect(added.status).toBe(201);
  const at = (added.headers.get('location') ?? '').replace('/api/v2.0', '');
  const read = await json(at);
  expect(read).toMatchObject({
    name: 'my-hub',
    registry: 'docker.io',
    url: 'https://registry-1.docker.io',
    type: 'docker-hub',
    insecure: false,
    description: 'the hub',
    credential: { type: 'basic', access_key: 'reader', access_secret: '*****' },
    status: 'healthy',
    restricted: true,
  });
  expect(await json('/registries/docker.io')).toEqual(read);
  expect(await json('/projects/docker.io')).toMatchObject({ kind: 'mirror', registry_id: read.id, metadata: { public: 'false' } });
  expect((await send(server, '/registries?q=name%3D~HUB')).json()).toHaveLength(1);
  expect((await send(server, '/registries?name=my')).headers.get('x-total-count')).toBe('1');
  expect((await postJson(server, '/projects', { project_name: 'cache', registry_id: read.id, public: true })).status).toBe(201);
  expect(await json('/projects/cache')).toMatchObject({ kind: 'mirror', registry: 'docker.io', registry_id: read.id });
  expect(await json('/projects/cache/summary')).toMatchObject({ registry: { id: read.id, name: 'my-hub' } });
  const twice = await postJson(server, '/registries', { name: 'again', url: 'https://docker.io', type: 'docker-hub' });
  expect([...failure(twice), twice.text]).toEqual([409, 'CONFLICT', expect.stringContaining(`the id ${read.id}`)]);
});

test('is changed by its id: name, description and login; a login never goes to another address', async () => {
  const added = await postJson(server, '/registries', {
    name: 'local one',
    url: `http://127.0.0.1:${upstream.port}`,
    type: 'docker-registry',
    credential: { access_key: 'reader', access_secret: 'wrong' },
  });
  expect(added.status).toBe(201);
  const { id, registry } = added.json() as { id: number; registry: string };
  expect(registry).toBe(`127.0.0.1-${upstream.port}`);
  expect(failure(await postJson(server, '/registries/ping', { id }))).toEqual([400, 'BAD_REQUEST']);
  expect((await put(`/registries/${id}`, { access_key: 'reader', access_secret: 'open sesame', description: 'd' })).status).toBe(200);
  expect((await postJson(server, '/registries/ping', { id })).status).toBe(200);
  expect(asked).toContain(`Basic ${btoa('reader:open sesame')}`);
  // What clients read, they send back: the hidden secret stays what it was.
  expect((await put(`/registries/${id}`, { name: 'renamed', access_key: 'reader', access_secret: '*****' })).status).toBe(200);
  expect(await json(`/registries/${id}`)).toMatchObject({ name: 'renamed', description: 'd', registry });
  expect((await postJson(server, '/registries/ping', { id })).status).toBe(200);
  const elsewhere = await put(`/registries/${id}`, { url: 'https://evil.example' });
  expect([...failure(elsewhere), elsewhere.text]).toEqual([400, 'BAD_REQUEST', expect.stringContaining('another host')]);
  expect(failure(await put(`/registries/${id}`, { name: 'my-hub' }))).toEqual([409, 'CONFLICT']);
  expect((await put(`/registries/${id}`, { insecure: true })).status).toBe(200);
  expect(await json(`/registries/${id}`)).toMatchObject({ insecure: true });
  expect(await json(`/registries/${id}/info`)).toMatchObject({ type: 'docker-registry' });
  const shown = (await send(server, `/registries/${id}`)).text + (await send(server, '/registries?page_size=100')).text;
  expect(shown).not.toContain('sesame');
  expect((await send(server, `/registries/${id}`, { method: 'DELETE' })).status).toBe(200);
  expect(failure(await send(server, `/registries/${id}`))).toEqual([404, 'NOT_FOUND']);
});

test('an address is tried before it is kept', async () => {
  const url = `http://127.0.0.1:${upstream.port}`;
  const right = { url, credential_type: 'basic', access_key: 'reader', access_secret: 'open sesame', insecure: false, type: 'harbor' };
  expect((await postJson(server, '/registries/ping', right)).status).toBe(200);
  const wrong = await postJson(server, '/registries/ping', { ...right, access_secret: 'no' });
  expect([...failure(wrong), wrong.text]).toEqual([400, 'BAD_REQUEST', expect.stringContaining('did not pass')]);
  for (const body of [{ url: 'ftp://x' }, {}, { url, credential_type: 'oauth', access_key: 'a', access_secret: 'b' }, { url, colour: 1 }])
    expect([body, failure(await postJson(server, '/registries/ping', body))]).toEqual([body, [400, 'BAD_REQUEST']]);
  expect(failure(await postJson(server, '/registries/ping', { id: 987_654 }))).toEqual([404, 'NOT_FOUND']);
});

test('one that ships with the program is taken over, and given back', async () => {
  const shipped = await startBreakwater({ config: JSON.stringify({ probes: { enabled: false } }) });
  try {
    const hub = async () => (await send(shipped, '/registries/docker.io')).json() as { id: number; name: string; origin: string };
    const before = await hub();
    expect(before).toMatchObject({ name: 'docker.io', origin: 'preset' });
    const taken = await postJson(shipped, '/registries', {
      name: 'hub',
      url: 'https://hub.docker.com',
      type: 'docker-hub',
      description: 'ours',
    });
    expect([taken.status, (await hub()).name, (await hub()).id]).toEqual([201, 'hub', before.id]);
    expect(failure(await postJson(shipped, '/registries', { name: 'two', url: 'https://hub.docker.com' }))).toEqual([409, 'CONFLICT']);
    expect((await send(shipped, `/registries/${before.id}`, { method: 'DELETE' })).status).toBe(200);
    expect(await hub()).toMatchObject({ name: 'docker.io', description: '', origin: 'preset' });
    expect((await send(shipped, '/replication/adapters')).json()).toContain('docker-hub');
  } finally {
    await shipped.stop();
  }
});
