import { beforeAll, describe, expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { createPasswords, hashPassword, passwordMaxBytes, type StoredAccount } from './passwords.ts';

const password = 'correct horse';
let hash: string;
beforeAll(async () => {
  hash = await hashPassword(password);
});

function setUp(overrides: Partial<StoredAccount> = {}) {
  const accounts = new Map<string, StoredAccount>([['anna', { id: 3, name: 'anna', passwordHash: hash, isAdmin: true, ...overrides }]]);
  const clock = createFakeClock();
  return { accounts, clock, passwords: createPasswords({ clock, find: async (name) => accounts.get(name) }) };
}

test('a hash is argon2id with the OWASP parameters', () => {
  expect(hash).toStartWith('$argon2id$v=19$m=19456,t=2,p=1$');
});

describe('a login', () => {
  test('with the right password gives the principal', async () => {
    const { passwords } = setUp();
    expect(await passwords.check('anna', password)).toEqual({ kind: 'user', id: 3, name: 'anna', isAdmin: true });
  });

  test('with anything else gives nothing', async () => {
    const { passwords } = setUp();
    const wrong: [string, string][] = [
      ['anna', ''],
      ['anna', `${password} `],
      ['anna', `${password}\0`],
      ['anna', password.toUpperCase()],
      ['Anna', password],
      ['anna\0', password],
      ['', password],
      ['nobody', password],
      ['annacorrect', ' horse'],
      ['anna', 'x'.repeat(passwordMaxBytes + 1)],
      ['anna', 'ü'.repeat(passwordMaxBytes / 2 + 1)],
      ['n'.repeat(100_000), password],
    ];
    for (const [name, text] of wrong) expect([name, text, await passwords.check(name, text)]).toEqual([name, text, undefined]);
  });

  test('tells passwords apart that are equal in their first 72 bytes', async () => {
    const long = 'x'.repeat(100);
    const { passwords } = setUp({ passwordHash: await hashPassword(`${long}a`) });
    expect(await passwords.check('anna', `${long}b`)).toBeUndefined();
    expect(await passwords.check('anna', `${long}a`)).toBeDefined();
  });
});

describe('the memory of right credentials', () => {
  test('ends when the password changes or the account goes', async () => {
    const { passwords, accounts } = setUp();
    expect(await passwords.check('anna', password)).toBeDefined();
    accounts.set('anna', { id: 3, name: 'anna', passwordHash: await hashPassword('another'), isAdmin: true });
    expect(await passwords.check('anna', password)).toBeUndefined();
    expect(await passwords.check('anna', 'another')).toBeDefined();
    accounts.clear();
    expect(await passwords.check('anna', 'another')).toBeUndefined();
  });

  test('gives the rights of now', async () => {
    const { passwords, accounts } = setUp();
    await passwords.check('anna', password);
    accounts.set('anna', { id: 3, name: 'anna', passwordHash: hash, isAdmin: false });
    expect(await passwords.check('anna', password)).toMatchObject({ isAdmin: false });
  });

  test('makes a repeated check a hundred times cheaper, for five minutes', async () => {
    const { passwords, clock } = setUp();
    await passwords.check('anna', password);
    const timed = async (): Promise<number> => {
      const sinceMs = performance.now();
      expect(await passwords.check('anna', password)).toBeDefined();
      return performance.now() - sinceMs;
    };
    const quick = Math.min(await timed(), await timed(), await timed());
    clock.advance(5 * 60 * 1000 + 1);
    expect(await timed()).toBeGreaterThan(quick * 100);
  });
});

describe('many logins at once', () => {
  test('with one password are one check', async () => {
    const { passwords } = setUp();
    const all = await Promise.all(Array.from({ length: 200 }, () => passwords.check('anna', password)));
    expect(all.every((principal) => principal !== undefined)).toBe(true);
  });

  test('with different ones are refused beyond the queue, and the next one is not', async () => {
    const { passwords } = setUp();
    const all = await Promise.allSettled(Array.from({ length: 60 }, (_, index) => passwords.check('anna', `guess ${index}`)));
    const refused = all.filter((outcome) => outcome.status === 'rejected');
    expect(refused).toHaveLength(60 - 2 - 32);
    for (const outcome of refused) expect(outcome.reason).toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 1000 });
    expect(await passwords.check('anna', password)).toBeDefined();
  });
});

test('an unknown name costs what a wrong password costs', async () => {
  const { passwords } = setUp();
  const costOf = async (name: string): Promise<number> => {
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round++) {
      const sinceMs = performance.now();
      await passwords.check(name, `wrong ${round}`);
      least = Math.min(least, performance.now() - sinceMs);
    }
    return least;
  };
  // The first unknown name also makes what it is compared with.
  await passwords.check('nobody', 'x');
  const [known, unknown] = [await costOf('anna'), await costOf('nobody')];
  expect(unknown).toBeGreaterThan(known * 0.5);
  expect(unknown).toBeLessThan(known * 2);
});
