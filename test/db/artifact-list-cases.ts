// The contract on lists of repositories, artifacts and tags: order, pages, numbers, searches, and what a scope lets be seen.

import { describe, expect, test } from 'bun:test';
import { readLabelsOf } from '../../src/db/artifact-labels.ts';
import {
  type ArtifactField,
  findArtifact,
  findTaggedDigest,
  listAccessoryPage,
  listArtifactPage,
  readManifestIds,
} from '../../src/db/artifact-lists.ts';
import { listArtifactTags, readTagsOf } from '../../src/db/artifact-tags.ts';
import type { ListCondition } from '../../src/db/listing.ts';
import { findRepository, listRepositoryNames, listRepositoryPage } from '../../src/db/repository-lists.ts';
import { digest, type Fixture, manifest, outcome, storedImage } from './fixture.ts';

const indexType = 'application/vnd.oci.image.index.v1+json';
const page = { conditions: [], order: [], offset: 0, limit: 10 };

export function artifactListCases(now: () => Fixture): void {
  const run: Fixture['database']['run'] = (name, args) => now().database.run(name, args);
  const put = (...args: Parameters<typeof manifest>) => run('putManifest', manifest(...args));
  const repository = async (name: string, projectId = now().projectId) => run('ensureRepository', { projectId, name });

  describe('lists of repositories', () => {
    test('show what once held a manifest, within the scope and its number', async () => {
      const [open, closed] = [
        await run('createProject', { name: 'lists-open', kind: 'local', isPublic: true }),
        await run('createProject', { name: 'lists-closed', kind: 'local', isPublic: false }),
      ];
      const ids: number[] = [];
      for (const [project, name] of [
        [open.id, 'lists-open/a'],
        [open.id, 'lists-open/b'],
        [closed.id, 'lists-closed/ci/c'],
        [closed.id, 'lists-closed/d'],
      ] as const) {
        const id = await repository(name, project);
        await put(id, `content of ${name}`, { tags: ['1'] });
        ids.push(id);
      }
      await repository('lists-open/empty', open.id);
      const list = async (scope: Parameters<typeof listRepositoryPage>[1]['scope'], wish: object = {}) => {
        const { repositories, count } = await listRepositoryPage(now().database, {
          scope,
          wish: { ...page, conditions: [{ field: 'name', kind: 'part', value: 'LISTS-' }], ...wish },
        });
        return [count, repositories.map(({ name }) => name)];
      };
      expect(await list('all')).toEqual([4, ['lists-closed/d', 'lists-closed/ci/c', 'lists-open/b', 'lists-open/a']]);
      expect(await list('all', { offset: 1, limit: 2 })).toEqual([4, ['lists-closed/ci/c', 'lists-open/b']]);
      expect(await list({ projectId: open.id }, { order: [{ field: 'name', descending: false }] })).toEqual([
        2,
        ['lists-open/a', 'lists-open/b'],
      ]);
      expect(await list({ projects: { publicToo: true, ids: [] }, ids: [] })).toEqual([2, ['lists-open/b', 'lists-open/a']]);
      expect(await list({ projects: { publicToo: false, ids: [] }, ids: [] })).toEqual([0, []]);
      expect(await list({ projects: { publicToo: false, ids: [closed.id] }, ids: [] })).toEqual([
        2,
        ['lists-closed/d', 'lists-closed/ci/c'],
      ]);
      expect(await list({ projects: { publicToo: false, ids: [open.id] }, ids: [ids[2] ?? 0] })).toEqual([
        3,
        ['lists-closed/ci/c', 'lists-open/b', 'lists-open/a'],
      ]);
      expect(await listRepositoryNames(now().database.read, { prefix: 'lists-closed/', limit: 10 })).toEqual([
        { id: ids[2] ?? 0, name: 'lists-closed/ci/c' },
        { id: ids[3] ?? 0, name: 'lists-closed/d' },
      ]);
      expect(await findRepository(now().database.read, 'lists-open/empty')).toBeUndefined();
      expect(await findRepository(now().database.read, 'lists-open/a')).toMatchObject({ artifactCount: 1, pullCount: 0, description: '' });
    });
  });

  describe('lists of artifacts', () => {
    test('are in order, paged, counted and searched', async () => {
      const id = await repository('p/listed-artifacts');
      for (const [text, tags] of [
        ['la 0', ['v0', 'x0']],
        ['la 1', ['v1']],
        ['la 2', []],
        ['la 3', ['v3', 'X3']],
      ] as const)
        await put(id, text, { tags: [...tags] });
      await put(id, 'la index', { mediaType: indexType, tags: ['index'] });
      await put(id, 'la accessory', { subjectDigest: digest('la 0'), artifactType: 'application/spdx+json' });
      const label = await run('createLabel', { name: 'la label', description: '', color: '' });
      await run('addArtifactLabel', { repositoryId: id, digest: digest('la 1'), labelId: label.id });
      const names = new Map(['la 0', 'la 1', 'la 2', 'la 3', 'la index'].map((text) => [digest(text), text]));
      const list = async (wish: object = {}, more: object = {}) => {
        const { artifacts, count } = await listArtifactPage(now().database, {
          scope: { repositoryId: id, ...more },
          wish: { ...page, ...wish },
        });
        return [count, artifacts.map((artifact) => names.get(artifact.digest))];
      };
      const where = (...conditions: ListCondition<ArtifactField>[]) => ({ conditions });
      const all = ['la index', 'la 3', 'la 2', 'la 1', 'la 0'];
      expect(await list()).toEqual([5, all]);
      expect(await list({ order: [{ field: 'push_time', descending: false }] })).toEqual([5, all.toReversed()]);
      expect(await list({ offset: 2, limit: 2 })).toEqual([5, ['la 2', 'la 1']]);
      expect(await list({ offset: 9 })).toEqual([5, []]);
      expect(await list({ order: [{ field: 'size', descending: true }], limit: 1 })).toEqual([5, ['la index']]);
      expect(await list(where({ field: 'tags', kind: 'exact', value: '*' }))).toEqual([4, ['la index', 'la 3', 'la 1', 'la 0']]);
      expect(await list(where({ field: 'tags', kind: 'exact', value: 'nil' }))).toEqual([1, ['la 2']]);
      expect(await list(where({ field: 'tags', kind: 'exact', value: 'v1' }))).toEqual([1, ['la 1']]);
      expect(await list(where({ field: 'tags', kind: 'part', value: 'x' }))).toEqual([3, ['la index', 'la 3', 'la 0']]);
      expect(await list({ ...where({ field: 'tags', kind: 'part', value: 'x' }), offset: 1, limit: 1 })).toEqual([3, ['la 3']]);
      expect(await list({ ...where({ field: 'tags', kind: 'part', value: 'x' }), offset: 9 })).toEqual([3, []]);
      expect(await list(where({ field: 'tags', kind: 'any', values: ['v0', 'v3'] }))).toEqual([2, ['la 3', 'la 0']]);
      expect(await list(where({ field: 'digest', kind: 'exact', value: digest('la 2') }))).toEqual([1, ['la 2']]);
      expect(await list(where({ field: 'manifest_media_type', kind: 'exact', value: indexType }))).toEqual([1, ['la index']]);
      expect(await list(where({ field: 'labels', kind: 'all', values: [label.id] }))).toEqual([1, ['la 1']]);
      expect(await list(where({ field: 'labels', kind: 'all', values: [label.id, 999_999] }))).toEqual([0, []]);
      expect(await list({ limit: 1 }, { repositoryId: undefined, projectId: now().projectId, latestOnly: true })).toEqual([
        expect.any(Number),
        ['la index'],
      ]);
      const { read } = now().database;
      const found = await findArtifact(read, id, digest('la 1'));
      expect(found).toMatchObject({ repository: 'p/listed-artifacts', tagCount: 1, index: null, subject: null });
      expect([...(await readLabelsOf(read, [found?.id ?? 0])).values()].flat().map(({ name }) => name)).toEqual(['la label']);
      const index = await findArtifact(read, id, digest('la index'));
      expect(Buffer.from(index?.index ?? []).toString()).toBe('la index');
      expect(await findTaggedDigest(read, id, 'v0')).toBe(digest('la 0'));
      expect(await findTaggedDigest(read, id, 'V0')).toBeUndefined();
      expect([...(await readManifestIds(read, id, [digest('la 1'), digest('absent')])).keys()]).toEqual([digest('la 1')]);
      const accessories = await listAccessoryPage(read, { repositoryId: id, subject: digest('la 0'), offset: 0, limit: 5 });
      expect([accessories.count, accessories.accessories.map((one) => one.artifactType)]).toEqual([1, ['application/spdx+json']]);
      expect(await outcome(run('addArtifactLabel', { repositoryId: id, digest: digest('la 1'), labelId: label.id }))).toBe('CONFLICT');
      expect(await outcome(run('addArtifactLabel', { repositoryId: id, digest: digest('la 1'), labelId: 999_999 }))).toBe('NOT_FOUND');
      await run('removeArtifactLabel', { repositoryId: id, digest: digest('la 1'), labelId: label.id });
      expect(await outcome(run('removeArtifactLabel', { repositoryId: id, digest: digest('la 1'), labelId: label.id }))).toBe('NOT_FOUND');
    });

    test('an image names its config', async () => {
      const id = await repository('p/listed-config');
      for (const text of ['lc config', 'lc layer']) await now().blob(id, text);
      const image = storedImage('lc config', 'lc layer');
      await run('putManifest', { ...image, repositoryId: id });
      expect(await findArtifact(now().database.read, id, image.digest)).toMatchObject({ configDigest: digest('lc config'), kind: 'IMAGE' });
    });

    test('tags are those of the artifact, in every order, some of many', async () => {
      const id = await repository('p/listed-tags');
      const tags = Array.from({ length: 30 }, (_, index) => `t${String(index).padStart(2, '0')}`);
      for (const tag of tags) await put(id, 'lt', { tags: [tag] });
      await put(id, 'lt other', { tags: ['other'] });
      const artifact = await findArtifact(now().database.read, id, digest('lt'));
      const other = await findArtifact(now().database.read, id, digest('lt other'));
      if (artifact === undefined || other === undefined) throw new Error('not there');
      const list = async (wish: object, tagCount = artifact.tagCount) => {
        const found = await listArtifactTags(now().database, { artifact: { ...artifact, tagCount }, wish: { ...page, limit: 3, ...wish } });
        return [found.count, found.tags.map(({ name }) => name)];
      };
      expect(await list({})).toEqual([30, ['t29', 't28', 't27']]);
      expect(await list({ offset: 27 })).toEqual([30, ['t02', 't01', 't00']]);
      const byName = { order: [{ field: 'name', descending: false }] };
      expect(await list(byName)).toEqual([30, ['t00', 't01', 't02']]);
      // As with very many tags: the same order by another way.
      expect((await list(byName, 50_000))[1]).toEqual(['t00', 't01', 't02']);
      expect(await list({ conditions: [{ field: 'name', kind: 'part', value: 'T1' }] })).toEqual([10, ['t19', 't18', 't17']]);
      const some = await readTagsOf(now().database.read, [artifact, other], 5);
      expect([some.get(artifact.id)?.map(({ name }) => name), some.get(other.id)?.map(({ name }) => name)]).toEqual([
        ['t29', 't28', 't27', 't26', 't25'],
        ['other'],
      ]);
    });
  });
}
