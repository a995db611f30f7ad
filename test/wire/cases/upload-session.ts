// Upload sessions as things of their own: status, resume, cancel, whose they are; and mounting, which may end in a session.
// Implements distribution-spec v1.1 "Pushing a blob in chunks" (status), "Cancel a blob upload", "Mounting a blob from another repository":
// end-11, end-13, end-14.

import { blobPath, closeRequest, patchRequest, prepare, pushBlob, startUpload, startUploadWith, uploadsPath } from '../actions.ts';
import { type Content, randomBlob, unknownDigest } from '../content.ts';
import { check, expectBytes, expectEmpty, expectError, expectHeader, expectStatus, requireHeader } from '../expect.ts';
import { type CaseContext, spec, type WireCase } from '../wire-case.ts';

const status = spec('Pushing a blob in chunks (status)', 'end-13');
const cancel = spec('Cancel a blob upload', 'end-14');
const mount = spec('Mounting a blob from another repository', 'end-11');
const sessions = spec('Error Codes (BLOB_UPLOAD_UNKNOWN)', 'end-5, end-6, end-13, end-14');

export const uploadSessionCases: readonly WireCase[] = [
  {
    id: 'session.status-names-the-last-byte',
    level: 'MUST',
    clause: status,
    run: async (context) => {
      const response = await context.send({ method: 'GET', path: await startUploadWith(context, randomBlob(100).bytes) });
      expectStatus(response, 204);
      requireHeader(response, 'Location');
      expectHeader(response, 'Range', '0-99');
      check(response.body.length === 0, `${response.title}: a 204 with a body`);
    },
  },
  {
    id: 'session.status-of-an-empty-one',
    level: 'MUST',
    clause: status,
    run: async (context) => {
      const response = await context.send({ method: 'GET', path: await startUpload(context) });
      expectStatus(response, 204);
      requireHeader(response, 'Location');
    },
  },
  {
    id: 'session.resumes-at-its-offset',
    level: 'MUST',
    clause: status,
    run: async (context) => {
      const blob = randomBlob(2000);
      const current = await context.send({ method: 'GET', path: await startUploadWith(context, blob.bytes.subarray(0, 700)) });
      const offset = Number(/^0-([0-9]+)$/.exec(requireHeader(current, 'Range'))?.[1]) + 1;
      const rest = await context.send(patchRequest(requireHeader(current, 'Location'), blob.bytes.subarray(offset), offset));
      expectStatus(rest, 202);
      expectStatus(await context.send(closeRequest(requireHeader(rest, 'Location'), blob.digest)), 201);
      const pulled = await context.send({ method: 'GET', path: blobPath(context.repository, blob.digest) });
      expectBytes(pulled, blob.bytes);
    },
  },
  {
    id: 'session.survives-a-lost-connection',
    level: 'PROMISE',
    clause: status,
    run: async (context) => {
      const blob = randomBlob(300_000);
      const location = await startUpload(context);
      await context.client.sendPart(patchRequest(location, blob.bytes), 120_000);
      const current = await context.send({ method: 'GET', path: location });
      expectStatus(current, 204);
      const held = Number(/^0-([0-9]+)$/.exec(requireHeader(current, 'Range'))?.[1]) + 1;
      // An empty session says 0-0 as well: then one byte is either there or not.
      check(held >= 1 && held <= 120_000, `${current.title}: Range ends at ${held - 1} after 120000 bytes`);
      const start = held === 1 ? 0 : held;
      const rest = await prepare(context, patchRequest(requireHeader(current, 'Location'), blob.bytes.subarray(start), start), 202);
      expectStatus(await context.send(closeRequest(requireHeader(rest, 'Location'), blob.digest)), 201);
      expectBytes(await context.send({ method: 'GET', path: blobPath(context.repository, blob.digest) }), blob.bytes);
    },
  },
  {
    id: 'session.cancel-answers-204',
    level: 'SHOULD',
    clause: cancel,
    run: async (context) => {
      expectStatus(await context.send({ method: 'DELETE', path: await startUpload(context) }), 204);
    },
  },
  {
    id: 'session.cancelled-one-is-unknown',
    level: 'PROMISE',
    clause: cancel,
    run: async (context) => {
      const location = await startUploadWith(context, randomBlob(10).bytes);
      await prepare(context, { method: 'DELETE', path: location }, 204);
      expectError(await context.send({ method: 'GET', path: location }), 404, 'BLOB_UPLOAD_UNKNOWN');
      expectError(await context.send(patchRequest(location, randomBlob(10).bytes, 10)), 404, 'BLOB_UPLOAD_UNKNOWN');
      expectError(await context.send({ method: 'DELETE', path: location }), 404, 'BLOB_UPLOAD_UNKNOWN');
    },
  },
  ...(['GET', 'PATCH', 'PUT', 'DELETE'] as const).map(
    (method): WireCase => ({
      id: `session.unknown-one-answers-404-to-${method.toLowerCase()}`,
      level: 'PROMISE',
      clause: sessions,
      run: async (context) => {
        const blob = await pushBlob(context, randomBlob(10));
        const path = `${uploadsPath(context.repository)}01890a5d-ac96-774b-bcce-b302099a8057`;
        const query = method === 'PUT' ? `?digest=${blob.digest}` : '';
        const body = method === 'PATCH' || method === 'PUT' ? { body: blob.bytes } : {};
        expectError(await context.send({ method, path: `${path}${query}`, ...body }), 404, 'BLOB_UPLOAD_UNKNOWN');
      },
    }),
  ),
  {
    id: 'session.belongs-to-its-repository',
    level: 'PROMISE',
    clause: sessions,
    run: async (context) => {
      const location = await startUploadWith(context, randomBlob(10).bytes);
      const other = context.repositoryNamed('other');
      await pushBlob(context, randomBlob(10), other);
      const moved = location.replace(`/v2/${context.repository}/`, `/v2/${other}/`);
      check(moved !== location, `the Location ${location} does not name the repository`);
      const refused = await context.send({ method: 'GET', path: moved });
      check(refused.status >= 400 && refused.status < 500, `${refused.title}, expected a refusal`);
      expectStatus(await context.send({ method: 'GET', path: location }), 204);
    },
  },
  {
    id: 'mount.from-a-repository-that-holds-the-blob',
    level: 'PROMISE',
    clause: mount,
    run: async (context) => {
      const { blob, source } = await prepareSource(context);
      const response = await mountBlob(context, blob.digest, source);
      expectStatus(response, 201);
      requireHeader(response, 'Location');
      expectHeader(response, 'Docker-Content-Digest', blob.digest);
      expectEmpty(response);
    },
  },
  {
    id: 'mount.makes-the-blob-readable',
    level: 'MUST',
    clause: mount,
    run: async (context) => {
      const { blob, source } = await prepareSource(context);
      const response = await mountBlob(context, blob.digest, source);
      expectStatus(response, 201, 202);
      const path = blobPath(context.repository, blob.digest);
      if (response.status === 202) return expectStatus(await context.send({ method: 'GET', path }), 404);
      expectBytes(await context.send({ method: 'GET', path: requireHeader(response, 'Location') }), blob.bytes);
      expectBytes(await context.send({ method: 'GET', path }), blob.bytes);
    },
  },
  {
    id: 'mount.of-a-blob-the-source-lacks-opens-a-session',
    level: 'SHOULD',
    clause: mount,
    run: async (context) => {
      const { source } = await prepareSource(context);
      const blob = randomBlob(20);
      const response = await mountBlob(context, blob.digest, source);
      expectStatus(response, 202);
      expectStatus(await context.send(closeRequest(requireHeader(response, 'Location'), blob.digest, blob.bytes)), 201);
    },
  },
  {
    id: 'mount.from-an-unknown-repository-opens-a-session',
    level: 'SHOULD',
    clause: mount,
    run: async (context) => {
      const response = await mountBlob(context, unknownDigest(), context.repositoryNamed('nowhere'));
      expectStatus(response, 202);
      requireHeader(response, 'Location');
    },
  },
  {
    id: 'mount.without-a-source-of-an-unknown-blob-opens-a-session',
    level: 'SHOULD',
    clause: mount,
    run: async (context) => {
      const response = await mountBlob(context, unknownDigest(), undefined);
      expectStatus(response, 202);
      requireHeader(response, 'Location');
    },
  },
  {
    id: 'mount.without-a-source-mounts-or-opens-a-session',
    level: 'MUST',
    clause: mount,
    run: async (context) => {
      const { blob } = await prepareSource(context);
      const response = await mountBlob(context, blob.digest, undefined);
      expectStatus(response, 201, 202);
      const readable = await context.send({ method: 'GET', path: blobPath(context.repository, blob.digest) });
      expectStatus(readable, response.status === 201 ? 200 : 404);
    },
  },
  {
    id: 'mount.of-a-malformed-digest-is-refused',
    level: 'PROMISE',
    clause: mount,
    run: async (context) => {
      const { source } = await prepareSource(context);
      const response = await mountBlob(context, 'sha256:short', source);
      expectError(response, 400, 'DIGEST_INVALID');
    },
  },
];

async function prepareSource(context: CaseContext): Promise<{ blob: Content; source: string }> {
  const source = context.repositoryNamed('source');
  return { blob: await pushBlob(context, randomBlob(300), source), source };
}

function mountBlob(context: CaseContext, digest: string, from: string | undefined): ReturnType<CaseContext['send']> {
  const query = `?mount=${encodeURIComponent(digest)}${from === undefined ? '' : `&from=${encodeURIComponent(from)}`}`;
  const also = from === undefined ? {} : { alsoRepositories: [from] };
  return context.send({ method: 'POST', path: uploadsPath(context.repository, query), ...also });
}
