// Sources that are added, changed, ordered, disabled and removed while the server runs: what the next pull asks, and what nobody is told.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { registrySchema } from '../../src/api/registry-schemas.ts';
import { changedSourceSchema, sourceDetailSchema, sourceTestSchema } from '../../src/api/source-schemas.ts';
import { codeOf, postJson, send } from '../api/client.ts';
import { imageOf } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { type Holder, makeServerFolder, pullStatus, registryOf, repository, sendJson, sourcesOf, startHolder } from './fixture.ts';

const folder = makeServerFolder();
const password = 'correct-horse-battery';
let server: RunningBreakwater;
let first: Holder;
let second: Holder;
const others: Holder[] = [];

beforeAll(async () => {
  [first, second] = await Promise.all([startHolder(), startHolder()]);
  server = await folder.start({ 'seed.test': [{ url: first.url, trust: 'authority' }] });
}, 60_000);
afterAll(async () => {
  await folder.end();
  for (const source of [first, second, ...others]) await source?.stop();
}, 60_000);

async function newHolder(image = imageOf([2000])): Promise<Holder> {
  const source = await startHolder(image);
  others.push(source);
  return source;
}

async function add(registry: string, url: string, more: object = {}) {
  const answer = await postJson(server, '/sources', { registry, url, trust: 'authority', ...more });
  expect([answer.status, answer.text]).toEqual([201, answer.text]);
  return changedSourceSchema.parse(answer.json());
}

async function addRegistry(name: string, sources: readonly object[]) {
  const answer = await postJson(server, '/registries', { name, sources });
  expect([answer.status, answer.text]).toEqual([201, answer.text]);
  return registrySchema.parse(answer.json());
}

test('a registry added while running is pulled through at once, and is in the lists', async () => {
  expect(await pullStatus(server, 'new.test', second.image, '1')).toBe(401);
  const added = await addRegistry('new.test', [{ url: second.url, trust: 'authority' }]);
  expect(added).toMatchObject({ name: 'new.test', origin: 'api', restricted: false });
  expect(await pullStatus(server, 'new.test', second.image, '1')).toBe(200);
  const spaced = await fetch(`${server.url}/v2/${repository}/manifests/1?ns=new.test`);
  expect([spaced.status, spaced.headers.get('docker-content-digest')]).toEqual([200, second.image.manifest.digest]);
  expect((await sourcesOf(server, 'new.test')).map((source) => [source.url, source.origin, source.enabled])).toEqual([
    [second.url, 'api', true],
  ]);
});

test('a source added while running serves the next pull', async () => {
  const extra = await newHolder();
  await addRegistry('grow.test', []);
  expect(await pullStatus(server, 'grow.test', extra.image)).toBe(503);
  const added = await add('grow.test', extra.url);
  expect(added.settings).toMatchObject({ url: extra.url, trust: 'authority', enabled: true });
  expect(await pullStatus(server, 'grow.test', extra.image)).toBe(200);
});

test('a disabled source gets no request until it is enabled', async () => {
  const image = imageOf([2000]);
  const [one, two] = [await newHolder(image), await newHolder(image)];
  const registry = await addRegistry('off.test', [
    { url: one.url, trust: 'authority', priority: 1 },
    { url: two.url, trust: 'authority', priority: 2 },
  ]);
  const id = registry.sources.find((source) => source.url === one.url)?.id;
  expect((await sendJson(server, 'PATCH', `/sources/${id}`, { enabled: false })).status).toBe(200);
  expect(await pullStatus(server, 'off.test', image, '1')).toBe(200);
  expect([one.requests.length, two.requests.length > 0]).toEqual([0, true]);
  expect((await sourcesOf(server, 'off.test')).map((source) => [source.url, source.enabled])).toEqual([
    [two.url, true],
    [one.url, false],
  ]);
  await sendJson(server, 'PATCH', `/sources/${id}`, { enabled: true });
  const other = imageOf([10]);
  one.add(repository, other);
  two.add(repository, other);
  expect(await pullStatus(server, 'off.test', other)).toBe(200);
  expect(one.requests.length).toBeGreaterThan(0);
});

