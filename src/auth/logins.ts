// A name and a password, and who that is. Each name belongs to one way in: the account's provider decides, so nobody takes over a name by having it
// somewhere else. Answers for unknown names cost what those for known ones do.

import type { Account } from '../db/identity.ts';
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
  /** Undefined when name and password do not fit. TOOMANYREQUESTS when too many checks wait. */
  login(name: string, password: string, origin?: LoginOrigin): Promise<Login | undefined>;
  /** Whether the name is one of ours, whatever its password. */
  isKnown(name: string): Promise<boolean>;
}

export function createLogins(options: {
  find: (name: string) => Promise<Account | undefined>;
  passwords: Passwords;
  principals: Principals;
}): Logins {
  const { find, passwords, principals } = options;
  return {
    isKnown: async (name) => (await find(name)) !== undefined,
    login: async (name, password) => {
      const account = await find(name);
      const hash = account?.isDisabled === true ? undefined : account?.passwordHash;
      const fits = await passwords.fits({ name, password, hash });
      if (account === undefined || !fits) return undefined;
      return { principal: await principals.ofAccount(account), method: 'password' };
    },
  };
}
