import { describe, expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { createHostGate } from './host-gate.ts';
import { UpstreamError } from './verdict.ts';

const quiet = (): AbortSignal => new AbortController().signal;

test('never more than its places are taken, and waiters come in order', async () => {
  const gate = createHostGate({ places: 2, queueMax: 100, clock: createFakeClock() });
  const order: number[] = [];
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const leave = await gate.enter('a', quiet());
      order.push(index);
      inside++;
      most = Math.max(most, inside);
      for (let turn = 0; turn < index % 5; turn++) await Promise.resolve();
      inside--;
      leave();
      leave();
    }),
  );
  expect(most).toBe(2);
  expect(order).toEqual(Array.from({ length: 50 }, (_, index) => index));
  expect(gate.active('a')).toBe(0);
});

test('one host does not wait for another', async () => {
  const gate = createHostGate({ places: 1, queueMax: 0, clock: createFakeClock() });
  await gate.enter('a', quiet());
  const leave = await gate.enter('b', quiet());
  expect(gate.active('b')).toBe(1);
  leave();
});

test('a full queue and a deadline in the queue are our own fault, not the source’s', async () => {
  const gate = createHostGate({ places: 1, queueMax: 1, clock: createFakeClock() });
  const leave = await gate.enter('a', quiet());
  const deadline = new AbortController();
  const waiting = gate.enter('a', deadline.signal).catch((error: UpstreamError) => error.verdict);
  expect(await gate.enter('a', quiet()).catch((error: UpstreamError) => error.verdict)).toBe('busy');
  deadline.abort(new UpstreamError('timeout', { detail: 'x' }));
  expect(await waiting).toBe('busy');
  leave();
  expect(gate.active('a')).toBe(0);
});

test('a waiter that leaves gives up its turn', async () => {
  const gate = createHostGate({ places: 1, queueMax: 10, clock: createFakeClock() });
  const leave = await gate.enter('a', quiet());
  const leaving = new AbortController();
  const gone = gate.enter('a', leaving.signal).catch((error: UpstreamError) => error.verdict);
  const next = gate.enter('a', quiet());
  leaving.abort(new UpstreamError('aborted', { detail: 'x' }));
  expect(await gone).toBe('aborted');
  leave();
  (await next)();
  expect(gate.active('a')).toBe(0);
});

describe('a host that was slowed down', () => {
  test('rests, turns its waiters away, starts with half the places and gets them back one by one', async () => {
    const clock = createFakeClock();
    const gate = createHostGate({ places: 8, queueMax: 10, clock });
    const leaves = await Promise.all(Array.from({ length: 8 }, () => gate.enter('a', quiet())));
    const waiter = gate.enter('a', quiet()).catch((error: unknown) => error);
    gate.slowDown('a');
    gate.slowDown('a');
    expect(await waiter).toMatchObject({ verdict: 'rate-limited', retryAfterMs: 10_000 });
    expect(await gate.enter('a', quiet()).catch((error: unknown) => error)).toMatchObject({ verdict: 'rate-limited' });
    expect(gate.restMs('b')).toBe(0);
    for (const leave of leaves) leave();
    clock.advance(10_000);
    const free = async (): Promise<number> => {
      const taken: (() => void)[] = [];
      const leaving = new AbortController();
      const entries = Array.from({ length: 10 }, () => gate.enter('a', leaving.signal).then((leave) => taken.push(leave)));
      for (const entry of entries) entry.catch(() => undefined);
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      const count = taken.length;
      leaving.abort(new UpstreamError('aborted', { detail: 'left' }));
      for (const leave of taken) leave();
      return count;
    };
    expect(await free()).toBe(4);
    clock.advance(10_000);
    expect(await free()).toBe(6);
    clock.advance(60_000);
    expect(await free()).toBe(8);
  });

  test('rests twice as long when it says so again soon, two minutes at most', () => {
    const clock = createFakeClock();
    const gate = createHostGate({ places: 8, queueMax: 10, clock });
    const rests: number[] = [];
    for (let count = 0; count < 6; count++) {
      gate.slowDown('a');
      rests.push(gate.restMs('a'));
      clock.advance(gate.restMs('a'));
    }
    expect(rests).toEqual([10_000, 20_000, 40_000, 80_000, 120_000, 120_000]);
  });
});
