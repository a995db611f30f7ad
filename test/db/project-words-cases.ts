// The contract on what is said of projects and counted over them: metadata, details, roles of members, search, and bytes.

import { describe, expect, test } from 'bun:test';
import { countOverview, searchNames } from '../../src/db/overview.ts';
import { countMembers, readOwnRoles, readProjectDetails } from '../../src/db/project-words.ts';
import { findContent } from '../../src/db/projects.ts';
import { findUsageStretch, readUsage } from '../../src/db/usage.ts';
import { digest, type Fixture, outcome } from './fixture.ts';

export function projectWordsCases(now: () => Fixture): void {
  describe('what is said of projects', () => {
    test('metadata is kept from the start, changed by key and taken back; a project made private takes its tokens back', async () => {
      const { database } = now();
      const made = await database.run('createProject', {
        name: 'words',
        kind: 'local',
        isPublic: true,
        metadata: [{ name: 'auto_scan', value: 'true' }],
        cveAllowlist: '{"items":[]}',
      });
      const detailsOf = async () => (await readProjectDetails(database.read, [made.id])).get(made.id);
      expect(await detailsOf()).toEqual({
        ownerName: undefined,
        repositoryCount: 0,
        metadata: new Map([['auto_scan', 'true']]),
        cveAllowlist: '{"items":[]}',
      });
      const changed = await database.run('changeProject', {
        id: made.id,
        isPublic: false,
        metadata: [
          { name: 'auto_scan', value: 'false' },
          { name: 'severity', value: 'low' },
        ],
        cveAllowlist: '{"items":[1]}',
      });
      expect(changed).toMatchObject({ id: made.id, isPublic: false, epoch: made.epoch + 1 });
      await database.run('ensureRepository', { projectId: made.id, name: 'words/a' });
      expect(
        await database.run('changeProject', { id: made.id, isPublic: true, removedMetadata: ['severity', 'never said'] }),
      ).toMatchObject({
        isPublic: true,
        epoch: made.epoch + 1,
      });
      expect(await detailsOf()).toMatchObject({
        repositoryCount: 1,
        metadata: new Map([['auto_scan', 'false']]),
        cveAllowlist: '{"items":[1]}',
      });
      expect(await outcome(database.run('changeProject', { id: 999_999 }))).toBe('NAME_UNKNOWN');
      expect(await findContent(database.read, made.id)).toBeUndefined();
      await database.run('deleteProject', { name: 'words' });
      expect((await readProjectDetails(database.read, [made.id])).size).toBe(0);
    });

    test('the one who makes a project is its admin; roles are found and counted', async () => {
      const { database } = now();
      await database.run('createAccount', { name: 'words-owner', passwordHash: 'h', isAdmin: false });
      const { id: accountId } = await database.read
        .selectFrom('account')
        .select('id')
        .where('name', '=', 'words-owner')
        .executeTakeFirstOrThrow();
      const made = await database.run('createProject', { name: 'owned', kind: 'local', isPublic: false, owner: { accountId, roleId: 1 } });
      const other = await database.run('createProject', { name: 'not-owned', kind: 'local', isPublic: false });
      expect((await readProjectDetails(database.read, [made.id])).get(made.id)?.ownerName).toBe('words-owner');
      expect(await readOwnRoles(database.read, { accountId, ids: [made.id, other.id] })).toEqual(new Map([[made.id, [1]]]));
      expect(await countMembers(database.read, made.id)).toEqual(new Map([[1, 1]]));
      expect(await countMembers(database.read, other.id)).toEqual(new Map());
    });

    test('numbers and search show what is in sight only', async () => {
      const { database } = now();
      const open = await database.run('createProject', { name: 'seek-open', kind: 'local', isPublic: true });
      const closed = await database.run('createProject', { name: 'seek-closed', kind: 'local', isPublic: false });
      for (const name of ['seek-open/one', 'seek-open/TWO']) await database.run('ensureRepository', { projectId: open.id, name });
      await database.run('ensureRepository', { projectId: closed.id, name: 'seek-closed/one' });
      const scope = { publicToo: false, ids: [open.id, closed.id] };
      expect(await countOverview(database, scope)).toEqual({
        publicProjects: 1,
        privateProjects: 1,
        publicRepositories: 2,
        privateRepositories: 1,
      });
      expect(await countOverview(database, { publicToo: false, ids: [] })).toEqual({
        publicProjects: 0,
        privateProjects: 0,
        publicRepositories: 0,
        privateRepositories: 0,
      });
      const names = async (text: string, ids: number[]) => {
        const found = await searchNames(database, { scope: { publicToo: false, ids }, text, limit: 10 });
        return [found.projects.map(({ name }) => name), found.repositories.map(({ name }) => name)];
      };
      expect(await names('seek-', [open.id])).toEqual([['seek-open'], ['seek-open/TWO', 'seek-open/one']]);
      expect(await names('ONE', [open.id, closed.id])).toEqual([[], ['seek-closed/one', 'seek-open/one']]);
      expect(await names('%', [open.id])).toEqual([[], []]);
      const [found] = (await searchNames(database, { scope, text: 'seek-closed/one', limit: 1 })).repositories;
      expect(found).toMatchObject({ projectId: closed.id, projectName: 'seek-closed', isPublic: false, artifactCount: 0 });
    });

    test('a blob counts once in each project and once in all, however the digests are cut into stretches', async () => {
      const { database, blob, alter } = now();
      await alter('delete from repository_blob');
      const [one, other] = await Promise.all(
        ['use-one', 'use-other'].map((name) => database.run('createProject', { name, kind: 'local', isPublic: true })),
      );
      const repository = (project: { id: number; name: string } | undefined, name: string) =>
        database.run('ensureRepository', { projectId: project?.id ?? 0, name: `${project?.name}/${name}` });
      const [a, b, c] = [await repository(one, 'a'), await repository(one, 'b'), await repository(other, 'c')];
      for (const text of ['use 1', 'use 22', 'use 333']) await blob(a, text);
      await database.run('mountBlob', { repositoryId: b, fromRepository: 'use-one/a', digest: digest('use 22') });
      await database.run('mountBlob', { repositoryId: c, fromRepository: 'use-one/a', digest: digest('use 333') });
      for (const count of [1, 2, 1000]) {
        const sums = new Map<number, number>();
        let after = '';
        for (;;) {
          const through = await findUsageStretch(database.read, { after, count });
          for (const { projectId, sizeBytes } of await readUsage(database.read, { after, through }))
            sums.set(projectId, (sums.get(projectId) ?? 0) + sizeBytes);
          if (through === undefined) break;
          after = through;
        }
        expect([count, sums]).toEqual([
          count,
          new Map([
            [0, 5 + 6 + 7],
            [one?.id ?? 0, 5 + 6 + 7],
            [other?.id ?? 0, 7],
          ]),
        ]);
      }
    });
  });
}
