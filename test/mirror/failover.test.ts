// Failover: before the first byte, a source that fails in any way gives place to the next; in mid-body the next goes on at the exact byte.
// What a client sees is never an upstream's own failure. faults F1 to F16, F21 to F24, F38, F39, F46.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { type Answer, breakAt, type FakeSource, html, on, type SourceRequest, status } from './fake-source.ts';
import { explain, pull, sourceState, startServer, startSources, until } from './harness.ts';
import { type Image, imageOf, imageType } from './images.ts';
import { auditStore, openBlobFiles, stagedFiles } from './stored.ts';

type Fault = readonly [name: string, turn: (answer: Answer, request: SourceRequest) => Answer | undefined];

const isGet = (request: SourceRequest): boolean => request.method === 'GET';
const other = imageOf([1000]);

/** On manifests, asked of a digest-only source, so that its word on absence counts for nothing either. */
const manifestFaults: readonly Fault[] = [
  ['500', status(500)],
  ['502 with a page', () => ({ ...html(), status: 502 })],
  ['429 with Retry-After', status(429, { 'retry-after': '7' })],
  ['401 without a challenge', status(401)],
  ['403', status(403)],
  ['404', status(404)],
  ['a page with status 200', html],
  ['an error document with status 200', status(200)],
  ['another manifest', (answer) => ({ ...answer, headers: { 'content-type': imageType }, body: other.manifest.bytes })],
  ['a manifest of five megabytes', (answer) => ({ ...answer, body: Buffer.alloc(5 * 1024 * 1024, 32) })],
  ['a reset connection', (answer) => ({ ...answer, silence: 'reset' })],
  ['half a manifest', breakAt(100, 'end')],
];

/** On blobs, each in the first source, whatever its trust. */
const blobFaults: readonly Fault[] = [
  ['503', status(503)],
  ['429', status(429)],
  ['403', status(403)],
  ['404', status(404)],
  ['a page', html],
  ['a page with the size of the blob', (answer) => ({ ...html(), body: Buffer.alloc(answer.body.length, 60) })],
  ['a shorter body than the manifest says', (answer) => ({ ...answer, body: answer.body.subarray(0, 1000) })],
  ['a longer body than the manifest says', (answer) => ({ ...answer, body: Buffer.concat([answer.body, answer.body]) })],
  ['a part that nobody asked for', (answer) => ({ ...answer, status: 206, headers: { 'content-range': 'bytes 0-9/10' } })],
  ['a reset connection', (answer) => ({ ...answer, silence: 'reset' })],
  ['a redirect into the loop', () => ({ status: 307, headers: { location: 'again' }, body: Buffer.alloc(0) })],
  ['wrong bytes', (answer) => ({ ...answer, body: Buffer.alloc(answer.body.length, 7) })],
];

const names = (prefix: string, faults: readonly Fault[]): string[] => faults.map((_, place) => `${prefix}${place}.test`);
const trusts: Record<string, readonly ('authority' | 'digest-only')[]> = {
  'down.test': ['digest-only', 'authority'],
  'absent.test': ['authority', 'digest-only'],
  'all-down.test': ['digest-only', 'authority'],
  'all-refuse.test': ['digest-only', 'authority'],
  'mirror-404.test': ['digest-only'],
  'cut-end.test': ['authority', 'authority'],
  'cut-reset.test': ['authority', 'authority'],
  'cut-many.test': ['authority', 'digest-only', 'authority'],
  'cut-last.test': ['authority', 'authority'],
  'ignores-range.test': ['authority', 'authority'],
  'wrong-range.test': ['authority', 'authority', 'authority'],
  'same-again.test': ['authority'],
  'chunked.test': ['authority', 'authority'],
};
for (const name of names('manifest', manifestFaults)) trusts[name] = ['digest-only', 'authority'];
for (const name of names('blob', blobFaults)) trusts[name] = ['digest-only', 'authority'];

let server: RunningBreakwater;
let sources: Awaited<ReturnType<typeof startSources>>;
beforeAll(async () => {
  sources = await startSources(trusts);
  server = await startServer({ registries: sources.registries });
});
afterAll(async () => {
  await server?.stop();
  await sources?.stop();
});

