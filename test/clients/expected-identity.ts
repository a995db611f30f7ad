// What a client on linux/amd64 must call an image of the test set, computed from the layout alone.

import type { TestImages } from '../images/test-images.ts';
import { graphOf, taggedManifest } from './layout-content.ts';

export interface ExpectedIdentity {
  /** The image id: the digest of the amd64 image's config. */
  readonly id: string;
  /** The repository digest: what the tag names, an index included. */
  readonly digest: string;
}

/** Identity of a tag of a layout; throws when it has no amd64 image. */
export function expectedIdentity(images: TestImages, layout: string, tag: string): ExpectedIdentity {
  const top = taggedManifest(images.layout(layout), tag);
  const nodes = graphOf(images.layout(layout), top);
  const children = nodes.at(-1)?.json.manifests;
  const digest = children === undefined ? top.digest : children.find((entry) => entry.platform?.architecture === 'amd64')?.digest;
  const id = nodes.find((node) => node.descriptor.digest === digest)?.json.config?.digest;
  if (id === undefined) throw new Error(`${layout}:${tag} has no amd64 image`);
  return { id, digest: top.digest };
}
