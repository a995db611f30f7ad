// The port to where bytes live. The store knows keys and bytes: no names, no rights, no database.
// A key is given to one object once and never used again, so a late delete can never hit new bytes.

import type { Digest } from '../oci/digest.ts';

/** How the bytes of a key can be sent. */
export type BlobContent = { readonly kind: 'file'; readonly path: string };

export interface FreeSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface BlobStore {
  /** Made with the store and never changed: tells whether this is the store that a database speaks of, or an empty mount point. */
  readonly identity: string;
  open(key: string): BlobContent;
  /** What can be told of a committed object at once, on the serving thread: its length and when it changed last; undefined when it is gone. */
  inspect(key: string): { readonly sizeBytes: number; readonly changedAtMs: number } | undefined;
  /** Reads a small committed object, on the calling thread, and says whether it is this content. */
  holds(key: string, digest: Digest): boolean;
  /** Starts a new object under an id of its own; throws when the id exists. */
  stage(id: string): Promise<StagedBlob>;
  /** Opens a staged object again, e.g. after a restart; undefined when there is none. Throws when the disk gives no answer. */
  resume(id: string): Promise<StagedBlob | undefined>;
  /** Ids of staged objects, and when each was last written (ms). */
  listStaged(): Promise<{ readonly id: string; readonly writtenAtMs: number }[]>;
  /** Removes an object; it is no error when it is gone. */
  remove(key: string): Promise<void>;
  freeSpace(): Promise<FreeSpace>;
}

/** An object being written: appended to by one writer, readable all the while, then committed or discarded. */
export interface StagedBlob {
  readonly id: string;
  /** Bytes that can be read back. */
  readonly sizeBytes: number;
  /**
   * Queues bytes for writing; resolves when the queue has room again, rejects when a write has failed. The chunk is the object's from now on;
   * with `isLastUse` its memory is, too: it is freed when the disk has the bytes, and the chunk is empty then.
   */
  append(chunk: Uint8Array, isLastUse?: boolean): Promise<void>;
  /** Resolves when all appended bytes can be read back. */
  flush(): Promise<void>;
  /** Bytes from `start`, at most `lengthMax`; shorter only at the present end. Also when it was closed or committed. */
  read(start: number, lengthMax: number): Promise<Uint8Array>;
  /** Cuts it to a length, e.g. when a chunk broke off. Never makes it longer. */
  truncate(sizeBytes: number): Promise<void>;
  /**
   * Makes the bytes durable under a new key (data, then name, then directory) and gives the key. The caller has checked the digest.
   * After an error nothing of it counts: the bytes are gone, and no later commit or resume can use them. Discard the object.
   */
  commit(digest: Digest): Promise<string>;
  /** Gives up the handle and keeps the bytes. */
  close(): Promise<void>;
  discard(): Promise<void>;
  /** Called after each growth. One listener. */
  onGrowth: (() => void) | undefined;
  /** Some of it is in memory only, so that it can be read and never be committed (overflow.ts). */
  readonly isUncached?: boolean;
  /** Where the readers are, for an object that keeps no more than they need; set by who reads. */
  readers?: () => readonly number[];
  /** To be called when a reader has moved. */
  onRead?(): void;
  /** Everything from there on can still be read; absent where that is always so. */
  isWholeFrom?(startBytes: number): boolean;
}

/** A failure of the store. `full` means that no space is left. */
export class BlobStoreError extends Error {
  override readonly name = 'BlobStoreError';
  readonly code: 'full' | 'io' | 'exists';

  constructor(code: 'full' | 'io' | 'exists', message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
