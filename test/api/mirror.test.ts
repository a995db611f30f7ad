// What the admin API tells of the mirror: the live state of sources, and which of them gave which bytes of an image.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { z } from 'zod';
import { explanationSchema } from '../../src/api/schemas.ts';
import { registrySourcesSchema, sourceSchema } from '../../src/api/source-schemas.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { codeOf, send } from './client.ts';
import { makeImage, type SmallUpstream, startUpstream } from './upstream.ts';

const layerSizeBytes = 12_000_000;
const cutAfterBytes = 5_000_000;
const image = makeImage(layerSizeBytes);
let first: SmallUpstream;
let second: SmallUpstream;
let server: RunningBreakwater;

beforeAll(async () => {
  [first, second] = [startUpstream(image), startUpstream(image)];
  first.cutAfterBytes = cutAfterBytes;
  const sources = [
    { url: first.url, trust: 'authority', priority: 1, credentials: { username: 'robot', password: 'topsecret' } },
    { url: second.url, trust: 'authority', priority: 2 },
  ];
  const config = { presets: false, registries: { 'docker.io': { sources, public: true } } };
  server = await startBreakwater({ config: JSON.stringify(config) });
});
afterAll(async () => {
  await server?.stop();
  first?.stop();
  second?.stop();
});

async function explain(name: string) {
  return z.strictObject(explanationSchema.shape).parse((await send(server, `/explain?image=${encodeURIComponent(name)}`)).json());
}

test('before anything is pulled, sources are up and never asked, and an image is not known', async () => {
  const listed = z.array(registrySourcesSchema).parse((await send(server, '/sources')).json());
  expect(listed.map((one) => one.registry)).toEqual(['docker.io']);
  for (const source of listed[0]?.sources ?? [])
    expect(z.strictObject(sourceSchema.shape).parse(source)).toMatchObject({ state: 'up', succeeded: 0, failed: 0 });
  expect(listed[0]?.sources.map((one) => [one.url, one.trust, one.priority, one.hasCredentials])).toEqual([
    [first.url, 'authority', 1, true],
    [second.url, 'authority', 2, false],
  ]);
  const found = await explain('app:1');
  expect(found).toMatchObject({
    project: 'docker.io',
    kind: 'mirror',
    registry: 'docker.io',
    repository: 'library/app',
    reference: '1',
    cached: false,
    blobs: [],
  });
});

test('after a pull whose source broke off, the intervals of both sources make up the blob', async () => {
  expect((await fetch(`${server.url}/v2/library/app/manifests/1`)).status).toBe(200);
  for (const digest of [image.configDigest, image.layerDigest]) {
    const pulled = await fetch(`${server.url}/v2/library/app/blobs/${digest}`);
    expect(pulled.status).toBe(200);
    expect(new Bun.CryptoHasher('sha256').update(await pulled.bytes()).digest('hex')).toBe(digest.slice(7));
  }
  // A blob's readers may end a moment before it is on record.
  const isOnRecord = async (): Promise<boolean> => (await explain('library/app:1')).blobs.every((blob) => blob.cached);
  for (let turn = 0; turn < 100 && !(await isOnRecord()); turn++) await Bun.sleep(20);
  const found = await explain('library/app:1');
  expect(found).toMatchObject({ cached: true, digest: image.manifestDigest, tag: { trust: 'confirmed' } });
  expect(Date.parse(found.tag?.verifiedAt ?? '')).toBeGreaterThan(Date.now() - 60_000);
  const layer = found.blobs.find((blob) => blob.digest === image.layerDigest);
  expect(layer).toMatchObject({ kind: 'layer', sizeBytes: layerSizeBytes, cached: true });
  expect(layer?.segments).toEqual([
    { source: first.url, from: 0, to: cutAfterBytes },
    { source: second.url, from: cutAfterBytes, to: layerSizeBytes },
  ]);
  expect(found.blobs.find((blob) => blob.digest === image.configDigest)?.segments).toEqual([
    { source: first.url, from: 0, to: image.config.length },
  ]);
});

test('the failure is seen at the source, and no credential anywhere', async () => {
  const answer = await send(server, '/sources');
  const [registry] = z.array(registrySourcesSchema).parse(answer.json());
  const failed = registry?.sources.find((source) => source.url === first.url);
  expect(failed?.failed).toBeGreaterThan(0);
  expect(failed?.verdicts['truncated']).toBe(1);
  expect(registry?.sources.find((source) => source.url === second.url)?.succeeded).toBeGreaterThan(0);
  expect(answer.text).not.toContain('topsecret');
  expect(answer.text).not.toContain('robot');
});

test('a source that is down is shown so, and is behind the others in order', async () => {
  first.isDown = true;
  for (let tries = 0; tries < 8; tries++) await fetch(`${server.url}/v2/library/absent${tries}/manifests/1`);
  const [registry] = z.array(registrySourcesSchema).parse((await send(server, '/sources')).json());
  expect(registry?.sources.map((source) => source.url)).toEqual([second.url, first.url]);
  expect(registry?.sources.at(-1)).toMatchObject({ state: 'open', lastVerdict: 'server-error' });
  expect(registry?.sources.at(-1)?.blockedForMs).toBeGreaterThan(0);
});

test('an image that makes no sense is refused by name, tag and digest', async () => {
  for (const [name, code] of [
    ['UPPER', 'NAME_INVALID'],
    ['app:-x', 'TAG_INVALID'],
    ['app@sha256:12', 'DIGEST_INVALID'],
    ['', 'BAD_REQUEST'],
  ] as const) {
    const answer = await send(server, `/explain?image=${encodeURIComponent(name)}`);
    expect(answer.status).toBe(400);
    expect(codeOf(answer)).toBe(code === 'TAG_INVALID' ? 'MANIFEST_INVALID' : code);
  }
  expect((await send(server, '/explain')).status).toBe(400);
  expect((await send(server, '/explain?image=a&image=b')).status).toBe(400);
});
