// Custom roles, and rules that give somebody a role elsewhere than in one project: on the server, in all projects, by glob.

import type { Kysely } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import { type Holder, requireRole } from './member-commands.ts';
import type { Schema } from './schema.ts';

export interface RoleRecord {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly actions: readonly string[];
}
export type RuleKind = Schema['grant_rule']['kind'];
export interface RuleRecord {
  readonly id: number;
  readonly holder: Holder;
  /** Of the account or group. */
  readonly holderName: string;
  readonly kind: RuleKind;
  readonly pattern: string;
  readonly roleId: number;
  readonly createdAtMs: number;
}

const rolesMax = 500;
/** Rules of one account or group: each of its requests reads them. */
export const rulesPerHolderMax = 200;

/** Makes a custom role and gives its id; CONFLICT when the name is taken or there are too many. */
export async function addRole({ trx, nowMs }: CommandContext, args: Omit<RoleRecord, 'id'>): Promise<number> {
  const { count } = await trx
    .selectFrom('role')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  if (Number(count) >= rolesMax) throw new OciError('CONFLICT', `there may be at most ${rolesMax} custom roles`);
  const row = await trx
    .insertInto('role')
    .values({
      name: args.name,
      description: args.description,
      actions: JSON.stringify(args.actions),
      created_at_ms: nowMs,
      updated_at_ms: nowMs,
    })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) throw new OciError('CONFLICT', `a role named ${args.name} exists already`);
  return row.id;
}

/** Replaces what a custom role says. NOT_FOUND, CONFLICT. */
export async function changeRole({ trx, nowMs }: CommandContext, args: RoleRecord): Promise<void> {
  const taken = await trx.selectFrom('role').select('id').where('name', '=', args.name).where('id', '<>', args.id).executeTakeFirst();
  if (taken !== undefined) throw new OciError('CONFLICT', `a role named ${args.name} exists already`);
  const { numUpdatedRows } = await trx
    .updateTable('role')
    .set({ name: args.name, description: args.description, actions: JSON.stringify(args.actions), updated_at_ms: nowMs })
    .where('id', '=', args.id)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) throw unknownRole();
}

/** Deletes a custom role that nobody holds. NOT_FOUND, CONFLICT. */
export async function deleteRole({ trx, dialect }: CommandContext, args: { id: number }): Promise<void> {
  let find = trx.selectFrom('role').select('id').where('id', '=', args.id);
  if (dialect === 'postgres') find = find.forUpdate();
  if ((await find.executeTakeFirst()) === undefined) throw unknownRole();
  const held =
    (await trx.selectFrom('project_member').select('id').where('role_id', '=', args.id).limit(1).executeTakeFirst()) ??
    (await trx.selectFrom('grant_rule').select('id').where('role_id', '=', args.id).limit(1).executeTakeFirst());
  if (held !== undefined) throw new OciError('CONFLICT', 'somebody holds this role; take it away from members and rules first');
  await trx.deleteFrom('role').where('id', '=', args.id).execute();
}

