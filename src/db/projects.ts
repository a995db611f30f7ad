// Projects and repositories: queries and commands.

import type { Kysely } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import type { Preparer } from './prepared.ts';
import type { ProjectKind, Schema } from './schema.ts';

export interface Project {
  readonly id: number;
  readonly name: string;
  readonly kind: ProjectKind;
  readonly isPublic: boolean;
  readonly registry: string | undefined;
  readonly allowsSparse: boolean;
  /** Tokens made for an earlier one open nothing any more. */
  readonly epoch: number;
  readonly ownerId: number | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export interface ProjectRow {
  id: number;
  name: string;
  kind: ProjectKind;
  is_public: number;
  registry: string | null;
  allows_sparse: number;
  epoch: number;
  owner_id: number | null;
  created_at_ms: number;
  updated_at_ms: number;
}

export const projectColumns = [
  'id',
  'name',
  'kind',
  'is_public',
  'registry',
  'allows_sparse',
  'epoch',
  'owner_id',
  'created_at_ms',
  'updated_at_ms',
] as const;

export interface ProjectQueries {
  byName(name: string): Promise<Project | undefined>;
  /** The mirror of a registry: the oldest project of kind mirror bound to it. */
  mirrorOf(registry: string): Promise<Project | undefined>;
}

/** The queries that every request makes, compiled once. */
export function prepareProjectQueries(database: Preparer): ProjectQueries {
  const byName = database.prepare<{ name: string }, ProjectRow>((read, value) =>
    selectProject(read).where('name', '=', value('name')).compile(),
  );
  const mirrorOf = database.prepare<{ registry: string }, ProjectRow>((read, value) =>
    selectProject(read).where('registry', '=', value('registry')).where('kind', '=', 'mirror').orderBy('id').limit(1).compile(),
  );
  return {
    byName: async (name) => toProjectIf(await byName.first({ name })),
    mirrorOf: async (registry) => toProjectIf(await mirrorOf.first({ registry })),
  };
}

export async function listProjects(read: Kysely<Schema>): Promise<Project[]> {
  const rows = await selectProject(read).orderBy('name').execute();
  return rows.map(toProject);
}

export async function findProject(read: Kysely<Schema>, id: number): Promise<Project | undefined> {
  return toProjectIf(await selectProject(read).where('id', '=', id).executeTakeFirst());
}

export async function getMeta(read: Kysely<Schema>, key: string): Promise<string | undefined> {
  const row = await read.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst();
  return row?.value;
}

export async function setMeta({ trx }: CommandContext, args: { key: string; value: string }): Promise<void> {
  await trx
    .insertInto('meta')
    .values(args)
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: args.value }))
    .execute();
}

export interface NewProject {
  readonly name: string;
  readonly kind: ProjectKind;
  readonly isPublic: boolean;
  readonly registry?: string;
  readonly allowsSparse?: boolean;
  /** Who made it, and the role that comes with that. */
  readonly owner?: { readonly accountId: number; readonly roleId: number };
  readonly metadata?: readonly { readonly name: string; readonly value: string }[];
  /** JSON. */
  readonly cveAllowlist?: string;
  /** Keep an existing project of that name as it is instead of failing. */
  readonly ifAbsent?: boolean;
}

/** Creates a project; CONFLICT when the name is taken. */
export async function createProject({ trx, nowMs }: CommandContext, args: NewProject): Promise<Project> {
  const inserted = await trx
    .insertInto('project')
    .values({
      name: args.name,
      kind: args.kind,
      is_public: args.isPublic ? 1 : 0,
      registry: args.registry ?? null,
      allows_sparse: args.allowsSparse === true ? 1 : 0,
      owner_id: args.owner?.accountId ?? null,
      cve_allowlist: args.cveAllowlist ?? null,
      created_at_ms: nowMs,
      updated_at_ms: nowMs,
    })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
  const created = (inserted[0]?.numInsertedOrUpdatedRows ?? 0n) > 0n;
  if (!created && args.ifAbsent !== true) throw new OciError('CONFLICT', `a project named ${args.name} exists already`);
  const project = toProject(await selectProject(trx).where('name', '=', args.name).executeTakeFirstOrThrow());
  const metadata = created ? (args.metadata ?? []) : [];
  if (metadata.length > 0)
    await trx
      .insertInto('project_metadata')
      .values(metadata.map((word) => ({ project_id: project.id, ...word })))
      .execute();
  if (created && args.owner !== undefined) {
    const { accountId, roleId } = args.owner;
    await trx
      .insertInto('project_member')
      .values({ project_id: project.id, account_id: accountId, group_id: null, role_id: roleId, created_at_ms: nowMs })
      .execute();
  }
  return project;
}

