// Which mirror, project and repository a requested name means, as clients write it: Docker's registry-mirrors, containerd's `ns=` and
// override_path, podman's prefix. A local project shadows and never falls through; an overlay shows both its halves, and to a pusher only
// what is here. design section 4; wire.md 2.1; fault F65.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { type FakeSource, startFakeSource } from './fake-source.ts';
import { basic, pull, startServer } from './harness.ts';
import { type Content, contentOf, type Image, imageOf, imageType, randomContent } from './images.ts';

let hub: FakeSource;
let quay: FakeSource;
let server: RunningBreakwater;
const upstreamImage = imageOf([2000]);
const upstreamLayer = upstreamImage.layers[0] ?? randomContent(0);
const quayImage = imageOf([3000]);

beforeAll(async () => {
  [hub, quay] = [await startFakeSource(), await startFakeSource()];
  for (const name of ['library/app', 'owner/app', 'library/fresh', 'team-a/app', 'library/shadow']) hub.add(name, upstreamImage, 'v1');
  quay.add('owner/app', quayImage, 'v1');
  server = await startServer({ registries: { 'docker.io': [{ source: hub }], 'quay.io': [{ source: quay }] } });
});
afterAll(async () => {
  await server?.stop();
  await hub?.stop();
  await quay?.stop();
});

