// The order in which sources are asked, as keys that are compared part by part. Pure. design 7.2; faults F29, F31.

import type { AskKind } from './logins.ts';
import type { Source } from './source.ts';
import { type SizeClass, sizeClasses, sizeClassOf, type Track } from './track.ts';

export interface RankedFor {
  readonly kind: AskKind | undefined;
  readonly sizeBytes: number | undefined;
}

export interface Standing {
  readonly nowMs: number;
  readonly admission: 'yes' | 'trial' | 'no';
  /** Its pull quota is (nearly) spent. */
  readonly isSpent: boolean;
}

// A blob of a size nobody told.
const usualBlobBytes = 16 * 1024 * 1024;

/**
 * Compared from left to right, smaller first: may be asked, not quarantined, not failing, has quota, priority, has ever answered, pace.
 * The pace is a power of two of milliseconds, so that small differences do not swap ranks.
 */
export function rankKey(source: Source, track: Track | undefined, standing: Standing, question: RankedFor): readonly number[] {
  const isFailing = (track?.failingUntilMs ?? 0) > standing.nowMs && standing.admission !== 'trial';
  const isQuarantined = (track?.quarantinedUntilMs ?? 0) > standing.nowMs;
  const isUnproven = track === undefined || track.succeeded === 0;
  return [
    standing.admission === 'no' ? 1 : 0,
    isQuarantined ? 1 : 0,
    isFailing ? 1 : 0,
    standing.isSpent ? 1 : 0,
    source.priority,
    isUnproven ? 1 : 0,
    Math.round(Math.log2(Math.max(1, expectedMs(track, question) ?? 1))),
  ];
}

export function compareKeys(one: readonly number[], other: readonly number[]): number {
  for (const [index, value] of one.entries()) {
    const difference = value - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** How long the whole answer is going to take by what is known: first byte, and for a blob its bytes at the rate of its size class. */
function expectedMs(track: Track | undefined, question: RankedFor): number | undefined {
  if (track === undefined) return undefined;
  if (question.kind !== 'blob') return (question.kind === undefined ? undefined : track.firstByteMs.manifest) ?? track.averageMs;
  const firstByteMs = track.firstByteMs.blob ?? track.averageMs;
  if (firstByteMs === undefined) return undefined;
  const sizeBytes = question.sizeBytes ?? usualBlobBytes;
  const rate = rateFor(track, sizeClassOf(sizeBytes));
  return firstByteMs + (rate === undefined ? 0 : (sizeBytes / rate) * 1_000);
}

/** Of the class, else of the next larger one, else of a smaller one. */
function rateFor(track: Track, wanted: SizeClass): number | undefined {
  const at = sizeClasses.indexOf(wanted);
  const order = [...sizeClasses.slice(at), ...sizeClasses.slice(0, at).reverse()];
  return order.map((name) => track.bytesPerSecond[name]).find((rate) => rate !== undefined);
}
