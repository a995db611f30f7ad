// A staged object that goes on in memory when the disk takes no more: a window that moves with its readers, so that a full disk stops no
// pull (design item "a full disk is no outage", fault F54). It can then be read, and never be committed.
//
//   0 ─────────────── diskBytes ───────── windowStart ═════════════ sizeBytes
//     read from disk             is gone               in memory, waits for the slowest reader
//
// The writer waits while the window is full. Who does not move for too long is left behind; a window that nobody reads is given up.

import { BlobStoreError, type StagedBlob } from './store.ts';

export interface OverflowOptions {
  /** Bytes in memory at most, a chunk more at times. */
  readonly windowBytes: number;
  /** Takes a place in memory; undefined when there is none. The returned function gives it back. */
  readonly admit: () => (() => void) | undefined;
  /** How long the writer waits for the slowest reader; a quarter of it where there is none. */
  readonly patienceMs: number;
}

export interface OverflowBlob extends StagedBlob {
  /** Some of it is in memory only, so it cannot be kept. */
  readonly isUncached: boolean;
  /** Everything from there on can still be read. */
  isWholeFrom(startBytes: number): boolean;
  /** Where the readers are; asked when the window is full. */
  readers: () => readonly number[];
  /** A reader has moved. */
  onRead(): void;
}

/** Goes on after the disk's object, or without any. Without one it throws `full` at once when there is no place in memory either. */
export function withOverflow(id: string, disk: StagedBlob | undefined, options: OverflowOptions): OverflowBlob {
  /** From `windowStart` on: what the disk has not confirmed yet, or, when it is full, what is in memory. */
  const chunks: { readonly bytes: Uint8Array /** Of the bytes before the disk had them and freed them. */; readonly byteLength: number }[] =
    [];
  let windowStart = disk?.sizeBytes ?? 0;
  let windowEnd = windowStart;
  let leave: (() => void) | undefined;
  let isUncached = false;
  let failure: BlobStoreError | undefined;
  let moved = Promise.withResolvers<void>();

  const goOnInMemory = (cause: unknown): void => {
    leave = options.admit();
    if (leave === undefined) throw cause;
    isUncached = true;
    if (disk !== undefined) disk.onGrowth = undefined;
  };
  const dropBefore = (offset: number): void => {
    for (let first = chunks[0]; first !== undefined && windowStart + first.byteLength <= offset; first = chunks[0]) {
      chunks.shift();
      windowStart += first.byteLength;
    }
  };
  const wakeWriter = (): void => {
    moved.resolve();
    moved = Promise.withResolvers<void>();
  };
  const fail = (message: string): BlobStoreError => {
    failure ??= new BlobStoreError('full', message);
    return failure;
  };
  /** Waits until the window has room; leaves the slowest reader behind when that does not move, gives up when nobody would be left. */
  const waitForRoom = async (bytes: number): Promise<void> => {
    while (failure === undefined && chunks.length > 0 && windowEnd - windowStart + bytes > options.windowBytes) {
      const readers = blob.readers();
      if (readers.length > 0) dropBefore(Math.min(...readers));
      if (windowEnd - windowStart + bytes <= options.windowBytes) return;
      if (await isMoved(moved.promise, readers.length > 0 ? options.patienceMs : options.patienceMs / 4)) continue;
      const ahead = blob.readers().filter((at) => at > windowStart + (chunks[0]?.byteLength ?? 0));
      if (ahead.length === 0) throw fail('the disk is full and nobody reads what cannot be kept');
      dropBefore(Math.min(...ahead));
    }
    if (failure !== undefined) throw failure;
  };
  const close = async (): Promise<void> => {
    await disk?.close();
    chunks.length = 0;
    leave?.();
    leave = undefined;
    fail('the object is closed');
    wakeWriter();
  };

  const blob: OverflowBlob = {
    id,
    onGrowth: undefined,
    readers: () => [],
    get isUncached() {
      return isUncached;
    },
    get sizeBytes() {
      return isUncached ? windowEnd : (disk?.sizeBytes ?? 0);
    },
    isWholeFrom: (startBytes) => !isUncached || startBytes >= windowStart || windowStart <= (disk?.sizeBytes ?? 0),
    onRead: () => {
      if (isUncached) wakeWriter();
    },
    append: async (chunk, isLastUse) => {
      if (chunk.byteLength === 0) return;
      if (isUncached) await waitForRoom(chunk.byteLength);
      const { byteLength } = chunk;
      chunks.push({ bytes: chunk, byteLength });
      windowEnd += byteLength;
      if (disk !== undefined && !isUncached) {
        try {
          await disk.append(chunk, isLastUse);
          dropBefore(disk.sizeBytes);
          return;
        } catch (error) {
          if (!isFull(error)) throw error;
          goOnInMemory(error);
        }
      }
      blob.onGrowth?.();
    },
    flush: async () => {
      if (disk === undefined || isUncached) return;
      try {
        await disk.flush();
        dropBefore(disk.sizeBytes);
      } catch (error) {
        if (!isFull(error)) throw error;
        goOnInMemory(error);
        blob.onGrowth?.();
      }
    },
    read: async (start, lengthMax) => {
      const diskBytes = disk?.sizeBytes ?? 0;
      if (disk !== undefined && start < diskBytes) return disk.read(start, Math.min(lengthMax, diskBytes - start));
      if (start < windowStart) throw new BlobStoreError('full', 'the disk is full and these bytes are gone; ask again');
      let at = windowStart;
      for (const chunk of chunks) {
        if (start < at + chunk.byteLength) return chunk.bytes.subarray(start - at, start - at + lengthMax);
        at += chunk.byteLength;
      }
      return new Uint8Array();
    },
    truncate: async () => {
      throw new BlobStoreError('io', 'an object that may be in memory is never cut');
    },
    commit: async (digest) => {
      await blob.flush();
      if (disk === undefined || isUncached) throw new BlobStoreError('full', 'the disk is full: the object is in memory only');
      return disk.commit(digest);
    },
    close,
    discard: async () => {
      const discarded = disk?.discard();
      await close();
      await discarded;
    },
  };
  if (disk === undefined) goOnInMemory(new BlobStoreError('full', 'the disk is full, and so is the place for what cannot be kept'));
  else
    disk.onGrowth = () => {
      dropBefore(disk.sizeBytes);
      blob.onGrowth?.();
    };
  return blob;
}

function isFull(error: unknown): boolean {
  return error instanceof BlobStoreError && error.code === 'full';
}

/** False when nothing has moved in time. */
async function isMoved(moved: Promise<void>, patienceMs: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), patienceMs);
  });
  try {
    return await Promise.race([moved.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
