// What is remembered of one source: counts, breakers, pace. Plain data and the arithmetic on it; it must never decide whom to ask.
// design 7.2; wire.md 2.5 "CDN hosts have their own fate"; faults F31, F35.

import { createLru, type Lru } from '../lib/lru.ts';
import { admissionOf, type Breaker, closedBreaker } from './breaker.ts';
import { type FirstByteWaits, newWaits } from './first-byte.ts';
import type { AskKind } from './logins.ts';
import type { Quota } from './quota.ts';
import { classOfVerdict, type Verdict } from './verdict.ts';

const trackNumbers = {
  /** Weight of the newest value in the averages. */
  weight: 0.2,
  /** A source is failing below the first success share, until it is above the second or a minute has passed: a flapping one does not flap in rank. */
  failingBelow: 0.5,
  upAbove: 0.8,
  failingMs: 60_000,
  /** Per source. */
  refusalsMax: 5_000,
  /** Hosts its redirects led to, per source. */
  hostsMax: 16,
} as const;

export const sizeClasses = ['small', 'medium', 'large'] as const;
/** `small` below 1 MiB, `medium` below 64 MiB, `large` from there. */
export type SizeClass = (typeof sizeClasses)[number];

/** A host the source's redirects lead to. */
export interface HostTrack {
  readonly origin: string;
  breaker: Breaker;
  /** It asked to be left alone until then (monotonic). */
  limitedUntilMs: number;
}

export interface Track {
  /** Of its URL; known once it was ranked. */
  ownOrigin: string | undefined;
  breaker: Breaker;
  readonly hosts: Lru<string, HostTrack>;
  /** Where its redirects led last, by what was asked. */
  readonly lastHosts: Partial<Record<AskKind, string>>;
  limitedUntilMs: number;
  /** Its pull quota is spent: no manifest is fetched before. */
  spentUntilMs: number;
  quarantinedUntilMs: number;
  evidence: string | undefined;
  verifiedInARow: number;
  /** Bytes of them. */
  verifiedBytes: number;
  successShare: number;
  failingUntilMs: number;
  averageMs: number | undefined;
  /** Time to the first byte, by what was asked; heads count as manifests. */
  readonly waits: { readonly manifest: FirstByteWaits; readonly blob: FirstByteWaits };
  readonly firstByteMs: { manifest: number | undefined; blob: number | undefined };
  readonly bytesPerSecond: Partial<Record<SizeClass, number>>;
  /** First bytes come from an observer of the client, so reports need not tell them. */
  isObserved: boolean;
  bytes: number;
  succeeded: number;
  failed: number;
  verdicts: Partial<Record<Verdict, number>>;
  /** Repository -> not before (monotonic). */
  readonly refusals: Lru<string, number>;
  lastVerdict: Verdict | 'ok' | undefined;
  lastAtMs: number | undefined;
  lastQuota: Quota | undefined;
  lastCredentialId: string | undefined;
}

export function newTrack(): Track {
  return {
    ownOrigin: undefined,
    breaker: closedBreaker,
    hosts: createLru({ maxEntries: trackNumbers.hostsMax }),
    lastHosts: {},
    limitedUntilMs: 0,
    spentUntilMs: 0,
    quarantinedUntilMs: 0,
    evidence: undefined,
    verifiedInARow: 0,
    verifiedBytes: 0,
    successShare: 1,
    failingUntilMs: 0,
    averageMs: undefined,
    waits: { manifest: newWaits(), blob: newWaits() },
    firstByteMs: { manifest: undefined, blob: undefined },
    bytesPerSecond: {},
    isObserved: false,
    bytes: 0,
    succeeded: 0,
    failed: 0,
    verdicts: {},
    refusals: createLru({ maxEntries: trackNumbers.refusalsMax }),
    lastVerdict: undefined,
    lastAtMs: undefined,
    lastQuota: undefined,
    lastCredentialId: undefined,
  };
}

/** The host that requests of this kind end at, when it is not the source itself. */
export function hostFor(track: Track, kind: AskKind | undefined): HostTrack | undefined {
  const origin = kind === undefined ? undefined : track.lastHosts[kind];
  return origin === undefined ? undefined : track.hosts.get(origin);
}

