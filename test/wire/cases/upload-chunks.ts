// Pushing a blob in pieces: chunks with a Content-Range, streams without, the order rule, the last piece in the closing PUT.
// A refused chunk must leave the session as it was, so these cases go on after it.
// Implements distribution-spec v1.1 "Pushing a blob in chunks", end-5 and end-6.

import { blobPath, closeRequest, patchRequest, prepare, startUpload, startUploadWith } from '../actions.ts';
import { randomBlob } from '../content.ts';
import { check, expectBytes, expectEmpty, expectError, expectHeader, expectStatus, requireHeader } from '../expect.ts';
import { type CaseContext, spec, type WireCase } from '../wire-case.ts';

const chunks = spec('Pushing a blob in chunks', 'end-5');
const closing = spec('Pushing a blob in chunks (closing PUT)', 'end-6');

export const uploadChunkCases: readonly WireCase[] = [
  {
    id: 'chunk.first-is-accepted',
    level: 'MUST',
    clause: chunks,
    run: async (context) => {
      const response = await context.send(patchRequest(await startUpload(context), randomBlob(100).bytes, 0));
      expectStatus(response, 202);
      requireHeader(response, 'Location');
      expectEmpty(response);
    },
  },
  {
    id: 'chunk.range-names-the-last-byte',
    level: 'MUST',
    clause: chunks,
    run: async (context) => {
      const first = await context.send(patchRequest(await startUpload(context), randomBlob(100).bytes, 0));
      expectHeader(first, 'Range', '0-99');
      const second = await context.send(patchRequest(requireHeader(first, 'Location'), randomBlob(51).bytes, 100));
      expectHeader(second, 'Range', '0-150');
    },
  },
  {
    id: 'chunk.three-in-order-make-the-blob',
    level: 'MUST',
    clause: chunks,
    run: async (context) => {
      const blob = randomBlob(3000);
      let location = await startUpload(context);
      for (const start of [0, 1024, 2048]) {
        const response = await context.send(patchRequest(location, blob.bytes.subarray(start, start + 1024), start));
        expectStatus(response, 202);
        location = requireHeader(response, 'Location');
      }
      expectStatus(await context.send(closeRequest(location, blob.digest)), 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  ...outOfOrder('starts-too-early', 50),
  ...outOfOrder('starts-again-at-zero', 0),
  ...outOfOrder('leaves-a-gap', 101),
  {
    id: 'chunk.first-must-start-at-zero',
    level: 'MUST',
    clause: chunks,
    run: async (context) => {
      expectError(await context.send(patchRequest(await startUpload(context), randomBlob(10).bytes, 5)), 416);
    },
  },
  {
    id: 'chunk.refused-one-leaves-the-session-usable',
    level: 'MUST',
    clause: spec('Pushing a blob in chunks (status after a 416)', 'end-5, end-13'),
    run: async (context) => {
      const blob = randomBlob(200);
      const location = await startUploadWith(context, blob.bytes.subarray(0, 100));
      expectStatus(await context.send(patchRequest(location, randomBlob(30).bytes, 150)), 416);
      const status = await context.send({ method: 'GET', path: location });
      expectStatus(status, 204);
      expectHeader(status, 'Range', '0-99');
      const next = await prepare(context, patchRequest(requireHeader(status, 'Location'), blob.bytes.subarray(100), 100), 202);
      expectStatus(await context.send(closeRequest(requireHeader(next, 'Location'), blob.digest)), 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  ...badContentRange('that-counts-other-bytes-than-the-body', '0-99'),
  ...badContentRange('that-is-no-range', 'first-last'),
  ...badContentRange('that-runs-backwards', '9-0'),
  {
    id: 'chunk.content-range-that-miscounts-a-stream-changes-nothing',
    level: 'PROMISE',
    clause: chunks,
    run: async (context) => {
      const blob = randomBlob(100);
      const location = await startUploadWith(context, blob.bytes.subarray(0, 50));
      const request = patchRequest(location, blob.bytes.subarray(50, 90));
      const headers = [...(request.headers ?? []), ['Content-Range', '50-99'] as const];
      expectError(await context.send({ ...request, headers, chunked: true }), [400, 416]);
      const status = await prepare(context, { method: 'GET', path: location }, 204);
      expectHeader(status, 'Range', '0-49');
    },
  },
  {
    id: 'chunk.two-at-once-for-one-place-are-not-both-taken',
    level: 'MUST',
    clause: chunks,
    run: async (context) => {
      const blob = randomBlob(20_000);
      const location = await startUploadWith(context, blob.bytes.subarray(0, 10_000));
      const request = patchRequest(location, blob.bytes.subarray(10_000), 10_000);
      const answers = await Promise.all([context.send(request), context.send(request), context.send(request)]);
      const statuses = answers.map((answer) => answer.status).toSorted();
      check(statuses.join() === '202,416,416', `three equal chunks at once are answered ${statuses.join(', ')}`);
      expectStatus(await context.send(closeRequest(location, blob.digest)), 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'chunk.stream-without-content-range',
    level: 'MUST',
    clause: chunks,
    run: async (context) => {
      const blob = randomBlob(5000);
      const response = await context.send(patchRequest(await startUpload(context), blob.bytes));
      expectStatus(response, 202);
      expectHeader(response, 'Range', '0-4999');
      expectStatus(await context.send(closeRequest(requireHeader(response, 'Location'), blob.digest)), 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'chunk.stream-with-chunked-transfer-coding',
    level: 'MUST',
    clause: chunks,
    run: async (context) => {
      const blob = randomBlob(70_000);
      const response = await context.send({ ...patchRequest(await startUpload(context), blob.bytes), chunked: true });
      expectStatus(response, 202);
      expectHeader(response, 'Range', '0-69999');
      expectStatus(await context.send(closeRequest(requireHeader(response, 'Location'), blob.digest)), 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'chunk.last-one-in-the-closing-put',
    level: 'MUST',
    clause: closing,
    run: async (context) => {
      const blob = randomBlob(300);
      const location = await startUploadWith(context, blob.bytes.subarray(0, 200));
      const request = closeRequest(location, blob.digest, blob.bytes.subarray(200));
      const response = await context.send({ ...request, headers: [...(request.headers ?? []), ['Content-Range', '200-299']] });
      expectStatus(response, 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'chunk.last-one-in-the-closing-put-without-content-range',
    level: 'MUST',
    clause: closing,
    run: async (context) => {
      const blob = randomBlob(300);
      const location = await startUploadWith(context, blob.bytes.subarray(0, 200));
      expectStatus(await context.send(closeRequest(location, blob.digest, blob.bytes.subarray(200))), 201);
      await expectStored(context, blob.digest, blob.bytes);
    },
  },
  {
    id: 'chunk.last-one-out-of-order-in-the-closing-put',
    level: 'MUST',
    clause: closing,
    run: async (context) => {
      const blob = randomBlob(300);
      const location = await startUploadWith(context, blob.bytes.subarray(0, 200));
      const request = closeRequest(location, blob.digest, blob.bytes.subarray(200));
      const response = await context.send({ ...request, headers: [...(request.headers ?? []), ['Content-Range', '150-249']] });
      expectError(response, 416);
      expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, blob.digest) }), 404);
    },
  },
  {
    id: 'chunk.wrong-digest-at-the-end-is-refused',
    level: 'MUST',
    clause: closing,
    run: async (context) => {
      const location = await startUploadWith(context, randomBlob(100).bytes);
      const other = randomBlob(100);
      expectError(await context.send(closeRequest(location, other.digest)), 400, 'DIGEST_INVALID');
      expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, other.digest) }), 404);
    },
  },
  {
    id: 'chunk.not-visible-before-the-closing-put',
    level: 'MUST',
    clause: closing,
    run: async (context) => {
      const blob = randomBlob(100);
      await startUploadWith(context, blob.bytes);
      expectStatus(await context.send({ method: 'GET', path: blobPath(context.repository, blob.digest) }), 404);
    },
  },
  {
    id: 'chunk.minimum-is-a-number-when-named',
    level: 'SHOULD',
    clause: chunks,
    run: async (context) => {
      const response = await context.send({ method: 'POST', path: `/v2/${context.repository}/blobs/uploads/` });
      const minimum = response.header('oci-chunk-min-length') ?? '0';
      check(/^[0-9]+$/.test(minimum), `${response.title}: OCI-Chunk-Min-Length is ${minimum}`);
    },
  },
];

/** A second chunk that does not start right after the first (which ends at byte 99) is answered 416 and changes nothing. */
function outOfOrder(kind: string, start: number): WireCase[] {
  return [
    {
      id: `chunk.${kind}`,
      level: 'MUST',
      clause: chunks,
      run: async (context) => {
        const location = await startUploadWith(context, randomBlob(100).bytes);
        expectError(await context.send(patchRequest(location, randomBlob(50).bytes, start)), 416);
      },
    },
  ];
}

/** A first chunk of 10 bytes with this Content-Range is refused and not stored. */
function badContentRange(kind: string, range: string): WireCase[] {
  return [
    {
      id: `chunk.content-range-${kind}`,
      level: 'PROMISE',
      clause: chunks,
      run: async (context) => {
        const blob = randomBlob(10);
        const location = await startUpload(context);
        const request = patchRequest(location, blob.bytes);
        const response = await context.send({ ...request, headers: [...(request.headers ?? []), ['Content-Range', range]] });
        expectError(response, [400, 416]);
        await prepare(context, patchRequest(location, blob.bytes, 0), 202);
        expectStatus(await context.send(closeRequest(location, blob.digest)), 201);
      },
    },
  ];
}

async function expectStored(context: CaseContext, digest: string, bytes: Uint8Array): Promise<void> {
  const response = await context.send({ method: 'GET', path: blobPath(context.repository, digest) });
  expectStatus(response, 200);
  expectBytes(response, bytes);
}
