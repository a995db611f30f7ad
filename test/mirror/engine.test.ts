// The mirror alone: sources that say nothing, disks and databases that fail in the middle of a fetch, readers who come late, the end of the
// server. faults F5, F6, F52, F54, F64.

import { afterEach, describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BlobStore, StagedBlob } from '../../src/blobs/store.ts';
import { BlobStoreError } from '../../src/blobs/store.ts';
import type { Database } from '../../src/db/database.ts';
import { OciError } from '../../src/oci/errors.ts';
import { bytesOf, codeOf, type Engine, serveLayer, startEngine } from './engine.ts';
import { breakAt, type FakeSource, flipByte, on, stall, startFakeSource } from './fake-source.ts';
import { until } from './harness.ts';
import { digestOf, imageOf } from './images.ts';
import { auditStore, openBlobFiles, stagedFiles } from './stored.ts';

const mebibyte = 1024 * 1024;
const timings = { firstByteTimeoutMs: 300, firstByteBudgetMaxMs: 100, idleTimeoutMs: 1500, manifestTimeoutMs: 1000, listingTimeoutMs: 300 };

const running: { engine: Engine; sources: readonly FakeSource[] }[] = [];
afterEach(async () => {
  for (const { engine, sources } of running.splice(0)) {
    await engine.stop();
    for (const source of sources) await source.stop();
  }
});

async function start(
  trusts: readonly ('authority' | 'digest-only')[],
  options: Omit<Parameters<typeof startEngine>[0], 'sources'> = {},
): Promise<{ engine: Engine; sources: readonly [FakeSource, FakeSource] }> {
  const list = await Promise.all(trusts.map(async (trust) => ({ source: await startFakeSource(), trust })));
  const engine = await startEngine({ timings, ...options, sources: list });
  const [first, second = first] = list.map(({ source }) => source);
  if (first === undefined || second === undefined) throw new Error('no sources');
  running.push({ engine, sources: list.map(({ source }) => source) });
  return { engine, sources: [first, second] };
}

describe('a source that says nothing', () => {
  test('to a manifest is passed over after its time', async () => {
    const { engine, sources } = await start(['authority', 'authority']);
    const image = imageOf([10]);
    for (const source of sources) source.add('library/app', image, 'v1');
    sources[0].rule(on('*', stall));
    const startMs = performance.now();
    expect(String((await engine.manifest('app', 'v1')).digest)).toBe(image.manifest.digest);
    expect((await engine.manifest('app', image.manifest.digest)).bytes).toEqual(new Uint8Array(image.manifest.bytes));
    expect(performance.now() - startMs).toBeLessThan(3000);
    await until(() => engine.health.snapshot(engine.idOf(sources[0])).lastVerdict === 'timeout');
  });

  test('to a blob is passed over too', async () => {
    const { engine, sources } = await start(['authority', 'authority']);
    const layer = await serveLayer(engine, sources, 1000);
    sources[0].rule(on(layer.digest, stall));
    expect(digestOf(await bytesOf(await engine.blob('app', layer.digest)))).toBe(layer.digest);
    await until(() => engine.health.snapshot(engine.idOf(sources[0])).verdicts.timeout === 1);
  });

  test('any more in mid-body is continued at the exact byte', async () => {
    const { engine, sources } = await start(['authority', 'authority']);
    const layer = await serveLayer(engine, sources, 12 * mebibyte);
    sources[0].rule(on(layer.digest, breakAt(9 * mebibyte, 'stall')));
    const answer = await engine.blob('app', layer.digest);
    expect(answer.kind).toBe('arriving');
    expect(digestOf(await bytesOf(answer))).toBe(layer.digest);
    expect(sources[0].bytes(layer.digest)).toBe(9 * mebibyte);
    expect(sources[1].bytes(layer.digest)).toBe(3 * mebibyte);
    expect(sources[1].requests.at(-1)?.headers['range']).toBe(`bytes=${9 * mebibyte}-`);
  });

  test('to anybody about anything ends in UNAVAILABLE with what each did', async () => {
    const { engine, sources } = await start(['authority', 'digest-only']);
    for (const source of sources) source.rule(on('*', stall));
    expect(await codeOf(engine.manifest('app', 'v1'))).toBe('UNAVAILABLE');
    expect(engine.lastFailure('library/app', 'v1').map((attempt) => attempt.verdict)).toEqual(['timeout', 'timeout']);
  });
});

