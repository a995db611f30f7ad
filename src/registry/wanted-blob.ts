// A blob that is to be fetched: whose, which, and what is known of it.

import type { Digest } from '../oci/digest.ts';

export interface WantedBlob {
  readonly registry: string;
  readonly repository: string;
  readonly digest: Digest;
  /** From a manifest; undefined when none is known. */
  readonly expectedBytes: number | undefined;
  readonly blobMaxBytes: number;
  /** Waits until so many bytes may be taken; undefined when they may at once. It may change while the blob is fetched. */
  readonly pace?: () => ((bytes: number, signal: AbortSignal) => Promise<void>) | undefined;
}
