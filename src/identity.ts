// What is made from what around logins and rights: a part of the composition root (app.ts).

import { join } from 'node:path';
import type { AccessPolicy } from './auth/access.ts';
import { createLogins, type Logins } from './auth/logins.ts';
import { createPasswords } from './auth/passwords.ts';
import { createPrincipals, type Principals } from './auth/principals.ts';
import { openTokens, type Tokens } from './auth/tokens.ts';
import type { Config } from './config/config.ts';
import type { Database } from './db/database.ts';
import { prepareLoginQuery } from './db/identity.ts';
import { type Authentication, createAuthentication } from './http/authentication.ts';
import { createTokenService, type TokenService } from './http/token-service.ts';
import type { Clock } from './lib/clock.ts';
import type { NameRules } from './registry/names.ts';

export interface Identity {
  readonly principals: Principals;
  readonly logins: Logins;
  readonly tokens: Tokens;
  readonly authentication: Authentication;
  readonly tokenService: TokenService;
}

export async function openIdentity(options: {
  config: Config;
  database: Database;
  clock: Clock;
  policy: AccessPolicy;
  names: NameRules;
  /** What tokens are for: the host under which clients know the server. */
  service: string;
}): Promise<Identity> {
  const { config, database, clock, policy, names, service } = options;
  const passwords = createPasswords({ clock });
  const principals = createPrincipals({ database, clock });
  const logins = createLogins({ find: prepareLoginQuery(database), passwords, principals });
  const tokens = await openTokens({ keyFile: join(config.dataDir, 'token-key.json'), clock, audience: service });
  return {
    principals,
    logins,
    tokens,
    authentication: createAuthentication({ tokens, logins, policy, principals }),
    tokenService: createTokenService({ tokens, logins, policy, names, service }),
  };
}