describe('a disk that fails', () => {
  /** A store whose staged objects fail at a step. */
  const failing =
    (step: 'stage' | 'append' | 'commit', code: 'full' | 'io', isFailing: () => boolean) =>
    (store: BlobStore): BlobStore => ({
      ...store,
      stage: async (id) => {
        const fail = (): void => {
          if (isFailing()) throw new BlobStoreError(code, 'planted');
        };
        if (step === 'stage') fail();
        const staged = await store.stage(id);
        return new Proxy(staged, {
          get: (target, key) => {
            if (key === 'append' && step === 'append')
              return (chunk: Uint8Array) => {
                if (target.sizeBytes > 9 * mebibyte) fail();
                return target.append(chunk);
              };
            if (key === 'commit' && step === 'commit')
              return async (digest: Parameters<StagedBlob['commit']>[0]) => {
                fail();
                return target.commit(digest);
              };
            const value: unknown = Reflect.get(target, key, target);
            return value;
          },
        });
      },
    });

  test.each([
    ['stage', 'io', 'BlobStoreError: planted'],
    ['append', 'io', 'BlobStoreError: planted'],
    ['commit', 'io', 'BlobStoreError: planted'],
  ] as const)('at %s (%s): an error, nothing is left behind, and the next pull works', async (step, code, expected) => {
    let isFailing = true;
    const { engine, sources } = await start(['digest-only'], { wrapStore: failing(step, code, () => isFailing) });
    const layer = await serveLayer(engine, [sources[0]], 12 * mebibyte);
    expect(await codeOf(engine.blob('app', layer.digest))).toBe(expected);
    expect(stagedFiles(engine.dataDir)).toEqual([]);
    expect(openBlobFiles(process.pid, engine.dataDir)).toEqual([]);
    expect(engine.logs.join('')).toContain('mirror.fill-failed');
    // The disk is no fault of the source.
    expect(engine.health.snapshot(engine.idOf(sources[0]))).toMatchObject({ state: 'up', failed: 0 });
    isFailing = false;
    expect(digestOf(await bytesOf(await engine.blob('app', layer.digest)))).toBe(layer.digest);
    expect(auditStore(engine.dataDir)).toEqual([layer.digest]);
  });

  test('under readers that have bytes already cuts them off, each with its error', async () => {
    const { engine, sources } = await start(['authority'], { wrapStore: failing('append', 'io', () => true) });
    const layer = await serveLayer(engine, [sources[0]], 12 * mebibyte);
    const answers = await Promise.all([engine.blob('app', layer.digest), engine.blob('app', layer.digest)]);
    for (const answer of answers) {
      expect(answer.kind).toBe('arriving');
      expect(await codeOf(bytesOf(answer))).toContain('planted');
    }
    await until(() => openBlobFiles(process.pid, engine.dataDir).length === 0);
    expect(stagedFiles(engine.dataDir)).toEqual([]);
  });
});

test('a database that does not take the blob: an error, the bytes are kept out, and the next pull works', async () => {
  let isFailing = true;
  const { engine, sources } = await start(['authority'], {
    wrapDatabase: (database) => ({
      ...database,
      run: (async (name, args) => {
        if (isFailing && name === 'recordBlob') throw new OciError('NAME_UNKNOWN', 'planted');
        return database.run(name, args);
      }) as Database['run'],
    }),
  });
  const layer = await serveLayer(engine, [sources[0]], 1000);
  expect(await codeOf(engine.blob('app', layer.digest))).toBe('NAME_UNKNOWN');
  expect(auditStore(engine.dataDir)).toEqual([]);
  isFailing = false;
  expect(digestOf(await bytesOf(await engine.blob('app', layer.digest)))).toBe(layer.digest);
});

describe('a reader', () => {
  test('who begins after the fetch has ended gets the whole, and any part', async () => {
    const { engine, sources } = await start(['authority']);
    const layer = await serveLayer(engine, [sources[0]], 12 * mebibyte);
    const answer = await engine.blob('app', layer.digest);
    if (answer.kind !== 'arriving') throw new Error(`it is ${answer.kind}`);
    await until(() => auditStore(engine.dataDir).length === 1 && openBlobFiles(process.pid, engine.dataDir).length === 0);
    await Bun.sleep(20);
    expect(digestOf(await bytesOf(answer))).toBe(layer.digest);
    const chunks: Uint8Array[] = [];
    for await (const chunk of answer.follow(1000, 2000, new AbortController().signal)) chunks.push(new Uint8Array(chunk));
    expect(Buffer.concat(chunks).equals(layer.bytes.subarray(1000, 2000))).toBe(true);
  });

  test('who waits while all sources fail is told, and does not wait for ever', async () => {
    const { engine, sources } = await start(['authority']);
    const layer = await serveLayer(engine, [sources[0]], 12 * mebibyte);
    const answer = engine.blob('app', layer.digest);
    sources[0].rule(on(layer.digest, breakAt(9 * mebibyte, 'end')));
    const first = await answer;
    if (first.kind !== 'arriving') throw new Error(`it is ${first.kind}`);
    // It starts where nothing will ever come.
    const reading = (async () => {
      for await (const _ of first.follow(11 * mebibyte, undefined, new AbortController().signal)) throw new Error('bytes from nowhere');
    })();
    await sources[0].down();
    const ended = await Promise.race([reading.then(() => 'ended', String), Bun.sleep(4000).then(() => 'waits')]);
    expect(ended).not.toBe('waits');
    expect(ended).not.toBe('ended');
  });

  test('who leaves while waiting is let go at once, and the fetch goes on', async () => {
    const { engine, sources } = await start(['authority']);
    const layer = await serveLayer(engine, [sources[0]], 1000);
    const { promise, resolve } = Promise.withResolvers<void>();
    sources[0].rule(on(layer.digest, (answer) => ({ ...answer, wait: promise })));
    const leaving = new AbortController();
    const left = engine.blob('app', layer.digest, { signal: leaving.signal }).then(
      () => 'answered',
      (error) => String(error),
    );
    await until(() => sources[0].count(layer.digest) === 1);
    leaving.abort(new DOMException('the client left', 'AbortError'));
    expect(await left).toContain('AbortError');
    resolve();
    await until(() => auditStore(engine.dataDir).length === 1);
    // One that had left before it asked.
    expect(await codeOf(engine.blob('app', imageOf([10]).layers[0]?.digest ?? '', { signal: leaving.signal }))).toContain('AbortError');
  });
});

