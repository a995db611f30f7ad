import { describe, expect, test } from 'bun:test';
import { readProviderSettings } from '../config/identity-schema.ts';
import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { createHarborLdap, harborLdapName } from './harbor-ldap.ts';
import type { IdentityProvider, NewProvider, ProviderChange } from './identity-providers.ts';

/** Keeps one provider, as the real ones do after their checks. */
function createKept() {
  let kept: IdentityProvider | undefined;
  const keep = (settings: unknown, secret: Secret | undefined, isEnabled: boolean): IdentityProvider => {
    const read = readProviderSettings('ldap', settings);
    if ('issues' in read) throw new OciError('BAD_REQUEST', read.issues[0]?.message ?? '');
    kept = { ...read, name: harborLdapName, isEnabled, position: 1, secret, origin: 'api', version: 'x' };
    return kept;
  };
  return {
    now: () => kept,
    find: async () => kept,
    create: async ({ settings, secret, isEnabled }: NewProvider) => keep(settings, secret, isEnabled),
    change: async (_name: string, { settings, secret, isEnabled }: ProviderChange) => {
      if (kept === undefined) throw new Error('there is none');
      if (settings === undefined) kept = { ...kept, isEnabled: isEnabled ?? kept.isEnabled };
      else keep(settings, secret ?? kept.secret, isEnabled ?? kept.isEnabled);
      return kept;
    },
  };
}

const sent = {
  ldap_url: 'ldaps://ldap.example',
  ldap_base_dn: 'ou=people,dc=example',
  ldap_filter: 'objectClass=person',
  ldap_uid: 'uid',
  ldap_search_dn: 'cn=reader,dc=example',
  ldap_search_password: 'geheim',
  ldap_scope: 1,
  ldap_timeout: 7,
  ldap_verify_cert: false,
  ldap_group_base_dn: 'ou=groups,dc=example',
  ldap_group_search_filter: '(objectClass=groupOfNames)',
  ldap_group_attribute_name: 'cn',
  ldap_group_search_scope: 2,
  ldap_group_membership_attribute: 'memberof',
  ldap_group_admin_dn: 'cn=admins,ou=groups,dc=example',
  ldap_group_attach_parallel: true,
};
const codeOf = async (task: Promise<unknown>): Promise<string> => {
  try {
    await task;
    return 'done';
  } catch (error) {
    if (error instanceof OciError) return error.code;
    throw error;
  }
};

describe("Harbor's settings of a directory", () => {
  test('are its defaults while there is no directory', async () => {
    const part = createHarborLdap(createKept());
    expect(await part.read()).toMatchObject({ ldap_url: '', ldap_scope: 2, ldap_uid: 'cn', ldap_verify_cert: true });
    await part.change({ ldap_url: '', ldap_scope: 2 });
    expect(await part.read()).toMatchObject({ ldap_url: '' });
  });

  test('become a provider and are read as they were sent, without the password', async () => {
    const kept = createKept();
    const part = createHarborLdap(kept);
    await part.change(sent);
    expect(kept.now()).toMatchObject({
      name: 'harbor-ldap',
      isEnabled: true,
      settings: {
        urls: ['ldaps://ldap.example'],
        user_filter: '(objectClass=person)',
        scope: 'one',
        timeout: 7000,
        verify_certificate: false,
      },
    });
    expect(kept.now()?.secret?.reveal()).toBe('geheim');
    const read = await part.read();
    const { ldap_search_password: _, ...rest } = sent;
    expect(read).toEqual({ ...rest, ldap_filter: '(objectClass=person)', ldap_group_attach_parallel: false });
    expect(Object.keys(read).every((key) => part.keys.has(key))).toBe(true);
    // One key alone leaves the others, and the password.
    await part.change({ ldap_timeout: 9 });
    expect(await part.read()).toMatchObject({ ldap_timeout: 9, ldap_uid: 'uid' });
    expect(kept.now()?.secret?.reveal()).toBe('geheim');
    await part.change({ ldap_url: '' });
    expect(kept.now()?.isEnabled).toBe(false);
  });

  test('what is not understood is said in the words of who sent it', async () => {
    const part = createHarborLdap(createKept());
    for (const more of [
      { ldap_scope: 3 },
      { ldap_scope: '2' },
      { ldap_verify_cert: 'yes' },
      { ldap_base_dn: 'example' },
      { ldap_url: 'http://x' },
      { ldap_timeout: 0 },
      { ldap_filter: '(uid=*' },
      { ldap_search_password: 1 },
      { ldap_unknown: 1 },
    ])
      expect([more, await codeOf(part.change({ ...sent, ...more }))]).toEqual([more, 'BAD_REQUEST']);
    expect(part.change({ ...sent, ldap_base_dn: 'example' })).rejects.toThrow('ldap_base_dn: ');
  });
});
