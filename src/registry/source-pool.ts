// The sources of each registry and the one way to ask them: in the order of health, one after the other, until one gives what is wanted.
// Every answer, good or bad, is reported to the health record and kept for the trail. Its sources change while it runs (sources.ts feeds it):
// disabled ones are not in it, and one that is not in it, or whose scope leaves a repository out, is never asked.

import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import type { Outcome, SourceHealth, SourceSnapshot } from '../upstream/health.ts';
import type { AskKind } from '../upstream/logins.ts';
import type { Source } from '../upstream/source.ts';
import { classOfVerdict, UpstreamError } from '../upstream/verdict.ts';
import { createSourceScope, type SourceScope } from './source-scope.ts';
import type { Attempt } from './trail.ts';

export interface SourcePool {
  registries(): readonly string[];
  /** The same names; live. */
  readonly names: ReadonlySet<string>;
  /**
   * The sources of a registry from now on, which may be none. Health is kept while address, credentials, proxy and TLS settings are the same objects
   * or values, and forgotten otherwise. `isRestricted`: not all of its bytes are public, whatever these sources are.
   */
  replace(registry: string, sources: readonly Source[], options?: { readonly isRestricted?: boolean }): void;
  /** The registry is no more. */
  remove(registry: string): void;
  /** Called after each change, with the registry's name. Gives the end of it. */
  subscribe(listener: (registry: string) => void): () => void;
  sourcesOf(registry: string): readonly Source[];
  /** Whether everything of this registry is and was fetched without credentials, so that its bytes are public. */
  isAnonymous(registry: string): boolean;
  /** The best order to ask now, for what is wanted; of one kind of trust when given. */
  ranked(registry: string, repository: string, wanted?: Source['trust'] | Wanted): readonly Source[];
  /** Undefined when the source may be asked now (the outcome must be reported), else why not. */
  admit(source: Source, repository: string, kind?: AskKind): Failed | undefined;
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

interface Wanted {
  readonly trust?: Source['trust'];
  /** A spent pull quota stops manifests only, a dead CDN blobs only. */
  readonly kind?: AskKind;
  /** Of a blob, where it is known. */
  readonly sizeBytes?: number;
}

export interface Question<T> {
  readonly repository: string;
  readonly kind?: AskKind;
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
  const { health, clock } = options;
  const sources = new Map<string, readonly Source[]>();
  const names = new Set<string>();
  const ids = new Set<string>();
  // A fill that began before the credentials were taken away must not be called public at its end.
  const restricted = new Set<string>();
  const scopes = new WeakMap<Source, SourceScope>();
  const listeners = new Set<(registry: string) => void>();
  const refusals = createLru<string, { readonly error: UpstreamError; readonly source: Source }>({ maxEntries: refusalsMax });
  const sourcesOf = (registry: string): readonly Source[] => sources.get(registry) ?? [];
  const covers = (source: Source, repository: string): boolean => {
    if (source.scope === undefined) return true;
    const scope = scopes.get(source) ?? createSourceScope(source.scope);
    scopes.set(source, scope);
    return scope.covers(repository);
  };
  const place = (registry: string, next: readonly Source[], isRestricted = false): void => {
    for (const before of sourcesOf(registry)) {
      ids.delete(before.id);
      const after = next.find((source) => source.id === before.id);
      if (after === undefined || !isSameEndpoint(before, after)) health.forget(before.id);
    }
    for (const source of next) ids.add(source.id);
    if (isRestricted || next.some((source) => source.credentials !== undefined)) restricted.add(registry);
    sources.set(registry, next);
    names.add(registry);
  };
  const tell = (registry: string): void => {
    for (const listener of listeners) listener(registry);
  };
  for (const [registry, list] of options.sources) place(registry, list);
  const noteRefusal = (source: Source, repository: string, error: UpstreamError): void => {
    if (classOfVerdict(error.verdict) === 'refusal') refusals.set(`${source.id}\n${repository}`, { error, source });
  };
  /** What the same endpoint said. */
  const refusalOf = (source: Source, repository: string): UpstreamError | undefined => {
    const known = refusals.get(`${source.id}\n${repository}`);
    return known !== undefined && isSameEndpoint(known.source, source) ? known.error : undefined;
  };
  const admit = (source: Source, repository: string, kind?: AskKind): Failed | undefined => {
    if (!ids.has(source.id)) return notAsked(source, 'no longer a source here');
    if (!covers(source, repository)) return notAsked(source, 'its scope leaves this repository out');
    if (health.allow(source.id, repository, kind) !== 'no') return undefined;
    const snapshot = health.snapshot(source.id);
    // Blocked, yet not as a whole: it refuses this repository, and what it said still stands.
    const refusal = snapshot.blockedForMs === 0 ? refusalOf(source, repository) : undefined;
    if (refusal === undefined) return { error: undefined, attempt: skippedAttempt(source, snapshot) };
    const attempt = failedAttempt(source, refusal, 0, 0);
    return { error: refusal, attempt: { ...attempt, detail: `${refusal.detail} (a while ago)` } };
  };
  return {
    health,
    registries: () => [...sources.keys()],
    names,
    replace: (registry, next, { isRestricted } = {}) => {
      place(registry, next, isRestricted);
      tell(registry);
    },
    remove: (registry) => {
      place(registry, []);
      sources.delete(registry);
      names.delete(registry);
      tell(registry);
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    sourcesOf,
    isAnonymous: (registry) => !restricted.has(registry),
    ranked: (registry, repository, wanted = {}) => {
      const { trust, ...question } = typeof wanted === 'string' ? { trust: wanted } : wanted;
      const candidates = sourcesOf(registry).filter(
        (source) => (trust === undefined || source.trust === trust) && covers(source, repository),
      );
      return health.rank(candidates, repository, question);
    },
    snapshot: (source) => health.snapshot(source.id),
    admit,
    noteRefusal,
    ask: async (source, question) => {
      const skipped = admit(source, question.repository, question.kind);
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
          ...(error.origin === undefined ? {} : { finalOrigin: error.origin }),
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

function notAsked(source: Source, detail: string): Failed {
  return { error: undefined, attempt: { source: source.url, verdict: 'skipped', detail, ms: 0, bytes: 0 } };
}

/** Whether what is known of one counts for the other. */
function isSameEndpoint(one: Source, other: Source): boolean {
  return (
    one.url === other.url &&
    one.credentials === other.credentials &&
    one.proxy === other.proxy &&
    one.tls?.ca === other.tls?.ca &&
    one.tls?.insecure === other.tls?.insecure
  );
}

/** A source that is not asked now. */
function skippedAttempt(source: Source, snapshot: SourceSnapshot): Attempt {
  const why = snapshot.lastVerdict === undefined || snapshot.lastVerdict === 'ok' ? snapshot.state : snapshot.lastVerdict;
  return { source: source.url, verdict: 'skipped', detail: `not asked again yet (${why})`, ms: 0, bytes: 0 };
}

function outcome<T>(verdict: Outcome['verdict'], ms: number, source: Source, question: Question<T>): Outcome {
  return {
    verdict,
    ms,
    repository: question.repository,
    trust: source.trust,
    ...(question.kind === undefined ? {} : { kind: question.kind }),
    ...(question.verified === true ? { verified: true } : {}),
  };
}
