// A spool: one writer appends at its own pace, the hash runs along, any number of readers follow the growing bytes; then commit or discard.
// A push session is a spool whose digest comes last; a mirror's fill is a spool whose digest is known first and whose readers may see
// only what was released to them.

import { type Digest, type DigestAlgorithm, type RunningDigest, startDigest } from '../oci/digest.ts';
import { blockBytes, createSharedBlocks } from './shared-blocks.ts';
import { BlobStoreError, type StagedBlob } from './store.ts';

export interface Spool {
  readonly id: string;
  /** Bytes accepted so far (written or on their way to the disk). */
  readonly acceptedBytes: number;
  /** The disk is full: it can be followed, and not be committed. */
  readonly isUncached: boolean;
  /** Everything from there on can still be read. */
  isWholeFrom(startBytes: number): boolean;
  /** With `isLastUse` the chunk's memory is freed when it is written (StagedBlob). */
  append(chunk: Uint8Array, isLastUse?: boolean): Promise<void>;
  /** Resolves when all accepted bytes can be read back. */
  flush(): Promise<void>;
  /** Readers may go up to here; it never moves back. */
  release(upToBytes: number): void;
  /** The digest of all accepted bytes. The spool takes no more after it. */
  digest(): Digest;
  /** The bytes are all there and right: readers may go to the end. */
  complete(): void;
  /** Makes the bytes durable; gives their key. Readers go on reading to the end. */
  commit(digest: Digest): Promise<string>;
  /** Reads all bytes back and compares: for when the disk has failed to keep them, and readers are to have them nevertheless. */
  isStill(digest: Digest): Promise<boolean>;
  /** Ends it without a result: the bytes go, readers get the error. Idempotent. */
  fail(error: Error): Promise<void>;
  /**
   * All bytes from `start` to `end` (exclusive; default: the final size) as they are released. A piece is there until the next is asked for: whoever
   * keeps it longer copies it. Throws the spool's error, or the signal's reason.
   */
  follow(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array>;
  /** Gives up the file handle once the last reader is gone. The bytes stay when it is `kept`; else they go then. */
  close(isKept?: boolean): Promise<void>;
}

/** A spool over a staged object; bytes it already holds are hashed again first. After an error the object is closed. */
export async function openSpool(staged: StagedBlob, algorithm: DigestAlgorithm): Promise<Spool> {
  const hash = await hashAgain(staged, algorithm).catch(async (error) => {
    await staged.close();
    throw error;
  });
  let acceptedBytes = staged.sizeBytes;
  let releasedBytes = 0;
  let finalBytes: number | undefined;
  let finalDigest: Digest | undefined;
  let failure: Error | undefined;
  const readers = new Set<{ at: number }>();
  const blocks = createSharedBlocks((start, lengthMax) => readSome(staged, start, lengthMax));
  let isClosing = false;
  let isKept = true;
  // Listeners, not one promise that all race: a reader that waits ten thousand times must leave nothing behind each time.
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const go of [...waiting]) go();
  };
  const change = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const go = (): void => {
        waiting.delete(go);
        signal.removeEventListener('abort', go);
        resolve();
      };
      waiting.add(go);
      signal.addEventListener('abort', go);
    });
  staged.onGrowth = wake;
  staged.readers = () => [...readers].map((reader) => reader.at);
  const closeIfIdle = async (): Promise<void> => {
    if (isClosing && readers.size === 0) await (isKept ? staged.close() : staged.discard());
  };

  async function* follow(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const reader = { at: start };
    readers.add(reader);
    try {
      for (;;) {
        const { at } = reader;
        if (signal.aborted) throw signal.reason;
        if (failure !== undefined) throw failure;
        const limit = Math.min(releasedBytes, staged.sizeBytes, end ?? Number.MAX_SAFE_INTEGER);
        if (at < limit) {
          const { bytes, release } =
            staged.isUncached === true
              ? { bytes: await readSome(staged, at, Math.min(blockBytes, limit - at)), release: () => undefined }
              : await blocks.read(at, limit, staged.sizeBytes);
          const { byteLength } = bytes;
          try {
            // The bytes may have turned out wrong while they were read.
            if (failure !== undefined) throw failure;
            yield bytes;
          } finally {
            release();
          }
          reader.at += byteLength;
          staged.onRead?.();
          continue;
        }
        if (at >= Math.min(end ?? Number.MAX_SAFE_INTEGER, finalBytes ?? Number.MAX_SAFE_INTEGER)) return;
        await change(signal);
      }
    } finally {
      readers.delete(reader);
      staged.onRead?.();
      await closeIfIdle();
    }
  }

  return {
    id: staged.id,
    get acceptedBytes() {
      return acceptedBytes;
    },
    get isUncached() {
      return staged.isUncached === true;
    },
    isWholeFrom: (startBytes) => staged.isWholeFrom?.(startBytes) ?? true,
    append: async (chunk, isLastUse) => {
      hash.update(chunk);
      acceptedBytes += chunk.byteLength;
      await staged.append(chunk, isLastUse);
    },
    flush: () => staged.flush(),
    release: (upToBytes) => {
      if (upToBytes <= releasedBytes) return;
      releasedBytes = upToBytes;
      wake();
    },
    digest: () => {
      finalDigest ??= hash.digest();
      return finalDigest;
    },
    complete: () => {
      finalBytes = acceptedBytes;
      releasedBytes = acceptedBytes;
      wake();
    },
    commit: (digest) => staged.commit(digest),
    isStill: async (digest) => (await hashAgain(staged, algorithm)).digest() === digest,
    fail: async (error) => {
      if (failure !== undefined) return;
      failure = error;
      wake();
      await staged.discard();
    },
    follow,
    close: async (kept = true) => {
      isClosing = true;
      isKept = kept;
      await closeIfIdle();
    },
  };
}

async function hashAgain(staged: StagedBlob, algorithm: DigestAlgorithm): Promise<RunningDigest> {
  const hash = startDigest(algorithm);
  for (let at = 0; at < staged.sizeBytes; ) {
    const chunk = await readSome(staged, at, blockBytes);
    hash.update(chunk);
    at += chunk.byteLength;
  }
  return hash;
}

/** At least one byte of those that are there: a file that someone cut must not keep its readers waiting for ever. */
async function readSome(staged: StagedBlob, start: number, lengthMax: number): Promise<Uint8Array> {
  const chunk = await staged.read(start, lengthMax);
  if (chunk.byteLength === 0) throw new BlobStoreError('io', 'the file of the object is shorter than what was written to it');
  return chunk;
}
