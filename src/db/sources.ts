// Registries and their sources as rows: where content may be fetched from, changed while the server runs. Reads; the writes are in
// source-commands.ts. Passwords that were given inline are in `credentials`, sealed (registry/source-secrets.ts).

import type { Kysely } from 'kysely';
import type { Schema, SourceOrigin } from './schema.ts';

/** One login of a source. Exactly one of `sealed`, `passwordFile`, `passwordEnv` with a `username`, or a `helper` program that prints both. */
export interface StoredCredential {
  readonly username?: string;
  /** The password, sealed for the place of this row (registry, URL) and its index in the list. */
  readonly sealed?: string;
  /** Path of a file, read when it is needed. */
  readonly passwordFile?: string;
  /** Name of an environment variable of the server. */
  readonly passwordEnv?: string;
  /** Program and arguments. */
  readonly helper?: readonly string[];
}

/** What is kept as one JSON text: nothing is searched by it. */
export interface SourceDetails {
  readonly proxy?: string;
  readonly tls?: { readonly ca?: string; readonly insecure: boolean };
  readonly realms: readonly string[];
  readonly allowPrivate: boolean;
  readonly limits?: { readonly connections?: number; readonly requestsPerMinute?: number; readonly bytesPerSecond?: number };
  /** Glob patterns on repository names inside the registry. */
  readonly scope?: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  readonly operator?: string;
}

export interface SourceValues {
  /** The whole address, without user, query and slash at the end. Unique in its registry. */
  readonly url: string;
  readonly trust: 'authority' | 'digest-only';
  /** Lower is asked first. */
  readonly priority: number;
  readonly isEnabled: boolean;
  readonly credentials: readonly StoredCredential[];
  readonly details: SourceDetails;
}

export interface SourceRecord extends SourceValues {
  readonly id: number;
  readonly registry: string;
  readonly origin: SourceOrigin;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export interface RegistryRecord {
  readonly name: string;
  /** What the operator said; undefined: public unless it is or was restricted. */
  readonly isPublic: boolean | undefined;
  /** A source has, or had until the file changed, credentials: what they open is not for everybody. */
  readonly isRestricted: boolean;
  readonly origin: SourceOrigin;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Its number, and what clients of Harbor's API say about it: the name they gave it, its kind, a description. */
  readonly id: number;
  readonly title: string | undefined;
  readonly type: string;
  readonly description: string;
}

/** All registries by name. Their number is limited (`registriesMax`). */
export async function listSourceRegistries(read: Kysely<Schema>): Promise<RegistryRecord[]> {
  const rows = await read
    .selectFrom('source_registry')
    .innerJoin('registry_entry', 'registry_entry.registry', 'source_registry.name')
    .selectAll('source_registry')
    .select(['registry_entry.id', 'registry_entry.title', 'registry_entry.type', 'registry_entry.description'])
    .orderBy('source_registry.name')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    title: row.title ?? undefined,
    type: row.type,
    description: row.description,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
    name: row.name,
    isPublic: row.is_public === null ? undefined : row.is_public === 1,
    isRestricted: row.is_restricted === 1,
    origin: row.origin,
  }));
}

/** All sources, or those of one registry, by registry, priority and id. */
export async function listSources(read: Kysely<Schema>, registry?: string): Promise<SourceRecord[]> {
  let query = read.selectFrom('source').selectAll();
  if (registry !== undefined) query = query.where('registry', '=', registry);
  const rows = await query.orderBy('registry').orderBy('priority').orderBy('id').execute();
  return rows.map(toSourceRecord);
}

export async function findSource(read: Kysely<Schema>, id: number): Promise<SourceRecord | undefined> {
  const row = await read.selectFrom('source').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : toSourceRecord(row);
}

export async function findSourceByUrl(read: Kysely<Schema>, registry: string, url: string): Promise<SourceRecord | undefined> {
  const row = await read.selectFrom('source').selectAll().where('registry', '=', registry).where('url', '=', url).executeTakeFirst();
  return row === undefined ? undefined : toSourceRecord(row);
}

/** A login as a row of an older version holds it. */
interface PlainCredential {
  readonly username?: string;
  readonly password?: string;
}

/** Sources whose passwords lie in the row as they were given: written by a version that did not seal them. */
export async function listPlainCredentials(
  read: Kysely<Schema>,
): Promise<readonly { registry: string; url: string; text: string; credentials: readonly PlainCredential[] }[]> {
  const rows = await read
    .selectFrom('source')
    .select(['registry', 'url', 'credentials'])
    .where('credentials', 'like', '%"password":%')
    .execute();
  return rows.map(({ registry, url, credentials }) => ({
    registry,
    url,
    text: credentials,
    credentials: JSON.parse(credentials) as PlainCredential[],
  }));
}

/** The columns that hold the values. */
export function sourceColumns(values: SourceValues) {
  return {
    url: values.url,
    trust: values.trust,
    priority: values.priority,
    is_enabled: values.isEnabled ? 1 : 0,
    credentials: JSON.stringify(values.credentials),
    details: JSON.stringify(values.details),
  };
}

type SourceRow = Omit<Schema['source'], 'id'> & { id: number };

function toSourceRecord(row: SourceRow): SourceRecord {
  return {
    id: row.id,
    registry: row.registry,
    url: row.url,
    trust: row.trust,
    priority: row.priority,
    isEnabled: row.is_enabled === 1,
    credentials: JSON.parse(row.credentials) as StoredCredential[],
    details: JSON.parse(row.details) as SourceDetails,
    origin: row.origin,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
  };
}
