// Reading manifests: exact bytes, exact type, HEAD parity, tags that move, what is unknown.
// Implements distribution-spec v1.1 "Pulling manifests" and "Checking if content exists in the registry", end-3.

import { manifestPath, prepareImage, pushImage, pushManifest } from '../actions.ts';
import type { WireResponse } from '../client.ts';
import { manifestOfText, mediaTypes, unknownDigest } from '../content.ts';
import { check, expectBytes, expectError, expectHeader, expectStatus } from '../expect.ts';
import { type CaseContext, spec, type WireCase } from '../wire-case.ts';

const pull = spec('Pulling manifests', 'end-3');
const exists = spec('Checking if content exists in the registry', 'end-3');
const exactBytes = spec('Pushing Manifests (exact byte representation)', 'end-3, end-7');

export const manifestReadCases: readonly WireCase[] = [
  {
    id: 'manifest.get-by-tag-gives-the-bytes',
    level: 'MUST',
    clause: pull,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const response = await get(context, 'v1');
      expectStatus(response, 200);
      expectBytes(response, manifest.bytes);
    },
  },
  {
    id: 'manifest.get-by-digest-gives-the-bytes',
    level: 'MUST',
    clause: pull,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const response = await get(context, manifest.digest);
      expectStatus(response, 200);
      expectBytes(response, manifest.bytes);
    },
  },
  {
    id: 'manifest.get-names-its-digest',
    level: 'SHOULD',
    clause: pull,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      for (const reference of ['v1', manifest.digest]) {
        expectHeader(await get(context, reference), 'Docker-Content-Digest', manifest.digest);
      }
    },
  },
  {
    id: 'manifest.get-has-exactly-the-pushed-type',
    level: 'SHOULD',
    clause: pull,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      for (const reference of ['v1', manifest.digest]) {
        expectHeader(await get(context, reference), 'Content-Type', mediaTypes.image);
      }
    },
  },
  {
    id: 'manifest.type-parameters-are-not-given-back',
    level: 'SHOULD',
    clause: pull,
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      await pushManifest(context, { ...manifest, mediaType: `${mediaTypes.image}; charset=utf-8` }, { reference: 'v1' });
      expectHeader(await get(context, 'v1'), 'Content-Type', mediaTypes.image);
    },
  },
  {
    id: 'manifest.odd-formatting-survives',
    level: 'MUST',
    clause: exactBytes,
    run: async (context) => {
      const { manifest } = await prepareImage(context, {
        members: { 'x-own': { ü: ['\u2028', 1e3, null] }, annotations: { z: '1', a: '2' } },
      });
      const text = `\n${JSON.stringify(JSON.parse(manifest.bytes.toString()), null, 3).replaceAll('\n', '\r\n')}\t \n`;
      const odd = await pushManifest(context, manifestOfText(text, mediaTypes.image), { reference: 'v1' });
      expectBytes(await get(context, 'v1'), odd.bytes);
      expectBytes(await get(context, odd.digest), odd.bytes);
    },
  },
  {
    id: 'manifest.is-given-whatever-is-accepted',
    level: 'PROMISE',
    clause: pull,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      for (const accept of [mediaTypes.dockerImage, '*/*', undefined]) {
        const headers = accept === undefined ? [] : [['Accept', accept] as const];
        const response = await context.send({ method: 'GET', path: manifestPath(context.repository, 'v1'), headers });
        expectStatus(response, 200);
        expectBytes(response, manifest.bytes);
        expectHeader(response, 'Content-Type', mediaTypes.image);
      }
    },
  },
  {
    id: 'manifest.head-by-tag-names-size-type-and-digest',
    level: 'MUST',
    clause: exists,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      expectHead(await head(context, 'v1'), manifest.digest, manifest.bytes.length);
    },
  },
  {
    id: 'manifest.head-by-digest-names-size-type-and-digest',
    level: 'MUST',
    clause: exists,
    run: async (context) => {
      const { manifest } = await pushImage(context);
      expectHead(await head(context, manifest.digest), manifest.digest, manifest.bytes.length);
    },
  },
  {
    id: 'manifest.head-has-no-body',
    level: 'MUST',
    clause: exists,
    run: async (context) => {
      await pushImage(context, { reference: 'v1' });
      const response = await head(context, 'v1', 50);
      check(response.excess.length === 0, `${response.title}: ${response.excess.length} bytes follow the answer to HEAD`);
    },
  },
  {
    id: 'manifest.known-etag-answers-304',
    level: 'SHOULD',
    clause: 'RFC 9110 13.1.2 (If-None-Match), end-3',
    run: async (context) => {
      await pushImage(context, { reference: 'v1' });
      const etag = (await get(context, 'v1')).header('etag');
      if (etag === undefined) return;
      const path = manifestPath(context.repository, 'v1');
      const again = (value: string) =>
        context.send({
          method: 'GET',
          path,
          headers: [
            ['Accept', mediaTypes.image],
            ['If-None-Match', value],
          ],
        });
      expectStatus(await again(etag), 304);
      const { manifest } = await pushImage(context, { reference: 'v1' });
      expectBytes(await again(etag), manifest.bytes);
    },
  },
  {
    id: 'manifest.unknown-tag-answers-404',
    level: 'MUST',
    clause: pull,
    run: async (context) => {
      await pushImage(context, { reference: 'v1' });
      expectError(await get(context, 'v2'), 404, 'MANIFEST_UNKNOWN');
      expectStatus(await head(context, 'v2'), 404);
    },
  },
  {
    id: 'manifest.unknown-digest-answers-404',
    level: 'MUST',
    clause: pull,
    run: async (context) => {
      await pushImage(context, { reference: 'v1' });
      const digest = unknownDigest();
      expectError(await get(context, digest), 404, 'MANIFEST_UNKNOWN');
      expectStatus(await head(context, digest), 404);
    },
  },
  {
    id: 'manifest.unknown-repository-answers-404',
    level: 'MUST',
    clause: spec('Pushing Manifests (nonexistent repository)', 'end-3'),
    run: async (context) => {
      expectError(await get(context, 'v1'), 404, ['NAME_UNKNOWN', 'MANIFEST_UNKNOWN']);
    },
  },
  {
    id: 'manifest.blob-is-no-manifest',
    level: 'MUST',
    clause: pull,
    run: async (context) => {
      const { config } = await pushImage(context, { reference: 'v1' });
      expectStatus(await get(context, config.digest), 404);
    },
  },
  {
    id: 'manifest.put-moves-the-tag',
    level: 'MUST',
    clause: pull,
    run: async (context) => {
      const old = await pushImage(context, { reference: 'v1' });
      expectBytes(await get(context, 'v1'), old.manifest.bytes);
      const now = await pushImage(context, { reference: 'v1' });
      expectBytes(await get(context, 'v1'), now.manifest.bytes);
      expectHead(await head(context, 'v1'), now.manifest.digest, now.manifest.bytes.length);
    },
  },
  {
    id: 'manifest.moved-tag-leaves-the-old-one-readable-by-digest',
    level: 'MUST',
    clause: pull,
    run: async (context) => {
      const old = await pushImage(context, { reference: 'v1' });
      await pushImage(context, { reference: 'v1' });
      const response = await get(context, old.manifest.digest);
      expectStatus(response, 200);
      expectBytes(response, old.manifest.bytes);
    },
  },
  {
    id: 'manifest.tags-are-case-sensitive',
    level: 'MUST',
    clause: pull,
    run: async (context) => {
      const lower = await pushImage(context, { reference: 'tag' });
      const upper = await pushImage(context, { reference: 'TAG' });
      expectBytes(await get(context, 'tag'), lower.manifest.bytes);
      expectBytes(await get(context, 'TAG'), upper.manifest.bytes);
      expectStatus(await get(context, 'Tag'), 404);
    },
  },
];

function get(context: CaseContext, reference: string): Promise<WireResponse> {
  return context.send({ method: 'GET', path: manifestPath(context.repository, reference), headers: [['Accept', mediaTypes.image]] });
}

function head(context: CaseContext, reference: string, lingerMs?: number): Promise<WireResponse> {
  const linger = lingerMs === undefined ? {} : { lingerMs };
  const path = manifestPath(context.repository, reference);
  return context.send({ method: 'HEAD', path, headers: [['Accept', mediaTypes.image]], ...linger });
}

function expectHead(response: WireResponse, digest: string, sizeBytes: number): void {
  expectStatus(response, 200);
  expectHeader(response, 'Content-Length', String(sizeBytes));
  expectHeader(response, 'Content-Type', mediaTypes.image);
  expectHeader(response, 'Docker-Content-Digest', digest);
}