/** Gives a role by rule and the rule's id. NOT_FOUND for a holder or role that is gone; CONFLICT when the same rule is there. */
export async function addGrantRule(
  { trx, dialect, nowMs }: CommandContext,
  args: { holder: Holder; kind: RuleKind; pattern: string; roleId: number },
): Promise<number> {
  await requireRole({ trx, dialect }, args.roleId);
  const { holder } = args;
  let find = trx
    .selectFrom(holder.kind === 'user' ? 'account' : 'user_group')
    .select('id')
    .where('id', '=', holder.id);
  // Two of the same at once: one waits and sees the other.
  if (dialect === 'postgres') find = find.forNoKeyUpdate();
  if ((await find.executeTakeFirst()) === undefined) throw new OciError('NOT_FOUND', `there is no such ${holder.kind}`);
  const known = await trx
    .selectFrom('grant_rule')
    .select(['kind', 'pattern', 'role_id'])
    .where(holder.kind === 'user' ? 'account_id' : 'group_id', '=', holder.id)
    .execute();
  if (known.length >= rulesPerHolderMax)
    throw new OciError('CONFLICT', `a ${holder.kind} may have at most ${rulesPerHolderMax} rules; use wider patterns`);
  if (known.some((rule) => rule.kind === args.kind && rule.pattern === args.pattern && rule.role_id === args.roleId))
    throw new OciError('CONFLICT', 'this rule is there already');
  const row = await trx
    .insertInto('grant_rule')
    .values({
      account_id: holder.kind === 'user' ? holder.id : null,
      group_id: holder.kind === 'group' ? holder.id : null,
      kind: args.kind,
      pattern: args.pattern,
      role_id: args.roleId,
      created_at_ms: nowMs,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return row.id;
}

/** NOT_FOUND when there is no such rule. */
export async function removeGrantRule({ trx }: CommandContext, args: { id: number }): Promise<void> {
  const { numDeletedRows } = await trx.deleteFrom('grant_rule').where('id', '=', args.id).executeTakeFirst();
  if (numDeletedRows === 0n) throw new OciError('NOT_FOUND', 'there is no such rule');
}

/** One page of rules by id, of one holder when it is named. */
export async function listGrantRules(
  read: Kysely<Schema>,
  query: { holder?: Holder; limit: number; offset: number },
): Promise<{ rules: RuleRecord[]; count: number }> {
  const { holder } = query;
  const column = holder?.kind === 'group' ? 'group_id' : 'account_id';
  let counting = read.selectFrom('grant_rule').select((select) => select.fn.countAll<number>().as('count'));
  let page = selectRule(read);
  if (holder !== undefined) {
    counting = counting.where(column, '=', holder.id);
    page = page.where(column, '=', holder.id);
  }
  const { count } = await counting.executeTakeFirstOrThrow();
  const rows = await page.orderBy('grant_rule.id').limit(query.limit).offset(query.offset).execute();
  return { rules: rows.map(toRule), count: Number(count) };
}

export async function readGrantRule(read: Kysely<Schema>, id: number): Promise<RuleRecord | undefined> {
  const row = await selectRule(read).where('grant_rule.id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : toRule(row);
}

/** Custom roles by id. */
export async function listRoles(read: Kysely<Schema>): Promise<RoleRecord[]> {
  const rows = await read.selectFrom('role').select(['id', 'name', 'description', 'actions']).orderBy('id').limit(rolesMax).execute();
  return rows.map((row) => ({ ...row, actions: JSON.parse(row.actions) as string[] }));
}

function selectRule(read: Kysely<Schema>) {
  return read
    .selectFrom('grant_rule')
    .select((select) => [
      'grant_rule.id',
      'account_id',
      'group_id',
      'kind',
      'pattern',
      'role_id',
      'created_at_ms',
      select.selectFrom('account').select('account.name').whereRef('account.id', '=', 'grant_rule.account_id').as('account_name'),
      select.selectFrom('user_group').select('user_group.name').whereRef('user_group.id', '=', 'grant_rule.group_id').as('group_name'),
    ]);
}

function toRule(row: {
  id: number;
  account_id: number | null;
  group_id: number | null;
  kind: RuleKind;
  pattern: string;
  role_id: number;
  created_at_ms: number;
  account_name: string | null;
  group_name: string | null;
}): RuleRecord {
  const holder: Holder = row.account_id === null ? { kind: 'group', id: row.group_id ?? -1 } : { kind: 'user', id: row.account_id };
  const { id, kind, pattern } = row;
  return {
    id,
    holder,
    holderName: row.account_name ?? row.group_name ?? '',
    kind,
    pattern,
    roleId: row.role_id,
    createdAtMs: row.created_at_ms,
  };
}

function unknownRole(): OciError {
  return new OciError('NOT_FOUND', 'there is no such custom role');
}
