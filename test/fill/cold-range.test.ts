// Ranges of a blob that is far from being here come straight from a believed source beside the fill, byte for byte; the last 64 KiB wait until
// the whole is proven. design 7.3; clients that read images lazily, or go on where they stopped.

import { afterEach, expect, test } from 'bun:test';
import { type Engine, startEngine } from '../mirror/engine.ts';
import { type FakeSource, flipByte, on, startFakeSource, status } from '../mirror/fake-source.ts';
import { until } from '../mirror/harness.ts';
import { type Content, imageOf } from '../mirror/images.ts';
import { auditStore } from '../mirror/stored.ts';

const mebibyte = 1024 * 1024;
const never = new AbortController().signal;
const sizeBytes = 30 * mebibyte;
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** Sources of which the first sends no further than a mebibyte of the whole until the gate is opened; ranges are answered at once. */
async function start(trusts: readonly ('authority' | 'digest-only')[]): Promise<{
  engine: Engine;
  sources: readonly FakeSource[];
  layer: Content;
  open: () => void;
  read: (from: number, to?: number) => Promise<Buffer>;
}> {
  const list = await Promise.all(trusts.map(async (trust) => ({ source: await startFakeSource(), trust })));
  const sources = list.map(({ source }) => source);
  const engine = await startEngine({ sources: list, timings: { idleTimeoutMs: 60_000 } });
  const image = imageOf([sizeBytes]);
  const [layer] = image.layers;
  if (layer === undefined) throw new Error('an image without a layer');
  for (const source of sources) source.add('library/app', image, 'v1');
  await engine.manifest('app', image.manifest.digest);
  const { promise, resolve } = Promise.withResolvers<void>();
  sources[0]?.rule(
    on(layer.digest, (answer, request) =>
      request.headers['range'] === undefined ? { ...answer, breakAt: { bytes: mebibyte, by: 'pause', until: promise } } : undefined,
    ),
  );
  cleanups.push(
    ...sources.map((source) => () => source.stop()),
    () => engine.stop(),
    async () => resolve(),
  );
  return {
    engine,
    sources,
    layer,
    open: resolve,
    read: async (from, to) => {
      const answer = await engine.blob('app', layer.digest, { startBytes: from });
      if (answer.kind !== 'arriving') throw new Error(`it is ${answer.kind}`);
      expect(answer.sizeBytes).toBe(sizeBytes);
      const chunks: Uint8Array[] = [];
      for await (const chunk of answer.follow(from, to, never)) chunks.push(new Uint8Array(chunk));
      return Buffer.concat(chunks);
    },
  };
}

test('a range far ahead is answered while the fill is still at the beginning, many of them too', async () => {
  const { engine, layer, open, read } = await start(['authority']);
  const places = Array.from({ length: 40 }, (_, place) => 12 * mebibyte + place * 400_000);
  const pieces = await Promise.all(places.map((from) => read(from, from + 1000)));
  for (const [place, bytes] of pieces.entries()) {
    const from = places[place] ?? 0;
    expect(bytes.equals(layer.bytes.subarray(from, from + 1000))).toBe(true);
  }
  expect(auditStore(engine.dataDir)).toEqual([]);
  open();
  await until(() => auditStore(engine.dataDir).length === 1, 20_000);
}, 60_000);

test('one that goes to the end gets its last 64 KiB only when the whole is proven', async () => {
  const { layer, open, read } = await start(['authority']);
  let isOpen = false;
  const reading = read(20 * mebibyte).then((bytes) => ({ bytes, isOpen }));
  await Bun.sleep(300);
  isOpen = true;
  open();
  const ended = await reading;
  expect(ended.isOpen).toBe(true);
  expect(ended.bytes.equals(layer.bytes.subarray(20 * mebibyte))).toBe(true);
}, 60_000);

test('a source that is not proven is not asked for it, and a believed one that fails gives place to the next', async () => {
  const { sources, layer, read } = await start(['authority', 'digest-only', 'authority']);
  sources[0]?.rule(on(layer.digest, (_answer, request) => (request.headers['range'] === undefined ? undefined : status(500)())));
  sources[1]?.rule(on(layer.digest, flipByte(0)));
  const from = 20 * mebibyte;
  expect((await read(from, from + 5000)).equals(layer.bytes.subarray(from, from + 5000))).toBe(true);
  expect(sources[1]?.count(layer.digest)).toBe(0);
  expect(sources[2]?.requests.at(-1)?.headers['range']).toBe(`bytes=${from}-`);
}, 60_000);

test('when no believed source gives it, it is waited for', async () => {
  const { sources, layer, open, read } = await start(['authority']);
  sources[0]?.rule(on(layer.digest, (_answer, request) => (request.headers['range'] === undefined ? undefined : status(404)())));
  const from = 20 * mebibyte;
  const reading = read(from, from + 5000);
  await Bun.sleep(100);
  open();
  expect((await reading).equals(layer.bytes.subarray(from, from + 5000))).toBe(true);
}, 60_000);
