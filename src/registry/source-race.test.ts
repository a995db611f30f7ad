// Who is asked when, on a clock that tests move.

import { expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { createSourceHealth } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import { createHedging, type Hedging } from './hedging.ts';
import { createSourcePool } from './source-pool.ts';
import { raceSources } from './source-race.ts';
import type { Attempt } from './trail.ts';

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

/** Sources by name, each of which says its name, fails, or keeps silent until its time is over. */
function world(
  says: Readonly<Record<string, 'answer' | 'fail' | 'silence'>>,
  shared?: { clock: ReturnType<typeof createFakeClock>; hedging: Hedging },
) {
  const clock = shared?.clock ?? createFakeClock();
  const hedging = shared?.hedging ?? createHedging({ clock });
  const sources = Object.keys(says).map(
    (id, priority): Source => ({ id, registry: 'r', url: `http://${id}.test`, trust: 'authority', priority, realms: [] }),
  );
  const pool = createSourcePool({ sources: new Map([['r', sources]]), health: createSourceHealth({ clock }), clock });
  const begun: string[] = [];
  const lost: Attempt[] = [];
  const run = (deadlineMs = 10_000) =>
    raceSources<string>(
      { pool, hedging, clock, timings: { firstByteBudgetMaxMs: 900 } },
      {
        sources,
        deadlineMs: clock.monotonicMs() + deadlineMs,
        ask: (source, timeoutMs) => {
          begun.push(source.id);
          return pool.ask(source, {
            repository: 'x',
            run: async () => {
              if (says[source.id] === 'answer') return source.id;
              if (says[source.id] === 'silence') await clock.sleep(timeoutMs);
              throw new UpstreamError(says[source.id] === 'silence' ? 'timeout' : 'server-error', { detail: 'scripted' });
            },
          });
        },
        isLast: (asked) => 'value' in asked,
        onLost: (attempt) => lost.push(attempt),
      },
    );
  return { clock, hedging, begun, lost, run };
}
const winnerOf = async (race: ReturnType<ReturnType<typeof world>['run']>): Promise<string | undefined> => (await race)?.source.id;

test('the best one that answers is the only one asked', async () => {
  const { run, begun, hedging } = world({ a: 'answer', b: 'answer' });
  expect(await winnerOf(run())).toBe('a');
  expect([begun, hedging.counts.started]).toEqual([['a'], 0]);
});

test('a failure brings the next one without a wait', async () => {
  const { run, begun, hedging } = world({ a: 'fail', b: 'fail', c: 'answer' });
  expect(await winnerOf(run())).toBe('c');
  expect([begun, hedging.counts.started]).toEqual([['a', 'b', 'c'], 0]);
});

test('silence brings the next one beside it after the budget, and is overdue until it ends', async () => {
  const { run, begun, lost, clock, hedging } = world({ a: 'silence', b: 'answer' });
  const race = winnerOf(run());
  await settle();
  clock.advance(899);
  await settle();
  expect(begun).toEqual(['a']);
  clock.advance(1);
  expect(await race).toBe('b');
  expect([hedging.counts.started, hedging.counts.won, hedging.isOverdue('a')]).toEqual([1, 1, true]);
  expect(lost).toMatchObject([
    { source: 'http://a.test', verdict: 'skipped', detail: 'no answer within 900 ms, another source was asked' },
  ]);
  // The next pull does not wait for it.
  const second = world({ a: 'silence', b: 'answer' }, { clock, hedging });
  expect(await winnerOf(second.run())).toBe('b');
  expect(second.begun).toEqual(['b']);
  clock.advance(10_000);
  await settle();
  expect(hedging.isOverdue('a')).toBe(false);
});

test('without credit for extra load silence is a failure after three budgets', async () => {
  const { run, begun, clock, hedging } = world({ a: 'silence', b: 'answer' });
  while (hedging.take());
  const race = winnerOf(run());
  await settle();
  for (let times = 0; times < 2; times++) {
    clock.advance(900);
    await settle();
  }
  expect(begun).toEqual(['a']);
  clock.advance(900);
  expect(await race).toBe('b');
});

test('any number of silent ones before an honest one cost less than the deadline', async () => {
  const { run, clock, begun } = world({ a: 'silence', b: 'silence', c: 'silence', d: 'silence', e: 'silence', f: 'answer' });
  let winner: string | undefined;
  const race = winnerOf(run()).then((found) => {
    winner = found;
  });
  for (let spentMs = 0; spentMs < 9_000 && winner === undefined; spentMs += 100) {
    await settle();
    clock.advance(100);
  }
  await race;
  expect([winner, begun.length]).toEqual(['f', 6]);
});

test('when all fail, and when the time is over, there is no winner', async () => {
  expect(await winnerOf(world({ a: 'fail', b: 'fail' }).run())).toBeUndefined();
  const { run, clock } = world({ a: 'silence' });
  const race = winnerOf(run(500));
  await settle();
  clock.advance(700);
  expect(await race).toBeUndefined();
});
