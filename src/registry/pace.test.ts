import { expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { createPace } from './pace.ts';

const never = new AbortController().signal;

test('all who take share one rate, and time that went by unused is not saved up', async () => {
  const clock = createFakeClock();
  const pace = createPace(1000, clock);
  clock.advance(60_000);
  let done = 0;
  for (const bytes of [500, 500, 1000]) void pace.take(bytes, never).then(() => done++);
  clock.advance(499);
  await Promise.resolve();
  expect(done).toBe(0);
  for (const [advanceMs, expected] of [
    [1, 1],
    [500, 2],
    [999, 2],
    [1, 3],
  ] as const) {
    clock.advance(advanceMs);
    await Bun.sleep(0);
    expect(done).toBe(expected);
  }
});

test('a wait ends with its signal', async () => {
  const stop = new AbortController();
  const waiting = createPace(1, createFakeClock()).take(1000, stop.signal);
  stop.abort(new Error('stopped'));
  await expect(waiting).rejects.toThrow('stopped');
});
