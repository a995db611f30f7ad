// The client against CNCF Distribution as Debian ships it: what a scripted fake would only assume.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { type RunningDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { requireTools } from '../support/requirements.ts';
import { blobOf, calm, calmBlob, collect, failureOf, setUp, sourceAt } from './set-up.ts';

const isReady = requireTools('docker-registry');
const layer = blobOf(3_000_000);
const config = new TextEncoder().encode('{}');
const repository = 'library/real';

async function push(url: string, bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf(bytes);
  const started = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  const location = new URL(started.headers.get('location') ?? '', url);
  location.searchParams.set('digest', digest);
  expect((await fetch(location, { method: 'PUT', body: Uint8Array.from(bytes) })).status).toBe(201);
  return digest;
}

describe.skipIf(!isReady)('a real registry', () => {
  let registry: RunningDockerRegistry;
  let manifest: Uint8Array;
  const type = 'application/vnd.docker.distribution.manifest.v2+json';

  beforeAll(async () => {
    registry = await startDockerRegistry();
    const layers = [
      { mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', size: layer.length, digest: await push(registry.url, layer) },
    ];
    const configDescriptor = {
      mediaType: 'application/vnd.docker.container.image.v1+json',
      size: config.length,
      digest: await push(registry.url, config),
    };
    manifest = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, mediaType: type, config: configDescriptor, layers }, null, 3));
    for (const tag of ['v1', 'v2', 'v3']) {
      const put = await fetch(`${registry.url}/v2/${repository}/manifests/${tag}`, {
        method: 'PUT',
        headers: { 'content-type': type },
        body: Uint8Array.from(manifest),
      });
      expect(put.status).toBe(201);
    }
  });
  afterAll(() => registry.stop());

  test('gives manifests by tag and digest, whole and by their head', async () => {
    await using bench = setUp();
    const source = sourceAt(registry.url, { trust: 'authority' });
    const byTag = await bench.client.getManifest(source, repository, 'v1', calm);
    expect([Buffer.from(byTag.bytes).equals(Buffer.from(manifest)), byTag.digest, byTag.mediaType]).toEqual([
      true,
      digestOf(manifest),
      type,
    ]);
    expect((await bench.client.getManifest(source, repository, byTag.digest, calm)).digest).toBe(byTag.digest);
    expect(await bench.client.headManifest(source, repository, 'v2', calm)).toEqual({
      digest: byTag.digest,
      mediaType: type,
      sizeBytes: manifest.length,
    });
    expect((await failureOf(bench.client.getManifest(source, repository, 'absent', calm))).verdict).toBe('not-found');
    expect((await failureOf(bench.client.headManifest(source, 'no/such', 'v1', calm))).verdict).toBe('not-found');
  });

  test('gives blobs whole and from an offset', async () => {
    await using bench = setUp();
    const source = sourceAt(registry.url);
    const digest = digestOf(layer);
    expect(await bench.client.headBlob(source, repository, digest, calm)).toEqual({ sizeBytes: layer.length });
    const whole = await bench.client.getBlob(source, repository, digest, { ...calmBlob, expectedSizeBytes: layer.length });
    expect(digestOf((await collect(whole.body)).bytes)).toBe(digest);
    const part = await bench.client.getBlob(source, repository, digest, {
      ...calmBlob,
      offset: 1_234_567,
      expectedSizeBytes: layer.length,
    });
    expect([part.startOffset, part.totalBytes]).toEqual([1_234_567, layer.length]);
    expect(Buffer.from((await collect(part.body)).bytes).equals(Buffer.from(layer.subarray(1_234_567)))).toBe(true);
    expect((await failureOf(bench.client.getBlob(source, repository, digest, { ...calmBlob, offset: layer.length }))).verdict).toBe(
      'bad-range',
    );
  });

  test('gives tags, and says that it has no referrers', async () => {
    await using bench = setUp();
    const source = sourceAt(registry.url);
    expect((await bench.client.listTags(source, repository, calm)).tags).toEqual(['v1', 'v2', 'v3']);
    expect(await bench.client.getReferrers(source, repository, digestOf(manifest), calm)).toBeUndefined();
  });

  test('that was killed is refused at once', async () => {
    await using bench = setUp();
    const mortal = await startDockerRegistry();
    const source = sourceAt(mortal.url);
    expect((await failureOf(bench.client.getManifest(source, repository, 'v1', calm))).verdict).toBe('not-found');
    await mortal.kill();
    expect((await failureOf(bench.client.getManifest(source, repository, 'v1', calm))).verdict).toBe('refused');
    await mortal.stop();
  });
});
