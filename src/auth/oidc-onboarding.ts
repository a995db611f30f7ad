// Accounts of people that an OpenID provider knows: found by issuer and subject, made under a name that nobody else has, brought up to date at
// each login.

import type { Database } from '../db/database.ts';
import { findExternalAccount } from '../db/directory-accounts.ts';
import { prepareLoginQuery } from '../db/identity.ts';
import { OciError } from '../oci/errors.ts';
import { accountNameProblem } from './account-names.ts';
import type { Onboarding } from './oidc-logins.ts';
import type { Principals } from './principals.ts';

export function createOidcOnboarding(options: { database: Database; principals: Pick<Principals, 'byKey' | 'forget'> }): Onboarding {
  const { database, principals } = options;
  const byName = prepareLoginQuery(database);
  return {
    find: (provider, externalId) => findExternalAccount(database.read, provider, externalId),
    onboard: async (provider, identity, { name, isChosen }) => {
      const problem = accountNameProblem(name);
      if (problem !== undefined) throw new OciError('BAD_REQUEST', `the name ${problem}`);
      if (isChosen && (await byName(name)) !== undefined) throw new OciError('CONFLICT', `the name ${name} belongs to somebody else`);
      const { externalId, email, displayName, groups, isAdmin } = identity;
      const { id, isChanged } = await database.run('onboardAccount', {
        identity: {
          provider,
          externalId,
          name,
          ...(email === undefined ? {} : { email }),
          ...(displayName === undefined ? {} : { displayName }),
          ...(groups === undefined ? {} : { groups: groups.map((group) => ({ externalName: group, name: group })) }),
          ...(isAdmin === undefined ? {} : { isAdmin }),
        },
        mayCreate: true,
        isLogin: true,
      });
      if (isChanged) principals.forget();
      return id;
    },
    principal: async (accountId) => {
      const principal = await principals.byKey(`user:${accountId}`);
      return principal?.kind === 'user' ? principal : undefined;
    },
  };
}
