// The contract on accounts: names are one whatever their case, a local administrator stays, other passwords end what was signed before.

import { describe, expect, test } from 'bun:test';
import type { NewAccount } from '../../src/db/account-commands.ts';
import { findAccount, listAccounts, readAccount, searchAccounts } from '../../src/db/accounts.ts';
import { prepareAccountQuery, prepareLoginQuery } from '../../src/db/identity.ts';
import { type Fixture, outcome } from './fixture.ts';

export function account(name: string, more: Partial<NewAccount> = {}): NewAccount {
  return {
    name,
    displayName: name,
    comment: '',
    passwordHash: 'hash',
    isAdmin: false,
    isAuditor: false,
    mustChangePassword: false,
    ...more,
  };
}

export function accountCases(now: () => Fixture): void {
  describe('accounts', () => {
    test('an account is made once for a name in any case, and found by it in any case', async () => {
      const { database } = now();
      const id = await database.run('addAccount', account('Zoë', { email: 'zoe@example.org', mustChangePassword: true }));
      expect(await outcome(database.run('addAccount', account('zOË')))).toBe('CONFLICT');
      const found = await findAccount(database.read, 'ZOË');
      expect(found).toMatchObject({
        id,
        name: 'Zoë',
        email: 'zoe@example.org',
        provider: 'local',
        mustChangePassword: true,
        isDisabled: false,
      });
      expect(await readAccount(database.read, id)).toEqual(found);
      expect((await prepareLoginQuery(database)('zoë'))?.id).toBe(id);
      expect(JSON.stringify(found)).not.toContain('hash');
      expect(await readAccount(database.read, 987_654)).toBeUndefined();
    });

    test('of twenty that make one name at once, one does', async () => {
      const { database } = now();
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, index) => outcome(database.run('addAccount', account(index % 2 === 0 ? 'raced' : 'RACED')))),
      );
      expect(outcomes.filter((word) => word === 'done')).toHaveLength(1);
      expect(outcomes.filter((word) => word === 'CONFLICT')).toHaveLength(19);
    });

    test('what describes it changes alone; null takes the address away', async () => {
      const { database } = now();
      const id = await database.run('addAccount', account('described', { email: 'a@example.org' }));
      await database.run('changeAccount', { id, change: { displayName: 'D.', email: null } });
      expect(await readAccount(database.read, id)).toMatchObject({ displayName: 'D.', email: undefined, comment: '' });
      expect(await outcome(database.run('changeAccount', { id: 987_654, change: { comment: 'x' } }))).toBe('NOT_FOUND');
    });

    test('another password and switching off count the epoch up; switching on again does not', async () => {
      const { database } = now();
      const id = await database.run('addAccount', account('epochs', { mustChangePassword: true }));
      const epoch = async () => (await prepareAccountQuery(database)(id))?.epoch;
      expect(await epoch()).toBe(0);
      await database.run('setAccountPassword', { id, passwordHash: 'second', mustChangePassword: false, ifHash: 'hash' });
      expect(await prepareAccountQuery(database)(id)).toMatchObject({ epoch: 1, passwordHash: 'second', mustChangePassword: false });
      const late = { id, passwordHash: 'third', mustChangePassword: false, ifHash: 'hash' };
      expect(await outcome(database.run('setAccountPassword', late))).toBe('CONFLICT');
      await database.run('setAccountFlags', { id, flags: { isDisabled: true } });
      expect(await epoch()).toBe(2);
      await database.run('setAccountFlags', { id, flags: { isDisabled: true } });
      await database.run('setAccountFlags', { id, flags: { isDisabled: false } });
      expect(await epoch()).toBe(2);
      await database.run('setAccountFlags', { id, flags: { isAuditor: true } });
      expect(await readAccount(database.read, id)).toMatchObject({ isAuditor: true, isDisabled: false, isAdmin: false });
      expect(await outcome(database.run('setAccountPassword', { id: 987_654, passwordHash: 'x', mustChangePassword: false }))).toBe(
        'NOT_FOUND',
      );
    });

    test('an account of another provider gets no password here', async () => {
      const { database, alter } = now();
      const id = await database.run('addAccount', account('from-directory'));
      await alter(`update account set provider = 'corp' where id = ${id}`);
      expect(await outcome(database.run('setAccountPassword', { id, passwordHash: 'x', mustChangePassword: false }))).toBe('CONFLICT');
      expect(await outcome(database.run('rescueAccount', { name: 'from-directory', passwordHash: 'x', mustChangePassword: true }))).toBe(
        'CONFLICT',
      );
    });

    test('the last administrator with a password here stays, however many try at once', async () => {
      const { database, alter } = now();
      await alter('update account set is_admin = 0');
      const first = await database.run('addAccount', account('root-a', { isAdmin: true }));
      const second = await database.run('addAccount', account('root-b', { isAdmin: true }));
      const outcomes = await Promise.all([
        outcome(database.run('setAccountFlags', { id: first, flags: { isAdmin: false } })),
        outcome(database.run('setAccountFlags', { id: second, flags: { isDisabled: true } })),
      ]);
      expect(outcomes.toSorted()).toEqual(['CONFLICT', 'done']);
      const left = outcomes[0] === 'done' ? second : first;
      expect(await outcome(database.run('deleteAccount', { id: left }))).toBe('CONFLICT');
      expect(await outcome(database.run('setAccountFlags', { id: left, flags: { isDisabled: true } }))).toBe('CONFLICT');
      expect(await readAccount(database.read, left)).toMatchObject({ isAdmin: true, isDisabled: false });
    });

    test('the first account of all is not deleted; another one goes with what it held', async () => {
      const { database, projectId } = now();
      const id = await database.run('addAccount', account('going'));
      const groupId = await database.run('addGroup', { name: 'going-group', provider: 'local' });
      await database.run('addToGroup', { groupId, accountId: id });
      await database.run('addMember', { projectId, holder: { kind: 'user', id }, roleId: 2 });
      await database.run('deleteAccount', { id });
      expect(await readAccount(database.read, id)).toBeUndefined();
      expect(await database.read.selectFrom('project_member').select('id').where('account_id', '=', id).execute()).toEqual([]);
      expect(await outcome(database.run('deleteAccount', { id }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('deleteAccount', { id: 1 }))).toBe('CONFLICT');
      const next = await database.run('addAccount', account('going'));
      expect(next).toBeGreaterThan(id);
    });

    test('a rescue makes an administrator, or one again, with a new password and epoch', async () => {
      const { database } = now();
      const made = await database.run('rescueAccount', { name: 'rescue', passwordHash: 'one', mustChangePassword: true });
      expect(made).toMatchObject({ wasMade: true });
      await database.run('createAccountSecret', { accountId: made.id, name: 't', reach: 'api', secretHash: 'rescued', replaces: false });
      await database.run('addAccount', account('rescue-other', { isAdmin: true }));
      await database.run('setAccountFlags', { id: made.id, flags: { isAdmin: false, isDisabled: true } });
      expect(await database.run('rescueAccount', { name: 'RESCUE', passwordHash: 'two', mustChangePassword: false })).toEqual({
        id: made.id,
        wasMade: false,
        wasAdmin: false,
        wasDisabled: true,
      });
      expect(await database.read.selectFrom('account_secret').select('id').where('account_id', '=', made.id).execute()).toEqual([]);
      expect(await prepareAccountQuery(database)(made.id)).toMatchObject({
        passwordHash: 'two',
        isAdmin: true,
        isDisabled: false,
        mustChangePassword: false,
        epoch: 2,
      });
    });

    test('accounts are listed by page, condition and order; a search shows enabled ones and takes wildcards as they are', async () => {
      const { database } = now();
      for (const name of ['list-b', 'List-a', 'list_c', 'listXc'])
        await database.run('addAccount', account(name, { email: `${name}@example.org` }));
      const page = { conditions: [{ field: 'username', kind: 'part', value: 'LIST' } as const], order: [], offset: 0, limit: 2 };
      const first = await listAccounts(database, page);
      expect([first.count, first.accounts.map(({ name }) => name)]).toEqual([4, ['List-a', 'list-b']]);
      expect((await listAccounts(database, { ...page, offset: 2 })).accounts).toHaveLength(2);
      const latest = await listAccounts(database, { ...page, order: [{ field: 'user_id', descending: true }] });
      expect(latest.accounts.map(({ name }) => name)).toEqual(['listXc', 'list_c']);
      const exact = await listAccounts(database, { ...page, conditions: [{ field: 'username', kind: 'exact', value: 'LIST-A' }] });
      expect(exact.accounts.map(({ name }) => name)).toEqual(['List-a']);
      const any = await listAccounts(database, { ...page, conditions: [{ field: 'username', kind: 'any', values: ['LIST-A', 'list_C'] }] });
      expect(any.count).toBe(2);
      expect((await searchAccounts(database, { namePart: 'list_', limit: 10, offset: 0 })).accounts.map(({ name }) => name)).toEqual([
        'list_c',
      ]);
      expect((await searchAccounts(database, { namePart: '%', limit: 10, offset: 0 })).count).toBe(0);
      await database.run('setAccountFlags', { id: exact.accounts[0]?.id ?? 0, flags: { isDisabled: true } });
      expect((await searchAccounts(database, { namePart: 'list-a', limit: 10, offset: 0 })).count).toBe(0);
    });
  });
}
