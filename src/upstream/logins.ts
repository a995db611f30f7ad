// What is known about each login of each source: what its pull quota has left, and until when it rests. It says which login to use next. It
// must never hold a password. design section 7; wire.md 2.3 "Correct reaction"; faults F27, F29.

import type { Clock } from '../lib/clock.ts';
import type { CredentialSource } from './credentials.ts';
import { isSpent, type Quota } from './quota.ts';
import type { Source } from './source.ts';
import { UpstreamError } from './verdict.ts';

/** What is asked for. `manifest` is a GET of one, which is what registries count; `head` anything small that they do not. */
export type AskKind = 'manifest' | 'head' | 'blob';

/** The id under which requests without a login are kept. */
export const anonymousId = 'anonymous';

export interface LoginQuota extends Quota {
  readonly credentialId: string;
  /** Monotonic. */
  readonly atMs: number;
}

export interface LoginBook {
  /**
   * The logins that may be used now, the one to use first in front; `undefined` stands for none (the last resort of a source with logins).
   * Those with quota left come before spent ones. Throws `rate-limited`, `quota-spent` or `unauthorized` when all of them rest.
   */
  usable(source: Source, kind: AskKind, mayBeAnonymous: boolean): readonly (CredentialSource | undefined)[];
  noteQuota(sourceId: string, credentialId: string, quota: Quota): void;
  /**
   * A 429 for this login: it rests as long as the source said. Without a time it rests for a minute; where pulls are counted, for manifest
   * GETs only, and for a quarter of an hour or until an answer shows quota again. Gives the verdict of the 429.
   */
  noteLimit(
    sourceId: string,
    credentialId: string,
    limit: { kind: AskKind; retryAfterMs: number | undefined },
  ): 'rate-limited' | 'quota-spent';
  /** The login itself was refused; it is tried again after a minute. */
  noteRefused(sourceId: string, credentialId: string): void;
  /** All logins of the source (or its anonymous use, when it has none) have little or nothing left. */
  isSpent(source: Source): boolean;
  /** As last heard, of each login that was told one, the latest first. */
  quotas(sourceId: string): readonly LoginQuota[];
  forget(sourceId: string): void;
}

const loginNumbers = { limitDefaultMs: 60_000, spentDefaultMs: 15 * 60_000, refusedMs: 60_000 } as const;

interface State {
  quota: LoginQuota | undefined;
  /** Little or nothing is left, as told, until then (monotonic). */
  lowUntilMs: number;
  /** Nothing is asked with it before (monotonic). */
  limitedUntilMs: number;
  /** No manifest is fetched with it before; `isSpentExact`: by the source's own word. */
  spentUntilMs: number;
  isSpentExact: boolean;
  refusedUntilMs: number;
  isLowTold: boolean;
}

