// A real OpenID provider (npm oidc-provider, a certified implementation) on a loopback port. People are whoever the test says; its login and consent
// pages take any password. It runs in this process and keeps nothing.

import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';

export interface Person {
  readonly claims: Record<string, unknown>;
  readonly isGone?: boolean;
}

export interface RunningProvider {
  readonly issuer: string;
  /** By subject; may change while it runs. */
  readonly people: Map<string, Person>;
  stop(): Promise<void>;
}

export const clientId = 'registry';
export const clientSecret = 'registry-secret';

export async function startProvider(options: {
  redirectUris: readonly string[];
  postLogoutUris?: readonly string[];
  people: Readonly<Record<string, Person>>;
}): Promise<RunningProvider> {
  const people = new Map(Object.entries(options.people));
  let handle: RequestListener | undefined;
  const server = createServer((request, response) => handle?.(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [...options.redirectUris],
        post_logout_redirect_uris: [...(options.postLogoutUris ?? [])],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
      },
    ],
    cookies: { keys: ['a key of the tests'] },
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'], groups: ['groups'] },
    scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Grant: 3600, Session: 3600, RefreshToken: 3600 },
    findAccount: (_context: unknown, id: string) => {
      const person = people.get(id);
      if (person === undefined || person.isGone === true) return undefined;
      return { accountId: id, claims: async () => ({ sub: id, ...person.claims }) };
    },
  });
  handle = provider.callback();
  return {
    issuer,
    people,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
