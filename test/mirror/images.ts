// Images as plain bytes, for fake sources to serve. Nothing here touches a network or a disk.

import { createHash, randomBytes } from 'node:crypto';

export interface Content {
  readonly digest: string;
  readonly bytes: Buffer;
}
export interface Manifest extends Content {
  readonly mediaType: string;
}
export interface Image {
  readonly manifest: Manifest;
  readonly config: Content;
  readonly layers: readonly Content[];
}

export const indexType = 'application/vnd.oci.image.index.v1+json';
export const imageType = 'application/vnd.oci.image.manifest.v1+json';

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function contentOf(bytes: Uint8Array): Content {
  return { digest: digestOf(bytes), bytes: Buffer.from(bytes) };
}

/** Bytes that no other test has. */
export function randomContent(sizeBytes: number): Content {
  return contentOf(randomBytes(sizeBytes));
}

/** An image of random layers of these sizes; `note` makes another manifest of the same layers. */
export function imageOf(
  layers: readonly (number | Content)[],
  options: { note?: string; subject?: Manifest; artifactType?: string } = {},
): Image {
  const made = layers.map((layer) => (typeof layer === 'number' ? randomContent(layer) : layer));
  const config = contentOf(Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', id: randomBytes(8).toString('hex') })));
  const describe = (mediaType: string, content: Content) => ({ mediaType, digest: content.digest, size: content.bytes.length });
  // The odd spacing is on purpose: the bytes must come through as they are.
  const text = JSON.stringify(
    {
      schemaVersion: 2,
      mediaType: imageType,
      ...(options.artifactType === undefined ? {} : { artifactType: options.artifactType }),
      config: describe('application/vnd.oci.image.config.v1+json', config),
      layers: made.map((layer) => describe('application/vnd.oci.image.layer.v1.tar+gzip', layer)),
      ...(options.subject === undefined ? {} : { subject: describe(options.subject.mediaType, options.subject) }),
      ...(options.note === undefined ? {} : { annotations: { note: options.note } }),
    },
    null,
    3,
  );
  return { manifest: { ...contentOf(Buffer.from(`${text}\n`)), mediaType: imageType }, config, layers: made };
}

export function indexOf(children: readonly Manifest[]): Manifest {
  const manifests = children.map((child, place) => ({
    mediaType: child.mediaType,
    digest: child.digest,
    size: child.bytes.length,
    platform: { os: 'linux', architecture: place === 0 ? 'amd64' : 'arm64' },
  }));
  return {
    ...contentOf(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }, null, 1))),
    mediaType: indexType,
  };
}
