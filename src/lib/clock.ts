// Time as a value that is passed in, so that tests need no sleep.

export interface Clock {
  /** Milliseconds since 1970, may jump. */
  nowMs(): number;
  /** Milliseconds that only grow. */
  monotonicMs(): number;
  /** Resolves after the time (at once from 0 down), or rejects with the signal's reason. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

/** The longest time a timer can hold; a longer one would fire at once. */
const timerMaxMs = 2_147_483_647;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (durationMs, signal) => {
    let restMs = durationMs;
    for (; restMs > timerMaxMs; restMs -= timerMaxMs) await sleepOnce(timerMaxMs, signal);
    await sleepOnce(Math.max(0, restMs), signal);
  },
};

function sleepOnce(durationMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, durationMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

export interface FakeClock extends Clock {
  /**
   * Moves time and wakes the sleepers that are due, the earliest first. They run after this call: one that sleeps again sleeps from the
   * new time.
   */
  advance(durationMs: number): void;
}

export function createFakeClock(startMs = 1_700_000_000_000): FakeClock {
  let now = startMs;
  let sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];
  return {
    nowMs: () => now,
    monotonicMs: () => now - startMs,
    sleep: (durationMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        if (durationMs <= 0) return resolve();
        const onAbort = (): void => {
          sleepers = sleepers.filter((other) => other !== sleeper);
          reject(signal?.reason);
        };
        const wake = (): void => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        };
        const sleeper = { atMs: now + durationMs, wake };
        sleepers.push(sleeper);
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
    advance: (durationMs) => {
      now += durationMs;
      const due = sleepers.filter((sleeper) => sleeper.atMs <= now).sort((a, b) => a.atMs - b.atMs);
      sleepers = sleepers.filter((sleeper) => sleeper.atMs > now);
      for (const sleeper of due) sleeper.wake();
    },
  };
}
