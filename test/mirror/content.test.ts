// What comes through the mirror besides plain images: indexes whose children come as they are asked for, artifacts and their referrers, tag
// lists, HEAD; and what must not come through: bytes of one repository to the readers of another. design sections 7.4, 7.5; faults F33, F46.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { type FakeSource, json, on, startFakeSource, status } from './fake-source.ts';
import { basic, explain, pull, startServer, startSources, until } from './harness.ts';
import { imageOf, imageType, indexOf, indexType } from './images.ts';

let server: RunningBreakwater;
let sources: Awaited<ReturnType<typeof startSources>>;
let guarded: FakeSource;
let tokens: FakeSource;
let cdn: FakeSource;
beforeAll(async () => {
  sources = await startSources({
    'docker.io': ['authority'],
    'index.test': ['digest-only', 'authority'],
    'referrers.test': ['authority'],
    'old-referrers.test': ['authority'],
    'lists.test': ['authority'],
    'head.test': ['authority'],
    'public.test': ['authority'],
    'other.test': ['authority'],
    'cdn.test': ['authority'],
  });
  [guarded, tokens, cdn] = [await startFakeSource(), await startFakeSource(), await startFakeSource()];
  const credentials = { username: 'robot', password: 'very-secret' };
  server = await startServer({
    registries: { ...sources.registries, 'guarded.test': [{ source: guarded, credentials, realms: [tokens.url] }] },
    publicRegistries: ['guarded.test'],
  });
});
afterAll(async () => {
  await server?.stop();
  await sources?.stop();
  for (const source of [guarded, tokens, cdn]) await source?.stop();
});

const get = (registry: string, path: string, init?: RequestInit) => pull(server, `/v2/${registry}/library/app/${path}`, init);

test('an index comes as it is, and its children when they are asked for, from any source', async () => {
  const children = [imageOf([1000]), imageOf([2000])];
  const index = indexOf(children.map((child) => child.manifest));
  const [mirror, hub] = sources.of('index.test');
  for (const source of [mirror, hub]) source.add('library/app', index, 'multi');
  hub.add('library/app', children[0] ?? index);
  for (const source of [mirror, hub]) source.add('library/app', children[1] ?? index);
  const answer = await get('index.test', 'manifests/multi');
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, indexType]);
  expect(answer.bytes).toEqual(index.bytes);
  for (const { manifest } of children) expect(mirror.count(manifest.digest) + hub.count(manifest.digest)).toBe(0);

  // The first source has the index, but not this child.
  const first = await get('index.test', `manifests/${children[0]?.manifest.digest}`);
  expect(first.bytes).toEqual(children[0]?.manifest.bytes ?? Buffer.alloc(0));
  expect(mirror.count(children[1]?.manifest.digest ?? '') + hub.count(children[1]?.manifest.digest ?? '')).toBe(0);
  expect((await get('index.test', `blobs/${children[0]?.layers[0]?.digest}`)).status).toBe(200);
  expect((await get('index.test', 'manifests/multi')).bytes).toEqual(index.bytes);
  const parts = (await explain(server, 'index.test/library/app:multi')).blobs;
  expect(parts.filter((part) => part.cached).map((part) => part.digest)).toEqual(
    expect.arrayContaining([children[0]?.manifest.digest ?? '', children[0]?.layers[0]?.digest ?? '']),
  );
  expect(parts.find((part) => part.digest === children[1]?.manifest.digest)?.cached).toBe(false);
});

describe('referrers', () => {
  const image = imageOf([100]);
  const signature = imageOf([10], { subject: image.manifest, artifactType: 'application/vnd.example.signature' });
  const sbom = imageOf([20], { subject: image.manifest, artifactType: 'application/vnd.example.sbom' });
  const digestsOf = (bytes: Buffer): string[] =>
    (JSON.parse(bytes.toString()) as { manifests: { digest: string }[] }).manifests.map((one) => one.digest).sort();

  test('come from the upstream API, and filtered', async () => {
    const [hub] = sources.of('referrers.test');
    for (const one of [image, signature, sbom]) hub.add('library/app', one);
    const all = await get('referrers.test', `referrers/${image.manifest.digest}`);
    expect([all.status, all.headers.get('content-type')]).toEqual([200, indexType]);
    expect(digestsOf(all.bytes)).toEqual([signature.manifest.digest, sbom.manifest.digest].sort());
    const filtered = await get('referrers.test', `referrers/${image.manifest.digest}?artifactType=application/vnd.example.sbom`);
    expect(digestsOf(filtered.bytes)).toEqual([sbom.manifest.digest]);
    expect((await get('referrers.test', `manifests/${signature.manifest.digest}`)).bytes).toEqual(signature.manifest.bytes);
    // What was pulled is still listed when the upstream is away.
    await hub.down();
    expect(digestsOf((await get('referrers.test', `referrers/${image.manifest.digest}`)).bytes)).toEqual([signature.manifest.digest]);
    await hub.up();
  });

  test('come from the tag of the digest where the upstream has no such API', async () => {
    const [hub] = sources.of('old-referrers.test');
    for (const one of [image, signature]) hub.add('library/app', one);
    hub.add('library/app', indexOf([signature.manifest]), image.manifest.digest.replace(':', '-'));
    hub.rule((request) => (request.path.includes('/referrers/') ? status(404, {}, '404 page not found')() : undefined));
    const listed = await get('old-referrers.test', `referrers/${image.manifest.digest}`);
    expect([listed.status, digestsOf(listed.bytes)]).toEqual([200, [signature.manifest.digest]]);
    const none = await get('old-referrers.test', `referrers/${signature.manifest.digest}`);
    expect([none.status, digestsOf(none.bytes)]).toEqual([200, []]);
  });
});