test('more fetches than there are places: some wait, those beyond the queue are told to come again', async () => {
  const { engine, sources } = await start(['authority'], { fills: 1 });
  const image = imageOf(Array.from({ length: 20 }, () => 100));
  sources[0].add('library/app', image, 'v1');
  await engine.manifest('app', 'v1');
  const { promise, resolve } = Promise.withResolvers<void>();
  sources[0].rule((request, answer) => (request.path.includes('/blobs/') ? { ...answer, wait: promise } : undefined));
  const codes = image.layers.map((layer) => codeOf(engine.blob('app', layer.digest)));
  await Bun.sleep(50);
  resolve();
  const ended = await Promise.all(codes);
  // One place and sixteen that wait for it.
  expect(ended.filter((code) => code === 'none')).toHaveLength(17);
  expect(ended.filter((code) => code === 'UNAVAILABLE')).toHaveLength(3);
  for (const layer of image.layers) expect(digestOf(await bytesOf(await engine.blob('app', layer.digest)))).toBe(layer.digest);
});

test('the end of the server ends fetches, those that wait too, and removes what they have', async () => {
  const { engine, sources } = await start(['authority'], { fills: 1, timings: {} });
  const [one, two] = [await serveLayer(engine, [sources[0]], 12 * mebibyte), await serveLayer(engine, [sources[0]], 1000)];
  sources[0].rule(on(one.digest, breakAt(9 * mebibyte, 'stall')));
  const first = await engine.blob('app', one.digest);
  const reading = codeOf(bytesOf(first));
  const waiting = codeOf(engine.blob('app', two.digest));
  await until(() => readdirSync(join(engine.dataDir, 'blobs', 'uploads')).length === 1);
  const startMs = performance.now();
  await engine.closeMirror();
  expect(performance.now() - startMs).toBeLessThan(1000);
  expect([await reading, await waiting]).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
  expect(stagedFiles(engine.dataDir)).toEqual([]);
  await until(() => openBlobFiles(process.pid, engine.dataDir).length === 0);
});

test('wrong bytes are logged with the source that sent them, and count against it alone', async () => {
  const { engine, sources } = await start(['digest-only', 'authority']);
  const layer = await serveLayer(engine, sources, 1000);
  sources[0].rule(on(layer.digest, flipByte(3)));
  expect(digestOf(await bytesOf(await engine.blob('app', layer.digest)))).toBe(layer.digest);
  const warnings = engine.logs.map((line) => JSON.parse(line)).filter((line) => line.event === 'mirror.wrong-bytes');
  expect(warnings).toMatchObject([{ level: 'warn', source: engine.idOf(sources[0]), digest: layer.digest }]);
  expect(engine.health.snapshot(engine.idOf(sources[0]))).toMatchObject({ state: 'quarantined', verdicts: { 'wrong-digest': 1 } });
  expect(engine.health.snapshot(engine.idOf(sources[1]))).toMatchObject({ state: 'up', failed: 0 });
});

test('a small blob counts once in the record of its source, with the time to its first byte', async () => {
  const { engine, sources } = await start(['authority']);
  const layer = await serveLayer(engine, [sources[0]], 1000);
  sources[0].rule(on(layer.digest, (answer) => ({ ...answer, wait: Bun.sleep(100) })));
  const before = engine.health.snapshot(engine.idOf(sources[0]));
  await bytesOf(await engine.blob('app', layer.digest));
  const after = engine.health.snapshot(engine.idOf(sources[0]));
  expect(after.succeeded).toBe(before.succeeded + 1);
  expect(after.bytes - before.bytes).toBe(1000);
  expect(after.averageMs ?? 0).toBeGreaterThan(before.averageMs ?? 0);
});
