// The registry API as a pure parser: method + path + query -> one discriminated union, and back.
// distribution-spec v1.1 "Endpoints" (end-1 ... end-14), its main branch's `?tag=` on manifest PUT, Docker's `_catalog`, and the request
// shapes of mirrors: `?ns=<registry>` and `/<registry>/v2/...`. It decides nothing about rights or existence.

import { type Digest, type DigestAlgorithm, digestAlgorithm, parseDigest, parseDigestAlgorithm, requireDigest } from './digest.ts';
import { OciError } from './errors.ts';
import {
  formatReference,
  type Reference,
  type RepositoryName,
  requireReference,
  requireRepositoryName,
  requireTag,
  type Tag,
} from './reference.ts';

export const pushTagsMax = 100;
/** Of a query parameter that is free text, in characters. */
export const parameterMaxLength = 300;

interface OnRepository {
  readonly name: RepositoryName;
  /** The registry the client asked for explicitly, lower case, not yet checked against the configured ones. */
  readonly registry?: string;
}
export interface Page {
  /** Undefined when the client did not say. */
  readonly count?: number;
  readonly last?: string;
}

export type Route =
  | { readonly kind: 'api-version'; readonly registry?: string }
  | ({ readonly kind: 'blob-get'; readonly head: boolean; readonly digest: Digest } & OnRepository)
  | ({ readonly kind: 'blob-delete'; readonly digest: Digest } & OnRepository)
  | ({ readonly kind: 'manifest-get'; readonly head: boolean; readonly reference: Reference } & OnRepository)
  | ({ readonly kind: 'manifest-put'; readonly reference: Reference; readonly tags: readonly Tag[] } & OnRepository)
  | ({ readonly kind: 'manifest-delete'; readonly reference: Reference } & OnRepository)
  | ({ readonly kind: 'upload-start'; readonly digest?: Digest; readonly algorithm: DigestAlgorithm } & OnRepository)
  | ({ readonly kind: 'blob-mount'; readonly digest: Digest; readonly from?: RepositoryName } & OnRepository)
  | ({ readonly kind: 'upload-status'; readonly upload: string } & OnRepository)
  | ({ readonly kind: 'upload-chunk'; readonly upload: string } & OnRepository)
  | ({ readonly kind: 'upload-finish'; readonly upload: string; readonly digest: Digest } & OnRepository)
  | ({ readonly kind: 'upload-cancel'; readonly upload: string } & OnRepository)
  | ({ readonly kind: 'tag-list'; readonly page: Page } & OnRepository)
  | ({ readonly kind: 'referrers'; readonly digest: Digest; readonly artifactType?: string; readonly page: Page } & OnRepository)
  | { readonly kind: 'catalog'; readonly registry?: string; readonly page: Page };

export type RouteMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/**
 * Parses a request target below `/v2`. `path` is the raw path (it may hold percent escapes), `query` the part after `?`.
 * Gives undefined when the path is not of the registry API at all (no `/v2/`), throws NAME_INVALID, DIGEST_INVALID, TAG_INVALID,
 * PAGINATION_NUMBER_INVALID, BLOB_UPLOAD_UNKNOWN (an id this server never made), BAD_REQUEST (a parameter given twice with two values,
 * too long, or with control characters), NOT_FOUND (no such endpoint) or METHOD_NOT_ALLOWED (`detail.allowed` lists the methods there are).
 */
export function parseRoute(method: string, path: string, query: string): Route | undefined {
  const target = splitPrefix(path);
  if (target === undefined) return undefined;
  const parameters = new URLSearchParams(query);
  const registry = explicitRegistry(target.prefix, parameters);
  const scope = registry === undefined ? {} : { registry };
  if (target.rest === '') return only(method, ['GET', 'HEAD'], () => ({ kind: 'api-version', ...scope }));
  const segments = decodeSegments(target.rest);
  if (segments.length === 1 && segments[0] === '_catalog') {
    return only(method, ['GET'], () => ({ kind: 'catalog', page: readPage(parameters), ...scope }));
  }
  const last = segments.at(-1) ?? '';
  const before = segments.at(-2);
  const on = (length: number): OnRepository => ({ name: requireRepositoryName(segments.slice(0, -length).join('/')), ...scope });
  if (before === 'manifests') return manifestRoute(method, on(2), last, parameters);
  if (before === 'tags' && last === 'list') {
    return only(method, ['GET'], () => ({ kind: 'tag-list', page: readPage(parameters), ...on(2) }));
  }
  if (before === 'referrers') return only(method, ['GET'], () => referrersRoute(on(2), last, parameters));
  if (before === 'uploads' && segments.at(-3) === 'blobs') {
    return last === '' ? only(method, ['POST'], () => startRoute(on(3), parameters)) : uploadRoute(method, on(3), last, parameters);
  }
  if (before === 'blobs' && last === 'uploads') return only(method, ['POST'], () => startRoute(on(2), parameters));
  if (before === 'blobs') return blobRoute(method, on(2), last);
  throw new OciError('NOT_FOUND', 'no such endpoint of the registry API');
}

