// Rows that need time compressed, names that resolve as told, or a disk that fails: the mirror engine in this process, with sources that
// end with it.

import { expect } from 'bun:test';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { bytesOf, type Engine, startEngine } from '../mirror/engine.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { digestOf, type Image } from '../mirror/images.ts';

const shortWaits = { firstByteTimeoutMs: 400, idleTimeoutMs: 400, manifestTimeoutMs: 400, listingTimeoutMs: 400 };

/** Runs with an engine and its sources, which end with it. */
export async function withEngine(
  setting: Omit<Parameters<typeof startEngine>[0], 'sources'> & {
    readonly sources: readonly (Omit<Parameters<typeof startEngine>[0]['sources'][number], 'source'> & { readonly source?: FakeSource })[];
  },
  run: (engine: Engine, sources: readonly FakeSource[]) => Promise<void>,
): Promise<void> {
  const list = await Promise.all(setting.sources.map(async (one) => ({ ...one, source: one.source ?? (await startFakeSource()) })));
  const engine = await startEngine({ timings: shortWaits, ...setting, sources: list });
  try {
    await run(
      engine,
      list.map(({ source }) => source),
    );
  } finally {
    await engine.stop();
    for (const { source } of list) await source.stop();
  }
}

/** A manifest by digest and its layers: all must be exact. */
export async function pullWhole(engine: Engine, image: Image): Promise<void> {
  expect(digestOf((await engine.manifest('app', image.manifest.digest)).bytes)).toBe(image.manifest.digest);
  for (const layer of image.layers) expect(digestOf(await bytesOf(await engine.blob('app', layer.digest)))).toBe(layer.digest);
}

/** Names that resolve; others do not exist. */
export function resolverOf(names: Readonly<Record<string, string>>): {
  resolve: (host: string) => Promise<readonly string[]>;
  asked: string[];
} {
  const asked: string[] = [];
  return {
    asked,
    resolve: async (host) => {
      asked.push(host);
      const found = names[host];
      if (found === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
      return [found];
    },
  };
}

/** The system's clock, which a test may put forward. */
export function createSkippingClock(): Clock & { skip(durationMs: number): void } {
  let skippedMs = 0;
  return {
    nowMs: () => systemClock.nowMs() + skippedMs,
    monotonicMs: () => systemClock.monotonicMs() + skippedMs,
    sleep: systemClock.sleep,
    skip: (durationMs) => {
      skippedMs += durationMs;
    },
  };
}
