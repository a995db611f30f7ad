// The audit log as it is read: pages by time, and whether its chain is whole.

import { type AuditField, type AuditScope, auditCountMax, countAudit, listAudit, readAuditRows, readChainEnds } from '../db/audit.ts';
import { type AuditRow, type ChainReport, walkChain } from '../db/audit-chain.ts';
import type { Database } from '../db/database.ts';
import type { ListCondition } from '../db/listing.ts';
import { createSingleFlight } from '../lib/single-flight.ts';

export interface AuditPageWish {
  readonly scope: AuditScope;
  readonly conditions: readonly ListCondition<AuditField>[];
  /** The latest first. */
  readonly descending: boolean;
  readonly limit: number;
  readonly offset: number;
  /** The row behind which the page begins, as `next` of the page before gave it. */
  readonly after?: { readonly atMs: number; readonly id: number };
}

export interface AuditPage {
  readonly rows: readonly AuditRow[];
  /** Of all that match, at most `auditCountMax`. */
  readonly count: number;
  /** Where the next page begins; undefined at the end. */
  readonly next?: { readonly atMs: number; readonly id: number };
}

export interface AuditReader {
  page(wish: AuditPageWish): Promise<AuditPage>;
  /** Reads every row, a thousand at a time. Of several at once one does it. */
  verify(): Promise<ChainReport>;
}

const rowsPerStep = 1000;

export { auditCountMax };

export function createAuditReader(database: Pick<Database, 'read' | 'dialect'>): AuditReader {
  const flights = createSingleFlight<ChainReport>();
  return {
    page: async (wish) => {
      const [rows, count] = await Promise.all([listAudit(database, wish), countAudit(database, wish)]);
      const last = rows.at(-1);
      const isFull = rows.length === wish.limit && last !== undefined;
      return { rows, count, ...(isFull ? { next: { atMs: last.atMs, id: last.id } } : {}) };
    },
    verify: () => flights.run('verify', () => verifyChain(database)),
  };
}

async function verifyChain({ read }: Pick<Database, 'read'>): Promise<ChainReport> {
  for (;;) {
    const { anchor, head } = await readChainEnds(read);
    const walk = walkChain(anchor, head);
    let afterId = anchor.id;
    let isWhole = true;
    while (isWhole && afterId < head.id) {
      const rows = await readAuditRows(read, { afterId, limit: rowsPerStep });
      const last = rows.at(-1);
      if (last === undefined) break;
      for (const row of rows) {
        isWhole = walk.add(row);
        if (!isWhole) break;
      }
      afterId = last.id;
      // Pulls in between.
      await new Promise((resolve) => setImmediate(resolve));
    }
    const report = walk.end();
    // Old rows may have been removed meanwhile: then it begins again at the new anchor.
    if (report.isWhole || (await readChainEnds(read)).anchor.id === anchor.id) return report;
  }
}
