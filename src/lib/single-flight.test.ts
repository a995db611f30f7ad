import { expect, test } from 'bun:test';
import { createSingleFlight } from './single-flight.ts';

function createGate<T>() {
  let open: (value: T) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open: (value: T) => open(value), fail: (error: Error) => fail(error) };
}

test('callers of one key share one task and its result', async () => {
  const flights = createSingleFlight<number>();
  const gate = createGate<number>();
  let starts = 0;
  const run = () =>
    flights.run('a', () => {
      starts++;
      return gate.promise;
    });
  const all = [run(), run(), run()];
  gate.open(7);
  expect(await Promise.all(all)).toEqual([7, 7, 7]);
  expect(starts).toBe(1);
});

test('other keys run their own tasks, also names that Object inherits', async () => {
  const flights = createSingleFlight<string>();
  const keys = ['a', 'b', '__proto__', 'constructor'];
  expect(await Promise.all(keys.map((key) => flights.run(key, async () => key)))).toEqual(keys);
});

test('the key is free again after a result, and the next caller starts anew', async () => {
  const flights = createSingleFlight<number>();
  expect(await flights.run('a', async () => 1)).toBe(1);
  expect(await flights.run('a', async () => 2)).toBe(2);
});

test('a failure reaches every caller and is not kept', async () => {
  const flights = createSingleFlight<number>();
  const gate = createGate<number>();
  const all = [flights.run('a', () => gate.promise), flights.run('a', () => gate.promise)];
  gate.fail(new Error('down'));
  const results = await Promise.allSettled(all);
  expect(results.map((result) => (result.status === 'rejected' ? String(result.reason) : 'fulfilled'))).toEqual([
    'Error: down',
    'Error: down',
  ]);
  expect(await flights.run('a', async () => 3)).toBe(3);
});

test('a task that throws before its first await gives a rejection and leaves the key free', async () => {
  const flights = createSingleFlight<number>();
  const flight = flights.run('a', () => {
    throw new Error('at once');
  });
  await expect(flight).rejects.toThrow('at once');
  expect(await flights.run('a', async () => 4)).toBe(4);
});

test('the task starts before run returns', () => {
  const flights = createSingleFlight<number>();
  let hasStarted = false;
  const flight = flights.run('a', async () => {
    hasStarted = true;
    return 1;
  });
  expect(hasStarted).toBe(true);
  return flight;
});
