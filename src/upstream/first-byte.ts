// How long a source takes to its first byte: the last answers, their 95th percentile, and the budget after which another source is asked
// beside it. Pure. faults.md 6.3.

/** The last waits of one source, oldest overwritten first. */
export interface FirstByteWaits {
  readonly ms: Float64Array;
  count: number;
}

const waitsMax = 64;
const budgetNumbers = { unknownMs: 1_000, minMs: 300, maxMs: 3_000, margin: 1.5 } as const;

export function newWaits(): FirstByteWaits {
  return { ms: new Float64Array(waitsMax), count: 0 };
}

export function noteWait(waits: FirstByteWaits, ms: number): void {
  waits.ms[waits.count % waitsMax] = ms;
  waits.count++;
}

/** The 95th percentile (nearest rank) of the last 64; undefined before the first. */
export function percentile95(waits: FirstByteWaits): number | undefined {
  const known = waits.ms.slice(0, Math.min(waits.count, waitsMax)).sort();
  return known.at(Math.max(0, Math.ceil(known.length * 0.95) - 1));
}

/** One and a half times the 95th percentile, from 300 ms to 3 s; 1 s for a source that has not answered yet. */
export function budgetOf(waits: FirstByteWaits | undefined): number {
  const usual = waits === undefined ? undefined : percentile95(waits);
  if (usual === undefined) return budgetNumbers.unknownMs;
  return Math.round(Math.min(Math.max(usual * budgetNumbers.margin, budgetNumbers.minMs), budgetNumbers.maxMs));
}
