// The contract on many writers at once: no error that is not a coded one, one row for each digest, and never a manifest without its parts.

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Database } from '../../src/db/database.ts';
import { count } from '../support/requirements.ts';
import { child, digest, type Fixture, layer, manifest, outcome } from './fixture.ts';

const crowd = 50;
const stormRuns = count({ quick: 5, full: 60, env: 'BREAKWATER_STORM_RUNS' });
const rounds = count({ quick: 15, full: 300, env: 'BREAKWATER_RACE_ROUNDS' });

export function concurrencyCases(now: () => Fixture): void {
  const all = <T>(task: (index: number) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: crowd }, (_, index) => task(index)));

  describe('many writers at once', () => {
    test(`${crowd} pushers of one blob into as many repositories: one live row, one key, all succeed`, async () => {
      const targets = await all(() => now().repository());
      const keys = await all((index) => now().blob(targets[index]?.id ?? -1, 'crowd', { key: `crowd.${index}` }));
      expect(new Set(keys).size).toBe(1);
      const rows = await now().database.read.selectFrom('blob').selectAll().where('digest', '=', digest('crowd')).execute();
      expect(rows.map((row) => [row.state, row.generation, row.storage_key])).toEqual([['live', 1, keys[0] ?? '']]);
      for (const target of targets) expect((await now().content.blob(target.name, digest('crowd')))?.storageKey).toBe(keys[0] ?? '');
    });

    test(`${crowd} pushers of one manifest succeed, and it is there once`, async () => {
      const target = await now().repository();
      await now().blob(target.id, 'crowd layer');
      const put = () =>
        now().database.run('putManifest', manifest(target.id, 'crowd manifest', { references: [layer('crowd layer')], tags: ['t'] }));
      expect(new Set(await all(() => outcome(put())))).toEqual(new Set(['done']));
      const rows = await now().database.read.selectFrom('manifest').select('id').where('repository_id', '=', target.id).execute();
      expect(rows.length).toBe(1);
    });

    test(`${crowd} manifests to one new tag: all succeed, the tag is one of them, all others are queued for review`, async () => {
      const target = await now().repository();
      const texts = Array.from({ length: crowd }, (_, index) => `race ${index}`);
      const outcomes = await all((index) =>
        outcome(now().database.run('putManifest', manifest(target.id, texts[index] ?? '', { tags: ['t'] }))),
      );
      expect(new Set(outcomes)).toEqual(new Set(['done']));
      const won = (await now().content.manifestByTag(target.name, 't'))?.digest;
      const queued = await now().database.read.selectFrom('gc_queue').select('digest').where('digest', 'in', texts.map(digest)).execute();
      const lost = texts.map(digest).filter((item) => item !== won);
      expect(lost.length).toBe(crowd - 1);
      expect(queued.map((row) => row.digest).sort()).toEqual([...lost].sort());
    });

    /** Runs two commands at once, again and again; gives the pairs of outcomes. */
    const race = async (
      prepare: (round: number) => Promise<void>,
      one: (round: number) => Promise<unknown>,
      other: (round: number) => Promise<unknown>,
    ): Promise<string[]> => {
      const results: string[] = [];
      for (let round = 0; round < rounds; round++) {
        await prepare(round);
        const both = round % 2 === 0 ? [one, other] : [other, one];
        const outcomes = await Promise.all(both.map((task) => outcome(task(round))));
        results.push((round % 2 === 0 ? outcomes : outcomes.reverse()).join(' / '));
      }
      return results;
    };

    test('a manifest that is pushed and its blob that is deleted: one of the two is refused', async () => {
      const target = await now().repository();
      const results = await race(
        async (round) => {
          await now().blob(target.id, `contested ${round}`);
        },
        (round) =>
          now().database.run('putManifest', manifest(target.id, `on contested ${round}`, { references: [layer(`contested ${round}`)] })),
        (round) => now().database.run('deleteBlob', { repositoryId: target.id, digest: digest(`contested ${round}`) }),
      );
      expect(results.filter((text) => !['done / UNSUPPORTED', 'MANIFEST_BLOB_UNKNOWN / done'].includes(text))).toEqual([]);
    });

    test('an index that is pushed and its child that is deleted: one of the two is refused', async () => {
      const target = await now().repository();
      const results = await race(
        (round) => now().database.run('putManifest', manifest(target.id, `contested child ${round}`)),
        (round) =>
          now().database.run('putManifest', manifest(target.id, `on child ${round}`, { references: [child(`contested child ${round}`)] })),
        (round) =>
          now().database.run('deleteManifest', {
            repositoryId: target.id,
            digest: digest(`contested child ${round}`),
            allowsSparse: false,
          }),
      );
      expect(results.filter((text) => !['done / UNSUPPORTED', 'MANIFEST_BLOB_UNKNOWN / done'].includes(text))).toEqual([]);
    });

    test('a tag that is moved and deleted: it is set, or what it was set to is queued for review', async () => {
      const { database, content } = now();
      const target = await now().repository();
      const moved = (round: number): string => `moved in round ${round}`;
      const results = await race(
        (round) => database.run('putManifest', manifest(target.id, `there in round ${round}`, { tags: [`t${round}`] })),
        (round) => database.run('putManifest', manifest(target.id, moved(round), { tags: [`t${round}`] })),
        (round) => database.run('deleteTag', { repositoryId: target.id, tag: `t${round}` }),
      );
      expect(results.filter((text) => text !== 'done / done')).toEqual([]);
      for (let round = 0; round < rounds; round++) {
        const tag = await content.manifestByTag(target.name, `t${round}`);
        const queued = await database.read
          .selectFrom('gc_queue')
          .select('reason')
          .where('digest', '=', digest(moved(round)))
          .execute();
        expect(tag?.digest ?? queued[0]?.reason ?? 'lost').toBe(tag === undefined ? 'tag deleted' : digest(moved(round)));
      }
    });

    test('a project that is deleted while it is pushed to: the push is refused or the project stays', async () => {
      const ids: number[] = [];
      const results = await race(
        async (round) => {
          const project = await now().database.run('createProject', { name: `contested-${round}`, kind: 'local', isPublic: true });
          ids[round] = await now().database.run('ensureRepository', { projectId: project.id, name: `contested-${round}/x` });
        },
        (round) => now().blob(ids[round] ?? -1, 'into a contested project'),
        (round) => now().database.run('deleteProject', { name: `contested-${round}` }),
      );
      expect(results.filter((text) => !['done / CONFLICT', 'NAME_UNKNOWN / done'].includes(text))).toEqual([]);
    });

    test('a project that is deleted while its first repository is made and pushed to: the push is refused or the project stays', async () => {
      const ids: number[] = [];
      const results = await race(
        async (round) => {
          ids[round] = (await now().database.run('createProject', { name: `new-${round}`, kind: 'local', isPublic: true })).id;
        },
        async (round) => {
          const id = await now().database.run('ensureRepository', { projectId: ids[round] ?? -1, name: `new-${round}/x` });
          await now().blob(id, 'into a new repository');
        },
        (round) => now().database.run('deleteProject', { name: `new-${round}` }),
      );
      expect(results.filter((text) => !['done / CONFLICT', 'NAME_UNKNOWN / done'].includes(text))).toEqual([]);
    });

    test('sessions opened at once stay within the limit, but for those that are in flight on PostgreSQL', async () => {
      const target = await now().repository();
      const outcomes = await all((index) =>
        outcome(
          now().database.run('createUpload', {
            id: `at once ${index}`,
            repositoryId: target.id,
            principal: 'user:at once',
            algorithm: 'sha256',
            expiresAtMs: Date.now() + 1000,
            limits: { perPrincipal: 10, perRepository: 1000, total: 1000 },
          }),
        ),
      );
      const opened = outcomes.filter((text) => text === 'done').length;
      expect(outcomes.filter((text) => text !== 'done' && text !== 'TOOMANYREQUESTS')).toEqual([]);
      expect(opened).toBeGreaterThanOrEqual(10);
      expect(opened).toBeLessThanOrEqual(now().database.dialect === 'sqlite' ? 10 : 20);
    });

    test(
      'whatever is pushed, moved and deleted at once, no manifest lacks a part and no error is an unforeseen one',
      async () => {
        const command = fc.record({
          kind: fc.constantFrom('blob', 'mount', 'image', 'index', 'deleteBlob', 'deleteManifest', 'deleteTag'),
          repository: fc.integer({ min: 0, max: 1 }),
          item: fc.integer({ min: 0, max: 2 }),
          tag: fc.constantFrom('a', 'b'),
        });
        await fc.assert(
          fc.asyncProperty(fc.array(fc.array(command, { minLength: 8, maxLength: 24 }), { minLength: 3, maxLength: 5 }), async (waves) => {
            const targets = [await now().repository(), await now().repository()];
            for (const wave of waves) {
              const outcomes = await Promise.all(wave.map((one) => outcome(run(now(), targets, one))));
              const foreseen = ['done', 'MANIFEST_BLOB_UNKNOWN', 'UNSUPPORTED', 'BLOB_UNKNOWN', 'MANIFEST_UNKNOWN'];
              expect(outcomes.filter((text) => !foreseen.includes(text))).toEqual([]);
              for (const target of targets) expect(await lackingParts(now().database, target.id)).toEqual([]);
            }
            expect(await unqueuedOrphans(now().database)).toEqual([]);
          }),
          { numRuns: stormRuns, endOnFailure: true },
        );
      },
      30_000 + stormRuns * 5000,
    );
  });
}

