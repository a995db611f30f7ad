// The contract on upload sessions.

import { describe, expect, test } from 'bun:test';
import { prepareUploadQuery } from '../../src/db/uploads.ts';
import { day, digest, type Fixture, outcome } from './fixture.ts';

const generous = { perPrincipal: 1000, perRepository: 1000, total: 1000 };

export function uploadCases(now: () => Fixture): void {
  const create = (repositoryId: number, id: string, more: object = {}) =>
    now().database.run('createUpload', {
      id,
      repositoryId,
      principal: 'user:1',
      algorithm: 'sha512',
      expiresAtMs: Date.now() + day,
      limits: generous,
      ...more,
    });

  describe('upload sessions', () => {
    test('a session is seen only with its repository and its principal', async () => {
      const target = await now().repository();
      const other = await now().repository();
      const find = prepareUploadQuery(now().database);
      await create(target.id, 'u1');
      const key = { id: 'u1', repositoryName: target.name, principal: 'user:1' };
      expect(await find(key)).toMatchObject({ id: 'u1', repositoryId: target.id, principal: 'user:1', algorithm: 'sha512' });
      expect(await find({ ...key, id: 'u2' })).toBeUndefined();
      expect(await find({ ...key, principal: 'user:2' })).toBeUndefined();
      expect(await find({ ...key, repositoryName: other.name })).toBeUndefined();
      await now().database.run('deleteUpload', { id: 'u1' });
      expect(await find(key)).toBeUndefined();
      await now().database.run('deleteUpload', { id: 'u1' });
    });

    test('each limit refuses the session that passes it', async () => {
      const target = await now().repository();
      await create(target.id, 'l1', { principal: 'user:limits' });
      const refused = (limits: object) =>
        outcome(create(target.id, 'l2', { principal: 'user:limits', limits: { ...generous, ...limits } }));
      expect(await refused({ perRepository: 1 })).toBe('TOOMANYREQUESTS');
      expect(await refused({ perPrincipal: 1 })).toBe('TOOMANYREQUESTS');
      expect(await refused({ total: 1 })).toBe('TOOMANYREQUESTS');
      expect(await refused({ perRepository: 2, perPrincipal: 2 })).toBe('done');
    });

    test('a repository that is gone is NAME_UNKNOWN', async () => {
      expect(await outcome(create(987_654, 'nowhere'))).toBe('NAME_UNKNOWN');
    });

    test('expired sessions are removed, the oldest first, except those in use or extended', async () => {
      const { database } = now();
      const target = await now().repository();
      const ago = (ms: number) => ({ expiresAtMs: Date.now() - ms });
      await create(target.id, 'e1', ago(5000));
      await create(target.id, 'e2', ago(4000));
      await create(target.id, 'e3', ago(3000));
      await create(target.id, 'e4', ago(2000));
      await create(target.id, 'fresh');
      await database.run('extendUpload', { id: 'e4', expiresAtMs: Date.now() + day });
      expect(await database.run('deleteExpiredUploads', { inUse: ['e1'], max: 1 })).toEqual(['e2']);
      expect(await database.run('deleteExpiredUploads', { inUse: ['e1'], max: 10 })).toEqual(['e3']);
      expect(await database.run('deleteExpiredUploads', { inUse: [], max: 10 })).toEqual(['e1']);
      expect(await database.run('deleteExpiredUploads', { inUse: [], max: 10 })).toEqual([]);
    });

    test('the session ends with the blob that it brought', async () => {
      const target = await now().repository();
      await create(target.id, 'closing');
      await create(target.id, 'staying');
      await now().database.run('recordBlob', {
        repositoryId: target.id,
        digest: digest('closing'),
        storageKey: 'closing.1',
        sizeBytes: 7,
        origin: 'restricted',
        uploadId: 'closing',
      });
      const find = prepareUploadQuery(now().database);
      expect(await find({ id: 'closing', repositoryName: target.name, principal: 'user:1' })).toBeUndefined();
      expect(await find({ id: 'staying', repositoryName: target.name, principal: 'user:1' })).toBeDefined();
    });
  });
}
