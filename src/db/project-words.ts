// What is said about projects beside their name and kind: visibility, Harbor's metadata, accepted vulnerabilities; and what a page of them shows.

import { type Kysely, sql } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import { type Project, projectColumns, toProject } from './projects.ts';
import type { Schema } from './schema.ts';

export interface ProjectDetails {
  /** Undefined: made by the server itself, or its account is gone. */
  readonly ownerName: string | undefined;
  readonly repositoryCount: number;
  /** Without `public`, which is the project's own. */
  readonly metadata: ReadonlyMap<string, string>;
  /** JSON as it was given. */
  readonly cveAllowlist: string | undefined;
}

/** By id, of the projects that there are; `ids` are those of one page. */
export async function readProjectDetails(read: Kysely<Schema>, ids: readonly number[]): Promise<ReadonlyMap<number, ProjectDetails>> {
  if (ids.length === 0) return new Map();
  const rows = await read
    .selectFrom('project')
    .select((select) => [
      'project.id',
      'project.cve_allowlist',
      select.selectFrom('account').select('account.name').whereRef('account.id', '=', 'project.owner_id').as('owner_name'),
      select
        .selectFrom('repository')
        .select((count) => count.fn.countAll<number>().as('count'))
        .whereRef('repository.project_id', '=', 'project.id')
        .as('repository_count'),
    ])
    .where('project.id', 'in', ids)
    .execute();
  const words = await read.selectFrom('project_metadata').selectAll().where('project_id', 'in', ids).execute();
  const metadata = Map.groupBy(words, (word) => word.project_id);
  return new Map(
    rows.map((row) => [
      row.id,
      {
        ownerName: row.owner_name ?? undefined,
        repositoryCount: Number(row.repository_count ?? 0),
        metadata: new Map((metadata.get(row.id) ?? []).map(({ name, value }) => [name, value])),
        cveAllowlist: row.cve_allowlist ?? undefined,
      },
    ]),
  );
}

/** The roles that an account has in each of the projects, itself or through a group, by the project's id. */
export async function readOwnRoles(
  read: Kysely<Schema>,
  { accountId, ids }: { accountId: number; ids: readonly number[] },
): Promise<ReadonlyMap<number, readonly number[]>> {
  if (ids.length === 0) return new Map();
  const own = await read
    .selectFrom('project_member')
    .select(['project_id', 'role_id'])
    .where('account_id', '=', accountId)
    .where('project_id', 'in', ids)
    .execute();
  const byGroup = await read
    .selectFrom('account_group')
    .innerJoin('project_member', 'project_member.group_id', 'account_group.group_id')
    .select(['project_member.project_id', 'project_member.role_id'])
    .where('account_group.account_id', '=', accountId)
    .where('project_member.project_id', 'in', ids)
    .execute();
  return new Map([...Map.groupBy([...own, ...byGroup], (row) => row.project_id)].map(([id, rows]) => [id, rows.map((row) => row.role_id)]));
}

/** How many members of each role a project has, by the role's id. */
export async function countMembers(read: Kysely<Schema>, projectId: number): Promise<ReadonlyMap<number, number>> {
  const rows = await read
    .selectFrom('project_member')
    .select((select) => ['role_id', select.fn.countAll<number>().as('count')])
    .where('project_id', '=', projectId)
    .groupBy('role_id')
    .execute();
  return new Map(rows.map(({ role_id, count }) => [role_id, Number(count)]));
}

export interface ProjectChange {
  readonly id: number;
  readonly isPublic?: boolean;
  readonly allowsSparse?: boolean;
  /** JSON. */
  readonly cveAllowlist?: string;
  readonly metadata?: readonly { readonly name: string; readonly value: string }[];
  readonly removedMetadata?: readonly string[];
}

/** NAME_UNKNOWN when it is gone. A project that is made private takes back the tokens that were made while it was public. */
export async function changeProject({ trx, nowMs, dialect }: CommandContext, args: ProjectChange): Promise<Project> {
  let find = trx.selectFrom('project').select(['is_public']).where('id', '=', args.id);
  if (dialect === 'postgres') find = find.forUpdate();
  const before = await find.executeTakeFirst();
  if (before === undefined) throw new OciError('NAME_UNKNOWN', 'there is no such project any more');
  const isHidden = args.isPublic === false && before.is_public === 1;
  const row = await trx
    .updateTable('project')
    .set({
      updated_at_ms: nowMs,
      ...(args.isPublic === undefined ? {} : { is_public: args.isPublic ? 1 : 0 }),
      ...(args.allowsSparse === undefined ? {} : { allows_sparse: args.allowsSparse ? 1 : 0 }),
      ...(args.cveAllowlist === undefined ? {} : { cve_allowlist: args.cveAllowlist }),
      ...(isHidden ? { epoch: sql<number>`epoch + 1` } : {}),
    })
    .where('id', '=', args.id)
    .returning(projectColumns)
    .executeTakeFirstOrThrow();
  for (const { name, value } of args.metadata ?? []) {
    await trx
      .insertInto('project_metadata')
      .values({ project_id: args.id, name, value })
      .onConflict((conflict) => conflict.columns(['project_id', 'name']).doUpdateSet({ value }))
      .execute();
  }
  for (const name of args.removedMetadata ?? [])
    await trx.deleteFrom('project_metadata').where('project_id', '=', args.id).where('name', '=', name).execute();
  return toProject(row);
}
