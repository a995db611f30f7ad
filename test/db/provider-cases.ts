// The contract on identity providers as data.

import { describe, expect, test } from 'bun:test';
import { type ExternalIdentity, findExternalAccount, isSuspended, listProviderAccounts } from '../../src/db/directory-accounts.ts';
import { prepareAccountQuery, prepareLoginQuery } from '../../src/db/identity.ts';
import { listProviderRows } from '../../src/db/identity-providers.ts';
import { type Fixture, outcome } from './fixture.ts';

export function providerCases(now: () => Fixture): void {
  describe('identity providers', () => {
    test('are kept whole, in the order of their positions, and a name is there once', async () => {
      const { database } = now();
      const wanted = { name: 'corp', kind: 'ldap' as const, isEnabled: true, settings: '{"a":"ü"}', secret: 'sealed' };
      await database.run('createIdentityProvider', wanted);
      await database.run('createIdentityProvider', { name: 'issuer', kind: 'oidc', isEnabled: false, settings: '{}' });
      await database.run('createIdentityProvider', { name: 'first', kind: 'ldap', isEnabled: true, settings: '{}', position: 0 });
      expect(await outcome(database.run('createIdentityProvider', wanted))).toBe('CONFLICT');
      const rows = await listProviderRows(database.read);
      expect(rows.map((row) => [row.name, row.position])).toEqual([
        ['first', 0],
        ['corp', 1],
        ['issuer', 2],
      ]);
      expect(rows[1]).toMatchObject({ ...wanted, revision: 1 });
      expect(rows[2]).toMatchObject({ isEnabled: false, secret: undefined });
    });

    test('only what is given changes, and only by who saw the latest', async () => {
      const { database } = now();
      await database.run('createIdentityProvider', { name: 'change', kind: 'ldap', isEnabled: true, settings: '{}', secret: 's' });
      await database.run('changeIdentityProvider', { name: 'change', revision: 1, isEnabled: false });
      const read = async () => (await listProviderRows(database.read)).find((row) => row.name === 'change');
      expect(await read()).toMatchObject({ isEnabled: false, settings: '{}', secret: 's', revision: 2 });
      expect(await outcome(database.run('changeIdentityProvider', { name: 'change', revision: 1, secret: null }))).toBe('CONFLICT');
      await database.run('changeIdentityProvider', { name: 'change', revision: 2, secret: null, settings: '[]', position: 9 });
      expect(await read()).toMatchObject({ settings: '[]', secret: undefined, position: 9, revision: 3 });
      expect(await outcome(database.run('changeIdentityProvider', { name: 'absent', revision: 1 }))).toBe('NOT_FOUND');
    });

    test('go when they are removed', async () => {
      const { database } = now();
      await database.run('createIdentityProvider', { name: 'gone', kind: 'oidc', isEnabled: true, settings: '{}' });
      await database.run('removeIdentityProvider', { name: 'gone' });
      expect((await listProviderRows(database.read)).map((row) => row.name)).not.toContain('gone');
      expect(await outcome(database.run('removeIdentityProvider', { name: 'gone' }))).toBe('NOT_FOUND');
    });
  });

  describe('accounts of people that a provider knows', () => {
    const group = (name: string) => ({ externalName: `cn=${name}`, name });
    const person = (name: string, more: Partial<ExternalIdentity> = {}): ExternalIdentity => ({
      provider: 'people',
      externalId: `id-${name}`,
      name,
      ...more,
    });
    const onboard = (identity: ExternalIdentity, more: { mayCreate?: boolean; trustsNames?: boolean } = {}) =>
      now().database.run('onboardAccount', { identity, mayCreate: true, isLogin: true, ...more });
    const groupsOf = async (id: number): Promise<string[]> => {
      const { read } = now().database;
      const ids = read.selectFrom('account_group').select('group_id').where('account_id', '=', id);
      const rows = await read.selectFrom('user_group').select('external_name').where('id', 'in', ids).orderBy('external_name').execute();
      return rows.map((row) => row.external_name);
    };

    test('are made once and brought up to date', async () => {
      const made = await onboard(person('Änne', { email: 'a@x', groups: [group('a'), group('b')] }));
      expect(made).toMatchObject({ isNew: true, isChanged: true });
      const find = prepareLoginQuery(now().database);
      expect(await find('änne')).toMatchObject({ id: made.id, provider: 'people', passwordHash: undefined, isAdmin: false });
      expect(await groupsOf(made.id)).toEqual(['cn=a', 'cn=b']);
      const again = person('Änne', { groups: [group('b'), group('c')], isAdmin: true });
      expect(await onboard(again)).toEqual({ id: made.id, isNew: false, isChanged: true });
      expect(await onboard(again)).toEqual({ id: made.id, isNew: false, isChanged: false });
      expect(await groupsOf(made.id)).toEqual(['cn=b', 'cn=c']);
      const before = await find('Änne');
      expect(before).toMatchObject({ isAdmin: true });
      // Who loses the right loses what was signed with it.
      await onboard(person('Änne', { isAdmin: false }));
      expect(await find('Änne')).toMatchObject({ isAdmin: false, epoch: (before?.epoch ?? 0) + 1 });
      // Saying nothing of groups leaves them.
      expect(await groupsOf(made.id)).toEqual(['cn=b', 'cn=c']);
    });

    test('never take over a name of somebody else', async () => {
      await now().database.run('createAccount', { name: 'Local', passwordHash: 'h', isAdmin: false });
      await onboard(person('taken'));
      const refused = [
        person('local'),
        person('taken', { provider: 'others' }),
        person('TAKEN', { provider: 'others' }),
        // Another entry under the same name, such as a new employee.
        person('taken', { externalId: 'id-new' }),
      ];
      for (const identity of refused) expect([identity, await outcome(onboard(identity))]).toEqual([identity, 'CONFLICT']);
      expect(await outcome(onboard(person('local'), { trustsNames: true }))).toBe('CONFLICT');
      expect(await outcome(onboard(person('taken', { provider: 'others' }), { trustsNames: true }))).toBe('CONFLICT');
      expect(await onboard(person('taken', { externalId: 'id-new' }), { trustsNames: true })).toMatchObject({ isNew: false });
      // A known entry with another name keeps its account, unless that name is somebody's.
      expect(await onboard(person('renamed', { externalId: 'id-new' }))).toMatchObject({ isNew: false, isChanged: true });
      expect(await outcome(onboard(person('local', { externalId: 'id-new' })))).toBe('CONFLICT');
    });

    test('are not made where an administrator makes them', async () => {
      expect(await outcome(onboard(person('uninvited'), { mayCreate: false }))).toBe('NOT_FOUND');
    });

    test('gone from their directory they are off and in no group, until they are back', async () => {
      const { database } = now();
      const identity = person('leaver', { provider: 'leavers', groups: [group('l')] });
      const { id } = await onboard(identity);
      expect(await database.run('suspendAccounts', { provider: 'leavers', ids: [id] })).toBe(1);
      expect(await database.run('suspendAccounts', { provider: 'leavers', ids: [id] })).toBe(0);
      const find = prepareAccountQuery(database);
      expect(await find(id)).toMatchObject({ isDisabled: true, epoch: 1 });
      expect(await isSuspended(database.read, id)).toBe(true);
      expect(await groupsOf(id)).toEqual([]);
      expect(await onboard(identity)).toEqual({ id, isNew: false, isChanged: true });
      expect(await find(id)).toMatchObject({ isDisabled: false });
      expect(await groupsOf(id)).toEqual(['cn=l']);
    });

    test('switched off by an administrator they stay off', async () => {
      const { database } = now();
      const identity = person('fired', { provider: 'leavers' });
      const { id } = await onboard(identity);
      await now().alter(`update account set is_disabled = 1 where id = ${id}`);
      expect(await outcome(onboard(identity))).toBe('DENIED');
      expect(await database.run('suspendAccounts', { provider: 'leavers', ids: [id] })).toBe(0);
      expect(await isSuspended(database.read, id)).toBe(false);
      expect(await findExternalAccount(database.read, 'leavers', 'nobody of theirs')).toBeUndefined();
      const listed = await listProviderAccounts(database.read, { provider: 'leavers', afterId: 0, max: 10 });
      expect(listed.map((account) => account.name)).toEqual(['leaver']);
      expect(await listProviderAccounts(database.read, { provider: 'leavers', afterId: listed[0]?.id ?? 0, max: 10 })).toEqual([]);
    });

    test('keep their provider from being removed', async () => {
      const { database } = now();
      await database.run('createIdentityProvider', { name: 'kept', kind: 'ldap', isEnabled: true, settings: '{}' });
      await onboard(person('stayer', { provider: 'kept' }));
      expect(await outcome(database.run('removeIdentityProvider', { name: 'kept' }))).toBe('CONFLICT');
    });
  });
}
