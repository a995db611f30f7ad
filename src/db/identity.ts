// Accounts and what they hold: the queries of logins and of every authenticated request, and the command of the first boot. Passwords arrive here
// already hashed. What administrators do to accounts is in its own files.

import type { Kysely } from 'kysely';
import type { CommandContext } from './context.ts';
import type { Preparer } from './prepared.ts';
import type { Schema } from './schema.ts';

/** The provider of accounts and groups that are of this server alone. */
export const localProvider = 'local';

export interface Account {
  readonly id: number;
  readonly name: string;
  /** `local`, or an identity provider: nobody else may let this name in. */
  readonly provider: string;
  /** Undefined for an account that has no password here. */
  readonly passwordHash: string | undefined;
  readonly isAdmin: boolean;
  readonly isAuditor: boolean;
  readonly isDisabled: boolean;
  readonly mustChangePassword: boolean;
  readonly epoch: number;
}

/** A role that an account holds, itself or by a group, in a project (`kind` project) or more widely. */
export interface HeldRole {
  readonly kind: Schema['grant_rule']['kind'] | 'project';
  readonly projectId: number | null;
  readonly pattern: string;
  readonly roleId: number;
}

/** How names are compared: `Anna` and `anna` are one name. */
export function foldName(name: string): string {
  return name.normalize('NFC').toLowerCase();
}

const columns = [
  'id',
  'name',
  'provider',
  'password_hash',
  'is_admin',
  'is_auditor',
  'is_disabled',
  'must_change_password',
  'epoch',
] as const;
type Row = Pick<{ [K in keyof Schema['account']]: K extends 'id' ? number : Schema['account'][K] }, (typeof columns)[number]>;

/** An account by its name, in any case, for logins. */
export function prepareLoginQuery(database: Preparer): (name: string) => Promise<Account | undefined> {
  const query = database.prepare<{ name: string }, Row>((read, value) =>
    read.selectFrom('account').select(columns).where('name_folded', '=', value('name')).compile(),
  );
  return async (name) => toAccount(await query.first({ name: foldName(name) }));
}

/** Live look-up of a token's subject: the account may be gone. */
export function prepareAccountQuery(database: Preparer): (id: number) => Promise<Account | undefined> {
  const query = database.prepare<{ id: number }, Row>((read, value) =>
    read.selectFrom('account').select(columns).where('id', '=', value('id')).compile(),
  );
  return async (id) => toAccount(await query.first({ id }));
}

/** At most this many roles of one account count; the oldest. */
const heldRolesMax = 10_000;

/** Every role an account holds: as a member, through its groups, and by rule. */
export async function listHeldRoles(read: Kysely<Schema>, accountId: number): Promise<HeldRole[]> {
  const groups = await read.selectFrom('account_group').select('group_id').where('account_id', '=', accountId).limit(1000).execute();
  const groupIds = groups.map((group) => group.group_id);
  const members = await read
    .selectFrom('project_member')
    .select(['project_id', 'role_id'])
    .where('account_id', '=', accountId)
    .unionAll((other) =>
      other
        .selectFrom('project_member')
        .select(['project_id', 'role_id'])
        .where('group_id', 'in', groupIds.length > 0 ? groupIds : [-1]),
    )
    .limit(heldRolesMax)
    .execute();
  const rules = await read
    .selectFrom('grant_rule')
    .select(['kind', 'pattern', 'role_id'])
    .where('account_id', '=', accountId)
    .unionAll((other) =>
      other
        .selectFrom('grant_rule')
        .select(['kind', 'pattern', 'role_id'])
        .where('group_id', 'in', groupIds.length > 0 ? groupIds : [-1]),
    )
    .limit(heldRolesMax)
    .execute();
  return [
    ...members.map((row) => ({ kind: 'project' as const, projectId: row.project_id, pattern: '', roleId: row.role_id })),
    ...rules.map((row) => ({ kind: row.kind, projectId: null, pattern: row.pattern, roleId: row.role_id })),
  ];
}

/** The actions of custom roles, by id. */
export async function listCustomRoles(read: Kysely<Schema>): Promise<{ id: number; name: string; actions: readonly string[] }[]> {
  const rows = await read.selectFrom('role').select(['id', 'name', 'actions']).orderBy('id').limit(1000).execute();
  return rows.map((row) => ({ id: row.id, name: row.name, actions: JSON.parse(row.actions) as string[] }));
}

/** Makes a local account unless one of that name exists; says whether it did. */
export async function createAccount(
  { trx, nowMs }: CommandContext,
  args: { name: string; passwordHash: string; isAdmin: boolean; mustChangePassword?: boolean },
): Promise<boolean> {
  const result = await trx
    .insertInto('account')
    .values({
      name: args.name,
      name_folded: foldName(args.name),
      display_name: args.name,
      email: null,
      comment: '',
      provider: localProvider,
      external_id: null,
      password_hash: args.passwordHash,
      is_admin: args.isAdmin ? 1 : 0,
      is_auditor: 0,
      is_disabled: 0,
      must_change_password: args.mustChangePassword === true ? 1 : 0,
      epoch: 0,
      created_at_ms: nowMs,
      updated_at_ms: nowMs,
      last_login_at_ms: null,
    })
    .onConflict((conflict) => conflict.column('name_folded').doNothing())
    .execute();
  return (result[0]?.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

function toAccount(row: Row | undefined): Account | undefined {
  if (row === undefined) return undefined;
  return {
    id: row.id,
    name: row.name,
    provider: row.provider,
    passwordHash: row.password_hash ?? undefined,
    isAdmin: row.is_admin === 1,
    isAuditor: row.is_auditor === 1,
    isDisabled: row.is_disabled === 1,
    mustChangePassword: row.must_change_password === 1,
    epoch: row.epoch,
  };
}
