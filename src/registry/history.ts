// What sources did over time: collected in memory as outcomes come, written once a minute by one command, read for status and charts. It must
// never write on the path of a pull; a crash loses the last minute at most.

import type { Database } from '../db/database.ts';
import {
  addActivity,
  hourMs,
  latencyBoundsMs,
  minuteMs,
  readSourceHistory,
  type SourceActivity,
  type SourceBucket,
  sumSourceHistory,
} from '../db/source-history.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Outcome } from '../upstream/health.ts';
import { classOfVerdict } from '../upstream/verdict.ts';

export type HistoryRange = '24h' | '90d';

export interface HistoryBucket {
  readonly atMs: number;
  readonly requests: number;
  /** Answered as a registry does, also with "not here". */
  readonly ok: number;
  /** 0 to 1; absent without requests. */
  readonly okShare?: number;
  /** To the first byte, of answers; absent without any. Bounds of classes, so about 30 % coarse. */
  readonly p50Ms?: number;
  readonly p95Ms?: number;
  readonly bytes: number;
  readonly verdicts: Readonly<Record<string, number>>;
}
export interface SourceHistory {
  readonly range: HistoryRange;
  readonly bucketMs: number;
  /** The oldest first; spans in which the source was not asked are left out. */
  readonly buckets: readonly HistoryBucket[];
  readonly total: Omit<HistoryBucket, 'atMs'>;
}

/** 0 to 1; absent when the source was not asked in that time. */
export interface Availability {
  readonly day?: number;
  readonly quarter?: number;
}

export interface History {
  note(sourceId: string, outcome: Outcome): void;
  read(sourceId: string, range: HistoryRange): Promise<SourceHistory>;
  /** Of the last 24 hours and 90 days; a minute old at most. */
  availability(sourceId: string): Promise<Availability>;
  /** Writes what is collected. */
  flush(): Promise<void>;
  start(): void;
  /** Writes the rest. */
  stop(): Promise<void>;
}

/** Sources between two writes; what comes after is not kept. */
const sourcesMax = 5_000;
const availabilityMaxAgeMs = minuteMs;

interface Collected {
  requests: number;
  ok: number;
  bytes: number;
  latencies: number[];
  verdicts: Record<string, number>;
}

