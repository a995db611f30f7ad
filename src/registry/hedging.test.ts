// The credit for extra requests, and which sources are silent.

import { describe, expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { createHedging } from './hedging.ts';

describe('the credit', () => {
  test('is a few at once, then one for twenty requests', () => {
    const hedging = createHedging({ clock: createFakeClock() });
    let taken = 0;
    while (hedging.take()) taken++;
    expect(taken).toBe(5);
    for (let request = 0; request < 1000; request++) {
      hedging.countRequest();
      if (hedging.take()) taken++;
    }
    expect(taken).toBeGreaterThanOrEqual(54);
    expect(taken).toBeLessThanOrEqual(55);
    expect(hedging.counts.started).toBe(taken);
  });

  test('comes back by itself where there are few requests, and is never more than a few', () => {
    const clock = createFakeClock();
    const hedging = createHedging({ clock });
    while (hedging.take());
    clock.advance(59_000);
    expect(hedging.take()).toBe(false);
    clock.advance(2_000);
    expect(hedging.take()).toBe(true);
    expect(hedging.take()).toBe(false);
    clock.advance(3_600_000);
    let taken = 0;
    while (hedging.take()) taken++;
    expect(taken).toBe(5);
  });

  test('that was not needed is given back', () => {
    const hedging = createHedging({ clock: createFakeClock() });
    for (let turn = 0; turn < 20; turn++) {
      expect(hedging.take()).toBe(true);
      hedging.giveBack();
    }
    expect(hedging.counts.started).toBe(0);
  });
});

test('a source is silent until the last of those who wait for it has heard', () => {
  const hedging = createHedging({ clock: createFakeClock() });
  const [first, second] = [hedging.noteOverdue('a'), hedging.noteOverdue('a')];
  expect([hedging.isOverdue('a'), hedging.isOverdue('b')]).toEqual([true, false]);
  first();
  first();
  expect(hedging.isOverdue('a')).toBe(true);
  second();
  expect(hedging.isOverdue('a')).toBe(false);
});
