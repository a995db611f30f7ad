// Groups of accounts: local ones, whose members are put in by hand, and those of identity providers, whose members come with each login.

import { type Kysely, sql } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import { foldName, localProvider } from './identity.ts';
import { conditionsOf, type ListCondition, type ListReader } from './listing.ts';
import type { Schema } from './schema.ts';

export interface GroupRecord {
  readonly id: number;
  readonly name: string;
  /** `local`, or an identity provider. */
  readonly provider: string;
  /** How the provider names it: a DN, or a claim's value; a local one's folded name. */
  readonly externalName: string;
  readonly createdAtMs: number;
}
export interface GroupQuery {
  /** A part of the name. */
  readonly namePart?: string;
  readonly externalName?: string;
  readonly provider?: string;
  readonly limit: number;
  readonly offset: number;
}

/** Groups on the whole server, and members that are put into one by hand. */
const groupsMax = 100_000;
const groupMembersMax = 10_000;

/** Makes a group and gives its id; CONFLICT when the provider has one of that name here, `ifAbsent` gives that one's id instead. */
export async function addGroup(
  { trx, nowMs }: CommandContext,
  args: { name: string; provider: string; externalName?: string; ifAbsent?: boolean },
): Promise<number> {
  const { name, provider } = args;
  const externalName = args.externalName ?? (provider === localProvider ? foldName(name) : name);
  const { count } = await trx
    .selectFrom('user_group')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  if (Number(count) >= groupsMax) throw new OciError('CONFLICT', `there may be at most ${groupsMax} groups`);
  const row = await trx
    .insertInto('user_group')
    .values({ name, provider, external_name: externalName, created_at_ms: nowMs })
    .onConflict((conflict) => conflict.columns(['provider', 'external_name']).doNothing())
    .returning('id')
    .executeTakeFirst();
  if (row !== undefined) return row.id;
  if (args.ifAbsent !== true) throw new OciError('CONFLICT', `the group ${name} exists already`);
  const found = await trx
    .selectFrom('user_group')
    .select('id')
    .where('provider', '=', provider)
    .where('external_name', '=', externalName)
    .executeTakeFirstOrThrow();
  return found.id;
}

/** Renames a group; a provider's one keeps the name that the provider has for it. NOT_FOUND, CONFLICT. */
export async function renameGroup({ trx }: CommandContext, args: { id: number; name: string }): Promise<void> {
  const group = await trx.selectFrom('user_group').select(['provider', 'external_name']).where('id', '=', args.id).executeTakeFirst();
  if (group === undefined) throw unknownGroup();
  const externalName = group.provider === localProvider ? foldName(args.name) : group.external_name;
  const taken = await trx
    .selectFrom('user_group')
    .select('id')
    .where('provider', '=', group.provider)
    .where('external_name', '=', externalName)
    .where('id', '<>', args.id)
    .executeTakeFirst();
  if (taken !== undefined) throw new OciError('CONFLICT', `the group ${args.name} exists already`);
  await trx.updateTable('user_group').set({ name: args.name, external_name: externalName }).where('id', '=', args.id).execute();
}

/** Deletes a group with its memberships and rules. NOT_FOUND. */
export async function deleteGroup({ trx }: CommandContext, args: { id: number }): Promise<void> {
  const { numDeletedRows } = await trx.deleteFrom('user_group').where('id', '=', args.id).executeTakeFirst();
  if (numDeletedRows === 0n) throw unknownGroup();
}

/** Puts an account into a local group. NOT_FOUND; CONFLICT for a provider's group, and when it is in already. */
export async function addToGroup({ trx }: CommandContext, args: { groupId: number; accountId: number }): Promise<void> {
  await requireLocalGroup(trx, args.groupId);
  const account = await trx.selectFrom('account').select('id').where('id', '=', args.accountId).executeTakeFirst();
  if (account === undefined) throw new OciError('NOT_FOUND', 'there is no such user');
  const { count } = await trx
    .selectFrom('account_group')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('group_id', '=', args.groupId)
    .executeTakeFirstOrThrow();
  if (Number(count) >= groupMembersMax) throw new OciError('CONFLICT', `a group may have at most ${groupMembersMax} members`);
  const result = await trx
    .insertInto('account_group')
    .values({ account_id: args.accountId, group_id: args.groupId })
    .onConflict((conflict) => conflict.columns(['account_id', 'group_id']).doNothing())
    .executeTakeFirst();
  if ((result.numInsertedOrUpdatedRows ?? 0n) === 0n) throw new OciError('CONFLICT', 'this user is in the group already');
}

