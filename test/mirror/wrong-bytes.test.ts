// Sources that lie about a blob: whatever a client receives to its end is right, the store holds nothing wrong, and the liar is set aside.
// design section 7.3; faults F10, F11, F15, F58, F64.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { breakAt, flipByte, on, type Rule, times } from './fake-source.ts';
import { explain, pull, pullUntilCut, serveLayer as serveLayerOn, sourceState, startServer, startSources, until } from './harness.ts';
import { type Content, imageOf } from './images.ts';
import { auditStore, openBlobFiles, stagedFiles } from './stored.ts';

const mebibyte = 1024 * 1024;
const holdBackBytes = 64 * 1024;
const largeBytes = 20 * mebibyte;

let server: RunningBreakwater;
let sources: Awaited<ReturnType<typeof startSources>>;
beforeAll(async () => {
  sources = await startSources({
    'small-authority.test': ['authority', 'digest-only'],
    'small-mirror.test': ['digest-only', 'authority'],
    'large-authority.test': ['authority', 'digest-only'],
    'large-followers.test': ['authority', 'authority'],
    'large-unproven.test': ['digest-only', 'authority'],
    'unproven-waits.test': ['digest-only'],
    'unproven-prefix.test': ['digest-only', 'authority'],
    'clean.test': ['digest-only'],
    'hold-back.test': ['authority'],
    'mixed.test': ['authority', 'digest-only'],
    'two-liars.test': ['authority', 'authority', 'authority'],
    'liar-then-flaky.test': ['digest-only', 'authority', 'authority'],
    'all-lie.test': ['authority', 'digest-only'],
    'size-liar.test': ['authority', 'authority'],
    'unnamed.test': ['digest-only', 'authority'],
    'range.test': ['authority', 'authority'],
    'tags.test': ['authority'],
  });
  server = await startServer({ registries: sources.registries });
});
afterAll(async () => {
  await server?.stop();
  await sources?.stop();
});

const serveLayer = (registry: string, sizeBytes: number) => serveLayerOn(server, sources, { registry, sizeBytes });
const lies = (layer: Content, at: number): Rule => on(layer.digest, flipByte(at));
async function partsOf(registry: string, layer: Content) {
  const find = async () => (await explain(server, `${registry}/library/app:v1`)).blobs.find((blob) => blob.digest === layer.digest);
  await until(async () => (await find())?.cached === true);
  return find();
}

describe('a small blob', () => {
  test.each(['small-authority.test', 'small-mirror.test'])(
    'comes right in the same request, from the other source: %s',
    async (registry) => {
      const { all, layer, path } = await serveLayer(registry, 3 * mebibyte);
      const [liar, honest] = all;
      if (liar === undefined || honest === undefined) throw new Error('no sources');
      liar.rule(lies(layer, 1_000_000));
      const answer = await pull(server, path);
      expect([answer.status, answer.digest]).toEqual([200, layer.digest]);
      expect(await sourceState(server, liar)).toBe('quarantined');
      expect(await sourceState(server, honest)).toBe('up');
      const blob = await partsOf(registry, layer);
      expect(blob?.segments).toEqual([{ source: honest.url, from: 0, to: layer.bytes.length }]);
      expect(blob?.attempts.find((attempt) => attempt.verdict === 'wrong-digest')?.source).toBe(liar.url);
    },
  );
});

