// What the sources do, as metrics: fed by every outcome that is reported to their health, read from their health at a scrape. Labels are the
// registry and the source's URL (which holds no login), never a repository or a digest.

import type { Metrics } from '../lib/metrics.ts';
import type { Outcome, SourceSnapshot } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import type { SourceState } from '../upstream/track.ts';
import type { AlarmKind, OnAlarm } from './alarms.ts';
import type { SourcePool } from './source-pool.ts';

export interface SourceMetrics {
  onOutcome(sourceId: string, outcome: Outcome): void;
  readonly onAlarm: OnAlarm;
  /** From when on the sources can be named; to be called once. */
  watch(pool: SourcePool): void;
}

const alarmKinds: readonly AlarmKind[] = ['tag-drift', 'tag-poisoned', 'wrong-bytes', 'disk-full', 'quota-low', 'audit-dropped'];
const states: readonly SourceState[] = ['up', 'failing', 'open', 'half-open', 'limited', 'quarantined'];
const labels = ['registry', 'source'] as const;

/** Answers of sources, near and far, on a good and on a bad day. */
const waitBounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export function createSourceMetrics(metrics: Metrics): SourceMetrics {
  let pool: SourcePool | undefined;
  let known = new Map<string, Source>();
  const sources = (): Source[] => pool?.registries().flatMap((registry) => pool?.sourcesOf(registry) ?? []) ?? [];
  const sourceOf = (id: string): Source | undefined => {
    const found = known.get(id);
    if (found !== undefined) return found;
    known = new Map(sources().map((source) => [source.id, source]));
    return known.get(id);
  };

  const requests = metrics.counter({
    name: 'breakwater_source_requests_total',
    help: 'Requests to a source by what came of them: ok, or the kind of failure.',
    labels: [...labels, 'verdict'],
  });
  const firstByte = metrics.histogram({
    name: 'breakwater_source_first_byte_seconds',
    help: 'Time to the first byte of the good answers of a source.',
    labels,
    bounds: waitBounds,
  });
  const duration = metrics.histogram({
    name: 'breakwater_source_request_duration_seconds',
    help: 'Time to the answer of a source, good or bad; of a blob to its first byte.',
    labels,
    bounds: waitBounds,
  });
  const bytes = metrics.counter({
    name: 'breakwater_source_received_bytes_total',
    help: 'Body bytes received from a source.',
    labels,
  });
  const alarms = metrics.counter({
    name: 'breakwater_alarms_total',
    help: 'What an operator should look at: tag-drift and tag-poisoned (sources disagree on a tag), wrong-bytes (content that is not what its digest says), disk-full, quota-low.',
    labels: ['kind'],
  });
  // A counter that begins at 0 lets `increase()` see the first alarm.
  for (const kind of alarmKinds) alarms.at(kind);

  const perSource = (name: string, help: string, read: (snapshot: SourceSnapshot, source: Source) => number | undefined): void =>
    metrics.gauge({
      name,
      help,
      labels,
      read: () =>
        sources().flatMap((source) => {
          const value = read((pool as SourcePool).snapshot(source), source);
          return value === undefined ? [] : [[[source.registry, source.url], value] as const];
        }),
    });
  perSource('breakwater_source_up', '1 while a source is asked, 0 while it rests: failed, limited or quarantined.', ({ state }) =>
    state === 'up' || state === 'failing' || state === 'half-open' ? 1 : 0,
  );
  metrics.gauge({
    name: 'breakwater_source_state',
    help: '1 for the state a source is in (up, failing, open, half-open, limited, quarantined), 0 for the others; open and half-open are of its breaker.',
    labels: [...labels, 'state'],
    read: () =>
      sources().flatMap((source) => {
        const { state } = (pool as SourcePool).snapshot(source);
        return states.map((one) => [[source.registry, source.url, one], one === state ? 1 : 0] as const);
      }),
  });
  perSource('breakwater_source_blocked_seconds', 'How long a source is not asked, from now; 0 when it is.', (snapshot) =>
    Math.ceil(snapshot.blockedForMs / 1000),
  );
  perSource(
    'breakwater_source_clean',
    '1 when the last deliveries of a source were verified, so that its bytes are passed on at once.',
    (snapshot) => (snapshot.clean ? 1 : 0),
  );
  perSource(
    'breakwater_source_last_answer_timestamp_seconds',
    'When a source last answered or failed, in seconds since 1970.',
    ({ lastAtMs }) => (lastAtMs === undefined ? undefined : lastAtMs / 1000),
  );
  perSource('breakwater_source_quota_limit', 'Pulls a source allows in its window, as it last said.', (snapshot) => snapshot.quota?.limit);
  perSource('breakwater_source_quota_remaining', 'Pulls a source still allows, as it last said.', (snapshot) => snapshot.quota?.remaining);

  return {
    watch: (watched) => {
      pool = watched;
      // What was counted of a source that is no more goes with it.
      watched.subscribe(() => {
        known = new Map();
        const live = new Set(sources().map((source) => `${source.registry} ${source.url}`));
        const isLive = ([registry = '', url = '']: readonly string[]): boolean => live.has(`${registry} ${url}`);
        for (const family of [requests, firstByte, duration, bytes]) family.retain(isLive);
      });
    },
    onAlarm: (kind) => alarms.at(kind).add(),
    onOutcome: (sourceId, outcome) => {
      const source = sourceOf(sourceId);
      if (source === undefined) return;
      const { registry, url } = source;
      requests.at(registry, url, outcome.verdict).add();
      if (outcome.bytes !== undefined && outcome.bytes > 0) bytes.at(registry, url).add(outcome.bytes);
      if (outcome.verdict === 'aborted' || outcome.verdict === 'busy') return;
      const firstByteMs = outcome.firstByteMs ?? outcome.ms;
      if (outcome.verdict === 'ok') firstByte.at(registry, url).observe(firstByteMs / 1000);
      duration.at(registry, url).observe(outcome.ms / 1000);
    },
  };
}
