import { describe, expect, test } from 'bun:test';
import { oidcSettings } from './oidc-settings.ts';

const good = { issuer: 'https://idp.example.org/realms/a', client_id: 'registry' };
const problem = (value: unknown): string =>
  oidcSettings
    .safeParse(value)
    .error?.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`)
    .join('; ') ?? '';

describe('the settings of an OpenID provider', () => {
  test('need an issuer and a client; the rest has a value', () => {
    expect(oidcSettings.parse(good)).toEqual({
      ...good,
      scopes: ['openid', 'profile', 'email'],
      user_claim: 'preferred_username',
      auto_onboard: true,
      verify_certificate: true,
      allow_private: false,
      extra_redirect_params: {},
      logout: false,
    });
    expect(problem({ client_id: 'a' })).toContain('issuer is missing');
    expect(problem({ ...good, secret: 'x' })).toContain('secret');
  });

  test('take an issuer as it is written, and no URL that is more than an issuer', () => {
    expect(oidcSettings.parse({ ...good, issuer: 'https://idp.example.org/' }).issuer).toBe('https://idp.example.org/');
    for (const issuer of [
      'idp.example.org',
      'ftp://idp.example.org',
      'https://u:p@idp.example.org',
      'https://idp.example.org/?a=b',
      'https://idp.example.org/#a',
      5,
    ])
      expect([issuer, problem({ ...good, issuer })]).toEqual([issuer, expect.stringContaining('https:// URL')]);
  });

  test('take an http:// issuer only where a private one is allowed', () => {
    const issuer = 'http://127.0.0.1:8080';
    expect(problem({ ...good, issuer })).toContain('allow_private');
    expect(problem({ ...good, issuer, allow_private: true })).toBe('');
  });

  test('leave what the login says itself to the login', () => {
    expect(problem({ ...good, extra_redirect_params: { hd: 'example.org' } })).toBe('');
    for (const name of ['state', 'nonce', 'redirect_uri', 'code_challenge', 'response_mode', 'request'])
      expect([name, problem({ ...good, extra_redirect_params: { [name]: 'x' } })]).toEqual([
        name,
        expect.stringContaining('login does not set itself'),
      ]);
  });

  test('want a claim for groups that are named, and a filter that is a pattern', () => {
    expect(problem({ ...good, admin_group: 'admins' })).toContain('groups_claim');
    expect(problem({ ...good, groups_claim: 'groups', admin_group: 'admins', group_filter: '^a' })).toBe('');
    expect(problem({ ...good, groups_claim: 'groups', group_filter: '(' })).toContain('regular expression');
  });
});
