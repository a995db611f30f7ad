// What is done to accounts after the first boot: making, changing, switching off, deleting. Passwords arrive here already hashed. What must hold
// whoever asks is held here, in the transaction: names are one whatever their case, and somebody with a password of this server stays administrator.

import { sql } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import { foldName, localProvider } from './identity.ts';

/** The account of the first boot: it can be switched off, never deleted. */
export const firstAccountId = 1;

export interface NewAccount {
  readonly name: string;
  readonly displayName: string;
  readonly email?: string;
  readonly comment: string;
  readonly passwordHash: string;
  readonly isAdmin: boolean;
  readonly isAuditor: boolean;
  readonly mustChangePassword: boolean;
}
export interface AccountChange {
  readonly displayName?: string;
  /** Null takes it away. */
  readonly email?: string | null;
  readonly comment?: string;
}
export interface AccountFlags {
  readonly isAdmin?: boolean;
  readonly isAuditor?: boolean;
  readonly isDisabled?: boolean;
}

/** Makes a local account and gives its id; CONFLICT when the name is taken, in whatever case. */
export async function addAccount({ trx, nowMs }: CommandContext, args: NewAccount): Promise<number> {
  const row = await trx
    .insertInto('account')
    .values({
      name: args.name,
      name_folded: foldName(args.name),
      display_name: args.displayName,
      email: args.email ?? null,
      comment: args.comment,
      provider: localProvider,
      external_id: null,
      password_hash: args.passwordHash,
      is_admin: args.isAdmin ? 1 : 0,
      is_auditor: args.isAuditor ? 1 : 0,
      is_disabled: 0,
      must_change_password: args.mustChangePassword ? 1 : 0,
      epoch: 0,
      created_at_ms: nowMs,
      updated_at_ms: nowMs,
      last_login_at_ms: null,
    })
    .onConflict((conflict) => conflict.column('name_folded').doNothing())
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) throw new OciError('CONFLICT', `a user named ${args.name} exists already`);
  return row.id;
}

/** Changes what describes an account; NOT_FOUND when it is gone. */
export async function changeAccount({ trx, nowMs }: CommandContext, args: { id: number; change: AccountChange }): Promise<void> {
  const { displayName, email, comment } = args.change;
  const { numUpdatedRows } = await trx
    .updateTable('account')
    .set({
      updated_at_ms: nowMs,
      ...(displayName === undefined ? {} : { display_name: displayName }),
      ...(email === undefined ? {} : { email }),
      ...(comment === undefined ? {} : { comment }),
    })
    .where('id', '=', args.id)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) throw unknownAccount();
}

/**
 * Gives a local account another password and ends what was signed for it before. NOT_FOUND; CONFLICT for an account that another provider lets in.
 * With `ifHash` it is changed only while that is its hash: CONFLICT when somebody else was quicker.
 */
export async function setAccountPassword(
  context: CommandContext,
  args: { id: number; passwordHash: string; mustChangePassword: boolean; ifHash?: string },
): Promise<void> {
  const account = await readForChange(context, args.id);
  if (account.provider !== localProvider)
    throw new OciError('CONFLICT', `the password of ${account.name} is kept by ${account.provider}, not here`);
  if (args.ifHash !== undefined && account.password_hash !== args.ifHash)
    throw new OciError('CONFLICT', 'the password was changed meanwhile; try again');
  await context.trx
    .updateTable('account')
    .set({
      password_hash: args.passwordHash,
      must_change_password: args.mustChangePassword ? 1 : 0,
      epoch: account.epoch + 1,
      updated_at_ms: context.nowMs,
    })
    .where('id', '=', args.id)
    .execute();
}

/** Sets flags of an account; switching it off ends what was signed for it. NOT_FOUND; CONFLICT when no local administrator would be left. */
export async function setAccountFlags(context: CommandContext, args: { id: number; flags: AccountFlags }): Promise<void> {
  const { trx, nowMs } = context;
  const { isAdmin, isAuditor, isDisabled } = args.flags;
  await lockAdministrators(context);
  const account = await readForChange(context, args.id);
  if (isAdmin === false || isDisabled === true) await requireAnotherAdministrator(context, args.id);
  await trx
    .updateTable('account')
    .set({
      updated_at_ms: nowMs,
      ...(isAdmin === undefined ? {} : { is_admin: isAdmin ? 1 : 0 }),
      ...(isAuditor === undefined ? {} : { is_auditor: isAuditor ? 1 : 0 }),
      ...(isDisabled === undefined ? {} : { is_disabled: isDisabled ? 1 : 0, disabled_by: null }),
      ...(isDisabled === true && account.is_disabled === 0 ? { epoch: account.epoch + 1 } : {}),
    })
    .where('id', '=', args.id)
    .execute();
}

