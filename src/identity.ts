// What is made from what around logins and rights: a part of the composition root (app.ts).

import { join } from 'node:path';
import type { AccessPolicy } from './auth/access.ts';
import { createDirectoryLogins } from './auth/directory-logins.ts';
import { createDirectorySync } from './auth/directory-sync.ts';
import { createIdentityProviders, type IdentityProviders } from './auth/identity-providers.ts';
import { createLdapDirectories, type LdapDirectories } from './auth/ldap-directories.ts';
import { createLogins, type Logins } from './auth/logins.ts';
import { createPasswords } from './auth/passwords.ts';
import { createPrincipals, type Principals } from './auth/principals.ts';
import { openTokens, type Tokens } from './auth/tokens.ts';
import type { Config } from './config/config.ts';
import { createEgressPolicy } from './config/egress.ts';
import type { Database } from './db/database.ts';
import { prepareLoginQuery } from './db/identity.ts';
import { type Authentication, createAuthentication } from './http/authentication.ts';
import { createTokenService, type TokenService } from './http/token-service.ts';
import { startDirectorySync } from './jobs/directory-sync.ts';
import type { Clock } from './lib/clock.ts';
import type { Log } from './lib/log.ts';
import type { Sealer } from './lib/seal.ts';
import type { NameRules } from './registry/names.ts';

export interface Identity {
  readonly principals: Principals;
  readonly logins: Logins;
  readonly tokens: Tokens;
  readonly authentication: Authentication;
  readonly tokenService: TokenService;
  readonly providers: IdentityProviders;
  readonly directories: LdapDirectories;
  /** Ends what runs by itself. */
  close(): Promise<void>;
}

export async function openIdentity(options: {
  config: Config;
  database: Database;
  clock: Clock;
  policy: AccessPolicy;
  names: NameRules;
  /** What tokens are for: the host under which clients know the server. */
  service: string;
  sealer: Sealer;
  log: Log;
}): Promise<Identity> {
  const { config, database, clock, policy, names, service, sealer, log } = options;
  const passwords = createPasswords({ clock });
  const principals = createPrincipals({ database, clock });
  const providers = createIdentityProviders({ database, configured: config.identity.providers, sealer, clock, log });
  const directories = createLdapDirectories({ providers, egress: createEgressPolicy(config.egress), clock });
  const onChange = principals.forget;
  const logins = createLogins({
    find: prepareLoginQuery(database),
    passwords,
    principals,
    directories: createDirectoryLogins({ database, directories, clock, log, onChange }),
  });
  const sync = createDirectorySync({ database, directories, log, onChange });
  const schedule = startDirectorySync({ sync, intervalMs: config.identity.syncIntervalMs, clock, log });
  const tokens = await openTokens({ keyFile: join(config.dataDir, 'token-key.json'), clock, audience: service });
  return {
    principals,
    logins,
    tokens,
    authentication: createAuthentication({ tokens, logins, policy, principals }),
    tokenService: createTokenService({ tokens, logins, policy, names, service }),
    providers,
    directories,
    close: () => schedule.close(),
  };
}
