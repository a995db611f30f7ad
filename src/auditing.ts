// What is made from what around the audit log: a part of the composition root (app.ts).

import { type Audit, createAudit } from './auth/audit.ts';
import { type AuditReader, createAuditReader } from './auth/audit-log.ts';
import type { Config } from './config/config.ts';
import type { Database } from './db/database.ts';
import { startAuditRetention } from './jobs/audit-retention.ts';
import type { Clock } from './lib/clock.ts';
import type { Log } from './lib/log.ts';

export interface Auditing {
  readonly log: Audit;
  readonly reader: AuditReader;
  close(): Promise<void>;
}

export function openAuditing(options: { config: Config; database: Database; clock: Clock; log: Log }): Auditing {
  const { config, database, clock, log } = options;
  const { retentionMs, pulls, pullWindowMs } = config.audit;
  const audit = createAudit({ database, clock, log, settings: { pulls, pullWindowMs } });
  const retention = startAuditRetention({ database, keepMs: retentionMs, clock, log });
  return {
    log: audit,
    reader: createAuditReader(database),
    close: async () => {
      await retention.close();
      await audit.close();
    },
  };
}
