// The contract on manifests and tags: what a manifest needs, what it is found by, and what its trail says.

import { describe, expect, test } from 'bun:test';
import { listTags, readListedReferrers, readManifestsNaming, readReferenceTrails, readTagTrail } from '../../src/db/content.ts';
import { child, day, digest, type Fixture, layer, manifest, outcome } from './fixture.ts';

export function manifestCases(now: () => Fixture): void {
  const put = (...args: Parameters<typeof manifest>) => now().database.run('putManifest', manifest(...args));

  describe('manifests', () => {
    test('what is missing is listed, each digest once and at most 100, and nothing is stored', async () => {
      const target = await now().repository();
      const absent = Array.from({ length: 150 }, (_, index) => layer(`absent ${index}`));
      const references = [...absent, ...absent, child('absent child')];
      const error = await put(target.id, 'needy', { references, tags: ['t'] }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'MANIFEST_BLOB_UNKNOWN', detail: { count: 151 } });
      const { missing } = (error as { detail: { missing: string[] } }).detail;
      expect(missing.length).toBe(100);
      expect(new Set(missing).size).toBe(100);
      expect(await now().content.manifestByDigest(target.name, digest('needy'))).toBeUndefined();
      expect(await now().content.manifestByTag(target.name, 't')).toBeUndefined();
    });

    test('what another repository holds does not count', async () => {
      const [one, two] = [await now().repository(), await now().repository()];
      await now().blob(one.id, 'elsewhere');
      await put(one.id, 'kid elsewhere');
      for (const reference of [layer('elsewhere'), child('kid elsewhere')]) {
        expect(await outcome(put(two.id, 'borrower', { references: [reference] }))).toBe('MANIFEST_BLOB_UNKNOWN');
        expect(await outcome(put(one.id, 'owner', { references: [reference] }))).toBe('done');
      }
      expect(await outcome(put(987_654, 'nowhere'))).toBe('NAME_UNKNOWN');
    });

    test('a descriptor with another size than the stored content is MANIFEST_INVALID', async () => {
      const target = await now().repository();
      await now().blob(target.id, 'sized');
      await put(target.id, 'sized kid');
      for (const reference of [layer('sized', { sizeBytes: 4 }), layer('sized kid', { kind: 'manifest', sizeBytes: 1 })]) {
        const error = await put(target.id, 'liar', { references: [reference] }).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: 'MANIFEST_INVALID', detail: { digest: reference.digest, stated: reference.sizeBytes } });
      }
      expect(await outcome(put(target.id, 'liar', { references: [layer('sized', { sizeBytes: 4 })], completeness: 'sparse' }))).toBe(
        'MANIFEST_INVALID',
      );
    });

    test('a layer that need not be here may be absent; its size counts once it is', async () => {
      const target = await now().repository();
      const foreign = layer('foreign', { required: false });
      await put(target.id, 'with foreign', { references: [foreign] });
      const trails = await readReferenceTrails(now().database.read, target.name, digest('with foreign'));
      expect(trails).toEqual([{ digest: digest('foreign'), kind: 'layer', sizeBytes: 7, linkedAtMs: null, trail: null }]);
      await now().blob(target.id, 'foreign');
      expect(await outcome(put(target.id, 'with foreign 2', { references: [{ ...foreign, sizeBytes: 8 }] }))).toBe('MANIFEST_INVALID');
    });

    test('a sparse project may lack children, not blobs; a mirror may lack anything', async () => {
      const target = await now().repository();
      const references = [child('lacking child')];
      expect(await outcome(put(target.id, 'sparse index', { references }))).toBe('MANIFEST_BLOB_UNKNOWN');
      expect(await outcome(put(target.id, 'sparse index', { references, completeness: 'sparse' }))).toBe('done');
      expect(await outcome(put(target.id, 'sparse image', { references: [layer('lacking')], completeness: 'sparse' }))).toBe(
        'MANIFEST_BLOB_UNKNOWN',
      );
      expect(await outcome(put(target.id, 'mirrored', { references: [...references, layer('lacking')], completeness: 'mirror' }))).toBe(
        'done',
      );
    });

    test('the bytes come back as they were put, up to 4 MiB and with every byte value', async () => {
      const target = await now().repository();
      const bytes = new Uint8Array(4 * 1024 * 1024).map((_, index) => (index * 31 + (index >> 8)) & 255);
      await put(target.id, 'large', { bytes, tags: ['large'], subjectDigest: digest('a subject') });
      const found = await now().content.manifestByDigest(target.name, digest('large'));
      expect(Buffer.from(bytes).equals(Buffer.from(found?.bytes ?? []))).toBe(true);
      expect(found).toMatchObject({
        repositoryId: target.id,
        digest: digest('large'),
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        subjectDigest: digest('a subject'),
      });
      const tagged = await now().content.manifestByTag(target.name, 'large');
      expect(Buffer.from(bytes).equals(Buffer.from(tagged?.bytes ?? []))).toBe(true);
    });

    test('thousands of references are stored, and one named twice counts once', async () => {
      const target = await now().repository();
      const references = Array.from({ length: 3000 }, (_, index) => layer(`many ${index % 2900}`));
      await put(target.id, 'many', { references, completeness: 'mirror' });
      expect((await readReferenceTrails(now().database.read, target.name, digest('many'))).length).toBe(2900);
      expect(await now().content.statedSize(target.name, digest('many 2899'))).toBe(9);
      expect(await now().content.statedSize(target.name, digest('many 2900'))).toBeUndefined();
      expect(await now().content.statedSize('p/none', digest('many 1'))).toBeUndefined();
    });

    test('putting it again changes nothing but its times, and revives it', async () => {
      const target = await now().repository();
      const row = () =>
        now()
          .database.read.selectFrom('manifest')
          .select(['id', 'state', 'lease_until_ms'])
          .where('repository_id', '=', target.id)
          .executeTakeFirstOrThrow();
      await put(target.id, 'again', { tags: ['one'] });
      const first = await row();
      await now().alter(`update manifest set state = 'condemned', lease_until_ms = 1 where id = ${first.id}`);
      expect(await now().content.manifestByDigest(target.name, digest('again'))).toBeUndefined();
      expect(await now().content.manifestByTag(target.name, 'one')).toBeUndefined();
      expect(await outcome(put(target.id, 'holder of it', { references: [child('again')] }))).toBe('MANIFEST_BLOB_UNKNOWN');
      await put(target.id, 'again', { tags: ['two'] });
      const second = await row();
      expect(second).toMatchObject({ id: first.id, state: 'live' });
      expect(second.lease_until_ms).toBeGreaterThan(Date.now() + day / 2);
      await now().alter(`update manifest set lease_until_ms = ${first.lease_until_ms + 9 * day} where id = ${first.id}`);
      await put(target.id, 'again');
      expect((await row()).lease_until_ms).toBe(first.lease_until_ms + 9 * day);
      expect((await now().content.manifestByTag(target.name, 'one'))?.digest).toBe(digest('again'));
      expect((await now().content.manifestByTag(target.name, 'two'))?.digest).toBe(digest('again'));
    });
  });

  describe('tags', () => {
    test('a tag is found exactly, in its own repository', async () => {
      const [one, two] = [await now().repository(), await now().repository()];
      await put(one.id, 'case', { tags: ['Tag', 'tag'] });
      await put(one.id, 'other case', { tags: ['tag'] });
      expect((await now().content.manifestByTag(one.name, 'Tag'))?.digest).toBe(digest('case'));
      expect((await now().content.manifestByTag(one.name, 'tag'))?.digest).toBe(digest('other case'));
      expect(await now().content.manifestByTag(one.name, 'TAG')).toBeUndefined();
      expect(await now().content.manifestByTag(two.name, 'tag')).toBeUndefined();
    });

    test('a pushed tag is confirmed and never asked about; a mirrored one carries who vouched for it', async () => {
      const target = await now().repository();
      await put(target.id, 'pushed', { tags: ['pushed'] });
      expect(await now().content.manifestByTag(target.name, 'pushed')).toMatchObject({
        trust: 'confirmed',
        verifiedAtMs: null,
        checkedAtMs: null,
      });
      await put(target.id, 'mirrored tag', { tags: ['mirrored'], tagTrust: 'unconfirmed', trail: '{"why":1}', completeness: 'mirror' });
      const found = await now().content.manifestByTag(target.name, 'mirrored');
      expect(found?.trust).toBe('unconfirmed');
      expect(Math.abs((found?.verifiedAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
      expect(found?.checkedAtMs).toBe(found?.verifiedAtMs ?? -1);
      expect(await readTagTrail(now().database.read, target.name, 'mirrored')).toMatchObject({
        digest: digest('mirrored tag'),
        trust: 'unconfirmed',
        tagTrail: '{"why":1}',
      });
      expect(await readTagTrail(now().database.read, target.name, 'none')).toBeUndefined();
    });

    test('a check is noted for the digest it was about, and only a success vouches', async () => {
      const target = await now().repository();
      await put(target.id, 'checked', { tags: ['t'], tagTrust: 'unconfirmed', trail: '{"n":1}', completeness: 'mirror' });
      await now().alter(`update tag set verified_at_ms = 5, checked_at_ms = 5 where repository_id = ${target.id}`);
      const check = (more: object) =>
        now().database.run('recordTagCheck', {
          repositoryId: target.id,
          tag: 't',
          digest: digest('checked'),
          verified: true,
          trust: 'confirmed',
          trail: '{"n":2}',
          ...more,
        });
      await check({ digest: digest('not it') });
      await check({ tag: 'T' });
      expect(await now().content.manifestByTag(target.name, 't')).toMatchObject({ verifiedAtMs: 5, checkedAtMs: 5, trust: 'unconfirmed' });
      await check({ verified: false });
      const failed = await now().content.manifestByTag(target.name, 't');
      expect(failed).toMatchObject({ verifiedAtMs: 5, trust: 'unconfirmed' });
      expect(failed?.checkedAtMs).toBeGreaterThan(5);
      await check({});
      const succeeded = await now().content.manifestByTag(target.name, 't');
      expect(succeeded).toMatchObject({ trust: 'confirmed' });
      expect(succeeded?.verifiedAtMs).toBeGreaterThan(5);
      expect((await readTagTrail(now().database.read, target.name, 't'))?.tagTrail).toBe('{"n":2}');
    });

    test('a tag its registry took away keeps its row, is not listed, and is back when it is verified or set again', async () => {
      const target = await now().repository();
      const listed = () => listTags(now().database.read, { repositoryId: target.id, limit: 10 });
      await put(target.id, 'taken', { tags: ['t', 'u'], tagTrust: 'confirmed', trail: '{"n":1}', completeness: 'mirror' });
      const remove = (more: object = {}) =>
        now().database.run('recordTagRemoval', { repositoryId: target.id, tag: 't', digest: digest('taken'), trail: '{"n":2}', ...more });
      await remove({ digest: digest('not it') });
      expect(await listed()).toEqual(['t', 'u'] as never);
      await remove();
      const removed = await now().content.manifestByTag(target.name, 't');
      expect(removed).toMatchObject({ digest: digest('taken'), trust: 'confirmed' });
      expect(removed?.removedAtMs).toBe(removed?.checkedAtMs ?? -1);
      expect(await listed()).toEqual(['u'] as never);
      expect(await readTagTrail(now().database.read, target.name, 't')).toMatchObject({
        tagTrail: '{"n":2}',
        removedAtMs: removed?.removedAtMs ?? -1,
      });
      const verified = {
        repositoryId: target.id,
        tag: 't',
        digest: digest('taken'),
        verified: true,
        trust: 'confirmed',
        trail: '{}',
      } as const;
      await now().database.run('recordTagCheck', { ...verified, verified: false });
      expect(await listed()).toEqual(['u'] as never);
      await now().database.run('recordTagCheck', verified);
      expect(await listed()).toEqual(['t', 'u'] as never);
      await remove();
      await put(target.id, 'taken again', { tags: ['t'], tagTrust: 'confirmed', completeness: 'mirror' });
      expect((await now().content.manifestByTag(target.name, 't'))?.removedAtMs).toBeNull();
    });

    test('what a registry lists as referrers is remembered by repository and subject, the latest list', async () => {
      const [one, two] = [await now().repository(), await now().repository()];
      const subject = digest('subject');
      const read = (name: string) => readListedReferrers(now().database.read, name, subject);
      for (const descriptors of ['[1]', '[1,2]'])
        await now().database.run('recordListedReferrers', { repositoryId: one.id, subject, descriptors });
      const found = await read(one.name);
      expect(found?.descriptors).toBe('[1,2]');
      expect(Math.abs((found?.listedAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
      expect(await read(two.name)).toBeUndefined();
    });

    test('the manifests that name a digest are found in their repository only, and no more than wanted', async () => {
      const [one, two] = [await now().repository(), await now().repository()];
      const references = [layer('named layer')];
      for (const name of ['naming 1', 'naming 2', 'naming 3']) await put(one.id, name, { references, completeness: 'mirror' });
      const naming = (name: string, limit: number) => readManifestsNaming(now().database.read, name, digest('named layer'), limit);
      expect((await naming(one.name, 10)).map((found) => new TextDecoder().decode(found.bytes)).sort()).toEqual([
        'naming 1',
        'naming 2',
        'naming 3',
      ]);
      expect(await naming(one.name, 2)).toHaveLength(2);
      expect(await naming(two.name, 10)).toEqual([]);
    });
  });
}