interface Step {
  readonly kind: string;
  readonly repository: number;
  readonly item: number;
  readonly tag: string;
}

function run({ database, blob }: Fixture, targets: readonly { id: number; name: string }[], step: Step): Promise<unknown> {
  const target = targets[step.repository];
  const other = targets[1 - step.repository];
  if (target === undefined || other === undefined) throw new Error('there are two repositories');
  const { id: repositoryId } = target;
  const part = `storm blob ${step.item}`;
  const image = `storm image ${step.item}`;
  switch (step.kind) {
    case 'blob':
      return blob(repositoryId, part);
    case 'mount':
      return database.run('mountBlob', { fromRepository: other.name, repositoryId, digest: digest(part) });
    case 'image': {
      const references = [layer(part), layer(`storm blob ${(step.item + 1) % 3}`)];
      return database.run('putManifest', manifest(repositoryId, image, { references, tags: [step.tag] }));
    }
    case 'index': {
      const references = [child(image), child(`storm image ${(step.item + 1) % 3}`)];
      return database.run('putManifest', manifest(repositoryId, `storm index ${step.item}`, { references, tags: [step.tag, 'both'] }));
    }
    case 'deleteBlob':
      return database.run('deleteBlob', { repositoryId, digest: digest(part) });
    case 'deleteManifest': {
      const text = step.tag === 'a' ? image : `storm index ${step.item}`;
      return database.run('deleteManifest', { repositoryId, digest: digest(text), allowsSparse: false });
    }
    default:
      return database.run('deleteTag', { repositoryId, tag: step.tag });
  }
}