/** The same image in all sources of the registry. */
function serve(registry: string, image: Image): readonly [FakeSource, FakeSource, FakeSource] {
  const all = sources.of(registry);
  for (const source of all) source.add('library/app', image, 'v1');
  return all;
}
const manifestPath = (registry: string, reference: string): string => `/v2/${registry}/library/app/manifests/${reference}`;
const blobPath = (registry: string, digest: string | undefined): string => `/v2/${registry}/library/app/blobs/${digest}`;

describe('before the first byte', () => {
  test.each(manifestFaults.map(([name, turn], place) => [name, place, turn] as const))(
    'a manifest that the first source answers with %s comes from the second',
    async (_name, place, turn) => {
      const registry = `manifest${place}.test`;
      const image = imageOf([1000]);
      const [first, second] = serve(registry, image);
      first.rule((request, answer) => (isGet(request) ? turn(answer, request) : undefined));
      const answer = await pull(server, manifestPath(registry, image.manifest.digest));
      expect(answer.status).toBe(200);
      expect(answer.bytes).toEqual(image.manifest.bytes);
      expect(answer.headers.get('docker-content-digest')).toBe(image.manifest.digest);
      expect(answer.headers.get('content-type')).toBe(imageType);
      expect(answer.headers.get('www-authenticate')).toBeNull();
      expect(answer.headers.get('retry-after')).toBeNull();
      expect(first.count(image.manifest.digest)).toBeGreaterThan(0);
      expect(second.count(image.manifest.digest)).toBe(1);
    },
  );

  test.each(blobFaults.map(([name, turn], place) => [name, place, turn] as const))(
    'a blob that the first source answers with %s comes from the second',
    async (_name, place, turn) => {
      const registry = `blob${place}.test`;
      const image = imageOf([300_000]);
      const [first, second] = serve(registry, image);
      const layer = image.layers[0];
      first.rule(on(layer?.digest ?? '', turn));
      expect((await pull(server, manifestPath(registry, 'v1'))).status).toBe(200);
      const answer = await pull(server, blobPath(registry, layer?.digest));
      expect(answer.status).toBe(200);
      expect(answer.digest).toBe(layer?.digest ?? '');
      expect(answer.headers.get('content-length')).toBe('300000');
      expect(first.count(layer?.digest ?? '')).toBeGreaterThan(0);
      expect(second.bytes(layer?.digest ?? '')).toBe(300_000);
    },
  );

  test('a source that refuses connections is passed over, and not asked again for a while', async () => {
    const image = imageOf([1000, 2000]);
    const [first, second] = serve('down.test', image);
    await first.down();
    expect((await pull(server, manifestPath('down.test', image.manifest.digest))).status).toBe(200);
    for (const layer of image.layers) expect((await pull(server, blobPath('down.test', layer.digest))).digest).toBe(layer.digest);
    expect(await sourceState(server, first)).toBe('open');
    expect(second.requests).toHaveLength(3);
  });

  test("an authority's 404 is one, and another source is not asked about the tag", async () => {
    const [, second] = serve('absent.test', imageOf([1000]));
    second.add('library/app', imageOf([1000]), 'poisoned');
    const tag = await pull(server, manifestPath('absent.test', 'poisoned'));
    expect([tag.status, tag.code]).toEqual([404, 'MANIFEST_UNKNOWN']);
    expect(second.count('/manifests/poisoned')).toBe(0);
    const digest = await pull(server, manifestPath('absent.test', `sha256:${'0'.repeat(64)}`));
    expect([digest.status, digest.code]).toEqual([404, 'MANIFEST_UNKNOWN']);
    const blob = await pull(server, blobPath('absent.test', `sha256:${'0'.repeat(64)}`));
    expect([blob.status, blob.code]).toEqual([404, 'BLOB_UNKNOWN']);
  });

  test('a 404 of a source that is no authority is never passed on as one', async () => {
    for (const path of [manifestPath('mirror-404.test', 'v1'), blobPath('mirror-404.test', `sha256:${'1'.repeat(64)}`)]) {
      const answer = await pull(server, path);
      expect(answer.status).not.toBe(404);
      expect(answer.status).not.toBe(401);
    }
  });

  test('with all sources down the answer is 503 with one line that names each of them', async () => {
    const [first, second] = sources.of('all-down.test');
    await first.down();
    second.rule(on('*', status(500)));
    for (const path of [
      manifestPath('all-down.test', 'v1'),
      manifestPath('all-down.test', other.manifest.digest),
      blobPath('all-down.test', other.manifest.digest),
    ]) {
      const answer = await pull(server, path);
      expect([answer.status, answer.code]).toEqual([503, 'UNAVAILABLE']);
      expect(answer.message).toContain(first.host);
      expect(answer.message).toContain(second.host);
      expect(answer.message).toMatch(/^[\x20-\x7e]+$/);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    const failure = (await explain(server, 'all-down.test/library/app:v1')).lastFailure;
    expect(failure?.attempts.map((attempt) => attempt.source)).toEqual([second.url, first.url]);
  });

  test('a refusal by everybody is 403, also when repeated, and never the 401 or 429 of an upstream', async () => {
    const [first, second] = sources.of('all-refuse.test');
    first.rule(on('*', status(401, { 'www-authenticate': 'Basic realm="upstream"' })));
    second.rule(on('*', status(403)));
    for (let repeat = 0; repeat < 3; repeat++) {
      const answer = await pull(server, manifestPath('all-refuse.test', 'v1'));
      expect([answer.status, answer.code]).toEqual([403, 'DENIED']);
      expect(answer.headers.get('www-authenticate')).toBeNull();
      expect(answer.message).toContain(second.host);
    }
  });
});

describe('in mid-body', () => {
  const sizeBytes = 12_000_000;

  /** Pulls the layer of a new image; gives what `explain` says of it. */
  async function pullLayer(registry: string, prepare: (digest: string, all: readonly FakeSource[], bytes: Buffer) => void) {
    const image = imageOf([sizeBytes]);
    const all = serve(registry, image);
    const digest = image.layers[0]?.digest ?? '';
    prepare(digest, all, image.layers[0]?.bytes ?? Buffer.alloc(0));
    expect((await pull(server, manifestPath(registry, 'v1'))).status).toBe(200);
    const answer = await pull(server, blobPath(registry, digest));
    expect(answer.status).toBe(200);
    expect(answer.digest).toBe(digest);
    // The last bytes go out as soon as they are proven, a moment before they are durable.
    const find = async () => (await explain(server, `${registry}/library/app:v1`)).blobs.find((one) => one.digest === digest);
    await until(async () => (await find())?.cached === true);
    const blob = await find();
    return { digest, all, segments: blob?.segments ?? [], attempts: blob?.attempts ?? [] };
  }
  const rangeOf = (source: FakeSource, digest: string): (string | undefined)[] =>
    source.requests.filter((request) => request.path.endsWith(digest)).map((request) => request.headers['range']);

  test('a body that ends early goes on at the exact byte from the next source', async () => {
    const cutBytes = 7_654_321;
    const { digest, all, segments } = await pullLayer('cut-end.test', (layer, [first]) => first?.rule(on(layer, breakAt(cutBytes, 'end'))));
    const [first, second] = sources.of('cut-end.test');
    expect(segments).toEqual([
      { source: first.url, from: 0, to: cutBytes },
      { source: second.url, from: cutBytes, to: sizeBytes },
    ]);
    expect(all[0]?.bytes(digest)).toBe(cutBytes);
    expect(all[1]?.bytes(digest)).toBe(sizeBytes - cutBytes);
    expect(rangeOf(second, digest)).toEqual([`bytes=${cutBytes}-`]);
  });

  test('a connection that is reset does too, and no byte is fetched twice', async () => {
    const { digest, segments } = await pullLayer('cut-reset.test', (layer, [first]) => first?.rule(on(layer, breakAt(9_000_000, 'reset'))));
    const [first, second] = sources.of('cut-reset.test');
    expect(segments.map((segment) => segment.source)).toEqual([first.url, second.url]);
    const [one, two] = segments;
    expect(one?.from).toBe(0);
    expect(two?.from).toBe(one?.to ?? -1);
    expect(two?.to).toBe(sizeBytes);
    expect(second.bytes(digest)).toBe((two?.to ?? 0) - (two?.from ?? 0));
    expect(rangeOf(second, digest)).toEqual([`bytes=${two?.from}-`]);
  });

  test('three sources that each break off once still make one whole', async () => {
    const cuts = [1_000_000, 3_000_000, 5_000_000];
    const { digest, all, segments } = await pullLayer('cut-many.test', (layer, list) => {
      for (const [place, source] of list.entries()) source.rule(on(layer, breakAt(cuts[place] ?? 0, 'end')));
    });
    expect(segments.map(({ from, to }) => to - from)).toEqual([1_000_000, 3_000_000, 5_000_000, 1_000_000, 2_000_000]);
    for (const source of all) {
      const stated = segments.filter((segment) => segment.source === source.url).reduce((sum, { from, to }) => sum + to - from, 0);
      expect(source.bytes(digest)).toBe(stated);
    }
  });

  test('a body that breaks off after its last byte is whole', async () => {
    const { digest, all } = await pullLayer('cut-last.test', (layer, [first]) =>
      first?.rule(
        on(layer, (answer) => ({
          ...answer,
          headers: { 'content-type': 'application/octet-stream', 'transfer-encoding': 'chunked', 'content-length': '' },
          body: Buffer.concat([Buffer.from(`${answer.body.length.toString(16)}\r\n`), answer.body, Buffer.from('\r\n')]),
          breakAt: { bytes: answer.body.length + 10, by: 'end' },
        })),
      ),
    );
    expect(all[1]?.count(digest)).toBe(0);
  });

  test('a next source that ignores the range is read past what is here already', async () => {
    const { digest, segments, attempts } = await pullLayer('ignores-range.test', (layer, [first, second], bytes) => {
      first?.rule(on(layer, breakAt(5_000_000, 'end')));
      second?.rule(on(layer, () => ({ status: 200, headers: {}, body: bytes })));
    });
    const [first, second] = sources.of('ignores-range.test');
    expect(segments).toEqual([
      { source: first.url, from: 0, to: 5_000_000 },
      { source: second.url, from: 5_000_000, to: sizeBytes },
    ]);
    expect(attempts.map((attempt) => attempt.bytes)).toEqual([5_000_000, sizeBytes]);
    expect(second.bytes(digest)).toBe(sizeBytes);
  });
  test('a next source that sends another range than asked for is passed over', async () => {
    const { segments } = await pullLayer('wrong-range.test', (layer, [first, second]) => {
      first?.rule(on(layer, breakAt(5_000_000, 'end')));
      second?.rule(on(layer, (answer) => ({ ...answer, headers: { 'content-range': `bytes 0-${sizeBytes - 1}/${sizeBytes}` } })));
    });
    const [first, , third] = sources.of('wrong-range.test');
    expect(segments.map((segment) => segment.source)).toEqual([first.url, third.url]);
  });

  test('a lone source that breaks off again and again is asked for the rest as long as it brings something', async () => {
    const { segments, digest } = await pullLayer('same-again.test', (layer, [first]) => first?.rule(on(layer, breakAt(2_000_000, 'end'))));
    const [only] = sources.of('same-again.test');
    expect(segments).toEqual([{ source: only.url, from: 0, to: sizeBytes }]);
    expect(rangeOf(only, digest)).toEqual([undefined, ...[2, 4, 6, 8, 10].map((millions) => `bytes=${millions}000000-`)]);
  });
});

test('after all this the store holds nothing wrong, nothing is left open or staged, and nothing failed unforeseen', () => {
  expect(auditStore(server.dataDir).length).toBeGreaterThan(blobFaults.length);
  expect(openBlobFiles(server.pid, server.dataDir)).toEqual([]);
  expect(stagedFiles(server.dataDir)).toEqual([]);
  expect(server.logs()).not.toContain('"level":"error"');
  for (const line of server.logs().trimEnd().split('\n').filter(Boolean)) expect(JSON.parse(line)).toHaveProperty('event');
});
