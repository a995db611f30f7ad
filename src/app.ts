// The composition root: configuration -> stores -> use-cases -> server, and the order of start and stop. Nothing else wires rooms together.

import { join } from 'node:path';
import pkg from '../package.json' with { type: 'json' };
import { createApi } from './api/api.ts';
import { openAuditing } from './auditing.ts';
import { createAccessPolicy } from './auth/anonymous-policy.ts';
import { openSecrets, type Secrets } from './auth/master-key.ts';
import { openFilesystemStore } from './blobs/filesystem.ts';
import { openBrowsers } from './browsers.ts';
import type { Config } from './config/config.ts';
import { shippedEquivalents } from './config/equivalents.ts';
import { prepareContentQueries } from './db/content.ts';
import { lockDataFolder } from './db/data-folder-lock.ts';
import type { Database } from './db/database.ts';
import { getMeta, prepareProjectQueries } from './db/projects.ts';
import { openSqliteDatabase } from './db/sqlite.ts';
import { rewriteSqlite } from './db/sqlite-file.ts';
import { createArrivals } from './http/arrivals.ts';
import { createDistribution } from './http/distribution.ts';
import { errorResponse, statusOf } from './http/errors.ts';
import { createLoginSelfCheck } from './http/login-self-check.ts';
import { createMonitoring } from './http/monitoring.ts';
import { createClients } from './http/origin.ts';
import { startServer } from './http/server.ts';
import { openIdentity } from './identity.ts';
import { startWarmSchedules } from './jobs/warm-schedule.ts';
import { systemClock } from './lib/clock.ts';
import type { Log } from './lib/log.ts';
import { createAdminContent } from './registry/admin-content.ts';
import { createBlobCheck } from './registry/blob-check.ts';
import { bootstrap, requireOwnStore } from './registry/bootstrap.ts';
import { createCatalog } from './registry/catalog.ts';
import { createEgress } from './registry/egress.ts';
import { createExplain } from './registry/explain.ts';
import { createIngest } from './registry/ingest.ts';
import { createLabels } from './registry/labels.ts';
import { countingPulls, createLastUse, notingUse } from './registry/last-use.ts';
import { createMirror } from './registry/mirror.ts';
import type { NameRules } from './registry/names.ts';
import { createOffline } from './registry/offline.ts';
import { createOverview } from './registry/overview.ts';
import { openPresetUpdates } from './registry/preset-updates.ts';
import { createProjectCache } from './registry/project-cache.ts';
import { createProjects } from './registry/projects.ts';
import { createPull } from './registry/pull.ts';
import { createPush } from './registry/push.ts';
import { createRepositories } from './registry/repositories.ts';
import { createSettings } from './registry/settings.ts';
import { createSourcePool } from './registry/source-pool.ts';
import { sealStoredPasswords } from './registry/source-secrets.ts';
import { createSourceTest } from './registry/source-test.ts';
import { openSources } from './registry/sources.ts';
import { createUploads } from './registry/uploads.ts';
import { createUpstreamClient } from './upstream/client.ts';
import { createSourceHealth } from './upstream/health.ts';
import { createLoginBook } from './upstream/logins.ts';

const sweepIntervalMs = 10 * 60 * 1000;
/** What starting needed and serving does not is given back then: 6 MB of compiled start-up code (measured). */
const shrinkAfterMs = 1000;

export interface App {
  readonly port: number;
  /** Set at the first boot, when the administrator's secret was made. */
  readonly newAdminPassword?: string;
  /** Readiness off, requests drained, fills ended, database closed. */
  stop(): Promise<void>;
}

export interface AppOptions {
  readonly config: Config;
  readonly log: Log;
  /** For the first boot only. */
  readonly adminPassword?: string;
  /** The database cannot be written any more: the process must end. */
  readonly onFatal: (message: string) => void;
}

