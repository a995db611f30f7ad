// One fetch per blob, whoever asks and whoever leaves: followers, slow clients, leaving clients, cold ranges, other repositories with the
// same blob, the stop of the server. design sections 2.3, 7.3, 7.4; faults F52, F53, F62.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { breakAt, type FakeSource, on, status } from './fake-source.ts';
import { explain, pull, serveLayer as serveLayerOn, startServer, startSources, until } from './harness.ts';
import { type Content, digestOf, imageOf } from './images.ts';
import { auditStore, openBlobFiles, stagedFiles } from './stored.ts';

const mebibyte = 1024 * 1024;

let server: RunningBreakwater;
let sources: Awaited<ReturnType<typeof startSources>>;
beforeAll(async () => {
  sources = await startSources({
    'herd.test': ['authority', 'authority'],
    'small-herd.test': ['authority'],
    'leaves.test': ['authority'],
    'leaves-waiting.test': ['digest-only'],
    'slow.test': ['authority'],
    'range.test': ['authority'],
    'small-range.test': ['digest-only'],
    'failing-herd.test': ['authority', 'authority'],
    'one.test': ['authority'],
    'two.test': ['authority'],
    'stated.test': ['authority'],
    'misstated.test': ['authority'],
    'failing-first.test': ['authority'],
    'able-second.test': ['authority'],
  });
  server = await startServer({ registries: sources.registries });
});
afterAll(async () => {
  await server?.stop();
  await sources?.stop();
});

const serveLayer = (registry: string, sizeBytes: number) => serveLayerOn(server, sources, { registry, sizeBytes });
/** The source sends no further than `bytes` until the gate is opened. */
function holdAt(source: FakeSource | undefined, layer: Content, bytes: number): { open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  source?.rule(on(layer.digest, (answer) => ({ ...answer, breakAt: { bytes, by: 'pause', until: promise } })));
  return { open: resolve };
}
async function cached(registry: string, layer: Content): Promise<boolean> {
  return (await explain(server, `${registry}/library/app:v1`)).blobs.some((blob) => blob.digest === layer.digest && blob.cached);
}

test('fifty clients of one cold blob: each byte is fetched once, by one request', async () => {
  const sizeBytes = 30 * mebibyte;
  const { all, layer, path } = await serveLayer('herd.test', sizeBytes);
  const digests = await Promise.all(
    Array.from({ length: 50 }, async (_, place) => {
      await Bun.sleep(place * 2);
      const response = await fetch(`${server.url}${path}`);
      const hasher = new Bun.CryptoHasher('sha256');
      for await (const chunk of response.body ?? []) hasher.update(chunk);
      return `sha256:${hasher.digest('hex')}`;
    }),
  );
  expect(new Set(digests)).toEqual(new Set([layer.digest]));
  expect(all.map((source) => source.bytes(layer.digest))).toEqual([sizeBytes, 0, all[2]?.bytes('') ?? 0]);
  expect(all[0]?.count(layer.digest)).toBe(1);
});

test('fifty clients of one cold small blob too', async () => {
  const { all, layer, path } = await serveLayer('small-herd.test', 100_000);
  const answers = await Promise.all(Array.from({ length: 50 }, () => pull(server, path)));
  for (const answer of answers) {
    expect(answer.digest).toBe(layer.digest);
    expect(answer.headers.get('content-length')).toBe('100000');
  }
  expect(all[0]?.bytes(layer.digest)).toBe(100_000);
});

test('fifty clients of a blob that cannot be had: each gets the coded error', async () => {
  const { all, layer, path } = await serveLayer('failing-herd.test', 100_000);
  for (const source of all) source.rule(on(layer.digest, status(500)));
  const answers = await Promise.all(Array.from({ length: 50 }, () => pull(server, path)));
  for (const answer of answers) expect([answer.status, answer.code]).toEqual([503, 'UNAVAILABLE']);
});

