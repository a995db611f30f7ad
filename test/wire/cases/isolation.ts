// A digest is readable only through a repository that holds it, whoever asks; and what is private looks the same whether it exists or not.
// Implements distribution-spec v1.1 "Pulling blobs" ("in the repository").

import { blobPath, manifestPath, pushBlob, pushImage, putManifestRequest, uploadsPath } from '../actions.ts';
import type { WireResponse } from '../client.ts';
import { describe, imageIndex, imageManifest, mediaTypes, randomBlob, unknownDigest } from '../content.ts';
import { check, expectError, expectStatus } from '../expect.ts';
import { type CaseContext, requireLogin, spec, type WireCase } from '../wire-case.ts';

const blobs = spec('Pulling blobs (only through a repository that holds it)', 'end-2');
const manifests = spec('Pulling manifests (only through a repository that holds it)', 'end-3');
const references = spec('Push (MANIFEST_BLOB_UNKNOWN)', 'end-7');
const hidden = 'Breakwater access model: a private project answers alike for what exists and what does not, end-1 to end-14';

export const isolationCases: readonly WireCase[] = [
  {
    id: 'isolation.blob-of-another-repository-answers-404',
    level: 'MUST',
    clause: blobs,
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(100), context.repositoryNamed('holder'));
      await pushBlob(context, randomBlob(10));
      const path = blobPath(context.repository, blob.digest);
      expectError(await context.send({ method: 'GET', path }), 404, 'BLOB_UNKNOWN');
      expectStatus(await context.send({ method: 'HEAD', path }), 404);
      expectStatus(await context.send({ method: 'GET', path, headers: [['Range', 'bytes=0-0']] }), 404);
    },
  },
  {
    id: 'isolation.manifest-of-another-repository-answers-404',
    level: 'MUST',
    clause: manifests,
    run: async (context) => {
      const { manifest } = await pushImage(context, { repository: context.repositoryNamed('holder'), reference: 'v1' });
      await pushImage(context, { reference: 'own' });
      const path = manifestPath(context.repository, manifest.digest);
      expectError(await context.send({ method: 'GET', path, headers: [['Accept', mediaTypes.image]] }), 404, 'MANIFEST_UNKNOWN');
      expectStatus(await context.send({ method: 'HEAD', path, headers: [['Accept', mediaTypes.image]] }), 404);
    },
  },
  {
    id: 'isolation.manifest-cannot-refer-to-a-blob-of-another-repository',
    level: 'PROMISE',
    clause: references,
    run: async (context) => {
      const layer = await pushBlob(context, randomBlob(100), context.repositoryNamed('holder'));
      const config = await pushBlob(context, randomBlob(20, { mediaType: mediaTypes.config }));
      const manifest = imageManifest({ config, layers: [layer] });
      expectError(await context.send(putManifestRequest(context.repository, 'v1', manifest)), [400, 404], 'MANIFEST_BLOB_UNKNOWN');
      expectStatus(await context.send({ method: 'GET', path: blobPath(context.repository, layer.digest) }), 404);
    },
  },
  {
    id: 'isolation.index-cannot-refer-to-a-manifest-of-another-repository',
    level: 'PROMISE',
    clause: references,
    run: async (context) => {
      const { manifest } = await pushImage(context, { repository: context.repositoryNamed('holder') });
      const index = imageIndex([describe(manifest)]);
      expectError(await context.send(putManifestRequest(context.repository, 'v1', index)), [400, 404], 'MANIFEST_BLOB_UNKNOWN');
    },
  },
  {
    id: 'isolation.mount-from-a-repository-that-does-not-hold-it',
    level: 'PROMISE',
    clause: spec('Mounting a blob from another repository', 'end-11'),
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(100), context.repositoryNamed('holder'));
      const source = context.repositoryNamed('source');
      await pushBlob(context, randomBlob(10), source);
      expectStatus(await context.send(mountRequest(context.repository, blob.digest, source)), 202);
      expectStatus(await context.send({ method: 'GET', path: blobPath(context.repository, blob.digest) }), 404);
    },
  },
  {
    id: 'isolation.deleting-elsewhere-does-not-bring-it-back',
    level: 'PROMISE',
    clause: blobs,
    run: async (context) => {
      const other = context.repositoryNamed('other');
      const blob = await pushBlob(context, randomBlob(100));
      await pushBlob(context, blob, other);
      expectStatus(await context.send({ method: 'DELETE', path: blobPath(context.repository, blob.digest) }), 202);
      expectStatus(await context.send({ method: 'GET', path: blobPath(other, blob.digest) }), 200);
      expectStatus(await context.send({ method: 'GET', path: blobPath(context.repository, blob.digest) }), 404);
    },
  },
  {
    id: 'private.anonymous-client-cannot-tell-what-exists',
    level: 'PROMISE',
    clause: hidden,
    run: async (context) => {
      const existing = context.privateRepository();
      const { manifest, layer } = await pushImage(context, { repository: existing, reference: 'v1' });
      const absent = `${existing}-x`;
      const digest = unknownDigest();
      const pairs: [string, string][] = [
        [manifestPath(existing, 'v1'), manifestPath(absent, 'v1')],
        [manifestPath(existing, manifest.digest), manifestPath(absent, digest)],
        [blobPath(existing, layer.digest), blobPath(absent, digest)],
        [`/v2/${existing}/tags/list`, `/v2/${absent}/tags/list`],
        [`/v2/${existing}/referrers/${manifest.digest}`, `/v2/${absent}/referrers/${digest}`],
      ];
      for (const method of ['GET', 'HEAD']) {
        for (const [known, unknown] of method === 'GET' ? pairs : pairs.slice(0, 3)) {
          const one = await context.send({ method, path: known, as: 'anonymous' });
          const other = await context.send({ method, path: unknown, as: 'anonymous' });
          expectStatus(one, 401);
          const names = [existing, absent];
          check(
            fingerprint(one, names) === fingerprint(other, names),
            `${one.title} differs from ${other.title}:\n${fingerprint(one, names)}\n${fingerprint(other, names)}`,
          );
        }
      }
    },
  },
  {
    id: 'private.anonymous-token-does-not-open-it',
    level: 'PROMISE',
    clause: hidden,
    run: async (context) => {
      await requireLogin(context);
      const repository = context.privateRepository();
      await pushImage(context, { repository, reference: 'v1' });
      const { token } = await context.client.requestToken({ scopes: [`repository:${repository}:pull`] });
      const as = token === undefined ? 'anonymous' : { authorization: `Bearer ${token}` };
      expectError(await context.send({ method: 'GET', path: manifestPath(repository, 'v1'), as }), 401, ['UNAUTHORIZED', 'DENIED']);
    },
  },
  {
    id: 'private.is-not-mounted-by-a-token-without-its-scope',
    level: 'PROMISE',
    clause: spec('Mounting a blob from another repository', 'end-11'),
    run: async (context) => {
      const login = await requireLogin(context);
      const source = context.privateRepository();
      const blob = await pushBlob(context, randomBlob(100), source);
      const { token } = await context.client.requestToken({ scopes: [`repository:${context.repository}:pull,push`], ...login });
      const request = { ...mountRequest(context.repository, blob.digest, source), as: { authorization: `Bearer ${String(token)}` } };
      expectStatus(await context.send(request), 202, 401);
      expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, blob.digest) }), 404);
    },
  },
  {
    id: 'private.is-not-in-an-anonymous-catalog',
    level: 'PROMISE',
    clause: hidden,
    run: async (context) => {
      const repository = context.privateRepository();
      await pushImage(context, { repository, reference: 'v1' });
      const before = repository.slice(0, -1);
      const response = await context.send({ method: 'GET', path: `/v2/_catalog?n=5&last=${encodeURIComponent(before)}`, as: 'anonymous' });
      expectStatus(response, 200, 401);
      check(!response.body.includes(`"${repository}"`), `${response.title}: names ${repository}`);
    },
  },
];

function mountRequest(repository: string, digest: string, from: string): Parameters<CaseContext['send']>[0] {
  const path = uploadsPath(repository, `?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`);
  return { method: 'POST', path, alsoRepositories: [from] };
}

/** Everything of an answer that could tell two cases apart, without the names the client sent itself. */
function fingerprint(response: WireResponse, names: readonly string[]): string {
  const varying = /^(?:date|x-request-id|content-length)$/i;
  const headers = response.headers.filter(([name]) => !varying.test(name)).map(([name, value]) => `${name}: ${value}`);
  let text = [String(response.status), ...headers, response.body.toString('utf8')].join('\n');
  for (const name of names.toSorted((one, other) => other.length - one.length)) {
    text = text.replaceAll(name, 'NAME').replaceAll(encodeURIComponent(name), 'NAME');
  }
  return text.replace(/sha256:[0-9a-f]{64}/g, 'DIGEST');
}