/** Opens the data folder and starts serving. Throws, with nothing left open, when it cannot. */
export async function startApp(options: AppOptions): Promise<App> {
  const { config, log } = options;
  const lock = lockDataFolder(config.dataDir);
  try {
    const store = await openFilesystemStore(join(config.dataDir, 'blobs'));
    const path = join(config.dataDir, 'db', 'breakwater.sqlite');
    const database = await openSqliteDatabase({ path, onFatal: options.onFatal });
    try {
      await requireOwnStore(database, store.identity);
      const secrets = await openSecrets({ database, config });
      if (secrets.masterKey.isReadableByOthers)
        log.warn('master-key.readable-by-others', { file: secrets.masterKey.file, hint: 'chmod 600' });
      const sealed = await sealStoredPasswords(database, secrets);
      if (sealed > 0) {
        rewriteSqlite(path);
        log.info('sources.passwords-sealed', { sources: sealed });
      }
      const boot = await bootstrap({
        database,
        config,
        secrets,
        ...(options.adminPassword === undefined ? {} : { adminPassword: options.adminPassword }),
      });
      const running = await compose({ config, log, store, database, secrets });
      const { added, changed, removed } = boot.seeded;
      if (added.length + changed.length + removed.length > 0) log.info('sources.seeded', { added: added.length, changed, removed });
      return {
        port: running.port,
        ...(boot.newAdminPassword === undefined ? {} : { newAdminPassword: boot.newAdminPassword }),
        stop: async () => {
          await running.stop();
          await database.close();
          lock.release();
        },
      };
    } catch (error) {
      await database.close();
      throw error;
    }
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function compose(options: {
  config: Config;
  log: Log;
  store: Awaited<ReturnType<typeof openFilesystemStore>>;
  database: Database;
  secrets: Secrets;
}) {
  const { config, log, store, database, secrets } = options;
  const { limits } = config;
  const clock = systemClock;
  const content = prepareContentQueries(database);
  const projectCache = createProjectCache(prepareProjectQueries(database), clock);
  const egress = createEgress(config.egress);
  const monitoring = createMonitoring({ config, version: pkg.version, database, clock, log });
  const logins = createLoginBook({
    clock,
    onQuotaLow: (source, credential, quota) => {
      log.warn('upstream.quota-low', { source, credential, ...quota });
      monitoring.onAlarm('quota-low', { source, credential });
    },
  });
  const health = createSourceHealth({ clock, logins, onOutcome: monitoring.onOutcome });
  const pool = createSourcePool({ sources: new Map(), health, clock });
  const names: NameRules = {
    projects: projectCache,
    registries: pool.names,
    rootRegistry: config.mirror.rootRegistry,
    egressRefusal: egress.refusalOf,
  };
  const policy = createAccessPolicy({ anonymousPull: config.anonymousPull, networks: config.anonymousNetworks });
  const ingest = createIngest({ store, database, log });
  const check = createBlobCheck({ store, clock, log });
  const repositories = createRepositories({ database, content });
  const client = createUpstreamClient({
    clock,
    log,
    logins,
    observer: health,
    version: pkg.version,
    egress: egress.ask,
    limits: { connectionsPerHost: limits.upstream.connectionsPerHost },
  });
  const { probes } = monitoring.probing({ client, pool });
  const sources = await openSources({
    database,
    pool,
    forgetProjects: projectCache.forget,
    test: createSourceTest({ probes, client, clock }),
    apiCredentials: config.apiCredentials,
    secrets,
  });
  const presets = openPresetUpdates({ config, sources, secrets, download: client.download, clock, log });
  const mirror = createMirror({
    content,
    database,
    repositories,
    store,
    check,
    ingest,
    client,
    pool,
    clock,
    rules: config.mirror,
    equivalents: [...config.mirror.equivalents, ...shippedEquivalents],
    foreignHosts: config.mirror.foreignLayers,
    log,
    onAlarm: monitoring.onAlarm,
    limits: {
      blobMaxBytes: limits.blobBytes,
      fills: limits.upstream.fills,
      minimumFree: { percent: limits.minimumFree.percent, sizeBytes: limits.minimumFree.bytes },
    },
  });
  const uploads = createUploads({
    store,
    database,
    repositories,
    ingest,
    clock,
    log,
    limits: {
      blobMaxBytes: limits.blobBytes,
      uploadsPerRepository: limits.uploadsPerRepository,
      uploadsPerPrincipal: limits.uploadsPerPrincipal,
      uploadsTotal: limits.uploadsTotal,
      idleExpiryMs: limits.uploadIdleExpiryMs,
      absoluteExpiryMs: limits.uploadAbsoluteExpiryMs,
      minimumFree: { percent: limits.minimumFree.percent, sizeBytes: limits.minimumFree.bytes },
    },
  });
  const removed = await uploads.removeLeftovers();
  if (removed > 0) log.info('uploads.leftovers-removed', { count: removed });
  const service = config.externalUrl === undefined ? 'breakwater' : new URL(config.externalUrl).host;
  const settings = createSettings({ database, clock });
  const auditing = openAuditing({ config, database, clock, log, client, monitoring, settings });
  const identity = await openIdentity({
    config,
    settings,
    database,
    clock,
    policy,
    names,
    service,
    sealer: secrets.sealer,
    log,
    call: client.call,
    audit: auditing.log,
  });
  const { authentication, tokenService, tokenExchange, programs } = identity;
  const clients = createClients({
    externalUrl: config.externalUrl,
    trustedProxies: config.trustedProxies,
    hasTls: config.tls !== undefined,
  });
  const browsers = openBrowsers({ database, clock, log, identity, clients, settings, audit: auditing.log });
  const lastUse = createLastUse({ database, log });
  const pull = notingUse(createPull({ content, store, check, mirror }), lastUse);
  const offline = createOffline({
    database,
    content,
    names,
    policy,
    pull,
    clock,
    log,
    store,
    ingest,
    repositories,
    rules: config.mirror,
    limits: {
      blobMaxBytes: limits.blobBytes,
      manifestMaxBytes: limits.manifestBytes,
      minimumFree: { percent: limits.minimumFree.percent, sizeBytes: limits.minimumFree.bytes },
    },
  });
  const distribution = createDistribution({
    names,
    authentication,
    pull: monitoring.counted(pull),
    onManifestSent: countingPulls(lastUse),
    push: createPush({ database, content, repositories, ingest }),
    uploads,
    audit: auditing.log,
    catalog: createCatalog({ database, content, mirror, limits: { sizeDefault: limits.pageSizeDefault, sizeMax: limits.pageSizeMax } }),
    manifestMaxBytes: limits.manifestBytes,
    service,
  });
  const explain = createExplain({ database, names, mirror, pool, ...(config.externalUrl === undefined ? {} : { externalHost: service }) });
  const arrivals = createArrivals({ clients, externalUrl: config.externalUrl });
  const api = createApi({
    tokenKeys: identity.tokenKeys,
    checkLogin: createLoginSelfCheck({ arrivals, externalUrl: config.externalUrl }),
    ...identity.people,
    access: policy,
    sessions: browsers.sessions,
    logins: identity.logins,
    projects: createProjects({ database, names, cache: projectCache, changeRegistry: sources.changeRegistry }),
    labels: createLabels(database),
    overview: createOverview({ database, clock, space: store.freeSpace }),
    settings,
    configurationParts: identity.configurationParts,
    ...createAdminContent({ database, content, store, repositories, policy }),
    explain,
    offline,
    sources,
    history: monitoring.history,
    audit: auditing.log,
    auditLog: auditing.reader,
    presets,
    robots: programs.robots,
    cliSecrets: programs.cliSecrets,
    workloads: programs.workloads,
    identity,
    version: pkg.version,
    externalUrl: config.externalUrl,
    log,
    checkDatabase: async () => {
      await getMeta(database.read, 'first-boot');
    },
    errors: { errorResponse, statusOf },
  });
  const monitored = monitoring.start({ pool, store, mirror, authentication, explain, client });
  let isStopping = false;
  const server = startServer(
    {
      distribution,
      tokenService,
      tokenExchange,
      clients,
      arrivals,
      door: browsers.door,
      console: browsers.console,
      api,
      isReady: async () => !isStopping,
      log,
      monitoring: monitored,
    },
    { hostname: config.listen.hostname, port: config.listen.port, ...(config.tls === undefined ? {} : { tls: config.tls }) },
  );
  const sweeper = setInterval(() => void uploads.sweep().catch((error) => log.error('uploads.sweep-failed', { error })), sweepIntervalMs);
  await offline.start();
  setTimeout(() => {
    Bun.shrink();
    Bun.gc(true);
  }, shrinkAfterMs).unref();
  presets.start();
  const schedules = startWarmSchedules({ schedules: config.warm, warmups: offline.warmups, pins: offline.pins, clock, log });
  return {
    port: server.port,
    stop: async () => {
      isStopping = true;
      clearInterval(sweeper);
      await server.stop();
      await schedules.close();
      await identity.close();
      browsers.stop();
      await offline.close();
      await presets.stop();
      await monitored.stop();
      await mirror.close();
      client.close();
      await uploads.close();
      await lastUse.close();
      await auditing.close();
    },
  };
}
