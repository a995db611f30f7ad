import { expect, test } from 'bun:test';
import { createHostGate } from './host-gate.ts';
import { UpstreamError } from './verdict.ts';

const quiet = (): AbortSignal => new AbortController().signal;

test('never more than its places are taken, and waiters come in order', async () => {
  const gate = createHostGate({ places: 2, queueMax: 100 });
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
  const gate = createHostGate({ places: 1, queueMax: 0 });
  await gate.enter('a', quiet());
  const leave = await gate.enter('b', quiet());
  expect(gate.active('b')).toBe(1);
  leave();
});

test('a full queue and a deadline in the queue are our own fault, not the source’s', async () => {
  const gate = createHostGate({ places: 1, queueMax: 1 });
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
  const gate = createHostGate({ places: 1, queueMax: 10 });
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
