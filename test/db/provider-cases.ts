// The contract on identity providers as data.

import { describe, expect, test } from 'bun:test';
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
}
