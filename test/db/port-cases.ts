// The contract on the port itself: prepared queries, what a failed command leaves, and what is there after opening the data again.

import { describe, expect, test } from 'bun:test';
import { getMeta } from '../../src/db/projects.ts';
import { digest, type Fixture, layer, manifest, outcome } from './fixture.ts';

export function portCases(now: () => Fixture): void {
  describe('the port', () => {
    test('a prepared query binds each value where its name stands, among fixed ones', async () => {
      const { database } = now();
      await database.run('setMeta', { key: 'bind', value: 'right' });
      const query = database.prepare<{ value: string; key: string; absent: string | null }, { key: string; value: string }>((read, value) =>
        read
          .selectFrom('meta')
          .select(['key', 'value'])
          .where((where) =>
            where.and([
              where('value', '=', value('value')),
              where('key', '!=', 'fixed'),
              where('key', '=', value('key')),
              where('value', '=', value('value')),
              where.or([where('key', '=', value('absent')), where('value', '!=', 'other')]),
            ]),
          )
          .limit(5)
          .compile(),
      );
      const right = { key: 'bind', value: 'right' };
      expect(await query.all({ ...right, absent: null })).toEqual([right]);
      expect(await query.first({ ...right, absent: 'x' })).toEqual(right);
      expect(await query.all({ key: 'right', value: 'bind', absent: null })).toEqual([]);
      expect(await query.first({ key: 'right', value: 'bind', absent: null })).toBeUndefined();
    });

    test('one prepared query serves many callers at once', async () => {
      const { database } = now();
      for (let index = 0; index < 20; index++) await database.run('setMeta', { key: `many ${index}`, value: String(index) });
      const query = database.prepare<{ key: string }, { value: string }>((read, value) =>
        read.selectFrom('meta').select('value').where('key', '=', value('key')).compile(),
      );
      const found = await Promise.all(Array.from({ length: 20 }, (_, index) => query.first({ key: `many ${index}` })));
      expect(found.map((row) => row?.value)).toEqual(Array.from({ length: 20 }, (_, index) => String(index)));
    });

    test('nothing can be written through the read side', async () => {
      const { read } = now().database;
      const write = read.insertInto('meta').values({ key: 'slipped', value: 'in' }).execute();
      expect(await outcome(write)).toMatch(/read-?only/i);
      expect(await getMeta(read, 'slipped')).toBeUndefined();
    });

    test('a command that fails leaves nothing of itself, and takes nothing of those beside it along', async () => {
      const target = await now().repository();
      await now().blob(target.id, 'good part');
      const outcomes = await Promise.all(
        Array.from({ length: 40 }, (_, index) => {
          const bad = [[layer('good part'), layer('not there')], [layer('good part', { sizeBytes: 1 })]][index % 4];
          const references = bad ?? [layer('good part')];
          return outcome(
            now().database.run('putManifest', manifest(target.id, `beside ${index}`, { tags: [`t${index}`, 'shared'], references })),
          );
        }),
      );
      const wanted = Array.from(
        { length: 40 },
        (_, index) => ['MANIFEST_BLOB_UNKNOWN', 'MANIFEST_INVALID', 'done', 'done'][index % 4] ?? '',
      );
      expect(outcomes).toEqual(wanted);
      const tags = await now().database.read.selectFrom('tag').select('name').where('repository_id', '=', target.id).execute();
      const kept = wanted.flatMap((text, index) => (text === 'done' ? [`t${index}`] : []));
      expect(tags.map((row) => row.name).sort()).toEqual([...kept, 'shared'].sort());
    });

    test('a command that breaks a rule of the schema fails alone', async () => {
      const { database } = now();
      const broken = { name: 'bad kind', kind: 'nonsense' as 'local', isPublic: true };
      const [first, second, third] = await Promise.all([
        outcome(database.run('setMeta', { key: 'before', value: '1' })),
        outcome(database.run('createProject', broken)),
        outcome(database.run('setMeta', { key: 'after', value: '1' })),
      ]);
      expect([first, third]).toEqual(['done', 'done']);
      expect(second).toMatch(/constraint/i);
      // This one breaks the rule at its last step: the steps before are undone.
      const target = await now().repository();
      const late = manifest(target.id, 'late break', { tags: ['t'], tagTrust: 'nonsense' as 'confirmed', completeness: 'mirror' });
      const outcomes = await Promise.all([
        outcome(database.run('setMeta', { key: 'before', value: '2' })),
        outcome(database.run('putManifest', late)),
        outcome(database.run('setMeta', { key: 'after', value: '2' })),
      ]);
      expect([outcomes[0], outcomes[2]]).toEqual(['done', 'done']);
      expect(outcomes[1]).toMatch(/constraint/i);
      expect(await now().content.manifestByDigest(target.name, digest('late break'))).toBeUndefined();
      expect([await getMeta(database.read, 'before'), await getMeta(database.read, 'after')]).toEqual(['2', '2']);
    });

    test('what was answered is there after opening the data again; migrating again changes nothing', async () => {
      const target = await now().repository();
      await now().blob(target.id, 'lasting');
      await now().database.run('putManifest', manifest(target.id, 'lasting manifest', { references: [layer('lasting')], tags: ['t'] }));
      const steps = async () =>
        (
          await now()
            .database.read.selectFrom('kysely_migration' as 'meta')
            .selectAll()
            .execute()
        ).length;
      const before = await steps();
      await now().restart();
      expect(await steps()).toBe(before);
      expect((await now().content.manifestByTag(target.name, 't'))?.digest).toBe(digest('lasting manifest'));
      expect(await now().content.blob(target.name, digest('lasting'))).toBeDefined();
      expect(await outcome(now().database.run('setMeta', { key: 'still', value: 'writes' }))).toBe('done');
    });

    test('closing waits for the commands under way and refuses later ones; a newer schema is refused', async () => {
      const target = await now().repository();
      const { database } = now();
      const underWay = Array.from({ length: 30 }, (_, index) =>
        outcome(database.run('putManifest', manifest(target.id, `closing ${index}`))),
      );
      const closed = database.close();
      expect(await outcome(database.run('setMeta', { key: 'late', value: '1' }))).toBe('UNAVAILABLE');
      await closed;
      expect(await Promise.all(underWay)).toEqual(Array.from({ length: 30 }, () => 'done'));
      await database.close();
      await now().alter("insert into kysely_migration (name, timestamp) values ('9999-future', '2030-01-01')");
      expect(await outcome(now().restart())).toMatch(/newer Breakwater/);
      await now().alter("delete from kysely_migration where name = '9999-future'");
      await now().restart();
      const found = await now().database.read.selectFrom('manifest').select('id').where('repository_id', '=', target.id).execute();
      expect(found.length).toBe(30);
    });
  });
}
