// A full disk is no outage: what is here is served, what is not is passed on without being kept, by the same rules as what is kept; nothing is
// corrupted, and it recovers by itself. fault F54; issue item 7.

import { afterEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFilesystemStore } from '../../src/blobs/filesystem.ts';
import { type BlobStore, BlobStoreError, type StagedBlob } from '../../src/blobs/store.ts';
import { bytesOf, codeOf, type Engine, serveLayer, startEngine } from '../mirror/engine.ts';
import { breakAt, type FakeSource, flipByte, on, startFakeSource } from '../mirror/fake-source.ts';
import { until } from '../mirror/harness.ts';
import { type Content, digestOf } from '../mirror/images.ts';
import { auditStore, openBlobFiles, stagedFiles } from '../mirror/stored.ts';
import { requireRoot } from '../support/requirements.ts';

const mebibyte = 1024 * 1024;
const never = new AbortController().signal;
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function start(
  trusts: readonly ('authority' | 'digest-only')[],
  options: Omit<Parameters<typeof startEngine>[0], 'sources'> = {},
): Promise<{ engine: Engine; sources: readonly [FakeSource, FakeSource] }> {
  const list = await Promise.all(trusts.map(async (trust) => ({ source: await startFakeSource(), trust })));
  const engine = await startEngine({ ...options, sources: list });
  cleanups.push(async () => {
    await engine.stop();
    for (const { source } of list) await source.stop();
  });
  const [first, second = first] = list.map(({ source }) => source);
  if (first === undefined || second === undefined) throw new Error('no sources');
  return { engine, sources: [first, second] };
}
const pull = async (engine: Engine, layer: Content): Promise<string> => digestOf(await bytesOf(await engine.blob('app', layer.digest)));
const alarms = (engine: Engine): number => engine.logs.filter((line) => line.includes('"mirror.disk-full"')).length;
async function expectNothingLeft(engine: Engine): Promise<void> {
  await until(() => openBlobFiles(process.pid, engine.dataDir).length === 0 && stagedFiles(engine.dataDir).length === 0, 20_000);
}

