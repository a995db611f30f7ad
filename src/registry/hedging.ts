// Asking a second source when the first one keeps silent (design 7.2; faults F3, F5). It decides whether an extra request may be made and which
// sources are silent at this moment. It must never ask anybody itself.
//
//   credit: each request earns a twentieth of one, an extra request costs one, at most `burst` are saved up ──> at most 5 % more load
//   silent: a source is overdue from the end of its first-byte budget until it answers or is given up; meanwhile it is asked last

import type { Clock } from '../lib/clock.ts';

/** Extra requests per request. faults.md 6.3: hedge budget 5 %. */
const shareMax = 0.05;
/** A pull of a whole image from a silent source is helped at once. */
const burst = 5;
/** A mirror that is asked seldom earns one more after this time. */
const earnedEveryMs = 60_000;

export interface HedgingCounts {
  /** Requests made because another source kept silent. */
  readonly started: number;
  /** Of them, those that were answered first. */
  readonly won: number;
}

export interface Hedging {
  /** One request that would be made in any case. */
  countRequest(): void;
  /** True when one extra request may be made; it is paid with that. */
  take(): boolean;
  /** What was taken is not needed: there was nobody to ask. */
  giveBack(): void;
  countWin(): void;
  /** The source has been silent for longer than its budget; the returned function says that it has answered or was given up. */
  noteOverdue(sourceId: string): () => void;
  isOverdue(sourceId: string): boolean;
  readonly counts: HedgingCounts;
}

export function createHedging({ clock }: { clock: Clock }): Hedging {
  let credit = burst;
  let earnedAtMs = clock.monotonicMs();
  const counts = { started: 0, won: 0 };
  const overdue = new Map<string, number>();
  const earn = (amount: number): void => {
    credit = Math.min(burst, credit + amount);
  };
  return {
    counts,
    countRequest: () => earn(shareMax),
    take: () => {
      const nowMs = clock.monotonicMs();
      earn((nowMs - earnedAtMs) / earnedEveryMs);
      earnedAtMs = nowMs;
      if (credit < 1) return false;
      credit--;
      counts.started++;
      return true;
    },
    giveBack: () => {
      earn(1);
      counts.started--;
    },
    countWin: () => {
      counts.won++;
    },
    noteOverdue: (sourceId) => {
      overdue.set(sourceId, (overdue.get(sourceId) ?? 0) + 1);
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        const left = (overdue.get(sourceId) ?? 1) - 1;
        if (left > 0) overdue.set(sourceId, left);
        else overdue.delete(sourceId);
      };
    },
    isOverdue: (sourceId) => overdue.has(sourceId),
  };
}
