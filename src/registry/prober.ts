// Looks at the sources by itself, at a pace: often while their registry is pulled from, seldom when nobody pulls, not at all while a source asked
// to wait or what pulls show is fresh enough. A source that is down is looked at in full, so that its recovery is seen within two intervals
// (F32). It must never be more than a small part of what a source's own limits allow. sources.md 3.4 "Cadence".

import type { Config } from '../config/config.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Outcome } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import type { ProbeDepth, ProbeReport, ProbeState, Probes } from './probes.ts';
import type { SourcePool } from './source-pool.ts';

export interface Prober {
  /** For every outcome that is reported to the health of the sources: pulls count as looks. */
  note(sourceId: string, outcome: Outcome): void;
  /** The last report, and since when the source has been in that state (wall clock); undefined before the first. */
  latest(sourceId: string): { readonly report: ProbeReport; readonly sinceMs: number } | undefined;
  /** Probes one now, whatever is due. */
  probe(source: Source, depth?: ProbeDepth): Promise<ProbeReport>;
  /** Starts what is due; resolves when that has ended. Called by the clock; tests call it themselves. */
  tick(): Promise<void>;
  start(): void;
  stop(): Promise<void>;
}

const tickMs = 1_000;
/** At the same time. */
const probesMax = 4;
/** Nobody pulls from the registry: the interval doubles every so often, up to the longest. */
const quietStepMs = 10 * 60_000;
const intervalMaxMs = 30 * 60_000;
/** A part of what `limits.requests_per_minute` of a source allows. */
const shareOfLimit = 0.1;
const requestsOf: Readonly<Record<ProbeDepth, number>> = { light: 1, deep: 6 };

interface Plan {
  source: Source;
  lightAtMs: number;
  deepAtMs: number;
  isRunning: boolean;
  /** Monotonic; of the last pull that the source answered well. */
  servedAtMs: number | undefined;
  latest: { readonly report: ProbeReport; readonly sinceMs: number } | undefined;
}

