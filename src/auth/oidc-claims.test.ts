import { describe, expect, test } from 'bun:test';
import { oidcSettings } from '../config/oidc-settings.ts';
import { readIdentity } from './oidc-claims.ts';

const proven = { issuer: 'https://idp.example.org', subject: '42' };
const settings = (more: Record<string, unknown> = {}) => oidcSettings.parse({ issuer: proven.issuer, client_id: 'registry', ...more });

describe('who somebody is', () => {
  test('SEC-B13 is the issuer and the subject; name and address are only told', () => {
    const claims = {
      preferred_username: ' alice ',
      name: 'Alice A.',
      email: 'a@example.org',
      email_verified: true,
      sub: 'another',
      iss: 'another',
    };
    expect(readIdentity(settings(), proven, claims)).toEqual({
      externalId: 'https://idp.example.org 42',
      name: 'alice',
      displayName: 'Alice A.',
      email: 'a@example.org',
    });
  });

  test('SEC-B13 an address that is not verified is neither kept nor a name', () => {
    expect(readIdentity(settings({ user_claim: 'email' }), proven, { email: 'admin@example.org', email_verified: false })).toEqual({
      externalId: 'https://idp.example.org 42',
    });
    expect(readIdentity(settings({ user_claim: 'email' }), proven, { email: 'admin@example.org' }).name).toBeUndefined();
    expect(readIdentity(settings({ user_claim: 'email' }), proven, { email: 'a@example.org', email_verified: true }).name).toBe(
      'a@example.org',
    );
  });

  test('has no name where the claim is no usable text', () => {
    for (const value of [undefined, null, 5, '', '  ', 'a\nb', 'x'.repeat(256), ['a'], { a: 1 }])
      expect([value, readIdentity(settings(), proven, { preferred_username: value }).name]).toEqual([value, undefined]);
  });
});

describe('groups', () => {
  const groups = (claims: Record<string, unknown>, more: Record<string, unknown> = {}) =>
    readIdentity(settings({ groups_claim: 'groups', ...more }), proven, claims).groups;

  test('are a list, or one name, without what is no name', () => {
    expect(groups({ groups: ['a', 'b', 'a', 5, null, '', 'x\ny', { a: 1 }, 'z'.repeat(501)] })).toEqual(['a', 'b']);
    expect(groups({ groups: 'one' })).toEqual(['one']);
    expect(groups({ groups: { a: 1 } })).toEqual([]);
    expect(groups({})).toEqual([]);
    expect(groups({ groups: Array.from({ length: 5000 }, (_, index) => `g${index}`) })?.length).toBe(1000);
  });

  test('that are kept elsewhere are not known, and neither is who administrates', () => {
    const elsewhere = { _claim_names: { groups: 'src1' } };
    expect(groups(elsewhere)).toBeUndefined();
    expect(readIdentity(settings({ groups_claim: 'groups', admin_group: 'admins' }), proven, elsewhere).isAdmin).toBeUndefined();
  });

  test('are not looked at without a claim to look in', () =>
    expect(readIdentity(settings(), proven, { groups: ['a'] }).groups).toBeUndefined());

  test('make an administrator also when the filter leaves that group out', () => {
    const more = { admin_group: 'admins', group_filter: '^team-' };
    const identity = readIdentity(settings({ groups_claim: 'groups', ...more }), proven, { groups: ['team-a', 'admins', 'other'] });
    expect(identity).toMatchObject({ groups: ['team-a'], isAdmin: true });
    expect(readIdentity(settings({ groups_claim: 'groups', ...more }), proven, { groups: ['team-a'] }).isAdmin).toBe(false);
    expect(readIdentity(settings({ groups_claim: 'groups' }), proven, { groups: ['admins'] }).isAdmin).toBeUndefined();
  });
});
