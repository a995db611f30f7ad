// A pull that outlives its source: podman pulls a several-hundred-MB image through Breakwater while the first of two upstream registries
// is killed in the middle of a body; then both are down; then Breakwater starts with no upstream at all.
// The kill happens after a random number of body bytes. BREAKWATER_KILL_CYCLES says how often, BREAKWATER_KILL_BYTES repeats one.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { imageTools, type TestImages, testImages } from '../images/test-images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { count, requireRoot, requireTools } from '../support/requirements.ts';
import { breakwater, type Explanation, explain } from './breakwater-cli.ts';
import { type DockerHub, startDockerHub } from './docker-hub.ts';
import { expectedIdentity } from './expected-identity.ts';
import type { Delivery } from './killable-source.ts';
import { blobsOf, graphOf, taggedManifest } from './layout-content.ts';
import { mirrorConfig } from './mirror-config.ts';
import { createPodman, dockerHubMirrorConfig } from './podman.ts';
import { createRawClient, type FetchedManifest, getManifest, type RawClient } from './raw-client.ts';
import { auditStoredBlobs, unfinishedObjects } from './stored-blobs.ts';

const ready = requireTools(...imageTools, 'podman', 'docker-registry') && requireRoot();
const cycles = count({ quick: 2, full: 12, env: 'BREAKWATER_KILL_CYCLES' });
const mebibyte = 1024 * 1024;
const bigImage = 'docker.io/library/big:256m';
const revalidateTimeoutMs = 2000;

type Trust = 'authority' | 'digest-only';

/** Kill points spread over the whole image, a random one in each part; the source that dies is an authority and a mere mirror in turn. */
const kills = Array.from({ length: cycles }, (_, index): readonly [trust: Trust, killAfterBytes: number] => {
  const fixed = Number(process.env['BREAKWATER_KILL_BYTES'] ?? '');
  const partBytes = Math.floor((360 * mebibyte) / cycles);
  const killAfterBytes = fixed > 0 ? fixed : index * partBytes + 1 + Math.floor(Math.random() * (partBytes - 1));
  return [index % 2 === 0 ? 'digest-only' : 'authority', killAfterBytes];
});