describe('a client that leaves', () => {
  test('in mid-body stops no fetch', async () => {
    const { all, layer, path } = await serveLayer('leaves.test', 20 * mebibyte);
    const gate = holdAt(all[0], layer, 12 * mebibyte);
    const leaving = new AbortController();
    const response = await fetch(`${server.url}${path}`, { signal: leaving.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    leaving.abort();
    await Bun.sleep(50);
    gate.open();
    await until(() => cached('leaves.test', layer));
    expect(all[0]?.count(layer.digest)).toBe(1);
    expect(all[0]?.bytes(layer.digest)).toBe(20 * mebibyte);
  });

  test('before the first byte stops none either', async () => {
    const { all, layer, path } = await serveLayer('leaves-waiting.test', 20 * mebibyte);
    const gate = holdAt(all[0], layer, 12 * mebibyte);
    const leaving = new AbortController();
    const asking = Array.from({ length: 5 }, () => fetch(`${server.url}${path}`, { signal: leaving.signal }).catch(() => 'left'));
    await until(() => (all[0]?.bytes(layer.digest) ?? 0) >= 12 * mebibyte);
    leaving.abort();
    expect(await Promise.all(asking)).toEqual(Array.from({ length: 5 }, () => 'left'));
    gate.open();
    await until(() => cached('leaves-waiting.test', layer));
    expect(all[0]?.count(layer.digest)).toBe(1);
  });
});

test('a client that reads slowly does not slow the others, nor the fetch', async () => {
  const sizeBytes = 40 * mebibyte;
  const { layer, path } = await serveLayer('slow.test', sizeBytes);
  const url = new URL(server.url);
  const received: Buffer[] = [];
  const slow = connect({ host: url.hostname, port: Number(url.port) });
  slow.on('data', (chunk) => received.push(Buffer.from(chunk)));
  slow.write(`GET ${path} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`);
  await until(() => received.length > 0);
  slow.pause();
  const startMs = performance.now();
  expect((await pull(server, path)).digest).toBe(layer.digest);
  expect(performance.now() - startMs).toBeLessThan(5000);
  await until(() => cached('slow.test', layer));
  const before = received.reduce((sum, chunk) => sum + chunk.length, 0);
  expect(before).toBeLessThan(sizeBytes / 2);
  // It still gets the whole, from bytes that are long here.
  slow.resume();
  await new Promise<void>((resolve) => slow.once('close', () => resolve()));
  expect(digestOf(bodyOf(Buffer.concat(received)))).toBe(layer.digest);
});

/** The body of a chunked answer. */
function bodyOf(answer: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = answer.indexOf('\r\n\r\n') + 4; at < answer.length; ) {
    const end = answer.indexOf('\r\n', at);
    const length = Number.parseInt(answer.subarray(at, end).toString(), 16);
    if (!(length > 0)) break;
    pieces.push(answer.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
  return Buffer.concat(pieces);
}

describe('a range of a cold blob', () => {
  const sizeBytes = 20 * mebibyte;

  test('is answered as soon as it is here, with its place and the whole size', async () => {
    const { all, layer, path } = await serveLayer('range.test', sizeBytes);
    const gate = holdAt(all[0], layer, 15 * mebibyte);
    const wanted: readonly (readonly [range: string, from: number, to: number])[] = [
      ['bytes=0-99', 0, 100],
      ['bytes=5000000-6000000', 5_000_000, 6_000_001],
    ];
    for (const [range, from, to] of wanted) {
      const answer = await pull(server, path, { headers: { range } });
      expect(answer.status).toBe(206);
      expect(answer.headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/${sizeBytes}`);
      expect(answer.bytes.equals(layer.bytes.subarray(from, to))).toBe(true);
    }
    const later = ['bytes=18000000-', 'bytes=-1000', `bytes=${sizeBytes - 1}-`].map((range) => pull(server, path, { headers: { range } }));
    await Bun.sleep(50);
    gate.open();
    const [open, suffix, last] = await Promise.all(later);
    expect(open?.status).toBe(206);
    expect(open?.bytes.equals(layer.bytes.subarray(18_000_000))).toBe(true);
    expect(suffix?.headers.get('content-range')).toBe(`bytes ${sizeBytes - 1000}-${sizeBytes - 1}/${sizeBytes}`);
    expect(suffix?.bytes.equals(layer.bytes.subarray(-1000))).toBe(true);
    expect(last?.bytes.equals(layer.bytes.subarray(-1))).toBe(true);
    // Ranges far ahead of the fetch are asked for directly; the blob itself is fetched once.
    const asked = 2 * (sizeBytes - 18_000_000);
    expect(all[0]?.bytes(layer.digest)).toBeWithin(sizeBytes, sizeBytes + asked);
  });

  test('behind its end is 416, and nothing is fetched for it', async () => {
    const { all, layer, path } = await serveLayer('small-range.test', 1000);
    const behind = await pull(server, path, { headers: { range: 'bytes=1000-' } });
    expect(behind.status).toBe(416);
    expect(behind.headers.get('content-range')).toBe('bytes */1000');
    expect(all[0]?.count(layer.digest)).toBe(0);
    // A range that is none means the whole.
    const whole = await pull(server, path, { headers: { range: 'bytes=2000-1000' } });
    expect([whole.status, whole.digest]).toEqual([200, layer.digest]);
    const answer = await pull(server, path, { headers: { range: 'bytes=-10' } });
    expect([answer.status, answer.headers.get('content-range')]).toEqual([206, 'bytes 990-999/1000']);
    expect(answer.bytes.equals(layer.bytes.subarray(-10))).toBe(true);
    expect((await pull(server, path, { headers: { range: 'bytes=1000-' } })).status).toBe(416);
  });
});

describe('the same public blob in two registries', () => {
  const layer = imageOf([20 * mebibyte]).layers[0];
  if (layer === undefined) throw new Error('an image without a layer');
  const pathOf = (registry: string): string => `/v2/${registry}/library/app/blobs/${layer.digest}`;

  test('is fetched once for both, and is then in both', async () => {
    const [one] = sources.of('one.test');
    const [two] = sources.of('two.test');
    for (const [registry, source] of [
      ['one.test', one],
      ['two.test', two],
    ] as const) {
      source.add('library/app', imageOf([layer], { note: registry }), 'v1');
      await pull(server, `/v2/${registry}/library/app/manifests/v1`);
    }
    const gate = holdAt(one, layer, 12 * mebibyte);
    const first = pull(server, pathOf('one.test'));
    await until(() => one.count(layer.digest) === 1);
    const second = pull(server, pathOf('two.test'));
    await Bun.sleep(50);
    gate.open();
    for (const answer of await Promise.all([first, second])) expect(answer.digest).toBe(layer.digest);
    expect(two.count(layer.digest)).toBe(0);
    await until(() => cached('one.test', layer));
    await until(() => cached('two.test', layer));
  });

  test('is fetched apart where another size is stated, so that a wrong manifest harms only itself', async () => {
    const [good] = sources.of('stated.test');
    const [bad] = sources.of('misstated.test');
    const [popular] = imageOf([2 * mebibyte]).layers;
    if (popular === undefined) throw new Error('an image without a layer');
    good.add('library/app', imageOf([popular]), 'v1');
    bad.add('library/app', imageOf([{ ...popular, bytes: popular.bytes.subarray(0, 1000) }]), 'v1');
    bad.addBlob('library/app', popular);
    for (const registry of ['stated.test', 'misstated.test']) await pull(server, `/v2/${registry}/library/app/manifests/v1`);
    const { promise, resolve } = Promise.withResolvers<void>();
    bad.rule(on(popular.digest, (answer) => ({ ...answer, wait: promise })));
    const misled = pull(server, `/v2/misstated.test/library/app/blobs/${popular.digest}`);
    await until(() => bad.count(popular.digest) === 1);
    const startMs = performance.now();
    expect((await pull(server, `/v2/stated.test/library/app/blobs/${popular.digest}`)).digest).toBe(popular.digest);
    expect(performance.now() - startMs).toBeLessThan(3000);
    resolve();
    expect((await misled).status).toBe(503);
  });

  test('is fetched from its own sources when those of the other have failed', async () => {
    const [failing] = sources.of('failing-first.test');
    const [able] = sources.of('able-second.test');
    const [shared] = imageOf([mebibyte]).layers;
    if (shared === undefined) throw new Error('an image without a layer');
    for (const [registry, source] of [
      ['failing-first.test', failing],
      ['able-second.test', able],
    ] as const) {
      source.add('library/app', imageOf([shared], { note: registry }), 'v1');
      await pull(server, `/v2/${registry}/library/app/manifests/v1`);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    failing.rule(on(shared.digest, () => ({ ...status(403)(), wait: promise })));
    const first = pull(server, `/v2/failing-first.test/library/app/blobs/${shared.digest}`);
    await until(() => failing.count(shared.digest) === 1);
    const second = pull(server, `/v2/able-second.test/library/app/blobs/${shared.digest}`);
    await Bun.sleep(50);
    expect(able.count(shared.digest)).toBe(0);
    resolve();
    const [refused, answered] = await Promise.all([first, second]);
    expect([refused.status, refused.code]).toEqual([403, 'DENIED']);
    expect([answered.status, answered.digest]).toEqual([200, shared.digest]);
  });
});

test('when the server is told to stop in the middle of a fetch, it ends it and leaves nothing behind', async () => {
  const own = await startSources({ 'docker.io': ['authority'] });
  const running = await startServer({ registries: own.registries });
  const image = imageOf([20 * mebibyte]);
  const [source] = own.of('docker.io');
  source.add('library/app', image, 'v1');
  const layer = image.layers[0];
  if (layer === undefined) throw new Error('an image without a layer');
  source.rule(on(layer.digest, breakAt(12 * mebibyte, 'stall')));
  await pull(running, '/v2/app/manifests/v1');
  const leaving = new AbortController();
  const response = await fetch(`${running.url}/v2/app/blobs/${layer.digest}`, { signal: leaving.signal });
  const reader = response.body?.getReader();
  await reader?.read();
  leaving.abort();
  const startMs = performance.now();
  const { dataDir } = running;
  const staged = stagedFiles(dataDir);
  expect(staged).toHaveLength(1);
  expect(await running.stop()).toBe(0);
  expect(performance.now() - startMs).toBeLessThan(4000);
  await own.stop();
}, 15_000);

test('after all this nothing is left open or staged, the store holds nothing wrong, and nothing failed unforeseen', async () => {
  await until(() => openBlobFiles(server.pid, server.dataDir).length === 0);
  expect(stagedFiles(server.dataDir)).toEqual([]);
  expect(auditStore(server.dataDir).length).toBeGreaterThan(7);
  expect(server.logs()).not.toContain('"level":"error"');
  for (const line of server.logs().trimEnd().split('\n').filter(Boolean)) expect(JSON.parse(line)).toHaveProperty('event');
});