async function push(repository: string, image: Image, tag: string): Promise<void> {
  for (const content of [image.config, ...image.layers]) await pushBlob(repository, content);
  const answer = await putManifest(repository, image, tag);
  expect(answer.status).toBe(201);
}
async function pushBlob(repository: string, content: Content): Promise<void> {
  const path = `/v2/${repository}/blobs/uploads/?digest=${content.digest}`;
  expect(
    (await pull(server, path, { method: 'POST', headers: basic(server), body: content.bytes as Uint8Array<ArrayBuffer> })).status,
  ).toBe(201);
}
function putManifest(repository: string, image: Image, tag: string) {
  return pull(server, `/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { ...basic(server), 'content-type': imageType },
    body: image.manifest.bytes as Uint8Array<ArrayBuffer>,
  });
}
async function createProject(name: string, settings: Record<string, unknown>): Promise<void> {
  const answer = await fetch(`${server.url}/api/v2.0/projects`, {
    method: 'POST',
    headers: { ...basic(server), 'content-type': 'application/json' },
    body: JSON.stringify({ project_name: name, ...settings }),
  });
  expect(answer.status).toBe(201);
}

describe('the same image is meant by', () => {
  const shapes: readonly (readonly [shape: string, manifest: string, blobs: string, query: string])[] = [
    ['a plain name', '/v2/library/app', '/v2/library/app', ''],
    ['a short name', '/v2/app', '/v2/app', ''],
    ['ns=docker.io', '/v2/library/app', '/v2/library/app', '?ns=docker.io'],
    ['ns=docker.io and a short name', '/v2/app', '/v2/app', '?ns=docker.io'],
    ['ns=index.docker.io', '/v2/library/app', '/v2/library/app', '?ns=index.docker.io'],
    ['ns=registry-1.docker.io', '/v2/library/app', '/v2/library/app', '?ns=registry-1.docker.io'],
    ['ns= in capitals', '/v2/library/app', '/v2/library/app', '?ns=Docker.IO'],
    ['the registry in the name', '/v2/docker.io/library/app', '/v2/docker.io/library/app', ''],
    ['the registry and a short name', '/v2/docker.io/app', '/v2/docker.io/app', ''],
    ['the registry before /v2/', '/docker.io/v2/library/app', '/docker.io/v2/library/app', ''],
    ['an alias of the registry before /v2/', '/index.docker.io/v2/library/app', '/index.docker.io/v2/library/app', ''],
    ['the registry twice', '/v2/docker.io/library/app', '/v2/docker.io/library/app', '?ns=docker.io'],
  ];
  test.each(shapes)('%s', async (_shape, manifests, blobs, query) => {
    const manifest = await pull(server, `${manifests}/manifests/v1${query}`);
    expect(manifest.status).toBe(200);
    expect(manifest.bytes).toEqual(upstreamImage.manifest.bytes);
    const blob = await pull(server, `${blobs}/blobs/${upstreamLayer.digest}${query}`);
    expect([blob.status, blob.digest]).toEqual([200, upstreamLayer.digest]);
    const head = await pull(server, `${manifests}/manifests/v1${query}`, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.headers.get('content-length')).toBe(String(upstreamImage.manifest.bytes.length));
  });

  test('all of these fetched each thing once, from the repository library/app', () => {
    const asked = hub.requests.map((request) => `${request.method} ${request.path}`);
    expect(asked).toEqual(['GET /v2/library/app/manifests/v1', `GET /v2/library/app/blobs/${upstreamLayer.digest}`]);
    expect(quay.requests).toEqual([]);
  });
});

test('another registry is asked for its own names', async () => {
  for (const path of ['/v2/quay.io/owner/app/manifests/v1', '/quay.io/v2/owner/app/manifests/v1', '/v2/owner/app/manifests/v1?ns=quay.io'])
    expect((await pull(server, path)).bytes).toEqual(quayImage.manifest.bytes);
  expect((await pull(server, '/v2/owner/app/manifests/v1')).bytes).toEqual(upstreamImage.manifest.bytes);
  expect(quay.requests).toHaveLength(1);
});

test('no `library/` is put before the names of another registry', async () => {
  quay.add('tool', quayImage, 'v1');
  expect((await pull(server, '/v2/quay.io/tool/manifests/v1')).status).toBe(200);
  expect(quay.requests.at(-1)?.path).toBe('/v2/tool/manifests/v1');
});

test('a registry that is not configured is denied, and nothing is dialled', async () => {
  const trap = await startFakeSource();
  const before = [hub.requests.length, quay.requests.length];
  for (const path of [
    `/v2/library/app/manifests/v1?ns=${trap.host}`,
    `/${trap.host}/v2/library/app/manifests/v1`,
    `/v2/library/app/manifests/v1?ns=localhost:${new URL(trap.url).port}`,
    '/v2/library/app/manifests/v1?ns=169.254.169.254',
    `/v2/library/app/blobs/${upstreamLayer.digest}?ns=ghcr.io`,
  ]) {
    const answer = await pull(server, path);
    expect([answer.status, answer.code]).toEqual([403, 'DENIED']);
  }
  expect(trap.requests).toEqual([]);
  expect([hub.requests.length, quay.requests.length]).toEqual(before);
  await trap.stop();
});

test('a local project shadows the upstream name and never falls through', async () => {
  expect((await pull(server, '/v2/team-a/app/manifests/v1')).status).toBe(200);
  await createProject('team-a', { public: true });
  const before = hub.requests.length;
  const manifest = await pull(server, '/v2/team-a/app/manifests/v1');
  expect([manifest.status, manifest.code]).toEqual([404, 'MANIFEST_UNKNOWN']);
  const blob = await pull(server, `/v2/team-a/app/blobs/${upstreamLayer.digest}`);
  expect([blob.status, blob.code]).toEqual([404, 'BLOB_UNKNOWN']);
  expect((await pull(server, '/v2/team-a/app/tags/list')).status).toBe(404);
  expect(hub.requests).toHaveLength(before);
  expect((await pull(server, '/v2/team-a/app/manifests/v1?ns=docker.io')).bytes).toEqual(upstreamImage.manifest.bytes);
});

describe('an overlay', () => {
  const own = imageOf([1000]);

  test('gives its own tag before the upstream one, and what is missing from upstream', async () => {
    expect((await pull(server, '/v2/library/shadow/manifests/v1')).bytes).toEqual(upstreamImage.manifest.bytes);
    await push('library/shadow', own, 'v1');
    const before = hub.requests.length;
    expect((await pull(server, '/v2/library/shadow/manifests/v1')).bytes).toEqual(own.manifest.bytes);
    expect(hub.requests).toHaveLength(before);
    hub.add('library/shadow', upstreamImage, 'v2');
    expect((await pull(server, '/v2/library/shadow/manifests/v2')).bytes).toEqual(upstreamImage.manifest.bytes);
    expect((await pull(server, `/v2/library/shadow/blobs/${own.layers[0]?.digest}`)).status).toBe(200);
    expect((await pull(server, `/v2/library/shadow/blobs/${upstreamLayer.digest}`)).status).toBe(200);
    expect((await pull(server, '/v2/docker.io/library/shadow/manifests/v1')).bytes).toEqual(upstreamImage.manifest.bytes);
    const tags = JSON.parse((await pull(server, '/v2/library/shadow/tags/list')).bytes.toString()) as { tags: string[] };
    expect(tags.tags).toEqual(['v1', 'v2']);
  });

  test('confirms to a pusher nothing that exists only upstream', async () => {
    const path = `/v2/library/fresh/blobs/${upstreamLayer.digest}`;
    expect((await pull(server, path, { method: 'HEAD', headers: basic(server) })).status).toBe(404);
    const before = hub.requests.length;
    const mount = await pull(server, `/v2/library/fresh/blobs/uploads/?mount=${upstreamLayer.digest}&from=library/unseen`, {
      method: 'POST',
      headers: basic(server),
    });
    expect(mount.status).toBe(202);
    const manifest = await putManifest('library/fresh', upstreamImage, 'mine');
    expect([manifest.status, manifest.code]).toEqual([400, 'MANIFEST_BLOB_UNKNOWN']);
    expect(hub.requests).toHaveLength(before);
    // An anonymous client, who cannot push, is told of both halves.
    expect((await pull(server, '/v2/library/fresh/manifests/v1')).status).toBe(200);
    expect((await pull(server, path, { method: 'HEAD' })).status).toBe(200);
    expect((await pull(server, path)).digest).toBe(upstreamLayer.digest);
    // Fetched for pullers, it is still not the pusher's.
    expect((await pull(server, path, { method: 'HEAD', headers: basic(server) })).status).toBe(404);
    expect((await putManifest('library/fresh', upstreamImage, 'mine')).status).toBe(400);
  });

  test('pushed content is complete without its upstream', async () => {
    const image = imageOf([contentOf(Buffer.from('all of it is here'))]);
    await push('library/own', image, 'v1');
    await hub.down();
    expect((await pull(server, '/v2/library/own/manifests/v1')).bytes).toEqual(image.manifest.bytes);
    expect((await pull(server, `/v2/library/own/blobs/${image.layers[0]?.digest}`)).status).toBe(200);
    await hub.up();
  });
});

test('nothing can be pushed to a mirror', async () => {
  const answer = await pull(server, '/v2/docker.io/library/app/blobs/uploads/', { method: 'POST', headers: basic(server) });
  expect(answer.status).toBe(405);
  const rooted = await pull(server, '/v2/nobody/app/blobs/uploads/', { method: 'POST', headers: basic(server) });
  expect(rooted.status).toBe(404);
  expect(rooted.message).toContain('project');
});

test('nothing failed unforeseen', () => {
  expect(server.logs()).not.toContain('"level":"error"');
});
