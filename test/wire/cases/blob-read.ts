// Reading blobs: whole, by HEAD, by range.
// Implements distribution-spec v1.1 "Pulling blobs", "Checking if content exists in the registry" (end-2) and RFC 9110 section 14 (ranges).

import { blobPath, pushBlob } from '../actions.ts';
import type { WireResponse } from '../client.ts';
import { type Content, randomBlob, unknownDigest } from '../content.ts';
import { check, expectBytes, expectError, expectHeader, expectStatus } from '../expect.ts';
import { type CaseContext, spec, type WireCase } from '../wire-case.ts';

const pull = spec('Pulling blobs', 'end-2');
const exists = spec('Checking if content exists in the registry', 'end-2');
const ranges = spec('Pulling blobs (RFC 9110 section 14)', 'end-2');
const sizeBytes = 2048;

export const blobReadCases: readonly WireCase[] = [
  {
    id: 'blob.get-gives-the-bytes',
    level: 'MUST',
    clause: pull,
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const response = await getBlob(context, blob);
      expectStatus(response, 200);
      expectBytes(response, blob.bytes);
    },
  },
  {
    id: 'blob.get-names-its-digest',
    level: 'SHOULD',
    clause: pull,
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      expectHeader(await getBlob(context, blob), 'Docker-Content-Digest', blob.digest);
    },
  },
  {
    id: 'blob.get-is-never-content-encoded',
    level: 'PROMISE',
    clause: pull,
    run: async (context) => {
      const blob = await pushBlob(context, { ...randomBlob(0), ...compressible() });
      const response = await getBlob(context, blob, [['Accept-Encoding', 'gzip, deflate, br, zstd']]);
      check(
        response.header('content-encoding') === undefined,
        `${response.title}: Content-Encoding ${response.header('content-encoding')}`,
      );
      expectBytes(response, blob.bytes);
    },
  },
  {
    id: 'blob.head-names-size-and-digest',
    level: 'MUST',
    clause: exists,
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const response = await context.send({ method: 'HEAD', path: blobPath(context.repository, blob.digest) });
      expectStatus(response, 200);
      expectHeader(response, 'Content-Length', String(sizeBytes));
      expectHeader(response, 'Docker-Content-Digest', blob.digest);
    },
  },
  {
    id: 'blob.head-and-get-have-the-same-type',
    level: 'SHOULD',
    clause: 'RFC 9110 9.3.2, end-2',
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const get = await getBlob(context, blob);
      const head = await context.send({ method: 'HEAD', path: blobPath(context.repository, blob.digest) });
      expectHeader(head, 'Content-Type', get.header('content-type') ?? '(none)');
    },
  },
  {
    id: 'blob.head-has-no-body',
    level: 'MUST',
    clause: exists,
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const response = await context.send({ method: 'HEAD', path: blobPath(context.repository, blob.digest), lingerMs: 50 });
      expectStatus(response, 200);
      check(response.excess.length === 0, `${response.title}: ${response.excess.length} bytes follow the answer to HEAD`);
    },
  },
  {
    id: 'blob.known-etag-answers-304',
    level: 'SHOULD',
    clause: 'RFC 9110 13.1.2 (If-None-Match), end-2',
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const etag = (await getBlob(context, blob)).header('etag');
      if (etag === undefined) return;
      expectStatus(await getBlob(context, blob, [['If-None-Match', etag]]), 304);
      expectStatus(await getBlob(context, blob, [['If-None-Match', '"another"']]), 200);
    },
  },
  {
    id: 'blob.unknown-one-answers-404',
    level: 'MUST',
    clause: pull,
    run: async (context) => {
      await pushBlob(context, randomBlob(10));
      const response = await context.send({ method: 'GET', path: blobPath(context.repository, unknownDigest()) });
      expectError(response, 404, 'BLOB_UNKNOWN');
    },
  },
  {
    id: 'blob.head-of-an-unknown-one-answers-404',
    level: 'MUST',
    clause: exists,
    run: async (context) => {
      await pushBlob(context, randomBlob(10));
      expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, unknownDigest()) }), 404);
    },
  },
  {
    id: 'blob.malformed-digest-is-a-coded-error',
    level: 'PROMISE',
    clause: pull,
    run: async (context) => {
      for (const digest of ['sha256:short', `sha1:${'0'.repeat(40)}`, `sha256:${'A'.repeat(64)}`]) {
        const response = await context.send({ method: 'GET', path: blobPath(context.repository, digest) });
        expectError(response, [400, 404], ['DIGEST_INVALID', 'UNSUPPORTED']);
      }
    },
  },
  {
    id: 'range.whole-answer-offers-ranges',
    level: 'SHOULD',
    clause: ranges,
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      expectHeader(await getBlob(context, blob), 'Accept-Ranges', 'bytes');
    },
  },
  ...goodRange('from-to', 'bytes=500-1499', 500, 1499),
  ...goodRange('from', 'bytes=500-', 500, sizeBytes - 1),
  ...goodRange('suffix', 'bytes=-500', sizeBytes - 500, sizeBytes - 1),
  ...goodRange('first-byte', 'bytes=0-0', 0, 0),
  ...goodRange('last-byte', 'bytes=2047-2047', 2047, 2047),
  ...goodRange('end-past-the-blob', 'bytes=2000-5000', 2000, sizeBytes - 1),
  ...goodRange('suffix-longer-than-the-blob', 'bytes=-5000', 0, sizeBytes - 1),
  ...goodRange('whole-blob', 'bytes=0-', 0, sizeBytes - 1),
  {
    id: 'range.keeps-the-digest-of-the-whole',
    level: 'SHOULD',
    clause: ranges,
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const response = await getBlob(context, blob, [['Range', 'bytes=1-2']]);
      expectStatus(response, 206);
      expectHeader(response, 'Docker-Content-Digest', blob.digest);
    },
  },
  {
    id: 'range.start-past-the-end-answers-416',
    level: 'SHOULD',
    clause: ranges,
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      expectStatus(await getBlob(context, blob, [['Range', 'bytes=2048-']]), 416);
      expectStatus(await getBlob(context, blob, [['Range', 'bytes=5000-10000']]), 416);
    },
  },
  {
    id: 'range.416-names-the-size',
    level: 'SHOULD',
    clause: 'RFC 9110 15.5.17, end-2',
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const response = await getBlob(context, blob, [['Range', 'bytes=9999-']]);
      expectStatus(response, 416);
      expectHeader(response, 'Content-Range', `bytes */${sizeBytes}`);
    },
  },
  {
    id: 'range.several-are-answered-sanely',
    level: 'MUST',
    clause: 'RFC 9110 14.2 and 14.6, end-2',
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const response = await getBlob(context, blob, [['Range', 'bytes=0-9,100-109']]);
      expectStatus(response, 200, 206, 416);
      if (response.status === 200) expectBytes(response, blob.bytes);
      if (response.status === 206) checkParts(response, blob);
    },
  },
  {
    id: 'range.that-runs-backwards-gives-the-whole-or-416',
    level: 'MUST',
    clause: 'RFC 9110 14.1.1 and 14.2, end-2',
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const response = await getBlob(context, blob, [['Range', 'bytes=500-0']]);
      expectStatus(response, 200, 416);
      if (response.status === 200) expectBytes(response, blob.bytes);
    },
  },
  {
    id: 'range.on-head-is-ignored',
    level: 'MUST',
    clause: 'RFC 9110 14.2 (GET is the only method with ranges), end-2',
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const path = blobPath(context.repository, blob.digest);
      for (const range of ['bytes=0-9', 'bytes=9999-']) {
        const response = await context.send({ method: 'HEAD', path, headers: [['Range', range]] });
        expectStatus(response, 200);
        expectHeader(response, 'Content-Length', String(sizeBytes));
      }
    },
  },
  {
    id: 'range.of-another-unit-is-ignored',
    level: 'MUST',
    clause: 'RFC 9110 14.2, end-2',
    run: async (context) => {
      const blob = await pushBlob(context, randomBlob(sizeBytes));
      const response = await getBlob(context, blob, [['Range', 'lines=1-2']]);
      expectStatus(response, 200);
      expectBytes(response, blob.bytes);
    },
  },
];

