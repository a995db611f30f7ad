// The history of the schema, one entry per step, run in order inside a transaction at boot. An entry that has been released is never
// edited. A database that holds a step this program does not know is refused: an older program never opens a newer schema.

import { type Kysely, type Migration, type MigrationProvider, Migrator, sql } from 'kysely';
import { addAccess } from './access-migration.ts';
import { addArtifacts } from './artifact-migration.ts';
import { addAudit } from './audit-migration.ts';
import type { Dialect } from './context.ts';
import { addCredentials } from './credential-migration.ts';
import { addIdentity } from './identity-migration.ts';
import { addLoginTables } from './login-migration.ts';
import { addOffline } from './offline-migration.ts';
import { addProjectWords } from './project-migration.ts';
import { addIdentityProviders } from './provider-migration.ts';
import type { Schema } from './schema.ts';
import { addSessions } from './session-migration.ts';
import { addSourceHistory } from './source-history.ts';

/** Brings the schema up to date; throws when the database is newer than the program. */
export async function migrate(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const steps = migrations(dialect);
  const provider: MigrationProvider = { getMigrations: async () => steps };
  const migrator = new Migrator({ db, provider });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  const text = error instanceof Error ? error.message : String(error);
  if (text.includes('corrupted migrations'))
    throw new Error(`the database was written by a newer Breakwater; start that version, or restore a backup (${text})`);
  throw error;
}

/** The newest step that this program knows. */
export function latestMigration(dialect: Dialect): string {
  return Object.keys(migrations(dialect)).toSorted().at(-1) ?? '';
}

function migrations(dialect: Dialect): Record<string, Migration> {
  return {
    '0001-first': { up: (db) => first(db as Kysely<Schema>, dialect) },
    '0002-sources': { up: (db) => addSources(db as Kysely<Schema>, dialect) },
    '0003-offline': { up: (db) => addOffline(db as Kysely<Schema>, dialect) },
    '0004-mirror-words': { up: (db) => addMirrorWords(db as Kysely<Schema>, dialect) },
    '0005-source-history': { up: (db) => addSourceHistory(db as Kysely<Schema>, dialect) },
    '0006-identity': { up: (db) => addIdentity(db as Kysely<Schema>, dialect) },
    '0007-identity-providers': { up: (db) => addIdentityProviders(db as Kysely<Schema>, dialect) },
    '0008-project-words': { up: (db) => addProjectWords(db as Kysely<Schema>, dialect) },
    '0009-artifacts': { up: (db) => addArtifacts(db as Kysely<Schema>, dialect) },
    '0010-credentials': { up: (db) => addCredentials(db as Kysely<Schema>, dialect) },
    '0014-audit': { up: (db) => addAudit(db as Kysely<Schema>, dialect) },
    '0016-logins': { up: (db) => addLoginTables(db as Kysely<Schema>, dialect) },
    '0011-sessions': { up: (db) => addSessions(db as Kysely<Schema>, dialect) },
    '0017-access': { up: (db) => addAccess(db as Kysely<Schema>, dialect) },
  };
}

