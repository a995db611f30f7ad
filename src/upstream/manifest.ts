// Manifests from a source: by tag, by digest, or only their head. It must never change a byte (a transport encoding is undone, nothing else),
// and never give out bytes that are not what they were asked or announced to be. wire.md 2.4; faults F12-F16, F40-F42, F61.

import { gunzipSync } from 'node:zlib';
import { type Digest, digestAlgorithm, digestOf, parseDigest } from '../oci/digest.ts';
import { bareMediaType, isIndexMediaType, isManifestMediaType, isSchema1MediaType, mediaTypes } from '../oci/media-types.ts';
import { readWhole } from './body.ts';
import { isHtml } from './classify.ts';
import type { Hop } from './transport.ts';
import { UpstreamError } from './verdict.ts';

/** Everything that is served, and nothing that would be converted: no schema 1, no wildcard. */
export const manifestAccept = [mediaTypes.ociIndex, mediaTypes.ociManifest, mediaTypes.dockerList, mediaTypes.dockerManifest].join(', ');

export interface ManifestHead {
  readonly digest?: Digest;
  readonly mediaType?: string;
  readonly sizeBytes?: number;
}

export interface ManifestAnswer {
  readonly bytes: Uint8Array;
  /** The effective, bare media type: the body's own, else the header's when it is a manifest type, else by shape. */
  readonly mediaType: string;
  /** Of `bytes`; in the algorithm of the digest that was asked for, sha256 for a tag. */
  readonly digest: Digest;
}

/** Reads a 200 to a HEAD. Throws `html` for a page; what is missing or malformed is left out. */
export function readManifestHead(hop: Hop): ManifestHead {
  hop.finish();
  const contentType = hop.headers.get('content-type');
  if (isHtml(contentType, ''))
    throw new UpstreamError('html', { detail: 'an HTML page instead of a manifest', status: hop.status, origin: hop.url.origin });
  const digest = announcedDigest(hop);
  const mediaType = contentType === null ? undefined : bareMediaType(contentType);
  const length = hop.headers.get('content-encoding') === null ? hop.headers.get('content-length') : null;
  const isLength = length !== null && /^[1-9]\d{0,9}$/.test(length);
  return {
    ...(digest === undefined ? {} : { digest }),
    ...(mediaType !== undefined && isManifestMediaType(mediaType) ? { mediaType } : {}),
    ...(isLength ? { sizeBytes: Number(length) } : {}),
  };
}

/**
 * Reads a 200 to a GET. `wanted` is the digest that was asked for, undefined for a tag. Throws `too-large`, `encoding`, `html`,
 * `bad-manifest`, `wrong-digest` and what a body can fail with.
 */
export async function readManifest(hop: Hop, options: { wanted: Digest | undefined; maxBytes: number }): Promise<ManifestAnswer> {
  const { origin } = hop.url;
  const bytes = decodeContent(await readWhole(hop, options.maxBytes), {
    encoding: hop.headers.get('content-encoding'),
    maxBytes: options.maxBytes,
    origin,
  });
  const contentType = hop.headers.get('content-type');
  const mediaType = effectiveMediaType(bytes, contentType, origin);
  const announced = announcedDigest(hop);
  const digest = digestOf(bytes, options.wanted === undefined ? 'sha256' : digestAlgorithm(options.wanted));
  if (options.wanted !== undefined && digest !== options.wanted) {
    throw new UpstreamError('wrong-digest', {
      detail: `asked for ${options.wanted.slice(0, 19)}..., got ${digest.slice(0, 19)}...`,
      status: hop.status,
      origin,
    });
  }
  if (announced !== undefined && digestOf(bytes, digestAlgorithm(announced)) !== announced) {
    throw new UpstreamError('wrong-digest', {
      detail: `announced ${announced.slice(0, 19)}..., got ${digest.slice(0, 19)}...`,
      status: hop.status,
      origin,
    });
  }
  return { bytes, mediaType, digest };
}

/** Undoes gzip, which some registries send although identity was asked for (fault F40); the output has the same cap as the input. */
export function decodeContent(bytes: Uint8Array, options: { encoding: string | null; maxBytes: number; origin: string }): Uint8Array {
  const encoding = (options.encoding ?? 'identity').trim().toLowerCase();
  if (encoding === 'identity' || encoding === '') return bytes;
  if (encoding !== 'gzip' && encoding !== 'x-gzip')
    throw new UpstreamError('encoding', { detail: 'a Content-Encoding other than gzip', origin: options.origin });
  try {
    return gunzipSync(bytes, { maxOutputLength: options.maxBytes });
  } catch (error) {
    const isBomb = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
    if (isBomb) throw new UpstreamError('too-large', { detail: `unpacks to more than ${options.maxBytes} bytes`, origin: options.origin });
    throw new UpstreamError('encoding', { detail: 'a body that is not the gzip it claims to be', origin: options.origin, cause: error });
  }
}

function announcedDigest(hop: Hop): Digest | undefined {
  return parseDigest(hop.headers.get('docker-content-digest')?.trim() ?? '');
}

/** Throws `html` or `bad-manifest` for what is no schema 2 manifest. Whether it is a good one is decided where content is taken in. */
export function effectiveMediaType(bytes: Uint8Array, contentType: string | null, origin: string): string {
  const value = parseRecord(bytes);
  if (value === undefined) {
    if (isHtml(contentType, new TextDecoder().decode(bytes.subarray(0, 300))))
      throw new UpstreamError('html', { detail: 'an HTML page instead of a manifest', origin });
    throw bad('the body is no JSON object', origin);
  }
  if (value['schemaVersion'] === 1) throw bad('a Docker schema 1 manifest', origin);
  if (value['schemaVersion'] !== 2)
    throw bad(Array.isArray(value['errors']) ? 'an error document with status 200' : 'JSON without schemaVersion 2', origin);
  const own = value['mediaType'];
  if (own !== undefined && typeof own !== 'string') throw bad('a mediaType that is no string', origin);
  const header = contentType === null ? undefined : bareMediaType(contentType);
  const isIndexShape = Array.isArray(value['manifests']);
  const isImageShape = Array.isArray(value['layers']) || value['config'] !== undefined;
  if (isIndexShape && isImageShape) throw bad('both an index and an image manifest', origin);
  if (own !== undefined) {
    if (isSchema1MediaType(own)) throw bad('a Docker schema 1 manifest', origin);
    return bareMediaType(own);
  }
  if (!isIndexShape && !isImageShape) throw bad('neither an index nor an image manifest', origin);
  if (header !== undefined && isManifestMediaType(header) && isIndexMediaType(header) === isIndexShape) return header;
  return isIndexShape ? mediaTypes.ociIndex : mediaTypes.ociManifest;
}

function parseRecord(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function bad(what: string, origin: string): UpstreamError {
  return new UpstreamError('bad-manifest', { detail: `no manifest: ${what}`, origin });
}
