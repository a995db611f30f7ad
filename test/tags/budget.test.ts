// What a tag that is pulled a thousand times costs its registry: one request in its TTL, HEADs behind it, nothing for one that is missing until
// somebody pushes it here. Registries count GETs of manifests (wire.md 2.3). faults F25, F26, F47, F48.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type FakeSource, status } from '../mirror/fake-source.ts';
import { basic, pull, startServer, startSources } from '../mirror/harness.ts';
import { type Image, imageOf, imageType } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';

let server: RunningBreakwater;
let sources: Awaited<ReturnType<typeof startSources>>;
beforeAll(async () => {
  sources = await startSources({
    'docker.io': ['authority'],
    'fresh.test': ['authority'],
    'always.test': ['authority'],
    'kept.test': ['authority'],
    'gone.test': ['authority', 'digest-only'],
    'mismatch.test': ['authority'],
  });
  server = await startServer({
    registries: sources.registries,
    mirror: {
      tag_ttl: '0s',
      not_found_ttl: '10m',
      rules: [
        { match: 'fresh.test/**', tag_ttl: '1h' },
        { match: 'kept.test/library/*:v*', on_upstream_delete: 'keep' },
      ],
    },
  });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await sources?.stop();
});

const tagOf = (registry: string, tag = 'v1') => pull(server, `/v2/${registry}/library/app/manifests/${tag}`);
async function pullOften(registry: string, times: number, image: Image): Promise<void> {
  for (let done = 0; done < times; done += 50) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => tagOf(registry)));
    for (const answer of answers) expect([answer.status, answer.digest]).toEqual([200, image.manifest.digest]);
  }
}
const methodsOf = (source: FakeSource): string[] => [...new Set(source.requests.map((request) => request.method))];

test('a thousand pulls in the TTL are one request', async () => {
  const image = imageOf([100]);
  const [hub] = sources.of('fresh.test');
  hub.add('library/app', image, 'v1');
  await pullOften('fresh.test', 1000, image);
  expect(hub.requests).toHaveLength(1);
}, 60_000);

test('pulls behind it are HEADs only', async () => {
  const image = imageOf([100]);
  const [hub] = sources.of('always.test');
  hub.add('library/app', image, 'v1');
  await tagOf('always.test');
  hub.requests.length = 0;
  await pullOften('always.test', 500, image);
  expect(methodsOf(hub)).toEqual(['HEAD']);
}, 60_000);

test('a tag that was missing is there as soon as it is pushed here', async () => {
  const [hub] = sources.of('docker.io');
  for (let times = 0; times < 100; times++) expect((await pull(server, '/v2/library/pushed/manifests/v1')).status).toBe(404);
  expect(hub.requests).toHaveLength(1);
  const image = imageOf([100]);
  for (const { digest, bytes } of [image.config, ...image.layers]) {
    const init = { method: 'POST', headers: basic(server), body: bytes as Uint8Array<ArrayBuffer> };
    expect((await pull(server, `/v2/library/pushed/blobs/uploads/?digest=${digest}`, init)).status).toBe(201);
  }
  const put = {
    method: 'PUT',
    headers: { ...basic(server), 'content-type': imageType },
    body: image.manifest.bytes as Uint8Array<ArrayBuffer>,
  };
  expect((await pull(server, '/v2/library/pushed/manifests/v1', put)).status).toBe(201);
  expect((await pull(server, '/v2/library/pushed/manifests/v1')).digest).toBe(image.manifest.digest);
  expect(hub.requests).toHaveLength(1);
}, 60_000);

test('a tag its registry took away stays away when the registry is down, whatever a mirror has, and is no longer listed', async () => {
  const image = imageOf([100]);
  const [hub, mirror] = sources.of('gone.test');
  for (const source of [hub, mirror]) source.add('library/app', image, 'v1', 'v2');
  for (const tag of ['v1', 'v2']) expect((await tagOf('gone.test', tag)).status).toBe(200);
  hub.rule((request) => (request.path.endsWith('/manifests/v1') ? status(404)() : undefined));
  expect((await tagOf('gone.test')).status).toBe(404);
  await hub.down();
  expect((await tagOf('gone.test')).status).toBe(404);
  const listed = await pull(server, '/v2/gone.test/library/app/tags/list');
  expect(JSON.parse(listed.bytes.toString())).toMatchObject({ tags: ['v2'] });
  expect((await pull(server, `/v2/gone.test/library/app/manifests/${image.manifest.digest}`)).status).toBe(200);
}, 60_000);

test('one that a rule keeps is served with a warning', async () => {
  const image = imageOf([100]);
  const [hub] = sources.of('kept.test');
  hub.add('library/app', image, 'v1');
  expect((await tagOf('kept.test')).status).toBe(200);
  hub.rule((request) => (request.path.endsWith('/manifests/v1') ? status(404)() : undefined));
  for (let times = 0; times < 3; times++) {
    const answer = await tagOf('kept.test');
    expect([answer.status, answer.digest]).toEqual([200, image.manifest.digest]);
    expect(answer.headers.get('warning')).toStartWith('299 - "kept tag, last verified 20');
  }
}, 60_000);

test('a HEAD that names a digest nobody has costs one GET of the tag, whose body is believed', async () => {
  const [before, after] = [imageOf([100]), imageOf([200])];
  const [hub] = sources.of('mismatch.test');
  hub.add('library/app', before, 'v1');
  expect((await tagOf('mismatch.test')).digest).toBe(before.manifest.digest);
  hub.add('library/app', after, 'v1');
  const lie = `sha256:${'c'.repeat(64)}`;
  hub.rule((request, answer) =>
    request.method === 'HEAD' ? { ...answer, headers: { ...answer.headers, 'docker-content-digest': lie } } : undefined,
  );
  const answer = await tagOf('mismatch.test');
  expect([answer.status, answer.digest, answer.headers.get('warning')]).toEqual([200, after.manifest.digest, null]);
}, 60_000);

test('nothing failed unforeseen', () => {
  expect(server.logs()).not.toContain('"level":"error"');
});
