// The registry API on the wire: one switch over the routes, each branch turning a use-case's result into a Response.
// distribution-spec v1.1, end-1 ... end-14. It decides nothing itself: rights are `Access` values, failures are coded errors.

import { type Access, decideSystem, type RepositoryAction, type RepositoryTarget, refusal } from '../auth/access.ts';
import { OciError } from '../oci/errors.ts';
import { type ByteRange, formatContentRange, formatUploadRange, parseChunkRange, parseRange } from '../oci/range.ts';
import { formatRoute, parseRoute, type Route } from '../oci/route.ts';
import type { BlobAnswer, ManifestAnswer } from '../registry/answers.ts';
import { type Catalog, type Listed, referrersIndex } from '../registry/catalog.ts';
import { type NameRules, resolveName } from '../registry/names.ts';
import { mayPush, type Pull } from '../registry/pull.ts';
import type { Push } from '../registry/push.ts';
import type { Uploads } from '../registry/uploads.ts';
import { type Authentication, type Caller, challenge, insufficientScope } from './authentication.ts';
import { type BodyPace, bodyChunks, readBody } from './body.ts';
import { errorResponse } from './errors.ts';
import { streamOf } from './stream.ts';
import { auditDelete, auditPull, auditPush, type WireAuditLog } from './wire-audit.ts';

export interface DistributionParts {
  readonly names: NameRules;
  readonly authentication: Authentication;
  readonly pull: Pull;
  readonly push: Push;
  readonly uploads: Uploads;
  readonly audit?: WireAuditLog;
  /** Told of each manifest that was pulled; HEAD pulls nothing. */
  readonly onManifestSent?: (target: RepositoryTarget, answer: ManifestAnswer) => void;
  readonly catalog: Catalog;
  readonly manifestMaxBytes: number;
  readonly service: string;
  /** The least rate of a body, where it is another than the default. */
  readonly bodyPace?: BodyPace;
}
export interface WireRequest {
  readonly request: Request;
  readonly path: string;
  readonly query: string;
  /** Of the client. Asked only when it matters. */
  readonly address: () => string | undefined;
  /** The origin the client sees, for the realm of a challenge. */
  readonly origin: () => string;
}

export interface Distribution {
  /** The answer, or undefined when the path is none of the registry API's. Coded errors become answers here; others are thrown. */
  handle(wire: WireRequest): Promise<Response | undefined>;
}

const apiVersion = { 'docker-distribution-api-version': 'registry/2.0' } as const;

export function createDistribution(parts: DistributionParts): Distribution {
  return {
    handle: async (wire) => {
      const { request } = wire;
      let route: Route | undefined;
      try {
        route = parseRoute(request.method, wire.path, wire.query);
        if (route === undefined) return undefined;
        return await answer(parts, wire, ignoreOwnHost(route, request.headers.get('host')));
      } catch (error) {
        if (!(error instanceof OciError)) throw error;
        const headers = error.code === 'UNAUTHORIZED' ? { 'www-authenticate': challengeFor(parts, wire, route, error) } : {};
        return errorResponse(error, { head: request.method === 'HEAD', headers: { ...apiVersion, ...headers } });
      }
    },
  };
}

