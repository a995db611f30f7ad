// The contract on columns with sealed values: which rows hold some, and putting others in their place.

import { describe, expect, test } from 'bun:test';
import { getMeta } from '../../src/db/projects.ts';
import { listSealedRows, type SealedReplacement, sealedColumns } from '../../src/db/sealed-columns.ts';
import { findSourceByUrl, listPlainCredentials } from '../../src/db/sources.ts';
import type { Fixture } from './fixture.ts';
import { source } from './source-cases.ts';

const sealed = 'v1:0a0b0c0d:QUJD';

export function sealedCases(now: () => Fixture): void {
  const rowsOf = async (table: string) => {
    const columns = sealedColumns.filter((column) => column.table === table);
    return (await Promise.all(columns.map((column) => listSealedRows(now().database.read, column)))).flat();
  };
  const indexOf = (table: string): number => sealedColumns.findIndex((column) => column.table === table);

  describe('sealed values', () => {
    test('rows with a sealed value are listed, alone or inside JSON, and no others', async () => {
      const { database } = now();
      await database.run('setMeta', { key: 'sealed-one', value: sealed });
      await database.run('setMeta', { key: 'not-sealed', value: 'xv1:y' });
      const login = { username: 'u', sealed };
      const sources = [source('https://a.test', { credentials: [login] }), source('https://b.test', { credentials: [{ helper: ['/x'] }] })];
      await database.run('addRegistry', { name: 'sealed.test', origin: 'api', sources });
      const meta = await rowsOf('meta');
      expect(meta.map((row) => row.key)).toContainEqual(['sealed-one']);
      expect(meta.map((row) => row.key)).not.toContainEqual(['not-sealed']);
      const held = (await rowsOf('source')).filter((row) => row.key[0] === 'sealed.test');
      expect(held.map(({ key, text }) => ({ key, text }))).toEqual([
        { key: ['sealed.test', 'https://a.test'], text: JSON.stringify([login]) },
      ]);
    });

    test('a text is replaced when it is still the one that was read', async () => {
      const { database } = now();
      await database.run('setMeta', { key: 'sealed-two', value: sealed });
      const replacement = (before: string, after: string): SealedReplacement => ({
        column: indexOf('meta'),
        key: ['sealed-two'],
        before,
        after,
      });
      expect(await database.run('replaceSealed', { replacements: [replacement('other', 'x')] })).toBe(0);
      expect(await getMeta(database.read, 'sealed-two')).toBe(sealed);
      expect(await database.run('replaceSealed', { replacements: [replacement(sealed, `${sealed}B`)] })).toBe(1);
      expect(await getMeta(database.read, 'sealed-two')).toBe(`${sealed}B`);
      await database.run('addRegistry', { name: 'two.test', origin: 'api', sources: [source('https://a.test'), source('https://b.test')] });
      const change = { column: indexOf('source'), key: ['two.test', 'https://b.test'], before: '[]', after: `[{"sealed":"${sealed}"}]` };
      expect(await database.run('replaceSealed', { replacements: [change] })).toBe(1);
      expect((await findSourceByUrl(database.read, 'two.test', 'https://a.test'))?.credentials).toEqual([]);
      expect((await findSourceByUrl(database.read, 'two.test', 'https://b.test'))?.credentials).toEqual([{ sealed }]);
    });

    test('every column of the list can be read', async () => {
      for (const column of sealedColumns) expect(Array.isArray(await listSealedRows(now().database.read, column))).toBe(true);
    });

    test('passwords of an older version are found as they lie there', async () => {
      const { database } = now();
      const old = source('https://old.test', { credentials: [{ username: 'u', password: 'plain' } as object] });
      await database.run('addRegistry', { name: 'old.test', origin: 'api', sources: [old, source('https://new.test')] });
      const found = (await listPlainCredentials(database.read)).filter(({ registry }) => registry === 'old.test');
      expect(found).toEqual([
        {
          registry: 'old.test',
          url: 'https://old.test',
          text: '[{"username":"u","password":"plain"}]',
          credentials: [{ username: 'u', password: 'plain' }],
        },
      ]);
    });

    test('an entry that was hashed in the former way counts as unchanged, and is known by the new one', async () => {
      const { database } = now();
      const sources = (hash: string, formerHash?: string) => [
        { ...source('https://a.test'), hash, ...(formerHash === undefined ? {} : { formerHash }) },
      ];
      await database.run('reconcileSources', {
        registries: [{ name: 'former.test', origin: 'config', hash: 'old', sources: sources('old') }],
      });
      const found = await findSourceByUrl(database.read, 'former.test', 'https://a.test');
      await database.run('changeSource', { id: found?.id ?? 0, values: { priority: 7 } });
      const renewed = { name: 'former.test', origin: 'config' as const, hash: 'new', formerHash: 'old', sources: sources('new', 'old') };
      expect(await database.run('reconcileSources', { registries: [renewed] })).toEqual({ added: [], changed: [], removed: [] });
      const again = { name: 'former.test', origin: 'config' as const, hash: 'new', sources: sources('new') };
      expect(await database.run('reconcileSources', { registries: [again] })).toEqual({ added: [], changed: [], removed: [] });
      expect((await findSourceByUrl(database.read, 'former.test', 'https://a.test'))?.priority).toBe(7);
    });
  });
}
