// The LDAP connector against a real OpenLDAP: who may log in, what is known of them, and what is said when the directory gives no answer.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createLdapDirectory, type LdapDirectory } from '../../src/auth/ldap.ts';
import { LdapFailure } from '../../src/auth/ldap-failure.ts';
import { ldapSettings } from '../../src/config/ldap-settings.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { Secret } from '../../src/lib/secret.ts';
import { requireTools } from '../support/requirements.ts';
import { groupDn, groupLdif, personDn, personLdif } from './people.ts';
import { base, type Slapd, startSlapd } from './slapd.ts';

const ready = requireTools('slapd', 'slapadd', 'ldapadd', 'openssl');
const hostile = 'x)(|(uid=*))(\\';
const strangeRdn = 'cn=Nemo\\, Ka\\+pitän \\"Q\\"';

const entries = [
  personLdif({ uid: 'alice', password: 'alice-secret', mail: 'alice@example.org', cn: 'Alice Ärmel' }),
  personLdif({ uid: 'bob', password: 'pässwörd ✓ 密码' }),
  personLdif({ uid: 'carol', password: 'carol-secret', employeeType: 'left' }),
  personLdif({ uid: 'nemo', password: 'nemo-secret', rdn: strangeRdn }),
  personLdif({ uid: 'twin', password: 'twin-secret', rdn: 'cn=twin one' }),
  personLdif({ uid: 'twin', password: 'twin-secret', rdn: 'cn=twin two' }),
  personLdif({ uid: "o'hara(x)*", password: 'ohara-secret', rdn: "uid=o'hara(x)*" }),
  groupLdif('devs', [personDn('uid=alice'), personDn('uid=bob'), personDn(strangeRdn)]),
  groupLdif('admins', [personDn('uid=alice')]),
  groupLdif('all staff', [groupDn('devs')]),
  groupLdif('company', [groupDn('all staff'), groupDn('company')]),
].join('');

