// A server with two OpenID providers beside its local accounts.

import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { freePort } from '../support/docker-registry.ts';
import { clientId, clientSecret, type RunningProvider, startProvider } from './provider.ts';

export interface TwoIssuers {
  readonly server: RunningBreakwater;
  readonly corp: RunningProvider;
  readonly partner: RunningProvider;
  stop(): Promise<void>;
}

/** `corp` makes accounts by itself and knows groups and administrators; `partner` asks for a name. `more` are providers beside the two. */
export async function startTwoIssuers(more: readonly object[] = [], env: Record<string, string> = {}): Promise<TwoIssuers> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const person = (name: string, groups: readonly string[] = []) => ({
    claims: { preferred_username: name, name: `${name} of corp`, email: `${name}@example.org`, email_verified: true, groups },
  });
  const [corp, partner] = await Promise.all([
    startProvider({
      redirectUris: [`${url}/c/oidc/callback/corp`],
      postLogoutUris: [`${url}/login`],
      people: { alice: person('alice', ['devs']), root: person('root', ['admins']), admin: person('admin'), off: person('off') },
    }),
    startProvider({ redirectUris: [`${url}/c/oidc/callback/partner`], people: { alice: person('alice'), carol: person('carol') } }),
  ]);
  const settings = (provider: RunningProvider) => ({
    issuer: provider.issuer,
    client_id: clientId,
    allow_private: true,
    scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
    groups_claim: 'groups',
  });
  const config = {
    presets: false,
    listen: `127.0.0.1:${port}`,
    identity: {
      providers: [
        {
          name: 'corp',
          secret: clientSecret,
          oidc: {
            ...settings(corp),
            admin_group: 'admins',
            logout: true,
            display_name: 'Corp & Co',
            extra_redirect_params: { prompt: 'consent' },
          },
        },
        { name: 'partner', secret: clientSecret, oidc: { ...settings(partner), auto_onboard: false } },
        ...more,
      ],
    },
  };
  const server = await startBreakwater({ config: JSON.stringify(config), args: ['--listen', `127.0.0.1:${port}`], env });
  return {
    server,
    corp,
    partner,
    stop: async () => {
      await server.stop();
      await Promise.all([corp.stop(), partner.stop()]);
    },
  };
}
