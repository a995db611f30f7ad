// Reads manifests: OCI image manifest and index, Docker schema2 and manifest list. Bytes are never changed; this only says what
// they mean. image-spec v1.1 "manifest.md", "image-index.md", "descriptor.md"; refuses documents that two readers could read in two ways
// (CVE-2021-41190; keys that differ in case only, which Go's JSON reader takes for each other).

import { type Digest, parseDigest } from './digest.ts';
import { OciError } from './errors.ts';
import {
  bareMediaType,
  isIndexMediaType,
  isManifestMediaType,
  isSchema1MediaType,
  type ManifestMediaType,
  mediaTypes,
} from './media-types.ts';
import { parseStrictJson } from './strict-json.ts';

export const manifestReferencesMax = 10_000;
export const mediaTypeMaxLength = 255;

const documentFields = foldedNames([
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'subject',
  'annotations',
  'fsLayers',
]);
const descriptorFields = foldedNames(['mediaType', 'digest', 'size', 'urls', 'annotations', 'artifactType', 'data', 'platform']);
/** Printable ASCII: looser than RFC 6838, since clients write free words here, but nothing that breaks a header or a database. */
const mediaTypePattern = /^[\x20-\x7e]+$/;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly artifactType?: string;
  /** Without a prototype: any key may be looked up. */
  readonly annotations?: Readonly<Record<string, string>>;
  readonly urls?: readonly string[];
}

/** `config` and `layer` are blobs. An index may hold `layer`s: BuildKit's build cache lists blobs as if they were manifests. */
export type ManifestReferenceKind = 'config' | 'layer' | 'manifest';

/** Something the manifest is made of. `required` is false for layers that may live elsewhere only (foreign type and `urls`). */
export interface ManifestReference extends Descriptor {
  readonly kind: ManifestReferenceKind;
  readonly required: boolean;
}

export interface ParsedManifest {
  readonly mediaType: ManifestMediaType;
  readonly kind: 'image' | 'index';
  /** What the referrers API shows: `artifactType`, else (also when it is empty) an image's config media type. */
  readonly artifactType?: string;
  readonly subject?: Descriptor;
  /** Without a prototype: any key may be looked up. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Config first, then layers in order; or the children of an index in order. */
  readonly references: readonly ManifestReference[];
}

/**
 * Parses a manifest. `contentType` is the header it came with, or undefined when there was none or it says nothing (an upstream's
 * `text/plain`). An optional member that is null counts as absent, and a null list as empty: Go programs write nil so.
 * Throws MANIFEST_INVALID with what is wrong and what was expected.
 */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined): ParsedManifest {
  const value = parseStrictJson(bytes);
  if (!isRecord(value)) throw invalid('must be a JSON object');
  refuseLookalikes(value, documentFields, '');
  const header = contentType === undefined ? '' : bareMediaType(contentType);
  const mediaType = effectiveMediaType(value, header === '' ? undefined : header);
  if (value['schemaVersion'] !== 2) throw invalid('schemaVersion must be 2');
  if (value['fsLayers'] !== undefined) throw invalid('must not have fsLayers, which belong to Docker schema 1');
  const isIndex = isIndexMediaType(mediaType);
  if (isIndex && (value['layers'] !== undefined || value['config'] !== undefined)) throw invalid('an index must not have layers or config');
  if (!isIndex && value['manifests'] !== undefined) throw invalid('an image manifest must not have manifests');
  const references = isIndex ? readChildren(value) : readImage(value);
  if (references.length > manifestReferencesMax) throw invalid(`refers to more than ${manifestReferencesMax} items`);
  const artifactType = readArtifactType(value, '') ?? (isIndex ? undefined : references[0]?.mediaType);
  const subject = value['subject'] ?? undefined;
  return {
    mediaType,
    kind: isIndex ? 'index' : 'image',
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(subject === undefined ? {} : { subject: readDescriptor(subject, 'subject') }),
    annotations: readAnnotations(value['annotations'], 'annotations') ?? createTextMap([]),
    references,
  };
}

function effectiveMediaType(value: Record<string, unknown>, header: string | undefined): ManifestMediaType {
  const own = optionalString(value, 'mediaType');
  const stated = own ?? header;
  if (value['schemaVersion'] === 1 || (stated !== undefined && isSchema1MediaType(stated))) {
    throw invalid('is Docker schema 1, which is not supported: push it with a client that writes schema 2 or OCI manifests');
  }
  if (stated === undefined) throw invalid('has no mediaType and came without a Content-Type');
  if (own !== undefined && header !== undefined && own !== header)
    throw invalid(`mediaType ${quote(own)} differs from Content-Type ${quote(header)}`);
  if (!isManifestMediaType(stated)) throw invalid(`media type ${quote(stated)} is not a manifest type this registry accepts`);
  const needsOwn = stated === mediaTypes.dockerManifest || stated === mediaTypes.dockerList;
  if (needsOwn && own === undefined) throw invalid('must state its mediaType (Docker schema 2)');
  return stated;
}

