// A name and a password, and who that is. Each name belongs to one way in: names of a form of their own (robots) to theirs, any other to the
// provider of its account, so nobody takes over a name by having it somewhere else. Answers for unknown names cost what those for known ones do.
//
//   name of a form of its own ─> that way in, and no other
//   account of that name ─> its own secrets ─> local: password · directory: asked for the password · issuer: nothing else
//   no account ─> the directories in order; the first that knows the name makes the account

import { type Account, localProvider } from '../db/identity.ts';
import type { DirectoryLogins } from './directory-logins.ts';
import type { Passwords } from './passwords.ts';
import type { LoginMethod, Principal } from './principal.ts';
import type { Principals } from './principals.ts';

export interface Login {
  readonly principal: Principal;
  readonly method: LoginMethod;
}

/** Where a login comes from. */
export interface LoginOrigin {
  readonly address?: string;
}

export interface Logins {
  /**
   * Undefined when name and password do not fit. TOOMANYREQUESTS when too many checks wait; UNAVAILABLE when the directory that decides cannot
   * be asked.
   */
  login(name: string, password: string, origin?: LoginOrigin): Promise<Login | undefined>;
  /** Whether the name is one of ours, whatever its password. It asks nobody outside. */
  isKnown(name: string): Promise<boolean>;
}

/** A way in for names of a form that no account has, such as robots. */
export interface NamedLogins {
  isNamed(name: string): Promise<boolean>;
  login(name: string, secret: string, origin: LoginOrigin): Promise<Login | undefined>;
}

/** Secrets of an account besides its password. */
export interface AccountSecrets {
  login(account: Account, secret: string, origin: LoginOrigin): Promise<Login | undefined>;
}

export function createLogins(options: {
  find: (name: string) => Promise<Account | undefined>;
  passwords: Passwords;
  principals: Pick<Principals, 'ofAccount'>;
  directories?: DirectoryLogins;
  named?: readonly NamedLogins[];
  secrets?: AccountSecrets;
}): Logins {
  const { find, passwords, principals, directories, named = [], secrets } = options;

  const wayOf = async (name: string): Promise<NamedLogins | undefined> => {
    for (const way of named) if (await way.isNamed(name)) return way;
    return undefined;
  };

  const loginOfAccount = async (account: Account, password: string, origin: LoginOrigin): Promise<Login | undefined> => {
    if (!account.isDisabled) {
      const login = await secrets?.login(account, password, origin);
      if (login !== undefined) return login;
    }
    if (directories !== undefined && (await directories.isDirectory(account.provider)))
      return toLogin(await directories.check(account, password));
    const hash = account.isDisabled || account.provider !== localProvider ? undefined : account.passwordHash;
    if (!(await passwords.fits({ name: account.name, password, hash }))) return undefined;
    return toLogin(account);
  };

  const toLogin = async (account: Account | undefined): Promise<Login | undefined> =>
    account === undefined ? undefined : { principal: await principals.ofAccount(account), method: 'password' };

  return {
    isKnown: async (name) => (await wayOf(name)) !== undefined || (await find(name)) !== undefined,
    login: async (name, password, origin = {}) => {
      const way = await wayOf(name);
      if (way !== undefined) return way.login(name, password, origin);
      const account = await find(name);
      if (account !== undefined) return loginOfAccount(account, password, origin);
      await passwords.fits({ name, password, hash: undefined });
      return toLogin(await directories?.checkUnknown(name, password));
    },
  };
}
