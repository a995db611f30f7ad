// F11 to F16, F40 to F42, F48, F61: answers that are not what they claim to be.

import { expect } from 'bun:test';
import { type Answer, flipByte, html, on, type SourceRequest, status } from '../mirror/fake-source.ts';
import { pullUntilCut } from '../mirror/harness.ts';
import { contentOf, imageOf, imageType } from '../mirror/images.ts';
import { auditStore } from '../mirror/stored.ts';
import { failuresOf, layerOf, type Row, requireExact, verdictsOf } from './row.ts';
import { asGzip } from './upstream.ts';

const mebibyte = 1024 * 1024;
const isGet = (request: SourceRequest): boolean => request.method === 'GET';

export const lieRows: readonly Row[] = [
  {
    id: 'F11',
    name: 'wrong-bytes',
    fact: 'one flipped byte never comes to a clean end; the liar is quarantined, the retry is right, the store is clean',
    sources: ['authority', 'authority'],
    run: async ({ first, second, server, serve, get, path, state }) => {
      const image = serve([12 * mebibyte, 3 * mebibyte]);
      const [large, small] = [layerOf(image, 0), layerOf(image, 1)];
      expect((await get(`manifests/${image.manifest.digest}`)).status).toBe(200);
      first.rule(on(large.digest, flipByte(-1)));
      first.rule(on(small.digest, flipByte(1000)));
      const cut = await pullUntilCut(server, path(`blobs/${large.digest}`));
      expect(cut.isWhole && !cut.bytes.equals(large.bytes)).toBe(false);
      expect(cut.bytes.length < large.bytes.length || cut.bytes.equals(large.bytes)).toBe(true);
      await requireExact(get(`blobs/${large.digest}`), large);
      await requireExact(get(`blobs/${small.digest}`), small);
      expect(await state(first)).toBe('quarantined');
      expect(await state(second)).toBe('up');
      expect(auditStore(server.dataDir)).toContain(large.digest);
    },
  },
  {
    id: 'F12',
    name: 'wrong-digest-header',
    fact: 'a manifest that is not the digest its header names is refused, and the next authority asked',
    sources: ['authority', 'authority'],
    run: async ({ first, serve, get, attempts }) => {
      const image = serve([100]);
      const other = imageOf([100]);
      const headers = { 'content-type': imageType, 'docker-content-digest': other.manifest.digest };
      first.rule((request, answer) => (isGet(request) ? { ...answer, headers } : undefined));
      await requireExact(get('manifests/v1'), image.manifest);
      expect(verdictsOf(await attempts(':v1'), first)).toContain('wrong-digest');
    },
  },
  {
    id: 'F13',
    name: 'no-digest-header',
    fact: 'the digest is computed, and the right header goes out',
    sources: ['authority'],
    run: async ({ first, serve, get }) => {
      const image = serve([100]);
      first.rule((request, answer) =>
        request.path.includes('/manifests/') ? { ...answer, headers: { ...answer.headers, 'docker-content-digest': '' } } : undefined,
      );
      for (let round = 0; round < 2; round++) {
        const answer = await get('manifests/v1');
        expect([answer.status, answer.headers.get('docker-content-digest')]).toEqual([200, image.manifest.digest]);
        expect(answer.digest).toBe(image.manifest.digest);
        expect(answer.headers.get('warning')).toBeNull();
      }
    },
  },
  {
    id: 'F14',
    name: 'html-200 manifest',
    fact: 'a page is no manifest: the next source serves and this one is not asked again',
    sources: ['digest-only', 'authority'],
    run: async ({ first, serve, get }) => {
      const [image, later] = [serve([100]), serve([100])];
      first.rule(on('*', html));
      await requireExact(get(`manifests/${image.manifest.digest}`), image.manifest);
      const asked = first.requests.length;
      await requireExact(get(`manifests/${later.manifest.digest}`), later.manifest);
      expect(first.requests.length).toBe(asked);
    },
  },
  {
    id: 'F15',
    name: 'html-200 blob',
    fact: 'a page dressed up as a blob fails by size or digest, and the next source serves',
    sources: ['digest-only', 'authority'],
    run: async ({ first, serve, get }) => {
      const image = serve([1000, 2000]);
      const page = (body: Buffer): Answer => ({ status: 200, headers: { 'content-type': 'application/octet-stream' }, body });
      const [short, padded] = [layerOf(image, 0), layerOf(image, 1)];
      first.rule(on(short.digest, () => page(html().body)));
      first.rule(on(padded.digest, (answer) => page(Buffer.concat([html().body, Buffer.alloc(answer.body.length - html().body.length)]))));
      expect((await get(`manifests/${image.manifest.digest}`)).status).toBe(200);
      for (const layer of [short, padded]) await requireExact(get(`blobs/${layer.digest}`), layer);
    },
  },
  {
    id: 'F16',
    name: 'json-error-200',
    fact: 'an error document with status 200 is neither a manifest nor a blob',
    sources: ['digest-only', 'authority'],
    run: async ({ first, serve, pullImage }) => {
      const image = serve([1000]);
      first.rule(on('*', status(200, {}, '{"errors":[{"code":"UNKNOWN","message":"rate exceeded"}]}')));
      await pullImage(image);
      expect(first.requests.length).toBeGreaterThan(0);
    },
  },
  {
    id: 'F40',
    name: 'gzip-manifest',
    fact: 'a compressed manifest is decoded for its digest and goes out as it was signed',
    sources: ['authority'],
    run: async ({ first, serve, get }) => {
      const image = serve([100]);
      first.rule((request, answer) => (request.path.includes('/manifests/') && isGet(request) ? asGzip(answer) : undefined));
      for (const reference of [image.manifest.digest, 'v1']) {
        const answer = await get(`manifests/${reference}`);
        await requireExact(Promise.resolve(answer), image.manifest);
        expect(answer.headers.get('content-encoding')).toBeNull();
      }
    },
  },
  {
    id: 'F41',
    name: 'schema1-downconvert',
    fact: 'a schema 1 manifest is no answer to a tag: the next source is asked',
    sources: ['authority', 'authority'],
    run: async ({ first, serve, get }) => {
      const image = serve([100]);
      const old = contentOf(Buffer.from(JSON.stringify({ schemaVersion: 1, name: 'library/app', tag: 'v1', fsLayers: [], history: [] })));
      const headers = { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws', 'docker-content-digest': old.digest };
      first.rule(on('/manifests/v1', (answer) => ({ ...answer, headers, body: old.bytes })));
      const answer = await get('manifests/v1');
      await requireExact(Promise.resolve(answer), image.manifest);
      expect(answer.headers.get('content-type')).toBe(imageType);
    },
  },
  {
    id: 'F42',
    name: 'ctype-param',
    fact: 'the media type is read from the manifest, and goes out bare',
    sources: ['authority'],
    run: async ({ first, serve, get }) => {
      const image = serve([100]);
      first.rule((request, answer) =>
        request.path.includes('/manifests/')
          ? { ...answer, headers: { ...answer.headers, 'content-type': 'application/json; charset=utf-8' } }
          : undefined,
      );
      for (const reference of ['v1', image.manifest.digest]) {
        const answer = await get(`manifests/${reference}`);
        expect([answer.digest, answer.headers.get('content-type')]).toEqual([image.manifest.digest, imageType]);
      }
    },
  },
  {
    id: 'F61',
    name: 'huge-manifest',
    fact: 'a manifest without end is cut off at its limit, and the next source serves',
    sources: ['digest-only', 'authority'],
    run: async ({ first, server, serve, get }) => {
      const image = serve([100]);
      const endless = Buffer.alloc(50 * mebibyte, 32);
      first.rule((request, answer) => ({ ...answer, body: endless, isChunked: request.path.includes('/manifests/') }));
      await requireExact(get(`manifests/${image.manifest.digest}`), image.manifest);
      // What was on its way when the limit was reached, socket buffers included.
      expect(first.bytes(image.manifest.digest)).toBeLessThan(20 * mebibyte);
      expect(await failuresOf(server, first)).toEqual({ 'too-large': 1 });
    },
  },
  {
    id: 'F48',
    name: 'head-get-mismatch',
    fact: 'a HEAD that names another digest than the manifest the source gives is not followed into nothing',
    sources: ['authority'],
    run: async ({ first, serve, get }) => {
      const old = serve([100]);
      await requireExact(get('manifests/v1'), old.manifest);
      const image = serve([200]);
      const nowhere = imageOf([300]).manifest.digest;
      first.rule((request, answer) =>
        request.path.endsWith('/manifests/v1') && !isGet(request)
          ? { ...answer, headers: { ...answer.headers, 'docker-content-digest': nowhere } }
          : undefined,
      );
      await requireExact(get('manifests/v1'), image.manifest);
    },
  },
];
