// One short question to several sources, best first: a failure brings the next one at once, silence brings another one beside it (design 7.2;
// faults F3, F5). For manifests and tags, whose answers are whole; blobs have their own race (blob-race.ts), which ends at the headers.
//
//   failed ──> the next at once
//   silent for its budget ──> the next beside it, when the 5 % of extra load allow it or others find it silent too; after three budgets anyhow
//   on trial (its breaker is half-open) ──> the next beside it at once
//
// Whoever has lost goes on until its own deadline, so that its health is judged by what it does; meanwhile it counts as overdue and is asked last.

import type { Clock } from '../lib/clock.ts';
import type { Source } from '../upstream/source.ts';
import type { Hedging } from './hedging.ts';
import type { MirrorTimings } from './mirror-timings.ts';
import type { Asked, SourcePool } from './source-pool.ts';
import type { Attempt } from './trail.ts';

export interface SourceRaceParts {
  readonly pool: Pick<SourcePool, 'health' | 'snapshot'>;
  readonly hedging: Hedging;
  readonly clock: Clock;
  readonly timings: Pick<MirrorTimings, 'firstByteBudgetMaxMs'>;
}

export interface SourceRace<T> {
  /** Best first. */
  readonly sources: readonly Source[];
  /** No source is begun with after this (monotonic), and none is given longer. */
  readonly deadlineMs: number;
  /** Reports to the health record itself, ends within `timeoutMs`; undefined when its word would count for nothing. Throws only what is no fault of a source. */
  readonly ask: (source: Source, timeoutMs: number) => Promise<Asked<T> | undefined>;
  /** Called once for each answer that came while the race was on; true ends it. */
  readonly isLast: (asked: Asked<T>, source: Source) => boolean;
  /** Told of those that were still silent at the end. */
  readonly onLost: (attempt: Attempt) => void;
}

export interface Winner<T> {
  readonly source: Source;
  readonly asked: Asked<T>;
}

/** This many budgets of silence are a failure, whatever the extra load is. */
const budgetsMax = 3;
/** Without those that were silent for so long. */
const askedAtOnceMax = 3;

interface Runner<T> {
  readonly source: Source;
  readonly startMs: number;
  readonly budgetMs: number;
  readonly isExtra: boolean;
  /** When it is to be relieved next; undefined when it was. */
  dueMs: number | undefined;
  endOverdue: (() => void) | undefined;
  readonly ended: Promise<
    { readonly runner: Runner<T>; readonly asked: Asked<T> | undefined } | { readonly runner: Runner<T>; readonly error: unknown }
  >;
}

/** The answer that ended the race, or undefined when all sources answered without ending it or the time is over. */
export async function raceSources<T>(parts: SourceRaceParts, race: SourceRace<T>): Promise<Winner<T> | undefined> {
  const { hedging, clock } = parts;
  const waiting = [...race.sources].sort((one, other) => Number(hedging.isOverdue(one.id)) - Number(hedging.isOverdue(other.id)));
  const running = new Set<Runner<T>>();
  const begin = (isExtra: boolean): void => {
    const leftMs = race.deadlineMs - clock.monotonicMs();
    const source = leftMs > 0 ? waiting.shift() : undefined;
    if (source === undefined) {
      waiting.length = 0;
      return;
    }
    if (!isExtra) hedging.countRequest();
    running.add(start(parts, race, { source, timeoutMs: leftMs, isExtra }));
  };
  begin(false);
  try {
    while (running.size > 0) {
      const end = await firstOf(clock, running, { isRelievable: waiting.length > 0, deadlineMs: race.deadlineMs });
      if (end === 'over') return undefined;
      if (end === 'due') {
        for (const runner of running) if ((runner.dueMs ?? Number.POSITIVE_INFINITY) <= clock.monotonicMs()) relieve(runner);
        continue;
      }
      running.delete(end.runner);
      if ('error' in end) throw end.error;
      if (end.asked !== undefined && race.isLast(end.asked, end.runner.source)) {
        if (end.runner.isExtra) hedging.countWin();
        return { source: end.runner.source, asked: end.asked };
      }
      begin(false);
    }
    return undefined;
  } finally {
    for (const { source, startMs } of running) {
      const ms = Math.round(clock.monotonicMs() - startMs);
      race.onLost({ source: source.url, verdict: 'skipped', detail: `no answer within ${ms} ms, another source was asked`, ms, bytes: 0 });
    }
  }

  function relieve(runner: Runner<T>): void {
    const isLateOne = ({ startMs, budgetMs }: Runner<T>): boolean => clock.monotonicMs() - startMs >= budgetMs * budgetsMax;
    const isSilentToOthers = hedging.isOverdue(runner.source.id) && runner.endOverdue === undefined;
    const isTrial = runner.budgetMs === 0;
    const isLate = isLateOne(runner);
    const mayRelieve = [...running].filter((one) => !isLateOne(one)).length < askedAtOnceMax;
    const isFree = isTrial || isSilentToOthers || isLate;
    runner.endOverdue ??= isTrial ? undefined : hedging.noteOverdue(runner.source.id);
    const isRelieved = mayRelieve && (isFree || hedging.take());
    runner.dueMs = isRelieved || isLate ? undefined : clock.monotonicMs() + runner.budgetMs;
    if (isRelieved) begin(!isFree);
  }
}

function start<T>(
  parts: SourceRaceParts,
  race: SourceRace<T>,
  { source, timeoutMs, isExtra }: { source: Source; timeoutMs: number; isExtra: boolean },
): Runner<T> {
  const { pool, clock, timings } = parts;
  const isTrial = pool.snapshot(source).state === 'half-open';
  const budgetMs = isTrial ? 0 : Math.min(pool.health.firstByteBudgetMs(source.id, 'manifest'), timings.firstByteBudgetMaxMs);
  const startMs = clock.monotonicMs();
  const runner: Runner<T> = {
    source,
    startMs,
    budgetMs,
    isExtra,
    dueMs: startMs + budgetMs,
    endOverdue: undefined,
    ended: race.ask(source, timeoutMs).then(
      (asked) => {
        runner.endOverdue?.();
        return { runner, asked };
      },
      (error: unknown) => {
        runner.endOverdue?.();
        return { runner, error };
      },
    ),
  };
  return runner;
}

/** The first end; `due` when one has been silent for too long and there is another to ask; `over` at the deadline. */
async function firstOf<T>(
  clock: Clock,
  running: ReadonlySet<Runner<T>>,
  { isRelievable, deadlineMs }: { isRelievable: boolean; deadlineMs: number },
): Promise<Awaited<Runner<T>['ended']> | 'due' | 'over'> {
  const dueMs = isRelievable ? [...running].flatMap((runner) => (runner.dueMs === undefined ? [] : [runner.dueMs])) : [];
  const wakeMs = Math.min(deadlineMs + graceMs, ...dueMs);
  const timer = new AbortController();
  const slept = clock.sleep(wakeMs - clock.monotonicMs(), timer.signal).then(
    () => (wakeMs < deadlineMs + graceMs ? ('due' as const) : ('over' as const)),
    () => 'over' as const,
  );
  try {
    return await Promise.race([...[...running].map((runner) => runner.ended), slept]);
  } finally {
    timer.abort();
  }
}

/** Behind the deadline, for a source to say itself that its time is over. */
const graceMs = 200;
