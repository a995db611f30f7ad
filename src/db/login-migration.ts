// Tables beside logins: the keys that sign registry tokens, and what is remembered of logins that failed or went well.

import { type Kysely, sql } from 'kysely';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

export async function addLoginTables(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  const statements = [
    sql`create table token_key (
      id ${text} primary key, private_key ${text} not null, created_at_ms ${number} not null, retires_at_ms ${number})`,
    sql`create index token_key_age on token_key (created_at_ms desc, id)`,
    sql`create table login_trace (
      place ${text} primary key, failures ${number} not null, failed_at_ms ${number} not null, succeeded_at_ms ${number} not null,
      expires_at_ms ${number} not null)`,
    sql`create index login_trace_expiry on login_trace (expires_at_ms)`,
  ];
  for (const statement of statements) await statement.execute(db);
}
