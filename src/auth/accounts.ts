// Users as administrators and users themselves change them. Beyond the right that the route asks for: nobody raises their own rights, and who acts on
// somebody else's login must hold all that the other one holds, for it could act as that one afterwards.

import { type AccountFlags, firstAccountId } from '../db/account-commands.ts';
import { type AccountField, type AccountRecord, findAccount, listAccounts, readAccount, searchAccounts } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { type Account, localProvider, prepareAccountQuery } from '../db/identity.ts';
import type { ListWish } from '../db/listing.ts';
import { OciError } from '../oci/errors.ts';
import { requireAccountName } from './account-names.ts';
import { covers } from './coverage.ts';
import type { Logins } from './logins.ts';
import { requireGoodPassword } from './password-rules.ts';
import { hashPassword } from './passwords.ts';
import type { Caller, Principal } from './principal.ts';
import type { Principals } from './principals.ts';

export interface AccountWish {
  readonly name: string;
  readonly password: string;
  readonly displayName?: string;
  readonly email?: string;
  readonly comment?: string;
  readonly isAdmin?: boolean;
  readonly isAuditor?: boolean;
  /** The user must choose another password before anything else. */
  readonly mustChangePassword?: boolean;
}
export interface PasswordWish {
  readonly oldPassword?: string;
  readonly newPassword: string;
  readonly mustChangePassword?: boolean;
}

export interface Accounts {
  list(wish: ListWish<AccountField>): Promise<{ accounts: AccountRecord[]; count: number }>;
  search(query: { namePart: string; limit: number; offset: number }): Promise<{ accounts: { id: number; name: string }[]; count: number }>;
  read(id: number): Promise<AccountRecord | undefined>;
  find(name: string): Promise<AccountRecord | undefined>;
  /** BAD_REQUEST for a name or password that cannot be one, CONFLICT when the name is taken, DENIED for rights that the actor lacks. */
  create(actor: Principal, wish: AccountWish): Promise<AccountRecord>;
  /** NOT_FOUND. */
  describe(id: number, change: { displayName?: string; email?: string | null; comment?: string }): Promise<AccountRecord>;
  /** BAD_REQUEST for a password that cannot be one, DENIED for a wrong old one or a user with more rights, NOT_FOUND, CONFLICT. Ends sessions and tokens. */
  setPassword(caller: Caller, id: number, wish: PasswordWish): Promise<void>;
  /** DENIED for flags of oneself or of users with more rights; CONFLICT when no local administrator would be left; NOT_FOUND. */
  setFlags(actor: Principal, id: number, flags: AccountFlags): Promise<AccountRecord>;
  /** DENIED for oneself and for users with more rights; CONFLICT for the first account and the last administrator; NOT_FOUND. */
  remove(actor: Principal, id: number): Promise<void>;
}

