// Pushing a blob whole: POST then PUT, and a single POST.
// A case must check what became visible, not only the status. Implements distribution-spec v1.1 "Pushing a blob monolithically", end-4 and end-6.

import {
  blobPath,
  closeRequest,
  patchRequest,
  prepare,
  pushBlob,
  resolveReference,
  startUpload,
  uploadsPath,
  withParameter,
} from '../actions.ts';
import { digestOf, randomBlob, unknownDigest } from '../content.ts';
import { check, expectBytes, expectEmpty, expectError, expectHeader, expectStatus, requireHeader } from '../expect.ts';
import { type CaseContext, spec, type WireCase } from '../wire-case.ts';

const postPut = spec('Pushing a blob monolithically: POST then PUT', 'end-4a, end-6');
const singlePost = spec('Pushing a blob monolithically: Single POST', 'end-4b');

export const uploadWholeCases: readonly WireCase[] = [
  {
    id: 'upload.post-opens-a-session',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const response = await context.send({ method: 'POST', path: uploadsPath(context.repository) });
      expectStatus(response, 202);
      requireHeader(response, 'Location');
      expectEmpty(response);
    },
  },
  {
    id: 'upload.post-gives-each-session-its-own-location',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const first = await startUpload(context);
      check(first !== (await startUpload(context)), `two sessions have the Location ${first}`);
    },
  },
  {
    id: 'upload.put-stores-the-blob',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(1000);
      const response = await context.send(closeRequest(await startUpload(context), blob.digest, blob.bytes));
      expectStatus(response, 201);
      expectHeader(response, 'Docker-Content-Digest', blob.digest);
      expectEmpty(response);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'upload.put-location-is-pullable',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(100);
      const response = await context.send(closeRequest(await startUpload(context), blob.digest, blob.bytes));
      expectStatus(response, 201);
      const location = resolveReference(uploadsPath(context.repository), requireHeader(response, 'Location'));
      const pulled = await context.send({ method: 'GET', path: location });
      expectStatus(pulled, 200);
      expectBytes(pulled, blob.bytes);
    },
  },
  {
    id: 'upload.put-with-chunked-transfer-coding',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(70_000);
      const response = await context.send({ ...closeRequest(await startUpload(context), blob.digest, blob.bytes), chunked: true });
      expectStatus(response, 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'upload.put-of-a-large-blob',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(3 * 1024 * 1024 + 17);
      expectStatus(await context.send(closeRequest(await startUpload(context), blob.digest, blob.bytes)), 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'upload.put-that-expects-100-continue',
    level: 'MUST',
    clause: 'RFC 9110 10.1.1, end-6',
    run: async (context) => {
      const blob = randomBlob(2000);
      const request = closeRequest(await startUpload(context), blob.digest, blob.bytes);
      const response = await context.send({ ...request, headers: [...(request.headers ?? []), ['Expect', '100-continue']] });
      expectStatus(response, 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'upload.put-cut-short-stores-nothing',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(100_000);
      const shorter = digestOf(blob.bytes.subarray(0, 60_000));
      await context.client.sendPart(closeRequest(await startUpload(context), shorter, blob.bytes), 60_000);
      await context.client.sendPart(closeRequest(await startUpload(context), blob.digest, blob.bytes), 60_000);
      for (const digest of [blob.digest, shorter]) {
        expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, digest) }), 404);
      }
    },
  },
  {
    id: 'upload.many-of-one-blob-at-once-all-succeed',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(50_000);
      const locations = await Promise.all(Array.from({ length: 8 }, () => startUpload(context)));
      const answers = await Promise.all(locations.map((location) => context.send(closeRequest(location, blob.digest, blob.bytes))));
      for (const answer of answers) expectStatus(answer, 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'upload.two-closing-puts-at-once-store-one-blob',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(50_000);
      const location = await startUpload(context);
      const request = closeRequest(location, blob.digest, blob.bytes);
      const answers = await Promise.all([context.send(request), context.send(request)]);
      const statuses = answers.map((answer) => answer.status);
      check(statuses.includes(201) && statuses.every((status) => status < 500), `two closing PUTs are answered ${statuses.join(' and ')}`);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'upload.put-of-an-empty-blob',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const empty = Buffer.alloc(0);
      expectStatus(await context.send(closeRequest(await startUpload(context), digestOf(empty))), 201);
      await expectStored(context, digestOf(empty), empty);
      const head = await context.send({ method: 'HEAD', path: blobPath(context.repository, digestOf(empty)) });
      expectHeader(head, 'Content-Length', '0');
    },
  },
  {
    id: 'upload.put-again-succeeds',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(100));
      expectStatus(await context.send(closeRequest(await startUpload(context), blob.digest, blob.bytes)), 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'upload.put-with-a-wrong-digest-is-refused',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(100);
      const response = await context.send(closeRequest(await startUpload(context), unknownDigest(), blob.bytes));
      expectError(response, 400, 'DIGEST_INVALID');
    },
  },
  {
    id: 'upload.refused-content-is-not-visible',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(100);
      const wrong = unknownDigest();
      const response = await context.send(closeRequest(await startUpload(context), wrong, blob.bytes));
      check(response.status >= 400, `${response.title}, expected a refusal`);
      for (const digest of [blob.digest, wrong]) {
        expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, digest) }), 404);
      }
    },
  },
  {
    id: 'upload.put-without-a-digest-is-refused',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const response = await context.send({ method: 'PUT', path: await startUpload(context), body: randomBlob(10).bytes });
      expectError(response, 400, 'DIGEST_INVALID');
    },
  },
  {
    id: 'upload.put-with-a-malformed-digest-is-refused',
    level: 'MUST',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(10);
      const shouted = `sha256:${blob.digest.slice(7).toUpperCase()}`;
      for (const digest of ['sha256:abc', 'nonsense', shouted]) {
        const response = await context.send(closeRequest(await startUpload(context), digest, blob.bytes));
        expectError(response, 400, 'DIGEST_INVALID');
      }
    },
  },
  {
    id: 'upload.put-with-an-unsupported-algorithm-is-refused',
    level: 'SHOULD',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(10);
      const digest = `md5:${'0'.repeat(32)}`;
      const response = await context.send(closeRequest(await startUpload(context), digest, blob.bytes));
      expectError(response, 400, ['DIGEST_INVALID', 'UNSUPPORTED']);
    },
  },
  {
    id: 'upload.closed-session-is-gone',
    level: 'PROMISE',
    clause: postPut,
    run: async (context) => {
      const blob = randomBlob(10);
      const location = await startUpload(context);
      await prepare(context, closeRequest(location, blob.digest, blob.bytes), 201);
      expectError(await context.send({ method: 'GET', path: location }), 404, 'BLOB_UPLOAD_UNKNOWN');
      expectError(await context.send(patchRequest(location, randomBlob(5).bytes)), 404, 'BLOB_UPLOAD_UNKNOWN');
    },
  },
  {
    id: 'upload.single-post-stores-the-blob',
    level: 'PROMISE',
    clause: singlePost,
    run: async (context) => {
      const blob = randomBlob(500);
      const response = await context.send(singlePostRequest(context, blob.digest, blob.bytes));
      expectStatus(response, 201);
      requireHeader(response, 'Location');
      expectEmpty(response);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'upload.single-post-or-a-session',
    level: 'MUST',
    clause: singlePost,
    run: async (context) => {
      const blob = randomBlob(500);
      const response = await context.send(singlePostRequest(context, blob.digest, blob.bytes));
      expectStatus(response, 201, 202);
      if (response.status === 202) {
        await prepare(context, closeRequest(requireHeader(response, 'Location'), blob.digest, blob.bytes), 201);
      }
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'upload.single-post-with-a-wrong-digest-is-refused',
    level: 'PROMISE',
    clause: singlePost,
    run: async (context) => {
      const blob = randomBlob(500);
      const wrong = unknownDigest();
      expectError(await context.send(singlePostRequest(context, wrong, blob.bytes)), 400, 'DIGEST_INVALID');
      expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, wrong) }), 404);
      expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, blob.digest) }), 404);
    },
  },
  {
    id: 'upload.single-post-with-a-malformed-digest-is-refused',
    level: 'PROMISE',
    clause: singlePost,
    run: async (context) => {
      const response = await context.send(singlePostRequest(context, 'sha256:short', randomBlob(10).bytes));
      expectError(response, 400, 'DIGEST_INVALID');
    },
  },
];

function singlePostRequest(context: CaseContext, digest: string, body: Uint8Array): Parameters<CaseContext['send']>[0] {
  const path = withParameter(uploadsPath(context.repository), 'digest', digest);
  return { method: 'POST', path, headers: [['Content-Type', 'application/octet-stream']], body };
}

async function expectStored(context: CaseContext, digest: string, bytes: Uint8Array): Promise<void> {
  const response = await context.send({ method: 'GET', path: blobPath(context.repository, digest) });
  expectStatus(response, 200);
  expectBytes(response, bytes);
}
