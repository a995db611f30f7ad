// What an operator watches the server with, put together: metrics of the process, the sources, the pulls, the disk and the requests, and the
// paths that show them. It must never be in the way of a pull: counting is a few nanoseconds, and everything else happens when somebody asks.

import type { BlobStore } from '../blobs/store.ts';
import type { Config } from '../config/config.ts';
import type { Database } from '../db/database.ts';
import { countUploads } from '../db/uploads.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { createMetrics, type Metrics } from '../lib/metrics.ts';
import { watchProcess } from '../lib/process-metrics.ts';
import type { OnAlarm } from '../registry/alarms.ts';
import { createCanaries } from '../registry/canaries.ts';
import type { Explain } from '../registry/explain.ts';
import { watchFills } from '../registry/fill-metrics.ts';
import { createHistory, type History } from '../registry/history.ts';
import { createImageStatus } from '../registry/image-status.ts';
import type { Mirror } from '../registry/mirror.ts';
import { createProbeMetrics } from '../registry/probe-metrics.ts';
import { createProber, type Prober } from '../registry/prober.ts';
import { createProbes, type Probes } from '../registry/probes.ts';
import type { Pull } from '../registry/pull.ts';
import { countPulls } from '../registry/pull-metrics.ts';
import { createSourceMetrics } from '../registry/source-metrics.ts';
import type { SourcePool } from '../registry/source-pool.ts';
import { createStatus } from '../registry/status.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Outcome } from '../upstream/health.ts';
import type { Authentication } from './authentication.ts';
import { createMetricsEndpoint, startMetricsServer } from './metrics.ts';
import { createRequestMetrics, type MeasureRequest } from './request-metrics.ts';
import { createStatusEndpoint } from './status.ts';

/** How exactly it is known since when a source is in its state. */
const stateWatchMs = 5_000;

export interface Monitoring {
  readonly metrics: Metrics;
  readonly history: History;
  /** For the health of the sources. */
  onOutcome(sourceId: string, outcome: Outcome): void;
  /** For what finds something an operator should hear of. */
  readonly onAlarm: OnAlarm;
  counted(pull: Pull): Pull;
  /** Makes what looks at sources; by itself it begins with `start`. */
  probing(parts: { readonly client: UpstreamClient; readonly pool: SourcePool }): { readonly probes: Probes; readonly prober: Prober };
  /** Names the parts that are read at a scrape, begins to probe and to keep history, and opens the listener of its own where one is configured. */
  start(parts: MonitoredParts): MonitoringServer;
}

export interface MonitoredParts {
  readonly pool: SourcePool;
  readonly store: Pick<BlobStore, 'freeSpace'>;
  readonly authentication: Pick<Authentication, 'identify'>;
  readonly mirror: Pick<Mirror, 'stats'>;
  readonly explain: Explain;
  readonly client: UpstreamClient;
}

/** What the HTTP server needs of it. */
export interface MonitoringServer {
  readonly measure: MeasureRequest;
  /** The answer to a path of this room; undefined for any other. Throws coded errors. */
  answer(request: Request, path: string, query: string): Promise<Response> | undefined;
  stop(): Promise<void>;
}

export function createMonitoring(options: {
  config: Pick<Config, 'metrics' | 'probes' | 'status'>;
  version: string;
  database: Database;
  clock: Clock;
  log: Log;
}): Monitoring {
  const { config, database, clock, log } = options;
  const history = createHistory({ database, clock, log });
  const metrics = createMetrics();
  const ofProcess = watchProcess(metrics, options.version);
  const ofSources = createSourceMetrics(metrics);
  const measure = createRequestMetrics(metrics);
  let prober: Prober | undefined;
  return {
    metrics,
    history,
    onOutcome: (sourceId, outcome) => {
      ofSources.onOutcome(sourceId, outcome);
      history.note(sourceId, outcome);
      prober?.note(sourceId, outcome);
    },
    probing: ({ client, pool }) => {
      const canaries = createCanaries({ configured: config.probes.canaries, database });
      const sources = () => pool.registries().flatMap((registry) => pool.sourcesOf(registry));
      const probes = createProbes({ client, health: pool.health, canaries, clock });
      const made: Prober = createProber({
        probes,
        pool,
        config: config.probes,
        clock,
        log,
        onReport: createProbeMetrics(metrics, { sources, latest: (source) => made.latest(source.id)?.report }),
      });
      prober = made;
      return { probes, prober: made };
    },
    onAlarm: ofSources.onAlarm,
    counted: (pull) => countPulls(pull, metrics),
    start: (parts) => {
      ofSources.watch(parts.pool);
      prober?.start();
      history.start();
      watchFills(metrics, parts.mirror);
      watchStore(metrics, { store: parts.store, database });
      const endpoint = createMetricsEndpoint({ metrics, config: config.metrics, authentication: parts.authentication });
      const listener = config.metrics.listen === undefined ? undefined : startMetricsServer(metrics, config.metrics.listen);
      if (listener !== undefined) log.info('metrics.listening', { hostname: config.metrics.listen?.hostname, port: listener.port });
      const status = createStatus({ pool: parts.pool, prober: { latest: (id) => prober?.latest(id) }, history, clock });
      const statusEndpoint = createStatusEndpoint({
        status,
        readImage: createImageStatus({ explain: parts.explain, pool: parts.pool, client: parts.client, clock }),
        isPublic: config.status.isPublic,
        authentication: parts.authentication,
        monotonicMs: clock.monotonicMs,
      });
      const watch = setInterval(status.observe, stateWatchMs);
      watch.unref();
      return {
        measure,
        answer: (request, path, query) => {
          if (path === '/metrics') return endpoint.answer(request);
          return path.startsWith('/status') ? statusEndpoint.answer(request, path, query) : undefined;
        },
        stop: async () => {
          clearInterval(watch);
          ofProcess.stop();
          await prober?.stop();
          await history.stop();
          await listener?.stop();
        },
      };
    },
  };
}

function watchStore(metrics: Metrics, { store, database }: { store: MonitoredParts['store']; database: Database }): void {
  metrics.gauge({
    name: 'breakwater_disk_bytes',
    help: 'The file system of the blobs: kind is free or total.',
    labels: ['kind'],
    read: async () => {
      const { freeBytes, totalBytes } = await store.freeSpace();
      return [
        [['free'], freeBytes],
        [['total'], totalBytes],
      ];
    },
  });
  metrics.gauge({
    name: 'breakwater_upload_sessions',
    help: 'Pushes of blobs that were begun and neither finished nor cancelled.',
    read: async () => [[[], await countUploads(database.read)]],
  });
}
