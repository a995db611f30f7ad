// Sources that die while many pull: k of n, the authority among them, at random moments; one that sleeps beside one
// that is awake; the first of two. Counted: failed pulls. Measured, with wide bounds, and printed: what it costs.

import { afterEach, expect, test } from 'bun:test';
import fc from 'fast-check';
import { type FakeSource, on, stall, startFakeSource } from '../mirror/fake-source.ts';
import { pull, startServer } from '../mirror/harness.ts';
import { type Content, imageOf } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { count } from '../support/requirements.ts';
import { layerOf, requireExact, type Trust, timed } from './row.ts';

const rounds = count({ quick: 2, full: 20, env: 'BREAKWATER_KILL_ROUNDS' });
const seed = Number(process.env['BREAKWATER_SEED'] ?? Math.floor(Math.random() * 1_000_000));
const concurrentPulls = 200;
const sleepBatches = count({ quick: 50, full: 500 });
const sourceTrusts: readonly Trust[] = ['authority', 'digest-only', 'authority', 'digest-only', 'authority'];

const running: { server: RunningBreakwater; sources: readonly FakeSource[] }[] = [];
afterEach(async () => {
  for (const { server, sources } of running.splice(0)) {
    await server.stop();
    for (const source of sources) await source.stop();
  }
});

async function start(trusts: readonly Trust[]): Promise<{ server: RunningBreakwater; sources: readonly FakeSource[] }> {
  const sources = await Promise.all(trusts.map(() => startFakeSource({ drainMs: 5 })));
  const registries = { 'kill.test': sources.map((source, place) => ({ source, trust: trusts[place] ?? ('authority' as const) })) };
  const one = { server: await startServer({ registries }), sources };
  running.push(one);
  return one;
}

const path = (rest: string): string => `/v2/kill.test/library/app/${rest}`;

interface PulledImage {
  readonly failed: readonly string[];
  readonly tookMs: readonly number[];
}

/** Pulls of new images, all at once: a tag, its manifest by digest, its layer. */
async function pullAll(server: RunningBreakwater, sources: readonly FakeSource[], pulls: number, layerBytes: number): Promise<PulledImage> {
  const failed: string[] = [];
  const tookMs: number[] = [];
  await Promise.all(
    Array.from({ length: pulls }, async () => {
      const image = imageOf([layerBytes]);
      const tag = image.manifest.digest.slice(7, 19);
      for (const source of sources) source.add('library/app', image, tag);
      const pullOne = async (): Promise<void> => {
        await pullExact(server, `manifests/${tag}`, image.manifest);
        await pullExact(server, `manifests/${image.manifest.digest}`, image.manifest);
        await pullExact(server, `blobs/${layerOf(image).digest}`, layerOf(image));
      };
      const [, took] = await timed(() => pullOne().catch((error) => failed.push(String(error))));
      tookMs.push(took);
    }),
  );
  return { failed, tookMs: tookMs.sort((one, other) => one - other) };
}

function pullExact(server: RunningBreakwater, rest: string, content: Content): Promise<void> {
  return requireExact(pull(server, path(rest)), content);
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

test(`k of ${sourceTrusts.length} sources killed at random under ${concurrentPulls} pulls: none fails (seed ${seed})`, async () => {
  for (let round = 0; round < rounds; round++) {
    const { server, sources } = await start(sourceTrusts);
    // The first authority and up to three others; one authority or mirror always stays.
    const [plan] = fc.sample(
      fc.record({
        others: fc.shuffledSubarray([1, 2, 3, 4], { minLength: 1, maxLength: 3 }),
        atMs: fc.array(fc.nat(400), { minLength: 4, maxLength: 4 }),
      }),
      { numRuns: 1, seed: seed + round },
    );
    const killed = [0, ...(plan?.others ?? [])];
    const pulls = pullAll(server, sources, concurrentPulls, 60_000);
    await Promise.all(
      killed.map(async (place, order) => {
        await Bun.sleep(plan?.atMs[order] ?? 0);
        await sources[place]?.down();
      }),
    );
    const { failed, tookMs } = await pulls;
    console.log(
      `killed ${killed.length} of ${sources.length}: ${failed.length} failed, p50 ${at(tookMs, 0.5).toFixed(0)} ms, p99 ${at(tookMs, 0.99).toFixed(0)} ms`,
    );
    expect(failed).toEqual([]);
    await server.stop();
  }
}, 600_000);

test('one source that sleeps: p99 stays near that of a pool without it', async () => {
  const figures: Record<string, number> = {};
  for (const state of ['awake', 'asleep'] as const) {
    const { server, sources } = await start(['authority', 'authority']);
    await pullAll(server, sources, 20, 20_000);
    if (state === 'asleep') sources[0]?.rule(on('*', stall));
    const tookMs: number[] = [];
    for (let batch = 0; batch < sleepBatches; batch++) {
      const { failed, tookMs: batchMs } = await pullAll(server, sources, 4, 20_000);
      expect(failed).toEqual([]);
      tookMs.push(...batchMs);
    }
    // The first four learn of it.
    figures[state] = at(
      tookMs.sort((one, other) => one - other),
      0.95,
    );
    figures[`${state}-p99`] = at(tookMs, 0.99);
    figures[`${state}-max`] = at(tookMs, 1);
  }
  console.log(`asleep: ${JSON.stringify(figures)}`);
  expect(figures['asleep'] ?? 0).toBeLessThan((figures['awake'] ?? 0) * 3 + 600);
  expect(figures['asleep-max'] ?? 0).toBeLessThan((figures['awake-max'] ?? 0) + 5000);
}, 120_000);

test('the first source killed: the next pull is little slower, the ones after not at all', async () => {
  const { server, sources } = await start(['authority', 'authority']);
  const one = async (): Promise<number> => {
    const { failed, tookMs } = await pullAll(server, sources, 1, 20_000);
    expect(failed).toEqual([]);
    return tookMs[0] ?? 0;
  };
  for (let warm = 0; warm < 5; warm++) await one();
  const before = await one();
  await sources[0]?.down();
  const next = await one();
  const later = [await one(), await one(), await one()];
  console.log(
    `killed first: before ${before.toFixed(0)} ms, next ${next.toFixed(0)} ms, later ${later.map((ms) => ms.toFixed(0)).join(', ')} ms`,
  );
  expect(next).toBeLessThan(before + 3000);
  for (const ms of later) expect(ms).toBeLessThan(before + 1500);
}, 60_000);
