// A spool: one writer appends at its own pace, the hash runs along, any number of readers follow the growing bytes; then commit or discard.
// A push session is a spool whose digest comes last; a mirror's fill is a spool whose digest is known first and whose readers may see
// only what was released to them.

import { type Digest, type DigestAlgorithm, type RunningDigest, startDigest } from '../oci/digest.ts';
import type { StagedBlob } from './store.ts';

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

/** A spool over a staged object; bytes it already holds are hashed again first. */
export async function openSpool(staged: StagedBlob, algorithm: DigestAlgorithm): Promise<Spool> {
  const hash: RunningDigest = startDigest(algorithm);
  for (let at = 0; at < staged.sizeBytes; ) {
    const chunk = await staged.read(at, readChunkBytes);
    hash.update(chunk);
    at += chunk.byteLength;
  }
  let acceptedBytes = staged.sizeBytes;
  let releasedBytes = 0;
  let finalBytes: number | undefined;
  let finalDigest: Digest | undefined;
  let failure: Error | undefined;
  let readers = 0;
  let isClosing = false;
  let changed = Promise.withResolvers<void>();
  const wake = (): void => {
    const before = changed;
    changed = Promise.withResolvers<void>();
    before.resolve();
  };
  staged.onGrowth = wake;
  const closeIfIdle = async (): Promise<void> => {
    if (isClosing && readers === 0) await staged.close();
  };

  async function* follow(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    readers++;
    const aborted = abortPromise(signal);
    try {
      for (let at = start; ; ) {
        if (signal.aborted) throw signal.reason;
        if (failure !== undefined) throw failure;
        const limit = Math.min(releasedBytes, staged.sizeBytes, end ?? Number.MAX_SAFE_INTEGER);
        if (at < limit) {
          const chunk = await staged.read(at, Math.min(readChunkBytes, limit - at));
          at += chunk.byteLength;
          yield chunk;
          continue;
        }
        if (at >= Math.min(end ?? Number.MAX_SAFE_INTEGER, finalBytes ?? Number.MAX_SAFE_INTEGER)) return;
        await Promise.race([changed.promise, aborted.promise]);
      }
    } finally {
      aborted.dispose();
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

function abortPromise(signal: AbortSignal): { readonly promise: Promise<never>; dispose(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  return { promise, dispose: () => signal.removeEventListener('abort', onAbort) };
}