/** The mirror project of a configured registry: made when absent; its visibility follows the configuration. */
export async function ensureMirrorProject(context: CommandContext, args: { registry: string; isPublic: boolean }): Promise<Project> {
  const project = await createProject(context, {
    name: args.registry,
    kind: 'mirror',
    isPublic: args.isPublic,
    registry: args.registry,
    ifAbsent: true,
  });
  if (project.kind !== 'mirror' || project.isPublic === args.isPublic) return project;
  await context.trx
    .updateTable('project')
    .set({ is_public: args.isPublic ? 1 : 0, updated_at_ms: context.nowMs })
    .where('id', '=', project.id)
    .execute();
  return { ...project, isPublic: args.isPublic };
}

/** Deletes an empty project; CONFLICT while it has repositories with content, NAME_UNKNOWN when there is none. */
export async function deleteProject({ trx, dialect }: CommandContext, args: { name: string }): Promise<void> {
  let find = trx.selectFrom('project').select('id').where('name', '=', args.name);
  if (dialect === 'postgres') find = find.forUpdate();
  const project = await find.executeTakeFirst();
  if (project === undefined) throw new OciError('NAME_UNKNOWN', `there is no project named ${args.name}`);
  // A push under way holds its repository: wait for it, then look.
  if (dialect === 'postgres')
    await trx.selectFrom('repository').select('id').where('project_id', '=', project.id).orderBy('id').forUpdate().execute();
  const content = await findContent(trx, project.id);
  if (content !== undefined)
    throw new OciError('CONFLICT', `project ${args.name} still holds ${content}; delete its repositories' content first`);
  await trx.deleteFrom('project').where('id', '=', project.id).execute();
}

/** The name of a repository of the project that holds something; undefined when none does. */
export async function findContent(read: Kysely<Schema>, projectId: number): Promise<string | undefined> {
  const content = await read
    .selectFrom('repository')
    .select('repository.name')
    .where('project_id', '=', projectId)
    .where((where) =>
      where.or([
        where.exists(where.selectFrom('manifest').select('manifest.id').whereRef('manifest.repository_id', '=', 'repository.id')),
        where.exists(where.selectFrom('repository_blob').select('digest').whereRef('repository_blob.repository_id', '=', 'repository.id')),
      ]),
    )
    .limit(1)
    .executeTakeFirst();
  return content?.name;
}

/** The id of a repository, made when it is new. NAME_UNKNOWN when its project is gone or another project has the name. */
export async function ensureRepository(
  { trx, dialect, nowMs }: CommandContext,
  args: { projectId: number; name: string },
): Promise<number> {
  const found = await trx
    .selectFrom('repository')
    .select('id')
    .where('name', '=', args.name)
    .where('project_id', '=', args.projectId)
    .executeTakeFirst();
  if (found !== undefined) return found.id;
  let findProject = trx.selectFrom('project').select('id').where('id', '=', args.projectId);
  if (dialect === 'postgres') findProject = findProject.forKeyShare();
  if ((await findProject.executeTakeFirst()) === undefined)
    throw new OciError('NAME_UNKNOWN', 'the project of this repository no longer exists');
  await trx
    .insertInto('repository')
    .values({ project_id: args.projectId, name: args.name, created_at_ms: nowMs, pushed_at_ms: null, pulled_at_ms: null })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
  const row = await trx
    .selectFrom('repository')
    .select('id')
    .where('name', '=', args.name)
    .where('project_id', '=', args.projectId)
    .executeTakeFirst();
  if (row === undefined) throw new OciError('NAME_UNKNOWN', 'the repository name belongs to another project');
  return row.id;
}

function toProjectIf(row: ProjectRow | undefined): Project | undefined {
  return row === undefined ? undefined : toProject(row);
}

function selectProject(read: Kysely<Schema>) {
  return read.selectFrom('project').select(projectColumns);
}

export function toProject(row: ProjectRow): Project {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    isPublic: row.is_public === 1,
    registry: row.registry ?? undefined,
    allowsSparse: row.allows_sparse === 1,
    epoch: row.epoch,
    ownerId: row.owner_id ?? undefined,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
  };
}
