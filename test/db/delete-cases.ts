// The contract on deletes, and on what every removal of a reference leaves behind: a full lease and a place in the queue for review.

import { describe, expect, test } from 'bun:test';
import type { Digest } from '../../src/oci/digest.ts';
import { child, day, digest, type Fixture, layer, manifest, outcome } from './fixture.ts';

export function deleteCases(now: () => Fixture): void {
  const put = (...args: Parameters<typeof manifest>) => now().database.run('putManifest', manifest(...args));
  const deleteBlob = (repositoryId: number, text: string) => now().database.run('deleteBlob', { repositoryId, digest: digest(text) });
  const deleteManifest = (repositoryId: number, text: string, allowsSparse = false) =>
    now().database.run('deleteManifest', { repositoryId, digest: digest(text), allowsSparse });
  const queued = (item: Digest) =>
    now().database.read.selectFrom('gc_queue').select(['review_after_ms', 'reason']).where('digest', '=', item).executeTakeFirst();
  const expireLeases = async () => {
    await now().alter('update blob set lease_until_ms = 1');
    await now().alter('update manifest set lease_until_ms = 1');
    await now().alter('delete from gc_queue');
  };
  const blobLease = async (text: string) =>
    (await now().database.read.selectFrom('blob').select('lease_until_ms').where('digest', '=', digest(text)).executeTakeFirstOrThrow())
      .lease_until_ms;
  const manifestLease = async (repositoryId: number, text: string) =>
    (
      await now()
        .database.read.selectFrom('manifest')
        .select('lease_until_ms')
        .where('repository_id', '=', repositoryId)
        .where('digest', '=', digest(text))
        .executeTakeFirstOrThrow()
    ).lease_until_ms;
  const isReviewed = async (item: string, reason: string, startedMs: number) => {
    const found = await queued(digest(item));
    expect(found?.reason).toBe(reason);
    expect(found?.review_after_ms).toBeGreaterThanOrEqual(startedMs + day);
  };

  describe('deletes', () => {
    test('a blob is not deleted while a manifest of its repository holds it', async () => {
      const [one, two] = [await now().repository(), await now().repository()];
      await now().blob(one.id, 'kept layer');
      await now().blob(two.id, 'kept layer');
      await put(one.id, 'keeper', { references: [layer('kept layer')] });
      const error = await deleteBlob(one.id, 'kept layer').catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'UNSUPPORTED', detail: { digest: digest('kept layer'), heldBy: digest('keeper') } });
      await deleteBlob(two.id, 'kept layer');
      expect(await outcome(deleteBlob(two.id, 'kept layer'))).toBe('BLOB_UNKNOWN');
      expect(await outcome(deleteBlob(two.id, 'never there'))).toBe('BLOB_UNKNOWN');
      expect(await now().content.blob(one.name, digest('kept layer'))).toBeDefined();
      expect(await now().content.blob(two.name, digest('kept layer'))).toBeUndefined();
    });

    test('a child is not deleted from under its index, unless the project is sparse: then the index knows', async () => {
      const target = await now().repository();
      const other = await now().repository();
      await put(target.id, 'kid');
      await put(target.id, 'index of kid', { references: [child('kid')] });
      await put(other.id, 'kid');
      expect(await outcome(deleteManifest(target.id, 'kid'))).toBe('UNSUPPORTED');
      expect(await outcome(deleteManifest(other.id, 'kid'))).toBe('done');
      expect(await outcome(deleteManifest(target.id, 'kid', true))).toBe('done');
      const [reference] = await now()
        .database.read.selectFrom('manifest_ref')
        .select('is_present')
        .where('digest', '=', digest('kid'))
        .execute();
      expect(reference?.is_present).toBe(0);
      expect(await outcome(deleteManifest(target.id, 'kid', true))).toBe('MANIFEST_UNKNOWN');
      expect(await outcome(deleteManifest(target.id, 'index of kid'))).toBe('done');
    });

    test('deleting a manifest takes its tags and no others, and leaves the same manifest elsewhere', async () => {
      const [one, two] = [await now().repository(), await now().repository()];
      for (const repository of [one, two]) await put(repository.id, 'doomed', { tags: ['a', 'b'] });
      await put(one.id, 'staying', { tags: ['c', 'B'] });
      await deleteManifest(one.id, 'doomed');
      const tags = await now().database.read.selectFrom('tag').select('name').where('repository_id', '=', one.id).execute();
      expect(tags.map((row) => row.name).sort()).toEqual(['B', 'c']);
      expect(await now().content.manifestByDigest(one.name, digest('doomed'))).toBeUndefined();
      expect((await now().content.manifestByTag(two.name, 'a'))?.digest).toBe(digest('doomed'));
    });

    test('deleting a tag leaves the manifest and its other tags', async () => {
      const target = await now().repository();
      await put(target.id, 'two tags', { tags: ['x', 'X'] });
      await now().database.run('deleteTag', { repositoryId: target.id, tag: 'x' });
      expect(await outcome(now().database.run('deleteTag', { repositoryId: target.id, tag: 'x' }))).toBe('MANIFEST_UNKNOWN');
      expect(await now().content.manifestByTag(target.name, 'x')).toBeUndefined();
      expect((await now().content.manifestByTag(target.name, 'X'))?.digest).toBe(digest('two tags'));
      expect(await now().content.manifestByDigest(target.name, digest('two tags'))).toBeDefined();
    });
  });

  describe('whatever loses a reference keeps a full lease and is queued for review', () => {
    test('a tag that moves: the manifest it left', async () => {
      const target = await now().repository();
      await put(target.id, 'moved from', { tags: ['t'] });
      await put(target.id, 'moved to');
      await expireLeases();
      const startedMs = Date.now();
      await put(target.id, 'moved to', { tags: ['t'] });
      await isReviewed('moved from', 'tag moved', startedMs);
      expect(await manifestLease(target.id, 'moved from')).toBeGreaterThanOrEqual(startedMs + day);
      expect(await queued(digest('moved to'))).toBeUndefined();
      await put(target.id, 'moved to', { tags: ['t'] });
      expect(await queued(digest('moved to'))).toBeUndefined();
    });

    test('a tag that is deleted: its manifest, in this repository only', async () => {
      const [target, other] = [await now().repository(), await now().repository()];
      for (const repository of [target, other]) await put(repository.id, 'untagged', { tags: ['t'] });
      await expireLeases();
      const startedMs = Date.now();
      await now().database.run('deleteTag', { repositoryId: target.id, tag: 't' });
      await isReviewed('untagged', 'tag deleted', startedMs);
      expect(await manifestLease(target.id, 'untagged')).toBeGreaterThanOrEqual(startedMs + day);
      expect(await manifestLease(other.id, 'untagged')).toBe(1);
    });

    test('a manifest that is deleted: its blobs and its children', async () => {
      const target = await now().repository();
      await now().blob(target.id, 'config of it');
      await now().blob(target.id, 'layer of it');
      await put(target.id, 'child of it');
      const references = [layer('config of it', { kind: 'config' }), layer('layer of it'), child('child of it')];
      await put(target.id, 'parent', { references });
      await expireLeases();
      const startedMs = Date.now();
      await deleteManifest(target.id, 'parent');
      for (const item of ['config of it', 'layer of it', 'child of it']) await isReviewed(item, 'manifest deleted', startedMs);
      for (const item of ['config of it', 'layer of it']) expect(await blobLease(item)).toBeGreaterThanOrEqual(startedMs + day);
      expect(await manifestLease(target.id, 'child of it')).toBeGreaterThanOrEqual(startedMs + day);
    });

    test('a blob that leaves a repository', async () => {
      const target = await now().repository();
      await now().blob(target.id, 'leaving');
      await expireLeases();
      const startedMs = Date.now();
      await deleteBlob(target.id, 'leaving');
      await isReviewed('leaving', 'blob deleted', startedMs);
      expect(await blobLease('leaving')).toBeGreaterThanOrEqual(startedMs + day);
    });

    test('queued again, the later review counts', async () => {
      const target = await now().repository();
      await now().blob(target.id, 'again and again');
      await deleteBlob(target.id, 'again and again');
      await now().alter('update gc_queue set review_after_ms = 1');
      await now().blob(target.id, 'again and again');
      const startedMs = Date.now();
      await deleteBlob(target.id, 'again and again');
      await isReviewed('again and again', 'blob deleted', startedMs);
    });
  });
}
