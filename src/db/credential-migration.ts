// Schema step: secrets of users for programs, rules for the tokens of CI systems, and what those were exchanged for.

import { type Kysely, sql } from 'kysely';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

export async function addCredentials(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const id = sql.raw(postgres ? 'bigint generated always as identity primary key' : 'integer primary key autoincrement');
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  const statements = [
    sql`create table account_secret (
      id ${id}, account_id ${number} not null references account (id) on delete cascade, name ${text} not null,
      reach ${text} not null check (reach in ('registry', 'api')), secret_hash ${text} not null, created_at_ms ${number} not null,
      expires_at_ms ${number}, last_used_at_ms ${number}, last_used_address ${text}, unique (account_id, name), unique (secret_hash, account_id))`,
    sql`create table workload_rule (
      id ${id}, name ${text} not null unique, description ${text} not null, issuer ${text} not null, audience ${text} not null,
      claims ${text} not null, permissions ${text} not null, lifetime_ms ${number} not null, is_disabled ${number} not null,
      is_single_use ${number} not null, keys ${text} not null, creator ${text} not null, epoch ${number} not null,
      created_at_ms ${number} not null, updated_at_ms ${number} not null, last_used_at_ms ${number}, last_used_address ${text})`,
    sql`create index workload_rule_issuer on workload_rule (issuer, id)`,
    sql`create table workload_login (
      secret_hash ${text} primary key, rule_id ${number} not null references workload_rule (id) on delete cascade, subject ${text} not null,
      token_hash ${text} unique, created_at_ms ${number} not null, expires_at_ms ${number} not null)`,
    sql`create index workload_login_expiry on workload_login (expires_at_ms)`,
    sql`create index workload_login_rule on workload_login (rule_id)`,
  ];
  for (const statement of statements) await statement.execute(db);
}
