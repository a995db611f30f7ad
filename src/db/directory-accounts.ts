// Accounts of people that another system knows (a directory, an issuer): made at the first login, brought up to date at each, switched off
// when that system no longer knows them. A name belongs to the provider it came from and never changes hands.

import type { Kysely } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import { foldName } from './identity.ts';
import type { Schema } from './schema.ts';

/** Somebody as a provider knows them. */
export interface ExternalIdentity {
  readonly provider: string;
  /** Within the provider; it never means somebody else later. */
  readonly externalId: string;
  readonly name: string;
  readonly email?: string;
  readonly displayName?: string;
  /** External names (`user_group.external_name`); undefined: the provider says nothing of groups, and they stay as they are. */
  readonly groups?: readonly { readonly externalName: string; readonly name: string }[];
  /** Undefined: administrators are made here. */
  readonly isAdmin?: boolean;
}

export interface OnboardedAccount {
  readonly id: number;
  readonly isNew: boolean;
  /** Rights or groups changed, or the account is new: what is remembered of it is stale. */
  readonly isChanged: boolean;
}

/** Of one person; more are left out. */
const groupsMax = 500;
/** Who switched an account off that its directory no longer knows; it is switched on again when it is back. */
const byDirectory = 'directory';

/**
 * The account of this identity, made when there is none and `mayCreate`; mail, full name, groups and, when said, the administrator's right are
 * taken over. NOT_FOUND when it may not be made; CONFLICT when the name is somebody else's (of another provider, or of this one with another
 * identifier, unless `trustsNames`); DENIED when an administrator switched the account off.
 */