describe.skipIf(!ready)('a mirror whose sources die', () => {
  let images: TestImages;
  let hub: DockerHub;
  let server: RunningBreakwater;
  let dataDir: string;

  beforeAll(async () => {
    images = await testImages();
    hub = await startDockerHub(images, [
      ['big', '256m'],
      ['debian', 'v1'],
    ]);
  }, 300_000);

  afterAll(async () => {
    await server?.stop();
    await hub?.stop();
    if (dataDir !== undefined) rmSync(dataDir, { recursive: true, force: true });
  }, 60_000);

  /** Starts a server on the data folder; the first source is trusted as given, the second is an authority. */
  const start = (trust: Trust = 'authority'): Promise<RunningBreakwater> => {
    const sources = hub.sources.map((source, index) => (index === 0 ? { ...source, trust } : source));
    return startBreakwater({ dataDir, config: mirrorConfig({ registries: { 'docker.io': sources }, tagTtl: '1s' }) });
  };

  const pullsBigImage = async (): Promise<void> => {
    const running = createPodman(images, dockerHubMirrorConfig(`127.0.0.1:${server.port}/docker.io`));
    try {
      await running.podman('pull', '--quiet', bigImage);
      expect((await running.image(bigImage)).id).toBe(expectedIdentity(images, 'big', '256m').id);
    } finally {
      running.close();
    }
  };

  test.each(kills)(
    'podman pulls 365 MiB although the first source, trusted as %s, is killed after %d body bytes; explain tells who sent which bytes',
    async (trust, killAfterBytes) => {
      await server?.stop();
      if (dataDir !== undefined) rmSync(dataDir, { recursive: true, force: true });
      dataDir = mkdtempSync(join(tmpdir(), 'breakwater-mirror-'));
      await hub.revive();
      server = await start(trust);
      hub.first.killAfter(killAfterBytes);
      await pullsBigImage();
      expect(hub.first.isDown()).toBe(true);
      expect(hub.first.deliveries().reduce((sum, delivery) => sum + delivery.to - delivery.from, 0)).toBe(killAfterBytes);

      const explanation = await explain(server, bigImage);
      expectWholeBlobs(explanation, images);
      expect(deliveriesOf(explanation)).toEqual(joinDeliveries([...hub.first.deliveries(), ...hub.second.deliveries()]));
      const stored = await auditStoredBlobs(dataDir);
      expect(stored.wrong).toEqual([]);
      for (const blob of blobsOf(graphOf(images.layout('big'), taggedManifest(images.layout('big'), '256m')))) {
        expect(stored.sound.get(blob.digest)).toBe(blob.size);
      }
      expect(unfinishedObjects(dataDir)).toEqual([]);
    },
    180_000,
  );

  test('with both sources killed podman pulls the cached image again', async () => {
    for (const source of [hub.first, hub.second]) await source.kill();
    await pullsBigImage();
  }, 120_000);

  test('with both sources silent a cached tag comes within the deadline and half a second, and at once when repeated', async () => {
    await server.stop();
    await hub.revive();
    for (const source of [hub.first, hub.second]) source.silence();
    server = await start();
    await Bun.sleep(1100);
    const first = await timedManifest('library/big', '256m');
    expect(first.answer.status).toBe(200);
    expect(first.answer.headers.get('warning')).toMatch(/^299 /);
    expect(first.tookMs).toBeGreaterThan(revalidateTimeoutMs / 2);
    expect(first.tookMs).toBeLessThan(revalidateTimeoutMs + 500);
    for (let repeat = 0; repeat < 3; repeat++) {
      const again = await timedManifest('library/big', '256m');
      expect(again.answer.status).toBe(200);
      expect(again.answer.headers.get('docker-content-digest')).toBe(expectedIdentity(images, 'big', '256m').digest);
      expect(again.tookMs).toBeLessThan(200);
    }
  }, 30_000);

  test('with both sources killed a cached tag comes as soon, and an unknown one is a 503 with its reason in one line', async () => {
    for (const source of [hub.first, hub.second]) await source.kill();
    await Bun.sleep(1100);
    const cached = await timedManifest('library/big', '256m');
    expect(cached.answer.status).toBe(200);
    expect(cached.tookMs).toBeLessThan(revalidateTimeoutMs + 500);
    const unknown = await getManifest(client(), { repository: 'docker.io/library/debian', reference: 'never-seen' });
    expect(unknown.status).toBe(503);
    const body: { errors: { code: string; message: string }[] } = JSON.parse(Buffer.from(unknown.bytes).toString('utf8'));
    const message = body.errors[0]?.message ?? '';
    expect(message).not.toBe('');
    expect(message).not.toContain('\n');
    for (const source of [hub.first, hub.second]) expect(message).toContain(new URL(source.url).host);
    const uncached = await createPodmanPull('docker.io/library/debian:v1');
    expect(uncached.code).not.toBe(0);

    const failure = (await explain(server, 'docker.io/library/debian:never-seen')).lastFailure;
    expect(failure?.attempts.map((attempt) => attempt.source)).toEqual([hub.first.url, hub.second.url]);
    const listed = await breakwater(server, 'sources', '--json');
    for (const source of [hub.first, hub.second]) expect(listed.stdout).toContain(`"${source.url}"`);
  }, 60_000);

  test('after a restart with no upstream reachable the cached image is pulled', async () => {
    expect(await server.stop()).toBe(0);
    for (const source of [hub.first, hub.second]) expect(source.isDown()).toBe(true);
    const startedAtMs = performance.now();
    server = await start();
    expect(performance.now() - startedAtMs).toBeLessThan(5000);
    await pullsBigImage();
  }, 120_000);

  test('both sources back, an image not seen before is pulled', async () => {
    await hub.revive();
    let result = await createPodmanPull('docker.io/library/debian:v1');
    for (let attempt = 0; attempt < 10 && result.code !== 0; attempt++) {
      await Bun.sleep(2000);
      result = await createPodmanPull('docker.io/library/debian:v1');
    }
    expect(result.code).toBe(0);
  }, 120_000);

  const client = (): RawClient => createRawClient(server.url);

  async function timedManifest(repository: string, reference: string): Promise<{ answer: FetchedManifest; tookMs: number }> {
    const startedAtMs = performance.now();
    const answer = await getManifest(client(), { repository: `docker.io/${repository}`, reference });
    return { answer, tookMs: performance.now() - startedAtMs };
  }

  async function createPodmanPull(name: string): Promise<{ readonly code: number }> {
    const fresh = createPodman(images, dockerHubMirrorConfig(`127.0.0.1:${server.port}/docker.io`));
    try {
      return await fresh.tryPodman(['pull', '--quiet', name]);
    } finally {
      fresh.close();
    }
  }
});

/** Every blob of the image is there, and its segments cover it once, from its first byte to its last. */
function expectWholeBlobs(explanation: Explanation, images: TestImages): void {
  const layout = images.layout('big');
  const expected = blobsOf(graphOf(layout, taggedManifest(layout, '256m')));
  expect(explanation.digest).toBe(taggedManifest(layout, '256m').digest);
  expect(explanation.blobs.map((blob) => [blob.digest, blob.sizeBytes]).sort()).toEqual(
    expected.map((blob) => [blob.digest, blob.size]).sort(),
  );
  for (const blob of explanation.blobs) {
    expect(blob.cached).toBe(true);
    let offset = 0;
    for (const segment of blob.segments) {
      expect(segment.from).toBe(offset);
      offset = segment.to;
    }
    expect(offset).toBe(blob.sizeBytes);
  }
}

function deliveriesOf(explanation: Explanation): readonly Delivery[] {
  return joinDeliveries(explanation.blobs.flatMap((blob) => blob.segments.map((segment) => ({ digest: blob.digest, ...segment }))));
}

/** Sorted by blob and place, without empty ones; what one source delivered in several pieces end to end is one interval. */
function joinDeliveries(deliveries: readonly Delivery[]): readonly Delivery[] {
  const key = (delivery: Delivery): string => `${delivery.digest} ${String(delivery.from).padStart(12, '0')} ${delivery.source}`;
  const joined: Delivery[] = [];
  for (const next of deliveries.filter((delivery) => delivery.to > delivery.from).sort((a, b) => (key(a) < key(b) ? -1 : 1))) {
    const last = joined.at(-1);
    if (last?.digest === next.digest && last.source === next.source && last.to === next.from)
      joined.splice(-1, 1, { ...last, to: next.to });
    else joined.push(next);
  }
  return joined;
}
