// The way to one blob answer: the best source is asked; when it keeps silent for longer than its budget, a second one is asked beside it, and
// the first that answers counts (design 7.2; faults F3, F5). It ends at the headers: it never reads a body.
//
//   failed ──> the next at once
//   silent ──> another one beside it, as far as the extra load allows; beyond that it is left for another one when others find it silent too
//   on trial (its breaker is half-open) ──> another one beside it at once, so that no pull waits for a source that was down
//
// Three at a time are asked at most. One that is overdue, or on trial, may still answer after another has won: its health is judged by that.

import type { Clock } from '../lib/clock.ts';
import { OciError } from '../oci/errors.ts';
import type { BlobAnswer } from '../upstream/blob.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import type { Hedging } from './hedging.ts';
import type { MirrorTimings } from './mirror-timings.ts';
import { failedAttempt, type SourcePool } from './source-pool.ts';
import type { Attempt } from './trail.ts';
import type { WantedBlob } from './wanted-blob.ts';

const askedAtOnceMax = 3;
/** Blobs up to this size are small: verified before their first byte goes out. */
export const smallBlobMaxBytes = 8 * 1024 * 1024;

export interface RaceParts {
  readonly client: Pick<UpstreamClient, 'getBlob'>;
  readonly pool: SourcePool;
  readonly hedging: Hedging;
  readonly clock: Clock;
  readonly timings: MirrorTimings;
  /** Ends all fetches: the server stops. */
  readonly signal: AbortSignal;
}

export interface Candidate {
  readonly source: Source;
  /** It was down, and this request tells whether it still is. */
  readonly isTrial: boolean;
}

export interface BlobRace {
  readonly offset: number;
  /** What the whole blob has, when that is known. */
  readonly totalBytes: number | undefined;
  /** The next source to ask, admitted, so that its outcome is owed; none with these ids. */
  readonly next: (others: ReadonlySet<string>) => Candidate | undefined;
  readonly onFailure: (source: Source, error: UpstreamError) => void;
  /** Grows with each source that failed or lost. */
  readonly attempts: Attempt[];
}

export interface OpenedBlob {
  readonly source: Source;
  readonly answer: BlobAnswer;
  readonly startMs: number;
  readonly firstByteMs: number;
  /** To be called when the body is done with. */
  release(): void;
}

interface Ask extends Candidate {
  readonly startMs: number;
  /** Asked although another one was still silent. */
  readonly isExtra: boolean;
  /** Another one is asked beside it then; undefined when that is done. */
  budgetEndMs: number | undefined;
  endOverdue: (() => void) | undefined;
  readonly ended: Promise<AskEnd>;
  abort(): void;
  release(): void;
}
type AskEnd =
  | { readonly kind: 'answer'; readonly ask: Ask; readonly answer: BlobAnswer }
  | { readonly kind: 'failure'; readonly ask: Ask; readonly error: unknown };

/** The first answer, or undefined when there is nobody left to ask. Its outcome is the caller's to report. Throws what is no fault of a source. */
export async function openBlob(parts: RaceParts, wanted: WantedBlob, race: BlobRace): Promise<OpenedBlob | undefined> {
  const { pool, hedging, clock } = parts;
  const pending = new Set<Ask>();
  /** Ids of sources that were left because they kept silent. */
  const left = new Set<string>();
  let isAnybodyLeft = true;
  const begin = (candidate: Candidate, isExtra: boolean): void => {
    if (!isExtra) hedging.countRequest();
    pending.add(startAsk(parts, wanted, race, { ...candidate, isExtra }));
  };
  const next = (): Candidate | undefined => {
    const candidate = race.next(new Set([...left, ...[...pending].map((ask) => ask.source.id)]));
    isAnybodyLeft = candidate !== undefined;
    return candidate;
  };
  try {
    for (;;) {
      if (pending.size === 0) {
        let candidate = next();
        if (candidate === undefined && left.size > 0) {
          left.clear();
          candidate = next();
        }
        if (candidate === undefined) return undefined;
        begin(candidate, false);
      }
      const end = await firstOf(clock, pending, isAnybodyLeft && pending.size < askedAtOnceMax);
      if (end === undefined) {
        for (const ask of pending) if (ask.budgetEndMs !== undefined && ask.budgetEndMs <= clock.monotonicMs()) relieve(ask);
        continue;
      }
      pending.delete(end.ask);
      end.ask.endOverdue?.();
      if (end.kind === 'answer') {
        if (end.ask.isExtra) hedging.countWin();
        for (const loser of pending) race.attempts.push(lostAttempt(loser, clock));
        const { source, startMs, release } = end.ask;
        return { source, answer: end.answer, startMs, firstByteMs: Math.round(clock.monotonicMs() - startMs), release };
      }
      end.ask.release();
      if (!(end.error instanceof UpstreamError)) {
        reportAborted(pool, wanted, end.ask.source);
        throw end.error;
      }
      reportFailure(parts, wanted, end.ask, end.error);
      race.attempts.push(failedAttempt(end.ask.source, end.error, Math.round(clock.monotonicMs() - end.ask.startMs), 0));
      race.onFailure(end.ask.source, end.error);
      if (parts.signal.aborted) throw new OciError('UNAVAILABLE', 'the server is shutting down');
      const candidate = pending.size > 0 ? next() : undefined;
      if (candidate !== undefined) begin(candidate, false);
    }
  } finally {
    for (const loser of pending) letLose(parts, wanted, loser);
  }

  /** Its budget has passed. */
  function relieve(silent: Ask): void {
    silent.endOverdue?.();
    silent.endOverdue = undefined;
    const isSilentToOthers = hedging.isOverdue(silent.source.id);
    const hasCredit = silent.isTrial || hedging.take();
    const candidate = hasCredit || isSilentToOthers ? next() : undefined;
    if (candidate === undefined && hasCredit && !silent.isTrial) hedging.giveBack();
    silent.budgetEndMs = candidate === undefined ? clock.monotonicMs() + budgetMs(parts, silent.source) : undefined;
    if (!silent.isTrial) silent.endOverdue = hedging.noteOverdue(silent.source.id);
    if (candidate === undefined) return;
    begin(candidate, hasCredit && !silent.isTrial);
    if (hasCredit) return;
    pending.delete(silent);
    left.add(silent.source.id);
    race.attempts.push(lostAttempt(silent, clock));
    drop(parts, wanted, silent);
  }
}

