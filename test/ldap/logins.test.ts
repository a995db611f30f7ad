// People of directories log in to a running server: accounts, groups, administrators, two directories with one name, a directory that is down.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireTools } from '../support/requirements.ts';
import { groupDn, groupLdif, personDn, personLdif } from './people.ts';
import { base, type Slapd, startSlapd } from './slapd.ts';

const ready = requireTools('slapd', 'slapadd', 'ldapadd', 'openssl');

describe.skipIf(!ready)('logins of directories', () => {
  let first: Slapd;
  let second: Slapd;
  let server: RunningBreakwater;

  beforeAll(async () => {
    first = await startSlapd(
      [
        personLdif({ uid: 'alice', password: 'alice-one', mail: 'alice@one.example' }),
        personLdif({ uid: 'bob', password: 'pässwörd ✓' }),
        personLdif({ uid: 'admin', password: 'not-the-admin' }),
        personLdif({ uid: 'robot$ci', password: 'a-robot' }),
        personLdif({ uid: 'gone', password: 'gone-secret' }),
        groupLdif('devs', [personDn('uid=alice'), personDn('uid=bob')]),
        groupLdif('chiefs', [personDn('uid=bob')]),
      ].join(''),
    );
    second = await startSlapd(
      [personLdif({ uid: 'alice', password: 'alice-two' }), personLdif({ uid: 'zoe', password: 'zoe-secret' })].join(''),
    );
    server = await startBreakwater({ config: configOf([first, second]), env: { READER_PASSWORD: first.bindPassword } });
  }, 90_000);
  afterAll(async () => {
    await server?.stop();
    await Promise.all([first?.stop(), second?.stop()]);
  });

  const configOf = (slapds: readonly Slapd[]): string =>
    JSON.stringify({
      presets: false,
      probes: { enabled: false },
      identity: {
        providers: slapds.map((slapd, index) => ({
          name: `dir-${index + 1}`,
          secret_env: 'READER_PASSWORD',
          ldap: {
            urls: [slapd.tlsUrl],
            ca: slapd.ca,
            bind_dn: slapd.bindDn,
            base_dn: base,
            groups: {},
            admin_groups: [groupDn('chiefs')],
            timeout: '10s',
          },
        })),
      },
    });
  /** Docker's login: a token without a scope. */
  const login = async (name: string, password: string, on: RunningBreakwater = server): Promise<number> => {
    const response = await fetch(`${on.url}/service/token?service=breakwater`, {
      headers: { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` },
    });
    await response.arrayBuffer();
    return response.status;
  };

  test('the right password lets in, any other does not', async () => {
    expect(await login('alice', 'alice-one')).toBe(200);
    expect(await login('bob', 'pässwörd ✓')).toBe(200);
    expect(await login('alice', 'wrong')).toBe(401);
    expect(await login('nobody', 'wrong')).toBe(401);
    expect(await login('alice', '')).toBe(401);
  });

  test('the first directory that knows a name has it for good', async () => {
    expect(await login('alice', 'alice-two')).toBe(401);
    expect(await login('zoe', 'zoe-secret')).toBe(200);
    expect(await login('alice', 'alice-one')).toBe(200);
  });

  test('nobody takes over a name of this server, nor that of a robot', async () => {
    expect(await login('admin', 'not-the-admin')).toBe(401);
    expect(await login('Admin', 'not-the-admin')).toBe(401);
    expect(await login('admin', server.adminPassword)).toBe(200);
    expect(await login('robot$ci', 'a-robot')).toBe(401);
  });

  test('a name cannot be a filter', async () => {
    for (const name of ['*', 'alic*', 'x)(|(uid=alice)', 'alice)(objectClass=*'])
      expect([name, await login(name, 'alice-one')]).toEqual([name, 401]);
  });

  test('members of the administrators’ group are administrators', async () => {
    const ask = async (name: string, password: string): Promise<number> => {
      const authorization = `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
      const response = await fetch(`${server.url}/api/v2.0/sources`, { headers: { authorization } });
      await response.arrayBuffer();
      return response.status;
    };
    expect(await ask('bob', 'pässwörd ✓')).toBe(200);
    expect(await ask('alice', 'alice-one')).toBe(403);
  });

  test('many requests with one login ask the directory once', async () => {
    expect(await login('zoe', 'zoe-secret')).toBe(200);
    const before = second.count('BIND');
    expect(await Promise.all(Array.from({ length: 40 }, () => login('zoe', 'zoe-secret')))).toEqual(Array(40).fill(200));
    expect(second.count('BIND')).toBe(before);
  });

  test('a directory that is down is no wrong password, and the others go on', async () => {
    await first.stop();
    expect(await login('gone', 'gone-secret')).toBe(503);
    expect(await login('alice', 'never-seen')).toBe(503);
    expect(await login('zoe', 'zoe-secret')).toBe(200);
    expect(await login('admin', server.adminPassword)).toBe(200);
    expect(await login('admin', 'wrong')).toBe(401);
    expect(server.logs()).toContain('identity.directory-failed');
  });

  test('no password is in the log', () => {
    for (const secret of ['alice-one', 'pässwörd', 'zoe-secret', first.bindPassword, 'never-seen'])
      expect(server.logs()).not.toContain(secret);
  });
});
