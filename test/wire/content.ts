// Content for the wire suite: blobs and manifests that no registry has seen before.
// It must never reuse bytes between cases (a blob that is already stored somewhere would prove nothing), and never sends anything.
// Shapes: image-spec v1.1 manifest.md and image-index.md; Docker image manifest v2, schema 2.

import { createHash, randomBytes } from 'node:crypto';

export type Algorithm = 'sha256' | 'sha512';

export const mediaTypes = {
  image: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  empty: 'application/vnd.oci.empty.v1+json',
  nondistributable: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
  dockerImage: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
} as const;

export interface Content {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly mediaType: string;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly urls?: readonly string[];
  readonly platform?: { readonly architecture: string; readonly os: string };
}

/** The digest string of some bytes. */
export function digestOf(bytes: Uint8Array, algorithm: Algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** Unique random bytes. */
export function randomBlob(sizeBytes: number, options: { readonly mediaType?: string; readonly algorithm?: Algorithm } = {}): Content {
  const bytes = randomBytes(sizeBytes);
  return { bytes, digest: digestOf(bytes, options.algorithm), mediaType: options.mediaType ?? mediaTypes.layer };
}

/** The two-byte blob `{}` that artifacts use as their config. */
export function emptyJsonBlob(): Content {
  const bytes = Buffer.from('{}');
  return { bytes, digest: digestOf(bytes), mediaType: mediaTypes.empty };
}

/** A digest nobody has content for. */
export function unknownDigest(algorithm: Algorithm = 'sha256'): string {
  return digestOf(randomBytes(32), algorithm);
}

export function describe(content: Content, more: Partial<Descriptor> = {}): Descriptor {
  return { mediaType: content.mediaType, digest: content.digest, size: content.bytes.length, ...more };
}

/** A manifest with exactly these members, as compact JSON. */
export function manifestOf(members: Readonly<Record<string, unknown>>, mediaType: string, algorithm: Algorithm = 'sha256'): Content {
  return manifestOfText(JSON.stringify(members), mediaType, algorithm);
}

/** A manifest with exactly this text. */
export function manifestOfText(text: string, mediaType: string, algorithm: Algorithm = 'sha256'): Content {
  const bytes = Buffer.from(text);
  return { bytes, digest: digestOf(bytes, algorithm), mediaType };
}

export interface ImageParts {
  readonly config: Content;
  readonly layers: readonly Content[];
  readonly members?: Readonly<Record<string, unknown>>;
  readonly algorithm?: Algorithm;
}

/** An OCI image manifest. `members` are added or replace the usual ones. */
export function imageManifest(parts: ImageParts): Content {
  const members = {
    schemaVersion: 2,
    mediaType: mediaTypes.image,
    config: describe(parts.config),
    layers: parts.layers.map((layer) => describe(layer)),
    ...parts.members,
  };
  return manifestOf(members, mediaTypes.image, parts.algorithm);
}

/** An OCI image index over manifests. A unique annotation keeps two empty indexes apart. */
export function imageIndex(manifests: readonly Descriptor[], members: Readonly<Record<string, unknown>> = {}): Content {
  const unique = { 'org.example.unique': randomBytes(8).toString('hex') };
  return manifestOf({ schemaVersion: 2, mediaType: mediaTypes.index, manifests, annotations: unique, ...members }, mediaTypes.index);
}
