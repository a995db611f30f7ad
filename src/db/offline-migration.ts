// Schema step: pinned images, warm-up runs, and when a blob was last used.

import { type Kysely, sql } from 'kysely';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

export async function addOffline(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  for (const statement of [
    sql`create table pin (
      set_name ${text} not null, image ${text} not null, platforms ${text} not null, repository ${text} not null, reference ${text} not null,
      created_at_ms ${number} not null, primary key (set_name, image))`,
    sql`create index pin_repository on pin (repository, reference)`,
    sql`create table warmup (
      id ${text} primary key, name ${text}, state ${text} not null check (state in ('active', 'done', 'failed', 'cancelled')),
      spec ${text} not null, result ${text}, created_at_ms ${number} not null, ended_at_ms ${number})`,
    sql`alter table blob add column used_at_ms ${number}`,
  ])
    await statement.execute(db);
}
