// What is made from what around users, groups, roles and members.

import type { Database } from '../db/database.ts';
import { type Accounts, createAccounts } from './accounts.ts';
import { type CustomRoles, createCustomRoles } from './custom-roles.ts';
import { createGroups, type GroupProvider, type Groups } from './groups.ts';
import type { Logins } from './logins.ts';
import { createMembers, type Members } from './members.ts';
import type { Principals } from './principals.ts';

export interface People {
  readonly accounts: Accounts;
  readonly roles: CustomRoles;
  readonly groups: Groups;
  readonly members: Members;
}

export function createPeople(options: {
  database: Database;
  logins: Pick<Logins, 'login'>;
  principals: Principals;
  providers: () => Promise<readonly GroupProvider[]>;
}): People {
  const { database, logins, principals, providers } = options;
  const roles = createCustomRoles({ database, principals });
  const groups = createGroups({ database, principals, roles, providers });
  return {
    accounts: createAccounts({ database, logins, principals }),
    roles,
    groups,
    members: createMembers({ database, principals, roles, groups }),
  };
}
