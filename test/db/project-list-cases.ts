// The contract on lists of projects: what matches, in which order, what is counted, and whose sight ends where.

import { describe, expect, test } from 'bun:test';
import type { ListWish } from '../../src/db/listing.ts';
import { listProjectPage, type ProjectField, type ProjectScope } from '../../src/db/project-lists.ts';
import type { Fixture } from './fixture.ts';

export function projectListCases(now: () => Fixture): void {
  describe('lists of projects', () => {
    const page = async (wish: Partial<ListWish<ProjectField>>, scope: ProjectScope = 'all') => {
      const { projects, count } = await listProjectPage(now().database, {
        scope,
        wish: {
          order: [],
          offset: 0,
          limit: 10,
          ...wish,
          conditions: [{ field: 'name', kind: 'part', value: 'listed-' }, ...(wish.conditions ?? [])],
        },
      });
      return { names: projects.map(({ name }) => name.slice('listed-'.length)), count };
    };
    const ids: Record<string, number> = {};

    test('conditions of every kind, an order and a stretch give the rows and the number of all', async () => {
      const { database } = now();
      for (const [name, isPublic] of [
        ['b', true],
        ['a', false],
        ['c_%', true],
        ['D', false],
      ] as const)
        ids[name] = (await database.run('createProject', { name: `listed-${name}`, kind: 'local', isPublic })).id;
      expect(await page({})).toEqual({ names: ['D', 'a', 'b', 'c_%'], count: 4 });
      expect(await page({ order: [{ field: 'project_id', descending: true }] })).toEqual({ names: ['D', 'c_%', 'a', 'b'], count: 4 });
      expect(await page({ order: [{ field: 'public', descending: false }], limit: 2, offset: 1 })).toEqual({ names: ['a', 'b'], count: 4 });
      expect(await page({ conditions: [{ field: 'public', kind: 'exact', value: true }] })).toEqual({ names: ['b', 'c_%'], count: 2 });
      expect(await page({ conditions: [{ field: 'name', kind: 'part', value: '-d' }] })).toEqual({ names: ['D'], count: 1 });
      expect(await page({ conditions: [{ field: 'name', kind: 'part', value: '_%' }] })).toEqual({ names: ['c_%'], count: 1 });
      expect(await page({ conditions: [{ field: 'name', kind: 'part', value: '\\' }] })).toEqual({ names: [], count: 0 });
      expect(await page({ conditions: [{ field: 'name', kind: 'any', values: ['listed-a', 'listed-b'] }] })).toEqual({
        names: ['a', 'b'],
        count: 2,
      });
      expect(await page({ conditions: [{ field: 'project_id', kind: 'range', min: ids.a ?? 0 }] })).toEqual({
        names: ['D', 'a', 'c_%'],
        count: 3,
      });
      expect(await page({ conditions: [{ field: 'creation_time', kind: 'range', min: 0, max: 5 }] })).toEqual({ names: [], count: 0 });
    });

    test('SEC-J01: SQL in a condition is text', async () => {
      for (const value of ["' or 1=1 --", '"; drop table project; --', "x' union select name from account --"]) {
        expect(await page({ conditions: [{ field: 'name', kind: 'part', value }] })).toEqual({ names: [], count: 0 });
        expect(await page({ conditions: [{ field: 'name', kind: 'exact', value }] })).toEqual({ names: [], count: 0 });
      }
      expect((await page({})).count).toBe(4);
    });

    test('what is out of sight is neither given nor counted', async () => {
      expect(await page({}, { publicToo: true, ids: [] })).toEqual({ names: ['b', 'c_%'], count: 2 });
      expect(await page({}, { publicToo: false, ids: [] })).toEqual({ names: [], count: 0 });
      expect(await page({}, { publicToo: false, ids: [ids.D ?? 0, ids.b ?? 0, 999_999] })).toEqual({ names: ['D', 'b'], count: 2 });
      expect(await page({ limit: 1 }, { publicToo: true, ids: [ids.a ?? 0] })).toEqual({ names: ['a'], count: 3 });
    });
  });
}
