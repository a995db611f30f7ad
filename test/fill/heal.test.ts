// Blobs on record whose file the disk has lost or changed: the mirror fetches them again, a push over them replaces them, and the record points
// to whole bytes afterwards. fault F55; recovery invariant INV-5.

import { afterEach, expect, test } from 'bun:test';
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bytesOf, type Engine, serveLayer, startEngine } from '../mirror/engine.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { basic, until } from '../mirror/harness.ts';
import { type Content, digestOf, randomContent } from '../mirror/images.ts';
import { auditStore } from '../mirror/stored.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function start(): Promise<{ engine: Engine; source: FakeSource }> {
  const source = await startFakeSource();
  const engine = await startEngine({ sources: [{ source, trust: 'authority' }] });
  cleanups.push(
    () => source.stop(),
    () => engine.stop(),
  );
  return { engine, source };
}
function fileOf(dataDir: string, digest: string): string {
  const hex = digest.slice('sha256:'.length);
  const shard = join(dataDir, 'blobs', 'sha256', hex.slice(0, 2));
  const [name, ...others] = readdirSync(shard).filter((entry) => entry.startsWith(hex));
  if (name === undefined || others.length > 0) throw new Error(`${others.length} other files`);
  return join(shard, name);
}
function flip(file: string): void {
  const bytes = readFileSync(file);
  bytes[10] = (bytes[10] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}
const pull = async (engine: Engine, layer: Content): Promise<string> => digestOf(await bytesOf(await engine.blob('app', layer.digest)));

test.each([
  ['gone', 12_000_000, (file: string) => rmSync(file)],
  ['shortened', 12_000_000, (file: string) => truncateSync(file, 1000)],
  ['emptied', 1000, (file: string) => truncateSync(file, 0)],
] as const)('a cached blob whose file is %s is fetched again and replaced', async (_what, sizeBytes, damage) => {
  const { engine, source } = await start();
  const layer = await serveLayer(engine, [source], sizeBytes);
  expect(await pull(engine, layer)).toBe(layer.digest);
  await until(async () => (await engine.blob('app', layer.digest)).kind === 'file');
  // The row is seen a moment before the fetch that made it has ended.
  await Bun.sleep(100);
  damage(fileOf(engine.dataDir, layer.digest));
  for (let turn = 0; turn < 3; turn++) {
    expect(await pull(engine, layer)).toBe(layer.digest);
    await until(() => engine.logs.some((line) => line.includes('"blob.healed"')));
  }
  expect(source.count(layer.digest)).toBe(2);
  // One file, and it is whole.
  await until(() => auditStore(engine.dataDir).length === 1);
  fileOf(engine.dataDir, layer.digest);
  expect(auditStore(engine.dataDir)).toEqual([layer.digest]);
  expect(engine.logs.filter((line) => line.includes('"blob.damaged"'))).toHaveLength(1);
  expect(engine.logs.filter((line) => line.includes('"blob.healed"'))).toHaveLength(1);
});

test('a small blob with one byte changed is found by its bytes, and never sent', async () => {
  const { engine, source } = await start();
  const layer = await serveLayer(engine, [source], 1000);
  await bytesOf(await engine.blob('app', layer.digest));
  flip(fileOf(engine.dataDir, layer.digest));
  for (let turn = 0; turn < 3; turn++) expect(await pull(engine, layer)).toBe(layer.digest);
  expect(source.count(layer.digest)).toBe(2);
});

test('with its sources gone a damaged blob is an error, never wrong bytes and never unknown', async () => {
  const { engine, source } = await start();
  const layer = await serveLayer(engine, [source], 1000);
  await pull(engine, layer);
  truncateSync(fileOf(engine.dataDir, layer.digest), 10);
  await source.down();
  expect(await engine.blob('app', layer.digest).catch((error) => error.code)).toBe('UNAVAILABLE');
});

test('a blob that was pushed: the pusher is told that it is not here, and its push replaces the damaged file', async () => {
  const server: RunningBreakwater = await startBreakwater({ config: 'presets: false\nmirror: { root: false }\n' });
  cleanups.push(() => server.stop());
  const blob = randomContent(5000);
  const url = `${server.url}/v2/library/healed/blobs`;
  const headers = basic(server);
  const push = async (): Promise<number> => {
    const begun = await fetch(`${url}/uploads/`, { method: 'POST', headers });
    const location = `${server.url}${begun.headers.get('location')}?digest=${blob.digest}`;
    return (await fetch(location, { method: 'PUT', headers, body: blob.bytes as Uint8Array<ArrayBuffer> })).status;
  };
  expect(await push()).toBe(201);
  truncateSync(fileOf(server.dataDir, blob.digest), 100);
  expect((await fetch(`${url}/${blob.digest}`, { headers })).status).toBe(503);
  expect((await fetch(`${url}/${blob.digest}`, { method: 'HEAD', headers })).status).toBe(404);
  expect(await push()).toBe(201);
  expect(digestOf(Buffer.from(await (await fetch(`${url}/${blob.digest}`, { headers })).arrayBuffer()))).toBe(blob.digest);
  expect(auditStore(server.dataDir)).toEqual([blob.digest]);
});