async function answer(parts: DistributionParts, wire: WireRequest, route: Route): Promise<Response> {
  const { request } = wire;
  const caller = await parts.authentication.identify(request.headers.get('authorization'), wire.address);
  const on = async <A extends RepositoryAction>(action: A): Promise<Access<A>> => admit(parts, caller, action, route);
  const did = { caller, address: wire.address, headers: request.headers };
  switch (route.kind) {
    case 'api-version':
      if (caller.principal.kind === 'anonymous' && caller.claims === undefined)
        throw new OciError('UNAUTHORIZED', 'log in, or ask the token service for an anonymous token');
      return json(200, {});
    case 'manifest-get': {
      const access = await on('pull');
      const found = await parts.pull.manifest(access, route.reference, request.signal);
      if (!route.head) parts.onManifestSent?.(access.target, found);
      if (!route.head) auditPull(parts.audit, { caller, address: wire.address, target: access.target }, route.reference);
      if (isKnown(request, found.digest)) return notModified(found.digest);
      const headers = {
        ...apiVersion,
        'content-type': found.mediaType,
        'docker-content-digest': found.digest,
        etag: `"${found.digest}"`,
        ...(found.warning === undefined ? {} : { warning: found.warning }),
        ...(route.head ? { 'content-length': String(found.bytes.byteLength) } : {}),
      };
      return new Response(route.head ? null : (found.bytes as Uint8Array<ArrayBuffer>), { headers });
    }
    case 'blob-get':
      return sendBlob(parts, await on('pull'), route, request);
    case 'manifest-put': {
      const access = await on('push');
      const bytes = await readBody(
        request,
        parts.manifestMaxBytes,
        () => new OciError('MANIFEST_TOO_LARGE', `a manifest may have at most ${parts.manifestMaxBytes} bytes`),
        parts.bodyPace,
      );
      const pushed = await parts.push.manifest(access, route.reference, route.tags, {
        bytes,
        contentType: request.headers.get('content-type') ?? undefined,
      });
      await auditPush(parts.audit, { ...did, target: access.target }, pushed, route.tags);
      const response = new Response(null, {
        status: 201,
        headers: {
          ...apiVersion,
          location: `/v2/${route.name}/manifests/${pushed.digest}`,
          'docker-content-digest': pushed.digest,
          ...(pushed.subjectDigest === undefined ? {} : { 'oci-subject': pushed.subjectDigest }),
        },
      });
      if (route.reference.kind === 'digest') for (const tag of route.tags) response.headers.append('oci-tag', tag);
      return response;
    }
    case 'manifest-delete': {
      const access = await on('delete');
      await parts.push.deleteManifest(access, route.reference);
      await auditDelete(parts.audit, { ...did, target: access.target }, route);
      return new Response(null, { status: 202, headers: apiVersion });
    }
    case 'blob-delete': {
      const access = await on('delete');
      await parts.push.deleteBlob(access, route.digest);
      await auditDelete(parts.audit, { ...did, target: access.target }, { blob: route.digest });
      return new Response(null, { status: 202, headers: apiVersion });
    }
    case 'upload-start': {
      const access = await on('push');
      if (route.digest !== undefined) {
        await parts.uploads.putWhole(access, route.digest, bodyChunks(request, parts.bodyPace));
        return blobCreated(route.name, route.digest);
      }
      return uploadAccepted(route.name, await parts.uploads.start(access, route.algorithm), 0);
    }
    case 'blob-mount': {
      const access = await on('push');
      const from = route.from === undefined ? undefined : await admitQuietly(parts, caller, route.from);
      if (await parts.uploads.mount(access, route.digest, from)) return blobCreated(route.name, route.digest);
      return uploadAccepted(route.name, await parts.uploads.start(access, route.digest.startsWith('sha512:') ? 'sha512' : 'sha256'), 0);
    }
    case 'upload-status': {
      const sizeBytes = await parts.uploads.status(await on('push'), route.upload);
      return new Response(null, { status: 204, headers: uploadHeaders(route.name, route.upload, sizeBytes) });
    }
    case 'upload-chunk': {
      const sizeBytes = await parts.uploads.append(
        await on('push'),
        route.upload,
        bodyChunks(request, parts.bodyPace),
        chunkRange(request),
      );
      return uploadAccepted(route.name, route.upload, sizeBytes);
    }
    case 'upload-finish':
      await parts.uploads.finish(await on('push'), route.upload, route.digest, bodyChunks(request, parts.bodyPace), chunkRange(request));
      return blobCreated(route.name, route.digest);
    case 'upload-cancel':
      await parts.uploads.cancel(await on('push'), route.upload);
      return new Response(null, { status: 204, headers: apiVersion });
    case 'tag-list': {
      const listed = await parts.catalog.tags(await on('pull'), route.page, request.signal);
      return json(200, { name: route.name, tags: listed.items }, { ...nextLink(route, listed), ...warningOf(listed) });
    }
    case 'referrers': {
      const listed = await parts.catalog.referrers(await on('pull'), route.digest, route.artifactType, route.page, request.signal);
      const headers = {
        ...apiVersion,
        'content-type': 'application/vnd.oci.image.index.v1+json',
        ...(route.artifactType === undefined ? {} : { 'oci-filters-applied': 'artifactType' }),
        ...nextLink(route, listed),
        ...warningOf(listed),
      };
      return new Response(referrersIndex(listed.items), { headers });
    }
    case 'catalog': {
      if (route.registry !== undefined) throw new OciError('UNSUPPORTED', 'the repositories of another registry cannot be listed here');
      parts.authentication.admitCatalog(caller);
      const listed = await parts.catalog.repositories(caller.principal, route.page);
      return json(200, { repositories: listed.items }, nextLink(route, listed));
    }
  }
}

