// The contract on pinned sets and warm-up runs.

import { describe, expect, test } from 'bun:test';
import { listPins } from '../../src/db/pins.ts';
import { findWarmup, listWarmups } from '../../src/db/warmups.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { digest, type Fixture } from './fixture.ts';

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

  describe('last use', () => {
    test('is noted for tags and blobs, and a fresh note stands', async () => {
      const { database } = now();
      const target = await now().repository();
      await now().blob(target.id, 'used');
      const bytes = Buffer.from('{"used":1}');
      await database.run('putManifest', {
        repositoryId: target.id,
        digest: digestOf(bytes),
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        annotations: '{}',
        bytes,
        references: [],
        tags: ['1', '2'],
        completeness: 'mirror',
      });
      const read = async () => ({
        tags: await database.read
          .selectFrom('tag')
          .select(['name', 'pulled_at_ms'])
          .where('repository_id', '=', target.id)
          .orderBy('name')
          .execute(),
        blob: await database.read.selectFrom('blob').select('used_at_ms').where('digest', '=', digest('used')).executeTakeFirst(),
      });
      const args = {
        tags: [
          { repository: target.name, tags: ['1'] },
          { repository: 'p/none', tags: ['1'] },
        ],
        blobs: [digest('used'), digest('none')],
      };
      await database.run('recordUse', args);
      const first = await read();
      expect(first.tags).toEqual([
        { name: '1', pulled_at_ms: expect.any(Number) },
        { name: '2', pulled_at_ms: null },
      ]);
      expect(first.blob?.used_at_ms).toBeGreaterThan(Date.now() - 60_000);
      await database.run('recordUse', args);
      expect(await read()).toEqual(first);
    });
  });

  describe('imported blobs', () => {
    test('a blob that is here becomes a member whatever its origin; one that is not does not', async () => {
      const [from, to] = [await now().repository(), await now().repository()];
      await now().blob(from.id, 'adopted', { origin: 'restricted' });
      expect(await now().database.run('adoptBlob', { repositoryId: to.id, digest: digest('adopted') })).toBe(true);
      expect(await now().content.blob(to.name, digest('adopted'))).toBeDefined();
      expect(await now().database.run('adoptBlob', { repositoryId: to.id, digest: digest('absent') })).toBe(false);
    });
  });
}
