import { describe, expect, test } from 'bun:test';
import { ldapSettings, parseLdapUrl } from './ldap-settings.ts';

const least = { urls: ['ldaps://directory.example.org'], base_dn: 'dc=example,dc=org' };
const problem = (more: Readonly<Record<string, unknown>>): string =>
  ldapSettings
    .safeParse({ ...least, ...more })
    .error?.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`)
    .join('; ') ?? '';

describe('settings of a directory', () => {
  test('two of them are enough', () => {
    expect(ldapSettings.parse(least)).toMatchObject({
      scope: 'sub',
      user_attribute: 'uid',
      timeout: 5000,
      connections: 8,
      verify_certificate: true,
      auto_onboard: true,
      trust_names: false,
    });
  });

  test('passwords cross the network readable only when that is said', () => {
    const open = { urls: ['ldap://a.example'] };
    expect(problem(open)).toContain('has ldap:// without TLS');
    expect(problem({ ...open, start_tls: true })).toBe('');
    expect(problem({ ...open, allow_plaintext: true })).toBe('');
  });

  test('groups are named only where it is said how they are found', () => {
    expect(problem({ admin_groups: ['cn=admins,dc=example'] })).toContain('groups is missing');
    expect(problem({ admin_groups: ['cn=admins,dc=example'], groups: {} })).toBe('');
  });

  test('what is not understood is refused', () => {
    for (const more of [
      { unknown: 1 },
      { urls: [] },
      { urls: ['https://a.example'] },
      { base_dn: 'example.org' },
      { scope: 'tree' },
      { user_filter: '(uid=*' },
      { user_filter: '(uid=*)(cn=*)' },
      { user_filter: 'uid=*' },
      { user_attribute: 'uid)(cn' },
      { timeout: '1h' },
      { ca: 'no pem' },
      { ca: '-----BEGIN CERTIFICATE-----', ca_file: '/ca.pem' },
    ])
      expect([more, problem(more) === '']).toEqual([more, false]);
  });

  test('a URL has one form', () => {
    expect(parseLdapUrl('LDAP://Directory.Example.ORG:389/')).toBe('ldap://directory.example.org');
    expect(parseLdapUrl('ldaps://[::1]:1636')).toBe('ldaps://[::1]:1636');
    expect(parseLdapUrl('ldaps://a:389')).toBe('ldaps://a:389');
    for (const text of ['ldap://', 'ldap://u@h', 'ldap://h/dc=x', 'ldap://h?x', 'ldapi:///x', 'ldap://h:99999', 'h'])
      expect([text, parseLdapUrl(text)]).toEqual([text, undefined]);
  });
});
