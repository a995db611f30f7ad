// Writes OCI image layouts (image-spec v1.1 "OCI Image Layout"): blobs named by their digest and an index.json with tags.
// Manifests are written as compact JSON exactly as given; nothing is added or reordered, so a test knows every byte.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly architecture: string; readonly os: string; readonly variant?: string };
}

/** A layer ready to be referenced: its stored form and the digest of the tar inside. */
export interface Layer {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly diffId: string;
}

export interface ImageOptions {
  readonly layers: readonly Layer[];
  readonly architecture?: string;
  readonly variant?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface LayoutWriter {
  readonly directory: string;
  blob(bytes: Uint8Array, mediaType: string, extra?: Partial<Descriptor>): Descriptor;
  json(value: unknown, mediaType: string, extra?: Partial<Descriptor>): Descriptor;
  image(options: ImageOptions): Descriptor;
  tag(descriptor: Descriptor, name: string): void;
  /** Lists a manifest in index.json without a tag. */
  add(descriptor: Descriptor): void;
  /** Writes index.json; call it once, last. */
  close(): void;
}

export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  empty: 'application/vnd.oci.empty.v1+json',
  tar: 'application/vnd.oci.image.layer.v1.tar',
  tarGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  tarZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

export type Compression = 'none' | 'gzip' | 'zstd' | 'stored';

/** Packs a tar as a layer. `stored` is gzip framing without compression: cheap for bytes that do not compress anyway. */
export function packLayer(tar: Uint8Array<ArrayBuffer>, compression: Compression): Layer {
  const diffId = sha256(tar);
  switch (compression) {
    case 'none':
      return { bytes: tar, mediaType: mediaTypes.tar, diffId };
    case 'gzip':
      return { bytes: Bun.gzipSync(tar, { level: 6 }), mediaType: mediaTypes.tarGzip, diffId };
    case 'stored':
      return { bytes: Bun.gzipSync(tar, { level: 0 }), mediaType: mediaTypes.tarGzip, diffId };
    case 'zstd':
      return { bytes: Bun.zstdCompressSync(tar, { level: 3 }), mediaType: mediaTypes.tarZstd, diffId };
  }
}

/** `sha256:` and the lower-case hex digest. */
export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Only what a `subject` field carries. */
export function bareDescriptor(descriptor: Descriptor): Descriptor {
  return { mediaType: descriptor.mediaType, digest: descriptor.digest, size: descriptor.size };
}

/** Starts a layout in a folder that does not exist yet. */
export function createLayout(directory: string): LayoutWriter {
  const blobFile = (digest: string): string => join(directory, 'blobs', ...digest.split(':'));
  mkdirSync(join(directory, 'blobs', 'sha256'), { recursive: true });
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const listed: Descriptor[] = [];
  const layout: LayoutWriter = {
    directory,
    blob: (bytes, mediaType, extra = {}) => {
      const digest = sha256(bytes);
      if (!existsSync(blobFile(digest))) writeFileSync(blobFile(digest), bytes);
      return { mediaType, digest, size: bytes.length, ...extra };
    },
    json: (value, mediaType, extra = {}) => layout.blob(Buffer.from(JSON.stringify(value)), mediaType, extra),
    image: (options) => writeImage(layout, options),
    tag: (descriptor, name) => {
      listed.push({ ...descriptor, annotations: { ...descriptor.annotations, 'org.opencontainers.image.ref.name': name } });
    },
    add: (descriptor) => {
      listed.push(descriptor);
    },
    close: () => {
      writeFileSync(
        join(directory, 'index.json'),
        JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: listed }, null, 1),
      );
    },
  };
  return layout;
}

function writeImage(layout: LayoutWriter, options: ImageOptions): Descriptor {
  const architecture = options.architecture ?? 'amd64';
  const variant = options.variant === undefined ? {} : { variant: options.variant };
  const created = '2025-01-01T00:00:00Z';
  const config = layout.json(
    {
      created,
      architecture,
      os: 'linux',
      ...variant,
      config: { Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['bash'] },
      rootfs: { type: 'layers', diff_ids: options.layers.map((layer) => layer.diffId) },
      history: options.layers.map((_, index) => ({ created, created_by: `layer ${index}` })),
    },
    mediaTypes.config,
  );
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config,
    layers: options.layers.map((layer) => layout.blob(layer.bytes, layer.mediaType)),
    ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
  };
  return layout.json(manifest, mediaTypes.manifest, { platform: { architecture, os: 'linux', ...variant } });
}
