// A server that starts with no network and a full store: ready at once, whatever it holds, and every cached image is pulled; what is not cached
// is explained. 1,000 images in the quick run, 10,000 in the long one.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getMeta } from '../../src/db/projects.ts';
import { openSqliteDatabase } from '../../src/db/sqlite.ts';
import { requireDigest } from '../../src/oci/digest.ts';
import { basic, explain, pull } from '../mirror/harness.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { count } from '../support/requirements.ts';

const registry = 'boot.test';
const images = count({ quick: 1000, full: 10_000, env: 'BREAKWATER_BOOT_IMAGES' });
const tagsPerRepository = 10;
/** From the start of the process to its ready line, of a store that holds nothing and of the full one: the best of so many starts. */
const starts = 3;
/** A machine that is slow, or busy with other suites, is slow with nothing, too. */
const readyMaxMs = (emptyMs: number): number => Math.max(1000, 3 * emptyMs);

let dataDir: string;
let hole: Server;
let server: RunningBreakwater;
let emptyMs = 0;
let readyMs = 0;
const held = new Set<Socket>();

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'breakwater-boot-'));
  // Takes connections and never says a word, as a firewall that drops packets behind a proxy.
  hole = createServer((socket) => {
    held.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => hole.listen(0, '127.0.0.1', resolve));
  const address = hole.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const config = JSON.stringify({
    presets: false,
    mirror: { root: registry, tag_ttl: '0s', revalidate_timeout: '300ms', stale_while_revalidate: '0s' },
    registries: {
      [registry]: {
        sources: [
          { url: `http://127.0.0.1:${port}`, trust: 'authority', priority: 1 },
          { url: 'http://127.0.0.1:1', trust: 'digest-only', priority: 2 },
        ],
      },
    },
  });
  await (await startBreakwater({ config, dataDir })).stop();
  emptyMs = await timeStarts(config);
  await fillStore();
  readyMs = await timeStarts(config);
  server = await startBreakwater({ config, dataDir, readyTimeoutMs: 60_000 });
}, 600_000);

async function timeStarts(config: string): Promise<number> {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < starts; turn++) {
    const beganMs = performance.now();
    const started = await startBreakwater({ config, dataDir, readyTimeoutMs: 60_000 });
    bestMs = Math.min(bestMs, performance.now() - beganMs);
    await started.stop();
  }
  return bestMs;
}

afterAll(async () => {
  await server?.stop();
  for (const socket of held) socket.destroy();
  hole?.close();
  if (dataDir !== undefined) rmSync(dataDir, { recursive: true, force: true });
}, 60_000);

interface Made {
  readonly digest: string;
  readonly bytes: Buffer;
}
function made(text: string): Made {
  const bytes = Buffer.from(text);
  return { bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` };
}
const configOf = (image: number): Made => made(JSON.stringify({ architecture: 'amd64', os: 'linux', image }));
const layerOf = (image: number): Made => made(`layer of image ${image}`);
const repositoryOf = (image: number): string => `b/app${Math.floor(image / tagsPerRepository)}`;
const tagOf = (image: number): string => `v${image % tagsPerRepository}`;
function manifestOf(image: number): Made {
  const [config, layer] = [configOf(image), layerOf(image)];
  return made(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: config.bytes.length },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer.digest, size: layer.bytes.length }],
    }),
  );
}

/** As many pulls would have left it, by the commands that pulls use. */
async function fillStore(): Promise<void> {
  const database = await openSqliteDatabase({
    path: join(dataDir, 'db', 'breakwater.sqlite'),
    onFatal: (message) => {
      throw new Error(message);
    },
  });
  expect(await getMeta(database.read, 'first-boot')).toBeDefined();
  const project = await database.read.selectFrom('project').select('id').where('name', '=', registry).executeTakeFirstOrThrow();
  const ids = new Map<string, number>();
  for (let first = 0; first < images; first += 500) {
    const some = Array.from({ length: Math.min(500, images - first) }, (_, index) => first + index);
    await Promise.all(
      [...new Set(some.map(repositoryOf))].map(async (name) => {
        ids.set(name, await database.run('ensureRepository', { projectId: project.id, name: `${registry}/${name}` }));
      }),
    );
    await Promise.all(
      some.flatMap((image) => {
        const repositoryId = ids.get(repositoryOf(image)) ?? 0;
        const [config, layer, manifest] = [configOf(image), layerOf(image), manifestOf(image)];
        const blobs = [config, layer].map(({ digest, bytes }) => {
          const hex = digest.slice(7);
          const storageKey = `sha256/${hex.slice(0, 2)}/${hex}.01boot`;
          writeFileSync(join(dataDir, 'blobs', storageKey), bytes);
          return database.run('recordBlob', {
            repositoryId,
            digest: requireDigest(digest),
            storageKey,
            sizeBytes: bytes.length,
            origin: 'public',
          });
        });
        const references = [
          { digest: requireDigest(config.digest), kind: 'config' as const, sizeBytes: config.bytes.length, required: true },
          { digest: requireDigest(layer.digest), kind: 'layer' as const, sizeBytes: layer.bytes.length, required: true },
        ];
        const stored = database.run('putManifest', {
          repositoryId,
          digest: requireDigest(manifest.digest),
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          annotations: '{}',
          bytes: manifest.bytes,
          references,
          tags: [tagOf(image)],
          completeness: 'mirror',
          tagTrust: 'confirmed',
        });
        return [...blobs, stored];
      }),
    );
  }
  await database.close();
}

describe(`a start with no network and ${images} cached images`, () => {
  test('is ready within a second, or as soon as an empty one where that takes longer', () => {
    console.log(`ready after ${Math.round(readyMs)} ms with ${images} images, after ${Math.round(emptyMs)} ms with none`);
    expect(readyMs).toBeLessThan(readyMaxMs(emptyMs));
  });

  test('cached images are pulled whole, with a word on their age', async () => {
    const chosen = [0, 1, images - 1, ...Array.from({ length: 20 }, (_, index) => Math.floor((images * index) / 20))];
    await Promise.all(
      chosen.map(async (image) => {
        const path = `/v2/${registry}/${repositoryOf(image)}`;
        const manifest = await pull(server, `${path}/manifests/${tagOf(image)}`);
        expect([image, manifest.status, manifest.digest]).toEqual([image, 200, manifestOf(image).digest]);
        expect(manifest.headers.get('warning')).toContain('stale tag');
        for (const { digest } of [configOf(image), layerOf(image)])
          expect((await pull(server, `${path}/blobs/${digest}`)).digest).toBe(digest);
      }),
    );
  }, 120_000);

  test('one that is not cached is refused with a reason, and explain tells it later', async () => {
    const refused = await pull(server, `/v2/${registry}/b/never/manifests/1`);
    expect([refused.status, refused.code]).toEqual([503, 'UNAVAILABLE']);
    const told = await explain(server, `${registry}/b/never:1`);
    expect(told.cached).toBe(false);
    expect(told.lastFailure?.attempts.map((attempt) => attempt.source)).toContain('http://127.0.0.1:1');
  }, 120_000);

  test('all of it is told to be here', async () => {
    const response = await fetch(`${server.url}/api/v2.0/verify?all=true`, { headers: basic(server) });
    const lines = (await response.text()).trim().split('\n');
    expect(lines).toHaveLength(images);
    expect(lines.filter((line) => !line.includes('"complete":true'))).toEqual([]);
  }, 120_000);
});
