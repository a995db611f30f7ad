// The steps cases are made of: start an upload, push a blob, push a manifest, walk a listing.
// A step that is only preparation throws a WireFailure beginning with "preparation", so that a report shows what was really tested.

import type { WireRequest, WireResponse } from './client.ts';
import { type Content, imageManifest, mediaTypes, randomBlob } from './content.ts';
import { check, expectStrings, requireHeader } from './expect.ts';
import { type CaseContext, WireFailure } from './wire-case.ts';

export interface Image {
  readonly config: Content;
  readonly layer: Content;
  readonly manifest: Content;
}

export function blobPath(repository: string, digest: string): string {
  return `/v2/${repository}/blobs/${digest}`;
}

export function manifestPath(repository: string, reference: string): string {
  return `/v2/${repository}/manifests/${reference}`;
}

export function uploadsPath(repository: string, query = ''): string {
  return `/v2/${repository}/blobs/uploads/${query}`;
}

/** Adds a query parameter to a Location, which may already have some that must stay. */
export function withParameter(location: string, name: string, value: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}${name}=${encodeURIComponent(value)}`;
}

/** The request that stores a manifest. */
export function putManifestRequest(repository: string, reference: string, manifest: Content): WireRequest {
  return {
    method: 'PUT',
    path: manifestPath(repository, reference),
    headers: [['Content-Type', manifest.mediaType]],
    body: manifest.bytes,
  };
}

/** The request that adds bytes to an upload; with `start`, as a chunk with its Content-Range. */
export function patchRequest(location: string, bytes: Uint8Array, start?: number): WireRequest {
  const range = start === undefined ? [] : [['Content-Range', `${start}-${start + bytes.length - 1}`] as const];
  return { method: 'PATCH', path: location, headers: [['Content-Type', 'application/octet-stream'], ...range], body: bytes };
}

/** The request that closes an upload, optionally with its last bytes. */
export function closeRequest(location: string, digest: string, bytes: Uint8Array = Buffer.alloc(0)): WireRequest {
  return {
    method: 'PUT',
    path: withParameter(location, 'digest', digest),
    headers: [['Content-Type', 'application/octet-stream']],
    body: bytes,
  };
}

/** Sends a request that must succeed for the case to make sense. */
export async function prepare(context: CaseContext, request: WireRequest, status: number): Promise<WireResponse> {
  const response = await context.send(request);
  if (response.status === status) return response;
  const body = response.body.subarray(0, 160).toString('utf8').trim();
  throw new WireFailure(`preparation: ${response.title}, expected ${status}${body === '' ? '' : `; body: ${body}`}`);
}

/** Opens an upload session and gives its Location. */
export async function startUpload(context: CaseContext, repository = context.repository): Promise<string> {
  return requireHeader(await prepare(context, { method: 'POST', path: uploadsPath(repository) }, 202), 'Location');
}

/** Opens an upload session that already holds these bytes. */
export async function startUploadWith(context: CaseContext, bytes: Uint8Array): Promise<string> {
  const location = await startUpload(context);
  return requireHeader(await prepare(context, patchRequest(location, bytes, 0), 202), 'Location');
}

/** Stores a blob by POST and PUT. */
export async function pushBlob(context: CaseContext, blob: Content, repository = context.repository): Promise<Content> {
  const location = await startUpload(context, repository);
  await prepare(context, closeRequest(location, blob.digest, blob.bytes), 201);
  return blob;
}

/** Stores a manifest under a reference. */
export async function pushManifest(
  context: CaseContext,
  manifest: Content,
  options: { readonly reference?: string; readonly repository?: string } = {},
): Promise<Content> {
  const repository = options.repository ?? context.repository;
  await prepare(context, putManifestRequest(repository, options.reference ?? manifest.digest, manifest), 201);
  return manifest;
}

/** Blobs of a small image, stored, and its manifest, not stored. `members` go into the manifest. */
export async function prepareImage(
  context: CaseContext,
  options: { readonly repository?: string; readonly members?: Readonly<Record<string, unknown>> } = {},
): Promise<Image> {
  const [config, layer] = await Promise.all([
    pushBlob(context, randomBlob(64, { mediaType: mediaTypes.config }), options.repository),
    pushBlob(context, randomBlob(256), options.repository),
  ]);
  return { config, layer, manifest: imageManifest({ config, layers: [layer], ...(options.members ? { members: options.members } : {}) }) };
}

/** Stores a small image under a reference (its digest by default). */
export async function pushImage(
  context: CaseContext,
  options: { readonly reference?: string; readonly repository?: string; readonly members?: Readonly<Record<string, unknown>> } = {},
): Promise<Image> {
  const image = await prepareImage(context, options);
  await pushManifest(context, image.manifest, options);
  return image;
}

/** One image under many tags. */
export async function pushTags(context: CaseContext, tags: readonly string[]): Promise<Image> {
  const image = await prepareImage(context);
  for (const tag of tags) await pushManifest(context, image.manifest, { reference: tag });
  return image;
}

/** One image under very many tags: a hundred by one request where the registry takes tag parameters, else one by one. */
export async function pushManyTags(context: CaseContext, tags: readonly string[]): Promise<void> {
  const { manifest } = await pushImage(context);
  for (let at = 0; at < tags.length; at += 100) {
    const some = tags.slice(at, at + 100);
    const request = putManifestRequest(context.repository, manifest.digest, manifest);
    const response = await prepare(context, { ...request, path: `${request.path}?${some.map((tag) => `tag=${tag}`).join('&')}` }, 201);
    if (response.header('oci-tag') !== undefined) continue;
    for (const tag of some) await pushManifest(context, manifest, { reference: tag });
  }
}

/** The target of the `rel="next"` link, or undefined. A Link header without such a target is a failure (RFC 5988, RFC 8288). */
export function nextLink(response: WireResponse): string | undefined {
  const value = response.header('link');
  if (value === undefined) return undefined;
  const match = /^<([^>]+)>\s*;(.*)$/.exec(value);
  check(match?.[1] !== undefined && /\brel="?next"?/i.test(match[2] ?? ''), `${response.title}: not a next link: ${value}`);
  return match[1];
}

/** Follows a listing to its end and gives the pages' items. Stops with a failure after `maxPages`. */
export async function walkPages(
  context: CaseContext,
  options: { readonly path: string; readonly member: string; readonly maxPages?: number; readonly until?: (item: string) => boolean },
): Promise<string[][]> {
  const pages: string[][] = [];
  let path: string | undefined = options.path;
  while (path !== undefined) {
    check(pages.length < (options.maxPages ?? 50), `${options.path}: no end after ${pages.length} pages`);
    const response: WireResponse = await prepare(context, { method: 'GET', path }, 200);
    const items = expectStrings(response, options.member);
    pages.push(items);
    if (options.until !== undefined && items.some(options.until)) break;
    const next: string | undefined = nextLink(response);
    path = next === undefined ? undefined : resolveReference(path, next);
  }
  return pages;
}

/** A link or Location relative to the request that gave it (RFC 3986, section 5). */
export function resolveReference(from: string, reference: string): string {
  if (/^[a-z]+:\/\//i.test(reference) || reference.startsWith('/')) return reference;
  const resolved = new URL(reference, new URL(from, 'http://base.invalid'));
  return `${resolved.pathname}${resolved.search}`;
}