function startAsk(parts: RaceParts, wanted: WantedBlob, race: BlobRace, how: Candidate & { readonly isExtra: boolean }): Ask {
  const { client, clock, timings } = parts;
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(parts.signal.reason);
  if (parts.signal.aborted) onAbort();
  else parts.signal.addEventListener('abort', onAbort, { once: true });
  const answered = client.getBlob(how.source, wanted.repository, wanted.digest, {
    offset: race.offset,
    firstByteTimeoutMs: timings.firstByteTimeoutMs,
    idleTimeoutMs: timings.idleTimeoutMs,
    signal: controller.signal,
    ...(race.totalBytes === undefined ? {} : { expectedSizeBytes: race.totalBytes }),
  });
  const startMs = clock.monotonicMs();
  const ask: Ask = {
    ...how,
    startMs,
    budgetEndMs: how.isTrial ? startMs : startMs + budgetMs(parts, how.source),
    endOverdue: undefined,
    ended: answered.then(
      (answer): AskEnd => ({ kind: 'answer', ask, answer }),
      (error: unknown): AskEnd => ({ kind: 'failure', ask, error }),
    ),
    abort: () => controller.abort(),
    release: () => parts.signal.removeEventListener('abort', onAbort),
  };
  return ask;
}

function budgetMs({ pool, timings }: RaceParts, source: Source): number {
  return Math.min(pool.health.firstByteBudgetMs(source.id), timings.firstByteBudgetMaxMs);
}

/** What ends first, or undefined at the end of the budget, where that counts. */
async function firstOf(clock: Clock, pending: ReadonlySet<Ask>, hasBudget: boolean): Promise<AskEnd | undefined> {
  const ends = [...pending].map((ask) => ask.ended);
  if (!hasBudget) return Promise.race(ends);
  const timer = new AbortController();
  const dueMs = Math.min(...[...pending].flatMap(({ budgetEndMs: endMs }) => (endMs === undefined ? [] : [endMs])));
  if (!Number.isFinite(dueMs)) return Promise.race(ends);
  const restMs = dueMs - clock.monotonicMs();
  const budget = clock.sleep(restMs, timer.signal).then(
    () => undefined,
    () => undefined,
  );
  try {
    return await Promise.race([...ends, budget]);
  } finally {
    timer.abort();
  }
}

/** One that was overdue or on trial is waited for, so that its health is known; another one is given up. */
function letLose(parts: RaceParts, wanted: WantedBlob, loser: Ask): void {
  if (loser.endOverdue === undefined && !loser.isTrial) {
    drop(parts, wanted, loser);
    return;
  }
  const { pool, clock } = parts;
  void loser.ended.then((end) => {
    loser.endOverdue?.();
    loser.release();
    if (end.kind === 'answer') {
      end.answer.discard();
      const ms = Math.round(clock.monotonicMs() - loser.startMs);
      const { source } = loser;
      const { finalOrigin } = end.answer;
      const { repository } = wanted;
      pool.health.report(source.id, { verdict: 'ok', kind: 'blob', ms, bytes: 0, repository, trust: source.trust, finalOrigin });
    } else if (end.error instanceof UpstreamError) reportFailure(parts, wanted, loser, end.error);
    else reportAborted(pool, wanted, loser.source);
  });
}

function drop({ pool }: RaceParts, wanted: WantedBlob, ask: Ask): void {
  ask.endOverdue?.();
  ask.abort();
  ask.release();
  reportAborted(pool, wanted, ask.source);
  void ask.ended.then((end) => {
    if (end.kind === 'answer') end.answer.discard();
  });
}

function reportFailure({ pool, clock }: RaceParts, wanted: WantedBlob, ask: Ask, error: UpstreamError): void {
  pool.health.report(ask.source.id, {
    verdict: error.verdict,
    kind: 'blob',
    ms: Math.round(clock.monotonicMs() - ask.startMs),
    bytes: 0,
    repository: wanted.repository,
    trust: ask.source.trust,
    ...(error.origin === undefined ? {} : { finalOrigin: error.origin }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
  pool.noteRefusal(ask.source, wanted.repository, error);
}

function reportAborted(pool: SourcePool, wanted: WantedBlob, source: Source): void {
  pool.health.report(source.id, { verdict: 'aborted', kind: 'blob', ms: 0, bytes: 0, repository: wanted.repository, trust: source.trust });
}

function lostAttempt(loser: Ask, clock: Clock): Attempt {
  const ms = Math.round(clock.monotonicMs() - loser.startMs);
  const detail = loser.isTrial
    ? 'asked again after a failure, another source was faster'
    : `no answer within ${ms} ms, another source was asked`;
  return { source: loser.source.url, verdict: 'skipped', detail, ms, bytes: 0 };
}
