// What is known about each source: its breaker, its limits, its lies and its pace; and the order to ask sources in. It must never do I/O or
// hold a secret. State lives in memory: after a restart every source gets its chance. design 7.2; wire.md 2.6; faults F11, F21, F27, F31, F32.

import type { Clock } from '../lib/clock.ts';
import { createLru, type Lru } from '../lib/lru.ts';
import { admissionOf, afterFailure, afterSuccess, type Breaker, beginTrial, closedBreaker, releaseTrial } from './breaker.ts';
import { budgetOf, type FirstByteWaits, newWaits, noteWait, percentile95 } from './first-byte.ts';
import type { Source } from './source.ts';
import { classOfVerdict, type Verdict } from './verdict.ts';

export interface Outcome {
  readonly verdict: Verdict | 'ok';
  /** Time to the answer's headers; counts into the average of successes. */
  readonly ms: number;
  /** Body bytes received. */
  readonly bytes?: number;
  /** A refusal is remembered for this repository. */
  readonly repository?: string;
  readonly retryAfterMs?: number;
  /** The bytes were proven by a digest that was known before. */
  readonly verified?: boolean;
  /** An authority's refusal is asked again after a minute, not after hours. */
  readonly trust?: Source['trust'];
  /** What was asked for. */
  readonly kind?: AskKind;
  /** Origin of the host that answered or failed: the source's own, or where its redirect led. */
  readonly finalOrigin?: string;
  /** Time to the first byte of a body. */
  readonly firstByteMs?: number;
  /** What the source said of its pull quota; filled in from the last answer when left out. */
  readonly quota?: Quota;
  /** The login that was used; filled in likewise. */
  readonly credentialId?: string;
}

/** `head` is a HEAD for a manifest: free where pulls are counted. */
export type AskKind = 'manifest' | 'head' | 'blob';

/** A pull quota as `ratelimit-*` headers tell it. */
export interface Quota {
  readonly limit: number;
  readonly remaining: number;
  readonly windowSeconds: number;
}

export type SourceState = 'up' | 'failing' | 'open' | 'half-open' | 'limited' | 'quarantined';

export interface SourceSnapshot {
  readonly state: SourceState;
  readonly lastVerdict?: Verdict | 'ok';
  /** Wall clock. */
  readonly lastAtMs?: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly verdicts: Readonly<Partial<Record<Verdict, number>>>;
  /** Exponentially weighted mean of `ms` over successes. */
  readonly averageMs?: number;
  readonly bytes: number;
  readonly failuresInARow: number;
  /** How long no request goes there, from now; 0 when requests do. */
  readonly blockedForMs: number;
  readonly clean: boolean;
  /** Why it is or was quarantined last. */
  readonly evidence?: string;
  /** As last heard, of the login used last. */
  readonly quota?: Quota;
  /** 95th percentile of the time to the first byte of the last answers; absent before the first. */
  readonly firstByteP95Ms?: number;
}

export interface SourceHealth {
  report(sourceId: string, outcome: Outcome): void;
  /**
   * Whether to ask it now. `trial` takes the one place of a half-open breaker: go on and report the outcome (any verdict frees the place,
   * `aborted` included; an unreported trial frees it after 30 s).
   */
  allow(sourceId: string, repository?: string, kind?: AskKind): 'yes' | 'trial' | 'no';
  /** It delivered wrong content: last in rank and not believed on tags for ten minutes, and no longer clean. */
  quarantine(sourceId: string, evidence: string): void;
  isQuarantined(sourceId: string): boolean;
  /** At least three verified deliveries since the last wrong one, if any. */
  clean(sourceId: string): boolean;
  /**
   * All of them, best first: those that may be asked, not quarantined, not failing, then priority, then pace. Takes no trial. A half-open
   * source stands where it would stand when well, or it would never be tried again: ask another one beside it when `allow` says `trial`.
   */
  rank(sources: readonly Source[], repository?: string): Source[];
  /** How long to wait for a source's first byte before another one is asked beside it, in milliseconds (300 to 3,000). */
  firstByteBudgetMs(sourceId: string): number;
  snapshot(sourceId: string): SourceSnapshot;
  /** Forgets everything about a source (its configuration changed). */
  forget(sourceId: string): void;
}

export const healthNumbers = {
  limitedDefaultMs: 60_000,
  limitedMaxMs: 300_000,
  quarantineMs: 600_000,
  refusalMs: 12 * 60 * 60 * 1000,
  /** Of an authority, and of any source that asks for a login. */
  shortRefusalMs: 60_000,
  /** Per source. */
  refusalsMax: 5_000,
  cleanDeliveries: 3,
  /** Weight of the newest value in the averages. */
  weight: 0.2,
  /** A source is failing below the first success share, until it is above the second or a minute has passed: a flapping one does not flap in rank. */
  failingBelow: 0.5,
  upAbove: 0.8,
  failingMs: 60_000,
} as const;