/** The inverse of `parseRoute`: path and query of a route, in the `?ns=` form when it names a registry. */
export function formatRoute(route: Route): { readonly method: RouteMethod; readonly path: string; readonly query: string } {
  const query = new URLSearchParams();
  const base = 'name' in route ? `/v2/${route.name}` : '/v2';
  const make = (method: RouteMethod, path: string) => {
    if ('registry' in route && route.registry !== undefined) query.set('ns', route.registry);
    return { method, path: `${base}${path}`, query: query.toString() };
  };
  const page = (value: Page): void => {
    if (value.count !== undefined) query.set('n', String(value.count));
    if (value.last !== undefined) query.set('last', value.last);
  };
  switch (route.kind) {
    case 'api-version':
      return make('GET', '/');
    case 'catalog':
      page(route.page);
      return make('GET', '/_catalog');
    case 'blob-get':
      return make(route.head ? 'HEAD' : 'GET', `/blobs/${route.digest}`);
    case 'blob-delete':
      return make('DELETE', `/blobs/${route.digest}`);
    case 'manifest-get':
      return make(route.head ? 'HEAD' : 'GET', `/manifests/${formatReference(route.reference)}`);
    case 'manifest-put':
      // A push by tag carries its tag in the path; more tags may only be given to a push by digest.
      if (route.reference.kind === 'digest') for (const tag of route.tags) query.append('tag', tag);
      return make('PUT', `/manifests/${formatReference(route.reference)}`);
    case 'manifest-delete':
      return make('DELETE', `/manifests/${formatReference(route.reference)}`);
    case 'upload-start':
      if (route.digest !== undefined) query.set('digest', route.digest);
      else if (route.algorithm !== 'sha256') query.set('digest-algorithm', route.algorithm);
      return make('POST', '/blobs/uploads/');
    case 'blob-mount':
      query.set('mount', route.digest);
      if (route.from !== undefined) query.set('from', route.from);
      return make('POST', '/blobs/uploads/');
    case 'upload-status':
      return make('GET', `/blobs/uploads/${route.upload}`);
    case 'upload-chunk':
      return make('PATCH', `/blobs/uploads/${route.upload}`);
    case 'upload-finish':
      query.set('digest', route.digest);
      return make('PUT', `/blobs/uploads/${route.upload}`);
    case 'upload-cancel':
      return make('DELETE', `/blobs/uploads/${route.upload}`);
    case 'tag-list':
      page(route.page);
      return make('GET', '/tags/list');
    case 'referrers':
      if (route.artifactType !== undefined) query.set('artifactType', route.artifactType);
      page(route.page);
      return make('GET', `/referrers/${route.digest}`);
  }
}

/** `/v2/rest` or `/<registry>/v2/rest`. */
function splitPrefix(path: string): { prefix?: string; rest: string } | undefined {
  if (path === '/v2' || path === '/v2/') return { rest: '' };
  if (path.startsWith('/v2/')) return { rest: path.slice(4) };
  const match = /^\/([a-z0-9][a-z0-9.:_-]{0,254})\/v2(?:\/(.*))?$/.exec(path);
  if (match?.[1] === undefined) return undefined;
  return { prefix: match[1], rest: match[2] ?? '' };
}

function explicitRegistry(prefix: string | undefined, parameters: URLSearchParams): string | undefined {
  if (prefix !== undefined) return prefix;
  return readText(parameters, 'ns')?.toLowerCase();
}

/** The path's segments, unescaped one by one; an escaped slash never parts them, or one repository would have two names. */
function decodeSegments(rest: string): string[] {
  if (!rest.includes('%')) return rest.split('/');
  let segments: string[];
  try {
    segments = rest.split('/').map((segment) => decodeURIComponent(segment));
  } catch {
    throw new OciError('NAME_INVALID', 'the path holds a broken percent escape');
  }
  if (segments.some((segment) => segment.includes('/'))) throw new OciError('NAME_INVALID', 'the path holds an escaped slash');
  return segments;
}

/** The value of a parameter that has one; it may stand there again, as when a client adds its own to a Location of ours. */
function readOne(parameters: URLSearchParams, name: string): string | undefined {
  const values = parameters.getAll(name);
  if (values.some((value) => value !== values[0]))
    throw new OciError('BAD_REQUEST', `the parameter ${name} is given twice with different values`);
  return values[0];
}

