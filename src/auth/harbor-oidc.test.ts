import { describe, expect, test } from 'bun:test';
import { readProviderSettings } from '../config/identity-schema.ts';
import { OciError } from '../oci/errors.ts';
import { createHarborOidc } from './harbor-oidc.ts';
import type { IdentityProvider, ProviderChange } from './identity-providers.ts';

/** One provider in memory. */
function setUp() {
  let kept: IdentityProvider | undefined;
  const put = (change: ProviderChange): IdentityProvider => {
    const settings = change.settings === undefined ? kept : readProviderSettings('oidc', change.settings);
    if (settings === undefined || 'issues' in settings) throw new OciError('BAD_REQUEST', 'settings');
    kept = {
      ...(kept ?? { name: 'harbor-oidc', position: 1, origin: 'api' as const, version: '1', secret: undefined }),
      ...settings,
      isEnabled: change.isEnabled ?? true,
      ...(change.secret === undefined || change.secret === null ? {} : { secret: change.secret }),
    } as IdentityProvider;
    return kept;
  };
  const configuration = createHarborOidc({
    find: async () => kept,
    create: async ({ isEnabled, settings, secret }) => put({ isEnabled, settings, ...(secret === undefined ? {} : { secret }) }),
    change: async (_name, change) => put(change),
  });
  return { configuration, kept: () => kept };
}
const harbor = {
  oidc_name: 'Corp',
  oidc_endpoint: 'https://idp.example.org',
  oidc_client_id: 'registry',
  oidc_client_secret: 'a secret',
  oidc_groups_claim: 'groups',
  oidc_admin_group: 'admins',
  oidc_scope: 'openid, email,groups',
  oidc_auto_onboard: true,
  oidc_extra_redirect_parms: '{"hd":"example.org"}',
};

describe("Harbor's settings of an OpenID provider", () => {
  test('make one, are read back as they hold, and the secret is not among them', async () => {
    const { configuration, kept } = setUp();
    expect(await configuration.read()).toMatchObject({ oidc_endpoint: '', oidc_verify_cert: true });
    await configuration.change(harbor);
    const { oidc_client_secret: secret, ...shown } = harbor;
    const read = await configuration.read();
    expect(read).toMatchObject({ ...shown, oidc_scope: 'openid,email,groups', oidc_user_claim: '', oidc_logout: false });
    expect(JSON.stringify(read)).not.toContain(secret);
    expect(kept()?.secret?.reveal()).toBe(secret);
    expect(kept()?.settings).toMatchObject({ user_claim: 'name', allow_private: false, extra_redirect_params: { hd: 'example.org' } });
  });

  test('change one by one, and an empty endpoint switches it off', async () => {
    const { configuration, kept } = setUp();
    await configuration.change(harbor);
    await configuration.change({ oidc_name: 'Other', oidc_verify_cert: false });
    expect(await configuration.read()).toMatchObject({ oidc_name: 'Other', oidc_verify_cert: false, oidc_client_id: 'registry' });
    expect(kept()?.secret?.reveal()).toBe('a secret');
    await configuration.change({ oidc_endpoint: '' });
    expect([kept()?.isEnabled, kept()?.settings]).toEqual([false, expect.objectContaining({ issuer: 'https://idp.example.org' })]);
  });

  test('without an endpoint make nothing; of the wrong kind they are refused', async () => {
    const { configuration, kept } = setUp();
    await configuration.change({ oidc_name: '', oidc_verify_cert: true });
    expect(kept()).toBeUndefined();
    for (const wrong of [
      { oidc_verify_cert: 'yes' },
      { oidc_name: 5 },
      { oidc_client_secret: 5 },
      { ...harbor, oidc_extra_redirect_parms: '{' },
      { ldap_url: 'x' },
    ])
      await expect(configuration.change(wrong)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });
});
