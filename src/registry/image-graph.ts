// Everything an image is made of: from its manifest down through the chosen children of an index to configs and layers. One walk for
// warming, verifying and exporting; where manifests come from is the caller's.

import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { type ManifestReference, parseManifest } from '../oci/manifest.ts';
import { chooseChildren, type Platform, type PlatformChoice, readIndexChildren } from '../oci/platform.ts';
import type { ManifestAnswer } from './answers.ts';

export interface GraphBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** False for layers that may live elsewhere only. */
  readonly isRequired: boolean;
}
export interface ImageGraph {
  /** The root last: an index behind its children. */
  readonly manifests: readonly ManifestAnswer[];
  readonly blobs: readonly GraphBlob[];
  /** Chosen children that could not be had. */
  readonly absent: readonly Digest[];
  /** Wished platforms that no child is for. */
  readonly unmet: readonly Platform[];
}

const depthMax = 4;
const manifestsMax = 2000;

/**
 * Walks an image. `load` gives a child's manifest, or undefined when it is absent; what it throws ends the walk. Throws MANIFEST_INVALID for
 * an image of more than 2,000 manifests or of indexes nested deeper than 4.
 */
export async function walkImage(
  root: ManifestAnswer,
  platforms: PlatformChoice,
  load: (digest: Digest) => Promise<ManifestAnswer | undefined>,
): Promise<ImageGraph> {
  const manifests = new Map<Digest, ManifestAnswer>();
  const blobs = new Map<Digest, GraphBlob>();
  const absent = new Set<Digest>();
  const unmet: Platform[] = [];

  const visit = async (manifest: ManifestAnswer, depth: number): Promise<void> => {
    if (manifests.has(manifest.digest)) return;
    if (manifests.size >= manifestsMax || depth > depthMax)
      throw new OciError(
        'MANIFEST_INVALID',
        `the image has more than ${manifestsMax} manifests, or indexes nested deeper than ${depthMax}`,
      );
    const parsed = parseManifest(manifest.bytes, manifest.mediaType);
    for (const reference of parsed.references) if (reference.kind !== 'manifest') addBlob(blobs, reference);
    if (parsed.kind === 'index') {
      const { chosen, unmet: lacking } = chooseChildren(readIndexChildren(manifest.bytes), platforms);
      // Only the image itself owes the platforms: a nested index may be for one of them.
      if (depth === 0) unmet.push(...lacking);
      const children = new Set(parsed.references.flatMap((reference) => (reference.kind === 'manifest' ? [reference.digest] : [])));
      for (const digest of chosen) {
        if (!children.has(digest) || absent.has(digest)) continue;
        const child = await load(digest);
        if (child === undefined) absent.add(digest);
        else await visit(child, depth + 1);
      }
    }
    manifests.set(manifest.digest, manifest);
  };

  await visit(root, 0);
  return { manifests: [...manifests.values()], blobs: [...blobs.values()], absent: [...absent], unmet };
}

function addBlob(blobs: Map<Digest, GraphBlob>, { digest, sizeBytes, required }: ManifestReference): void {
  const isRequired = required || blobs.get(digest)?.isRequired === true;
  blobs.set(digest, { digest, sizeBytes, isRequired });
}
