// A bandwidth cap shared by everything that takes bytes under it: whoever has taken some waits until they would have arrived at that rate.

import type { Clock } from '../lib/clock.ts';

export interface Pace {
  /** Resolves when `bytes` more may be taken; rejects with the signal's reason. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

/** Below this debt nobody sleeps: timers are too coarse for it. */
const smallestSleepMs = 10;

export function createPace(bytesPerSecond: number, clock: Clock): Pace {
  let freeAtMs = clock.monotonicMs();
  return {
    take: async (bytes, signal) => {
      const nowMs = clock.monotonicMs();
      freeAtMs = Math.max(freeAtMs, nowMs) + (bytes / bytesPerSecond) * 1000;
      const waitMs = freeAtMs - nowMs;
      if (waitMs >= smallestSleepMs) await clock.sleep(waitMs, signal);
    },
  };
}