/** Deletes an account with all it held. NOT_FOUND; CONFLICT for the first account, and when no local administrator would be left. */
export async function deleteAccount(context: CommandContext, args: { id: number }): Promise<void> {
  await lockAdministrators(context);
  const account = await readForChange(context, args.id);
  if (account.id === firstAccountId) throw new OciError('CONFLICT', `${account.name} cannot be deleted; switch it off instead`);
  await requireAnotherAdministrator(context, args.id);
  await context.trx.deleteFrom('account').where('id', '=', args.id).execute();
}

/**
 * For a person on the host: the account gets this password and loses its tokens, is an enabled administrator of this server, and must choose another one when that is asked
 * for. Made when it is absent. Gives what was true before.
 */
export async function rescueAccount(
  context: CommandContext,
  args: { name: string; passwordHash: string; mustChangePassword: boolean },
): Promise<{ id: number; wasMade: boolean; wasAdmin: boolean; wasDisabled: boolean }> {
  const { trx, nowMs } = context;
  const found = await trx
    .selectFrom('account')
    .select(['id', 'is_admin', 'is_disabled', 'epoch', 'provider'])
    .where('name_folded', '=', foldName(args.name))
    .executeTakeFirst();
  if (found === undefined) {
    const { name, passwordHash, mustChangePassword } = args;
    const id = await addAccount(context, {
      name,
      displayName: name,
      comment: '',
      passwordHash,
      isAdmin: true,
      isAuditor: false,
      mustChangePassword,
    });
    return { id, wasMade: true, wasAdmin: false, wasDisabled: false };
  }
  if (found.provider !== localProvider)
    throw new OciError('CONFLICT', `${args.name} is let in by ${found.provider} and has no password here; name a local account`);
  await trx
    .updateTable('account')
    .set({
      password_hash: args.passwordHash,
      must_change_password: args.mustChangePassword ? 1 : 0,
      is_admin: 1,
      is_disabled: 0,
      epoch: found.epoch + 1,
      updated_at_ms: nowMs,
    })
    .where('id', '=', found.id)
    .execute();
  // Somebody else may have made them.
  await trx.deleteFrom('account_secret').where('account_id', '=', found.id).execute();
  return { id: found.id, wasMade: false, wasAdmin: found.is_admin === 1, wasDisabled: found.is_disabled === 1 };
}

/** As the index of administrators has it. */
const isAdministrator = sql<boolean>`is_admin = 1`;

/** Two that remove each other's rights at once must not both succeed. */
async function lockAdministrators({ trx, dialect }: CommandContext): Promise<void> {
  if (dialect === 'postgres') await trx.selectFrom('account').select('id').where(isAdministrator).orderBy('id').forUpdate().execute();
}

async function requireAnotherAdministrator({ trx }: CommandContext, id: number): Promise<void> {
  const administrators = await trx
    .selectFrom('account')
    .select(['id', 'provider', 'is_disabled', 'password_hash'])
    .where(isAdministrator)
    .execute();
  const holders = administrators.filter((row) => row.is_disabled === 0 && row.provider === localProvider && row.password_hash !== null);
  if (holders.length === 1 && holders[0]?.id === id)
    throw new OciError('CONFLICT', 'this is the last administrator that can log in with a password of this server; make another one first');
}

async function readForChange({ trx, dialect }: CommandContext, id: number) {
  let query = trx.selectFrom('account').select(['id', 'name', 'provider', 'password_hash', 'is_disabled', 'epoch']).where('id', '=', id);
  if (dialect === 'postgres') query = query.forUpdate();
  const account = await query.executeTakeFirst();
  if (account === undefined) throw unknownAccount();
  return account;
}

function unknownAccount(): OciError {
  return new OciError('NOT_FOUND', 'there is no such user');
}
