// What is made from what around the audit log: a part of the composition root (app.ts).

import { type Audit, createAudit } from './auth/audit.ts';
import { type AuditReader, createAuditReader } from './auth/audit-log.ts';
import type { Config } from './config/config.ts';
import type { Database } from './db/database.ts';
import { startAuditForwarding } from './jobs/audit-forwarding.ts';
import { watchAudit } from './jobs/audit-metrics.ts';
import { startAuditRetention } from './jobs/audit-retention.ts';
import { type AuditTarget, syslogTarget, webhookTarget } from './jobs/audit-targets.ts';
import type { Clock } from './lib/clock.ts';
import type { Log } from './lib/log.ts';
import type { Metrics } from './lib/metrics.ts';
import type { OnAlarm } from './registry/alarms.ts';
import type { Settings } from './registry/settings.ts';
import type { UpstreamClient } from './upstream/client.ts';
import { parseSyslogUrl } from './upstream/syslog.ts';

export interface Auditing {
  readonly log: Audit;
  readonly reader: AuditReader;
  close(): Promise<void>;
}

export function openAuditing(options: {
  readonly config: Config;
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly client: Pick<UpstreamClient, 'call' | 'syslog'>;
  readonly settings: Pick<Settings, 'read'>;
  readonly monitoring: { readonly metrics: Metrics; readonly onAlarm: OnAlarm };
}): Auditing {
  const { config, database, clock, log, monitoring } = options;
  const { retentionMs, pulls, pullWindowMs, outbox } = config.audit;
  const audit = createAudit({ database, clock, log, settings: { pulls, pullWindowMs } });
  const retention = startAuditRetention({ database, keepMs: retentionMs, clock, log });
  const forwarding = startAuditForwarding({
    database,
    clock,
    log,
    targets: createTargets(options),
    outbox,
    onDropped: (fields) => monitoring.onAlarm('audit-dropped', fields),
  });
  watchAudit(monitoring.metrics, audit, forwarding);
  return {
    log: audit,
    reader: createAuditReader(database),
    close: async () => {
      await forwarding.close();
      await retention.close();
      await audit.close();
    },
  };
}

/** Those of the config file, and the one that is set while the server runs. */
function createTargets(options: Parameters<typeof openAuditing>[0]): () => Promise<readonly AuditTarget[]> {
  const { config, clock, log, client, settings } = options;
  const { webhook, syslog, privateEndpoint } = config.audit;
  const fixed: AuditTarget[] = [];
  if (webhook !== undefined) fixed.push(webhookTarget(webhook, client.call, () => clock.nowMs()));
  const server = syslog === undefined ? undefined : parseSyslogUrl(syslog.url);
  if (server !== undefined) {
    const tls = syslog?.ca === undefined ? {} : { tls: { ca: syslog.ca, insecure: false } };
    fixed.push(syslogTarget('syslog', { id: 'audit syslog', allowPrivate: true, ...server, ...tls }, client.syslog));
  }
  let refused: string | undefined;
  return async () => {
    const { audit_log_forward_endpoint: endpoint } = await settings.read();
    if (endpoint === '') return fixed;
    const place = parseSyslogUrl(endpoint);
    if (place === undefined) {
      if (refused !== endpoint)
        log.warn('audit.endpoint-refused', { endpoint, expected: 'HOST:PORT, or udp://, tcp://, tls:// before it' });
      refused = endpoint;
      return fixed;
    }
    return [...fixed, syslogTarget('endpoint', { id: 'audit endpoint', allowPrivate: privateEndpoint, ...place }, client.syslog)];
  };
}
