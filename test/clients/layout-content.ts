// Reads OCI layouts: which blobs a tag reaches, and their exact bytes. The tests compare what a registry gave back with these.

import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Descriptor } from '../images/layout-writer.ts';

export interface ManifestJson {
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
  readonly subject?: Descriptor;
}

/** A manifest with its bytes; children of an index come before it in `graphOf`. */
export interface ManifestNode {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly json: ManifestJson;
}

/** The file of a blob in a layout. */
export function blobFile(layout: string, digest: string): string {
  return join(layout, 'blobs', ...digest.split(':'));
}

/** Every descriptor listed in a layout's index.json. */
export function listedManifests(layout: string): readonly Descriptor[] {
  const index: { manifests: Descriptor[] } = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'));
  return index.manifests;
}

/** The descriptor tagged `tag`; throws when there is none. */
export function taggedManifest(layout: string, tag: string): Descriptor {
  const found = listedManifests(layout).find((entry) => entry.annotations?.['org.opencontainers.image.ref.name'] === tag);
  if (found === undefined) throw new Error(`${layout} has no tag ${tag}`);
  return found;
}

/** The manifest and all manifests below it, children first, each once. `subject` is not followed. */
export function graphOf(layout: string, top: Descriptor): readonly ManifestNode[] {
  const seen = new Map<string, ManifestNode>();
  const visit = (descriptor: Descriptor): void => {
    if (seen.has(descriptor.digest)) return;
    const bytes = readFileSync(blobFile(layout, descriptor.digest));
    const json: ManifestJson = JSON.parse(bytes.toString('utf8'));
    for (const child of json.manifests ?? []) visit(child);
    seen.set(descriptor.digest, { descriptor, bytes, json });
  };
  visit(top);
  return [...seen.values()];
}

/** Config and layers of the manifests, each digest once. */
export function blobsOf(nodes: readonly ManifestNode[]): readonly Descriptor[] {
  const all = nodes.flatMap((node) => [...(node.json.config === undefined ? [] : [node.json.config]), ...(node.json.layers ?? [])]);
  return [...new Map(all.map((descriptor) => [descriptor.digest, descriptor])).values()];
}

/** Digests of everything a tag reaches, sorted. */
export function reachableDigests(layout: string, tag: string): readonly string[] {
  const nodes = graphOf(layout, taggedManifest(layout, tag));
  return [...nodes.map((node) => node.descriptor.digest), ...blobsOf(nodes).map((blob) => blob.digest)].sort();
}

/** Hashes every blob file of a layout; throws on one whose bytes are not those of its name. Gives the digests, sorted. */
export async function verifiedDigests(layout: string): Promise<readonly string[]> {
  const digests: string[] = [];
  for (const algorithm of readdirSync(join(layout, 'blobs'))) {
    for (const hex of readdirSync(join(layout, 'blobs', algorithm))) {
      const actual = await hashFile(join(layout, 'blobs', algorithm, hex), algorithm);
      if (actual !== hex) throw new Error(`${layout}: blob ${algorithm}:${hex} holds bytes of ${actual}`);
      digests.push(`${algorithm}:${hex}`);
    }
  }
  return digests.sort();
}

/** The lower-case hex digest of a file. */
export async function hashFile(file: string, algorithm: string): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) hash.update(chunk);
  return hash.digest('hex');
}