test('a tag list comes from the upstream page by page, is remembered, and never gets shorter when the upstream is away', async () => {
  const [hub] = sources.of('lists.test');
  const image = imageOf([100]);
  hub.add('library/app', image, 'v1');
  const pages = [['a', 'b'], ['c'], ['V1', 'v1']];
  hub.rule(
    on('/library/app/tags/list', (_, request) => {
      const page = Number(new URLSearchParams(request.query).get('page') ?? 0);
      const answer = json(200, { name: 'library/app', tags: pages[page] });
      const link = { link: `</v2/library/app/tags/list?page=${page + 1}>; rel="next"` };
      return page + 1 < pages.length ? { ...answer, headers: { ...answer.headers, ...link } } : answer;
    }),
  );
  const tagsOf = (bytes: Buffer): string[] => (JSON.parse(bytes.toString()) as { tags: string[] }).tags;
  for (let times = 0; times < 3; times++) expect(tagsOf((await get('lists.test', 'tags/list')).bytes)).toEqual(['a', 'b', 'c', 'V1', 'v1']);
  expect(hub.count('/tags/list')).toBe(3);
  const page = await get('lists.test', 'tags/list?n=2&last=a');
  expect(tagsOf(page.bytes)).toEqual(['b', 'c']);
  expect(page.headers.get('link')).toContain('last=c');
  expect((await pull(server, '/v2/lists.test/library/unknown/tags/list')).status).toBe(404);
});

test('HEAD of a blob that a manifest names asks nobody', async () => {
  const image = imageOf([12_345]);
  const [hub] = sources.of('head.test');
  hub.add('library/app', image, 'v1');
  await get('head.test', 'manifests/v1');
  const before = hub.requests.length;
  const answer = await get('head.test', `blobs/${image.layers[0]?.digest}`, { method: 'HEAD' });
  expect([answer.status, answer.headers.get('content-length')]).toEqual([200, '12345']);
  expect(hub.requests).toHaveLength(before);
  // One that none names is asked about.
  const loose = imageOf([777]).layers[0];
  if (loose === undefined) throw new Error('an image without a layer');
  hub.addBlob('library/app', loose);
  expect((await get('head.test', `blobs/${loose.digest}`, { method: 'HEAD' })).headers.get('content-length')).toBe('777');
  expect(hub.count(loose.digest, 'HEAD')).toBe(1);
  expect((await get('head.test', `blobs/sha256:${'5'.repeat(64)}`, { method: 'HEAD' })).status).toBe(404);
});

test('a blob is followed to another host, which is sent no login', async () => {
  const image = imageOf([50_000]);
  const layer = image.layers[0];
  if (layer === undefined) throw new Error('an image without a layer');
  const [hub] = sources.of('cdn.test');
  hub.add('library/app', image, 'v1');
  cdn.addBlob('library/app', layer);
  hub.rule(
    on(layer.digest, () => ({
      status: 307,
      headers: { location: `${cdn.url}/v2/library/app/blobs/${layer.digest}?signature=1` },
      body: Buffer.alloc(0),
    })),
  );
  await get('cdn.test', 'manifests/v1');
  expect((await get('cdn.test', `blobs/${layer.digest}`)).digest).toBe(layer.digest);
  expect(cdn.requests.map((request) => request.headers['authorization'])).toEqual([undefined]);
});

