// A spool: one writer appends at its own pace, the hash runs along, any number of readers follow the growing bytes; then commit or discard.
// A push session is a spool whose digest comes last; a mirror's fill is a spool whose digest is known first and whose readers may see
// only what was released to them.

import { type Digest, type DigestAlgorithm, type RunningDigest, startDigest } from '../oci/digest.ts';
import { BlobStoreError, type StagedBlob } from './store.ts';

/** Bytes a reader takes at a time. */
const readChunkBytes = 128 * 1024;

export interface Spool {
  readonly id: string;
  /** Bytes accepted so far (written or on their way to the disk). */
  readonly acceptedBytes: number;
  append(chunk: Uint8Array): Promise<void>;
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
  /** Ends it without a result: the bytes go, readers get the error. Idempotent. */
  fail(error: Error): Promise<void>;
  /** All bytes from `start` to `end` (exclusive; default: the final size) as they are released. Throws the spool's error, or the signal's reason. */
  follow(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array>;
  /** Gives up the file handle once the last reader is gone; the bytes stay. */
  close(): Promise<void>;
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
  let readers = 0;
  let isClosing = false;
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
  const closeIfIdle = async (): Promise<void> => {
    if (isClosing && readers === 0) await staged.close();
  };

  async function* follow(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    readers++;
    try {
      for (let at = start; ; ) {
        if (signal.aborted) throw signal.reason;
        if (failure !== undefined) throw failure;
        const limit = Math.min(releasedBytes, staged.sizeBytes, end ?? Number.MAX_SAFE_INTEGER);
        if (at < limit) {
          const chunk = await readSome(staged, at, Math.min(readChunkBytes, limit - at));
          // The bytes may have turned out wrong while they were read.
          if (failure !== undefined) throw failure;
          at += chunk.byteLength;
          yield chunk;
          continue;
        }
        if (at >= Math.min(end ?? Number.MAX_SAFE_INTEGER, finalBytes ?? Number.MAX_SAFE_INTEGER)) return;
        await change(signal);
      }
    } finally {
      readers--;
      await closeIfIdle();
    }
  }

  return {
    id: staged.id,
    get acceptedBytes() {
      return acceptedBytes;
    },
    append: async (chunk) => {
      hash.update(chunk);
      acceptedBytes += chunk.byteLength;
      await staged.append(chunk);
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
    fail: async (error) => {
      if (failure !== undefined) return;
      failure = error;
      wake();
      await staged.discard();
    },
    follow,
    close: async () => {
      isClosing = true;
      await closeIfIdle();
    },
  };
}

async function hashAgain(staged: StagedBlob, algorithm: DigestAlgorithm): Promise<RunningDigest> {
  const hash = startDigest(algorithm);
  for (let at = 0; at < staged.sizeBytes; ) {
    const chunk = await readSome(staged, at, readChunkBytes);
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
