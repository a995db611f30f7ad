// The sources of each registry and the one way to ask them: in the order of health, one after the other, until one gives what is wanted.
// Every answer, good or bad, is reported to the health record and kept for the trail.

import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import type { Outcome, SourceHealth, SourceSnapshot } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { classOfVerdict, UpstreamError } from '../upstream/verdict.ts';
import type { Attempt } from './trail.ts';

export interface SourcePool {
  registries(): readonly string[];
  sourcesOf(registry: string): readonly Source[];
  /** Whether everything of this registry is fetched without credentials, so that its bytes are public. */
  isAnonymous(registry: string): boolean;
  /** The best order to ask now; of one kind of trust when given. */
  ranked(registry: string, repository: string, trust?: Source['trust']): readonly Source[];
  /** Undefined when the source may be asked now (the outcome must be reported), else why not. */
  admit(source: Source, repository: string): Failed | undefined;
  /**
   * Asks one source and reports the outcome. An `error` that is undefined means that its breaker or a limit forbids asking. Throws only what is no
   * UpstreamError.
   */
  ask<T>(source: Source, question: Question<T>): Promise<Asked<T>>;
  /** Remembers why a source refuses a repository, so that it can be told while it is not asked again. */
  noteRefusal(source: Source, repository: string, error: UpstreamError): void;
  snapshot(source: Source): SourceSnapshot;
  readonly health: SourceHealth;
}

export interface Question<T> {
  readonly repository: string;
  readonly run: (source: Source) => Promise<T>;
  /** The answer was proven by a digest known before. */
  readonly verified?: boolean;
  /** Body bytes of an answer. */
  readonly sizeOf?: (value: T) => number;
}
export interface Failed {
  readonly error: UpstreamError | undefined;
  readonly attempt: Attempt;
}
export type Asked<T> = { readonly value: T; readonly attempt: Attempt } | Failed;

const refusalsMax = 10_000;

export function createSourcePool(options: {
  sources: ReadonlyMap<string, readonly Source[]>;
  health: SourceHealth;
  clock: Clock;
}): SourcePool {
  const { sources, health, clock } = options;
  const refusals = createLru<string, UpstreamError>({ maxEntries: refusalsMax });
  const sourcesOf = (registry: string): readonly Source[] => sources.get(registry) ?? [];
  const noteRefusal = (source: Source, repository: string, error: UpstreamError): void => {
    if (classOfVerdict(error.verdict) === 'refusal') refusals.set(`${source.id}\n${repository}`, error);
  };
  const admit = (source: Source, repository: string): Failed | undefined => {
    if (health.allow(source.id, repository) !== 'no') return undefined;
    const snapshot = health.snapshot(source.id);
    // Blocked, yet not as a whole: it refuses this repository, and what it said still stands.
    const refusal = snapshot.blockedForMs === 0 ? refusals.get(`${source.id}\n${repository}`) : undefined;
    if (refusal === undefined) return { error: undefined, attempt: skippedAttempt(source, snapshot) };
    const attempt = failedAttempt(source, refusal, 0, 0);
    return { error: refusal, attempt: { ...attempt, detail: `${refusal.detail} (a while ago)` } };
  };
  return {
    health,
    registries: () => [...sources.keys()],
    sourcesOf,
    isAnonymous: (registry) => sourcesOf(registry).every((source) => source.credentials === undefined),
    ranked: (registry, repository, trust) =>
      health.rank(
        sourcesOf(registry).filter((source) => trust === undefined || source.trust === trust),
        repository,
      ),
    snapshot: (source) => health.snapshot(source.id),
    admit,
    noteRefusal,
    ask: async (source, question) => {
      const skipped = admit(source, question.repository);
      if (skipped !== undefined) return skipped;
      const startMs = clock.monotonicMs();
      try {
        const value = await question.run(source);
        const ms = Math.round(clock.monotonicMs() - startMs);
        const bytes = question.sizeOf?.(value) ?? 0;
        health.report(source.id, { ...outcome('ok', ms, source, question), bytes });
        return { value, attempt: { source: source.url, verdict: 'ok', ms, bytes } };
      } catch (error) {
        if (!(error instanceof UpstreamError)) {
          health.report(source.id, outcome('aborted', 0, source, question));
          throw error;
        }
        const ms = Math.round(clock.monotonicMs() - startMs);
        health.report(source.id, {
          ...outcome(error.verdict, ms, source, question),
          ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
        });
        noteRefusal(source, question.repository, error);
        if (error.verdict === 'wrong-digest') health.quarantine(source.id, error.detail);
        return { error, attempt: failedAttempt(source, error, ms, 0) };
      }
    },
  };
}

export function failedAttempt(source: Source, error: UpstreamError, ms: number, bytes: number): Attempt {
  return {
    source: source.url,
    verdict: error.verdict,
    ...(error.status === undefined ? {} : { status: error.status }),
    detail: error.detail,
    ms,
    bytes,
  };
}

/** A source whose word counts for nothing now, because it delivered wrong content. */
export function quarantinedAttempt(source: Source): Attempt {
  return { source: source.url, verdict: 'skipped', detail: 'not believed: it delivered wrong content lately', ms: 0, bytes: 0 };
}

/** A source that is not asked now. */
function skippedAttempt(source: Source, snapshot: SourceSnapshot): Attempt {
  const why = snapshot.lastVerdict === undefined || snapshot.lastVerdict === 'ok' ? snapshot.state : snapshot.lastVerdict;
  return { source: source.url, verdict: 'skipped', detail: `not asked again yet (${why})`, ms: 0, bytes: 0 };
}

function outcome<T>(verdict: Outcome['verdict'], ms: number, source: Source, question: Question<T>): Outcome {
  return { verdict, ms, repository: question.repository, trust: source.trust, ...(question.verified === true ? { verified: true } : {}) };
}
