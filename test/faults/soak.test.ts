// Thousands of pulls through a pool of which all sources but the last misbehave at random, against a real server: no wrong byte is delivered or
// stored, and the server's memory stays flat. 20,000 pulls in the long run.
//
//   BREAKWATER_SOAK_PULLS=20000 bun test test/faults/soak.test.ts

import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { pullUntilCut, startServer } from '../mirror/harness.ts';
import { type Content, type Image, imageOf } from '../mirror/images.ts';
import { auditStore } from '../mirror/stored.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { count } from '../support/requirements.ts';
import { layerOf, type Trust } from './row.ts';
import { obey, type SourceScript, soakSources } from './script.ts';

const pulls = count({ quick: 500, full: 20_000, env: 'BREAKWATER_SOAK_PULLS' });
const seed = Number(process.env['BREAKWATER_SEED'] ?? Math.floor(Math.random() * 1_000_000));
const clients = 16;
/** Pulls before memory is measured: caches fill up. */
const settlePulls = 2000;
const sampleEvery = 50;
/** The least of so many pulls is what is not given back: fills under way and the allocator's reserves come and go. */
const windowPulls = 1000;
/** Every this many images the sources get other faults. */
const scriptEvery = 25;
const largeEvery = 100;
const slopeMaxBytes = 1_000_000;
const trusts: readonly Trust[] = ['authority', 'digest-only', 'authority', 'digest-only'];

interface Sample {
  readonly pulls: number;
  readonly rssBytes: number;
}

test(
  `${pulls} pulls through faults: nothing wrong is delivered or stored, memory is flat (seed ${seed})`,
  async () => {
    const sources = await Promise.all(trusts.map(() => startFakeSource({ drainMs: 5 })));
    const registries = { 'soak.test': sources.map((source, place) => ({ source, trust: trusts[place] ?? ('digest-only' as const) })) };
    const server = await startServer({ registries });
    try {
      const samples: Sample[] = [];
      const done = { pulls: 0, whole: 0, wrong: 0 };
      const scripts = fc.sample(soakSources(trusts.length - 1), { numRuns: Math.ceil(pulls / scriptEvery) + 1, seed });
      const work = async (): Promise<void> => {
        for (;;) {
          const turn = done.pulls++;
          if (turn >= pulls) return;
          const image = imageOf([turn % largeEvery === 0 ? 9 * 1024 * 1024 : 20_000]);
          if (turn % scriptEvery === 0) setScripts(sources, scripts[turn / scriptEvery] ?? []);
          for (const source of sources) source.add('library/app', image);
          await pullOnce(server, image, done);
          for (const source of sources) source.forget('library/app', image);
          if (turn % sampleEvery === 0) samples.push({ pulls: turn, rssBytes: rssOf(server.pid) });
        }
      };
      await Promise.all(Array.from({ length: clients }, work));
      const settled = samples.filter((sample) => sample.pulls >= settlePulls);
      const slope = slopeOf(floorsOf(settled));
      const [first, last] = [samples[0], samples.at(-1)];
      console.log(
        `soak: ${pulls} pulls, ${done.whole} whole, ${done.wrong} wrong, rss ${mebibytes(first?.rssBytes)} -> ${mebibytes(last?.rssBytes)} MiB, ` +
          `slope of its floor ${describeSlope(slope)}, of all samples ${describeSlope(slopeOf(settled))}, seed ${seed}`,
      );
      expect(done.wrong).toBe(0);
      expect(done.whole).toBeGreaterThan(pulls * 0.8);
      auditStore(server.dataDir);
      if (slope !== undefined) expect(slope).toBeLessThan(slopeMaxBytes);
    } finally {
      await server.stop();
      for (const source of sources) await source.stop();
    }
  },
  4 * 3_600_000,
);

function setScripts(sources: readonly FakeSource[], scripts: readonly SourceScript[]): void {
  for (const [place, source] of sources.entries()) {
    source.clearRules();
    const script = scripts[place];
    if (script !== undefined) obey(source, script, { isOn: () => true, wholeOf: () => undefined });
  }
}

/** A manifest, then its layer; what ends well has to be exact. */
async function pullOnce(server: RunningBreakwater, image: Image, done: { whole: number; wrong: number }): Promise<void> {
  const parts: readonly (readonly [kind: string, content: Content])[] = [
    ['manifests', image.manifest],
    ['blobs', layerOf(image)],
  ];
  for (const [kind, content] of parts) {
    const answer = await pullUntilCut(server, `/v2/soak.test/library/app/${kind}/${content.digest}`);
    if (answer.status !== 200) return;
    const isExact = answer.bytes.equals(content.bytes);
    if (!isExact && (answer.isWhole || answer.bytes.length >= content.bytes.length)) done.wrong++;
    if (!answer.isWhole) return;
  }
  done.whole++;
}

function rssOf(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  return pages * 4096;
}

/** The least sample of each window. */
function floorsOf(samples: readonly Sample[]): Sample[] {
  const floors = new Map<number, Sample>();
  for (const sample of samples) {
    const window = Math.floor(sample.pulls / windowPulls);
    const known = floors.get(window);
    if (known === undefined || sample.rssBytes < known.rssBytes) floors.set(window, sample);
  }
  return [...floors.values()];
}

function describeSlope(slope: number | undefined): string {
  return slope === undefined ? 'not measured' : `${(slope / 1_000_000).toFixed(2)} MB per 1,000 pulls`;
}

/** Least squares, in bytes per 1,000 pulls; undefined for fewer than eight samples. */
function slopeOf(samples: readonly Sample[]): number | undefined {
  if (samples.length < 8) return undefined;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(samples.map((sample) => sample.pulls)), mean(samples.map((sample) => sample.rssBytes))];
  const above = samples.reduce((sum, sample) => sum + (sample.pulls - x) * (sample.rssBytes - y), 0);
  const below = samples.reduce((sum, sample) => sum + (sample.pulls - x) ** 2, 0);
  return (above / below) * 1000;
}

function mebibytes(bytes: number | undefined): string {
  return ((bytes ?? 0) / 1024 / 1024).toFixed(0);
}
