import { expect, test } from 'bun:test';
import type { Database } from '../db/database.ts';
import { createFakeClock } from '../lib/clock.ts';
import { createLog } from '../lib/log.ts';
import { createHistory } from './history.ts';

const minute = 60_000;

/** A database that keeps what is written, and of which nothing is read. */
function world(fail = false) {
  const clock = createFakeClock(1_700_000_000_000 - (1_700_000_000_000 % 3_600_000));
  const written: { readonly source: string; readonly atMs: number; readonly requests: number }[] = [];
  const empty = { executeTakeFirst: async () => undefined, execute: async () => [] };
  const builder: unknown = new Proxy(empty, { get: (target, name) => (name in target ? Reflect.get(target, name) : () => builder) });
  const database = {
    read: { selectFrom: () => builder } as unknown as Database['read'],
    run: async (_name: string, args: { activities: typeof written }) => {
      if (fail) throw new Error('disk full');
      written.push(...args.activities);
    },
  } as unknown as Database;
  const logs: string[] = [];
  return { clock, written, logs, history: createHistory({ database, clock, log: createLog({ write: (line) => void logs.push(line) }) }) };
}

test('what is not yet written is in what is read, by the minute it happened in', async () => {
  const { clock, history } = world();
  for (const ms of [20, 20, 20, 900]) history.note('s', { verdict: 'ok', ms, bytes: 10 });
  clock.advance(minute);
  history.note('s', { verdict: 'timeout', ms: 5_000 });
  history.note('other', { verdict: 'ok', ms: 1 });
  const { buckets, total } = await history.read('s', '24h');
  expect(buckets).toHaveLength(2);
  expect(buckets[0]).toMatchObject({ requests: 4, ok: 4, okShare: 1, p50Ms: 20, p95Ms: 1_000, bytes: 40, verdicts: {} });
  expect(buckets[1]).toMatchObject({ requests: 1, ok: 0, okShare: 0, verdicts: { timeout: 1 } });
  expect(total).toMatchObject({ requests: 5, ok: 4, okShare: 0.8 });
});

test('an hour sums its minutes', async () => {
  const { clock, history } = world();
  for (let count = 0; count < 59; count++) {
    history.note('s', { verdict: 'ok', ms: 20 });
    clock.advance(minute);
  }
  expect((await history.read('s', '90d')).buckets).toMatchObject([{ requests: 59, ok: 59 }]);
});

test('"not here" and "not for you" are answers; a caller that left is no request', async () => {
  const { history } = world();
  for (const verdict of ['not-found', 'denied', 'aborted', 'busy', 'server-error', 'rate-limited'] as const)
    history.note('s', { verdict, ms: 1 });
  expect((await history.read('s', '24h')).total).toMatchObject({ requests: 4, ok: 2 });
});

test('each outcome is written once, and none while there is nothing', async () => {
  const { history, written } = world();
  history.note('s', { verdict: 'ok', ms: 1 });
  await history.flush();
  await history.flush();
  await history.stop();
  expect(written.map(({ source, requests }) => ({ source, requests }))).toEqual([{ source: 's', requests: 1 }]);
});

test('a write that fails is logged and stops nothing', async () => {
  const { history, logs } = world(true);
  history.note('s', { verdict: 'ok', ms: 1 });
  await history.flush();
  expect(logs.join('')).toContain('history.write-failed');
});

test('availability counts what is not yet written too, and is absent for what was never asked', async () => {
  const { history } = world();
  history.note('s', { verdict: 'ok', ms: 1 });
  history.note('s', { verdict: 'timeout', ms: 1 });
  expect(await history.availability('s')).toEqual({ day: 0.5, quarter: 0.5 });
  expect(await history.availability('never')).toEqual({});
});
