import { describe, expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { createPace } from './pace.ts';
import type { Source } from './source.ts';
import { UpstreamError } from './verdict.ts';

const never = new AbortController().signal;
const source = (limits: Source['limits']): Source => ({
  id: 's',
  registry: 'r',
  url: 'https://r.example',
  trust: 'digest-only',
  priority: 1,
  realms: [],
  ...(limits === undefined ? {} : { limits }),
});

describe('requests per minute', () => {
  test('come in a small burst, then evenly, and who would wait long is told so at once', async () => {
    const clock = createFakeClock();
    const pace = createPace({ clock });
    const slow = source({ requestsPerMinute: 60 });
    const done: number[] = [];
    const failures: string[] = [];
    for (let count = 0; count < 20; count++)
      pace.takeRequest(slow, never).then(
        () => done.push(clock.monotonicMs()),
        (error: unknown) => failures.push(error instanceof UpstreamError ? error.verdict : 'other'),
      );
    for (let step = 0; step < 10; step++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      clock.advance(1_000);
    }
    // A sixth of a minute's at once, five more within the five seconds one may wait.
    expect(done.filter((atMs) => atMs <= 1_000).length).toBeGreaterThanOrEqual(10);
    expect(done).toHaveLength(15);
    expect(new Set(failures)).toEqual(new Set(['busy']));
  });

  test('never let through more than the limit and the burst in any minute', async () => {
    const clock = createFakeClock();
    const pace = createPace({ clock });
    const slow = source({ requestsPerMinute: 30 });
    let passed = 0;
    for (let second = 0; second < 600; second++) {
      for (let count = 0; count < 3; count++)
        pace.takeRequest(slow, never).then(
          () => passed++,
          () => undefined,
        );
      await new Promise<void>((resolve) => setImmediate(resolve));
      clock.advance(1_000);
    }
    expect(passed).toBeGreaterThan(280);
    expect(passed).toBeLessThanOrEqual(10 * 30 + 5 + 3);
  });

  test('do not wait without a limit, and leave with the caller', async () => {
    const pace = createPace({ clock: createFakeClock() });
    for (let count = 0; count < 1_000; count++) await pace.takeRequest(source(undefined), never);
    const leaving = new AbortController();
    const one = source({ requestsPerMinute: 60 });
    for (let count = 0; count < 10; count++) await pace.takeRequest(one, never);
    const waiting = pace.takeRequest(one, leaving.signal);
    leaving.abort(new Error('left'));
    expect(await waiting.catch((error: Error) => error.message)).toBe('left');
    const hurried = new AbortController();
    const late = pace.takeRequest(one, hurried.signal);
    hurried.abort(new UpstreamError('timeout', { detail: 'no answer in time' }));
    expect(await late.catch((error: unknown) => error)).toMatchObject({ verdict: 'busy' });
  });
});

test('bytes of all bodies together keep the rate', async () => {
  const clock = createFakeClock();
  const pace = createPace({ clock });
  const slow = source({ bytesPerSecond: 1_000 });
  let received = 0;
  let isOver = false;
  const body = async (): Promise<void> => {
    while (!isOver) {
      await pace.takeBytes(slow, 100, never);
      received += 100;
    }
  };
  const bodies = [body(), body(), body()];
  for (let step = 0; step < 100; step++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    clock.advance(100);
  }
  expect(received).toBeWithin(9_000, 10_600);
  isOver = true;
  clock.advance(10_000);
  await Promise.all(bodies);
});
