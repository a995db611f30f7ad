// The files of upload sessions: one request at a time per session, a running hash kept ready for those in use, given up when nothing is
// certain any more. It must never decide who may use a session (uploads.ts does), and never leave a handle behind.
//
//   between two requests:  all accepted bytes are in the file, so any process can go on from its length
//   after a failed write:  handle and hash are dropped, the next use reads the file again
//   removed:               the request that holds the session is told at once, the bytes go when it has let go

import { openSpool, type Spool } from '../blobs/spool.ts';
import type { BlobStore } from '../blobs/store.ts';
import { createSemaphore, LimitError, type Semaphore } from '../lib/limits.ts';
import type { DigestAlgorithm } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';

/** Sessions whose handle and running hash are kept between requests; others are opened and hashed again when used. */
const readyMax = 200;
/** Requests that may wait for one session, and for how long. */
const waitersMax = 16;
const waitMaxMs = 30_000;
/** How long the end of the server waits for a request that still holds a session. */
const closeWaitMs = 5000;

/** A session's file in the hands of one request. */
export interface UploadFile {
  /** The bytes with their running hash of this algorithm, made empty when there are none. */
  open(algorithm: DigestAlgorithm): Promise<Spool>;
  /** Bytes held, without opening them. */
  sizeBytes(): Promise<number>;
  /** Back to a length, as after a chunk that does not count. False when the bytes are gone. */
  cut(sizeBytes: number): Promise<boolean>;
  /** Gives up handle and hash; the bytes stay. */
  drop(): Promise<void>;
  /** Removes the bytes. */
  discard(): Promise<void>;
  /** Gives each chunk of the body to `take`; BLOB_UPLOAD_UNKNOWN as soon as the session is removed. Throws what both throw. */
  receive(body: AsyncIterable<Uint8Array>, take: (chunk: Uint8Array) => Promise<void>): Promise<void>;
}

export interface UploadFiles {
  /** Runs the task alone on a session. TOOMANYREQUESTS when other requests hold it for too long. */
  use<T>(id: string, task: (file: UploadFile) => Promise<T>): Promise<T>;
  /** Removes the bytes, after interrupting who is receiving some. The session must be gone already, so that nobody begins anew. */
  remove(id: string): Promise<void>;
  /** Sessions a request holds or waits for. */
  inUse(): string[];
  /** Handles kept, of sessions in use and idle ones. */
  readonly openHandles: number;
  close(): Promise<void>;
}

interface Seat {
  readonly lock: Semaphore;
  users: number;
  open: { readonly spool: Spool; readonly algorithm: DigestAlgorithm } | undefined;
  isRemoved: boolean;
  interrupt: ((error: OciError) => void) | undefined;
}

export function uploadUnknown(): OciError {
  return new OciError('BLOB_UPLOAD_UNKNOWN', 'there is no such upload session; start a new one');
}

export function createUploadFiles(store: BlobStore, limits: { readonly readyMax?: number; readonly waitMaxMs?: number } = {}): UploadFiles {
  const keptMax = limits.readyMax ?? readyMax;
  const waitMs = limits.waitMaxMs ?? waitMaxMs;
  // A Map iterates in the order of insertion, so idle sessions unused for longest come first.
  const seats = new Map<string, Seat>();

  const hold = async <T>(id: string, task: (seat: Seat) => Promise<T>, patience: { timeoutMs?: number }): Promise<T> => {
    const seat = seats.get(id) ?? newSeat();
    if (patience.timeoutMs !== undefined && seat.users > waitersMax) throw busy();
    seats.delete(id);
    seats.set(id, seat);
    seat.users++;
    try {
      return await runAlone(seat, () => task(seat), patience);
    } finally {
      seat.users--;
      if (seat.users === 0 && seat.open === undefined) seats.delete(id);
      trim();
    }
  };

  /** Gives up the handles that are too many. Of an idle session the file holds all, so nobody has to wait for the close. */
  const trim = (): void => {
    if (seats.size <= keptMax) return;
    for (const [id, seat] of seats) {
      if (seats.size <= keptMax) return;
      if (seat.users > 0) continue;
      seats.delete(id);
      void closeSeat(seat).catch(() => undefined);
    }
  };

  return {
    use: (id, task) => hold(id, (seat) => task(fileOf(store, id, seat)), { timeoutMs: waitMs }),
    remove: async (id) => {
      const seat = seats.get(id);
      if (seat !== undefined) seat.isRemoved = true;
      seat?.interrupt?.(uploadUnknown());
      await hold(id, (held) => fileOf(store, id, held).discard(), {});
    },
    inUse: () => [...seats].filter(([, seat]) => seat.users > 0).map(([id]) => id),
    get openHandles() {
      return [...seats.values()].filter((seat) => seat.open !== undefined).length;
    },
    close: async () => {
      await Promise.allSettled([...seats.keys()].map((id) => hold(id, closeSeat, { timeoutMs: closeWaitMs })));
    },
  };
}

function newSeat(): Seat {
  return {
    lock: createSemaphore({ places: 1, queueMax: Number.MAX_SAFE_INTEGER }),
    users: 0,
    open: undefined,
    isRemoved: false,
    interrupt: undefined,
  };
}

function busy(cause?: LimitError): OciError {
  return new OciError('TOOMANYREQUESTS', 'other requests are using this upload session; try again shortly', { cause, retryAfterMs: 5000 });
}

async function runAlone<T>(seat: Seat, task: () => Promise<T>, patience: { timeoutMs?: number }): Promise<T> {
  const release = await seat.lock.acquire(patience).catch((error) => {
    throw error instanceof LimitError ? busy(error) : error;
  });
  try {
    return await task();
  } finally {
    release();
  }
}

async function closeSeat(seat: Seat): Promise<void> {
  const { open } = seat;
  seat.open = undefined;
  await open?.spool.close();
}

function fileOf(store: BlobStore, id: string, seat: Seat): UploadFile {
  return {
    open: async (algorithm) => {
      if (seat.open?.algorithm === algorithm) return seat.open.spool;
      await closeSeat(seat);
      const staged = (await store.resume(id)) ?? (await store.stage(id));
      try {
        seat.open = { spool: await openSpool(staged, algorithm), algorithm };
        return seat.open.spool;
      } catch (error) {
        await staged.close();
        throw error;
      }
    },
    sizeBytes: async () => {
      if (seat.open !== undefined) return seat.open.spool.acceptedBytes;
      const staged = await store.resume(id);
      await staged?.close();
      return staged?.sizeBytes ?? 0;
    },
    cut: async (sizeBytes) => {
      await closeSeat(seat);
      const staged = await store.resume(id);
      if (staged === undefined) return false;
      try {
        await staged.truncate(sizeBytes);
        return true;
      } finally {
        await staged.close();
      }
    },
    drop: () => closeSeat(seat),
    discard: async () => {
      await closeSeat(seat);
      await (await store.resume(id))?.discard();
    },
    receive: (body, take) => receive(seat, body, take),
  };
}

/** One promise for each chunk, not a race with one long-lived promise, which would remember every chunk. */
async function receive(seat: Seat, body: AsyncIterable<Uint8Array>, take: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  const iterator = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      if (seat.isRemoved) throw uploadUnknown();
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        seat.interrupt = reject;
        iterator.next().then(resolve, reject);
      });
      if (next.done === true) return;
      await take(next.value);
    }
  } finally {
    seat.interrupt = undefined;
    // Not awaited: after an interruption the body still waits for its client.
    void Promise.resolve(iterator.return?.(undefined)).catch(() => undefined);
  }
}