interface Track {
  breaker: Breaker;
  limitedUntilMs: number;
  quarantinedUntilMs: number;
  evidence: string | undefined;
  verifiedInARow: number;
  successShare: number;
  failingUntilMs: number;
  averageMs: number | undefined;
  bytes: number;
  succeeded: number;
  failed: number;
  waits: FirstByteWaits;
  verdicts: Partial<Record<Verdict, number>>;
  /** Repository -> not before (monotonic). */
  readonly refusals: Lru<string, number>;
  lastVerdict: Verdict | 'ok' | undefined;
  lastAtMs: number | undefined;
}

/** `onOutcome` hears of every report, after it was counted. */
export function createSourceHealth(options: { clock: Clock; onOutcome?: (sourceId: string, outcome: Outcome) => void }): SourceHealth {
  const { clock } = options;
  const tracks = new Map<string, Track>();
  const trackOf = (sourceId: string): Track => {
    const known = tracks.get(sourceId);
    if (known !== undefined) return known;
    const fresh = newTrack();
    tracks.set(sourceId, fresh);
    return fresh;
  };

  /** The answer of `allow`, taking nothing. */
  const peek = (sourceId: string, repository: string | undefined): 'yes' | 'trial' | 'no' => {
    const track = tracks.get(sourceId);
    const now = clock.monotonicMs();
    if (track === undefined) return 'yes';
    if (repository !== undefined && (track.refusals.get(repository) ?? 0) > now) return 'no';
    return track.limitedUntilMs > now ? 'no' : admissionOf(track.breaker, now);
  };

  const quarantine = (sourceId: string, evidence: string): void => {
    const track = trackOf(sourceId);
    track.quarantinedUntilMs = clock.monotonicMs() + healthNumbers.quarantineMs;
    track.evidence = evidence.slice(0, 500);
    track.verifiedInARow = 0;
  };

  const isQuarantined = (sourceId: string): boolean => (tracks.get(sourceId)?.quarantinedUntilMs ?? 0) > clock.monotonicMs();
  const isClean = (sourceId: string): boolean => (tracks.get(sourceId)?.verifiedInARow ?? 0) >= healthNumbers.cleanDeliveries;

  const count = (sourceId: string, outcome: Outcome): void => {
    const track = trackOf(sourceId);
    const now = clock.monotonicMs();
    const { repository } = outcome;
    countOutcome(track, outcome, { monotonicMs: now, wallMs: clock.nowMs() });
    if (outcome.verdict === 'ok') {
      const after = afterSuccess(track.breaker, now);
      if (track.breaker.kind === 'open' && after.kind === 'closed') recover(track);
      track.breaker = after;
      if (outcome.verified === true) track.verifiedInARow++;
      if (repository !== undefined) track.refusals.delete(repository);
      return;
    }
    switch (classOfVerdict(outcome.verdict)) {
      case 'down':
        track.breaker = afterFailure(track.breaker, true, now);
        return;
      case 'faulty':
        track.breaker = afterFailure(track.breaker, false, now);
        return;
      case 'limited':
        track.limitedUntilMs = now + Math.min(outcome.retryAfterMs ?? healthNumbers.limitedDefaultMs, healthNumbers.limitedMaxMs);
        track.breaker = releaseTrial(track.breaker);
        return;
      case 'refusal':
        // It answered, so it is up; only this repository is not to be had there.
        track.breaker = afterSuccess(track.breaker, now);
        if (repository !== undefined) {
          const isShort = outcome.trust === 'authority' || outcome.verdict === 'unauthorized';
          track.refusals.set(repository, now + (isShort ? healthNumbers.shortRefusalMs : healthNumbers.refusalMs));
        }
        return;
      case 'absent':
        track.breaker = afterSuccess(track.breaker, now);
        return;
      case 'poison':
        quarantine(sourceId, isQuarantined(sourceId) ? (track.evidence ?? outcome.verdict) : outcome.verdict);
        track.breaker = releaseTrial(track.breaker);
        return;
      case 'neutral':
        track.breaker = releaseTrial(track.breaker);
        return;
    }
  };

  return {
    report: (sourceId, outcome) => {
      count(sourceId, outcome);
      options.onOutcome?.(sourceId, outcome);
    },

    allow: (sourceId, repository) => {
      const answer = peek(sourceId, repository);
      if (answer === 'trial') {
        const track = trackOf(sourceId);
        track.breaker = beginTrial(track.breaker, clock.monotonicMs());
      }
      return answer;
    },

    quarantine,
    isQuarantined,
    clean: isClean,

    rank: (sources, repository) => {
      const now = clock.monotonicMs();
      const keyed = sources.map((source) => ({
        source,
        key: rankKey(source, tracks.get(source.id), { nowMs: now, admission: peek(source.id, repository) }),
      }));
      return keyed.sort((one, other) => compareKeys(one.key, other.key)).map((entry) => entry.source);
    },

    firstByteBudgetMs: (sourceId) => budgetOf(tracks.get(sourceId)?.waits),

    snapshot: (sourceId) => {
      const track = tracks.get(sourceId) ?? newTrack();
      const now = clock.monotonicMs();
      const firstByteP95Ms = percentile95(track.waits);
      const blockedUntilMs = Math.max(track.limitedUntilMs, track.breaker.kind === 'open' ? track.breaker.openUntilMs : 0);
      return {
        state: stateOf(track, now),
        ...(track.lastVerdict === undefined ? {} : { lastVerdict: track.lastVerdict }),
        ...(track.lastAtMs === undefined ? {} : { lastAtMs: track.lastAtMs }),
        succeeded: track.succeeded,
        failed: track.failed,
        verdicts: { ...track.verdicts },
        ...(track.averageMs === undefined ? {} : { averageMs: track.averageMs }),
        bytes: track.bytes,
        failuresInARow: track.breaker.failures,
        blockedForMs: Math.max(0, blockedUntilMs - now),
        clean: isClean(sourceId),
        ...(track.evidence === undefined ? {} : { evidence: track.evidence }),
        ...(firstByteP95Ms === undefined ? {} : { firstByteP95Ms }),
      };
    },

    forget: (sourceId) => {
      tracks.delete(sourceId);
    },
  };
}

