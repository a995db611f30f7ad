// Writing the audit log: rows are added behind the last one and removed before the first one kept, never changed. One at a time on both
// databases, because each row's hash needs the one before it.

import { sql } from 'kysely';
import { readAuditRows, readChainEnds } from './audit.ts';
import { type AuditRow, type ChainEnd, chainHash } from './audit-chain.ts';
import type { CommandContext } from './context.ts';

/** A row without what its place in the chain gives it. */
export type NewAuditRow = Omit<AuditRow, 'id' | 'hash'>;

/** Any number that no other lock of ours has. */
const chainLock = 7_301_986;

/** Adds the rows in their order. Gives the id of the last. */
export async function recordAudit(context: CommandContext, args: { rows: readonly NewAuditRow[] }): Promise<number> {
  const { trx } = context;
  await lockChain(context);
  let { head } = await readChainEnds(trx);
  const values = args.rows.map((row) => {
    const id = head.id + 1;
    const hash = chainHash(head.hash, { ...row, id });
    head = { id, hash };
    return {
      id,
      at_ms: row.atMs,
      since_ms: row.sinceMs,
      count: row.count,
      actor_kind: row.actorKind,
      actor_id: row.actorId,
      actor_name: row.actorName,
      method: row.method,
      address: row.address,
      user_agent: row.userAgent,
      request_id: row.requestId,
      operation: row.operation,
      resource_type: row.resourceType,
      resource: row.resource,
      project_id: row.projectId,
      outcome: row.outcome,
      detail: row.detail,
      hash,
    };
  });
  if (values.length === 0) return head.id;
  await trx.insertInto('audit_event').values(values).execute();
  await keepEnd(context, 'head', head);
  return head.id;
}

/**
 * Removes rows from the front that are older than `beforeMs`, at most `max` of them, and adds one that says so. The first younger one ends it, so that
 * no gap arises. Gives how many went.
 */
export async function removeOldAudit(context: CommandContext, args: { beforeMs: number; max: number; actor: string }): Promise<number> {
  const { trx, nowMs } = context;
  await lockChain(context);
  const { anchor } = await readChainEnds(trx);
  const oldest = await readAuditRows(trx, { afterId: anchor.id, limit: args.max });
  const young = oldest.findIndex((row) => row.atMs >= args.beforeMs);
  const gone = young === -1 ? oldest : oldest.slice(0, young);
  const last = gone.at(-1);
  if (last === undefined) return 0;
  await keepEnd(context, 'anchor', last);
  await trx.deleteFrom('audit_event').where('id', '<=', last.id).execute();
  const removed = { rows: gone.length, last_id: last.id, last_hash: last.hash, before: new Date(args.beforeMs).toISOString() };
  await recordAudit(context, {
    rows: [
      {
        atMs: nowMs,
        sinceMs: null,
        count: 1,
        actorKind: 'system',
        actorId: null,
        actorName: args.actor,
        method: 'internal',
        address: null,
        userAgent: null,
        requestId: null,
        operation: 'delete',
        resourceType: 'audit-log',
        resource: `rows up to ${last.id}`,
        projectId: null,
        outcome: 'success',
        detail: JSON.stringify({ after: removed }),
      },
    ],
  });
  return gone.length;
}

async function lockChain({ trx, dialect }: CommandContext): Promise<void> {
  if (dialect === 'postgres') await sql`select pg_advisory_xact_lock(${sql.lit(chainLock)})`.execute(trx);
}

async function keepEnd({ trx, nowMs }: CommandContext, name: 'head' | 'anchor', { id, hash }: ChainEnd): Promise<void> {
  await trx
    .insertInto('audit_chain')
    .values({ name, id, hash, at_ms: nowMs })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ id, hash, at_ms: nowMs }))
    .execute();
}
