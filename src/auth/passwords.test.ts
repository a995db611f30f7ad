import { beforeAll, describe, expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { createPasswords, hashPassword, passwordMaxBytes } from './passwords.ts';

const password = 'correct horse';
let hash: string;
beforeAll(async () => {
  hash = await hashPassword(password);
});

function setUp(known = hash) {
  const hashes = new Map<string, string>([['anna', known]]);
  const clock = createFakeClock();
  const passwords = createPasswords({ clock, slots: 2 });
  const fits = (name: string, text: string): Promise<boolean> => passwords.fits({ name, password: text, hash: hashes.get(name) });
  return { hashes, clock, fits };
}

test('a hash is argon2id with the OWASP parameters', () => {
  expect(hash).toStartWith('$argon2id$v=19$m=19456,t=2,p=1$');
});

describe('a login', () => {
  test('with the right password fits', async () => {
    expect(await setUp().fits('anna', password)).toBe(true);
  });

  test('with anything else does not', async () => {
    const { fits } = setUp();
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
    for (const [name, text] of wrong) expect([name, text, await fits(name, text)]).toEqual([name, text, false]);
  });

  test('SEC-B11: tells passwords apart that are equal in their first 72 bytes', async () => {
    const long = 'x'.repeat(100);
    const { fits } = setUp(await hashPassword(`${long}a`));
    expect(await fits('anna', `${long}b`)).toBe(false);
    expect(await fits('anna', `${long}a`)).toBe(true);
  });
});

describe('the memory of right credentials', () => {
  test('ends when the password changes or the account goes', async () => {
    const { fits, hashes } = setUp();
    expect(await fits('anna', password)).toBe(true);
    hashes.set('anna', await hashPassword('another'));
    expect(await fits('anna', password)).toBe(false);
    expect(await fits('anna', 'another')).toBe(true);
    hashes.clear();
    expect(await fits('anna', 'another')).toBe(false);
  });

  test('makes a repeated check a hundred times cheaper, for five minutes', async () => {
    const { fits, clock } = setUp();
    await fits('anna', password);
    const timed = async (): Promise<number> => {
      const sinceMs = performance.now();
      expect(await fits('anna', password)).toBe(true);
      return performance.now() - sinceMs;
    };
    const quick = Math.min(await timed(), await timed(), await timed());
    clock.advance(5 * 60 * 1000 + 1);
    expect(await timed()).toBeGreaterThan(quick * 100);
  });
});

describe('many logins at once', () => {
  test('with one password are one check', async () => {
    const { fits } = setUp();
    const all = await Promise.all(Array.from({ length: 200 }, () => fits('anna', password)));
    expect(all.every((fitting) => fitting)).toBe(true);
  });

  test('with different ones are refused beyond the queue, and the next one is not', async () => {
    const { fits } = setUp();
    const all = await Promise.allSettled(Array.from({ length: 60 }, (_, index) => fits('anna', `guess ${index}`)));
    const refused = all.filter((outcome) => outcome.status === 'rejected');
    expect(refused).toHaveLength(60 - 2 - 32);
    for (const outcome of refused) expect(outcome.reason).toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 1000 });
    expect(await fits('anna', password)).toBe(true);
  });
});

test('SEC-B05: an unknown name costs what a wrong password costs', async () => {
  const { fits } = setUp();
  const costOf = async (name: string): Promise<number> => {
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round++) {
      const sinceMs = performance.now();
      await fits(name, `wrong ${round}`);
      least = Math.min(least, performance.now() - sinceMs);
    }
    return least;
  };
  // The first unknown name also makes what it is compared with.
  await fits('nobody', 'x');
  const [known, unknown] = [await costOf('anna'), await costOf('nobody')];
  expect(unknown).toBeGreaterThan(known * 0.5);
  expect(unknown).toBeLessThan(known * 2);
});
