import { describe, expect, test } from 'bun:test';
import { oidcSettings } from '../config/oidc-settings.ts';
import { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import type { LoginAttempts, NewAttempt } from './login-attempts.ts';
import type { OidcIdentity } from './oidc-claims.ts';
import { createOidcLogins } from './oidc-logins.ts';
import { adminGrants, type UserPrincipal } from './principal.ts';

interface Account {
  readonly id: number;
  readonly name: string;
  readonly externalId: string;
  isDisabled?: boolean;
}

function setUp(options: { accounts?: Account[]; autoOnboard?: boolean; identity?: Partial<OidcIdentity> } = {}) {
  const accounts = options.accounts ?? [];
  const started: NewAttempt[] = [];
  const identity: OidcIdentity = { externalId: 'https://idp 1', name: 'alice', ...options.identity };
  const attempts: LoginAttempts = {
    start: async (attempt) => {
      started.push(attempt);
      return { secrets: { state: String(started.length - 1), nonce: 'n', verifier: 'v' }, browser: new Secret('b') };
    },
    take: async (state, _browser, purposes) => {
      const attempt = started[Number(state)];
      if (attempt === undefined || !purposes.includes(attempt.purpose)) throw new OciError('UNAUTHORIZED', 'expired');
      return { attempt: { ...attempt, stateHash: '', browserHash: '' }, secrets: { state, nonce: 'n', verifier: 'v' } };
    },
  };
  const none = async (): Promise<never> => {
    throw new Error('not asked');
  };
  const logins = createOidcLogins({
    attempts,
    oidc: {
      begin: async () => new URL('https://idp/auth'),
      finish: async () => identity,
      endSession: none,
      ping: none,
    },
    findProvider: async (name) =>
      name === 'corp' || name === 'other'
        ? {
            name,
            version: '1',
            settings: oidcSettings.parse({ issuer: 'https://idp', client_id: 'c', auto_onboard: options.autoOnboard ?? true }),
          }
        : undefined,
    onboarding: {
      find: async (_provider, externalId) => accounts.find((account) => account.externalId === externalId)?.id,
      onboard: async (_provider, { externalId }, { name }) => {
        const known = accounts.find((account) => account.externalId === externalId);
        if (known !== undefined) return known.id;
        if (name === '') throw new OciError('BAD_REQUEST', 'no name');
        if (accounts.some((account) => account.name === name))
          throw new OciError('CONFLICT', `the name ${name} belongs to an account of local`);
        accounts.push({ id: accounts.length + 10, name, externalId });
        return accounts.length + 9;
      },
      principal: async (id): Promise<UserPrincipal | undefined> => {
        const account = accounts.find((one) => one.id === id);
        if (account === undefined || account.isDisabled === true) return undefined;
        return { kind: 'user', id, name: account.name, isAdmin: false, grants: adminGrants, epoch: 0 };
      },
    },
  });
  const begin = (more: { sessionId?: number } = {}) =>
    logins.begin({ provider: 'corp', redirectUri: 'https://here/cb', returnTo: '/account', ...more });
  const finish = (provider = 'corp', state = '0') =>
    logins.finish({ provider, redirectUri: 'https://here/cb', query: `state=${state}&code=x`, browser: 'b' });
  return { logins, begin, finish, accounts, started };
}

describe('somebody new', () => {
  test('gets an account under the name the provider says', async () => {
    const { begin, finish, accounts } = setUp();
    await begin();
    expect(await finish()).toMatchObject({ kind: 'login', principal: { name: 'alice' }, returnTo: '/account' });
    expect(accounts.map((account) => account.name)).toEqual(['alice']);
  });

  test('is asked for another name when that one is somebody else’s, whose account stays as it is', async () => {
    const { begin, finish, logins, accounts } = setUp({ accounts: [{ id: 1, name: 'alice', externalId: '' }] });
    await begin();
    const asked = await finish();
    expect(asked).toMatchObject({ kind: 'name-wanted', suggestion: 'alice', problem: 'the name alice belongs to an account of local' });
    const again = await logins.choose({ state: '1', browser: 'b', name: 'alice' });
    expect(again).toMatchObject({ kind: 'name-wanted', problem: expect.stringContaining('belongs to') });
    expect(await logins.choose({ state: '2', browser: 'b', name: 'alice2' })).toMatchObject({
      kind: 'login',
      principal: { name: 'alice2' },
    });
    expect(accounts.map((account) => account.name)).toEqual(['alice', 'alice2']);
  });

  test('is asked for a name where accounts are not made by themselves, and where the provider says none', async () => {
    for (const options of [{ autoOnboard: false }, { identity: { name: undefined } as never }]) {
      const { begin, finish, accounts } = setUp(options);
      await begin();
      expect((await finish()).kind).toBe('name-wanted');
      expect(accounts).toEqual([]);
    }
  });
});

describe('SEC-B13', () => {
  test('an account that is switched off stays so', async () => {
    const { begin, finish } = setUp({ accounts: [{ id: 1, name: 'alice', externalId: 'https://idp 1', isDisabled: true }] });
    await begin();
    await expect(finish()).rejects.toMatchObject({ code: 'DENIED', detail: { reason: 'disabled' } });
  });

  test('an answer at another provider’s address is not taken', async () => {
    const { begin, finish, accounts } = setUp();
    await begin();
    await expect(finish('other')).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    expect(accounts).toEqual([]);
  });

  test('a provider that is gone or off lets nobody in', async () => {
    const { logins } = setUp();
    await expect(logins.begin({ provider: 'gone', redirectUri: 'x', returnTo: '/account' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

test('a confirmation makes no account and confirms the session that asked for it', async () => {
  const known = setUp({ accounts: [{ id: 1, name: 'alice', externalId: 'https://idp 1' }] });
  await known.begin({ sessionId: 7 });
  expect(await known.finish()).toMatchObject({ kind: 'confirmed', sessionId: 7, principal: { id: 1 } });
  const unknown = setUp();
  await unknown.begin({ sessionId: 7 });
  await expect(unknown.finish()).rejects.toMatchObject({ code: 'DENIED' });
  expect(unknown.accounts).toEqual([]);
});
