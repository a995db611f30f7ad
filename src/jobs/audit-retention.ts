// Removes what the audit log has kept long enough, in small steps so that pushes get their turn between two.

import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';

const everyMs = 60 * 60 * 1000;
/** The first look comes when the start is over. */
const firstAfterMs = 60_000;
const rowsPerStep = 1000;
const pauseMs = 50;

export interface AuditRetention {
  close(): Promise<void>;
}

export function startAuditRetention(options: {
  readonly database: Pick<Database, 'run'>;
  readonly keepMs: number;
  readonly clock: Clock;
  readonly log: Log;
}): AuditRetention {
  const { clock, log } = options;
  const stopping = new AbortController();
  const repeat = async (): Promise<void> => {
    await clock.sleep(firstAfterMs, stopping.signal);
    for (;;) {
      const rows = await removeOldAudit({ ...options, signal: stopping.signal }).catch((error: unknown) => {
        log.error('audit.not-removed', { error });
        return 0;
      });
      if (rows > 0) log.info('audit.removed', { rows });
      await clock.sleep(everyMs, stopping.signal);
    }
  };
  const done = repeat().catch(() => undefined);
  return {
    close: async () => {
      stopping.abort();
      await done;
    },
  };
}

/** Until nothing old is at the front. Gives how many went. */
async function removeOldAudit(options: {
  readonly database: Pick<Database, 'run'>;
  readonly keepMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<number> {
  const { database, keepMs, clock, signal } = options;
  let total = 0;
  for (;;) {
    const count = await database.run('removeOldAudit', { beforeMs: clock.nowMs() - keepMs, max: rowsPerStep, actor: 'retention' });
    total += count;
    if (count < rowsPerStep || signal.aborted) return total;
    await clock.sleep(pauseMs, signal);
  }
}
