// F49, F54, F55: layers that live elsewhere, disks that are full or forget.

import { expect } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFakeSource } from '../mirror/fake-source.ts';
import { type Pulled, pull, startServer, until } from '../mirror/harness.ts';
import { contentOf, type Image, imageOf, imageType, randomContent } from '../mirror/images.ts';
import { auditStore, stagedFiles } from '../mirror/stored.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { pathOf, withRestarts } from './restarts.ts';
import { layerOf, type Row, requireExact } from './row.ts';

const mebibyte = 1024 * 1024;

/** The file that holds a blob. */
function fileOf(dataDir: string, digest: string): string {
  const hex = digest.slice(7);
  const shard = join(dataDir, 'blobs', 'sha256', hex.slice(0, 2));
  const name = readdirSync(shard).find((entry) => entry.startsWith(hex));
  if (name === undefined) throw new Error(`no file holds ${digest}`);
  return join(shard, name);
}

function mountMemory(folder: string): boolean {
  return Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', folder]).exitCode === 0;
}

/** Some containers let nobody mount. */
function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-mount-probe-'));
  const isMounted = mountMemory(folder);
  if (isMounted) Bun.spawnSync(['umount', folder]);
  rmSync(folder, { recursive: true, force: true });
  return isMounted;
}

export const storageRows: readonly Row[] = [
  {
    id: 'F49',
    name: 'foreign-layer',
    fact: 'a layer that its manifest places elsewhere comes from a host on the list, from no other, and is checked and cached',
    run: async () => {
      const [registry, listed, stranger] = await Promise.all([startFakeSource(), startFakeSource(), startFakeSource()]);
      const server = await startServer({
        registries: { 'foreign.test': [{ source: registry }] },
        mirror: { foreign_layers: [listed.url] },
      });
      try {
        const [here, nowhere] = [randomContent(20_000), randomContent(20_000)];
        const layers = [
          { content: here, hosts: [stranger, listed] },
          { content: nowhere, hosts: [stranger] },
        ].map(({ content, hosts }) => {
          for (const host of hosts) host.addBlob('files', content);
          return {
            mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
            digest: content.digest,
            size: content.bytes.length,
            urls: [...hosts.map((host) => `${host.url}/v2/files/blobs/${content.digest}`), 'file:///etc/passwd', 'http://169.254.169.254/'],
          };
        });
        const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: here.digest, size: here.bytes.length };
        const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: imageType, config, layers }));
        const manifest = { ...contentOf(bytes), mediaType: imageType };
        registry.add('library/app', manifest, 'v1');
        await requireExact(pull(server, '/v2/foreign.test/library/app/manifests/v1'), manifest);
        const blob = (digest: string): Promise<Pulled> => pull(server, `/v2/foreign.test/library/app/blobs/${digest}`);
        for (let round = 0; round < 2; round++) await requireExact(blob(here.digest), here);
        expect(listed.count(here.digest)).toBe(1);
        expect((await blob(nowhere.digest)).status).toBe(404);
        expect(stranger.connections()).toBe(0);
      } finally {
        await server.stop();
        for (const source of [registry, listed, stranger]) await source.stop();
      }
    },
  },
  {
    id: 'F54',
    name: 'disk-full',
    fact: 'blobs that find no room are passed on uncached, what is here is served, nothing is damaged, and it recovers by itself',
    needs: () => requireTools('mount', 'umount') && requireRoot() && canMount(),
    run: async () => {
      const volume = mkdtempSync(join(tmpdir(), 'breakwater-full-'));
      expect(mountMemory(volume)).toBe(true);
      const source = await startFakeSource();
      const dataDir = join(volume, 'data');
      mkdirSync(dataDir);
      try {
        const server = await startServer({
          registries: { 'full.test': [{ source }] },
          dataDir,
          limits: { minimum_free: { percent: 0, bytes: '4MiB' } },
        });
        try {
          const url = (image: Image): string => `/v2/full.test/library/app/blobs/${layerOf(image).digest}`;
          const images = [
            imageOf([1000]),
            imageOf([20 * mebibyte]),
            imageOf([20 * mebibyte]),
            imageOf([20 * mebibyte]),
            imageOf([90 * mebibyte]),
          ];
          for (const image of images) {
            source.add('library/app', image);
            await requireExact(pull(server, `/v2/full.test/library/app/manifests/${image.manifest.digest}`), image.manifest);
          }
          for (const image of [...images, ...images]) await requireExact(pull(server, url(image)), layerOf(image));
          const [small, , , last, huge] = images;
          if (small === undefined || last === undefined || huge === undefined) throw new Error('an image is missing');
          expect(source.count(layerOf(small).digest)).toBe(1);
          expect(source.count(layerOf(huge).digest)).toBe(2);
          expect(server.logs()).toContain('mirror.disk-full');
          auditStore(dataDir);
          expect(stagedFiles(dataDir)).toEqual([]);
          expect(Bun.spawnSync(['mount', '-o', 'remount,size=400m', volume]).exitCode).toBe(0);
          await until(async () => {
            await requireExact(pull(server, url(huge)), layerOf(huge));
            return auditStore(dataDir).includes(layerOf(huge).digest);
          }, 30_000);
          const asked = source.count(layerOf(huge).digest);
          await requireExact(pull(server, url(huge)), layerOf(huge));
          expect(source.count(layerOf(huge).digest)).toBe(asked);
        } finally {
          await server.stop();
        }
      } finally {
        Bun.spawnSync(['umount', '-l', volume]);
        await source.stop();
        rmSync(volume, { recursive: true, force: true });
      }
    },
  },
  {
    id: 'F55',
    name: 'cache-bitrot',
    fact: 'a blob whose file lost its end, is gone or has a wrong byte is fetched anew and put in its place, and never given away wrong',
    run: () =>
      withRestarts(async ({ sources: [first], dataDir, start }) => {
        const damages: readonly ((file: string) => void)[] = [
          (file) => writeFileSync(file, readFileSync(file).subarray(0, 400)),
          (file) => rmSync(file),
          (file) => {
            const bytes = readFileSync(file);
            bytes[500] = (bytes[500] ?? 0) ^ 1;
            writeFileSync(file, bytes);
          },
        ];
        const images = damages.map(() => imageOf([1000]));
        const before = await start();
        for (const image of images) {
          first.add('library/app', image);
          await requireExact(pull(before, pathOf(`manifests/${image.manifest.digest}`)), image.manifest);
          await requireExact(pull(before, pathOf(`blobs/${layerOf(image).digest}`)), layerOf(image));
        }
        // What was read lately is not read again at once; after a start everything is.
        await before.stop();
        for (const [place, damage] of damages.entries()) {
          const image = images[place];
          if (image !== undefined) damage(fileOf(dataDir, layerOf(image).digest));
        }
        const server = await start();
        for (const image of images) {
          for (let round = 0; round < 2; round++)
            await requireExact(pull(server, pathOf(`blobs/${layerOf(image).digest}`)), layerOf(image));
          expect(first.count(layerOf(image).digest)).toBe(2);
        }
        await until(() => auditStore(dataDir).length === images.length);
      }),
  },
];