export function createProber(parts: {
  probes: Probes;
  pool: SourcePool;
  config: Config['probes'];
  clock: Clock;
  log: Log;
  /** 0 to 1, for the jitter. */
  random?: () => number;
  onReport?: (source: Source, report: ProbeReport) => void;
}): Prober {
  const { probes, pool, config, clock, log } = parts;
  const random = parts.random ?? Math.random;
  const plans = new Map<string, Plan>();
  const registryTraffic = new Map<string, number>();
  const running = new Set<Promise<void>>();
  const ending = new AbortController();
  const startedAtMs = clock.monotonicMs();
  let timer: ReturnType<typeof setInterval> | undefined;

  /** 0.8 to 1.2 of it. */
  const jittered = (ms: number): number => ms * (0.8 + 0.4 * random());

  const planOf = (source: Source): Plan => {
    const known = plans.get(source.id);
    if (known !== undefined) {
      known.source = source;
      return known;
    }
    const nowMs = clock.monotonicMs();
    // Not all at once, and not before the server has got going.
    const fresh: Plan = {
      source,
      lightAtMs: nowMs + jittered(config.intervalMs / 2),
      deepAtMs: nowMs + jittered(Math.min(config.deepIntervalMs, config.intervalMs)),
      isRunning: false,
      servedAtMs: undefined,
      latest: undefined,
    };
    plans.set(source.id, fresh);
    return fresh;
  };

  const intervalOf = (source: Source, depth: ProbeDepth): number => {
    const nowMs = clock.monotonicMs();
    const quietMs = nowMs - (registryTraffic.get(source.registry) ?? startedAtMs);
    const doublings = Math.min(10, Math.floor(quietMs / quietStepMs));
    const wantedMs = (depth === 'light' ? config.intervalMs : config.deepIntervalMs) * 2 ** doublings;
    const perMinute = source.limits?.requestsPerMinute;
    const limitedMs = perMinute === undefined ? 0 : (requestsOf[depth] * 60_000) / (perMinute * shareOfLimit);
    const baseMs = depth === 'light' ? config.intervalMs : config.deepIntervalMs;
    return Math.max(limitedMs, Math.min(wantedMs, Math.max(intervalMaxMs, baseMs)));
  };

  const run = async (source: Source, depth: ProbeDepth): Promise<ProbeReport> => {
    const plan = planOf(source);
    plan.isRunning = true;
    try {
      const report = await probes.probe(source, { depth, signal: ending.signal });
      const before = plan.latest;
      // A light look says nothing on content: what a deep one found stays, unless the source is down or was.
      const state: ProbeState =
        depth === 'light' && report.state === 'up' && before?.report.state === 'whitelist' ? 'whitelist' : report.state;
      plan.latest = {
        report: {
          ...report,
          state,
          ...(depth === 'light' && before?.report.tagDigest !== undefined ? { tagDigest: before.report.tagDigest } : {}),
        },
        sinceMs: before?.report.state === state ? before.sinceMs : report.atMs,
      };
      if (before !== undefined && before.report.state !== state)
        log.info('source.probed', {
          source: source.url,
          registry: source.registry,
          state,
          before: before.report.state,
          why: report.summary,
        });
      parts.onReport?.(source, plan.latest.report);
      return plan.latest.report;
    } finally {
      plan.isRunning = false;
      const nowMs = clock.monotonicMs();
      plan.lightAtMs = nowMs + jittered(intervalOf(source, 'light'));
      if (depth === 'deep') plan.deepAtMs = nowMs + jittered(intervalOf(source, 'deep'));
    }
  };

  /** What is due now, if anything. */
  const dueOf = (source: Source): ProbeDepth | undefined => {
    const plan = planOf(source);
    const nowMs = clock.monotonicMs();
    if (plan.isRunning || (plan.lightAtMs > nowMs && plan.deepAtMs > nowMs)) return undefined;
    const { state } = pool.snapshot(source);
    if (state === 'limited') {
      plan.lightAtMs = nowMs + jittered(intervalOf(source, 'light'));
      return undefined;
    }
    if (plan.deepAtMs <= nowMs || state === 'open' || state === 'half-open') return 'deep';
    if (plan.servedAtMs !== undefined && nowMs - plan.servedAtMs < config.intervalMs) {
      plan.lightAtMs = plan.servedAtMs + jittered(intervalOf(source, 'light'));
      return undefined;
    }
    return 'light';
  };

  const tick = async (): Promise<void> => {
    const sources = pool.registries().flatMap((registry) => pool.sourcesOf(registry));
    const live = new Set(sources.map((source) => source.id));
    for (const id of plans.keys()) if (!live.has(id)) plans.delete(id);
    const begun: Promise<void>[] = [];
    for (const source of sources) {
      if (running.size >= probesMax || ending.signal.aborted) break;
      const depth = dueOf(source);
      if (depth === undefined) continue;
      const one = run(source, depth).then(
        () => undefined,
        (error) => {
          if (!ending.signal.aborted) log.error('source.probe-failed', { source: source.url, error });
        },
      );
      running.add(one);
      void one.then(() => running.delete(one));
      begun.push(one);
    }
    await Promise.all(begun);
  };

  return {
    note: (sourceId, outcome) => {
      if (outcome.isProbe === true) return;
      const known = plans.get(sourceId)?.source ?? sourceById(pool, sourceId);
      if (known === undefined) return;
      const nowMs = clock.monotonicMs();
      registryTraffic.set(known.registry, nowMs);
      if (outcome.verdict === 'ok') planOf(known).servedAtMs = nowMs;
    },
    latest: (sourceId) => plans.get(sourceId)?.latest,
    probe: (source, depth = 'deep') => run(source, depth),
    tick,
    start: () => {
      if (!config.isEnabled) return;
      timer = setInterval(() => void tick(), tickMs);
      timer.unref();
    },
    stop: async () => {
      clearInterval(timer);
      ending.abort();
      await Promise.allSettled(running);
    },
  };
}

/** The registry is the first word of a source's id only by custom: it is looked up. */
function sourceById(pool: SourcePool, id: string): Source | undefined {
  for (const registry of pool.registries()) {
    const found = pool.sourcesOf(registry).find((source) => source.id === id);
    if (found !== undefined) return found;
  }
  return undefined;
}
