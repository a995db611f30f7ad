// The sources of each registry and the one way to ask them: in the order of health, one after the other, until one gives what is wanted.
// Every answer, good or bad, is reported to the health record and kept for the trail.

import type { Clock } from '../lib/clock.ts';
import type { Outcome, SourceHealth, SourceSnapshot } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import type { Attempt } from './trail.ts';

export interface SourcePool {
  registries(): readonly string[];
  sourcesOf(registry: string): readonly Source[];
  /** Whether everything of this registry is fetched without credentials, so that its bytes are public. */
  isAnonymous(registry: string): boolean;
  /** The best order to ask now; of one kind of trust when given. */
  ranked(registry: string, repository: string, trust?: Source['trust']): readonly Source[];
  /** Asks one source and reports the outcome. Throws its UpstreamError. `skipped` (undefined) when its breaker or a limit forbids asking. */
  ask<T>(source: Source, question: Question<T>): Promise<Asked<T>>;
  snapshot(source: Source): SourceSnapshot;
  readonly health: SourceHealth;
}

export interface Question<T> {
  readonly repository: string;
  readonly run: (source: Source) => Promise<T>;
  /** The answer was proven by a digest known before. */
  readonly verified?: boolean;
}
export type Asked<T> =
  | { readonly value: T; readonly attempt: Attempt }
  | { readonly error: UpstreamError | undefined; readonly attempt: Attempt };

export function createSourcePool(options: {
  sources: ReadonlyMap<string, readonly Source[]>;
  health: SourceHealth;
  clock: Clock;
}): SourcePool {
  const { sources, health, clock } = options;
  const sourcesOf = (registry: string): readonly Source[] => sources.get(registry) ?? [];
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
    ask: async (source, question) => {
      if (health.allow(source.id, question.repository) === 'no')
        return { error: undefined, attempt: skippedAttempt(source, health.snapshot(source.id)) };
      const startMs = clock.monotonicMs();
      try {
        const value = await question.run(source);
        const ms = Math.round(clock.monotonicMs() - startMs);
        health.report(source.id, outcome('ok', ms, source, question));
        return { value, attempt: { source: source.url, verdict: 'ok', ms, bytes: 0 } };
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

export function skippedAttempt(source: Source, snapshot: SourceSnapshot): Attempt {
  const why = snapshot.lastVerdict === undefined || snapshot.lastVerdict === 'ok' ? snapshot.state : snapshot.lastVerdict;
  return { source: source.url, verdict: 'skipped', detail: `not asked again yet (${why})`, ms: 0, bytes: 0 };
}

function outcome<T>(verdict: Outcome['verdict'], ms: number, source: Source, question: Question<T>): Outcome {
  return { verdict, ms, repository: question.repository, trust: source.trust, ...(question.verified === true ? { verified: true } : {}) };
}
