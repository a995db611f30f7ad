// The contract on projects, repositories, accounts and meta values.

import { describe, expect, test } from 'bun:test';
import { prepareAccountQuery, prepareLoginQuery } from '../../src/db/identity.ts';
import { getMeta, listProjects, prepareProjectQueries } from '../../src/db/projects.ts';
import { day, digest, type Fixture, outcome } from './fixture.ts';

export function projectCases(now: () => Fixture): void {
  describe('projects', () => {
    test('a project is created once and found by its name, with all it was given', async () => {
      const { database } = now();
      const queries = prepareProjectQueries(database);
      const created = await database.run('createProject', {
        name: 'ghcr.io',
        kind: 'mirror',
        isPublic: false,
        registry: 'ghcr.io',
        allowsSparse: true,
      });
      expect(created).toMatchObject({ name: 'ghcr.io', kind: 'mirror', isPublic: false, registry: 'ghcr.io', allowsSparse: true });
      expect(Math.abs(created.createdAtMs - Date.now())).toBeLessThan(60_000);
      expect(await queries.byName('ghcr.io')).toEqual(created);
      expect(await queries.byName('GHCR.io')).toBeUndefined();
      expect(await outcome(database.run('createProject', { name: 'ghcr.io', kind: 'local', isPublic: true }))).toBe('CONFLICT');
      expect(await database.run('createProject', { name: 'ghcr.io', kind: 'local', isPublic: true, ifAbsent: true })).toEqual(created);
      const names = (await listProjects(database.read)).map((project) => project.name);
      expect(names).toEqual([...names].sort());
      expect(names).toContain('ghcr.io');
    });

    test('the mirror of a registry is the oldest project of kind mirror bound to it', async () => {
      const { database } = now();
      const queries = prepareProjectQueries(database);
      expect(await queries.mirrorOf('quay.io')).toBeUndefined();
      await database.run('createProject', { name: 'quay-overlay', kind: 'overlay', isPublic: true, registry: 'quay.io' });
      expect(await queries.mirrorOf('quay.io')).toBeUndefined();
      const first = await database.run('createProject', { name: 'quay-z', kind: 'mirror', isPublic: true, registry: 'quay.io' });
      await database.run('createProject', { name: 'quay-a', kind: 'mirror', isPublic: true, registry: 'quay.io' });
      expect(await queries.mirrorOf('quay.io')).toEqual(first);
    });

    test('a mirror project of the configuration follows its visibility; another project of that name is left alone', async () => {
      const { database } = now();
      const made = await database.run('ensureMirrorProject', { registry: 'gcr.io', isPublic: true });
      expect(made).toMatchObject({ name: 'gcr.io', kind: 'mirror', registry: 'gcr.io', isPublic: true });
      expect((await database.run('ensureMirrorProject', { registry: 'gcr.io', isPublic: false })).isPublic).toBe(false);
      expect((await prepareProjectQueries(database).byName('gcr.io'))?.isPublic).toBe(false);
      await database.run('createProject', { name: 'taken.io', kind: 'local', isPublic: false });
      expect(await database.run('ensureMirrorProject', { registry: 'taken.io', isPublic: true })).toMatchObject({
        kind: 'local',
        isPublic: false,
      });
    });

    test('deleting a project takes its empty repositories and their sessions along; content is a CONFLICT', async () => {
      const { database, content, blob } = now();
      const project = await database.run('createProject', { name: 'short', kind: 'local', isPublic: true });
      const id = await database.run('ensureRepository', { projectId: project.id, name: 'short/x' });
      await database.run('createUpload', {
        id: 'in short',
        repositoryId: id,
        principal: 'user:1',
        algorithm: 'sha256',
        expiresAtMs: Date.now() + day,
        limits: { perPrincipal: 9, perRepository: 9, total: 999 },
      });
      await blob(id, 'in short');
      expect(await outcome(database.run('deleteProject', { name: 'short' }))).toBe('CONFLICT');
      await database.run('deleteBlob', { repositoryId: id, digest: digest('in short') });
      await database.run('deleteProject', { name: 'short' });
      expect(await prepareProjectQueries(database).byName('short')).toBeUndefined();
      expect(await content.repositoryId('short/x')).toBeUndefined();
      expect(await database.read.selectFrom('upload').select('id').where('id', '=', 'in short').execute()).toEqual([]);
      expect(await outcome(database.run('deleteProject', { name: 'short' }))).toBe('NAME_UNKNOWN');
      expect(await outcome(database.run('ensureRepository', { projectId: project.id, name: 'short/y' }))).toBe('NAME_UNKNOWN');
    });

    test('a repository is made once, whoever asks first, and belongs to one project', async () => {
      const { database, content, projectId } = now();
      const ids = await Promise.all(
        Array.from({ length: 20 }, () => database.run('ensureRepository', { projectId, name: 'p/deep/er/name' })),
      );
      expect(new Set(ids).size).toBe(1);
      expect(await content.repositoryId('p/deep/er/name')).toBe(ids[0] ?? -1);
      expect(await content.repositoryId('p/deep/er')).toBeUndefined();
      const other = await database.run('createProject', { name: 'other', kind: 'local', isPublic: true });
      expect(await outcome(database.run('ensureRepository', { projectId: other.id, name: 'p/deep/er/name' }))).toBe('NAME_UNKNOWN');
    });
  });

  describe('accounts and meta values', () => {
    test('the first account of a name stays', async () => {
      const { database } = now();
      expect(await database.run('createAccount', { name: 'ann', passwordHash: 'h', isAdmin: true })).toBe(true);
      expect(await database.run('createAccount', { name: 'ann', passwordHash: 'other', isAdmin: false })).toBe(false);
      const found = await prepareLoginQuery(database)('ann');
      expect(found).toMatchObject({ name: 'ann', passwordHash: 'h', isAdmin: true });
      const byId = prepareAccountQuery(database);
      expect(await byId(found?.id ?? 0)).toEqual(found);
      expect(await byId(987_654)).toBeUndefined();
      expect(await prepareLoginQuery(database)('ANN')).toEqual(found);
      expect(await prepareLoginQuery(database)('bob')).toBeUndefined();
    });

    test('a meta value is the last one set', async () => {
      const { database } = now();
      expect(await getMeta(database.read, 'k')).toBeUndefined();
      await database.run('setMeta', { key: 'k', value: '1' });
      await database.run('setMeta', { key: 'k', value: 'ü\n"2"' });
      expect(await getMeta(database.read, 'k')).toBe('ü\n"2"');
    });
  });
}
