// The OCI image layout inside an archive: its file names, and what its index says. image-spec v1.1 "image-layout.md". It does no I/O.
//
//   oci-layout            {"imageLayoutVersion": "1.0.0"}
//   index.json            one descriptor per image; annotations name it
//   blobs/sha256/<hex>    manifests, configs, layers

import { type Digest, digestAlgorithm, digestHex, parseDigest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { mediaTypes } from '../oci/media-types.ts';

export const layoutFile = 'oci-layout';
export const indexFile = 'index.json';
export const layoutText = '{"imageLayoutVersion":"1.0.0"}';

export const annotations = {
  /** What skopeo and podman select by, and what containerd falls back to. */
  refName: 'org.opencontainers.image.ref.name',
  /** Docker's and containerd's full name. */
  imageName: 'io.containerd.image.name',
  trust: 'breakwater.tag.trust',
  verifiedAt: 'breakwater.tag.verified-at',
  verifiedBy: 'breakwater.tag.verified-by',
} as const;

export interface LayoutImage {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly annotations: Readonly<Record<string, string>>;
}

export function blobPath(digest: Digest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

/** The digest a path of an archive names; undefined for what is no blob. */
export function digestOfPath(path: string): Digest | undefined {
  const match = /^blobs\/(sha256|sha512)\/([0-9a-f]+)$/.exec(path);
  return match === null ? undefined : parseDigest(`${match[1]}:${match[2]}`);
}

/** A path without `./` before it. BAD_REQUEST for one that leads out of the archive. */
export function requirePath(name: string): string {
  const path = name.replace(/^(?:\.\/)+/, '');
  if (path.startsWith('/') || path.includes('\\') || path.includes('\0') || path.split('/').includes('..'))
    throw new OciError('BAD_REQUEST', `the archive has an entry that leads out of it: ${JSON.stringify(name.slice(0, 200))}`);
  return path;
}

export function formatIndex(images: readonly LayoutImage[]): string {
  const manifests = images.map(({ digest, mediaType, sizeBytes, annotations: words }) => ({
    mediaType,
    digest,
    size: sizeBytes,
    ...(Object.keys(words).length === 0 ? {} : { annotations: words }),
  }));
  return JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
}

/** The images an index.json lists. BAD_REQUEST when it is none. */
export function parseIndex(bytes: Uint8Array): readonly LayoutImage[] {
  const value = parseObject(bytes, indexFile);
  const { manifests } = value;
  if (!Array.isArray(manifests)) throw new OciError('BAD_REQUEST', `${indexFile} of the archive lists no manifests`);
  return manifests.map((item: unknown): LayoutImage => {
    const entry = isRecord(item) ? item : {};
    const digest = typeof entry['digest'] === 'string' ? parseDigest(entry['digest']) : undefined;
    const { mediaType, size } = entry;
    if (digest === undefined || typeof mediaType !== 'string' || typeof size !== 'number')
      throw new OciError('BAD_REQUEST', `${indexFile} of the archive has an entry that is no descriptor`);
    const words = isRecord(entry['annotations']) ? entry['annotations'] : {};
    const texts = Object.entries(words).filter((pair): pair is [string, string] => typeof pair[1] === 'string');
    return { digest, mediaType, sizeBytes: size, annotations: Object.fromEntries(texts) };
  });
}

/** BAD_REQUEST for a layout of another version. */
export function requireLayout(bytes: Uint8Array): void {
  const { imageLayoutVersion: version } = parseObject(bytes, layoutFile);
  if (typeof version !== 'string' || !/^1\./.test(version))
    throw new OciError(
      'BAD_REQUEST',
      `the archive is an OCI image layout of a version that is not understood (${String(version).slice(0, 50)})`,
    );
}

/** A full name, where the archive has one: with a repository, not a tag alone. */
export function fullNameOf({ annotations: words }: LayoutImage): string | undefined {
  const named = words[annotations.imageName] ?? words[annotations.refName];
  return named !== undefined && /[/:@]/.test(named) ? named : undefined;
}

/** The tag alone, where the archive has no more. */
export function tagOf({ annotations: words }: LayoutImage): string | undefined {
  return words[annotations.refName];
}

function parseObject(bytes: Uint8Array, what: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (isRecord(value)) return value;
  } catch {}
  throw new OciError('BAD_REQUEST', `${what} of the archive is no JSON object`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
