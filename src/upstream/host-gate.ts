// A bounded number of requests in flight per host, first come first served. A host that answers with its flood guard gets half as many for a
// while, and none at all for some seconds. It must never let a waiter outlive its signal. security.md LIM-17; wire.md 2.3; fault F28.

import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { UpstreamError } from './verdict.ts';

export interface HostGate {
  /**
   * Waits for a place at the host; the returned function gives it back (once). `places` lowers the gate's own number. Throws UpstreamError
   * `busy` when too many wait or when the deadline passes in the queue (that is our own limit, not the source's fault), `rate-limited` while
   * the host rests, `aborted` when the caller leaves.
   */
  enter(host: string, signal: AbortSignal, places?: number): Promise<() => void>;
  /** Places taken at a host. */
  active(host: string): number;
  /** The host's flood guard answered: it rests for ten seconds, twice as long each time it does so again soon, then starts at half speed. */
  slowDown(host: string): void;
  /** How much longer it rests, in milliseconds. */
  restMs(host: string): number;
}

interface Waiter {
  grant(): void;
  fail(error: UpstreamError): void;
}

interface Lane {
  active: number;
  /** The caller's own limit, when it has one. */
  most: number | undefined;
  readonly queue: Set<Waiter>;
}

interface Slowness {
  /** Places right after the rest; one more comes back every `recoverEveryMs`. */
  readonly places: number;
  readonly restMs: number;
  readonly restUntilMs: number;
}

const slowNumbers = { restMinMs: 10_000, restMaxMs: 120_000, recoverEveryMs: 5_000, memoryMs: 300_000 } as const;

export function createHostGate(options: { places: number; queueMax: number; clock: Clock }): HostGate {
  const { clock } = options;
  const lanes = new Map<string, Lane>();
  const slow = createLru<string, Slowness>({ maxEntries: 1_000 });

  const restMs = (host: string): number => Math.max(0, (slow.get(host)?.restUntilMs ?? 0) - clock.monotonicMs());

  const placesAt = (host: string, wanted: number | undefined): number => {
    const most = Math.min(options.places, wanted ?? options.places);
    const slowness = slow.get(host);
    if (slowness === undefined) return most;
    const recovered = Math.floor((clock.monotonicMs() - slowness.restUntilMs) / slowNumbers.recoverEveryMs);
    return Math.min(most, slowness.places + Math.max(0, recovered));
  };

  const leave = (host: string, lane: Lane): void => {
    lane.active--;
    const most = placesAt(host, lane.most);
    for (const next of lane.queue) {
      if (lane.active >= most) break;
      // The place is handed over, so that no newcomer takes it in between.
      lane.queue.delete(next);
      lane.active++;
      next.grant();
    }
    if (lane.active === 0) lanes.delete(host);
  };

  const enter = async (host: string, signal: AbortSignal, places?: number): Promise<() => void> => {
    if (signal.aborted) throw signal.reason;
    const rest = restMs(host);
    if (rest > 0) throw resting(host, rest);
    const lane = lanes.get(host) ?? { active: 0, most: places, queue: new Set() };
    lanes.set(host, lane);
    lane.most = places;
    const most = placesAt(host, places);
    if (lane.active < most) lane.active++;
    else if (lane.queue.size >= options.queueMax) throw busy(`${host}: ${options.queueMax} requests wait already`);
    else await waitForPlace({ host, lane, most }, signal);
    let isInside = true;
    return () => {
      if (isInside) {
        isInside = false;
        leave(host, lane);
      }
    };
  };

  const slowDown = (host: string): void => {
    const now = clock.monotonicMs();
    const before = slow.get(host);
    // All answers of one burst count once.
    if (before !== undefined && before.restUntilMs > now) return;
    const isRepeated = before !== undefined && now - before.restUntilMs < slowNumbers.memoryMs;
    const rest = isRepeated ? Math.min(before.restMs * 2, slowNumbers.restMaxMs) : slowNumbers.restMinMs;
    const places = Math.max(1, Math.floor(Math.min(placesAt(host, undefined), lanes.get(host)?.active ?? 1) / 2));
    slow.set(host, { places, restMs: rest, restUntilMs: now + rest });
    const queue = lanes.get(host)?.queue ?? [];
    for (const waiter of queue) waiter.fail(resting(host, rest));
  };

  return { enter, active: (host) => lanes.get(host)?.active ?? 0, slowDown, restMs };
}

function waitForPlace(at: { host: string; lane: Lane; most: number }, signal: AbortSignal): Promise<void> {
  const { host, lane, most } = at;
  return new Promise((resolve, reject) => {
    const end = (): void => {
      lane.queue.delete(waiter);
      signal.removeEventListener('abort', onAbort);
    };
    const onAbort = (): void => {
      end();
      const isTimeout = signal.reason instanceof UpstreamError && signal.reason.verdict === 'timeout';
      reject(isTimeout ? busy(`${host}: no free place among ${most} in time`) : signal.reason);
    };
    const waiter: Waiter = {
      grant: () => {
        end();
        resolve();
      },
      fail: (error) => {
        end();
        reject(error);
      },
    };
    lane.queue.add(waiter);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function busy(detail: string): UpstreamError {
  return new UpstreamError('busy', { detail });
}

function resting(host: string, retryAfterMs: number): UpstreamError {
  return new UpstreamError('rate-limited', { detail: `${host} is left alone: too many requests`, status: 429, retryAfterMs });
}
