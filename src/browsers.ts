// What is made from what for browsers: sessions, the pages that begin them, the door of the admin API. A part of the composition root (app.ts).

import type { Audit } from './auth/audit.ts';
import { actorOf } from './auth/audit-event.ts';
import type { IdentityProviders } from './auth/identity-providers.ts';
import { createLoginAttempts } from './auth/login-attempts.ts';
import type { Logins } from './auth/logins.ts';
import { type Oidc, type OidcProvider, toOidcProvider } from './auth/oidc.ts';
import { createOidcLogins } from './auth/oidc-logins.ts';
import { createOidcOnboarding } from './auth/oidc-onboarding.ts';
import type { Principals } from './auth/principals.ts';
import { createSessions, type Sessions } from './auth/sessions.ts';
import type { ServerSettings } from './config/server-settings.ts';
import type { Database } from './db/database.ts';
import { type ApiDoor, createApiDoor } from './http/api-door.ts';
import type { Authentication } from './http/authentication.ts';
import { type Console, createConsole } from './http/console.ts';
import type { Clients } from './http/origin.ts';
import type { Clock } from './lib/clock.ts';
import type { Log } from './lib/log.ts';

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
    readonly oidc: Oidc;
  };
  settings: { read(): Promise<Pick<ServerSettings, 'session_timeout'>> };
  audit: Pick<Audit, 'noteLogin' | 'note'>;
  clients: Clients;
}): Browsers {
  const { database, clock, log, identity, clients, settings, audit } = options;
  const { principals, logins, authentication, oidc } = identity;
  const sessions = createSessions({
    database,
    clock,
    log,
    findPrincipal: principals.byKey,
    idleMs: async () => (await settings.read()).session_timeout * 60_000,
  });
  const sweeper = setInterval(() => void sessions.sweep().catch((error) => log.error('sessions.sweep-failed', { error })), sweepIntervalMs);
  sweeper.unref();
  const listOidc = async (): Promise<OidcProvider[]> =>
    (await identity.providers.list()).flatMap((provider) => (provider.isEnabled ? toOidcProvider(provider) : undefined) ?? []);
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
      audit: {
        loggedIn: (principal, address) => audit.noteLogin({ name: principal.name, address, accepted: { principal, method: 'session' } }),
        refused: (provider, address) => audit.noteLogin({ name: `(${provider})`, address }),
        loggedOut: ({ id, principal }, address) =>
          audit.note({
            atMs: clock.nowMs(),
            actor: actorOf({ principal, method: 'session' }),
            ...(address === undefined ? {} : { address }),
            operation: 'logout',
            resourceType: 'session',
            resource: String(id),
            outcome: 'success',
          }),
      },
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