/** The host a request ended at, remembered; undefined when that was the source itself, or nobody knows. */
export function noteHost(track: Track, kind: AskKind | undefined, finalOrigin: string | undefined): HostTrack | undefined {
  if (kind === undefined || finalOrigin === undefined || track.ownOrigin === undefined) return undefined;
  if (finalOrigin === track.ownOrigin) {
    delete track.lastHosts[kind];
    return undefined;
  }
  const host = track.hosts.get(finalOrigin) ?? { origin: finalOrigin, breaker: closedBreaker, limitedUntilMs: 0 };
  track.hosts.set(finalOrigin, host);
  track.lastHosts[kind] = finalOrigin;
  return host;
}

/** A trial went well: it takes its place in rank again at once. */
export function recover(track: Track): void {
  track.failingUntilMs = 0;
  track.successShare = Math.max(track.successShare, trackNumbers.upAbove);
}

/** `isElsewhere`: a host it redirected to is to blame, so its own record stays. */
export function countOutcome(
  track: Track,
  outcome: { readonly verdict: Verdict | 'ok'; readonly ms: number; readonly bytes?: number },
  at: { monotonicMs: number; wallMs: number; isElsewhere: boolean },
): void {
  track.bytes += outcome.bytes ?? 0;
  if (outcome.verdict === 'aborted' || outcome.verdict === 'busy') return;
  track.lastVerdict = outcome.verdict;
  track.lastAtMs = at.wallMs;
  if (outcome.verdict === 'ok') {
    track.succeeded++;
    track.averageMs = blend(track.averageMs, outcome.ms);
  } else {
    track.failed++;
    track.verdicts[outcome.verdict] = (track.verdicts[outcome.verdict] ?? 0) + 1;
  }
  const kind = outcome.verdict === 'ok' ? 'ok' : classOfVerdict(outcome.verdict);
  if (!at.isElsewhere && (kind === 'ok' || kind === 'down' || kind === 'faulty'))
    track.successShare = blend(track.successShare, kind === 'ok' ? 1 : 0);
  if (track.successShare < trackNumbers.failingBelow && kind !== 'ok') track.failingUntilMs = at.monotonicMs + trackNumbers.failingMs;
  else if (track.successShare > trackNumbers.upAbove) track.failingUntilMs = 0;
}

export type SourceState = 'up' | 'failing' | 'open' | 'half-open' | 'limited' | 'quarantined';

export function stateOf(track: Track, nowMs: number): SourceState {
  if (track.quarantinedUntilMs > nowMs) return 'quarantined';
  if (track.limitedUntilMs > nowMs) return 'limited';
  if (track.breaker.kind === 'open') return nowMs >= track.breaker.openUntilMs ? 'half-open' : 'open';
  return track.failingUntilMs > nowMs || track.breaker.failures > 0 ? 'failing' : 'up';
}

export interface HostSnapshot {
  readonly origin: string;
  readonly state: 'failing' | 'open' | 'half-open';
  readonly blockedForMs: number;
}

/** The hosts its redirects lead to that do not work. */
export function failingHosts(track: Track, nowMs: number): readonly HostSnapshot[] {
  return [...track.hosts.values()]
    .filter((host) => host.breaker.failures > 0 || host.limitedUntilMs > nowMs)
    .map(({ origin, breaker, limitedUntilMs }) => {
      const admission = limitedUntilMs > nowMs ? 'no' : admissionOf(breaker, nowMs);
      const openUntilMs = breaker.kind === 'closed' ? 0 : breaker.openUntilMs;
      return {
        origin,
        state: admission === 'no' ? 'open' : breaker.kind === 'closed' ? 'failing' : 'half-open',
        blockedForMs: Math.max(0, openUntilMs - nowMs, limitedUntilMs - nowMs),
      };
    });
}

export function sizeClassOf(sizeBytes: number): SizeClass {
  if (sizeBytes < 1024 * 1024) return 'small';
  return sizeBytes < 64 * 1024 * 1024 ? 'medium' : 'large';
}

/** The exponentially weighted mean with one more value. */
export function blend(mean: number | undefined, value: number): number {
  return mean === undefined ? value : mean * (1 - trackNumbers.weight) + value * trackNumbers.weight;
}
