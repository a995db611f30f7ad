// Limits on waiting and doing: a semaphore with a bounded queue, a mutex per key, a deadline.

/** The longest time a timer can hold; a longer one would fire at once. */
const timerMaxMs = 2_147_483_647;

/** Thrown when a queue is full or a deadline has passed; `code` says which. */
export class LimitError extends Error {
  override readonly name = 'LimitError';
  readonly code: 'queue-full' | 'deadline';

  constructor(code: 'queue-full' | 'deadline', message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
  }
}

/** How long a caller stands in a queue: until the signal aborts, or for `timeoutMs` at most (0: not at all). */
export interface Patience {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export interface Semaphore {
  /** Runs the task when a place is free. Throws what `acquire` throws, and what the task throws; `patience` ends with the waiting. */
  run<T>(task: () => Promise<T>, patience?: Patience): Promise<T>;
  /**
   * Takes a place; the returned function gives it back (once). Places are given in the order of asking. Throws LimitError 'queue-full' when
   * `queueMax` others wait already, LimitError 'deadline' when the patience has ended first (its `cause` is the signal's reason).
   */
  acquire(patience?: Patience): Promise<() => void>;
  /** Places taken now, at most `places`. */
  readonly active: number;
}

/** A semaphore of `places` (from 1) with room for `queueMax` waiters (from 0). */
export function createSemaphore(options: { places: number; queueMax: number }): Semaphore {
  if (!(options.places >= 1) || !(options.queueMax >= 0)) throw new RangeError('a semaphore needs a place and no negative queue');
  let active = 0;
  // A Set iterates in the order of insertion, and a waiter leaves it in constant time.
  const queue = new Set<() => void>();
  const release = (): void => {
    for (const grant of queue) {
      // The place changes hands at once: were it free until the waiter runs, somebody else could take it meanwhile.
      queue.delete(grant);
      grant();
      return;
    }
    active--;
  };
  const createPlace = (): (() => void) => {
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      release();
    };
  };
  const acquire = async (patience: Patience = {}): Promise<() => void> => {
    if (patience.signal?.aborted) throw leftQueue(patience.signal.reason);
    if (active < options.places) {
      active++;
      return createPlace();
    }
    if (queue.size >= options.queueMax) throw new LimitError('queue-full', `more than ${options.queueMax} wait already`);
    await waitIn(queue, patience);
    return createPlace();
  };
  return {
    acquire,
    run: async (task, patience) => {
      const done = await acquire(patience);
      try {
        return await task();
      } finally {
        done();
      }
    },
    get active() {
      return active;
    },
  };
}

/** Stands in the queue until granted; leaves it and throws LimitError 'deadline' when the patience ends. */
function waitIn(queue: Set<() => void>, patience: Patience): Promise<void> {
  const { signal, timeoutMs } = patience;
  return new Promise((resolve, reject) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      queue.delete(grant);
    };
    const grant = (): void => {
      stop();
      resolve();
    };
    const leave = (reason: unknown): void => {
      stop();
      reject(leftQueue(reason));
    };
    const onAbort = (): void => leave(signal?.reason);
    queue.add(grant);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (timeoutMs !== undefined) timer = setTimeout(() => leave(undefined), Math.min(timeoutMs, timerMaxMs));
  });
}

function leftQueue(reason: unknown): LimitError {
  return new LimitError('deadline', 'no place became free in time', { cause: reason });
}

/** Gives the task's result, or throws LimitError 'deadline' after `timeoutMs`; the signal passed to the task is aborted then. */
export async function withDeadline<T>(timeoutMs: number, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        const error = new LimitError('deadline', `no answer within ${timeoutMs} ms`);
        // First the answer, then the abort: a task that fails because of the abort must not answer instead.
        reject(error);
        controller.abort(error);
      },
      Math.min(timeoutMs, timerMaxMs),
    );
  });
  try {
    return await Promise.race([task(controller.signal), expired]);
  } finally {
    clearTimeout(timer);
  }
}
