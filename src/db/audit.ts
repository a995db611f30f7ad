// Reading the audit log: pages by time, the ends of its chain, its rows in order. The commands are in audit-commands.ts.

import { type Kysely, type RawBuilder, sql } from 'kysely';
import { type AuditRow, type ChainEnd, genesis } from './audit-chain.ts';
import type { Dialect } from './context.ts';
import { conditionsOf, type ListColumns, type ListReader, type ListWish } from './listing.ts';
import type { Schema } from './schema.ts';

export type AuditField =
  | 'id'
  | 'op_time'
  | 'username'
  | 'operation'
  | 'resource_type'
  | 'resource'
  | 'project_id'
  | 'operation_result'
  | 'outcome';

/** Whose rows: all, those of any project, or those of these projects. */
export type AuditScope = 'all' | 'projects' | readonly number[];

export interface AuditWish {
  readonly scope: AuditScope;
  readonly conditions: ListWish<AuditField>['conditions'];
  /** The latest first when true. */
  readonly descending: boolean;
  readonly limit: number;
  readonly offset: number;
  /** Only what follows this row in the order. */
  readonly after?: { readonly atMs: number; readonly id: number };
}

const columns: ListColumns<AuditField> = {
  id: sql.ref('audit_event.id'),
  op_time: sql.ref('audit_event.at_ms'),
  username: sql.ref('audit_event.actor_name'),
  operation: sql.ref('audit_event.operation'),
  resource_type: sql.ref('audit_event.resource_type'),
  resource: sql.ref('audit_event.resource'),
  project_id: sql.ref('audit_event.project_id'),
  operation_result: sql`(case when audit_event.outcome = 'success' then 1 else 0 end)`,
  outcome: sql.ref('audit_event.outcome'),
};
/** Counted no further: the number of rows of a busy year would cost more than its page. */
export const auditCountMax = 100_000;

/** A page by time. */
export async function listAudit({ read, dialect }: ListReader, wish: AuditWish): Promise<AuditRow[]> {
  const { descending, after } = wish;
  let query = matching(read, dialect, wish);
  if (after !== undefined) {
    const sign = sql.raw(descending ? '<' : '>');
    query = query.where(sql<boolean>`(audit_event.at_ms, audit_event.id) ${sign} (${after.atMs}, ${after.id})`);
  }
  const direction = descending ? 'desc' : 'asc';
  const rows = await query.selectAll().orderBy('at_ms', direction).orderBy('id', direction).limit(wish.limit).offset(wish.offset).execute();
  return rows.map(toAuditRow);
}

/** How many match, at most `auditCountMax`. Of everything: exact, from the ends of the chain. */
export async function countAudit({ read, dialect }: ListReader, wish: Pick<AuditWish, 'scope' | 'conditions'>): Promise<number> {
  if (wish.scope === 'all' && wish.conditions.length === 0) {
    const { anchor, head } = await readChainEnds(read);
    return head.id - anchor.id;
  }
  const found = matching(read, dialect, wish).select('audit_event.id').limit(auditCountMax);
  const { rows } = await sql<{ count: number }>`select count(*) as count from (${found}) as found`.execute(read);
  return Number(rows[0]?.count ?? 0);
}

/** The row before the first one that is kept, and the last one. */
export async function readChainEnds(read: Kysely<Schema>): Promise<{ anchor: ChainEnd; head: ChainEnd }> {
  const rows = await read.selectFrom('audit_chain').select(['name', 'id', 'hash']).execute();
  const anchor = rows.find((row) => row.name === 'anchor') ?? genesis;
  return { anchor, head: rows.find((row) => row.name === 'head') ?? anchor };
}

/** Rows behind `afterId`, in the order of the chain. */
export async function readAuditRows(read: Kysely<Schema>, wish: { afterId: number; limit: number }): Promise<AuditRow[]> {
  const rows = await read.selectFrom('audit_event').selectAll().where('id', '>', wish.afterId).orderBy('id').limit(wish.limit).execute();
  return rows.map(toAuditRow);
}

function matching(read: Kysely<Schema>, dialect: Dialect, { scope, conditions }: Pick<AuditWish, 'scope' | 'conditions'>) {
  return read
    .selectFrom('audit_event')
    .where(scopeCondition(scope, dialect))
    .where(conditionsOf(conditions, columns, dialect));
}

function scopeCondition(scope: AuditScope, dialect: Dialect): RawBuilder<boolean> {
  if (scope === 'all') return sql<boolean>`1 = 1`;
  if (scope === 'projects') return sql<boolean>`audit_event.project_id is not null`;
  const [only, ...others] = scope;
  if (only === undefined) return sql<boolean>`1 = 0`;
  if (others.length === 0) return sql<boolean>`audit_event.project_id = ${only}`;
  const ids = JSON.stringify(scope);
  return dialect === 'postgres'
    ? sql<boolean>`audit_event.project_id in (select value::bigint from json_array_elements_text(${ids}::json) as listed (value))`
    : sql<boolean>`audit_event.project_id in (select value from json_each(${ids}))`;
}

function toAuditRow(row: Schema['audit_event']): AuditRow {
  return {
    id: Number(row.id),
    atMs: Number(row.at_ms),
    sinceMs: row.since_ms === null ? null : Number(row.since_ms),
    count: Number(row.count),
    actorKind: row.actor_kind,
    actorId: row.actor_id,
    actorName: row.actor_name,
    method: row.method,
    address: row.address,
    userAgent: row.user_agent,
    requestId: row.request_id,
    operation: row.operation,
    resourceType: row.resource_type,
    resource: row.resource,
    projectId: row.project_id === null ? null : Number(row.project_id),
    outcome: row.outcome,
    detail: row.detail,
    hash: row.hash,
  };
}
