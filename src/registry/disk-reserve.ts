// The share of the disk that stays free, so that the database can always write. design section 5; security.md LIM rows on free space.

import { type BlobStore, BlobStoreError } from '../blobs/store.ts';
import { OciError } from '../oci/errors.ts';

/** The larger of the two counts. */
export interface DiskReserve {
  readonly percent: number;
  readonly sizeBytes: number;
}

/** Throws INSUFFICIENT_STORAGE when taking `wantedBytes` more would leave less than the reserve. */
export async function requireSpace(store: BlobStore, reserve: DiskReserve, wantedBytes = 0): Promise<void> {
  const { freeBytes, totalBytes } = await store.freeSpace();
  if (freeBytes - wantedBytes < Math.max(reserve.sizeBytes, (totalBytes * reserve.percent) / 100))
    throw new OciError('INSUFFICIENT_STORAGE', 'the disk is almost full, so nothing new can be fetched; what is here is still served');
}

/** A failure of the store in the words of a client; anything else as it is. */
export function asStorageError(error: unknown): unknown {
  if (!(error instanceof BlobStoreError) || error.code !== 'full') return error;
  return new OciError('INSUFFICIENT_STORAGE', 'the disk is full, so nothing new can be fetched; what is here is still served', {
    cause: error,
  });
}