describe('a large blob', () => {
  test('of an authority that lies is cut off before its end, and the next request gets it right from the other source', async () => {
    const { all, layer, path } = await serveLayer('large-authority.test', largeBytes);
    const [liar, honest] = all;
    liar?.rule(lies(layer, -1));
    const cut = await pullUntilCut(server, path);
    expect(cut.status).toBe(200);
    expect(cut.isWhole).toBe(false);
    expect(cut.bytes.length).toBeLessThanOrEqual(largeBytes - holdBackBytes);
    const answer = await pull(server, path);
    expect([answer.status, answer.digest]).toEqual([200, layer.digest]);
    expect(honest?.bytes(layer.digest)).toBe(largeBytes);
    expect(liar === undefined ? '' : await sourceState(server, liar)).toBe('quarantined');
  });

  test('that lies never reaches the end of any of its followers, whenever they came', async () => {
    const { all, layer, path } = await serveLayer('large-followers.test', largeBytes);
    const { promise, resolve } = Promise.withResolvers<void>();
    all[0]?.rule(
      on(layer.digest, (answer) => ({ ...flipByte(5000)(answer), breakAt: { bytes: 15 * mebibyte, by: 'pause', until: promise } })),
    );
    const early = Array.from({ length: 8 }, () => pullUntilCut(server, path));
    await until(() => (all[0]?.bytes(layer.digest) ?? 0) >= 15 * mebibyte);
    const late = Array.from({ length: 8 }, () => pullUntilCut(server, path));
    await Bun.sleep(50);
    resolve();
    for (const answer of await Promise.all([...early, ...late])) {
      if (answer.isWhole) expect(answer.bytes.equals(layer.bytes)).toBe(true);
      else expect(answer.bytes.length).toBeLessThanOrEqual(largeBytes - holdBackBytes);
    }
    expect((await pull(server, path)).digest).toBe(layer.digest);
    expect(all[1]?.bytes(layer.digest)).toBe(largeBytes);
  });

  test('of an unproven source that lies comes right in the same request', async () => {
    const { all, layer, path } = await serveLayer('large-unproven.test', largeBytes);
    all[0]?.rule(lies(layer, 10));
    const answer = await pull(server, path);
    expect([answer.status, answer.digest]).toEqual([200, layer.digest]);
    expect(all[1]?.bytes(layer.digest)).toBe(largeBytes);
  });

  test('of an unproven source is not passed on before it is verified', async () => {
    const { all, layer, path } = await serveLayer('unproven-waits.test', largeBytes);
    const { promise, resolve } = Promise.withResolvers<void>();
    all[0]?.rule(on(layer.digest, (answer) => ({ ...answer, breakAt: { bytes: 19 * mebibyte, by: 'pause', until: promise } })));
    let hasHeaders = false;
    const pending = fetch(`${server.url}${path}`).then((response) => {
      hasHeaders = true;
      return response.arrayBuffer();
    });
    await until(() => (all[0]?.bytes(layer.digest) ?? 0) >= 19 * mebibyte);
    await Bun.sleep(150);
    expect(hasHeaders).toBe(false);
    resolve();
    expect(Buffer.from(await pending).equals(layer.bytes)).toBe(true);
  });

  test('that an unproven source began is not passed on either when an authority goes on', async () => {
    const { all, layer, path } = await serveLayer('unproven-prefix.test', largeBytes);
    const { promise, resolve } = Promise.withResolvers<void>();
    all[0]?.rule(on(layer.digest, (answer) => breakAt(5000, 'end')(flipByte(100)(answer))));
    all[1]?.rule(
      on(
        layer.digest,
        times(1, (answer) => ({ ...answer, breakAt: { bytes: 15 * mebibyte, by: 'pause', until: promise } })),
      ),
    );
    let hasHeaders = false;
    const pending = fetch(`${server.url}${path}`).then((response) => {
      hasHeaders = true;
      return response.arrayBuffer();
    });
    await until(() => (all[1]?.bytes(layer.digest) ?? 0) >= 15 * mebibyte);
    await Bun.sleep(150);
    expect(hasHeaders).toBe(false);
    resolve();
    expect(Buffer.from(await pending).equals(layer.bytes)).toBe(true);
    // The authority took part in the wrong delivery, and is believed still.
    expect(all[1] === undefined ? '' : await sourceState(server, all[1])).toBe('up');
    expect(all[0] === undefined ? '' : await sourceState(server, all[0])).toBe('quarantined');
  });

  test('of a source with a clean record is passed on as it comes', async () => {
    const registry = 'clean.test';
    for (let times = 0; times < 3; times++) {
      const { layer, path } = await serveLayer(registry, 3 * mebibyte);
      expect((await pull(server, path)).digest).toBe(layer.digest);
      const other = imageOf([10]);
      sources.of(registry)[0].add('library/app', other);
      expect((await pull(server, `/v2/${registry}/library/app/manifests/${other.manifest.digest}`)).status).toBe(200);
    }
    const image = imageOf([largeBytes]);
    const [only] = sources.of(registry);
    only.add('library/app', image);
    await pull(server, `/v2/${registry}/library/app/manifests/${image.manifest.digest}`);
    const layer = image.layers[0];
    if (layer === undefined) throw new Error('an image without a layer');
    const { promise, resolve } = Promise.withResolvers<void>();
    only.rule(on(layer.digest, (answer) => ({ ...answer, breakAt: { bytes: 15 * mebibyte, by: 'pause', until: promise } })));
    const response = await fetch(`${server.url}/v2/${registry}/library/app/blobs/${layer.digest}`);
    expect(response.status).toBe(200);
    expect(only.bytes(layer.digest)).toBeLessThan(largeBytes);
    resolve();
    expect(Buffer.from(await response.arrayBuffer()).equals(layer.bytes)).toBe(true);
  });

  test('keeps its last 64 KiB back until it is verified', async () => {
    const { all, layer, path } = await serveLayer('hold-back.test', largeBytes);
    const { promise, resolve } = Promise.withResolvers<void>();
    all[0]?.rule(on(layer.digest, (answer) => ({ ...answer, breakAt: { bytes: largeBytes - 1, by: 'pause', until: promise } })));
    const response = await fetch(`${server.url}${path}`);
    let receivedBytes = 0;
    const reading = (async () => {
      for await (const chunk of response.body ?? []) receivedBytes += chunk.byteLength;
    })();
    await until(() => receivedBytes > largeBytes - holdBackBytes - 1024 * 1024);
    await Bun.sleep(200);
    expect(receivedBytes).toBeLessThanOrEqual(largeBytes - holdBackBytes);
    resolve();
    await reading;
    expect(receivedBytes).toBe(largeBytes);
  });
});