/** A store whose staged objects find the disk full at a step. */
const failing =
  (step: 'stage' | 'append' | 'commit', isFailing: () => boolean, afterBytes = 9 * mebibyte) =>
  (store: BlobStore): BlobStore => ({
    ...store,
    stage: async (id) => {
      const fail = (): void => {
        if (isFailing()) throw new BlobStoreError('full', 'planted');
      };
      if (step === 'stage') fail();
      const staged = await store.stage(id);
      return new Proxy(staged, {
        get: (target, key) => {
          if (key === 'append' && step === 'append')
            return (chunk: Uint8Array) => {
              if (target.sizeBytes > afterBytes) fail();
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

describe.each(['stage', 'append', 'commit'] as const)('a disk that is full at %s', (step) => {
  test.each([
    ['authority', 1000, 0],
    ['authority', 5 * mebibyte, 2 * mebibyte],
    ['authority', 24 * mebibyte, 9 * mebibyte],
    ['digest-only', 5 * mebibyte, 2 * mebibyte],
  ] as const)(
    'passes on a blob from a source of trust %s with %d bytes, keeps nothing, and recovers',
    async (trust, sizeBytes, afterBytes) => {
      let isFailing = true;
      const { engine, sources } = await start([trust], { wrapStore: failing(step, () => isFailing, afterBytes === 0 ? -1 : afterBytes) });
      const layer = await serveLayer(engine, sources, sizeBytes);
      const answers = await Promise.all(Array.from({ length: 5 }, () => pull(engine, layer)));
      expect(answers).toEqual(Array.from({ length: 5 }, () => layer.digest));
      await until(() => alarms(engine) === 1);
      expect(auditStore(engine.dataDir)).toEqual([]);
      expect(sources[0].count(layer.digest)).toBeLessThanOrEqual(5);
      await expectNothingLeft(engine);
      // The disk is no fault of the source.
      expect(engine.health.snapshot(engine.idOf(sources[0]))).toMatchObject({ state: 'up', failed: 0 });
      isFailing = false;
      // For a moment what was passed on is still in memory, and read from there.
      await Bun.sleep(1500);
      expect(await pull(engine, layer)).toBe(layer.digest);
      await until(() => auditStore(engine.dataDir).length === 1, 20_000);
      expect(alarms(engine)).toBe(1);
    },
    30_000,
  );
});

test('readers who have bytes when the disk gets full get the rest, and share one request', async () => {
  const { engine, sources } = await start(['authority'], { wrapStore: failing('append', () => true) });
  const layer = await serveLayer(engine, sources, 40 * mebibyte);
  const answers = await Promise.all([engine.blob('app', layer.digest), engine.blob('app', layer.digest)]);
  for (const bytes of await Promise.all(answers.map((answer) => bytesOf(answer)))) expect(digestOf(bytes)).toBe(layer.digest);
  expect(sources[0].count(layer.digest)).toBe(1);
  await expectNothingLeft(engine);
}, 30_000);

test('wrong bytes are held back as ever: the reader is cut off before the end, and the source set aside', async () => {
  const { engine, sources } = await start(['authority'], { wrapStore: failing('stage', () => true) });
  const layer = await serveLayer(engine, sources, 12 * mebibyte);
  sources[0].rule(on(layer.digest, flipByte(-1)));
  const answer = await engine.blob('app', layer.digest);
  if (answer.kind !== 'arriving') throw new Error(`it is ${answer.kind}`);
  let bytes = 0;
  const reading = (async () => {
    for await (const chunk of answer.follow(0, undefined, never)) bytes += chunk.byteLength;
  })();
  expect(await codeOf(reading)).not.toBe('none');
  expect(bytes).toBeLessThanOrEqual(12 * mebibyte - 64 * 1024);
  expect(engine.health.snapshot(engine.idOf(sources[0])).state).toBe('quarantined');
  await expectNothingLeft(engine);
}, 30_000);

describe('a large blob from a source that is not proven', () => {
  test('is refused with a reason when there is no other, before a byte goes out', async () => {
    const { engine, sources } = await start(['digest-only'], { wrapStore: failing('stage', () => true) });
    const layer = await serveLayer(engine, sources, 12 * mebibyte);
    expect(await codeOf(engine.blob('app', layer.digest))).toBe('UNAVAILABLE');
    expect(sources[0].count(layer.digest)).toBe(0);
    await expectNothingLeft(engine);
  });

  test('comes from the authority instead, also when the disk gets full in the middle', async () => {
    for (const step of ['stage', 'append'] as const) {
      const { engine, sources } = await start(['digest-only', 'authority'], { wrapStore: failing(step, () => true) });
      const layer = await serveLayer(engine, sources, 24 * mebibyte);
      expect(await pull(engine, layer)).toBe(layer.digest);
      expect(sources[1].bytes(layer.digest)).toBe(24 * mebibyte);
      await expectNothingLeft(engine);
    }
  }, 30_000);
});

test('a source that breaks off is continued from the next one, in memory too', async () => {
  const { engine, sources } = await start(['authority', 'authority'], { wrapStore: failing('stage', () => true) });
  const layer = await serveLayer(engine, sources, 24 * mebibyte);
  sources[0].rule(on(layer.digest, breakAt(15 * mebibyte, 'end')));
  expect(await pull(engine, layer)).toBe(layer.digest);
  expect(sources[1].bytes(layer.digest)).toBe(9 * mebibyte);
}, 30_000);

test('a fetch whose only reader leaves ends, and frees its place', async () => {
  const { engine, sources } = await start(['authority'], { fills: 1, wrapStore: failing('stage', () => true) });
  const [layer, next] = [await serveLayer(engine, sources, 24 * mebibyte), await serveLayer(engine, sources, 1000)];
  const answer = await engine.blob('app', layer.digest);
  if (answer.kind !== 'arriving') throw new Error(`it is ${answer.kind}`);
  for await (const _ of answer.follow(0, undefined, never)) break;
  expect(await pull(engine, next)).toBe(next.digest);
  await expectNothingLeft(engine);
}, 60_000);

test('below the reserve what is here is served, what is not is passed on', async () => {
  let percent = 0;
  const minimumFree = {
    get percent() {
      return percent;
    },
    sizeBytes: 0,
  };
  const { engine, sources } = await start(['authority'], { minimumFree });
  const [here, absent] = [await serveLayer(engine, sources, 1000), await serveLayer(engine, sources, 1000)];
  await pull(engine, here);
  percent = 101;
  expect(await pull(engine, here)).toBe(here.digest);
  expect(sources[0].count(here.digest)).toBe(1);
  expect(await pull(engine, absent)).toBe(absent.digest);
  expect(auditStore(engine.dataDir)).toEqual([here.digest]);
  percent = 0;
  await Bun.sleep(1500);
  expect(await pull(engine, absent)).toBe(absent.digest);
  await until(() => auditStore(engine.dataDir).length === 2, 10_000);
}, 30_000);

describe.skipIf(!requireRoot())('a real file system that is full', () => {
  test('passes on what does not fit, keeps what does, and goes on when there is room again', async () => {
    const mount = mkdtempSync(join(tmpdir(), 'breakwater-full-'));
    const run = (...command: string[]): void => {
      const { exitCode, stderr } = Bun.spawnSync(command, { stderr: 'pipe' });
      if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
    };
    run('mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', mount);
    cleanups.push(() => {
      run('umount', '-l', mount);
      rmSync(mount, { recursive: true });
    });
    const small = await openFilesystemStore(join(mount, 'blobs'));
    const { engine, sources } = await start(['authority'], { wrapStore: () => small });
    const [fits, tooLarge, later] = [
      await serveLayer(engine, sources, 4 * mebibyte),
      await serveLayer(engine, sources, 40 * mebibyte),
      await serveLayer(engine, sources, 10 * mebibyte),
    ];
    expect(await pull(engine, fits)).toBe(fits.digest);
    expect(await pull(engine, tooLarge)).toBe(tooLarge.digest);
    await until(() => stagedFiles(mount).length === 0, 20_000);
    expect(await pull(engine, fits)).toBe(fits.digest);
    writeFileSync(join(mount, 'ballast'), Buffer.alloc(12 * mebibyte));
    expect(await pull(engine, later)).toBe(later.digest);
    await until(() => stagedFiles(mount).length === 0, 20_000);
    expect(auditStore(mount)).toEqual([fits.digest]);
    rmSync(join(mount, 'ballast'));
    await Bun.sleep(1500);
    expect(await pull(engine, later)).toBe(later.digest);
    await until(() => auditStore(mount).length === 2);
    expect(sources[0].count(fits.digest)).toBe(1);
  }, 60_000);
});
