// The contract on sessions of browsers and logins under way.

import { describe, expect, test } from 'bun:test';
import { prepareLoginQuery } from '../../src/db/identity.ts';
import { countSessions, listSessions, prepareSessionQuery } from '../../src/db/sessions.ts';
import { day, type Fixture, outcome } from './fixture.ts';

export function sessionCases(now: () => Fixture): void {
  const account = async (name: string): Promise<number> => {
    const { database } = now();
    await database.run('createAccount', { name, passwordHash: 'h', isAdmin: false });
    return (await prepareLoginQuery(database)(name))?.id ?? 0;
  };
  const start = (accountId: number, secretHash: string, more: { replaces?: string; expiresAtMs?: number } = {}) =>
    now().database.run('createSession', {
      secretHash,
      accountId,
      accountEpoch: 0,
      address: '10.0.0.1',
      userAgent: 'a browser',
      expiresAtMs: Date.now() + day,
      ...more,
    });

  describe('sessions', () => {
    test('a session is found by the hash of its secret, with all it was given', async () => {
      const { database } = now();
      const find = prepareSessionQuery(database);
      const accountId = await account('session-a');
      const id = await start(accountId, 'hash-a');
      expect(await find('hash-a')).toMatchObject({
        id,
        accountId,
        accountEpoch: 0,
        provider: 'local',
        address: '10.0.0.1',
        userAgent: 'a browser',
      });
      expect(await find('hash-b')).toBeUndefined();
    });

    test('a session begins only for the account as it was when it logged in', async () => {
      const { database } = now();
      const accountId = await account('session-z');
      const values = { secretHash: 'z', accountId, accountEpoch: 7, userAgent: '', expiresAtMs: Date.now() + day };
      expect(await outcome(database.run('createSession', values))).toBe('UNAUTHORIZED');
      expect(await outcome(database.run('createSession', { ...values, accountId: 987_654 }))).toBe('UNAUTHORIZED');
    });

    test('a login ends the session it follows', async () => {
      const find = prepareSessionQuery(now().database);
      const accountId = await account('session-b');
      await start(accountId, 'before');
      const id = await start(accountId, 'after', { replaces: 'before' });
      expect(await find('before')).toBeUndefined();
      expect((await find('after'))?.id).toBe(id);
    });

    test('a renewed session goes on under its new secret alone', async () => {
      const { database } = now();
      const find = prepareSessionQuery(database);
      const id = await start(await account('session-c'), 'old-secret');
      expect(await database.run('renewSession', { id, secretHash: 'new-secret' })).toBe(true);
      expect(await find('old-secret')).toBeUndefined();
      expect((await find('new-secret'))?.id).toBe(id);
      expect(await database.run('renewSession', { id: 987_654, secretHash: 'x' })).toBe(false);
    });

    test('an account has 50 at most: the oldest goes', async () => {
      const { database } = now();
      const accountId = await account('session-d');
      const ids: number[] = [];
      for (let index = 0; index < 52; index++) ids.push(await start(accountId, `many-${index}`));
      const listed = await listSessions(database.read, { accountId, limit: 100 });
      expect(listed.map((session) => session.id)).toEqual(ids.slice(2).reverse());
      expect(listed[0]?.accountName).toBe('session-d');
      expect(await countSessions(database.read, accountId)).toBe(50);
      const page = await listSessions(database.read, { accountId, limit: 2, offset: 1 });
      expect(page.map((session) => session.id)).toEqual(ids.slice(-3, -1).reverse());
    });

    test('one is ended by its owner only, all of one account at once but one', async () => {
      const { database } = now();
      const [mine, other] = [await account('session-e'), await account('session-f')];
      const [first, second, third] = [await start(mine, 'e1'), await start(mine, 'e2'), await start(mine, 'e3')];
      expect(await database.run('deleteSession', { id: first, accountId: other })).toBe(false);
      expect(await database.run('deleteSession', { id: first, accountId: mine })).toBe(true);
      expect(await database.run('deleteSession', { id: second })).toBe(true);
      await start(mine, 'e4');
      expect(await database.run('deleteSessions', { accountId: mine, exceptId: third })).toBe(1);
      expect(await database.run('deleteSessions', { accountId: mine })).toBe(1);
    });

    test('what is over is forgotten, what was used lately stays', async () => {
      const { database } = now();
      const accountId = await account('session-g');
      await start(accountId, 'over', { expiresAtMs: 1 });
      const id = await start(accountId, 'live');
      await database.run('touchSession', { id });
      expect(await database.run('deleteExpiredSessions', { idleMs: day })).toBe(1);
      expect(await countSessions(database.read, accountId)).toBe(1);
    });
  });

  describe('logins under way', () => {
    const attempt = (stateHash: string, lifeMs = 60_000) => ({
      stateHash,
      browserHash: 'browser',
      provider: 'corp',
      purpose: 'login' as const,
      returnTo: '/account',
      lifeMs,
    });

    test('an attempt is taken once, by its browser, while it lives', async () => {
      const { database } = now();
      await database.run('createLoginAttempt', attempt('one'));
      expect(await database.run('takeLoginAttempt', { stateHash: 'one', browserHash: 'another' })).toBeUndefined();
      const taken = await database.run('takeLoginAttempt', { stateHash: 'one', browserHash: 'browser' });
      expect(taken).toEqual({ stateHash: 'one', browserHash: 'browser', provider: 'corp', purpose: 'login', returnTo: '/account' });
      expect(await database.run('takeLoginAttempt', { stateHash: 'one', browserHash: 'browser' })).toBeUndefined();
      await database.run('createLoginAttempt', attempt('late', -1));
      expect(await database.run('takeLoginAttempt', { stateHash: 'late', browserHash: 'browser' })).toBeUndefined();
    });

    test('SEC-B10 of 1,000 that take one attempt at once, exactly one gets it', async () => {
      const { database } = now();
      await database.run('createLoginAttempt', attempt('raced'));
      const taken = await Promise.all(
        Array.from({ length: 1000 }, () => database.run('takeLoginAttempt', { stateHash: 'raced', browserHash: 'browser' })),
      );
      expect(taken.filter((one) => one !== undefined).length).toBe(1);
    }, 60_000);
  });
}
