// The contract on pinned sets and warm-up runs.

import { describe, expect, test } from 'bun:test';
import { listPins } from '../../src/db/pins.ts';
import { findWarmup, listWarmups } from '../../src/db/warmups.ts';
import type { Fixture } from './fixture.ts';

export function offlineCases(now: () => Fixture): void {
  const pin = (image: string, platforms = 'linux/amd64') => ({ image, platforms, repository: 'p/r', reference: '1' });

  describe('pinned sets', () => {
    test('an image is pinned once in a set, with the platforms named last', async () => {
      const { database } = now();
      await database.run('addPins', { set: 'a', pins: [pin('x:1'), pin('y:1')] });
      await database.run('addPins', { set: 'a', pins: [pin('x:1', 'all')] });
      await database.run('addPins', { set: 'b', pins: [pin('x:1')] });
      expect((await listPins(database.read, 'a')).map((row) => [row.image, row.platforms])).toEqual([
        ['x:1', 'all'],
        ['y:1', 'linux/amd64'],
      ]);
      expect((await listPins(database.read)).map((row) => row.set)).toEqual(['a', 'a', 'b']);
    });
    test('images or whole sets go, and the number that went is told', async () => {
      const { database } = now();
      await database.run('addPins', { set: 'c', pins: [pin('x:1'), pin('y:1'), pin('z:1')] });
      expect(await database.run('removePins', { set: 'c', images: ['x:1', 'no:1'] })).toBe(1);
      expect(await database.run('removePins', { set: 'c' })).toBe(2);
      expect(await database.run('removePins', { set: 'c' })).toBe(0);
    });
  });

  describe('warm-up runs', () => {
    test('a run keeps its wish, then what came of it', async () => {
      const { database } = now();
      await database.run('createWarmup', { id: 'run-1', name: 'nightly', spec: '{"a":1}' });
      expect(await findWarmup(database.read, 'run-1')).toMatchObject({ state: 'active', name: 'nightly', spec: '{"a":1}', result: null });
      await database.run('endWarmup', { id: 'run-1', state: 'failed', result: '[1]' });
      expect(await findWarmup(database.read, 'run-1')).toMatchObject({ state: 'failed', result: '[1]', endedAtMs: expect.any(Number) });
      expect(await findWarmup(database.read, 'run-0')).toBeUndefined();
    });
    test('of ended runs the last 50 are kept, active ones all', async () => {
      const { database } = now();
      await database.run('createWarmup', { id: 'many-000', spec: '{}' });
      for (let index = 1; index <= 60; index++) {
        const id = `many-${String(index).padStart(3, '0')}`;
        await database.run('createWarmup', { id, spec: '{}' });
        await database.run('endWarmup', { id, state: 'done', result: '[]' });
      }
      const ids = (await listWarmups(database.read)).map((run) => run.id);
      expect(ids).toContain('many-000');
      expect(ids.filter((id) => id.startsWith('many-')).length).toBeLessThanOrEqual(51);
      expect(ids).toContain('many-060');
      expect(ids).not.toContain('many-001');
    });
  });
}