/** A parameter that is free text; empty counts as absent. */
function readText(parameters: URLSearchParams, name: string): string | undefined {
  const text = readOne(parameters, name);
  if (text === undefined || text === '') return undefined;
  if (text.length > parameterMaxLength)
    throw new OciError('BAD_REQUEST', `the parameter ${name} has more than ${parameterMaxLength} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a NUL here would reach the database
  if (/[\u0000-\u001f\u007f]/.test(text)) throw new OciError('BAD_REQUEST', `the parameter ${name} holds control characters`);
  return text;
}

function manifestRoute(method: string, on: OnRepository, text: string, parameters: URLSearchParams): Route {
  const reference = requireReference(text);
  switch (method) {
    case 'GET':
    case 'HEAD':
      return { kind: 'manifest-get', head: method === 'HEAD', reference, ...on };
    case 'PUT':
      return { kind: 'manifest-put', reference, tags: readPushTags(reference, parameters), ...on };
    case 'DELETE':
      return { kind: 'manifest-delete', reference, ...on };
    default:
      throw notAllowed(method, ['GET', 'HEAD', 'PUT', 'DELETE']);
  }
}

function readPushTags(reference: Reference, parameters: URLSearchParams): readonly Tag[] {
  const extra = reference.kind === 'digest' ? parameters.getAll('tag') : [];
  if (extra.length > pushTagsMax) throw new OciError('TAG_INVALID', `at most ${pushTagsMax} tags may be set by one push`);
  const tags = extra.map(requireTag);
  return [...new Set(reference.kind === 'tag' ? [reference.tag, ...tags] : tags)];
}

function blobRoute(method: string, on: OnRepository, text: string): Route {
  const digest = requireDigest(text);
  switch (method) {
    case 'GET':
    case 'HEAD':
      return { kind: 'blob-get', head: method === 'HEAD', digest, ...on };
    case 'DELETE':
      return { kind: 'blob-delete', digest, ...on };
    default:
      throw notAllowed(method, ['GET', 'HEAD', 'DELETE']);
  }
}

function startRoute(on: OnRepository, parameters: URLSearchParams): Route {
  const mount = readOne(parameters, 'mount');
  if (mount !== undefined) {
    const from = readOne(parameters, 'from') || undefined;
    return {
      kind: 'blob-mount',
      digest: requireDigest(mount),
      ...(from === undefined ? {} : { from: requireRepositoryName(from) }),
      ...on,
    };
  }
  const digest = readOne(parameters, 'digest');
  if (digest !== undefined) {
    const parsed = requireDigest(digest);
    return { kind: 'upload-start', digest: parsed, algorithm: digestAlgorithm(parsed), ...on };
  }
  const parsed = parseDigestAlgorithm(readOne(parameters, 'digest-algorithm') ?? 'sha256');
  if (parsed === undefined) throw new OciError('DIGEST_INVALID', 'digest-algorithm must be sha256 or sha512');
  return { kind: 'upload-start', algorithm: parsed, ...on };
}

function uploadRoute(method: string, on: OnRepository, upload: string, parameters: URLSearchParams): Route {
  if (!/^[a-z0-9]{20,64}$/.test(upload)) throw new OciError('BLOB_UPLOAD_UNKNOWN', 'no such upload session');
  switch (method) {
    case 'GET':
      return { kind: 'upload-status', upload, ...on };
    case 'PATCH':
      return { kind: 'upload-chunk', upload, ...on };
    case 'PUT': {
      const digest = readOne(parameters, 'digest');
      if (digest === undefined) throw new OciError('DIGEST_INVALID', 'closing an upload needs ?digest=');
      return { kind: 'upload-finish', upload, digest: requireDigest(digest), ...on };
    }
    case 'DELETE':
      return { kind: 'upload-cancel', upload, ...on };
    default:
      throw notAllowed(method, ['GET', 'PATCH', 'PUT', 'DELETE']);
  }
}

function referrersRoute(on: OnRepository, text: string, parameters: URLSearchParams): Route {
  const digest = parseDigest(text);
  if (digest === undefined) throw new OciError('DIGEST_INVALID', 'referrers are asked for by digest');
  const artifactType = readText(parameters, 'artifactType');
  return { kind: 'referrers', digest, ...(artifactType === undefined ? {} : { artifactType }), page: readPage(parameters), ...on };
}

function readPage(parameters: URLSearchParams): Page {
  const counts = parameters.getAll('n');
  if (counts.length > 1 || (counts[0] !== undefined && !/^\d{1,12}$/.test(counts[0]))) {
    throw new OciError('PAGINATION_NUMBER_INVALID', 'n must be one whole number, 0 or more', {
      detail: { n: counts.join(',').slice(0, 100) },
    });
  }
  const last = readText(parameters, 'last');
  return { ...(counts[0] === undefined ? {} : { count: Number(counts[0]) }), ...(last === undefined ? {} : { last }) };
}

function only(method: string, allowed: readonly RouteMethod[], makeRoute: () => Route): Route {
  if (!(allowed as readonly string[]).includes(method)) throw notAllowed(method, allowed);
  return makeRoute();
}

function notAllowed(method: string, allowed: readonly RouteMethod[]): OciError {
  return new OciError('METHOD_NOT_ALLOWED', `${method.slice(0, 20)} is not allowed here`, { detail: { allowed } });
}
