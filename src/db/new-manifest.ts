// What a command is given to store a manifest.

import type { Digest } from '../oci/digest.ts';
import type { ManifestReferenceKind } from '../oci/manifest.ts';
import type { TagTrust } from './schema.ts';

export interface NewReference {
  readonly digest: Digest;
  readonly kind: ManifestReferenceKind;
  readonly sizeBytes: number;
  readonly required: boolean;
}
export interface NewManifest {
  readonly repositoryId: number;
  readonly digest: Digest;
  readonly mediaType: string;
  /** Of an image manifest. */
  readonly configMediaType?: string;
  readonly artifactType?: string;
  readonly subjectDigest?: Digest;
  /** JSON object. */
  readonly annotations: string;
  readonly bytes: Uint8Array;
  readonly references: readonly NewReference[];
  readonly tags: readonly string[];
  /** `complete`: all it refers to must be here (push). `sparse`: children may be absent. `mirror`: anything may. */
  readonly completeness: 'complete' | 'sparse' | 'mirror';
  /** Set by a mirror: who vouched for the tag. */
  readonly tagTrust?: TagTrust;
  readonly trail?: string;
}