describe('bytes stay where they may be read', () => {
  test('what was fetched with credentials, through a token service, is linked into no other repository', async () => {
    const image = imageOf([5000]);
    const layer = image.layers[0];
    if (layer === undefined) throw new Error('an image without a layer');
    tokens.rule((request) =>
      request.headers['authorization'] === `Basic ${btoa('robot:very-secret')}` ? json(200, { token: 'granted' }) : status(401)(),
    );
    guarded.add('library/app', image, 'v1');
    guarded.rule((request) =>
      request.headers['authorization'] === 'Bearer granted'
        ? undefined
        : status(401, { 'www-authenticate': `Bearer realm="${tokens.url}/token",service="guarded"` })(),
    );
    expect((await get('guarded.test', 'manifests/v1')).status).toBe(200);
    expect((await get('guarded.test', `blobs/${layer.digest}`)).digest).toBe(layer.digest);
    expect(tokens.requests[0]?.query).toContain('scope=repository%3Alibrary%2Fapp%3Apull');

    // An upstream that lists the digest without having it gets nothing from us.
    const [hub] = sources.of('public.test');
    hub.add('library/app', imageOf([layer]), 'v1');
    hub.rule(on(layer.digest, status(404)));
    expect((await get('public.test', 'manifests/v1')).status).toBe(200);
    const before = hub.count(layer.digest);
    expect((await get('public.test', `blobs/${layer.digest}`)).status).toBe(404);
    expect(hub.count(layer.digest)).toBe(before + 1);
    // One that has it is asked for it, in full.
    const [other] = sources.of('other.test');
    other.add('library/app', imageOf([layer]), 'v1');
    await get('other.test', 'manifests/v1');
    expect((await get('other.test', `blobs/${layer.digest}`)).digest).toBe(layer.digest);
    expect(other.bytes(layer.digest)).toBe(5000);
  });

  test('a fetch with credentials under way is joined by no other repository', async () => {
    const layer = imageOf([8000]).layers[0];
    if (layer === undefined) throw new Error('an image without a layer');
    const [hub] = sources.of('public.test');
    guarded.add('library/app', imageOf([layer]), 'joint');
    hub.add('library/app', imageOf([layer]), 'joint');
    for (const registry of ['guarded.test', 'public.test']) expect((await get(registry, 'manifests/joint')).status).toBe(200);
    const { promise, resolve } = Promise.withResolvers<void>();
    guarded.rule(on(layer.digest, (answer) => ({ ...answer, wait: promise })));
    hub.rule(on(layer.digest, status(404)));
    const authorized = get('guarded.test', `blobs/${layer.digest}`);
    await until(() => guarded.count(layer.digest) > 0);
    const stranger = get('public.test', `blobs/${layer.digest}`);
    await Bun.sleep(50);
    resolve();
    expect((await authorized).digest).toBe(layer.digest);
    expect((await stranger).status).toBe(404);
    expect(hub.count(layer.digest)).toBe(1);
  });

  test('what was pushed is neither', async () => {
    const image = imageOf([6000]);
    const layer = image.layers[0];
    if (layer === undefined) throw new Error('an image without a layer');
    for (const content of [image.config, layer]) {
      const path = `/v2/library/pushed/blobs/uploads/?digest=${content.digest}`;
      const init = { method: 'POST', headers: basic(server), body: content.bytes as Uint8Array<ArrayBuffer> };
      expect((await pull(server, path, init)).status).toBe(201);
    }
    const put = {
      method: 'PUT',
      headers: { ...basic(server), 'content-type': imageType },
      body: image.manifest.bytes as Uint8Array<ArrayBuffer>,
    };
    expect((await pull(server, '/v2/library/pushed/manifests/v1', put)).status).toBe(201);
    const [hub] = sources.of('docker.io');
    hub.add('library/app', imageOf([layer]), 'v1');
    hub.rule(on(layer.digest, status(404)));
    await get('docker.io', 'manifests/v1');
    expect((await get('docker.io', `blobs/${layer.digest}`)).status).toBe(404);
    expect(hub.count(layer.digest)).toBe(1);
  });

  test('what anybody may fetch is linked where a manifest names it, and only there', async () => {
    const image = imageOf([7000]);
    const layer = image.layers[0];
    if (layer === undefined) throw new Error('an image without a layer');
    const [hub] = sources.of('docker.io');
    hub.clearRules();
    hub.add('library/first', image, 'v1');
    hub.add('library/second', imageOf([layer]), 'v1');
    expect((await pull(server, `/v2/library/first/manifests/v1`)).status).toBe(200);
    expect((await pull(server, `/v2/library/first/blobs/${layer.digest}`)).status).toBe(200);
    expect((await pull(server, `/v2/library/second/manifests/v1`)).status).toBe(200);
    expect((await pull(server, `/v2/library/second/blobs/${layer.digest}`)).digest).toBe(layer.digest);
    expect(hub.bytes(layer.digest)).toBe(7000);
    const linked = (await explain(server, 'library/second:v1')).blobs.find((blob) => blob.digest === layer.digest);
    expect(linked).toMatchObject({ cached: true, segments: [] });
    expect(linked?.reason).toContain('another repository');
    // No manifest of this one names it: its own upstream is asked, and has none.
    const stranger = await pull(server, `/v2/library/third/blobs/${layer.digest}`);
    expect([stranger.status, stranger.code]).toEqual([404, 'BLOB_UNKNOWN']);
    expect(hub.requests.at(-1)?.path).toBe(`/v2/library/third/blobs/${layer.digest}`);
  });
});

test('a manifest this server does not take is no manifest to the client either', async () => {
  const [hub] = sources.of('head.test');
  const bytes = Buffer.from('{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}');
  hub.rule(on('/manifests/odd', () => ({ status: 200, headers: { 'content-type': imageType }, body: bytes })));
  const answer = await get('head.test', 'manifests/odd');
  expect([answer.status, answer.code]).toEqual([503, 'UNAVAILABLE']);
  expect(answer.message).toContain('no manifest this server takes');
});

test('nothing failed unforeseen, and no secret was logged', () => {
  expect(server.logs()).not.toContain('"level":"error"');
  expect(server.logs()).not.toContain('very-secret');
});
