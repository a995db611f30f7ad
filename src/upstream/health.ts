// What is known about each source: its breaker, its limits, its lies and its pace; and the order to ask sources in. It must never do I/O or
// hold a secret. State lives in memory: after a restart every source gets its chance. A host that a source's redirects lead to (a CDN) has a
// breaker of its own: when it is dead, the source's manifests are still good. design 7.2; wire.md 2.6; faults F11, F21, F27, F29, F31, F32, F35.

import type { Clock } from '../lib/clock.ts';
import { admissionOf, afterFailure, afterSuccess, beginTrial, releaseTrial } from './breaker.ts';
import type { UpstreamObserver } from './client.ts';
import { budgetOf, noteWait, percentile95 } from './first-byte.ts';
import type { AskKind, LoginBook, LoginQuota } from './logins.ts';
import type { Quota } from './quota.ts';
import { compareKeys, rankKey } from './rank.ts';
import type { Source } from './source.ts';
import {
  blend,
  countOutcome,
  failingHosts,
  type HostSnapshot,
  hostFor,
  newTrack,
  noteHost,
  recover,
  type SizeClass,
  type SourceState,
  sizeClassOf,
  stateOf,
  type Track,
} from './track.ts';
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
  /** Origin of the host that answered or failed: the source's own, or where its redirect led, which is then charged instead of the source. */
  readonly finalOrigin?: string;
  /** Time to the first byte of a body. */
  readonly firstByteMs?: number;
  /** What the source said of its pull quota; filled in from its last answer when left out. */
  readonly quota?: Quota;
  /** The login that was used; filled in likewise. */
  readonly credentialId?: string;
  /** A probe got through to content: it ends the rest of an open breaker at once, as a trial does. */
  readonly isProbe?: boolean;
}

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
  /** As last heard, of any of its logins; `quotas` has them all, the latest first. */
  readonly quota?: Quota;
  readonly quotas?: readonly LoginQuota[];
  /** How much longer no manifest is fetched there because its pull quota is spent; absent when it is not. */
  readonly spentForMs?: number;
  /** 95th percentile of the time to the first byte of the last 64 blobs, or manifests when there was none; absent before the first. */
  readonly firstByteP95Ms?: number;
  /** Bytes per second while a body comes, by the body's size; exponentially weighted means. */
  readonly bytesPerSecond?: Readonly<Partial<Record<SizeClass, number>>>;
  /** Hosts its redirects lead to that do not work. */
  readonly hosts?: readonly HostSnapshot[];
}

/** What is going to be asked for; a blob's size counts for the pace. */
export interface RankQuestion {
  readonly kind?: AskKind;
  readonly sizeBytes?: number;
}

export interface SourceHealth extends UpstreamObserver {
  report(sourceId: string, outcome: Outcome): void;
  /**
   * Whether to ask it now, for this `kind` of thing when given. `trial` takes the one place of a half-open breaker: go on and report the
   * outcome (any verdict frees the place, `aborted` included; an unreported trial frees it after 30 s).
   */
  allow(sourceId: string, repository?: string, kind?: AskKind): 'yes' | 'trial' | 'no';
  /** It delivered wrong content: last in rank and not believed on tags for ten minutes, and no longer clean. */
  quarantine(sourceId: string, evidence: string): void;
  isQuarantined(sourceId: string): boolean;
  /** At least three verified deliveries of 8 MiB in all since the last wrong one, if any. */
  clean(sourceId: string): boolean;
  /**
   * All of them, best first: those that may be asked, not quarantined, not failing, with pull quota left (unless HEADs or blobs are asked
   * for), then priority, then those that answered before, then pace. Takes no trial. A half-open source stands where it would stand when
   * well, or it would never be tried again: ask another one beside it when `allow` says `trial`.
   */
  rank(sources: readonly Source[], repository?: string, question?: RankQuestion): Source[];
  /** How long to wait for a source's first byte before another one is asked beside it, in milliseconds (300 to 3,000); `blob` when left out. */
  firstByteBudgetMs(sourceId: string, kind?: AskKind): number;
  snapshot(sourceId: string): SourceSnapshot;
  /** Forgets everything about a source (its configuration changed). */
  forget(sourceId: string): void;
}

export const healthNumbers = {
  limitedDefaultMs: 60_000,
  limitedMaxMs: 300_000,
  /** After a spent quota, when the source names no time; the client holds back longer where it does (logins.ts). */
  spentDefaultMs: 15 * 60_000,
  quarantineMs: 600_000,
  refusalMs: 12 * 60 * 60 * 1000,
  /** Of an authority, and of any source that asks for a login. */
  shortRefusalMs: 60_000,
  cleanDeliveries: 3,
  /** What a source delivered in small pieces says nothing on how it delivers large ones (containerd does not get over a lie at once). */
  cleanBytes: 8 * 1024 * 1024,
} as const;

