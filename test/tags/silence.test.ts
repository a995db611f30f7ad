// The first source takes every connection and says nothing: pulls go on with the next one, and only the first of them waits. faults F3, F5.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type Engine, startEngine } from '../mirror/engine.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { imageOf } from '../mirror/images.ts';

let [asleep, awake, mirror, other]: FakeSource[] = [];
let engine: Engine;
let lone: Engine;
beforeAll(async () => {
  [asleep, awake, mirror, other] = await Promise.all(Array.from({ length: 4 }, startFakeSource));
  if (asleep === undefined || awake === undefined || mirror === undefined || other === undefined) throw new Error('no sources');
  asleep.rule((_, answer) => ({ ...answer, silence: 'stall' }));
  engine = await startEngine({
    sources: [
      { source: asleep, trust: 'authority' },
      { source: awake, trust: 'authority' },
    ],
  });
  lone = await startEngine({
    sources: [
      { source: asleep, trust: 'authority' },
      { source: mirror, trust: 'digest-only' },
      { source: other, trust: 'digest-only' },
    ],
    timings: { witnessPatienceMs: 300 },
  });
}, 60_000);
afterAll(async () => {
  await engine?.stop();
  await lone?.stop();
  for (const source of [asleep, awake, mirror, other]) await source?.stop();
});

test('forty cold tags and their manifests come from the next authority, and the silent one is asked a few times only', async () => {
  const image = imageOf([100]);
  const startMs = performance.now();
  for (let number = 0; number < 40; number++) {
    awake?.add(`library/app${number}`, image, 'v1');
    expect((await engine.manifest(`library/app${number}`, 'v1')).digest as string).toBe(image.manifest.digest);
  }
  // Each of them would have waited for ten seconds.
  expect(performance.now() - startMs).toBeLessThan(20_000);
  expect(asleep?.requests.length ?? 0).toBeLessThan(10);
}, 60_000);

test('two mirrors that agree are believed while the only authority keeps silent about a tag nobody knows', async () => {
  const image = imageOf([100]);
  for (const source of [mirror, other]) source?.add('library/new', image, 'v1');
  const answer = await lone.manifest('library/new', 'v1');
  expect([answer.digest as string, answer.warning]).toEqual([image.manifest.digest, undefined]);
}, 30_000);