export function createHistory({ database, clock, log }: { database: Database; clock: Clock; log: Log }): History {
  // By minute, then source: what is collected over a minute's end belongs to two.
  let collected = new Map<number, Map<string, Collected>>();
  const availabilities = new Map<string, { readonly value: Availability; readonly untilMs: number }>();
  let timer: ReturnType<typeof setInterval> | undefined;

  const pendingOf = (sourceId: string, sinceMs: number): SourceBucket[] =>
    [...collected].flatMap(([atMs, sources]) => {
      const found = sources.get(sourceId);
      return found === undefined || atMs < sinceMs ? [] : [{ atMs, ...found }];
    });

  const flush = async (): Promise<void> => {
    const taken = collected;
    collected = new Map();
    const activities = [...taken].flatMap(([atMs, sources]) => [...sources].map(([source, found]) => ({ source, atMs, ...found })));
    if (activities.length === 0) return;
    try {
      await database.run('recordSourceHistory', { activities });
    } catch (error) {
      log.warn('history.write-failed', { error, lost: activities.length });
    }
  };

  const availability = async (sourceId: string): Promise<Availability> => {
    const known = availabilities.get(sourceId);
    if (known !== undefined && known.untilMs > clock.monotonicMs()) return known.value;
    const nowMs = clock.nowMs();
    const pending = pendingOf(sourceId, 0).reduce<SourceActivity>(addActivity, none);
    const share = async (spanMs: number): Promise<number | undefined> => {
      const { requests, ok } = await sumSourceHistory(database.read, { source: sourceId, sinceMs: nowMs - spanMs });
      return requests + pending.requests === 0 ? undefined : (ok + pending.ok) / (requests + pending.requests);
    };
    const [day, quarter] = [await share(24 * hourMs), await share(90 * 24 * hourMs)];
    const value = { ...(day === undefined ? {} : { day }), ...(quarter === undefined ? {} : { quarter }) };
    if (availabilities.size >= sourcesMax) availabilities.clear();
    // What was just asked for the first time is not told as never asked for a minute.
    if (quarter !== undefined) availabilities.set(sourceId, { value, untilMs: clock.monotonicMs() + availabilityMaxAgeMs });
    return value;
  };

  return {
    note: (sourceId, outcome) => {
      const { verdict } = outcome;
      const kind = verdict === 'ok' ? 'ok' : classOfVerdict(verdict);
      if (kind === 'neutral' && (verdict === 'aborted' || verdict === 'busy')) return;
      const minute = Math.floor(clock.nowMs() / minuteMs) * minuteMs;
      let sources = collected.get(minute);
      if (sources === undefined) {
        sources = new Map();
        collected.set(minute, sources);
      }
      let found = sources.get(sourceId);
      if (found === undefined) {
        if (sources.size >= sourcesMax) return;
        found = { requests: 0, ok: 0, bytes: 0, latencies: latencyBoundsMs.map(() => 0).concat(0), verdicts: {} };
        sources.set(sourceId, found);
      }
      found.requests++;
      found.bytes += outcome.bytes ?? 0;
      const isAnswered = kind === 'ok' || kind === 'absent' || kind === 'refusal';
      if (isAnswered) found.ok++;
      if (verdict !== 'ok') found.verdicts[verdict] = (found.verdicts[verdict] ?? 0) + 1;
      else {
        const place = classOfLatency(outcome.firstByteMs ?? outcome.ms);
        found.latencies[place] = (found.latencies[place] ?? 0) + 1;
      }
    },
    read: async (sourceId, range) => {
      const bucketMs = range === '24h' ? minuteMs : hourMs;
      const sinceMs = Math.floor((clock.nowMs() - (range === '24h' ? 24 : 90 * 24) * hourMs) / bucketMs) * bucketMs;
      const stored = await readSourceHistory(database.read, { source: sourceId, spanMs: bucketMs, sinceMs });
      const byTime = new Map(stored.map((bucket) => [bucket.atMs, bucket]));
      for (const pending of pendingOf(sourceId, sinceMs)) {
        const atMs = Math.floor(pending.atMs / bucketMs) * bucketMs;
        byTime.set(atMs, { ...addActivity(byTime.get(atMs) ?? none, pending), atMs });
      }
      const buckets = [...byTime.values()].sort((one, other) => one.atMs - other.atMs);
      return {
        range,
        bucketMs,
        buckets: buckets.map((bucket) => ({ atMs: bucket.atMs, ...describe(bucket) })),
        total: describe(buckets.reduce<SourceActivity>(addActivity, none)),
      };
    },
    availability,
    flush,
    start: () => {
      timer = setInterval(() => void flush(), minuteMs);
      timer.unref();
    },
    stop: async () => {
      clearInterval(timer);
      await flush();
    },
  };
}

const none: SourceActivity = { requests: 0, ok: 0, bytes: 0, latencies: [], verdicts: {} };

function describe(activity: SourceActivity): Omit<HistoryBucket, 'atMs'> {
  const p50Ms = percentile(activity.latencies, 0.5);
  const p95Ms = percentile(activity.latencies, 0.95);
  return {
    requests: activity.requests,
    ok: activity.ok,
    ...(activity.requests === 0 ? {} : { okShare: activity.ok / activity.requests }),
    ...(p50Ms === undefined ? {} : { p50Ms }),
    ...(p95Ms === undefined ? {} : { p95Ms }),
    bytes: activity.bytes,
    verdicts: activity.verdicts,
  };
}

function classOfLatency(ms: number): number {
  const place = latencyBoundsMs.findIndex((bound) => ms <= bound);
  return place === -1 ? latencyBoundsMs.length : place;
}

/** The upper bound of the class in which the share lies; twice the last bound for what is above all. */
function percentile(latencies: readonly number[], share: number): number | undefined {
  const total = latencies.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let count = 0;
  for (const [place, one] of latencies.entries()) {
    count += one;
    if (count >= total * share) return latencyBoundsMs[place] ?? 2 * (latencyBoundsMs.at(-1) ?? 0);
  }
  return undefined;
}