async function first(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const id = sql.raw(postgres ? 'bigint generated always as identity primary key' : 'integer primary key autoincrement');
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  const bytes = sql.raw(postgres ? 'bytea' : 'blob');
  const statements = [
    sql`create table meta (key ${text} primary key, value ${text} not null)`,
    sql`create table project (
      id ${id}, name ${text} not null unique, kind ${text} not null check (kind in ('local', 'mirror', 'overlay')), is_public ${number} not null,
      registry ${text}, allows_sparse ${number} not null, created_at_ms ${number} not null, updated_at_ms ${number} not null)`,
    sql`create table repository (
      id ${id}, project_id ${number} not null references project (id) on delete cascade, name ${text} not null unique,
      created_at_ms ${number} not null, pushed_at_ms ${number}, pulled_at_ms ${number})`,
    sql`create index repository_project on repository (project_id, name)`,
    sql`create table blob (
      digest ${text} primary key, generation ${number} not null, storage_key ${text} not null unique, size_bytes ${number} not null,
      state ${text} not null check (state in ('live', 'condemned', 'corrupt')), origin ${text} not null check (origin in ('public', 'restricted')),
      lease_until_ms ${number} not null, touch_epoch ${number} not null, created_at_ms ${number} not null)`,
    sql`create table repository_blob (
      repository_id ${number} not null references repository (id) on delete cascade, digest ${text} not null references blob (digest),
      linked_at_ms ${number} not null, trail ${text}, primary key (repository_id, digest))`,
    sql`create index repository_blob_digest on repository_blob (digest)`,
    sql`create table manifest (
      id ${id}, repository_id ${number} not null references repository (id) on delete cascade, digest ${text} not null, media_type ${text} not null,
      artifact_type ${text}, subject_digest ${text}, annotations ${text} not null, size_bytes ${number} not null,
      state ${text} not null check (state in ('live', 'condemned', 'corrupt')), lease_until_ms ${number} not null,
      pushed_at_ms ${number} not null, pulled_at_ms ${number}, trail ${text}, bytes ${bytes} not null, unique (repository_id, digest))`,
    sql`create index manifest_subject on manifest (repository_id, subject_digest, digest) where subject_digest is not null`,
    sql`create table manifest_ref (
      manifest_id ${number} not null references manifest (id) on delete cascade, repository_id ${number} not null, digest ${text} not null,
      kind ${text} not null check (kind in ('config', 'layer', 'manifest')), size_bytes ${number} not null, is_present ${number} not null,
      primary key (manifest_id, digest, kind))`,
    sql`create index manifest_ref_digest on manifest_ref (digest, repository_id)`,
    sql`create index manifest_ref_absent on manifest_ref (digest, repository_id) where is_present = 0`,
    sql`create table tag (
      id ${id}, repository_id ${number} not null references repository (id) on delete cascade, name ${text} not null, name_folded ${text} not null,
      digest ${text} not null, created_at_ms ${number} not null, pushed_at_ms ${number} not null, pulled_at_ms ${number},
      verified_at_ms ${number}, checked_at_ms ${number}, trust ${text} not null check (trust in ('confirmed', 'unconfirmed')), trail ${text},
      unique (repository_id, name), foreign key (repository_id, digest) references manifest (repository_id, digest))`,
    sql`create index tag_order on tag (repository_id, name_folded, name)`,
    sql`create index tag_digest on tag (repository_id, digest)`,
    sql`create table upload (
      id ${text} primary key, repository_id ${number} not null references repository (id) on delete cascade, principal ${text} not null,
      algorithm ${text} not null, created_at_ms ${number} not null, expires_at_ms ${number} not null)`,
    sql`create index upload_expiry on upload (expires_at_ms)`,
    sql`create index upload_repository on upload (repository_id)`,
    sql`create index upload_principal on upload (principal)`,
    sql`create table account (
      id ${id}, name ${text} not null unique, password_hash ${text} not null, is_admin ${number} not null, created_at_ms ${number} not null)`,
    sql`create table gc_queue (digest ${text} primary key, review_after_ms ${number} not null, reason ${text} not null)`,
    sql`create index gc_queue_due on gc_queue (review_after_ms)`,
  ];
  for (const statement of statements) await statement.execute(db);
}

async function addSources(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const id = sql.raw(postgres ? 'bigint generated always as identity primary key' : 'integer primary key autoincrement');
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  const origin = sql.raw("check (origin in ('config', 'preset', 'api'))");
  const statements = [
    sql`create table source_registry (
      name ${text} primary key, is_public ${number}, is_restricted ${number} not null, origin ${text} not null ${origin},
      created_at_ms ${number} not null, updated_at_ms ${number} not null)`,
    sql`create table source (
      id ${id}, registry ${text} not null references source_registry (name) on delete cascade, url ${text} not null,
      trust ${text} not null check (trust in ('authority', 'digest-only')), priority ${number} not null, is_enabled ${number} not null,
      credentials ${text} not null, details ${text} not null, origin ${text} not null ${origin},
      created_at_ms ${number} not null, updated_at_ms ${number} not null, unique (registry, url))`,
    sql`create index source_order on source (registry, priority, id)`,
    sql`create table source_seed (registry ${text} not null, url ${text} not null, hash ${text} not null, primary key (registry, url))`,
  ];
  for (const statement of statements) await statement.execute(db);
}

/** What a registry said and must outlive a restart and an outage: that a tag is gone (its row stays), and what refers to a manifest. */
async function addMirrorWords(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  await sql`alter table tag add column removed_at_ms ${number}`.execute(db);
  // A page of tags is read from the index alone.
  await sql`drop index tag_order`.execute(db);
  await sql`create index tag_order on tag (repository_id, name_folded, name) where removed_at_ms is null`.execute(db);
  await sql`create table listed_referrers (
    repository_id ${number} not null references repository (id) on delete cascade, subject_digest ${text} not null,
    descriptors ${text} not null, listed_at_ms ${number} not null, primary key (repository_id, subject_digest))`.execute(db);
}