function getBlob(context: CaseContext, blob: Content, headers: (readonly [string, string])[] = []): Promise<WireResponse> {
  return context.send({ method: 'GET', path: blobPath(context.repository, blob.digest), headers });
}

/** A range of a blob of 2048 bytes is answered 206 with exactly those bytes and the right Content-Range. */
function goodRange(kind: string, value: string, first: number, last: number): WireCase[] {
  return [
    {
      id: `range.${kind}`,
      level: 'SHOULD',
      clause: ranges,
      run: async (context) => {
        const blob = await pushBlob(context, randomBlob(sizeBytes));
        const response = await getBlob(context, blob, [['Range', value]]);
        expectStatus(response, 206);
        expectHeader(response, 'Content-Range', new RegExp(`^bytes ${first}-${last}/(?:${sizeBytes}|\\*)$`));
        expectBytes(response, blob.bytes.subarray(first, last + 1));
      },
    },
  ];
}

function checkParts(response: WireResponse, blob: Content): void {
  const type = response.header('content-type') ?? '';
  if (!type.startsWith('multipart/byteranges')) {
    expectBytes(response, blob.bytes.subarray(0, 10));
    return;
  }
  for (const start of [0, 100]) {
    check(response.body.includes(blob.bytes.subarray(start, start + 10)), `${response.title}: the bytes from ${start} are missing`);
  }
}

function compressible(): { bytes: Buffer; digest: string } {
  const bytes = Buffer.concat([randomBlob(16).bytes, Buffer.alloc(8000, 'abc')]);
  return { bytes, digest: `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}` };
}