/** References of the repository's manifests that are not held by it, or that their manifest does not know to be here. */
async function lackingParts(database: Database, repositoryId: number): Promise<unknown[]> {
  const rows = await database.read
    .selectFrom('manifest_ref')
    .innerJoin('manifest', 'manifest.id', 'manifest_ref.manifest_id')
    .leftJoin('repository_blob', (join) =>
      join
        .onRef('repository_blob.digest', '=', 'manifest_ref.digest')
        .onRef('repository_blob.repository_id', '=', 'manifest.repository_id'),
    )
    .leftJoin('blob', 'blob.digest', 'repository_blob.digest')
    .leftJoin('manifest as held', (join) =>
      join.onRef('held.digest', '=', 'manifest_ref.digest').onRef('held.repository_id', '=', 'manifest.repository_id'),
    )
    .select(['manifest.digest', 'manifest_ref.digest as part', 'kind', 'is_present', 'blob.state as blobState', 'held.state as heldState'])
    .where('manifest.repository_id', '=', repositoryId)
    .execute();
  return rows.filter((row) => row.is_present !== 1 || (row.kind === 'manifest' ? row.heldState : row.blobState) !== 'live');
}

/** Blobs that no repository holds and nobody will look at. */
async function unqueuedOrphans(database: Database): Promise<unknown[]> {
  return database.read
    .selectFrom('blob')
    .leftJoin('repository_blob', 'repository_blob.digest', 'blob.digest')
    .leftJoin('gc_queue', 'gc_queue.digest', 'blob.digest')
    .select('blob.digest')
    .where('repository_blob.digest', 'is', null)
    .where('gc_queue.digest', 'is', null)
    .where(
      'blob.digest',
      'in',
      [0, 1, 2].map((item) => digest(`storm blob ${item}`)),
    )
    .execute();
}
