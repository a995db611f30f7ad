// What is made from what around logins and rights: a part of the composition root (app.ts).

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AccessPolicy } from './auth/access.ts';
import type { Audit } from './auth/audit.ts';
import { auditedLogins } from './auth/audited-logins.ts';
import { createDirectoryLogins } from './auth/directory-logins.ts';
import { createDirectoryPeople, type DirectoryPeople } from './auth/directory-people.ts';
import { createDirectorySync, type DirectorySync } from './auth/directory-sync.ts';
import { type ConfigurationPart, createHarborLdap } from './auth/harbor-ldap.ts';
import { createHarborOidc } from './auth/harbor-oidc.ts';
import { createIdentityProviders, type IdentityProvider, type IdentityProviders } from './auth/identity-providers.ts';
import { createLdapDirectories } from './auth/ldap-directories.ts';
import { createLogins, type Logins } from './auth/logins.ts';
import { createOidc, type Oidc, toOidcProvider } from './auth/oidc.ts';
import { createPasswords } from './auth/passwords.ts';
import { createPeople, type People } from './auth/people.ts';
import { createPrincipals, type Principals } from './auth/principals.ts';
import { createProgramLogins, type ProgramLogins } from './auth/program-logins.ts';
import { createProviderTests, type ProviderTests } from './auth/provider-tests.ts';
import { puttingOff } from './auth/put-off.ts';
import { createThrottle } from './auth/throttle.ts';
import { databaseKeyStore, openTokenKeys, type TokenKeys } from './auth/token-keys.ts';
import { createTokens, type Tokens, tokenOverlapMs } from './auth/tokens.ts';
import type { Config } from './config/config.ts';
import { createEgressPolicy } from './config/egress.ts';
import type { Database } from './db/database.ts';
import { prepareLoginQuery } from './db/identity.ts';
import { prepareLoginTraceQuery } from './db/login-traces.ts';
import { type Authentication, createAuthentication } from './http/authentication.ts';
import { createTokenExchange, type TokenExchange } from './http/token-exchange.ts';
import { createTokenService, type TokenService } from './http/token-service.ts';
import { startDirectorySync } from './jobs/directory-sync.ts';
import type { Clock } from './lib/clock.ts';
import type { Log } from './lib/log.ts';
import { createNetworks } from './lib/networks.ts';
import type { Sealer } from './lib/seal.ts';
import { OciError } from './oci/errors.ts';
import type { NameRules } from './registry/names.ts';
import type { Settings } from './registry/settings.ts';
import type { OutboundCall } from './upstream/outbound-call.ts';

export interface Identity {
  readonly principals: Principals;
  readonly logins: Logins;
  readonly tokens: Tokens;
  readonly tokenKeys: TokenKeys;
  readonly authentication: Authentication;
  readonly tokenService: TokenService;
  readonly people: People;
  readonly providers: IdentityProviders;
  readonly tests: ProviderTests;
  readonly oidc: Oidc;
  readonly directorySync: DirectorySync;
  readonly directoryPeople: DirectoryPeople;
  /** Keys of Harbor's `/configurations` that are kept here. */
  readonly configurationParts: readonly ConfigurationPart[];
  /** Ends what runs by itself. */
  close(): Promise<void>;
  readonly tokenExchange: TokenExchange;
  readonly programs: ProgramLogins;
}

export async function openIdentity(options: {
  audit: Pick<Audit, 'noteLogin'>;
  config: Config;
  settings: Pick<Settings, 'read'>;
  database: Database;
  clock: Clock;
  log: Log;
  /** Requests to issuers of tokens, through the outbound guard. */
  call: OutboundCall;
  policy: AccessPolicy;
  names: NameRules;
  /** What tokens are for: the host under which clients know the server. */
  service: string;
  sealer: Sealer;
}): Promise<Identity> {
  const { config, database, clock, policy, names, service, sealer, log, call } = options;
  const passwords = createPasswords({ clock });
  const onChange = (): void => principals.forget();
  const programs = createProgramLogins({
    database,
    clock,
    log,
    access: policy,
    call,
    robotSettings: async () => {
      const { robot_name_prefix: namePrefix, robot_token_duration: durationDefaultDays } = await options.settings.read();
      return { namePrefix, durationDefaultDays };
    },
    onChange,
  });
  const principals: Principals = createPrincipals({ database, clock, sources: programs.principals });
  const providers = createIdentityProviders({ database, configured: config.identity.providers, sealer, clock, log });
  const directories = createLdapDirectories({ providers, egress: createEgressPolicy(config.egress), clock });
  const findTrace = prepareLoginTraceQuery(database);
  const shared = createNetworks(config.logins.sharedNetworks);
  const throttle = createThrottle({
    store: {
      find: findTrace,
      record: (changes) => database.run('recordLogins', { changes }),
      sweep: async (max) => {
        await database.run('sweepLogins', { max });
      },
    },
    clock,
    isShared: shared.has,
    onError: (error) => log.error('logins.counting-failed', { error }),
  });
  const logins = auditedLogins(
    puttingOff(
      throttle.slowing(
        createLogins({
          find: prepareLoginQuery(database),
          passwords,
          principals,
          directories: createDirectoryLogins({ database, directories, clock, log, onChange }),
          named: [programs],
          secrets: {
            login: async (account, secret, { address }) => {
              const method = await programs.checkToken(account.id, secret, address);
              return method === undefined ? undefined : { principal: await principals.ofAccount(account), method };
            },
          },
        }),
      ),
      { sleep: (ms) => clock.sleep(ms) },
    ),
    options.audit,
  );
  const oidc = createOidc({ call, clock, log });
  const sync = createDirectorySync({ database, directories, log, onChange });
  const schedule = startDirectorySync({ sync, intervalMs: config.identity.syncIntervalMs, clock, log });
  const tokenKeys = await openTokenKeys({
    store: databaseKeyStore(database, sealer),
    clock,
    overlapMs: tokenOverlapMs,
    onError: (error) => log.error('token-keys.refresh-failed', { error }),
  });
  // An older version kept its one key there.
  rmSync(join(config.dataDir, 'token-key.json'), { force: true });
  const tokens = createTokens({ keys: tokenKeys, clock, audience: service });
  return {
    principals,
    logins,
    tokens,
    tokenKeys,
    authentication: createAuthentication({ tokens, logins, policy, principals }),
    programs,
    tokenExchange: createTokenExchange({ workloads: programs.workloads, clock, noteLogin: options.audit.noteLogin }),
    people: createPeople({ database, logins, principals, providers: providers.list }),
    tokenService: createTokenService({ tokens, logins, policy, names, service }),
    providers,
    close: async () => {
      await throttle.close();
      await schedule.close();
      await programs.close();
    },
    tests: createProviderTests({ directories, issuers: { test: (provider) => isIssuer(oidc, provider) }, clock, log }),
    oidc,
    directorySync: sync,
    directoryPeople: createDirectoryPeople({ database, directories, log, onChange }),
    configurationParts: [createHarborLdap(providers), createHarborOidc(providers)],
  };
}

/** What is wrong with it is in the log. */
async function isIssuer(oidc: Oidc, provider: IdentityProvider): Promise<boolean> {
  const issuer = toOidcProvider(provider);
  if (issuer === undefined) return false;
  try {
    await oidc.ping(issuer);
    return true;
  } catch (error) {
    if (error instanceof OciError) return false;
    throw error;
  }
}