async function admit<A extends RepositoryAction>(parts: DistributionParts, caller: Caller, action: A, route: Route): Promise<Access<A>> {
  if (!('name' in route)) throw new Error('a route without a repository');
  const target = await resolveName(parts.names, route.name, route.registry);
  if (target === undefined) throw unknownProject(caller, action, route.name);
  if (
    target.upstream !== undefined &&
    action === 'push' &&
    !route.name.startsWith(`${target.project.name}/`) &&
    route.registry === undefined
  ) {
    // The name went to the root registry only because no project bears its first part.
    if (caller.principal.kind !== 'anonymous') throw unknownProject(caller, action, route.name);
  }
  return parts.authentication.admit(caller, action, target, route.name);
}

/** Alike for a name in a private project and for one in no project, unless the caller may create projects. */
function unknownProject(caller: Caller, action: RepositoryAction, name: string): OciError {
  if (caller.principal.kind === 'anonymous') return new OciError('UNAUTHORIZED', 'log in to do this');
  if (!decideSystem(caller.principal, 'project:create')) {
    if (caller.claims !== undefined) throw insufficientScope();
    throw refusal(action);
  }
  const project = name.split('/')[0] ?? name;
  const hint = action === 'push' ? `; an administrator can create it: breakwater project create ${project}` : '';
  return new OciError('NAME_UNKNOWN', `there is no project named ${project} here${hint}`, { detail: { name } });
}

/** Access to the source of a mount, or undefined: a mount that may not be read is like one that is not there. */
async function admitQuietly(
  parts: DistributionParts,
  caller: Caller,
  name: Parameters<typeof resolveName>[1],
): Promise<Access<'pull'> | undefined> {
  try {
    const target: RepositoryTarget | undefined = await resolveName(parts.names, name, undefined);
    return target === undefined ? undefined : parts.authentication.admit(caller, 'pull', target, name);
  } catch (error) {
    if (error instanceof OciError) return undefined;
    throw error;
  }
}

async function sendBlob(
  parts: DistributionParts,
  access: Access<'pull'>,
  route: Extract<Route, { kind: 'blob-get' }>,
  request: Request,
): Promise<Response> {
  const rangeHeader = freshRange(request, route.digest);
  const wantedStart = rangeHeader === null ? 0 : Number(/^bytes=(\d{1,15})-/.exec(rangeHeader)?.[1] ?? 0);
  const blob = await parts.pull.blob(
    access,
    route.digest,
    { head: route.head, startBytes: wantedStart, asPusher: mayPush(access) },
    request.signal,
  );
  const headers: Record<string, string> = {
    ...apiVersion,
    'content-type': 'application/octet-stream',
    'content-disposition': 'attachment',
    'docker-content-digest': route.digest,
    etag: `"${route.digest}"`,
    'accept-ranges': 'bytes',
    // A blob that is a page or a picture with scripts must not run as one of ours.
    'x-content-type-options': 'nosniff',
    'content-security-policy': 'sandbox',
  };
  if (isKnown(request, route.digest)) return notModified(route.digest);
  const range = blob.sizeBytes === undefined ? undefined : parseRange(rangeHeader, blob.sizeBytes);
  if (range === 'unsatisfiable') {
    const error = new OciError('RANGE_INVALID', 'the range starts behind the end of the blob', { detail: { size: blob.sizeBytes } });
    return errorResponse(error, { head: route.head, headers: { ...apiVersion, 'content-range': `bytes */${blob.sizeBytes ?? '*'}` } });
  }
  if (route.head) {
    if (blob.sizeBytes !== undefined) headers['content-length'] = String(blob.sizeBytes);
    return new Response(null, { headers });
  }
  if (range !== undefined && blob.sizeBytes !== undefined) headers['content-range'] = formatContentRange(range, blob.sizeBytes);
  return new Response(blobBody(blob, range, request.signal), { status: range === undefined ? 200 : 206, headers });
}