test('the order decides who is asked first', async () => {
  const image = imageOf([2000]);
  const [one, two] = [await newHolder(image), await newHolder(image)];
  const registry = await addRegistry('order.test', [{ url: one.url }, { url: two.url }]);
  const ids = Object.fromEntries(registry.sources.map((source) => [source.url, source.id]));
  const order = await sendJson(server, 'PUT', '/registries/order.test/order', { ids: [ids[two.url], ids[one.url]] });
  expect(registrySchema.parse(order.json()).sources.map((source) => [source.url, source.priority])).toEqual([
    [two.url, 10],
    [one.url, 20],
  ]);
  expect(await pullStatus(server, 'order.test', image)).toBe(200);
  expect([one.requests.length, two.requests.length > 0]).toEqual([0, true]);
  const strange = await sendJson(server, 'PUT', '/registries/order.test/order', { ids: [ids[two.url], 987_654] });
  expect([strange.status, codeOf(strange)]).toEqual([400, 'BAD_REQUEST']);
});

test('what a scope denies is never sent there, and what it allows is', async () => {
  const image = imageOf([2000]);
  const [narrow, open] = [await newHolder(image), await newHolder(image)];
  for (const source of [narrow, open]) source.add('private/app', image, '1');
  await addRegistry('scope.test', [
    { url: narrow.url, trust: 'authority', priority: 1, scope: { deny: ['private/**'] } },
    { url: open.url, trust: 'authority', priority: 2 },
  ]);
  for (const reference of ['1', image.manifest.digest]) {
    const response = await fetch(`${server.url}/v2/scope.test/private/app/manifests/${reference}`);
    expect(response.status).toBe(200);
  }
  const blob = await fetch(`${server.url}/v2/scope.test/private/app/blobs/${image.layers[0]?.digest}`);
  expect((await blob.bytes()).length).toBe(2000);
  await fetch(`${server.url}/v2/scope.test/private/app/tags/list`);
  expect(narrow.requests.filter((request) => request.path.includes('private/'))).toEqual([]);
  expect(await pullStatus(server, 'scope.test', image, '1')).toBe(200);
  expect(narrow.requests.some((request) => request.path.includes(repository))).toBe(true);
});

test('a source that moves is asked at its new address, one that is removed is asked no more', async () => {
  const image = imageOf([2000]);
  const [old, next] = [await newHolder(image), await newHolder(image)];
  await addRegistry('move.test', []);
  const { id } = await add('move.test', old.url);
  const moved = await sendJson(server, 'PATCH', `/sources/${id}`, { url: next.url });
  expect(sourceDetailSchema.parse(moved.json())).toMatchObject({ id, url: next.url });
  expect(await pullStatus(server, 'move.test', image, '1')).toBe(200);
  expect(old.requests).toEqual([]);
  const before = next.requests.length;
  expect((await send(server, `/sources/${id}`, { method: 'DELETE' })).status).toBe(200);
  expect(await pullStatus(server, 'move.test', imageOf([1]))).toBe(503);
  expect(next.requests.length).toBe(before);
  expect((await send(server, `/sources/${id}`)).status).toBe(404);
});

test('a second source of the same address is refused and names the first', async () => {
  await addRegistry('twice.test', []);
  const { id } = await add('twice.test', 'https://mirror.example');
  const again = await postJson(server, '/sources', { registry: 'twice.test', url: 'https://mirror.example/' });
  expect([again.status, codeOf(again)]).toEqual([409, 'CONFLICT']);
  expect((again.json() as { errors: { detail: unknown }[] }).errors[0]?.detail).toEqual({ id });
  const missing = await postJson(server, '/sources', { registry: 'absent.test', url: 'https://mirror.example' });
  expect([missing.status, codeOf(missing)]).toEqual([404, 'NOT_FOUND']);
});

test('one address stands for several registries by its path style', async () => {
  await addRegistry('ghcr.io', []);
  expect((await add('ghcr.io', 'https://m.example', { path_style: 'prefix' })).url).toBe('https://m.example/v2/ghcr.io');
  expect((await add('ghcr.io', 'https://m.example', { path_style: 'host' })).url).toBe('https://ghcr.m.example');
  const unfit = await postJson(server, '/sources', { registry: 'ghcr.io', url: 'https://10.0.0.1', path_style: 'host' });
  expect([unfit.status, codeOf(unfit)]).toEqual([400, 'BAD_REQUEST']);
});