describe.skipIf(!ready)('a directory', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = await startSlapd(entries);
  }, 60_000);
  afterAll(async () => {
    await slapd?.stop();
  });

  const open = (more: Readonly<Record<string, unknown>> = {}, password: string | undefined = slapd.bindPassword): LdapDirectory =>
    createLdapDirectory({
      settings: ldapSettings.parse({ urls: [slapd.url], allow_plaintext: true, bind_dn: slapd.bindDn, base_dn: base, ...more }),
      password: password === undefined ? undefined : new Secret(password),
      clock: systemClock,
    });
  const failureOf = async (task: Promise<unknown>): Promise<string> => {
    try {
      await task;
      return 'none';
    } catch (error) {
      if (error instanceof LdapFailure) return error.kind;
      throw error;
    }
  };

  test('knows a person by name and password, with mail, full name and a lasting identifier', async () => {
    const login = await open().login('alice', 'alice-secret');
    expect(login).toMatchObject({
      outcome: 'ok',
      person: {
        name: 'alice',
        email: 'alice@example.org',
        displayName: 'Alice Ärmel',
        dn: personDn('uid=alice'),
        groups: [],
        isAdmin: false,
      },
    });
    expect(login.outcome === 'ok' ? login.person.externalId : '').toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
  });

  test('gives the name in its own spelling', async () => {
    expect(await open().login('ALICE', 'alice-secret')).toMatchObject({ outcome: 'ok', person: { name: 'alice' } });
  });

  test('takes passwords as UTF-8', async () => {
    expect(await open().login('bob', 'pässwörd ✓ 密码')).toMatchObject({ outcome: 'ok' });
    expect(await open().login('bob', 'passwörd ✓ 密码')).toEqual({ outcome: 'wrong' });
  });

  test('tells a wrong password from an unknown name', async () => {
    expect(await open().login('alice', 'other')).toEqual({ outcome: 'wrong' });
    expect(await open().login('nobody', 'other')).toEqual({ outcome: 'unknown' });
  });

  test('never asks with an empty password, which OpenLDAP would call anonymous', async () => {
    const before = slapd.count('BIND');
    expect(await open().login('alice', '')).toEqual({ outcome: 'unknown' });
    expect(slapd.count('BIND')).toBe(before);
  });

  test('a filter leaves people out', async () => {
    const directory = open({ user_filter: '(&(objectClass=inetOrgPerson)(!(employeeType=left)))' });
    expect(await directory.login('carol', 'carol-secret')).toEqual({ outcome: 'unknown' });
    expect(await open().login('carol', 'carol-secret')).toMatchObject({ outcome: 'ok' });
  });

  test('a name is a value and never a filter', async () => {
    for (const name of ['*', 'a*', hostile, 'alice)(uid=*', 'alice\\2a', '\\61lice', 'uid=alice', 'alice\0'])
      expect([name, await open().login(name, 'alice-secret')]).toEqual([name, { outcome: 'unknown' }]);
    expect(await open().login("o'hara(x)*", 'ohara-secret')).toMatchObject({ outcome: 'ok', person: { name: "o'hara(x)*" } });
  });

  test('two entries of one name are nobody', async () => {
    expect(await open().login('twin', 'twin-secret')).toEqual({ outcome: 'ambiguous' });
    expect(await open().find('twin')).toBeUndefined();
  });

  test('finds groups by search and by attribute, also of a name with commas, plus and quotes', async () => {
    for (const membership of ['search', 'attribute']) {
      const directory = open({ groups: { membership } });
      expect((await directory.find('alice'))?.groups.toSorted()).toEqual([groupDn('admins'), groupDn('devs')]);
      const login = await directory.login('nemo', 'nemo-secret');
      expect(login).toMatchObject({ outcome: 'ok', person: { groups: [groupDn('devs')] } });
    }
  });

  test('groups in groups count only by setting, and a circle ends', async () => {
    const nested = [groupDn('all staff'), groupDn('company'), groupDn('devs')];
    for (const membership of ['search', 'attribute']) {
      expect((await open({ groups: { membership } }).find('bob'))?.groups).toEqual([groupDn('devs')]);
      expect((await open({ groups: { membership, nested: true } }).find('bob'))?.groups.toSorted()).toEqual(nested);
    }
  });

  test('administrators and those allowed are known by their groups', async () => {
    const admins = open({ groups: {}, admin_groups: [` CN=Admins , OU=groups,${base}`] });
    expect((await admins.find('alice'))?.isAdmin).toBe(true);
    expect((await admins.find('bob'))?.isAdmin).toBe(false);
    const closed = open({ groups: {}, allowed_groups: [groupDn('admins')] });
    expect(await closed.login('alice', 'alice-secret')).toMatchObject({ outcome: 'ok' });
    expect(await closed.login('bob', 'pässwörd ✓ 密码')).toEqual({ outcome: 'not-allowed' });
  });

  test('lists people and groups, within a limit', async () => {
    const directory = open({ groups: {} });
    expect((await directory.listPeople({ max: 3 })).length).toBe(3);
    expect((await directory.listPeople({ name: 'alice', max: 3 })).map((person) => person.name)).toEqual(['alice']);
    expect(await directory.listGroups({ name: 'devs', max: 5 })).toEqual([{ dn: groupDn('devs'), name: 'devs' }]);
    expect(await directory.listGroups({ dn: groupDn('devs'), max: 5 })).toEqual([{ dn: groupDn('devs'), name: 'devs' }]);
  });

  test('speaks ldaps and StartTLS with an authority of its own, and with no other', async () => {
    const { ca, tlsUrl } = slapd;
    const startTls = { urls: [slapd.url.replace('127.0.0.1', 'localhost')], allow_plaintext: false, start_tls: true };
    expect(await open({ urls: [tlsUrl], ca }).login('alice', 'alice-secret')).toMatchObject({ outcome: 'ok' });
    expect(await open({ ...startTls, ca }).login('alice', 'alice-secret')).toMatchObject({ outcome: 'ok' });
    expect(await failureOf(open({ urls: [tlsUrl] }).login('alice', 'alice-secret'))).toBe('tls');
    expect(await failureOf(open(startTls).login('alice', 'alice-secret'))).toBe('tls');
    // The certificate is for localhost, not for an address.
    expect(await failureOf(open({ urls: [tlsUrl.replace('localhost', '127.0.0.1')], ca }).test())).toBe('tls');
    expect(await failureOf(open({ ...startTls, urls: [slapd.url], ca }).test())).toBe('tls');
    expect(await failureOf(open({ urls: [tlsUrl], verify_certificate: false }).test())).toBe('none');
  });

  test('a server that is down is no wrong password, and the next one is asked', async () => {
    const down = 'ldap://127.0.0.1:1';
    expect(await failureOf(open({ urls: [down] }).login('alice', 'alice-secret'))).toBe('unreachable');
    const both = open({ urls: [down, slapd.url] });
    expect(await both.login('alice', 'alice-secret')).toMatchObject({ outcome: 'ok' });
    expect(await both.login('alice', 'other')).toEqual({ outcome: 'wrong' });
  });

  test('a server that accepts and says nothing is left after its time', async () => {
    const silent = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } });
    try {
      const urls = [`ldap://127.0.0.1:${silent.port}`];
      expect(await failureOf(open({ urls, timeout: '200ms' }).login('alice', 'alice-secret'))).toBe('timeout');
      expect(await failureOf(open({ urls, timeout: '200ms', allow_plaintext: false, start_tls: true }).test())).toBe('tls');
      expect(await failureOf(open({ urls: [`ldaps://127.0.0.1:${silent.port}`], timeout: '200ms' }).test())).toBe('timeout');
    } finally {
      silent.stop(true);
    }
  });

  test('a refused bind DN and a senseless search are told apart from both', async () => {
    expect(await failureOf(open({}, 'wrong').login('alice', 'alice-secret'))).toBe('bind');
    expect(await failureOf(open({ bind_dn: `cn=nobody,${base}` }).test())).toBe('bind');
    expect(await failureOf(open({ base_dn: 'no=such=thing' }).test())).toBe('settings');
    expect(await failureOf(open({ user_filter: '(&(=))' }).test())).toBe('settings');
  });

  test('never dials an address no directory can have', async () => {
    for (const host of ['169.254.169.254', '0.0.0.0', '[::]', '[fe80::1]'])
      expect([host, await failureOf(open({ urls: [`ldap://${host}`] }).test())]).toEqual([host, 'denied']);
  });

  test('many logins share few connections', async () => {
    const directory = open({ connections: 2 });
    const logins = await Promise.all(Array.from({ length: 30 }, () => directory.login('alice', 'alice-secret')));
    expect(logins.every((login) => login.outcome === 'ok')).toBe(true);
  });
});