/** The client has this content already (RFC 9110 section 13.1.2). */
function isKnown(request: Request, digest: string): boolean {
  const known = request.headers.get('if-none-match');
  return known?.split(',').some((tag) => tag.trim().replace(/^W\//, '') === `"${digest}"`) === true;
}

function notModified(digest: string): Response {
  return new Response(null, { status: 304, headers: { ...apiVersion, etag: `"${digest}"`, 'docker-content-digest': digest } });
}

/** The Range header of a GET, unless If-Range says that it is about another content (RFC 9110 section 13.1.5). */
function freshRange(request: Request, digest: string): string | null {
  if (request.method !== 'GET') return null;
  const condition = request.headers.get('if-range');
  return condition === null || condition === `"${digest}"` ? request.headers.get('range') : null;
}

function blobBody(blob: BlobAnswer, range: ByteRange | undefined, signal: AbortSignal): Bun.BunFile | Blob | ReadableStream<Uint8Array> {
  switch (blob.kind) {
    case 'file': {
      const file = Bun.file(blob.path);
      // A file that was cut or is gone (its size is 0 then) must not pass for the whole.
      if (file.size !== blob.sizeBytes) throw new Error(`${blob.path} has ${file.size} bytes instead of ${blob.sizeBytes}: it is damaged`);
      return range === undefined ? file : file.slice(range.start, range.end);
    }
    case 'arriving':
      return streamOf((abort) => blob.follow(range?.start ?? 0, range?.end, abort), signal);
    case 'known':
      throw new Error('only the size of this blob is known');
  }
}

/** Content-Range of a chunk. BLOB_UPLOAD_RANGE when it cannot be read or disagrees with Content-Length. */
function chunkRange(request: Request): ByteRange | undefined {
  const header = request.headers.get('content-range');
  if (header === null) return undefined;
  const range = parseChunkRange(header);
  const length = request.headers.get('content-length');
  if (range === undefined) throw new OciError('BLOB_UPLOAD_RANGE', 'Content-Range must be <start>-<end>');
  if (length !== null && Number(length) !== range.end - range.start)
    throw new OciError('BLOB_UPLOAD_RANGE', 'Content-Range and Content-Length disagree');
  return range;
}

function blobCreated(name: string, digest: string): Response {
  return new Response(null, {
    status: 201,
    headers: { ...apiVersion, location: `/v2/${name}/blobs/${digest}`, 'docker-content-digest': digest },
  });
}

function uploadAccepted(name: string, upload: string, sizeBytes: number): Response {
  return new Response(null, { status: 202, headers: uploadHeaders(name, upload, sizeBytes) });
}

function uploadHeaders(name: string, upload: string, sizeBytes: number): Record<string, string> {
  return {
    ...apiVersion,
    location: `/v2/${name}/blobs/uploads/${upload}`,
    range: formatUploadRange(sizeBytes),
    'docker-upload-uuid': upload,
  };
}

function warningOf(listed: Listed<unknown>): Record<string, string> {
  return listed.warning === undefined ? {} : { warning: listed.warning };
}

function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { ...apiVersion, 'content-type': 'application/json', ...headers } });
}

/** RFC 8288 Link to the following page, relative. */
function nextLink<T>(route: Extract<Route, { kind: 'tag-list' | 'referrers' | 'catalog' }>, listed: Listed<T>): Record<string, string> {
  if (listed.next === undefined) return {};
  const { path, query } = formatRoute({ ...route, page: listed.next });
  return { link: `<${path}?${query}>; rel="next"` };
}

/** containerd sends `ns=` with the host it was configured for, which can be our own: then it says nothing. */
function ignoreOwnHost(route: Route, host: string | null): Route {
  if (!('registry' in route) || route.registry === undefined || route.registry !== host?.toLowerCase()) return route;
  const { registry: _own, ...rest } = route;
  return rest as Route;
}

function challengeFor(parts: DistributionParts, wire: WireRequest, route: Route | undefined, error: OciError): string {
  const reason =
    typeof error.detail === 'object' && error.detail !== null && 'reason' in error.detail ? String(error.detail.reason) : undefined;
  const scope = route === undefined ? undefined : scopeOf(route);
  return challenge({
    origin: wire.origin(),
    service: parts.service,
    ...(scope === undefined ? {} : { scope }),
    ...(reason === undefined ? {} : { reason }),
  });
}

/** The scope a request needs, in the names the client used. A push asks for pull too, as clients do. */
function scopeOf(route: Route): string | undefined {
  switch (route.kind) {
    case 'api-version':
      return undefined;
    case 'catalog':
      return 'registry:catalog:*';
    case 'manifest-get':
    case 'blob-get':
    case 'tag-list':
    case 'referrers':
      return `repository:${route.name}:pull`;
    case 'manifest-delete':
    case 'blob-delete':
      return `repository:${route.name}:delete`;
    case 'blob-mount':
      return `repository:${route.name}:pull,push${route.from === undefined ? '' : ` repository:${route.from}:pull`}`;
    case 'manifest-put':
    case 'upload-start':
    case 'upload-status':
    case 'upload-chunk':
    case 'upload-finish':
    case 'upload-cancel':
      return `repository:${route.name}:pull,push`;
  }
}
