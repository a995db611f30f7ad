import { describe, expect, test } from 'bun:test';
import { createFakeClock, systemClock } from './clock.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('createFakeClock', () => {
  test('stands still until it is advanced', () => {
    const clock = createFakeClock(1000);
    expect([clock.nowMs(), clock.monotonicMs()]).toEqual([1000, 0]);
    clock.advance(250);
    expect([clock.nowMs(), clock.monotonicMs()]).toEqual([1250, 250]);
  });

  test('wakes the sleepers that are due, the earliest first, whoever lay down first', async () => {
    const clock = createFakeClock();
    const woken: number[] = [];
    for (const durationMs of [300, 100, 200, 100, 400]) void clock.sleep(durationMs).then(() => woken.push(durationMs));
    clock.advance(99);
    await settle();
    expect(woken).toEqual([]);
    clock.advance(1);
    await settle();
    expect(woken).toEqual([100, 100]);
    clock.advance(200);
    await settle();
    expect(woken).toEqual([100, 100, 200, 300]);
    clock.advance(1000);
    await settle();
    expect(woken).toEqual([100, 100, 200, 300, 400]);
  });

  test('a sleep of nothing is over at once', async () => {
    const clock = createFakeClock();
    await clock.sleep(0);
    await clock.sleep(-5);
    expect(clock.monotonicMs()).toBe(0);
  });

  test('an abort wakes a sleeper with its reason, and time no longer concerns it', async () => {
    const clock = createFakeClock();
    const controller = new AbortController();
    const sleeping = clock.sleep(100, controller.signal);
    const reason = new Error('stop');
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    clock.advance(1000);
    await expect(clock.sleep(100, controller.signal)).rejects.toBe(reason);
  });

  test('an abort after waking changes nothing', async () => {
    const clock = createFakeClock();
    const controller = new AbortController();
    const sleeping = clock.sleep(100, controller.signal);
    clock.advance(100);
    controller.abort();
    await sleeping;
  });
});

describe('systemClock', () => {
  test('tells the time of the system, and a time that only grows', () => {
    const beforeMs = Date.now();
    const nowMs = systemClock.nowMs();
    expect(nowMs).toBeGreaterThanOrEqual(beforeMs);
    expect(nowMs).toBeLessThanOrEqual(Date.now());
    const first = systemClock.monotonicMs();
    expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(first);
  });

  test('sleeps as long as it is asked to', async () => {
    const startedMs = performance.now();
    await systemClock.sleep(5);
    expect(performance.now() - startedMs).toBeGreaterThan(3.5);
    await systemClock.sleep(0);
    await systemClock.sleep(-1);
  });

  test('an abort ends a sleep with its reason, before it and during it', async () => {
    const reason = new Error('stop');
    await expect(systemClock.sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const sleeping = systemClock.sleep(60_000, controller.signal);
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
  });

  test('a sleep longer than a timer can hold does not end at once', async () => {
    const controller = new AbortController();
    let hasEnded = false;
    const sleeping = systemClock.sleep(2 ** 40, controller.signal).then(
      () => {
        hasEnded = true;
      },
      () => undefined,
    );
    await systemClock.sleep(5);
    expect(hasEnded).toBe(false);
    controller.abort();
    await sleeping;
  });
});
