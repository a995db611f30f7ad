// A source's own limits: requests per minute and bytes per second. Smooth (the next one is let through when its time has come, not in bursts
// at the turn of a minute) and bounded: who would have to wait long for a request is told `busy` at once, so that another source is asked.
// security.md LIM-17; design 7.2.

import type { Clock } from '../lib/clock.ts';
import type { Source } from './source.ts';
import { UpstreamError } from './verdict.ts';

export interface Pace {
  /** Waits for the turn of one request. Throws `busy` when that is more than five seconds away or the time runs out, else the signal's reason. */
  takeRequest(source: Source, signal: AbortSignal): Promise<void>;
  /** Waits until that many bytes more fit the source's rate; all its bodies share it. Rejects with the signal's reason. */
  takeBytes(source: Source, bytes: number, signal: AbortSignal): Promise<void>;
}

const paceNumbers = {
  requestWaitMaxMs: 5_000,
  /** So much of a minute's requests may come at once, one at least. */
  requestBurstShare: 1 / 6,
  /** Bytes that may come at once, in milliseconds of the rate. */
  byteBurstMs: 250,
} as const;

interface Schedule {
  /** When the next request, or byte, would be due if they came evenly (monotonic). */
  requestDueMs: number;
  byteDueMs: number;
}

export function createPace(options: { clock: Clock }): Pace {
  const { clock } = options;
  const schedules = new Map<string, Schedule>();
  const scheduleOf = (source: Source): Schedule => {
    const known = schedules.get(source.id);
    if (known !== undefined) return known;
    const fresh = { requestDueMs: Number.NEGATIVE_INFINITY, byteDueMs: Number.NEGATIVE_INFINITY };
    schedules.set(source.id, fresh);
    return fresh;
  };

  return {
    takeRequest: async (source, signal) => {
      const perMinute = source.limits?.requestsPerMinute;
      if (perMinute === undefined) return;
      const schedule = scheduleOf(source);
      const now = clock.monotonicMs();
      const stepMs = 60_000 / perMinute;
      const burst = Math.max(1, Math.floor(perMinute * paceNumbers.requestBurstShare));
      const dueMs = Math.max(schedule.requestDueMs, now - (burst - 1) * stepMs);
      const waitMs = dueMs - now;
      if (waitMs > paceNumbers.requestWaitMaxMs) {
        throw reached(source, perMinute, waitMs);
      }
      schedule.requestDueMs = dueMs + stepMs;
      if (waitMs <= 0) return;
      try {
        await clock.sleep(waitMs, signal);
      } catch (error) {
        // The turn is not taken; who comes next may have it.
        schedule.requestDueMs -= stepMs;
        // Running out of time here is our own limit, not the source's silence.
        if (error instanceof UpstreamError && error.verdict === 'timeout') throw reached(source, perMinute, stepMs);
        throw error;
      }
    },
    takeBytes: async (source, bytes, signal) => {
      const perSecond = source.limits?.bytesPerSecond;
      if (perSecond === undefined) return;
      const schedule = scheduleOf(source);
      const now = clock.monotonicMs();
      schedule.byteDueMs = Math.max(schedule.byteDueMs, now - paceNumbers.byteBurstMs) + (bytes * 1_000) / perSecond;
      const waitMs = schedule.byteDueMs - now;
      if (waitMs > 0) await clock.sleep(waitMs, signal);
    },
  };
}

function reached(source: Source, perMinute: number, waitMs: number): UpstreamError {
  const detail = `its limit of ${perMinute} requests a minute is reached`;
  return new UpstreamError('busy', { detail, origin: new URL(source.url).origin, retryAfterMs: Math.ceil(waitMs) });
}
