// The floor of a body's rate, on a clock of its own.

import { expect, test } from 'bun:test';
import { createFakeClock, type FakeClock } from '../lib/clock.ts';
import { measurePace, SlowSource } from './body-pace.ts';
import { mirrorTimings } from './mirror-timings.ts';

/** Pieces of these sizes, each after this time. */
async function* body(clock: FakeClock, pieces: number, sizeBytes: number, everyMs: number): AsyncGenerator<Uint8Array> {
  for (let piece = 0; piece < pieces; piece++) {
    clock.advance(everyMs);
    yield new Uint8Array(sizeBytes);
  }
}

async function take(
  clock: FakeClock,
  source: AsyncIterable<Uint8Array>,
  hasOther: () => boolean,
  readerMs = 0,
): Promise<number | SlowSource> {
  let bytes = 0;
  try {
    for await (const chunk of measurePace(source, { clock, timings: mirrorTimings }, { source: {}, hasBetter: hasOther })) {
      bytes += chunk.byteLength;
      clock.advance(readerMs);
    }
    return bytes;
  } catch (error) {
    if (error instanceof SlowSource) return error;
    throw error;
  }
}

test('a trickle is left after the window, with its rate, once all that came was given on', async () => {
  const clock = createFakeClock();
  const ended = await take(clock, body(clock, 100, 10_000, 1000), () => true);
  if (!(ended instanceof SlowSource)) throw new Error('it was not left');
  expect(ended.verdict).toBe('stalled');
  expect(ended.bytesPerSecond).toBe(10_000);
  expect(clock.monotonicMs()).toBe(10_000);
});

test('the only one is never left, however slow', async () => {
  const clock = createFakeClock();
  expect(await take(clock, body(clock, 100, 10_000, 1000), () => false)).toBe(1_000_000);
});

test('one that is fast enough is not left, also when it was slow for less than the window', async () => {
  const clock = createFakeClock();
  expect(await take(clock, body(clock, 50, 70_000, 1000), () => true)).toBe(3_500_000);
  expect(await take(clock, body(clock, 9, 1, 1000), () => true)).toBe(9);
});

test('the time of a slow reader is not held against the source', async () => {
  const clock = createFakeClock();
  expect(await take(clock, body(clock, 100, 10_000, 10), () => true, 5_000)).toBe(1_000_000);
});
