// Many alike as few: what repeats within a window becomes one entry with a count. A window begins with the first and ends after its time, so that
// nothing waits longer. The number of open windows is limited; what has no room is counted together under one key.

import type { Clock } from '../lib/clock.ts';
import type { AuditEvent } from './audit-event.ts';

export interface AuditWindows {
  /** Costs a look into a map; `make` is called for the first of a window only. */
  add(key: string, make: () => AuditEvent): void;
  /** Gives out what windows that have ended hold; with `all` the open ones, too. */
  close(all?: boolean): void;
  readonly open: number;
}

interface Window {
  readonly event: AuditEvent;
  readonly endsAtMs: number;
  /** Given out already. */
  told: number;
  count: number;
  firstUntoldMs: number;
  lastMs: number;
}

export interface WindowOptions {
  readonly clock: Clock;
  readonly emit: (event: AuditEvent) => void;
  readonly windowMs: number;
  readonly keysMax: number;
  /** The first of a window is told at once, so many times a minute; after that at the end of its window. */
  readonly atOncePerMinute: number;
  /** What stands for all that had no room. */
  readonly overflow: (event: AuditEvent) => AuditEvent;
}

const minuteMs = 60_000;

export function createAuditWindows(options: WindowOptions): AuditWindows {
  const { clock, emit, windowMs, keysMax, atOncePerMinute, overflow } = options;
  // In the order of their beginning, which is that of their end.
  const windows = new Map<string, Window>();
  let minuteEndsMs = 0;
  let toldThisMinute = 0;

  const mayTell = (nowMs: number): boolean => {
    if (nowMs >= minuteEndsMs) {
      minuteEndsMs = nowMs + minuteMs;
      toldThisMinute = 0;
    }
    return toldThisMinute++ < atOncePerMinute;
  };
  const tellRest = (window: Window): void => {
    const count = window.count - window.told;
    if (count === 0) return;
    window.told = window.count;
    const isMany = count > 1;
    emit({ ...window.event, atMs: window.lastMs, ...(isMany ? { count, sinceMs: window.firstUntoldMs } : {}) });
  };
  const begin = (key: string, event: AuditEvent, atOnce: boolean): void => {
    const nowMs = clock.monotonicMs();
    const window: Window = { event, endsAtMs: nowMs + windowMs, told: 0, count: 1, firstUntoldMs: event.atMs, lastMs: event.atMs };
    windows.set(key, window);
    if (atOnce && mayTell(nowMs)) tellRest(window);
  };
  const repeat = (window: Window): void => {
    const atMs = clock.nowMs();
    if (window.count === window.told) window.firstUntoldMs = atMs;
    window.count++;
    window.lastMs = atMs;
  };

  return {
    add: (key, make) => {
      const known = windows.get(key);
      if (known !== undefined) return repeat(known);
      if (windows.size < keysMax) return begin(key, make(), true);
      const other = windows.get('');
      if (other === undefined) begin('', overflow(make()), false);
      else repeat(other);
    },
    close: (all = false) => {
      const nowMs = clock.monotonicMs();
      for (const [key, window] of windows) {
        if (!all && window.endsAtMs > nowMs) break;
        windows.delete(key);
        tellRest(window);
      }
    },
    get open() {
      return windows.size;
    },
  };
}