/** Takes an account out of a local group. NOT_FOUND; CONFLICT for a provider's group. */
export async function removeFromGroup({ trx }: CommandContext, args: { groupId: number; accountId: number }): Promise<void> {
  await requireLocalGroup(trx, args.groupId);
  const { numDeletedRows } = await trx
    .deleteFrom('account_group')
    .where('account_id', '=', args.accountId)
    .where('group_id', '=', args.groupId)
    .executeTakeFirst();
  if (numDeletedRows === 0n) throw new OciError('NOT_FOUND', 'this user is not in the group');
}

/** One page of groups by id, and how many there are. */
export async function listGroups({ read, dialect }: ListReader, query: GroupQuery): Promise<{ groups: GroupRecord[]; count: number }> {
  const { namePart = '', externalName, provider } = query;
  const conditions: ListCondition<'name' | 'external' | 'provider'>[] = [
    ...(namePart === '' ? [] : [{ field: 'name', kind: 'part', value: namePart } as const]),
    ...(externalName === undefined ? [] : [{ field: 'external', kind: 'exact', value: externalName } as const]),
    ...(provider === undefined ? [] : [{ field: 'provider', kind: 'exact', value: provider } as const]),
  ];
  const matching = conditionsOf(
    conditions,
    { name: sql.ref('name'), external: sql.ref('external_name'), provider: sql.ref('provider') },
    dialect,
  );
  const { count } = await read
    .selectFrom('user_group')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where(matching)
    .executeTakeFirstOrThrow();
  const rows = await read
    .selectFrom('user_group')
    .select(columns)
    .where(matching)
    .orderBy('id')
    .limit(query.limit)
    .offset(query.offset)
    .execute();
  return { groups: rows.map(toGroup), count: Number(count) };
}

export async function readGroup(read: Kysely<Schema>, id: number): Promise<GroupRecord | undefined> {
  const row = await read.selectFrom('user_group').select(columns).where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : toGroup(row);
}

/** One page of the accounts in a group, by id. */
export async function listGroupMembers(
  read: Kysely<Schema>,
  query: { groupId: number; limit: number; offset: number },
): Promise<{ accounts: { id: number; name: string }[]; count: number }> {
  const { count } = await read
    .selectFrom('account_group')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('group_id', '=', query.groupId)
    .executeTakeFirstOrThrow();
  const rows = await read
    .selectFrom('account_group')
    .select((select) => [
      'account_id',
      select.selectFrom('account').select('account.name').whereRef('account.id', '=', 'account_group.account_id').as('name'),
    ])
    .where('group_id', '=', query.groupId)
    .orderBy('account_id')
    .limit(query.limit)
    .offset(query.offset)
    .execute();
  return { accounts: rows.map((row) => ({ id: row.account_id, name: row.name ?? '' })), count: Number(count) };
}

/** The roles that a group holds as a member of projects. */
export async function listProjectRoles(read: Kysely<Schema>, groupId: number): Promise<{ projectId: number; roleId: number }[]> {
  return read
    .selectFrom('project_member')
    .select(['project_id as projectId', 'role_id as roleId'])
    .where('group_id', '=', groupId)
    .limit(10_000)
    .execute();
}

const columns = ['id', 'name', 'provider', 'external_name', 'created_at_ms'] as const;

function toGroup(row: { id: number; name: string; provider: string; external_name: string; created_at_ms: number }): GroupRecord {
  return { id: row.id, name: row.name, provider: row.provider, externalName: row.external_name, createdAtMs: row.created_at_ms };
}

async function requireLocalGroup(trx: Kysely<Schema>, id: number): Promise<void> {
  const group = await trx.selectFrom('user_group').select(['name', 'provider']).where('id', '=', id).executeTakeFirst();
  if (group === undefined) throw unknownGroup();
  if (group.provider !== localProvider)
    throw new OciError('CONFLICT', `who is in ${group.name} is said by ${group.provider}, at each login`);
}

function unknownGroup(): OciError {
  return new OciError('NOT_FOUND', 'there is no such group');
}
