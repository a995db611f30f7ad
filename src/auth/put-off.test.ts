import { expect, test } from 'bun:test';
import { OciError } from '../oci/errors.ts';
import type { Logins } from './logins.ts';
import { testUser } from './principal-fixture.ts';
import { puttingOff } from './put-off.ts';

const login = { principal: testUser(), method: 'password' } as const;
const logins: Logins = {
  isKnown: async () => true,
  login: async (name) => {
    if (name === 'busy') throw new OciError('TOOMANYREQUESTS', 'wait', { retryAfterMs: 5 });
    if (name === 'broken') throw new OciError('UNAVAILABLE', 'the directory is down');
    return name === 'right' ? login : undefined;
  },
};

test('only an answer that says to wait is held back, and is the same answer then', async () => {
  const slept: number[] = [];
  const held = puttingOff(logins, { sleep: async (ms) => void slept.push(ms), chooseMs: () => 300 });
  expect(await held.login('right', 'x')).toEqual(login);
  expect(await held.login('wrong', 'x')).toBeUndefined();
  await expect(held.login('broken', 'x')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(slept).toEqual([]);
  await expect(held.login('busy', 'x')).rejects.toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 5 });
  expect(slept).toEqual([300]);
});

test('not more than two thousand answers are held at once', async () => {
  const waiting: (() => void)[] = [];
  const held = puttingOff(logins, { sleep: () => new Promise((resolve) => waiting.push(resolve)) });
  const all = Array.from({ length: 2005 }, () => held.login('busy', 'x').catch((error: OciError) => error.code));
  expect(await Promise.all(all.slice(2000))).toEqual(Array(5).fill('TOOMANYREQUESTS'));
  expect(waiting).toHaveLength(2000);
  for (const go of waiting) go();
  expect(new Set(await Promise.all(all))).toEqual(new Set(['TOOMANYREQUESTS']));
  const more = held.login('busy', 'x').catch(() => undefined);
  await Promise.resolve();
  await Bun.sleep(0);
  expect(waiting).toHaveLength(2001);
  waiting.at(-1)?.();
  await more;
});
