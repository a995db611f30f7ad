// The config file and what was changed while running, over restarts: who wins when.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { postJson, send } from '../api/client.ts';
import { type Holder, makeServerFolder, pullStatus, registryOf, sendJson, sourcesOf, startHolder } from './fixture.ts';

const folder = makeServerFolder();
let a: Holder;
let b: Holder;
let own: Holder;

beforeAll(async () => {
  [a, b, own] = await Promise.all([startHolder(), startHolder(), startHolder()]);
}, 60_000);
afterAll(async () => {
  await folder.end();
  for (const source of [a, b, own]) await source?.stop();
}, 60_000);

const entry = (source: Holder, more: object = {}): object => ({ url: source.url, trust: 'authority', ...more });

test('changes stay over restarts while the file stays; a changed entry wins; what is gone from the file goes', async () => {
  const list = async (): Promise<unknown[]> =>
    (await sourcesOf(server, 'seed.test')).map((source) => [source.url, source.priority, source.enabled, source.origin]).sort();
  const sorted = (...rows: unknown[][]): unknown[] => rows.sort();
  const file = { 'seed.test': [entry(a, { priority: 1 }), entry(b, { priority: 2 })] };
  let server = await folder.start(file);
  expect(await list()).toEqual(sorted([a.url, 1, true, 'config'], [b.url, 2, true, 'config']));

  const ids = Object.fromEntries((await sourcesOf(server, 'seed.test')).map((source) => [source.url, source.id]));
  await sendJson(server, 'PATCH', `/sources/${ids[a.url]}`, { enabled: false, priority: 50 });
  await send(server, `/sources/${ids[b.url]}`, { method: 'DELETE' });
  await postJson(server, '/sources', { registry: 'seed.test', ...entry(own, { priority: 9 }) });
  await postJson(server, '/registries', { name: 'mine.test', sources: [entry(own)] });

  server = await folder.start(file);
  expect(await list()).toEqual(sorted([a.url, 50, false, 'config'], [own.url, 9, true, 'api']));
  expect(await pullStatus(server, 'seed.test', own.image)).toBe(200);
  expect(await pullStatus(server, 'mine.test', own.image)).toBe(200);
  expect(a.requests).toEqual([]);

  server = await folder.start({ 'seed.test': [entry(a, { priority: 3 }), entry(b, { priority: 2 })] });
  expect(await list()).toEqual(sorted([a.url, 3, true, 'config'], [own.url, 9, true, 'api']));

  server = await folder.start({ 'seed.test': [entry(a, { priority: 3 }), entry(b, { priority: 4 })] });
  expect(await list()).toEqual(sorted([a.url, 3, true, 'config'], [b.url, 4, true, 'config'], [own.url, 9, true, 'api']));

  server = await folder.start({});
  expect(await list()).toEqual(sorted([own.url, 9, true, 'api']));
  expect(await registryOf(server, 'mine.test')).toMatchObject({ origin: 'api' });
  expect(server.logs()).toContain('sources.seeded');
}, 120_000);
