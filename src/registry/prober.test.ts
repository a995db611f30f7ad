import { expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { createLog } from '../lib/log.ts';
import { createSourceHealth } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { createProber } from './prober.ts';
import type { ProbeDepth, ProbeReport, ProbeState } from './probes.ts';
import { createSourcePool } from './source-pool.ts';

const second = 1_000;
const minute = 60 * second;

function world(options: { limits?: Source['limits']; isEnabled?: boolean } = {}) {
  const clock = createFakeClock();
  const health = createSourceHealth({ clock });
  const source: Source = {
    id: 'docker.io a',
    registry: 'docker.io',
    url: 'https://a.test',
    trust: 'digest-only',
    priority: 1,
    realms: [],
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  };
  const probed: { readonly atMs: number; readonly depth: ProbeDepth }[] = [];
  let state: ProbeState = 'up';
  const prober = createProber({
    probes: {
      probe: async (of, { depth = 'deep' } = {}): Promise<ProbeReport> => {
        probed.push({ atMs: clock.monotonicMs(), depth });
        if (state === 'up' && depth === 'deep') health.report(of.id, { verdict: 'ok', ms: 1, isProbe: true });
        return { sourceId: of.id, atMs: clock.nowMs(), depth, state, steps: [], ms: 1, summary: state };
      },
    },
    pool: createSourcePool({ sources: new Map([['docker.io', [source]]]), health, clock }),
    config: { isEnabled: options.isEnabled ?? true, intervalMs: minute, deepIntervalMs: 10 * minute, canaries: new Map() },
    clock,
    log: createLog({ write: () => undefined }),
    random: () => 0.5,
  });
  const report = (verdict: 'ok' | 'refused' | 'rate-limited'): void => {
    health.report(source.id, { verdict, ms: 1 });
    prober.note(source.id, { verdict, ms: 1 });
  };
  return {
    clock,
    probed,
    prober,
    source,
    report,
    health,
    setState: (next: ProbeState) => {
      state = next;
    },
    /** Second by second, with a pull at every `pullEveryMs`. */
    run: async (durationMs: number, pullEveryMs?: number, verdict: 'ok' | 'refused' = 'ok') => {
      for (let passedMs = 0; passedMs < durationMs; passedMs += second) {
        clock.advance(second);
        if (pullEveryMs !== undefined && passedMs % pullEveryMs === 0) report(verdict);
        await prober.tick();
      }
    },
  };
}

test('a source is looked at in full soon after the start, then at every interval', async () => {
  const { probed, run, prober, source } = world();
  await run(2 * minute);
  expect(probed.map((one) => one.depth)).toContain('deep');
  expect(prober.latest(source.id)?.report.state).toBe('up');
});

test('pulls that a source answers well count as looks', async () => {
  const { probed, run } = world();
  await run(2 * minute, 5 * second);
  probed.length = 0;
  await run(8 * minute, 5 * second);
  expect(probed.filter((one) => one.depth === 'light')).toEqual([]);
});

test('without pulls the interval becomes longer, up to half an hour', async () => {
  const { probed, run } = world();
  await run(10 * minute);
  const first = probed.length;
  probed.length = 0;
  await run(3 * 60 * minute);
  const late = probed.filter((one) => one.atMs > 100 * minute);
  expect(first).toBeGreaterThanOrEqual(8);
  // 90 minutes at one light and one deep look per half hour.
  expect(late.length).toBeLessThanOrEqual(8);
  expect(late.length).toBeGreaterThanOrEqual(3);
});

test('a source that recovered is found within two intervals although its breaker rests for minutes', async () => {
  const { run, report, setState, health, source } = world();
  setState('down');
  for (let failures = 0; failures < 8; failures++) {
    report('refused');
    await run(30 * second, 10 * second, 'refused');
  }
  expect(health.snapshot(source.id).state).not.toBe('up');
  setState('up');
  // Other sources serve the pulls meanwhile.
  await run(2 * minute + 20 * second);
  expect(health.snapshot(source.id).state).toBe('up');
});

test('a source that asked to wait is not probed until it may be asked again', async () => {
  const { probed, run, report, clock } = world();
  await run(2 * minute);
  probed.length = 0;
  report('rate-limited');
  const sinceMs = clock.monotonicMs();
  await run(50 * second);
  expect(probed).toEqual([]);
  await run(3 * minute);
  expect(probed.length).toBeGreaterThanOrEqual(1);
  expect((probed[0]?.atMs ?? 0) - sinceMs).toBeGreaterThanOrEqual(60 * second);
});

test('probes take at most a tenth of what a source allows', async () => {
  const { probed, run } = world({ limits: { requestsPerMinute: 10 } });
  await run(60 * minute, minute);
  const requests = probed.reduce((sum, one) => sum + (one.depth === 'deep' ? 6 : 1), 0);
  // 600 requests are allowed in an hour; the jitter and the first looks are the margin.
  expect(requests).toBeLessThanOrEqual(75);
});

test('a light look keeps what a deep one found, and the time since when', async () => {
  const { prober, source, setState, clock } = world();
  setState('whitelist');
  await prober.probe(source);
  const since = prober.latest(source.id)?.sinceMs;
  clock.advance(minute);
  setState('up');
  await prober.probe(source, 'light');
  expect(prober.latest(source.id)).toMatchObject({ sinceMs: since, report: { state: 'whitelist' } });
  await prober.probe(source, 'deep');
  expect(prober.latest(source.id)?.report.state).toBe('up');
  expect(prober.latest(source.id)?.sinceMs).toBeGreaterThan(since ?? 0);
});

test('the end waits for what is under way, and starts nothing more', async () => {
  const { prober, probed, run } = world();
  await run(2 * minute);
  await prober.stop();
  probed.length = 0;
  await run(5 * minute);
  expect(probed).toEqual([]);
});