export function createAccounts(options: { database: Database; logins: Pick<Logins, 'login'>; principals: Principals }): Accounts {
  const { database, logins, principals } = options;
  const accountOf = prepareAccountQuery(database);

  const need = async (id: number): Promise<Account> => {
    const account = await accountOf(id);
    if (account === undefined) throw new OciError('NOT_FOUND', 'there is no such user');
    return account;
  };
  const needRecord = async (id: number): Promise<AccountRecord> => {
    const record = await readAccount(database.read, id);
    if (record === undefined) throw new OciError('NOT_FOUND', 'there is no such user');
    return record;
  };
  const requirePower = async (actor: Principal, target: Account): Promise<void> => {
    const held = await principals.ofAccount(target);
    if ((target.isAdmin && !isAdmin(actor)) || !covers(actor, held.grants.grants))
      throw new OciError('DENIED', 'this user has rights that you do not have; an administrator must do this');
  };

  return {
    list: (wish) => listAccounts(database, wish),
    search: (query) => searchAccounts(database, query),
    read: (id) => readAccount(database.read, id),
    find: (name) => findAccount(database.read, name),
    create: async (actor, wish) => {
      const name = requireAccountName(wish.name);
      requireGoodPassword(wish.password, name);
      if ((wish.isAdmin === true || wish.isAuditor === true) && !isAdmin(actor))
        throw new OciError('DENIED', 'only an administrator makes administrators and auditors');
      const id = await database.run('addAccount', {
        name,
        displayName: wish.displayName ?? name,
        comment: wish.comment ?? '',
        passwordHash: await hashPassword(wish.password),
        isAdmin: wish.isAdmin === true,
        isAuditor: wish.isAuditor === true,
        mustChangePassword: wish.mustChangePassword === true,
        ...(wish.email === undefined ? {} : { email: wish.email }),
      });
      principals.forget();
      return needRecord(id);
    },
    describe: async (id, change) => {
      await database.run('changeAccount', { id, change });
      return needRecord(id);
    },
    setPassword: async (caller, id, wish) => {
      const account = await need(id);
      const isOwn = isSelf(caller.principal, id);
      if (!isOwn) await requirePower(caller.principal, account);
      if (account.provider !== localProvider)
        throw new OciError('CONFLICT', `the password of ${account.name} is kept by ${account.provider}; change it there`);
      requireGoodPassword(wish.newPassword, account.name);
      if (isOwn) await requireOldPassword(caller, account, wish);
      await database.run('setAccountPassword', {
        id,
        passwordHash: await hashPassword(wish.newPassword),
        mustChangePassword: !isOwn && wish.mustChangePassword === true,
        ...(isOwn && account.passwordHash !== undefined ? { ifHash: account.passwordHash } : {}),
      });
      principals.forget();
    },
    setFlags: async (actor, id, flags) => {
      const account = await need(id);
      const changesRights =
        (flags.isAdmin !== undefined && flags.isAdmin !== account.isAdmin) ||
        (flags.isAuditor !== undefined && flags.isAuditor !== account.isAuditor);
      const changesAccess = flags.isDisabled !== undefined && flags.isDisabled !== account.isDisabled;
      if (changesRights && !isAdmin(actor)) throw new OciError('DENIED', 'only an administrator makes administrators and auditors');
      if ((changesRights || changesAccess) && isSelf(actor, id))
        throw new OciError('DENIED', 'nobody changes their own rights; another administrator must do this');
      if (changesAccess) await requirePower(actor, account);
      if (changesRights || changesAccess) {
        await database.run('setAccountFlags', { id, flags });
        principals.forget();
      }
      return needRecord(id);
    },
    remove: async (actor, id) => {
      const account = await need(id);
      if (id === firstAccountId) throw new OciError('CONFLICT', `${account.name} cannot be deleted; switch it off instead`);
      if (isSelf(actor, id)) throw new OciError('DENIED', 'nobody deletes themselves; another administrator must do this');
      await requirePower(actor, account);
      await database.run('deleteAccount', { id });
      principals.forget();
    },
  };

  /** A request that carries the password has shown it already; a session or a secret of another kind has not. */
  async function requireOldPassword(caller: Caller, account: Account, { oldPassword, newPassword }: PasswordWish): Promise<void> {
    if (oldPassword === undefined) {
      if (caller.method === 'password') return;
      throw new OciError('BAD_REQUEST', 'old_password is needed');
    }
    // As at any login: slowed down for who guesses, and in the audit log.
    const origin = caller.address === undefined ? {} : { address: caller.address };
    const login = await logins.login(account.name, oldPassword, origin);
    const isRight = login?.method === 'password' && isSelf(login.principal, account.id);
    if (!isRight) throw new OciError('DENIED', 'the old password is not right');
    if (oldPassword === newPassword) throw new OciError('BAD_REQUEST', 'the new password is the old one');
  }
}

function isSelf(principal: Principal, id: number): boolean {
  return principal.kind === 'user' && principal.id === id;
}

function isAdmin(principal: Principal): boolean {
  return principal.kind === 'system' || (principal.kind === 'user' && principal.isAdmin);
}
