// Members of projects: an account or a group, with one role each.

import { type Kysely, sql } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import { conditionsOf, type ListReader } from './listing.ts';
import type { Schema } from './schema.ts';

/** Who holds something: an account or a group. */
export type Holder = { readonly kind: 'user'; readonly id: number } | { readonly kind: 'group'; readonly id: number };

export interface MemberRecord {
  readonly id: number;
  readonly projectId: number;
  readonly holder: Holder;
  /** Of the account or group. */
  readonly name: string;
  readonly roleId: number;
}

/** Members of one project. */
const membersMax = 10_000;

/** Makes somebody a member and gives the member's id. CONFLICT when it is one already, NOT_FOUND when project or holder are gone. */
export async function addMember(
  { trx, dialect, nowMs }: CommandContext,
  args: { projectId: number; holder: Holder; roleId: number },
): Promise<number> {
  await requireRole({ trx, dialect }, args.roleId);
  const { holder, projectId } = args;
  const exists = await trx
    .selectFrom(holder.kind === 'user' ? 'account' : 'user_group')
    .select('id')
    .where('id', '=', holder.id)
    .executeTakeFirst();
  if (exists === undefined) throw new OciError('NOT_FOUND', `there is no such ${holder.kind}`);
  const project = await trx.selectFrom('project').select('id').where('id', '=', projectId).executeTakeFirst();
  if (project === undefined) throw new OciError('NAME_UNKNOWN', 'the project is gone');
  const { count } = await trx
    .selectFrom('project_member')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('project_id', '=', projectId)
    .executeTakeFirstOrThrow();
  if (Number(count) >= membersMax) throw new OciError('CONFLICT', `a project may have at most ${membersMax} members; use groups`);
  const row = await trx
    .insertInto('project_member')
    .values({
      project_id: projectId,
      account_id: holder.kind === 'user' ? holder.id : null,
      group_id: holder.kind === 'group' ? holder.id : null,
      role_id: args.roleId,
      created_at_ms: nowMs,
    })
    .onConflict((conflict) => conflict.columns(['project_id', holder.kind === 'user' ? 'account_id' : 'group_id']).doNothing())
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) throw new OciError('CONFLICT', `this ${holder.kind} is a member already`);
  return row.id;
}

/** Gives a member another role. NOT_FOUND when the project has no such member. */
export async function changeMember(
  { trx, dialect }: CommandContext,
  args: { projectId: number; memberId: number; roleId: number },
): Promise<void> {
  await requireRole({ trx, dialect }, args.roleId);
  const { numUpdatedRows } = await trx
    .updateTable('project_member')
    .set({ role_id: args.roleId })
    .where('id', '=', args.memberId)
    .where('project_id', '=', args.projectId)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) throw unknownMember();
}

/** NOT_FOUND when the project has no such member. */
export async function removeMember({ trx }: CommandContext, args: { projectId: number; memberId: number }): Promise<void> {
  const { numDeletedRows } = await trx
    .deleteFrom('project_member')
    .where('id', '=', args.memberId)
    .where('project_id', '=', args.projectId)
    .executeTakeFirst();
  if (numDeletedRows === 0n) throw unknownMember();
}

/** One page of a project's members, in the order they were added; `namePart` is a part of the name. */
export async function listMembers(
  { read, dialect }: ListReader,
  query: { projectId: number; namePart?: string; limit: number; offset: number },
): Promise<{ members: MemberRecord[]; count: number }> {
  const { projectId, namePart = '' } = query;
  const named = conditionsOf(
    namePart === '' ? [] : [{ field: 'name', kind: 'part', value: namePart }],
    {
      name: sql`coalesce((select name from account where account.id = project_member.account_id),
        (select name from user_group where user_group.id = project_member.group_id))`,
    },
    dialect,
  );
  const { count } = await read
    .selectFrom('project_member')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('project_id', '=', projectId)
    .where(named)
    .executeTakeFirstOrThrow();
  const rows = await selectMember(read)
    .where('project_id', '=', projectId)
    .where(named)
    .orderBy('project_member.id')
    .limit(query.limit)
    .offset(query.offset)
    .execute();
  return { members: rows.map(toMember), count: Number(count) };
}

export async function readMember(read: Kysely<Schema>, query: { projectId: number; memberId: number }): Promise<MemberRecord | undefined> {
  const row = await selectMember(read)
    .where('project_member.id', '=', query.memberId)
    .where('project_id', '=', query.projectId)
    .executeTakeFirst();
  return row === undefined ? undefined : toMember(row);
}

/** Roles above `customRoleIdMin` are rows: they must exist, and stay while somebody gets them. NOT_FOUND. */
export async function requireRole({ trx, dialect }: Pick<CommandContext, 'trx' | 'dialect'>, roleId: number): Promise<void> {
  if (roleId < customRoleIdMin) return;
  let query = trx.selectFrom('role').select('id').where('id', '=', roleId);
  if (dialect === 'postgres') query = query.forShare();
  if ((await query.executeTakeFirst()) === undefined) throw new OciError('NOT_FOUND', 'there is no such role');
}

/** Ids below are of roles that come with the server (auth/roles.ts). */
const customRoleIdMin = 100;

function selectMember(read: Kysely<Schema>) {
  return read
    .selectFrom('project_member')
    .select((select) => [
      'project_member.id',
      'project_id',
      'account_id',
      'group_id',
      'role_id',
      select.selectFrom('account').select('account.name').whereRef('account.id', '=', 'project_member.account_id').as('account_name'),
      select.selectFrom('user_group').select('user_group.name').whereRef('user_group.id', '=', 'project_member.group_id').as('group_name'),
    ]);
}

function toMember(row: {
  id: number;
  project_id: number;
  account_id: number | null;
  group_id: number | null;
  role_id: number;
  account_name: string | null;
  group_name: string | null;
}): MemberRecord {
  const holder: Holder = row.account_id === null ? { kind: 'group', id: row.group_id ?? -1 } : { kind: 'user', id: row.account_id };
  return { id: row.id, projectId: row.project_id, holder, name: row.account_name ?? row.group_name ?? '', roleId: row.role_id };
}

function unknownMember(): OciError {
  return new OciError('NOT_FOUND', 'the project has no such member');
}