/** `onQuotaLow` hears once when a login's quota becomes spent (a twentieth, five pulls at most), and again after it has recovered. */
export function createLoginBook(options: {
  clock: Clock;
  onQuotaLow?: (sourceId: string, credentialId: string, quota: Quota) => void;
}): LoginBook {
  const { clock } = options;
  const sources = new Map<string, Map<string, State>>();

  const stateOf = (sourceId: string, credentialId: string): State => {
    const logins = sources.get(sourceId) ?? new Map<string, State>();
    sources.set(sourceId, logins);
    const known = logins.get(credentialId);
    if (known !== undefined) return known;
    const fresh: State = {
      quota: undefined,
      lowUntilMs: 0,
      limitedUntilMs: 0,
      spentUntilMs: 0,
      isSpentExact: false,
      refusedUntilMs: 0,
      isLowTold: false,
    };
    logins.set(credentialId, fresh);
    return fresh;
  };
  const peek = (sourceId: string, credentialId: string): State | undefined => sources.get(sourceId)?.get(credentialId);
  /** It tells a quota, so what it does not count (HEADs, blobs) stays free when the quota is spent. */
  const tellsQuota = (sourceId: string): boolean => [...(sources.get(sourceId)?.values() ?? [])].some((state) => state.quota !== undefined);
  const isLow = (state: State | undefined): boolean => {
    const now = clock.monotonicMs();
    if (state === undefined) return false;
    return Math.max(state.limitedUntilMs, state.spentUntilMs, state.lowUntilMs) > now;
  };

  return {
    usable: (source, kind, mayBeAnonymous) => {
      const now = clock.monotonicMs();
      const logins: (CredentialSource | undefined)[] = [...(source.credentials ?? [])];
      if (mayBeAnonymous) logins.push(undefined);
      const entries = logins.map((login) => ({ login, state: peek(source.id, login?.id ?? anonymousId) }));
      const awake = entries.filter(({ state }) => state === undefined || Math.max(state.refusedUntilMs, restsUntil(state, kind)) <= now);
      if (awake.length === 0)
        throw restError(source, {
          states: entries.map(({ state }) => state).filter((state) => state !== undefined),
          nowMs: now,
          kind,
        });
      const order = kind === 'manifest' ? (state: State | undefined): number => (isLow(state) ? 1 : 0) : (): number => 0;
      return awake.sort((one, other) => order(one.state) - order(other.state)).map(({ login }) => login);
    },
    noteQuota: (sourceId, credentialId, quota) => {
      const state = stateOf(sourceId, credentialId);
      state.quota = { ...quota, credentialId, atMs: clock.monotonicMs() };
      state.lowUntilMs = isSpent(quota) ? clock.monotonicMs() + quota.windowSeconds * 1_000 : 0;
      if (state.lowUntilMs === 0) {
        state.isLowTold = false;
        if (!state.isSpentExact) state.spentUntilMs = 0;
      } else if (!state.isLowTold) {
        state.isLowTold = true;
        options.onQuotaLow?.(sourceId, credentialId, quota);
      }
    },
    noteLimit: (sourceId, credentialId, { kind, retryAfterMs }) => {
      const state = stateOf(sourceId, credentialId);
      const now = clock.monotonicMs();
      if (kind !== 'manifest' || !tellsQuota(sourceId)) {
        state.limitedUntilMs = Math.max(state.limitedUntilMs, now + (retryAfterMs ?? loginNumbers.limitDefaultMs));
        return 'rate-limited';
      }
      state.spentUntilMs = Math.max(state.spentUntilMs, now + (retryAfterMs ?? loginNumbers.spentDefaultMs));
      state.isSpentExact = retryAfterMs !== undefined;
      // What it says of the time counts more than what was known of the window.
      if (state.isSpentExact) state.lowUntilMs = state.spentUntilMs;
      return 'quota-spent';
    },
    noteRefused: (sourceId, credentialId) => {
      stateOf(sourceId, credentialId).refusedUntilMs = clock.monotonicMs() + loginNumbers.refusedMs;
    },
    isSpent: (source) => (source.credentials?.map((login) => login.id) ?? [anonymousId]).every((id) => isLow(peek(source.id, id))),
    quotas: (sourceId) =>
      [...(sources.get(sourceId)?.values() ?? [])]
        .map((state) => state.quota)
        .filter((quota) => quota !== undefined)
        .sort((one, other) => other.atMs - one.atMs),
    forget: (sourceId) => {
      sources.delete(sourceId);
    },
  };
}

function restsUntil(state: State, kind: AskKind): number {
  return kind === 'manifest' ? Math.max(state.limitedUntilMs, state.spentUntilMs) : state.limitedUntilMs;
}

/** Why none of a source's logins can be used, and when the first one can be. */
function restError(source: Source, seen: { states: readonly State[]; nowMs: number; kind: AskKind }): UpstreamError {
  const origin = new URL(source.url).origin;
  const limited = seen.states.filter((state) => state.refusedUntilMs <= seen.nowMs);
  if (limited.length === 0) return new UpstreamError('unauthorized', { detail: 'its login was refused a moment ago', status: 401, origin });
  const isCounted = limited.every((state) => state.limitedUntilMs <= seen.nowMs);
  return new UpstreamError(isCounted ? 'quota-spent' : 'rate-limited', {
    detail: isCounted ? 'its pull quota is spent for every login' : 'it asked to be left alone for a while',
    status: 429,
    origin,
    retryAfterMs: Math.min(...limited.map((state) => restsUntil(state, seen.kind))) - seen.nowMs,
  });
}
