// F1 to F10, F62, F63: names, connections and bodies that break.

import { expect } from 'bun:test';
import { connect } from 'node:net';
import { breakAt, on, stall, startFakeSource, times } from '../mirror/fake-source.ts';
import { pull, startServer } from '../mirror/harness.ts';
import { type Image, imageOf } from '../mirror/images.ts';
import { startBlackHole } from './black-hole.ts';
import { pullWhole, resolverOf, withEngine } from './engine-row.ts';
import { failuresOf, layerOf, type Row, requireExact, timed } from './row.ts';
import { caFile, expiredPem, loopbackPem, otherNamePem } from './upstream.ts';

const mebibyte = 1024 * 1024;
export const connectionRows: readonly Row[] = [
  {
    id: 'F1',
    name: 'dns-nx',
    fact: 'the next source serves at once, and the name is not asked for again',
    run: async () => {
      const names = resolverOf({});
      await withEngine(
        {
          sources: [{ trust: 'digest-only', more: { url: 'http://nowhere.example.com' } }, { trust: 'authority' }],
          resolve: names.resolve,
        },
        async (engine, [lost, next]) => {
          const image = imageOf([1000, 2000]);
          next?.add('library/app', image);
          const [, tookMs] = await timed(() => pullWhole(engine, image));
          expect(tookMs).toBeLessThan(1500);
          expect(names.asked).toEqual(['nowhere.example.com']);
          if (lost !== undefined) expect(engine.health.snapshot(engine.idOf(lost))).toMatchObject({ state: 'open', verdicts: { dns: 1 } });
        },
      );
    },
  },
  {
    id: 'F2',
    name: 'dns-poison',
    fact: 'loopback, metadata and foreign certificates behind a public name are not dialled or not spoken to; the next source serves',
    run: async () => {
      const victim = await startFakeSource();
      const impostor = await startFakeSource({ tls: otherNamePem });
      const names = resolverOf({
        'loop.example.com': '127.0.0.1',
        'bogon.example.com': '169.254.169.254',
        'any.example.com': '0.0.0.0',
        'swapped.example.com': '127.0.0.1',
      });
      const ca = await Bun.file(caFile).text();
      const poisoned = [
        { url: `http://loop.example.com:${victim.port}` },
        { url: 'http://bogon.example.com' },
        { url: `http://any.example.com:${victim.port}` },
        { url: `https://swapped.example.com:${impostor.port}`, allowPrivate: true, tls: { ca, insecure: false } },
      ];
      try {
        await withEngine(
          {
            sources: [...poisoned.map((more) => ({ trust: 'digest-only' as const, more })), { trust: 'authority' }],
            resolve: names.resolve,
          },
          async (engine, sources) => {
            const image = imageOf([1000]);
            for (const source of [victim, impostor, ...sources]) source.add('library/app', image);
            await pullWhole(engine, image);
            expect(victim.connections()).toBe(0);
            expect(impostor.requests).toEqual([]);
            const verdicts = sources.map((source) => engine.health.snapshot(engine.idOf(source)).lastVerdict);
            expect(verdicts).toEqual(['private-address', 'private-address', 'private-address', 'tls', 'ok']);
          },
        );
      } finally {
        await victim.stop();
        await impostor.stop();
      }
    },
  },
  {
    id: 'F4',
    name: 'tls-bad',
    fact: 'an expired, a foreign and an unknown certificate get no request; the pinned authority does',
    run: async () => {
      const [unpinned, pinned] = [await startFakeSource({ tls: loopbackPem }), await startFakeSource({ tls: loopbackPem })];
      const [foreign, expired] = [await startFakeSource({ tls: otherNamePem }), await startFakeSource({ tls: expiredPem })];
      const server = await startServer({
        registries: {
          'tls.test': [
            { source: unpinned, trust: 'digest-only' },
            { source: foreign, trust: 'digest-only', caFile },
            { source: expired, trust: 'digest-only', caFile },
            { source: pinned, caFile },
          ],
        },
      });
      try {
        const image = imageOf([1000]);
        for (const source of [unpinned, foreign, expired, pinned]) source.add('library/app', image, 'v1');
        await requireExact(pull(server, `/v2/tls.test/library/app/manifests/${image.manifest.digest}`), image.manifest);
        await requireExact(pull(server, `/v2/tls.test/library/app/blobs/${layerOf(image).digest}`), layerOf(image));
        for (const source of [unpinned, foreign, expired]) {
          expect(source.requests).toEqual([]);
          expect(await failuresOf(server, source)).toEqual({ tls: 1 });
        }
        expect(pinned.requests.length).toBeGreaterThan(1);
      } finally {
        await server.stop();
        for (const source of [unpinned, foreign, expired, pinned]) await source.stop();
      }
    },
  },
  {
    id: 'F6',
    name: 'body-stall',
    fact: 'after the idle time the next source goes on at the exact byte',
    run: () =>
      withEngine({ sources: [{ trust: 'authority' }, { trust: 'authority' }] }, async (engine, [first, second]) => {
        const image = imageOf([12 * mebibyte]);
        const layer = layerOf(image);
        for (const source of [first, second]) source?.add('library/app', image);
        first?.rule(on(layer.digest, breakAt(9 * mebibyte, 'stall')));
        await pullWhole(engine, image);
        expect(first?.bytes(layer.digest)).toBe(9 * mebibyte);
        expect(second?.bytes(layer.digest)).toBe(3 * mebibyte);
      }),
  },
  {
    id: 'F8',
    name: 'reset-mid',
    fact: 'a reset at any offset is continued by another source, and the digest is right',
    sources: ['authority', 'authority'],
    run: async ({ sources, serve, get }) => {
      const sizeBytes = 3 * mebibyte;
      const image = serve([sizeBytes, sizeBytes, sizeBytes, sizeBytes]);
      expect((await get(`manifests/${image.manifest.digest}`)).status).toBe(200);
      for (const [place, offset] of [1, 70_000, mebibyte + 13, sizeBytes - 1].entries()) {
        const layer = layerOf(image, place);
        for (const source of sources) source.rule(on(layer.digest, times(1, breakAt(offset, 'reset'))));
        await requireExact(get(`blobs/${layer.digest}`), layer);
        const sent = sources.reduce((sum, source) => sum + source.bytes(layer.digest), 0);
        expect(sent).toBeLessThan(2 * sizeBytes + offset);
      }
    },
  },
  {
    id: 'F9',
    name: 'truncated-clean',
    fact: 'an end before Content-Length, and chunks without their end, are continued and never taken for the whole',
    sources: ['authority', 'authority'],
    run: async ({ first, second, serve, get }) => {
      const sizeBytes = 2 * mebibyte;
      const image = serve([sizeBytes, sizeBytes, sizeBytes]);
      expect((await get(`manifests/${image.manifest.digest}`)).status).toBe(200);
      const [byOne, half, chunked] = [layerOf(image, 0), layerOf(image, 1), layerOf(image, 2)];
      first.rule(on(byOne.digest, breakAt(sizeBytes - 1, 'end')));
      first.rule(on(half.digest, breakAt(mebibyte, 'end')));
      first.rule(on(chunked.digest, (answer) => ({ ...breakAt(mebibyte, 'end')(answer), isChunked: true })));
      for (const layer of [byOne, half, chunked]) await requireExact(get(`blobs/${layer.digest}`), layer);
      expect(second.bytes(byOne.digest)).toBe(1);
      expect(second.bytes(half.digest)).toBe(mebibyte);
    },
  },
  {
    id: 'F10',
    name: 'short-length-lie',
    fact: 'a whole answer shorter than the manifest says is refused, and the next source serves',
    sources: ['authority', 'authority'],
    run: async ({ first, second, serve, get }) => {
      const image = serve([2 * mebibyte]);
      const layer = layerOf(image);
      expect((await get(`manifests/${image.manifest.digest}`)).status).toBe(200);
      first.rule(on(layer.digest, (answer) => ({ ...answer, body: answer.body.subarray(0, 5000) })));
      await requireExact(get(`blobs/${layer.digest}`), layer);
      expect(second.bytes(layer.digest)).toBe(2 * mebibyte);
    },
  },
  {
    id: 'F62',
    name: 'slow-client',
    fact: 'one that stops reading holds up neither the others nor the fetch',
    sources: ['authority'],
    run: async ({ first, server, serve, get, path }) => {
      const image = serve([30 * mebibyte]);
      const layer = layerOf(image);
      expect((await get(`manifests/${image.manifest.digest}`)).status).toBe(200);
      const slow = connect({ host: '127.0.0.1', port: server.port });
      slow.write(`GET ${path(`blobs/${layer.digest}`)} HTTP/1.1\r\nHost: a\r\n\r\n`);
      await new Promise<void>((resolve) => slow.once('data', () => resolve()));
      slow.pause();
      await Promise.all(Array.from({ length: 5 }, () => requireExact(get(`blobs/${layer.digest}`), layer)));
      expect(first.bytes(layer.digest)).toBe(30 * mebibyte);
      slow.destroy();
    },
  },
  {
    id: 'F63',
    name: 'keepalive reset',
    fact: 'a pooled connection that the peer closes under a request is replaced by a new one, unseen by the client and by the health',
    sources: ['authority'],
    run: async ({ first, server, serve, pullImage }) => {
      for (const by of ['reset', 'end'] as const) {
        // Whatever comes second on a connection meets its end.
        first.clearRules();
        first.rule((request, answer) => (request.turn === 1 ? undefined : { ...answer, silence: by }));
        for (let round = 0; round < 3; round++) await pullImage(serve([1000]));
      }
      expect(await failuresOf(server, first)).toEqual({});
      expect(first.requests.some((request) => request.turn > 1)).toBe(true);
    },
  },
  {
    id: 'F7',
    name: 'trickle',
    fact: 'a source that only trickles gives place to the next one at the exact byte',
    run: () =>
      withEngine(
        { sources: [{ trust: 'authority' }, { trust: 'authority' }], timings: { floor: { bytesPerSecond: 256 * 1024, windowMs: 400 } } },
        async (engine, [first, second]) => {
          const image = imageOf([3 * mebibyte]);
          const layer = layerOf(image);
          for (const source of [first, second]) source?.add('library/app', image);
          first?.rule(on(layer.digest, (answer) => ({ ...answer, bytesPerSecond: 40_000 })));
          const [, tookMs] = await timed(() => pullWhole(engine, image));
          // Alone it would take over a minute.
          expect(tookMs).toBeLessThan(15_000);
          const [slowly, quickly] = [first?.bytes(layer.digest) ?? 0, second?.bytes(layer.digest) ?? 0];
          expect(slowly).toBeLessThan(mebibyte);
          expect(slowly + quickly).toBeLessThan(layer.bytes.length + mebibyte);
        },
      ),
  },
  {
    id: 'F3',
    name: 'connect-blackhole',
    fact: 'a source whose packets are dropped costs less than its connect timeout, and the next pull nothing',
    run: async () => {
      await using hole = await startBlackHole();
      const honest = await startFakeSource();
      const server = await startServer({
        registries: { 'hole.test': [{ source: { ...honest, url: hole.url }, trust: 'digest-only' }, { source: honest }] },
      });
      try {
        const [image, later] = [imageOf([1000]), imageOf([1000])];
        for (const one of [image, later]) honest.add('library/app', one);
        const pullThrough = async (one: Image): Promise<void> => {
          await requireExact(pull(server, `/v2/hole.test/library/app/manifests/${one.manifest.digest}`), one.manifest);
          await requireExact(pull(server, `/v2/hole.test/library/app/blobs/${layerOf(one).digest}`), layerOf(one));
        };
        const [, tookMs] = await timed(() => pullThrough(image));
        expect(tookMs).toBeLessThan(4500);
        const [, laterMs] = await timed(() => pullThrough(later));
        expect(laterMs).toBeLessThan(1500);
      } finally {
        await server.stop();
        await honest.stop();
      }
    },
  },
  {
    id: 'F5',
    name: 'ttfb-stall',
    fact: 'a source that takes connections and says nothing is overtaken by the next long before its timeout',
    sources: ['digest-only', 'authority'],
    run: async ({ first, serve, get, pullImage }) => {
      const image = serve([1000, 9 * mebibyte]);
      first.rule(on('*', stall));
      const [, tookMs] = await timed(() => pullImage(image));
      // One manifest and two blobs, each with ten seconds to its timeout.
      expect(tookMs).toBeLessThan(9000);
      expect((await get('manifests/v1')).digest).toBe(image.manifest.digest);
      const [, laterMs] = await timed(() => pullImage(serve([1000])));
      expect(laterMs).toBeLessThan(3000);
    },
  },
];
