import { describe, expect, test } from 'bun:test';
import type { LoginAttempt } from '../db/login-attempts.ts';
import { createLoginAttempts } from './login-attempts.ts';

/** Attempts in memory; says what was stored. */
function memory() {
  const rows = new Map<string, LoginAttempt>();
  const database = {
    run: async (name: string, args: unknown) => {
      const given = args as LoginAttempt;
      if (name === 'createLoginAttempt') return void rows.set(given.stateHash, given);
      const row = rows.get(given.stateHash);
      if (row === undefined || row.browserHash !== given.browserHash) return undefined;
      rows.delete(given.stateHash);
      return row;
    },
  };
  return { rows, attempts: createLoginAttempts(database as Parameters<typeof createLoginAttempts>[0]) };
}
const login = { provider: 'corp', purpose: 'login', returnTo: '/account' } as const;

describe('a login under way', () => {
  test('SEC-B10 is finished once, in its browser, with the secrets it began with', async () => {
    const { attempts } = memory();
    const { secrets, browser } = await attempts.start(login);
    expect(new Set(Object.values(secrets)).size).toBe(3);
    for (const other of [undefined, '', 'x'.repeat(43)])
      await expect(attempts.take(secrets.state, other, ['login'])).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    for (const state of ['', 'y'.repeat(43), `${secrets.state}x`])
      await expect(attempts.take(state, browser.reveal(), ['login'])).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    const taken = await attempts.take(secrets.state, browser.reveal(), ['login']);
    expect(taken.secrets).toEqual(secrets);
    expect(taken.attempt).toMatchObject(login);
    await expect(attempts.take(secrets.state, browser.reveal(), ['login'])).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  test('is finished for its own purpose only', async () => {
    const { attempts } = memory();
    const { secrets, browser } = await attempts.start(login);
    await expect(attempts.take(secrets.state, browser.reveal(), ['onboard'])).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  test('is stored without anything that would finish it', async () => {
    const { attempts, rows } = memory();
    const { secrets, browser } = await attempts.start(login);
    const stored = JSON.stringify([...rows]);
    for (const secret of [...Object.values(secrets), browser.reveal()]) expect(stored).not.toContain(secret);
  });
});
