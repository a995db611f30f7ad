// The entry point `/v2/` and what every path owes its callers: coded errors, methods, names.
// Cases here must not need any content. Implements distribution-spec v1.1 "Endpoints" end-1, "Error Codes", "Pulling manifests" (names).

import { blobPath, manifestPath, pushBlob, pushImage, putManifestRequest, uploadsPath } from '../actions.ts';
import { imageManifest, randomBlob, unknownDigest } from '../content.ts';
import { check, expectBytes, expectError, expectHeader, expectSame, expectStatus, expectStrings, requireHeader } from '../expect.ts';
import { spec, type WireCase } from '../wire-case.ts';

const names = spec('Pulling manifests (<name> and <reference>)', 'end-3');
const errors = spec('Error Codes', 'all endpoints');

export const baseCases: readonly WireCase[] = [
  {
    id: 'base.slash-answers-200',
    level: 'MUST',
    clause: spec('Determining support', 'end-1'),
    run: async (context) => {
      expectStatus(await context.send({ method: 'GET', path: '/v2/' }), 200);
    },
  },
  {
    id: 'base.version-header',
    level: 'SHOULD',
    clause: 'Docker Registry HTTP API V2 "API Version Check", end-1',
    run: async (context) => {
      expectHeader(await context.send({ method: 'GET', path: '/v2/' }), 'Docker-Distribution-API-Version', 'registry/2.0');
    },
  },
  {
    id: 'errors.unknown-route-is-a-coded-404',
    level: 'PROMISE',
    clause: errors,
    run: async (context) => {
      expectError(await context.send({ method: 'GET', path: `/v2/${context.repository}/nothing/here` }), 404);
    },
  },
  {
    id: 'errors.head-error-has-no-body',
    level: 'MUST',
    clause: 'RFC 9110 9.3.2, end-2',
    run: async (context) => {
      const response = await context.send({ method: 'HEAD', path: blobPath(context.repository, unknownDigest()), lingerMs: 50 });
      expectStatus(response, 404);
      check(response.excess.length === 0, `${response.title}: ${response.excess.length} bytes follow the answer to HEAD`);
    },
  },
  {
    id: 'errors.method-on-manifest-is-a-coded-405',
    level: 'PROMISE',
    clause: errors,
    run: async (context) => {
      const response = await context.send({ method: 'POST', path: manifestPath(context.repository, 'latest') });
      expectError(response, 405, 'UNSUPPORTED');
    },
  },
  {
    id: 'errors.method-on-blob-is-a-coded-405',
    level: 'PROMISE',
    clause: errors,
    run: async (context) => {
      const response = await context.send({ method: 'PATCH', path: blobPath(context.repository, unknownDigest()) });
      expectError(response, 405, 'UNSUPPORTED');
    },
  },
  {
    id: 'errors.method-on-tags-is-a-coded-405',
    level: 'PROMISE',
    clause: errors,
    run: async (context) => {
      expectError(await context.send({ method: 'DELETE', path: `/v2/${context.repository}/tags/list` }), 405, 'UNSUPPORTED');
    },
  },
  {
    id: 'errors.405-names-the-allowed-methods',
    level: 'MUST',
    clause: 'RFC 9110 15.5.6, end-3',
    run: async (context) => {
      const response = await context.send({ method: 'POST', path: manifestPath(context.repository, 'latest') });
      expectStatus(response, 405);
      const allowed = requireHeader(response, 'Allow').split(/\s*,\s*/);
      check(allowed.includes('GET') && !allowed.includes('POST'), `${response.title}: Allow is ${allowed.join(', ')}`);
    },
  },
  ...badName('uppercase', (prefix) => `${prefix}/Upper`),
  ...badName('empty-component', (prefix) => `${prefix}//double`),
  ...badName('trailing-dash', (prefix) => `${prefix}/trailing-`),
  ...badName('double-dot', (prefix) => `${prefix}/a..b`),
  ...badName('too-long', (prefix) => `${prefix}/${'a'.repeat(256)}`),
  ...badName('encoded-slash', (prefix) => `${prefix}%2fencoded`),
  ...badName('encoded-null', (prefix) => `${prefix}/null%00`),
  {
    id: 'names.dot-segments-never-succeed',
    level: 'PROMISE',
    clause: names,
    run: async (context) => {
      const response = await context.send({ method: 'GET', path: `/v2/${context.repository}/one/../two/tags/list` });
      check(response.status >= 400 && response.status < 500, `${response.title}, expected a 4xx`);
    },
  },
  {
    id: 'names.separators-of-the-grammar-are-allowed',
    level: 'MUST',
    clause: names,
    run: async (context) => {
      const repository = `${context.repository}/a.b_c__d---e/0`;
      const blob = await pushBlob(context, randomBlob(10), repository);
      const response = await context.send({ method: 'GET', path: blobPath(repository, blob.digest) });
      expectStatus(response, 200);
      expectBytes(response, blob.bytes);
    },
  },
  {
    id: 'names.that-look-like-endpoints-are-allowed',
    level: 'MUST',
    clause: names,
    run: async (context) => {
      for (const suffix of ['blobs/uploads', 'manifests/v1', 'tags/list', 'referrers']) {
        const repository = `${context.repository}/${suffix}`;
        const { manifest } = await pushImage(context, { repository, reference: 'v1' });
        const path = manifestPath(repository, 'v1');
        expectBytes(await context.send({ method: 'GET', path, headers: [['Accept', manifest.mediaType]] }), manifest.bytes);
        const listed = await context.send({ method: 'GET', path: `/v2/${repository}/tags/list` });
        expectSame(listed.title, expectStrings(listed, 'tags'), ['v1']);
      }
    },
  },
  {
    id: 'names.tag-of-128-characters-is-allowed',
    level: 'MUST',
    clause: names,
    run: async (context) => {
      const manifest = await smallManifest(context);
      const tag = `_${'Aa9.-_'.repeat(22)}`.slice(0, 128);
      expectStatus(await context.send(putManifestRequest(context.repository, tag, manifest)), 201);
      expectStatus(
        await context.send({ method: 'GET', path: manifestPath(context.repository, tag), headers: [['Accept', manifest.mediaType]] }),
        200,
      );
    },
  },
  {
    id: 'names.tag-of-129-characters-is-refused',
    level: 'MUST',
    clause: names,
    run: async (context) => {
      const manifest = await smallManifest(context);
      expectStatus(await context.send(putManifestRequest(context.repository, 'a'.repeat(129), manifest)), 400, 404);
    },
  },
  {
    id: 'names.tag-with-a-leading-dot-is-refused',
    level: 'MUST',
    clause: names,
    run: async (context) => {
      const manifest = await smallManifest(context);
      expectStatus(await context.send(putManifestRequest(context.repository, '.hidden', manifest)), 400, 404);
    },
  },
  {
    id: 'names.bad-tag-is-a-coded-error',
    level: 'PROMISE',
    clause: errors,
    run: async (context) => {
      const manifest = await smallManifest(context);
      for (const tag of ['a'.repeat(129), '.hidden', 'sha256:baddigest']) {
        expectError(await context.send(putManifestRequest(context.repository, tag, manifest)), [400, 404]);
        expectError(await context.send({ method: 'GET', path: manifestPath(context.repository, tag) }), [400, 404]);
      }
    },
  },
  {
    id: 'names.malformed-digest-is-no-tag',
    level: 'MUST',
    clause: names,
    run: async (context) => {
      const manifest = await smallManifest(context);
      expectStatus(await context.send(putManifestRequest(context.repository, 'sha256:baddigest', manifest)), 400);
      expectStatus(await context.send({ method: 'GET', path: manifestPath(context.repository, 'sha256:baddigest') }), 400, 404);
    },
  },
];

async function smallManifest(context: Parameters<WireCase['run']>[0]): Promise<ReturnType<typeof imageManifest>> {
  const blob = await pushBlob(context, randomBlob(12));
  return imageManifest({ config: blob, layers: [blob] });
}

/** A name outside the grammar is refused when read and when written. */
function badName(kind: string, name: (prefix: string) => string): WireCase[] {
  return [
    {
      id: `names.${kind}-is-refused`,
      level: 'PROMISE',
      clause: names,
      run: async (context) => {
        const repository = name(context.repository);
        const read = await context.send({ method: 'GET', path: `/v2/${repository}/tags/list` });
        expectError(read, [400, 404], 'NAME_INVALID');
        const write = await context.send({ method: 'POST', path: uploadsPath(repository) });
        expectError(write, [400, 404], 'NAME_INVALID');
      },
    },
  ];
}
