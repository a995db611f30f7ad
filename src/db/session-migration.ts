// Schema step: sessions of browsers, and logins through an identity provider that are under way.

import { type Kysely, sql } from 'kysely';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

export async function addSessions(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const id = sql.raw(postgres ? 'bigint generated always as identity primary key' : 'integer primary key autoincrement');
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  for (const statement of [
    sql`create table session (
      id ${id}, secret_hash ${text} not null unique, account_id ${number} not null references account (id) on delete cascade,
      account_epoch ${number} not null, provider ${text} not null, address ${text}, user_agent ${text} not null,
      created_at_ms ${number} not null, seen_at_ms ${number} not null, proved_at_ms ${number} not null, expires_at_ms ${number} not null)`,
    sql`create index session_account on session (account_id, id)`,
    sql`create index session_expiry on session (expires_at_ms)`,
    sql`create index session_seen on session (seen_at_ms)`,
    sql`create table login_attempt (
      state_hash ${text} primary key, browser_hash ${text} not null, provider ${text} not null,
      purpose ${text} not null check (purpose in ('login', 'step-up', 'onboard')), session_id ${number}, return_to ${text} not null,
      identity ${text}, expires_at_ms ${number} not null)`,
    sql`create index login_attempt_expiry on login_attempt (expires_at_ms, state_hash)`,
  ])
    await statement.execute(db);
}
