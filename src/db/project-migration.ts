// Schema step: what people say about projects and registries (metadata, labels), and the settings of the server that are changed while it runs.

import { type Kysely, sql } from 'kysely';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

export async function addProjectWords(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const id = sql.raw(postgres ? 'bigint generated always as identity primary key' : 'integer primary key autoincrement');
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  const statements = [
    sql`alter table project add column cve_allowlist ${text}`,
    sql`create table project_metadata (
      project_id ${number} not null references project (id) on delete cascade, name ${text} not null, value ${text} not null,
      primary key (project_id, name))`,
    sql`create table label (
      id ${id}, name ${text} not null, description ${text} not null, color ${text} not null,
      project_id ${number} references project (id) on delete cascade, created_at_ms ${number} not null, updated_at_ms ${number} not null)`,
    sql`create unique index label_global on label (name) where project_id is null`,
    sql`create unique index label_project on label (project_id, name) where project_id is not null`,
    sql`create table setting (name ${text} primary key, value ${text} not null, updated_at_ms ${number} not null)`,
    sql`create table registry_entry (
      id ${id}, registry ${text} not null unique references source_registry (name) on delete cascade, title ${text} unique,
      type ${text} not null, description ${text} not null)`,
    sql`insert into registry_entry (registry, type, description) select name, ${sql.lit('docker-registry')}, ${sql.lit('')} from source_registry order by name`,
    sql`update registry_entry set type = ${sql.lit('docker-hub')} where registry = ${sql.lit('docker.io')}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
