// The contract on labels and on settings of the server.

import { describe, expect, test } from 'bun:test';
import { findLabel, listLabels } from '../../src/db/labels.ts';
import { readSettings } from '../../src/db/settings.ts';
import { type Fixture, outcome } from './fixture.ts';

const words = { description: '', color: '#00ff00' };

export function labelCases(now: () => Fixture): void {
  describe('labels', () => {
    const page = { conditions: [], order: [], offset: 0, limit: 10 };

    test('a name is used once among the global ones and once in each project', async () => {
      const { database, projectId } = now();
      const other = await database.run('createProject', { name: 'labelled', kind: 'local', isPublic: true });
      const global = await database.run('createLabel', { name: 'stable', ...words });
      expect(global).toMatchObject({ name: 'stable', description: '', color: '#00ff00', projectId: undefined });
      const own = await database.run('createLabel', { name: 'stable', ...words, projectId });
      await database.run('createLabel', { name: 'stable', ...words, projectId: other.id });
      expect(await outcome(database.run('createLabel', { name: 'stable', ...words }))).toBe('CONFLICT');
      expect(await outcome(database.run('createLabel', { name: 'stable', ...words, projectId }))).toBe('CONFLICT');
      expect(await outcome(database.run('createLabel', { name: 'x', ...words, projectId: 999_999 }))).toBe('NAME_UNKNOWN');
      expect(await findLabel(database.read, own.id)).toEqual(own);
      expect(await listLabels(database, { projectId, wish: page })).toEqual({ labels: [own], count: 1 });
      expect((await listLabels(database, { projectId: undefined, wish: page })).labels).toEqual([global]);
    });

    test('changing one keeps names unique; deleting its project takes it along', async () => {
      const { database } = now();
      const project = await database.run('createProject', { name: 'label-home', kind: 'local', isPublic: true });
      const one = await database.run('createLabel', { name: 'one', ...words, projectId: project.id });
      const two = await database.run('createLabel', { name: 'two', ...words, projectId: project.id });
      expect(await outcome(database.run('changeLabel', { id: two.id, name: 'one', ...words }))).toBe('CONFLICT');
      expect(await database.run('changeLabel', { id: two.id, name: 'two', description: 'd', color: '' })).toMatchObject({
        id: two.id,
        description: 'd',
        color: '',
      });
      expect(await outcome(database.run('changeLabel', { id: 999_999, name: 'x', ...words }))).toBe('NOT_FOUND');
      await database.run('deleteLabel', { id: one.id });
      expect(await outcome(database.run('deleteLabel', { id: one.id }))).toBe('NOT_FOUND');
      await database.run('deleteProject', { name: 'label-home' });
      expect(await findLabel(database.read, two.id)).toBeUndefined();
    });
  });

  test('a setting is the last value it was given; those never changed are absent', async () => {
    const { database } = now();
    expect((await readSettings(database.read)).has('a')).toBe(false);
    await database.run('changeSettings', {
      values: [
        { name: 'a', value: '1' },
        { name: 'b', value: '"x"' },
      ],
    });
    await database.run('changeSettings', { values: [{ name: 'a', value: '2' }] });
    expect([...(await readSettings(database.read))].sort()).toEqual([
      ['a', '2'],
      ['b', '"x"'],
    ]);
  });
}
