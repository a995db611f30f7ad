// Accounts as administrators see them: lists, searches, one of them. Never a password hash.

import { type Kysely, sql } from 'kysely';
import { foldName } from './identity.ts';
import { conditionsOf, type ListColumns, type ListCondition, type ListReader, type ListWish, orderOf } from './listing.ts';
import type { Schema } from './schema.ts';

export interface AccountRecord {
  readonly id: number;
  readonly name: string;
  readonly displayName: string;
  readonly email: string | undefined;
  readonly comment: string;
  readonly provider: string;
  readonly isAdmin: boolean;
  readonly isAuditor: boolean;
  readonly isDisabled: boolean;
  readonly mustChangePassword: boolean;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly lastLoginAtMs: number | undefined;
}

export type AccountField =
  | 'user_id'
  | 'username'
  | 'email'
  | 'realname'
  | 'provider'
  | 'sysadmin_flag'
  | 'auditor_flag'
  | 'disabled'
  | TimeField;
type TimeField = 'creation_time' | 'update_time';

/** One page of accounts, by name when nothing else is said, and how many there are. Names are compared whatever their case. */
export async function listAccounts(
  { read, dialect }: ListReader,
  wish: ListWish<AccountField>,
): Promise<{ accounts: AccountRecord[]; count: number }> {
  const matching = conditionsOf(wish.conditions.map(withFoldedName), listColumns, dialect);
  const { count } = await read
    .selectFrom('account')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where(matching)
    .executeTakeFirstOrThrow();
  const rows = await read
    .selectFrom('account')
    .select(columns)
    .where(matching)
    .orderBy(orderOf(wish.order, listColumns, { field: 'username', descending: false }))
    .limit(wish.limit)
    .offset(wish.offset)
    .execute();
  return { accounts: rows.map(toRecord), count: Number(count) };
}

export async function readAccount(read: Kysely<Schema>, id: number): Promise<AccountRecord | undefined> {
  const row = await read.selectFrom('account').select(columns).where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : toRecord(row);
}

export async function findAccount(read: Kysely<Schema>, name: string): Promise<AccountRecord | undefined> {
  const row = await read.selectFrom('account').select(columns).where('name_folded', '=', foldName(name)).executeTakeFirst();
  return row === undefined ? undefined : toRecord(row);
}

/** Enabled accounts whose name has the text in it: id and name alone, what any user may see. */
export async function searchAccounts(
  { read, dialect }: ListReader,
  query: { namePart: string; limit: number; offset: number },
): Promise<{ accounts: { id: number; name: string }[]; count: number }> {
  const conditions: ListCondition<AccountField>[] = [
    { field: 'disabled', kind: 'exact', value: false },
    ...(query.namePart === '' ? [] : [{ field: 'username', kind: 'part', value: foldName(query.namePart) } as const]),
  ];
  const matching = conditionsOf(conditions, listColumns, dialect);
  const { count } = await read
    .selectFrom('account')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where(matching)
    .executeTakeFirstOrThrow();
  const accounts = await read
    .selectFrom('account')
    .select(['id', 'name'])
    .where(matching)
    .orderBy('name_folded')
    .limit(query.limit)
    .offset(query.offset)
    .execute();
  return { accounts, count: Number(count) };
}

const columns = [
  'id',
  'name',
  'display_name',
  'email',
  'comment',
  'provider',
  'is_admin',
  'is_auditor',
  'is_disabled',
  'must_change_password',
  'created_at_ms',
  'updated_at_ms',
  'last_login_at_ms',
] as const;
type Row = { [K in (typeof columns)[number]]: K extends 'id' ? number : Schema['account'][K] };

const listColumns: ListColumns<AccountField> = {
  user_id: sql.ref('id'),
  username: sql.ref('name_folded'),
  email: sql.ref('email'),
  realname: sql.ref('display_name'),
  provider: sql.ref('provider'),
  sysadmin_flag: sql.ref('is_admin'),
  auditor_flag: sql.ref('is_auditor'),
  disabled: sql.ref('is_disabled'),
  creation_time: sql.ref('created_at_ms'),
  update_time: sql.ref('updated_at_ms'),
};

function withFoldedName(condition: ListCondition<AccountField>): ListCondition<AccountField> {
  if (condition.field !== 'username') return condition;
  const fold = <T>(value: T): T | string => (typeof value === 'string' ? foldName(value) : value);
  switch (condition.kind) {
    case 'exact':
      return { ...condition, value: fold(condition.value) };
    case 'part':
      return { ...condition, value: foldName(condition.value) };
    case 'any':
    case 'all':
      return { ...condition, values: condition.values.map(fold) };
    case 'range':
      return condition;
  }
}

function toRecord(row: Row): AccountRecord {
  return {
    id: row.id,
    name: row.name,
    displayName: row.display_name,
    email: row.email ?? undefined,
    comment: row.comment,
    provider: row.provider,
    isAdmin: row.is_admin === 1,
    isAuditor: row.is_auditor === 1,
    isDisabled: row.is_disabled === 1,
    mustChangePassword: row.must_change_password === 1,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
    lastLoginAtMs: row.last_login_at_ms ?? undefined,
  };
}
