// Schema step: the audit log, and the two ends of its chain.

import { type Kysely, sql } from 'kysely';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

export async function addAudit(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  const statements = [
    sql`create table audit_event (
      id ${number} primary key, at_ms ${number} not null, since_ms ${number}, count ${number} not null,
      actor_kind ${text} not null, actor_id ${text}, actor_name ${text} not null, method ${text} not null,
      address ${text}, user_agent ${text}, request_id ${text},
      operation ${text} not null, resource_type ${text} not null, resource ${text} not null, project_id ${number},
      outcome ${text} not null check (outcome in ('success', 'denied', 'failed')), detail ${text}, hash ${text} not null)`,
    sql`create index audit_event_time on audit_event (at_ms, id)`,
    sql`create index audit_event_project on audit_event (project_id, at_ms, id)`,
    sql`create index audit_event_actor on audit_event (actor_name, at_ms, id)`,
    sql`create index audit_event_operation on audit_event (operation, at_ms, id)`,
    sql`create index audit_event_type on audit_event (resource_type, at_ms, id)`,
    sql`create table audit_chain (
      name ${text} primary key check (name in ('head', 'anchor')), id ${number} not null, hash ${text} not null, at_ms ${number} not null)`,
  ];
  for (const statement of statements) await statement.execute(db);
}
