// Whether a blob on record is still on the disk as it was (fault F55): its length on each pull, the bytes of a small one when its file has
// changed and now and then. It must stay cheap: it runs on the serving thread, on every pull. What it finds damaged is fetched or pushed again,
// and replaced (ingest.ts).

import type { BlobStore } from '../blobs/store.ts';
import type { StoredBlob } from '../db/content.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { createLru } from '../lib/lru.ts';
import type { Digest } from '../oci/digest.ts';

/** Reading and hashing so much takes well under a millisecond (measured); the length alone takes a few microseconds. */
const readMaxBytes = 256 * 1024;
const readEveryMs = 60 * 60 * 1000;
const rememberedMax = 20_000;

export interface BlobCheck {
  isIntact(digest: Digest, stored: StoredBlob): boolean;
}

export function createBlobCheck({ store, clock, log }: { store: BlobStore; clock: Clock; log?: Log }): BlobCheck {
  /** Keys of small blobs that were read: when, and how the file was then. */
  const read = createLru<string, { readonly atMs: number; readonly changedAtMs: number }>({ maxEntries: rememberedMax });
  /** Keys that were found damaged: told once. */
  const told = createLru<string, true>({ maxEntries: rememberedMax });
  const isWhole = (digest: Digest, { storageKey, sizeBytes }: StoredBlob): boolean => {
    const found = store.inspect(storageKey);
    if (found?.sizeBytes !== sizeBytes) return false;
    if (sizeBytes > readMaxBytes) return true;
    const nowMs = clock.monotonicMs();
    const before = read.get(storageKey);
    if (before !== undefined && before.changedAtMs === found.changedAtMs && nowMs - before.atMs < readEveryMs) return true;
    if (!store.holds(storageKey, digest)) return false;
    read.set(storageKey, { atMs: nowMs, changedAtMs: found.changedAtMs });
    return true;
  };
  return {
    isIntact: (digest, stored) => {
      const { storageKey } = stored;
      if (isWhole(digest, stored)) return true;
      if (told.get(storageKey) === undefined) log?.error('blob.damaged', { digest, key: storageKey });
      told.set(storageKey, true);
      return false;
    },
  };
}
