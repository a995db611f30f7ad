// Lists of repositories, as far as the asker may see them: what may not be seen is neither given nor counted. A repository is listed from its
// first manifest on. Lists by creation and by name walk an index; other orders sort the repositories that may be seen. A search for a part of
// a name reads the names of those (10,000 of them in a few milliseconds), never their content.

import { type Kysely, type RawBuilder, sql } from 'kysely';
import { conditionsOf, type ListColumns, type ListReader, type ListWish, orderOf } from './listing.ts';
import type { ProjectScope } from './project-lists.ts';
import type { Schema } from './schema.ts';

export interface RepositoryRecord {
  readonly id: number;
  readonly projectId: number;
  /** The full name. */
  readonly name: string;
  readonly description: string;
  readonly artifactCount: number;
  readonly pullCount: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}
export type RepositoryField =
  | 'id'
  | 'name'
  | 'project_id'
  | 'creation_time'
  | 'update_time'
  | 'pull_count'
  | 'artifact_count'
  | 'description';
/** The repositories of one project, all of them, or those of a scope and some by id. */
export type RepositoryScope = 'all' | { readonly projectId: number } | { readonly projects: ProjectScope; readonly ids: readonly number[] };

const columns: ListColumns<RepositoryField> = {
  id: sql.ref('repository.id'),
  name: sql.ref('repository.name'),
  project_id: sql.ref('repository.project_id'),
  creation_time: sql.ref('repository.created_at_ms'),
  update_time: sql.ref('repository.updated_at_ms'),
  pull_count: sql.ref('repository.pull_count'),
  artifact_count: sql.ref('repository.artifact_count'),
  description: sql.ref('repository.description'),
};

/** One page, the newest first unless ordered otherwise, and the number of all that match. */
export async function listRepositoryPage(
  { read, dialect }: ListReader,
  { scope, wish }: { scope: RepositoryScope; wish: ListWish<RepositoryField> },
): Promise<{ repositories: RepositoryRecord[]; count: number }> {
  const matching = read
    .selectFrom('repository')
    .where('pushed_at_ms', 'is not', null)
    .where(scopeCondition(scope, dialect))
    .where(conditionsOf(wish.conditions, columns, dialect));
  const { count } = await matching.select((select) => select.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
  const first = wish.order[0] ?? { field: 'creation_time', descending: true };
  const rows = await matching
    .select(shown)
    .orderBy(orderOf(wish.order.length === 0 ? [first] : wish.order, columns, { field: 'id', descending: first.descending }))
    .limit(wish.limit)
    .offset(wish.offset)
    .execute();
  return { repositories: rows.map(toRecord), count: Number(count) };
}

/** By its full name; undefined also for one that never held a manifest. */
export async function findRepository(read: Kysely<Schema>, name: string): Promise<RepositoryRecord | undefined> {
  const row = await read
    .selectFrom('repository')
    .select(shown)
    .where('name', '=', name)
    .where('pushed_at_ms', 'is not', null)
    .executeTakeFirst();
  return row === undefined ? undefined : toRecord(row);
}

/** Names and ids of the repositories whose name begins so, at most `limit`: for rights that are given by a pattern. */
export async function listRepositoryNames(
  read: Kysely<Schema>,
  { prefix, limit }: { prefix: string; limit: number },
): Promise<{ readonly id: number; readonly name: string }[]> {
  let query = read.selectFrom('repository').select(['id', 'name']).where('name', '>=', prefix).orderBy('name').limit(limit);
  // Names are ASCII: what begins with the prefix sorts before the prefix with a byte above all of them.
  if (prefix !== '') query = query.where('name', '<', `${prefix}\u007f`);
  return query.execute();
}

const shown = [
  'id',
  'project_id as projectId',
  'name',
  'description',
  'artifact_count as artifactCount',
  'pull_count as pullCount',
  'created_at_ms as createdAtMs',
  'pushed_at_ms as pushedAtMs',
  'updated_at_ms as updatedAtMs',
] as const;

function toRecord(
  row: Omit<RepositoryRecord, 'updatedAtMs'> & { pushedAtMs: number | null; updatedAtMs: number | null },
): RepositoryRecord {
  const { pushedAtMs, updatedAtMs, ...rest } = row;
  return { ...rest, updatedAtMs: updatedAtMs ?? pushedAtMs ?? rest.createdAtMs };
}

function scopeCondition(scope: RepositoryScope, dialect: ListReader['dialect']): RawBuilder<boolean> {
  if (scope === 'all' || ('projects' in scope && scope.projects === 'all')) return sql<boolean>`1 = 1`;
  if ('projectId' in scope) return sql<boolean>`repository.project_id = ${scope.projectId}`;
  const { projects, ids } = scope;
  const parts: RawBuilder<boolean>[] = [];
  if (projects !== 'all') {
    const open = projects.publicToo ? sql`select id from project where is_public = 1 union ` : sql``;
    parts.push(sql<boolean>`repository.project_id in (${open}${values(projects.ids, dialect)})`);
  }
  if (ids.length > 0) parts.push(sql<boolean>`repository.id in (${values(ids, dialect)})`);
  return sql<boolean>`(${sql.join(parts, sql` or `)})`;
}

/** A list of numbers as one value, however long it is. */
function values(ids: readonly number[], dialect: ListReader['dialect']): RawBuilder<unknown> {
  const list = JSON.stringify(ids);
  return dialect === 'postgres'
    ? sql`select value::bigint from json_array_elements_text(${list}::json) as listed (value)`
    : sql`select value from json_each(${list})`;
}
