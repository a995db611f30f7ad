// What is kept of logins and of the keys of tokens: counts that add up over servers, windows, successes, and bounds.

import { describe, expect, test } from 'bun:test';
import { prepareLoginTraceQuery } from '../../src/db/login-traces.ts';
import { listTokenKeys } from '../../src/db/token-keys.ts';
import type { Fixture } from './fixture.ts';

export function loginCases(now: () => Fixture): void {
  const windowMs = 1000;
  const record = (place: string, failedAtMs: number, more: { failures?: number; succeededAtMs?: number; expiresAtMs?: number } = {}) =>
    now().database.run('recordLogins', { changes: [{ place, failures: 1, windowMs, failedAtMs, expiresAtMs: 4e12, ...more }] });
  const find = (place: string) => prepareLoginTraceQuery(now().database)(place);

  describe('what is remembered of logins', () => {
    test('failures of a place add up within the window and begin anew after it', async () => {
      expect(await find('a')).toBeUndefined();
      await record('a', 10_000);
      await record('a', 10_500, { failures: 3 });
      expect(await find('a')).toEqual({ failures: 4, failedAtMs: 10_500, succeededAtMs: 0 });
      await record('a', 11_501);
      expect((await find('a'))?.failures).toBe(1);
    });

    test('a success forgets the failures and is remembered itself', async () => {
      await record('b', 10_000, { failures: 7 });
      await record('b', 0, { failures: 0, succeededAtMs: 10_100 });
      expect(await find('b')).toEqual({ failures: 0, failedAtMs: 10_000, succeededAtMs: 10_100 });
      await record('b', 10_200);
      expect(await find('b')).toEqual({ failures: 1, failedAtMs: 10_200, succeededAtMs: 10_100 });
    });

    test('servers that count at the same time lose nothing', async () => {
      await Promise.all(Array.from({ length: 20 }, () => record('c', 10_000)));
      expect((await find('c'))?.failures).toBe(20);
    });

    test('what has expired is swept away, and what expires first beyond the bound', async () => {
      await record('old', 1, { expiresAtMs: 1 });
      await now().database.run('sweepLogins', { max: 1_000_000 });
      expect(await find('old')).toBeUndefined();
      expect(await find('a')).toBeDefined();
      for (let index = 0; index < 10; index++) await record(`many ${index}`, 1, { expiresAtMs: 5e12 + index });
      await now().database.run('sweepLogins', { max: 4 });
      const left = await now().database.read.selectFrom('login_trace').select('place').orderBy('place').execute();
      expect(left.map((row) => row.place)).toEqual(['many 6', 'many 7', 'many 8', 'many 9']);
    });
  });

  describe('the keys of tokens', () => {
    test('one more is added to the youngest that was seen, and the others retire', async () => {
      const { database } = now();
      for (const key of await listTokenKeys(database.read)) expect(key).toBeUndefined();
      const add = (id: string, youngest: string | null, othersRetireAtMs = 4e12) =>
        database.run('addTokenKey', { id, privateKey: `sealed ${id}`, youngest, othersRetireAtMs });
      expect(await add('k1', null)).toBe(true);
      expect(await add('k2', null)).toBe(false);
      const two = await Promise.all([add('k3', 'k1'), add('k4', 'k1')]);
      expect(two.filter(Boolean)).toHaveLength(1);
      const [youngest, old, ...rest] = await listTokenKeys(database.read);
      expect(rest).toEqual([]);
      expect(youngest?.retiresAtMs).toBeNull();
      expect(old).toMatchObject({ id: 'k1', privateKey: 'sealed k1', retiresAtMs: 4e12 });
      // Revoked: what has retired is gone with the next one.
      expect(await add('k5', youngest?.id ?? '', 1)).toBe(true);
      expect((await listTokenKeys(database.read)).map((key) => key.id)).toEqual(['k5']);
    });
  });
}
