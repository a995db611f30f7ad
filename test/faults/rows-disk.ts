// F50, F52, F53, F56, F57, F64: no network at the start, clients that leave or come all at once, disks that fill up, rot and lose power, and several
// faults at once.

import { expect } from 'bun:test';
import { breakAt, on, status } from '../mirror/fake-source.ts';
import { basic, pull, pullUntilCut, until } from '../mirror/harness.ts';
import { imageOf, randomContent } from '../mirror/images.ts';
import { auditStore, stagedFiles } from '../mirror/stored.ts';
import { pathOf, withRestarts } from './restarts.ts';
import { layerOf, type Row, requireExact } from './row.ts';

const mebibyte = 1024 * 1024;

export const diskRows: readonly Row[] = [
  {
    id: 'F50',
    name: 'offline-boot',
    fact: 'a start with every source away is as quick as any, cached images pull, and another one is a 503 that names the sources',
    run: () =>
      withRestarts(async ({ sources, start }) => {
        const image = imageOf([1000]);
        for (const source of sources) source.add('library/app', image, 'v1');
        const before = await start();
        await requireExact(pull(before, pathOf('manifests/v1')), image.manifest);
        await requireExact(pull(before, pathOf(`blobs/${layerOf(image).digest}`)), layerOf(image));
        await before.stop();
        for (const source of sources) await source.down();
        const startMs = performance.now();
        const server = await start();
        expect(performance.now() - startMs).toBeLessThan(10_000);
        await requireExact(pull(server, pathOf('manifests/v1')), image.manifest);
        await requireExact(pull(server, pathOf(`blobs/${layerOf(image).digest}`)), layerOf(image));
        const absent = await pull(server, pathOf('manifests/v2'));
        expect([absent.status, absent.code]).toEqual([503, 'UNAVAILABLE']);
        for (const source of sources) expect(absent.message).toContain(source.host);
      }),
  },
  {
    id: 'F52',
    name: 'client-abort',
    fact: 'the fetch of a client that left goes on, and the next client is served from here',
    sources: ['authority'],
    run: async ({ first, server, serve, get, path }) => {
      const image = serve([20 * mebibyte]);
      const layer = layerOf(image);
      expect((await get(`manifests/${image.manifest.digest}`)).status).toBe(200);
      first.rule(on(layer.digest, (answer) => ({ ...answer, bytesPerSecond: 30 * mebibyte })));
      const leaving = new AbortController();
      const response = await fetch(`${server.url}${path(`blobs/${layer.digest}`)}`, { signal: leaving.signal });
      await response.body?.getReader().read();
      leaving.abort();
      await until(() => first.bytes(layer.digest) === 20 * mebibyte, 30_000);
      await requireExact(get(`blobs/${layer.digest}`), layer);
      expect([first.count(layer.digest), first.bytes(layer.digest)]).toEqual([1, 20 * mebibyte]);
    },
  },
  {
    id: 'F53',
    name: 'herd',
    fact: 'a hundred clients of one cold digest cost one download',
    sources: ['authority', 'authority'],
    run: async ({ sources, serve, get }) => {
      const image = serve([9 * mebibyte, 1_000_000]);
      expect((await get(`manifests/${image.manifest.digest}`)).status).toBe(200);
      for (const [place, clients] of [20, 100].entries()) {
        const layer = layerOf(image, place);
        await Promise.all(Array.from({ length: clients }, () => requireExact(get(`blobs/${layer.digest}`), layer)));
        expect(sources.reduce((sum, source) => sum + source.bytes(layer.digest), 0)).toBe(layer.bytes.length);
      }
    },
  },
  {
    id: 'F57',
    name: 'gc-race',
    fact: 'a blob that is deleted while it is served ends whole, broken off or as an error, never as an empty or short 200',
    run: async ({ server }) => {
      const layer = randomContent(9 * mebibyte);
      const headers = basic(server);
      const url = `/v2/library/race/blobs/${layer.digest}`;
      for (let round = 0; round < 6; round++) {
        const pushed = await fetch(`${server.url}/v2/library/race/blobs/uploads/?digest=${layer.digest}`, {
          method: 'POST',
          headers,
          body: new Uint8Array(layer.bytes),
        });
        expect(pushed.status).toBe(201);
        const pulls = Array.from({ length: 4 }, () => pullUntilCut(server, url));
        await Bun.sleep(round * 3);
        expect((await fetch(`${server.url}${url}`, { method: 'DELETE', headers })).status).toBe(202);
        for (const pulled of [...(await Promise.all(pulls)), await pullUntilCut(server, url)]) {
          if (pulled.status === 200 && pulled.isWhole) expect(pulled.bytes.equals(layer.bytes)).toBe(true);
          else expect([200, 404]).toContain(pulled.status);
        }
      }
    },
  },
  {
    id: 'F56',
    name: 'crash-mid-fill',
    fact: 'after kill -9 in mid-fetch no half blob is visible and nothing of it is left; the next pull is whole',
    run: () =>
      withRestarts(async ({ sources: [first, second], dataDir, start }) => {
        const image = imageOf([20 * mebibyte]);
        const layer = layerOf(image);
        for (const source of [first, second]) source.add('library/app', image, 'v1');
        for (const source of [first, second]) source.rule(on(layer.digest, breakAt(15 * mebibyte, 'stall')));
        const before = await start();
        await requireExact(pull(before, pathOf('manifests/v1')), image.manifest);
        const cut = pullUntilCut(before, pathOf(`blobs/${layer.digest}`));
        await until(() => first.bytes(layer.digest) === 15 * mebibyte);
        await until(() => stagedFiles(dataDir).length === 1);
        await before.kill();
        expect((await cut).isWhole).toBe(false);
        for (const source of [first, second]) source.clearRules();
        const server = await start();
        expect(auditStore(dataDir)).toEqual([]);
        await until(() => stagedFiles(dataDir).length === 0);
        await requireExact(pull(server, pathOf(`blobs/${layer.digest}`)), layer);
        // Its readers are done a moment before its row is.
        await until(() => auditStore(dataDir).includes(layer.digest));
      }),
  },
  {
    id: 'F64',
    name: 'multi-fault',
    fact: 'the best is down, the second breaks off, the third is limited: the fourth and the cache serve',
    sources: ['digest-only', 'authority', 'digest-only', 'authority'],
    run: async ({ first, second, third, sources, serve, get, pullImage }) => {
      const image = serve([9 * mebibyte, 1000]);
      await first.down();
      second.rule((request) => (request.path.includes('/manifests/') ? status(502)() : undefined));
      second.rule((request, answer) => (request.path.includes('/blobs/') ? breakAt(300, 'end')(answer) : undefined));
      third.rule(on('*', status(429, { 'retry-after': '60' })));
      await pullImage(image);
      expect(sources[3]?.count(layerOf(image).digest)).toBeGreaterThan(0);
      for (const source of sources) await source.down();
      await pullImage(image);
      expect((await get('manifests/v1')).status).toBe(503);
    },
  },
];