function readImage(value: Record<string, unknown>): ManifestReference[] {
  const config = readDescriptor(value['config'], 'config');
  const layers = readList(value['layers'], 'layers').map((item, index) => readDescriptor(item, `layers[${index}]`));
  return [
    { ...config, kind: 'config', required: true },
    ...layers.map((layer): ManifestReference => ({ ...layer, kind: 'layer', required: !isForeign(layer) })),
  ];
}

function readChildren(value: Record<string, unknown>): ManifestReference[] {
  return readList(value['manifests'], 'manifests').map((item, index): ManifestReference => {
    const child = readDescriptor(item, `manifests[${index}]`);
    const isManifest = isManifestMediaType(child.mediaType) || isSchema1MediaType(child.mediaType);
    return { ...child, kind: isManifest ? 'manifest' : 'layer', required: true };
  });
}

/** Layers whose bytes a registry may lack: Docker's foreign and OCI's non-distributable types, when they say where else they are. */
function isForeign(layer: Descriptor): boolean {
  return (layer.urls?.length ?? 0) > 0 && (layer.mediaType.includes('.nondistributable.') || layer.mediaType.includes('.foreign.'));
}

function readDescriptor(value: unknown, where: string): Descriptor {
  if (!isRecord(value)) throw invalid(`${where} must be a descriptor`);
  refuseLookalikes(value, descriptorFields, `${where}: `);
  const mediaType = optionalString(value, 'mediaType', where);
  if (mediaType === undefined || !isMediaType(mediaType)) throw invalid(`${where}.mediaType must be a media type`);
  const digest = typeof value['digest'] === 'string' ? parseDigest(value['digest']) : undefined;
  if (digest === undefined) throw invalid(`${where}.digest must be a sha256 or sha512 digest`);
  const size = value['size'];
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw invalid(`${where}.size must be a whole number of bytes`);
  const artifactType = readArtifactType(value, where);
  const annotations = readAnnotations(value['annotations'], `${where}.annotations`);
  const urls = value['urls'] ?? undefined;
  if (urls !== undefined && !(Array.isArray(urls) && urls.every((url) => typeof url === 'string')))
    throw invalid(`${where}.urls must be a list of strings`);
  return {
    mediaType,
    digest,
    sizeBytes: Math.abs(size), // -0 is 0
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(urls === undefined ? {} : { urls: urls as string[] }),
  };
}

function readAnnotations(value: unknown, where: string): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isRecord(value)) throw invalid(`${where} must be an object of strings`);
  const entries = Object.entries(value);
  if (!entries.every((entry): entry is [string, string] => typeof entry[1] === 'string'))
    throw invalid(`${where} must be an object of strings`);
  return createTextMap(entries);
}

/** An object that has these entries and inherits nothing, so that a look-up of `constructor` or `__proto__` finds only what was written. */
function createTextMap(entries: readonly (readonly [string, string])[]): Record<string, string> {
  const map: Record<string, string> = Object.create(null);
  for (const [key, value] of entries) map[key] = value;
  return map;
}

/** The artifact type; empty means absent (distribution-spec v1.1 "Listing Referrers"). */
function readArtifactType(value: Record<string, unknown>, where: string): string | undefined {
  const text = optionalString(value, 'artifactType', where);
  if (text === undefined || text === '') return undefined;
  if (!isMediaType(text)) throw invalid(`${where === '' ? '' : `${where}.`}artifactType must be a media type`);
  return text;
}

function isMediaType(text: string): boolean {
  return text.length <= mediaTypeMaxLength && mediaTypePattern.test(text);
}

function readList(value: unknown, where: string): readonly unknown[] {
  if (value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${where} must be a list`);
  return value;
}

function optionalString(value: Record<string, unknown>, key: string, where = ''): string | undefined {
  const item = value[key];
  if (item === undefined || item === null) return undefined;
  if (typeof item !== 'string') throw invalid(`${where === '' ? '' : `${where}.`}${key} must be a string`);
  return item;
}

function refuseLookalikes(value: Record<string, unknown>, fields: ReadonlyMap<string, string>, where: string): void {
  for (const key of Object.keys(value)) {
    const meant = fields.get(foldCase(key));
    if (meant !== undefined && meant !== key)
      throw invalid(`${where}the key ${quote(key)} is ${quote(meant)} to some readers and unknown to others`);
  }
}

function foldedNames(names: readonly string[]): ReadonlyMap<string, string> {
  return new Map(names.map((name) => [foldCase(name), name]));
}

/** Go's simple case folding, as far as ASCII letters are reached by it: U+017F is an s, U+212A (by toLowerCase) a k. */
function foldCase(key: string): string {
  return key.toLowerCase().replaceAll('\u017f', 's');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}

function invalid(reason: string): OciError {
  return new OciError('MANIFEST_INVALID', `manifest ${reason}`);
}
