// The second digest algorithm everywhere the first one works.
// Implements distribution-spec v1.1 "Pushing blobs" with image-spec "Digests" (sha512), and the main branch's `digest-algorithm`, end-4c.

import {
  blobPath,
  closeRequest,
  manifestPath,
  patchRequest,
  prepare,
  pushBlob,
  pushImage,
  putManifestRequest,
  startUpload,
  uploadsPath,
} from '../actions.ts';
import { type Content, describe, digestOf, imageManifest, mediaTypes, randomBlob, unknownDigest } from '../content.ts';
import { check, expectBytes, expectError, expectHeader, expectJson, expectStatus, requireHeader } from '../expect.ts';
import { type CaseContext, spec, specMain, type WireCase } from '../wire-case.ts';

const blobs = spec('Pushing blobs, Pulling blobs (sha512)', 'end-2, end-4, end-6');
const manifests = spec('Pushing Manifests, Pulling manifests (sha512)', 'end-3, end-7');
const algorithm = specMain('Pushing blobs (digest-algorithm)', 'end-4c');

export const sha512Cases: readonly WireCase[] = [
  {
    id: 'sha512.blob-by-post-and-put',
    level: 'SHOULD',
    clause: blobs,
    run: async (context) => {
      const blob = sha512Blob();
      const response = await context.send(closeRequest(await startUpload(context), blob.digest, blob.bytes));
      expectStatus(response, 201);
      expectHeader(response, 'Docker-Content-Digest', blob.digest);
      await expectStored(context, blob);
    },
  },
  {
    id: 'sha512.blob-by-single-post',
    level: 'PROMISE',
    clause: blobs,
    run: async (context) => {
      const blob = sha512Blob();
      const path = uploadsPath(context.repository, `?digest=${blob.digest}`);
      expectStatus(await context.send({ method: 'POST', path, body: blob.bytes }), 201);
      await expectStored(context, blob);
    },
  },
  {
    id: 'sha512.blob-with-the-algorithm-announced',
    level: 'SHOULD',
    clause: algorithm,
    run: async (context) => {
      const blob = sha512Blob();
      const path = uploadsPath(context.repository, '?digest-algorithm=sha512');
      let location = requireHeader(await prepare(context, { method: 'POST', path }, 202), 'Location');
      for (const start of [0, 500]) {
        const chunk = blob.bytes.subarray(start, start + 500);
        location = requireHeader(await prepare(context, patchRequest(location, chunk, start), 202), 'Location');
      }
      expectStatus(await context.send(closeRequest(location, blob.digest)), 201);
      await expectStored(context, blob);
    },
  },
  {
    id: 'sha512.blob-in-chunks-without-an-announcement',
    level: 'SHOULD',
    clause: blobs,
    run: async (context) => {
      const blob = sha512Blob();
      const first = await prepare(context, patchRequest(await startUpload(context), blob.bytes.subarray(0, 400), 0), 202);
      const response = await context.send(closeRequest(requireHeader(first, 'Location'), blob.digest, blob.bytes.subarray(400)));
      expectStatus(response, 201);
      await expectStored(context, blob);
    },
  },
  {
    id: 'sha512.announced-session-may-close-with-sha256',
    level: 'PROMISE',
    clause: algorithm,
    run: async (context) => {
      const blob = randomBlob(1000);
      const path = uploadsPath(context.repository, '?digest-algorithm=sha512');
      const location = requireHeader(await prepare(context, { method: 'POST', path }, 202), 'Location');
      expectStatus(await context.send(closeRequest(location, blob.digest, blob.bytes)), 201);
      await expectStored(context, blob);
    },
  },
  {
    id: 'sha512.wrong-digest-is-refused',
    level: 'MUST',
    clause: blobs,
    run: async (context) => {
      const wrong = unknownDigest('sha512');
      expectError(await context.send(closeRequest(await startUpload(context), wrong, randomBlob(10).bytes)), 400, 'DIGEST_INVALID');
      expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, wrong) }), 404);
    },
  },
  {
    id: 'sha512.is-another-name-than-sha256',
    level: 'PROMISE',
    clause: blobs,
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(100));
      const response = await context.send({ method: 'GET', path: blobPath(context.repository, digestOf(blob.bytes, 'sha512')) });
      expectError(response, 404, 'BLOB_UNKNOWN');
    },
  },
  {
    id: 'sha512.blob-is-mounted',
    level: 'PROMISE',
    clause: spec('Mounting a blob from another repository (sha512)', 'end-11'),
    run: async (context) => {
      const source = context.repositoryNamed('source');
      const blob = await pushBlob(context, sha512Blob(), source);
      const path = uploadsPath(context.repository, `?mount=${blob.digest}&from=${encodeURIComponent(source)}`);
      expectStatus(await context.send({ method: 'POST', path, alsoRepositories: [source] }), 201);
      await expectStored(context, blob);
    },
  },
  {
    id: 'sha512.manifest-by-digest',
    level: 'SHOULD',
    clause: manifests,
    run: async (context) => {
      const manifest = await prepareManifest(context);
      const response = await context.send(putManifestRequest(context.repository, manifest.digest, manifest));
      expectStatus(response, 201);
      expectHeader(response, 'Docker-Content-Digest', manifest.digest);
      await expectManifest(context, manifest.digest, manifest);
    },
  },
  {
    id: 'sha512.manifest-with-a-wrong-digest-is-refused',
    level: 'MUST',
    clause: manifests,
    run: async (context) => {
      const manifest = await prepareManifest(context);
      expectError(await context.send(putManifestRequest(context.repository, unknownDigest('sha512'), manifest)), 400, 'DIGEST_INVALID');
    },
  },
  {
    id: 'sha512.manifest-under-a-tag-parameter',
    level: 'MUST',
    clause: specMain('Pushing Manifests (tag parameters)', 'end-7b'),
    run: async (context) => {
      const manifest = await prepareManifest(context);
      const request = putManifestRequest(context.repository, manifest.digest, manifest);
      const response = await context.send({ ...request, path: `${request.path}?tag=v1` });
      expectStatus(response, 201);
      expectHeader(response, 'OCI-Tag', 'v1');
      await expectManifest(context, 'v1', manifest);
    },
  },
  {
    id: 'sha512.manifest-refers-to-sha512-blobs',
    level: 'SHOULD',
    clause: manifests,
    run: async (context) => {
      const config = await pushBlob(context, randomBlob(30, { algorithm: 'sha512', mediaType: mediaTypes.config }));
      const layer = await pushBlob(context, sha512Blob());
      const manifest = imageManifest({ config, layers: [layer] });
      expectStatus(await context.send(putManifestRequest(context.repository, 'v1', manifest)), 201);
    },
  },
  {
    id: 'sha512.subject-has-referrers',
    level: 'MUST',
    clause: spec('Listing Referrers (sha512)', 'end-12a'),
    run: async (context) => {
      const subject = await prepareManifest(context);
      await prepare(context, putManifestRequest(context.repository, subject.digest, subject), 201);
      const { config, layer } = await pushImage(context);
      const referrer = imageManifest({ config, layers: [layer], members: { subject: describe(subject) } });
      const pushed = await context.send(putManifestRequest(context.repository, referrer.digest, referrer));
      expectHeader(pushed, 'OCI-Subject', subject.digest);
      const listed = await context.send({ method: 'GET', path: `/v2/${context.repository}/referrers/${subject.digest}` });
      expectStatus(listed, 200);
      check(JSON.stringify(expectJson(listed)['manifests']).includes(referrer.digest), `${listed.title}: the referrer is not listed`);
    },
  },
];

function sha512Blob(): Content {
  return randomBlob(1000, { algorithm: 'sha512' });
}

async function prepareManifest(context: CaseContext): Promise<Content> {
  const config = await pushBlob(context, randomBlob(30, { mediaType: mediaTypes.config }));
  return imageManifest({ config, layers: [config], algorithm: 'sha512' });
}

async function expectStored(context: CaseContext, blob: Content): Promise<void> {
  const path = blobPath(context.repository, blob.digest);
  const get = await context.send({ method: 'GET', path });
  expectStatus(get, 200);
  expectBytes(get, blob.bytes);
  expectHeader(get, 'Docker-Content-Digest', blob.digest);
  expectHeader(await context.send({ method: 'HEAD', path }), 'Content-Length', String(blob.bytes.length));
}

async function expectManifest(context: CaseContext, reference: string, manifest: Content): Promise<void> {
  const path = manifestPath(context.repository, reference);
  const response = await context.send({ method: 'GET', path, headers: [['Accept', manifest.mediaType]] });
  expectStatus(response, 200);
  expectBytes(response, manifest.bytes);
  expectHeader(response, 'Docker-Content-Digest', manifest.digest);
}
