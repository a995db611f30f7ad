// The Docker schema2 forms, as skopeo `dir:` folders: one image converted by skopeo itself, and a manifest list written here
// (skopeo cannot convert an index that carries attestations). Source: distribution "Image Manifest Version 2, Schema 2".

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { command } from './debian-image.ts';
import { type Descriptor, mediaTypes, sha256 } from './layout-writer.ts';

const dockerTypeOf: Readonly<Record<string, string>> = {
  [mediaTypes.config]: mediaTypes.dockerConfig,
  [mediaTypes.tarGzip]: mediaTypes.dockerLayer,
};

interface ImageManifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** Writes `schema2`, the Docker form of `debian:v1`. */
export async function buildSchema2(root: string, policyFile: string): Promise<void> {
  const from = `oci:${join(root, 'debian')}:v1`;
  await command(['skopeo', '--policy', policyFile, 'copy', '--quiet', '--format', 'v2s2', from, `dir:${join(root, 'schema2')}`]);
}

/** Writes `schema2-list`, a manifest list of the images of `multiarch` without their attestations. */
export function buildSchema2List(root: string): void {
  const source = join(root, 'multiarch');
  const target = join(root, 'schema2-list');
  mkdirSync(target);
  writeFileSync(join(target, 'version'), 'Directory Transport Version: 1.1\n');
  const blobFile = (digest: string): string => join(source, 'blobs', ...digest.split(':'));
  const readJson = <Value>(file: string): Value => JSON.parse(readFileSync(file, 'utf8'));
  const top = readJson<{ manifests: readonly Descriptor[] }>(join(source, 'index.json')).manifests[0];
  if (top === undefined) throw new Error('the multiarch layout is empty');
  const manifests: Descriptor[] = [];
  for (const child of readJson<{ manifests: readonly Descriptor[] }>(blobFile(top.digest)).manifests) {
    if (child.platform === undefined || child.platform.architecture === 'unknown') continue;
    const image = readJson<ImageManifest>(blobFile(child.digest));
    const convert = (descriptor: Descriptor): Descriptor => {
      const hex = descriptor.digest.slice('sha256:'.length);
      copyFileSync(blobFile(descriptor.digest), join(target, hex));
      return { ...descriptor, mediaType: dockerTypeOf[descriptor.mediaType] ?? descriptor.mediaType };
    };
    const converted = {
      schemaVersion: 2,
      mediaType: mediaTypes.dockerManifest,
      config: convert(image.config),
      layers: image.layers.map(convert),
    };
    const bytes = Buffer.from(JSON.stringify(converted, null, 3));
    const digest = sha256(bytes);
    writeFileSync(join(target, `${digest.slice('sha256:'.length)}.manifest.json`), bytes);
    manifests.push({ mediaType: mediaTypes.dockerManifest, digest, size: bytes.length, platform: child.platform });
  }
  writeFileSync(join(target, 'manifest.json'), JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.dockerList, manifests }, null, 3));
}
