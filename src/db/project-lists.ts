// Lists of projects, as far as the asker may see them: what may not be seen is neither given nor counted.

import { type RawBuilder, sql } from 'kysely';
import { conditionsOf, type ListColumns, type ListReader, type ListWish, orderOf } from './listing.ts';
import { type Project, type ProjectRow, projectColumns, toProject } from './projects.ts';

/** Which projects somebody may see: all, or the public ones if so and those of the ids. */
export type ProjectScope = 'all' | { readonly publicToo: boolean; readonly ids: readonly number[] };
export type ProjectField = 'project_id' | 'name' | 'public' | 'owner' | 'kind' | 'registry' | 'creation_time' | 'update_time';

const columns: ListColumns<ProjectField> = {
  project_id: sql.ref('project.id'),
  name: sql.ref('project.name'),
  public: sql.ref('project.is_public'),
  owner: sql`(select account.name from account where account.id = project.owner_id)`,
  kind: sql.ref('project.kind'),
  registry: sql.ref('project.registry'),
  creation_time: sql.ref('project.created_at_ms'),
  update_time: sql.ref('project.updated_at_ms'),
};

/** One page, by name unless ordered otherwise, and the number of all that match. */
export async function listProjectPage(
  { read, dialect }: ListReader,
  { scope, wish }: { scope: ProjectScope; wish: ListWish<ProjectField> },
): Promise<{ projects: Project[]; count: number }> {
  const matching = read
    .selectFrom('project')
    .where(scopeCondition(scope, dialect))
    .where(conditionsOf(wish.conditions, columns, dialect));
  const { count } = await matching.select((select) => select.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
  const rows: ProjectRow[] = await matching
    .select(projectColumns)
    .orderBy(orderOf(wish.order, columns, { field: 'name', descending: false }))
    .limit(wish.limit)
    .offset(wish.offset)
    .execute();
  return { projects: rows.map(toProject), count: Number(count) };
}

/** For queries on `project`: only those of the scope. */
export function scopeCondition(scope: ProjectScope, dialect: ListReader['dialect']): RawBuilder<boolean> {
  if (scope === 'all') return sql<boolean>`1 = 1`;
  const ids = JSON.stringify(scope.ids);
  const listed =
    dialect === 'postgres'
      ? sql<boolean>`project.id in (select value::bigint from json_array_elements_text(${ids}::json) as listed (value))`
      : sql<boolean>`project.id in (select value from json_each(${ids}))`;
  return scope.publicToo ? sql<boolean>`(project.is_public = 1 or ${listed})` : listed;
}