describe('several faults at once', () => {
  test('an authority that broke off and a mirror that went on with a lie: the whole comes from the authority', async () => {
    const { all, layer, path } = await serveLayer('mixed.test', 3 * mebibyte);
    const [authority, liar] = all;
    authority?.rule(on(layer.digest, times(1, breakAt(mebibyte, 'end'))));
    liar?.rule(lies(layer, -1));
    const answer = await pull(server, path);
    expect([answer.status, answer.digest]).toEqual([200, layer.digest]);
    expect(liar === undefined ? '' : await sourceState(server, liar)).toBe('quarantined');
  });

  test('two liars and an honest one', async () => {
    const { all, layer, path } = await serveLayer('two-liars.test', 2 * mebibyte);
    all[0]?.rule(lies(layer, 0));
    all[1]?.rule(lies(layer, 1));
    expect((await pull(server, path)).digest).toBe(layer.digest);
    expect((await partsOf('two-liars.test', layer))?.segments.map((segment) => segment.source)).toEqual([all[2]?.url ?? '']);
  });

  test('a liar, one that breaks off whenever it is asked, and an honest one', async () => {
    const { all, layer, path } = await serveLayer('liar-then-flaky.test', 2 * mebibyte);
    all[0]?.rule(lies(layer, 0));
    all[1]?.rule(on(layer.digest, breakAt(mebibyte / 4, 'end')));
    expect((await pull(server, path)).digest).toBe(layer.digest);
  });

  test('nobody but liars: an error, and nothing wrong is kept', async () => {
    const { all, layer, path } = await serveLayer('all-lie.test', 2 * mebibyte);
    for (const [place, source] of all.entries()) source.rule(lies(layer, place));
    const answer = await pull(server, path);
    expect([answer.status, answer.code]).toEqual([503, 'UNAVAILABLE']);
    expect(answer.message).toContain('wrong bytes');
    expect(auditStore(server.dataDir)).not.toContain(layer.digest);
  });

  test('a blob that no manifest names: a source that lies about its size harms only itself', async () => {
    const [liar, honest] = sources.of('unnamed.test');
    const [layer] = imageOf([2 * mebibyte]).layers;
    if (layer === undefined) throw new Error('an image without a layer');
    for (const source of [liar, honest]) source.addBlob('library/app', layer);
    liar.rule(on(layer.digest, (answer) => ({ ...answer, body: answer.body.subarray(0, 5000) })));
    expect((await pull(server, `/v2/unnamed.test/library/app/blobs/${layer.digest}`)).digest).toBe(layer.digest);
  });

  test('also when it is an authority', async () => {
    const [liar, honest] = sources.of('size-liar.test');
    const [layer] = imageOf([2 * mebibyte]).layers;
    if (layer === undefined) throw new Error('an image without a layer');
    for (const source of [liar, honest]) source.addBlob('library/app', layer);
    liar.rule(on(layer.digest, (answer) => ({ ...answer, body: answer.body.subarray(0, 5000) })));
    expect((await pull(server, `/v2/size-liar.test/library/app/blobs/${layer.digest}`)).digest).toBe(layer.digest);
  });
});

test('a range near the end of a blob whose authority lies is never answered with wrong bytes', async () => {
  const { all, layer, path } = await serveLayer('range.test', largeBytes);
  all[0]?.rule(lies(layer, -1));
  const answer = await pull(server, path, { headers: { range: `bytes=${largeBytes - 1000}-` } });
  expect(answer.status).toBe(206);
  expect(answer.bytes.equals(layer.bytes.subarray(-1000))).toBe(true);
});

test('an authority that lied about a blob is not believed on tags for a while, and the answer says so', async () => {
  const { all, layer, path } = await serveLayer('tags.test', 1000);
  all[0]?.rule(lies(layer, 0));
  expect((await pull(server, path)).status).toBe(503);
  const answer = await pull(server, '/v2/tags.test/library/app/manifests/never-seen');
  expect(answer.status).toBe(503);
  expect(answer.message).toContain('wrong content');
});

test('after all this the store holds nothing wrong, nothing is left open or staged, and nothing failed unforeseen', async () => {
  await until(() => openBlobFiles(server.pid, server.dataDir).length === 0);
  expect(stagedFiles(server.dataDir)).toEqual([]);
  expect(auditStore(server.dataDir).length).toBeGreaterThan(10);
  expect(server.logs()).not.toContain('"level":"error"');
});
