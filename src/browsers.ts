// What is made from what for browsers: sessions, the pages that begin them, the door of the admin API. A part of the composition root (app.ts).

import type { IdentityProvider, IdentityProviders } from './auth/identity-providers.ts';
import { createLoginAttempts } from './auth/login-attempts.ts';
import type { Logins } from './auth/logins.ts';
import { createOidc, type OidcProvider } from './auth/oidc.ts';
import { createOidcLogins } from './auth/oidc-logins.ts';
import { createOidcOnboarding } from './auth/oidc-onboarding.ts';
import type { Principals } from './auth/principals.ts';
import { createSessions, type Sessions } from './auth/sessions.ts';
import type { Database } from './db/database.ts';
import { type ApiDoor, createApiDoor } from './http/api-door.ts';
import type { Authentication } from './http/authentication.ts';
import { type Console, createConsole } from './http/console.ts';
import type { Clients } from './http/origin.ts';
import type { Clock } from './lib/clock.ts';
import type { Log } from './lib/log.ts';
import type { OutboundCall } from './upstream/outbound-call.ts';

export interface Browsers {
  readonly sessions: Sessions;
  readonly door: ApiDoor;
  readonly console: Console;
  stop(): void;
}

const sweepIntervalMs = 10 * 60 * 1000;

export function openBrowsers(options: {
  database: Database;
  clock: Clock;
  log: Log;
  identity: {
    readonly principals: Pick<Principals, 'byKey' | 'forget'>;
    readonly logins: Pick<Logins, 'login'>;
    readonly authentication: Pick<Authentication, 'identify'>;
    readonly providers: Pick<IdentityProviders, 'list'>;
  };
  call: OutboundCall;
  clients: Clients;
}): Browsers {
  const { database, clock, log, identity, clients, call } = options;
  const { principals, logins, authentication } = identity;
  const sessions = createSessions({ database, clock, log, findPrincipal: principals.byKey });
  const sweeper = setInterval(() => void sessions.sweep().catch((error) => log.error('sessions.sweep-failed', { error })), sweepIntervalMs);
  sweeper.unref();
  const oidc = createOidc({ call, clock, log });
  const listOidc = async (): Promise<OidcProvider[]> => (await identity.providers.list()).flatMap((provider) => asOidc(provider) ?? []);
  const findOidc = async (name: string): Promise<OidcProvider | undefined> => (await listOidc()).find((provider) => provider.name === name);
  const oidcLogins = createOidcLogins({
    oidc,
    attempts: createLoginAttempts(database),
    onboarding: createOidcOnboarding({ database, principals }),
    findProvider: findOidc,
  });
  return {
    sessions,
    door: createApiDoor({ authentication, sessions, clients }),
    console: createConsole({
      sessions,
      logins,
      clients,
      oidc: {
        logins: oidcLogins,
        listProviders: async () => (await listOidc()).map(({ name, settings }) => ({ name, title: settings.display_name ?? name })),
        endSession: async (name, returnTo) => {
          const provider = await findOidc(name);
          // A provider that cannot be asked keeps nobody logged in here; the log has why.
          return provider?.settings.logout === true ? oidc.endSession(provider, { returnTo }).catch(() => undefined) : undefined;
        },
      },
    }),
    stop: () => clearInterval(sweeper),
  };
}

/** The provider as the OpenID client takes it; undefined for a directory and for one that is switched off. */
function asOidc(provider: IdentityProvider): OidcProvider | undefined {
  if (provider.kind !== 'oidc' || !provider.isEnabled) return undefined;
  const { name, settings, secret, version } = provider;
  return { name, settings, version, ...(secret === undefined ? {} : { secret }) };
}
