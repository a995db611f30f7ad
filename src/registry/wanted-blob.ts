// A blob that is to be fetched: whose, which, and what is known of it.

import type { Digest } from '../oci/digest.ts';

export interface WantedBlob {
  readonly registry: string;
  readonly repository: string;
  readonly digest: Digest;
  /** From a manifest; undefined when none is known. */
  readonly expectedBytes: number | undefined;
  readonly blobMaxBytes: number;
}
