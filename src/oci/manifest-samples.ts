// Sample documents for this room's tests, as plain values; nothing that runs in production imports them. image-spec v1.1.

import { mediaTypes } from './media-types.ts';

export const configType = 'application/vnd.oci.image.config.v1+json';
export const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** The text of a well-formed sha256 digest, another one for each number. */
export function sampleDigest(at: number): string {
  return `sha256:${at.toString(16).padStart(64, '0')}`;
}

/** A descriptor of 100 + `at` bytes with these members added or replaced. */
export function sampleDescriptor(at: number, mediaType: string, more: object = {}): object {
  return { mediaType, digest: sampleDigest(at), size: 100 + at, ...more };
}

/** An OCI image manifest: config 1, layers 2 and 3. */
export function sampleImage(more: object = {}): Record<string, unknown> {
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: sampleDescriptor(1, configType),
    layers: [sampleDescriptor(2, layerType), sampleDescriptor(3, layerType)],
    ...more,
  };
}

/** An OCI index: image manifest 4, nested index 5. */
export function sampleIndex(more: object = {}): Record<string, unknown> {
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [sampleDescriptor(4, mediaTypes.ociManifest), sampleDescriptor(5, mediaTypes.ociIndex)],
    ...more,
  };
}
