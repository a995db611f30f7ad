// A bounded number of requests in flight per host, first come first served. It must never let a waiter outlive its signal.
// security.md LIM-17.

import { UpstreamError } from './verdict.ts';

export interface HostGate {
  /**
   * Waits for a place at the host; the returned function gives it back (once). Throws UpstreamError `busy` when too many wait or when the
   * deadline passes in the queue (that is our own limit, not the source's fault), `aborted` when the caller leaves.
   */
  enter(host: string, signal: AbortSignal): Promise<() => void>;
  /** Places taken at a host. */
  active(host: string): number;
}

interface Lane {
  active: number;
  readonly queue: Set<() => void>;
}

export function createHostGate(options: { places: number; queueMax: number }): HostGate {
  const lanes = new Map<string, Lane>();

  const leave = (host: string, lane: Lane): void => {
    const next = lane.queue.values().next().value;
    if (next !== undefined) {
      // The place is handed over, so that no newcomer takes it in between.
      lane.queue.delete(next);
      next();
      return;
    }
    lane.active--;
    if (lane.active === 0) lanes.delete(host);
  };

  const enter = async (host: string, signal: AbortSignal): Promise<() => void> => {
    if (signal.aborted) throw signal.reason;
    const lane = lanes.get(host) ?? { active: 0, queue: new Set() };
    lanes.set(host, lane);
    if (lane.active < options.places) lane.active++;
    else if (lane.queue.size >= options.queueMax) throw busy(`${host}: ${options.queueMax} requests wait already`);
    else await waitForPlace(host, lane, signal);
    let isInside = true;
    return () => {
      if (isInside) {
        isInside = false;
        leave(host, lane);
      }
    };
  };

  return { enter, active: (host) => lanes.get(host)?.active ?? 0 };

  function waitForPlace(host: string, lane: Lane, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        lane.queue.delete(onPlace);
        const isTimeout = signal.reason instanceof UpstreamError && signal.reason.verdict === 'timeout';
        reject(isTimeout ? busy(`${host}: no free place among ${options.places} in time`) : signal.reason);
      };
      const onPlace = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      lane.queue.add(onPlace);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

function busy(detail: string): UpstreamError {
  return new UpstreamError('busy', { detail });
}