function newTrack(): Track {
  return {
    breaker: closedBreaker,
    limitedUntilMs: 0,
    quarantinedUntilMs: 0,
    evidence: undefined,
    verifiedInARow: 0,
    successShare: 1,
    failingUntilMs: 0,
    averageMs: undefined,
    bytes: 0,
    succeeded: 0,
    failed: 0,
    waits: newWaits(),
    verdicts: {},
    refusals: createLru({ maxEntries: healthNumbers.refusalsMax }),
    lastVerdict: undefined,
    lastAtMs: undefined,
  };
}

/** A trial went well: it takes its place in rank again at once. */
function recover(track: Track): void {
  track.failingUntilMs = 0;
  track.successShare = Math.max(track.successShare, healthNumbers.upAbove);
}

function countOutcome(track: Track, outcome: Outcome, at: { monotonicMs: number; wallMs: number }): void {
  track.bytes += outcome.bytes ?? 0;
  if (outcome.verdict === 'aborted' || outcome.verdict === 'busy') return;
  track.lastVerdict = outcome.verdict;
  track.lastAtMs = at.wallMs;
  const { weight } = healthNumbers;
  if (outcome.verdict === 'ok') {
    track.succeeded++;
    noteWait(track.waits, outcome.firstByteMs ?? outcome.ms);
    track.averageMs = track.averageMs === undefined ? outcome.ms : track.averageMs * (1 - weight) + outcome.ms * weight;
  } else {
    track.failed++;
    track.verdicts[outcome.verdict] = (track.verdicts[outcome.verdict] ?? 0) + 1;
  }
  const kind = outcome.verdict === 'ok' ? 'ok' : classOfVerdict(outcome.verdict);
  if (kind === 'ok' || kind === 'down' || kind === 'faulty')
    track.successShare = track.successShare * (1 - weight) + (kind === 'ok' ? weight : 0);
  if (track.successShare < healthNumbers.failingBelow && kind !== 'ok') track.failingUntilMs = at.monotonicMs + healthNumbers.failingMs;
  else if (track.successShare > healthNumbers.upAbove) track.failingUntilMs = 0;
}

function stateOf(track: Track, nowMs: number): SourceState {
  if (track.quarantinedUntilMs > nowMs) return 'quarantined';
  if (track.limitedUntilMs > nowMs) return 'limited';
  if (track.breaker.kind === 'open') return nowMs >= track.breaker.openUntilMs ? 'half-open' : 'open';
  return track.failingUntilMs > nowMs || track.breaker.failures > 0 ? 'failing' : 'up';
}

/** Compared from left to right, smaller first. The last part is a power of two of milliseconds, so that small differences do not swap ranks. */
function rankKey(source: Source, track: Track | undefined, now: { nowMs: number; admission: 'yes' | 'trial' | 'no' }): readonly number[] {
  const isFailing = (track?.failingUntilMs ?? 0) > now.nowMs && now.admission !== 'trial';
  const isQuarantined = (track?.quarantinedUntilMs ?? 0) > now.nowMs;
  const pace = track?.averageMs === undefined ? 0 : Math.round(Math.log2(Math.max(1, track.averageMs)));
  return [now.admission === 'no' ? 1 : 0, isQuarantined ? 1 : 0, isFailing ? 1 : 0, source.priority, pace];
}

function compareKeys(one: readonly number[], other: readonly number[]): number {
  for (const [index, value] of one.entries()) {
    const difference = value - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
