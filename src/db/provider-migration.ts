// Schema step: identity providers (directories, issuers) as data, and who switched an account off.

import { type Kysely, sql } from 'kysely';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

export async function addIdentityProviders(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const id = sql.raw(postgres ? 'bigint generated always as identity primary key' : 'integer primary key autoincrement');
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  await sql`create table identity_provider (
    id ${id}, name ${text} not null unique, kind ${text} not null check (kind in ('ldap', 'oidc')), is_enabled ${number} not null,
    position ${number} not null, settings ${text} not null, secret ${text}, revision ${number} not null,
    created_at_ms ${number} not null, updated_at_ms ${number} not null)`.execute(db);
  await sql`alter table account add column disabled_by ${text}`.execute(db);
  await sql`create index account_provider on account (provider, id)`.execute(db);
}
