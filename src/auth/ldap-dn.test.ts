import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { firstValueOf, normalizeDn } from './ldap-dn.ts';

describe('a distinguished name', () => {
  test('has one normal form for every spelling', () => {
    const normal = 'cn=devs,ou=groups,dc=example,dc=org';
    for (const text of [
      normal,
      ' CN = Devs , OU=Groups,DC=Example;dc=ORG ',
      'cn=\\64evs,ou=groups,dc=example,dc=org',
      'cn="devs",ou=groups,dc=example,dc=org',
    ])
      expect([text, normalizeDn(text)]).toEqual([text, normal]);
    expect(normalizeDn('CN=b+UID=a,dc=x')).toBe(normalizeDn('uid=A + cn=B,DC=x'));
    expect(normalizeDn('cn=a  b,dc=x')).toBe('cn=a b,dc=x');
    expect(normalizeDn('OID.2.5.4.3=a')).toBe('2.5.4.3=a');
  });

  test('keeps what is escaped apart from what separates', () => {
    expect(normalizeDn('cn=a\\,dc\\=x')).toBe('cn=a\\,dc\\=x');
    expect(normalizeDn('cn=a\\,dc\\=x')).not.toBe(normalizeDn('cn=a,dc=x'));
    expect(normalizeDn('cn=a\\2cdc\\3dx')).toBe('cn=a\\,dc\\=x');
    expect(normalizeDn('cn=\\C3\\A4')).toBe('cn=ä');
    expect(normalizeDn('cn=#04024869')).toBe('cn=\\#04024869');
  });

  test('is not any other text', () => {
    for (const text of ['devs', 'cn', '=a', 'cn=a,', 'cn=a,,dc=b', 'cn=a\\', 'cn="a', 'cn="a"b', 'cn=\\ff', 'cn=#0', '1.2.=a', 'a b=c'])
      expect([text, normalizeDn(text)]).toEqual([text, undefined]);
    expect(normalizeDn('')).toBe('');
    expect(normalizeDn(`cn=${'a'.repeat(5000)}`)).toBeUndefined();
  });

  test('of any text: its normal form is its own normal form', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^cn=[ -~äß\\",+#;=<>]{0,20}(,dc=[ -~\\]{0,8})?$/)), (text) => {
        const normal = normalizeDn(text);
        return normal === undefined || normalizeDn(normal) === normal;
      }),
    );
  });

  test('of any value: it is read as it was escaped', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), (value) => {
        const escaped = [...Buffer.from(value)].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
        expect(firstValueOf(`cn=${escaped},dc=x`)).toBe(value);
      }),
    );
  });
});