/** `onOutcome` hears of every report, after it was counted. `logins` is the client's, for what it knows of quotas. */
export function createSourceHealth(options: {
  clock: Clock;
  onOutcome?: (sourceId: string, outcome: Outcome) => void;
  logins?: Pick<LoginBook, 'isSpent' | 'quotas' | 'forget'>;
}): SourceHealth {
  const { clock, logins } = options;
  const tracks = new Map<string, Track>();

  const trackOf = (sourceId: string): Track => {
    const known = tracks.get(sourceId);
    if (known !== undefined) return known;
    const fresh = newTrack();
    tracks.set(sourceId, fresh);
    return fresh;
  };

  /** The answer of `allow`, taking nothing. */
  const peek = (sourceId: string, repository: string | undefined, kind: AskKind | undefined): 'yes' | 'trial' | 'no' => {
    const track = tracks.get(sourceId);
    const now = clock.monotonicMs();
    if (track === undefined) return 'yes';
    if (repository !== undefined && (track.refusals.get(repository) ?? 0) > now) return 'no';
    if (track.limitedUntilMs > now) return 'no';
    if (track.spentUntilMs > now && (kind === undefined || kind === 'manifest')) return 'no';
    const own = admissionOf(track.breaker, now);
    const host = hostFor(track, kind);
    const there = host === undefined ? 'yes' : host.limitedUntilMs > now ? 'no' : admissionOf(host.breaker, now);
    if (own === 'no' || there === 'no') return 'no';
    return own === 'trial' || there === 'trial' ? 'trial' : 'yes';
  };

  const quarantine = (sourceId: string, evidence: string): void => {
    const track = trackOf(sourceId);
    track.quarantinedUntilMs = clock.monotonicMs() + healthNumbers.quarantineMs;
    track.evidence = evidence.slice(0, 500);
    track.verifiedInARow = 0;
    track.verifiedBytes = 0;
  };

  const isQuarantined = (sourceId: string): boolean => (tracks.get(sourceId)?.quarantinedUntilMs ?? 0) > clock.monotonicMs();
  const isClean = (sourceId: string): boolean => {
    const track = tracks.get(sourceId);
    return track !== undefined && track.verifiedInARow >= healthNumbers.cleanDeliveries && track.verifiedBytes >= healthNumbers.cleanBytes;
  };

  const succeed = (track: Track, now: number): void => {
    const after = afterSuccess(track.breaker, now);
    if (track.breaker.kind === 'open' && after.kind === 'closed') recover(track);
    track.breaker = after;
  };

  const count = (sourceId: string, outcome: Outcome): void => {
    const track = trackOf(sourceId);
    const now = clock.monotonicMs();
    const { repository, verdict } = outcome;
    const verdictClass = verdict === 'ok' ? 'ok' : classOfVerdict(verdict);
    const before = hostFor(track, outcome.kind);
    const noted = noteHost(track, outcome.kind, outcome.finalOrigin);
    // A success that does not say where it ended was where the client saw it last.
    const host = verdict === 'ok' && outcome.finalOrigin === undefined ? before : noted;
    // A trial of the host the last redirect led to ends, too, when this one led elsewhere or nowhere.
    if (before !== undefined && before !== host) before.breaker = releaseTrial(before.breaker);
    const isElsewhere = host !== undefined && verdictClass !== 'ok' && verdictClass !== 'poison' && verdictClass !== 'neutral';
    countOutcome(track, outcome, { monotonicMs: now, wallMs: clock.nowMs(), isElsewhere });
    if (verdict === 'ok') noteFirstByte(track, outcome);
    if (isElsewhere) {
      // The source answered well, with a redirect; the host behind it did not.
      if (verdictClass === 'limited') {
        host.limitedUntilMs = now + limitedMs(outcome);
        host.breaker = releaseTrial(host.breaker);
      } else if (verdictClass === 'absent') host.breaker = afterSuccess(host.breaker, now);
      // One refusal may be about one blob (a signed URL that has expired); three in a row are about the host.
      else host.breaker = afterFailure(host.breaker, verdictClass === 'down', now);
      succeed(track, now);
      return;
    }
    if (host !== undefined) host.breaker = verdictClass === 'ok' ? afterSuccess(host.breaker, now) : releaseTrial(host.breaker);
    switch (verdictClass) {
      case 'ok':
        if (outcome.isProbe === true && track.breaker.kind === 'open') track.breaker = beginTrial(track.breaker, now);
        succeed(track, now);
        if (outcome.verified === true) {
          track.verifiedInARow++;
          track.verifiedBytes += outcome.bytes ?? 0;
        }
        if (repository !== undefined) track.refusals.delete(repository);
        return;
      case 'down':
        track.breaker = afterFailure(track.breaker, true, now);
        return;
      case 'faulty':
        track.breaker = afterFailure(track.breaker, false, now);
        return;
      case 'limited':
        track.limitedUntilMs = now + limitedMs(outcome);
        track.breaker = releaseTrial(track.breaker);
        return;
      case 'spent':
        track.spentUntilMs = now + Math.min(outcome.retryAfterMs ?? healthNumbers.spentDefaultMs, healthNumbers.spentDefaultMs);
        track.breaker = releaseTrial(track.breaker);
        return;
      case 'refusal':
        // It answered, so it is up; only this repository is not to be had there.
        track.breaker = afterSuccess(track.breaker, now);
        if (repository !== undefined) {
          const isShort = outcome.trust === 'authority' || verdict === 'unauthorized';
          track.refusals.set(repository, now + (isShort ? healthNumbers.shortRefusalMs : healthNumbers.refusalMs));
        }
        return;
      case 'absent':
        track.breaker = afterSuccess(track.breaker, now);
        return;
      case 'poison':
        quarantine(sourceId, isQuarantined(sourceId) ? (track.evidence ?? verdict) : verdict);
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
      if (options.onOutcome === undefined) return;
      const { lastQuota, lastCredentialId } = trackOf(sourceId);
      options.onOutcome(sourceId, {
        ...(lastQuota === undefined ? {} : { quota: lastQuota }),
        ...(lastCredentialId === undefined ? {} : { credentialId: lastCredentialId }),
        ...outcome,
      });
    },

    answered: (sourceId, answer) => {
      const track = trackOf(sourceId);
      track.isObserved = true;
      track.lastCredentialId = answer.credentialId;
      if (answer.quota !== undefined) {
        track.lastQuota = answer.quota;
        if (answer.quota.remaining > 0) track.spentUntilMs = 0;
      }
      if (answer.status >= 400) return;
      const lane = answer.kind === 'blob' ? 'blob' : 'manifest';
      noteWait(track.waits[lane], answer.firstByteMs);
      track.firstByteMs[lane] = blend(track.firstByteMs[lane], answer.firstByteMs);
      noteHost(track, answer.kind, answer.finalOrigin);
    },

    transferred: (sourceId, { bytes, ms }) => {
      if (bytes === 0) return;
      const { bytesPerSecond } = trackOf(sourceId);
      const name = sizeClassOf(bytes);
      bytesPerSecond[name] = blend(bytesPerSecond[name], (bytes * 1_000) / Math.max(1, ms));
    },

    allow: (sourceId, repository, kind) => {
      const answer = peek(sourceId, repository, kind);
      if (answer === 'trial') {
        const track = trackOf(sourceId);
        const now = clock.monotonicMs();
        const host = hostFor(track, kind);
        if (admissionOf(track.breaker, now) === 'trial') track.breaker = beginTrial(track.breaker, now);
        if (host !== undefined && admissionOf(host.breaker, now) === 'trial') host.breaker = beginTrial(host.breaker, now);
      }
      return answer;
    },

    quarantine,
    isQuarantined,
    clean: isClean,

    rank: (sources, repository, question = {}) => {
      const { kind, sizeBytes } = question;
      const nowMs = clock.monotonicMs();
      const isCounted = kind === undefined || kind === 'manifest';
      const keyed = sources.map((source) => {
        const track = trackOf(source.id);
        track.ownOrigin ??= new URL(source.url).origin;
        const isSpent = isCounted && (logins?.isSpent(source) ?? false);
        const standing = { nowMs, admission: peek(source.id, repository, kind), isSpent };
        return { source, key: rankKey(source, track, standing, { kind, sizeBytes }) };
      });
      return keyed.sort((one, other) => compareKeys(one.key, other.key)).map((entry) => entry.source);
    },

    firstByteBudgetMs: (sourceId, kind = 'blob') => budgetOf(tracks.get(sourceId)?.waits[kind === 'blob' ? 'blob' : 'manifest']),

    snapshot: (sourceId) => {
      const track = tracks.get(sourceId) ?? newTrack();
      const now = clock.monotonicMs();
      const firstByteP95Ms = percentile95(track.waits.blob) ?? percentile95(track.waits.manifest);
      const blockedUntilMs = Math.max(track.limitedUntilMs, track.breaker.kind === 'open' ? track.breaker.openUntilMs : 0);
      const quotas = logins?.quotas(sourceId) ?? [];
      const hosts = failingHosts(track, now);
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
        ...(quotas[0] === undefined ? {} : { quota: quotas[0], quotas }),
        ...(track.spentUntilMs > now ? { spentForMs: track.spentUntilMs - now } : {}),
        ...(firstByteP95Ms === undefined ? {} : { firstByteP95Ms }),
        ...(Object.keys(track.bytesPerSecond).length === 0 ? {} : { bytesPerSecond: { ...track.bytesPerSecond } }),
        ...(hosts.length === 0 ? {} : { hosts }),
      };
    },

    forget: (sourceId) => {
      tracks.delete(sourceId);
      logins?.forget(sourceId);
    },
  };
}

/** How long a limited source or host is left alone. */
function limitedMs(outcome: Outcome): number {
  return Math.min(outcome.retryAfterMs ?? healthNumbers.limitedDefaultMs, healthNumbers.limitedMaxMs);
}

/** From a report, where no observer of the client tells it. */
function noteFirstByte(track: Track, outcome: Outcome): void {
  if (track.isObserved) return;
  const lane = outcome.kind === 'manifest' || outcome.kind === 'head' ? 'manifest' : 'blob';
  const ms = outcome.firstByteMs ?? outcome.ms;
  noteWait(track.waits[lane], ms);
  track.firstByteMs[lane] = blend(track.firstByteMs[lane], ms);
}
