// What the pull use-cases answer with, and their two ways of saying that something is not here.

import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { Reference } from '../oci/reference.ts';

/** Of a mirror's answer: it was here; and a source confirmed it; and no source could; it was fetched for this request. */
export type ContentOrigin = 'hit' | 'revalidated' | 'stale' | 'miss';

export interface ManifestAnswer {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  /** Text of a `Warning: 299` header: the answer is stale or unconfirmed. */
  readonly warning?: string;
  /** Absent for local content. */
  readonly from?: ContentOrigin;
}
/** A blob as it can be sent: a file, only its size (for HEAD), or bytes still arriving. `from` is absent for local content. */
export type BlobAnswer = { readonly from?: ContentOrigin } & (
  | { readonly kind: 'file'; readonly path: string; readonly sizeBytes: number }
  | { readonly kind: 'known'; readonly sizeBytes: number }
  | {
      readonly kind: 'arriving';
      readonly sizeBytes: number | undefined;
      follow(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array>;
    }
);

export interface BlobRequest {
  readonly head: boolean;
  /** The first byte the client wants, when it asks for a range. */
  readonly startBytes: number;
  /** The client may push here, so nothing that exists only upstream may be confirmed to it. */
  readonly asPusher: boolean;
  /**
   * Called before each piece a fetch that this request begins takes from a source; it waits until that piece may be taken. Dropped when a
   * request without one joins the fetch.
   */
  readonly pace?: (bytes: number, signal: AbortSignal) => Promise<void>;
}

/** An entry of the referrers index. distribution-spec v1.1 "Listing Referrers". */
export interface ReferrerDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export function manifestUnknown(reference: Reference): OciError {
  return new OciError('MANIFEST_UNKNOWN', 'there is no such manifest in this repository', {
    detail: reference.kind === 'tag' ? { tag: reference.tag } : { digest: reference.digest },
  });
}

export function blobUnknown(digest: Digest): OciError {
  return new OciError('BLOB_UNKNOWN', 'there is no such blob in this repository', { detail: { digest } });
}