test('credentials make the mirror private with a warning, are sent, and are shown nowhere', async () => {
  const guarded = await newHolder();
  await addRegistry('guard.test', []);
  const credentials = { username: 'robot', password };
  const added = await add('guard.test', guarded.url, { credentials });
  expect(added.warnings.join()).toContain('guard.test');
  expect(added.settings['credentials']).toEqual({ username: 'robot', password: '***' });
  expect(await pullStatus(server, 'guard.test', guarded.image)).toBe(401);
  expect((await registryOf(server, 'guard.test'))?.restricted).toBe(true);
  const isPublic = await sendJson(server, 'PATCH', '/registries/guard.test', { public: true });
  expect(isPublic.status).toBe(200);
  guarded.rule((request) =>
    request.headers['authorization'] === `Basic ${btoa(`robot:${password}`)}`
      ? undefined
      : { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' }, body: Buffer.from('{}') },
  );
  expect(await pullStatus(server, 'guard.test', guarded.image)).toBe(200);
  for (const elsewhere of [{ url: 'http://127.0.0.1:1' }, { realms: ['http://127.0.0.1:1'] }]) {
    const answer = await sendJson(server, 'PATCH', `/sources/${added.id}`, elsewhere);
    expect([answer.status, codeOf(answer)]).toEqual([400, 'BAD_REQUEST']);
  }
  const changed = await sendJson(server, 'PATCH', `/sources/${added.id}`, { priority: 7 });
  const tested = await sendJson(server, 'POST', `/sources/${added.id}/test`, {});
  expect(sourceTestSchema.parse(tested.json()).ok).toBe(true);
  const refused = await postJson(server, '/sources', { registry: 'guard.test', url: guarded.url, credentials });
  const wrong = await postJson(server, '/sources', { registry: 'guard.test', url: 'x', credentials });
  expect([refused.status, wrong.status]).toEqual([409, 400]);
  const answers = [changed, tested, refused, wrong];
  for (const path of ['/sources', '/registries', `/sources/${added.id}`, '/explain?image=guard.test/team/app:1'])
    answers.push(await send(server, path));
  for (const text of [JSON.stringify(added), ...answers.map((answer) => answer.text), server.logs()]) expect(text).not.toContain(password);
});

test('null takes a setting away, and what is not named stays', async () => {
  await addRegistry('patch.test', []);
  const { id, settings } = await add('patch.test', 'https://patch.example', {
    proxy: 'http://proxy.example:3128',
    limits: { connections: 3, bytes_per_second: '2MiB' },
    operator: 'somebody',
  });
  expect(settings).toMatchObject({ limits: { connections: 3, bytes_per_second: '2MiB' } });
  const changed = sourceDetailSchema.parse((await sendJson(server, 'PATCH', `/sources/${id}`, { proxy: null, priority: 3 })).json());
  expect(changed.settings).toEqual({ ...settings, proxy: undefined, priority: 3 } as never);
  for (const body of [{}, { url: 'ftp://x' }, { priority: -1 }, { unknown: 1 }, { path_style: 'prefix' }, { tls: { ca_file: '/x' } }]) {
    const answer = await sendJson(server, 'PATCH', `/sources/${id}`, body);
    expect([answer.status, codeOf(answer)]).toEqual([400, 'BAD_REQUEST']);
  }
});

test('a test tells whether a source answers, saved or not, and changes nothing', async () => {
  const there = await newHolder();
  const good = await postJson(server, '/sources/test', { registry: 'seed.test', url: there.url });
  expect(sourceTestSchema.parse(good.json())).toMatchObject({ ok: true });
  const bad = await postJson(server, '/sources/test', { registry: 'seed.test', url: 'http://127.0.0.1:1' });
  const report = sourceTestSchema.parse(bad.json());
  expect(report.ok).toBe(false);
  expect(report.steps.find((step) => !step.ok)?.verdict).toBe('refused');
  expect((await sourcesOf(server, 'seed.test')).map((source) => [source.url, source.state])).toEqual([[first.url, 'up']]);
});

test('a wrong password in a test of an unsaved source does not make the saved one rest', async () => {
  const guarded = await newHolder();
  const accepted = { username: 'robot', password };
  guarded.rule((request) =>
    request.headers['authorization'] === `Basic ${btoa(`robot:${password}`)}`
      ? undefined
      : { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' }, body: Buffer.from('{}') },
  );
  const registry = await postJson(server, '/registries', {
    name: 'apart.test',
    public: true,
    sources: [{ url: guarded.url, trust: 'authority', credentials: accepted }],
  });
  expect(registry.status).toBe(201);
  const wrong = { registry: 'apart.test', url: guarded.url, trust: 'authority', credentials: { ...accepted, password: 'wrong' } };
  expect(sourceTestSchema.parse((await postJson(server, '/sources/test', wrong)).json()).ok).toBe(false);
  expect(await pullStatus(server, 'apart.test', guarded.image, '1')).toBe(200);
  expect(await sourcesOf(server, 'apart.test')).toMatchObject([{ state: 'up', failed: 0 }]);
});

test('a registry is removed with its empty mirror, and one that holds content only by force', async () => {
  const held = await newHolder();
  await addRegistry('gone.test', [{ url: held.url, trust: 'authority' }]);
  expect(await pullStatus(server, 'gone.test', held.image)).toBe(200);
  const refused = await send(server, '/registries/gone.test', { method: 'DELETE' });
  expect([refused.status, codeOf(refused)]).toEqual([409, 'CONFLICT']);
  expect((await send(server, '/registries/gone.test?force=true', { method: 'DELETE' })).status).toBe(200);
  expect(await registryOf(server, 'gone.test')).toBeUndefined();
  // What is there is served, nothing else is fetched.
  const before = held.requests.length;
  expect(await pullStatus(server, 'gone.test', held.image)).toBe(200);
  expect(held.requests.length).toBe(before);
  await addRegistry('empty.test', []);
  expect((await send(server, '/registries/empty.test', { method: 'DELETE' })).status).toBe(200);
  expect((await send(server, '/projects/empty.test', { headers: { 'x-is-resource-name': 'true' } })).status).toBe(404);
});

test('changes made at once are all there, in the list and in the pool', async () => {
  const image = imageOf([2000]);
  const last = await newHolder(image);
  await addRegistry('many.test', []);
  const urls = Array.from({ length: 20 }, (_, index) => `http://127.0.0.1:1/p${index}`);
  await Promise.all([...urls, last.url].map((url) => add('many.test', url)));
  expect((await sourcesOf(server, 'many.test')).map((source) => source.url).sort()).toEqual([...urls, last.url].sort());
  expect(await pullStatus(server, 'many.test', image)).toBe(200);
});

test('no pull fails while another source is switched off and on again', async () => {
  const images = Array.from({ length: 40 }, () => imageOf([1]));
  const [steady, flapping] = [await newHolder(), await newHolder()];
  for (const image of images) for (const source of [steady, flapping]) source.add(repository, image);
  const registry = await addRegistry('flap.test', [
    { url: flapping.url, trust: 'authority', priority: 1 },
    { url: steady.url, trust: 'authority', priority: 2 },
  ]);
  const id = registry.sources.find((source) => source.url === flapping.url)?.id;
  let isPulling = true;
  const toggling = (async (): Promise<number> => {
    let changes = 0;
    for (; isPulling; changes++) await sendJson(server, 'PATCH', `/sources/${id}`, { enabled: changes % 2 === 1 });
    return changes;
  })();
  const statuses: number[] = [];
  for (const image of images) statuses.push(await pullStatus(server, 'flap.test', image));
  isPulling = false;
  expect(await toggling).toBeGreaterThan(2);
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
});

test('the API names no file, variable or program of the server that the config file does not allow', async () => {
  const secrets = join(server.dataDir, 'allowed');
  mkdirSync(secrets);
  writeFileSync(join(secrets, 'token'), `${password}\n`);
  const guarded = await newHolder();
  const helper = join(secrets, 'print-login');
  writeFileSync(helper, `#!/bin/sh\necho '{"username": "helped", "password": "${password}"}'\n`, { mode: 0o755 });
  server = await folder.start({}, { api_credentials: { folders: [secrets], helpers: [helper] } });
  await addRegistry('file.test', []);
  const refused = [
    { username: 'u', password_file: join(server.dataDir, 'admin.password') },
    { username: 'u', password_file: `${secrets}/../admin.password` },
    { username: 'u', password_env: 'PATH' },
    { helper: ['/bin/sh', '-c', 'true'] },
  ];
  for (const credentials of refused) {
    const answer = await postJson(server, '/sources', { registry: 'file.test', url: guarded.url, credentials });
    expect([answer.status, codeOf(answer)]).toEqual([400, 'BAD_REQUEST']);
    expect(answer.text).toContain('api_credentials');
  }
  const added = await add('file.test', guarded.url, { credentials: { username: 'u', password_file: join(secrets, 'token') } });
  expect(added.settings['credentials']).toEqual({ username: 'u', password_file: join(secrets, 'token') });
  const auth: string[] = [];
  guarded.rule((request) => {
    auth.push(request.headers['authorization'] ?? '');
    return auth.at(-1) === '' ? { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' }, body: Buffer.from('{}') } : undefined;
  });
  await sendJson(server, 'POST', `/sources/${added.id}/test`, {});
  expect(auth).toContain(`Basic ${btoa(`u:${password}`)}`);
  await sendJson(server, 'PATCH', `/sources/${added.id}`, { credentials: { helper: [helper] } });
  await sendJson(server, 'POST', `/sources/${added.id}/test`, {});
  expect(auth).toContain(`Basic ${btoa(`helped:${password}`)}`);
  expect(server.logs()).not.toContain(password);
});