export async function onboardAccount(
  context: CommandContext,
  args: { identity: ExternalIdentity; mayCreate: boolean; trustsNames?: boolean; isLogin: boolean },
): Promise<OnboardedAccount> {
  const { trx, nowMs } = context;
  const { identity } = args;
  const found = await findAccount(trx, identity, args.trustsNames === true);
  if (found === undefined && !args.mayCreate) throw new OciError('NOT_FOUND', `there is no account for ${identity.name}`);
  if (found !== undefined && found.is_disabled === 1 && found.disabled_by !== byDirectory)
    throw new OciError('DENIED', `the account ${found.name} is switched off`);
  const known = {
    ...(identity.email === undefined ? {} : { email: identity.email }),
    ...(identity.displayName === undefined ? {} : { display_name: identity.displayName }),
    ...(identity.isAdmin === undefined ? {} : { is_admin: identity.isAdmin ? 1 : 0 }),
  };
  if (found === undefined) {
    const { id } = await trx
      .insertInto('account')
      .values({
        name: identity.name,
        name_folded: foldName(identity.name),
        display_name: identity.name,
        email: null,
        comment: '',
        provider: identity.provider,
        external_id: identity.externalId,
        password_hash: null,
        is_admin: 0,
        is_auditor: 0,
        is_disabled: 0,
        must_change_password: 0,
        epoch: 0,
        created_at_ms: nowMs,
        updated_at_ms: nowMs,
        last_login_at_ms: args.isLogin ? nowMs : null,
        ...known,
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    await takeGroups(context, id, identity);
    return { id, isNew: true, isChanged: true };
  }
  const isRenamed = found.name !== identity.name;
  const isBack = found.is_disabled === 1;
  const loses = identity.isAdmin === false && found.is_admin === 1;
  const changesRight = identity.isAdmin !== undefined && (found.is_admin === 1) !== identity.isAdmin;
  await trx
    .updateTable('account')
    .set({
      ...known,
      external_id: identity.externalId,
      ...(args.isLogin ? { last_login_at_ms: nowMs } : {}),
      ...(isRenamed ? { name: identity.name, name_folded: foldName(identity.name) } : {}),
      ...(isBack ? { is_disabled: 0, disabled_by: null } : {}),
      ...(loses ? { epoch: found.epoch + 1 } : {}),
    })
    .where('id', '=', found.id)
    .execute();
  const hasOtherGroups = await takeGroups(context, found.id, identity);
  return { id: found.id, isNew: false, isChanged: isRenamed || isBack || changesRight || hasOtherGroups };
}

/** Switches accounts off that their directory no longer knows: no login, no token, no group. An account that is off already stays as it is. */
export async function suspendAccounts({ trx, nowMs }: CommandContext, args: { provider: string; ids: readonly number[] }): Promise<number> {
  let count = 0;
  for (const id of args.ids) {
    const result = await trx
      .updateTable('account')
      .set((values) => ({ is_disabled: 1, disabled_by: byDirectory, epoch: values('epoch', '+', 1), updated_at_ms: nowMs }))
      .where('id', '=', id)
      .where('is_disabled', '=', 0)
      .where('provider', '=', args.provider)
      .executeTakeFirst();
    if (Number(result.numUpdatedRows) === 0) continue;
    count++;
    await leaveGroups(trx, id, await listGroupIds(trx, id, args.provider));
  }
  return count;
}

/** Accounts of a provider, `max` from this id on: those that an administrator switched off are left out. */
export async function listProviderAccounts(
  read: Kysely<Schema>,
  options: { readonly provider: string; readonly afterId: number; readonly max: number },
): Promise<{ readonly id: number; readonly name: string; readonly externalId: string | undefined; readonly isDisabled: boolean }[]> {
  const rows = await read
    .selectFrom('account')
    .select(['id', 'name', 'external_id', 'is_disabled'])
    .where('provider', '=', options.provider)
    .where('id', '>', options.afterId)
    .where((where) => where.or([where('is_disabled', '=', 0), where('disabled_by', '=', byDirectory)]))
    .orderBy('id')
    .limit(options.max)
    .execute();
  return rows.map((row) => ({ id: row.id, name: row.name, externalId: row.external_id ?? undefined, isDisabled: row.is_disabled === 1 }));
}

/** The account that the provider knows by this identifier. */
export async function findExternalAccount(read: Kysely<Schema>, provider: string, externalId: string): Promise<number | undefined> {
  const query = read.selectFrom('account').select('id').where('provider', '=', provider).where('external_id', '=', externalId);
  return (await query.executeTakeFirst())?.id;
}

/** Whether a directory, and nobody else, switched this account off: its next login there may bring it back. */
export async function isSuspended(read: Kysely<Schema>, id: number): Promise<boolean> {
  const row = await read.selectFrom('account').select('disabled_by').where('id', '=', id).where('is_disabled', '=', 1).executeTakeFirst();
  return row?.disabled_by === byDirectory;
}

type Trx = CommandContext['trx'];

async function findAccount(trx: Trx, identity: ExternalIdentity, trustsNames: boolean) {
  const columns = ['id', 'name', 'provider', 'external_id', 'is_admin', 'is_disabled', 'disabled_by', 'epoch'] as const;
  const byId = await trx
    .selectFrom('account')
    .select(columns)
    .where('provider', '=', identity.provider)
    .where('external_id', '=', identity.externalId)
    .executeTakeFirst();
  const byName = await trx.selectFrom('account').select(columns).where('name_folded', '=', foldName(identity.name)).executeTakeFirst();
  if (byName === undefined || byName.id === byId?.id) return byId;
  const isOurs = byName.provider === identity.provider && (byName.external_id === null || trustsNames);
  if (byId === undefined && isOurs) return byName;
  const why = byName.provider === identity.provider ? 'somebody else of this provider' : `an account of ${byName.provider}`;
  throw new OciError('CONFLICT', `the name ${identity.name} belongs to ${why}`);
}

/** Makes the memberships what the provider says; groups made here are not touched. Whether anything changed. */
async function takeGroups({ trx, nowMs }: CommandContext, accountId: number, identity: ExternalIdentity): Promise<boolean> {
  if (identity.groups === undefined) return false;
  const wanted = new Map(identity.groups.slice(0, groupsMax).map((group) => [group.externalName, group.name]));
  const rows =
    wanted.size === 0
      ? []
      : await trx
          .selectFrom('user_group')
          .select(['id', 'external_name'])
          .where('provider', '=', identity.provider)
          .where('external_name', 'in', [...wanted.keys()])
          .execute();
  const ids = new Map(rows.map((row) => [row.external_name, row.id]));
  for (const [externalName, name] of wanted) {
    if (ids.has(externalName)) continue;
    const { id } = await trx
      .insertInto('user_group')
      .values({ name: name.slice(0, 255), provider: identity.provider, external_name: externalName, created_at_ms: nowMs })
      .returning('id')
      .executeTakeFirstOrThrow();
    ids.set(externalName, id);
  }
  const before = new Set(await listGroupIds(trx, accountId, identity.provider));
  const after = new Set([...wanted.keys()].flatMap((externalName) => ids.get(externalName) ?? []));
  const gone = [...before].filter((id) => !after.has(id));
  const fresh = [...after].filter((id) => !before.has(id));
  await leaveGroups(trx, accountId, gone);
  if (fresh.length > 0)
    await trx
      .insertInto('account_group')
      .values(fresh.map((id) => ({ account_id: accountId, group_id: id })))
      .execute();
  return gone.length + fresh.length > 0;
}

/** The groups of this provider that the account is in. */
async function listGroupIds(trx: Trx, accountId: number, provider: string): Promise<number[]> {
  const rows = await trx
    .selectFrom('account_group')
    .innerJoin('user_group', 'user_group.id', 'account_group.group_id')
    .select('account_group.group_id')
    .where('account_group.account_id', '=', accountId)
    .where('user_group.provider', '=', provider)
    .execute();
  return rows.map((row) => row.group_id);
}

async function leaveGroups(trx: Trx, accountId: number, groupIds: readonly number[]): Promise<void> {
  if (groupIds.length === 0) return;
  await trx.deleteFrom('account_group').where('account_id', '=', accountId).where('group_id', 'in', groupIds).execute();
}
