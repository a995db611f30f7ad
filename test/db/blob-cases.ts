// The contract on blobs: one live row for each digest, membership as the only right to read, generations, origins and leases.

import { describe, expect, test } from 'bun:test';
import { child, day, digest, type Fixture, layer, manifest, outcome } from './fixture.ts';

export function blobCases(now: () => Fixture): void {
  const row = (text: string) =>
    now().database.read.selectFrom('blob').selectAll().where('digest', '=', digest(text)).executeTakeFirstOrThrow();
  const link = (repositoryId: number, text: string) => now().database.run('linkBlob', { repositoryId, digest: digest(text) });
  const mount = (fromRepository: string, repositoryId: number, text: string) =>
    now().database.run('mountBlob', { fromRepository, repositoryId, digest: digest(text) });

  describe('blobs', () => {
    test('a blob is seen only in the repositories that hold it', async () => {
      const [one, two] = [await now().repository(), await now().repository()];
      const key = await now().blob(one.id, 'held');
      expect(await now().content.blob(one.name, digest('held'))).toEqual({ storageKey: key, sizeBytes: 4 });
      expect(await now().content.blob(two.name, digest('held'))).toBeUndefined();
      expect(await now().content.blob('p/none', digest('held'))).toBeUndefined();
      expect(await outcome(now().blob(987_654, 'held'))).toBe('NAME_UNKNOWN');
    });

    test('bytes that are here already are kept: the second copy is surplus', async () => {
      const [one, two] = [await now().repository(), await now().repository()];
      const first = await now().blob(one.id, 'twice');
      expect(await now().blob(two.id, 'twice', { key: 'twice.surplus' })).toBe(first);
      expect(await now().blob(two.id, 'twice', { key: 'twice.again' })).toBe(first);
      expect((await now().content.blob(two.name, digest('twice')))?.storageKey).toBe(first);
      expect((await row('twice')).generation).toBe(1);
    });

    for (const state of ['corrupt', 'condemned'] as const) {
      test(`a ${state} blob is absent to everybody, and new bytes replace it as a new generation`, async () => {
        const text = `${state} bytes`;
        const [one, two] = [await now().repository(), await now().repository()];
        await now().blob(one.id, text, { origin: 'public' });
        await now().alter(`update blob set state = '${state}' where digest = '${digest(text)}'`);
        expect(await now().content.blob(one.name, digest(text))).toBeUndefined();
        expect(await now().content.originOf(digest(text))).toBeUndefined();
        expect(await link(two.id, text)).toBe(false);
        expect(await mount(one.name, two.id, text)).toBe(false);
        expect(await outcome(now().database.run('putManifest', manifest(one.id, `on ${text}`, { references: [layer(text)] })))).toBe(
          'MANIFEST_BLOB_UNKNOWN',
        );
        expect(await now().blob(two.id, text, { key: `${state}.new` })).toBe(`${state}.new`);
        expect(await row(text)).toMatchObject({ state: 'live', generation: 2, storage_key: `${state}.new` });
        expect((await now().content.blob(one.name, digest(text)))?.storageKey).toBe(`${state}.new`);
      });
    }

    test('a row that states another size than the bytes have gives way to them', async () => {
      const target = await now().repository();
      await now().blob(target.id, 'misfit', { sizeBytes: 1, key: 'misfit.1' });
      expect(await now().blob(target.id, 'misfit', { key: 'misfit.2' })).toBe('misfit.2');
      expect(await row('misfit')).toMatchObject({ size_bytes: 6, generation: 2 });
    });

    test('only public blobs are linked; what was public once stays so', async () => {
      const [one, two] = [await now().repository(), await now().repository()];
      expect(await link(two.id, 'origin')).toBe(false);
      await now().blob(one.id, 'origin', { origin: 'restricted' });
      expect(await now().content.originOf(digest('origin'))).toBe('restricted');
      expect(await link(two.id, 'origin')).toBe(false);
      expect(await now().content.blob(two.name, digest('origin'))).toBeUndefined();
      await now().blob(one.id, 'origin', { origin: 'public' });
      await now().blob(one.id, 'origin', { origin: 'restricted' });
      expect(await now().content.originOf(digest('origin'))).toBe('public');
      expect(await link(two.id, 'origin')).toBe(true);
      expect(await now().content.blob(two.name, digest('origin'))).toBeDefined();
      expect(await outcome(link(987_654, 'origin'))).toBe('NAME_UNKNOWN');
    });

    test('a blob is mounted only from a repository that holds it', async () => {
      const [one, two, three] = [await now().repository(), await now().repository(), await now().repository()];
      await now().blob(one.id, 'mounted', { origin: 'public' });
      expect(await mount(two.name, three.id, 'mounted')).toBe(false);
      expect(await mount('p/none', three.id, 'mounted')).toBe(false);
      expect(await mount(one.name, three.id, 'unknown')).toBe(false);
      expect(await now().content.blob(three.name, digest('mounted'))).toBeUndefined();
      expect(await mount(one.name, three.id, 'mounted')).toBe(true);
      expect(await mount(one.name, three.id, 'mounted')).toBe(true);
      expect(await now().content.blob(three.name, digest('mounted'))).toBeDefined();
      expect(await outcome(mount(one.name, 987_654, 'mounted'))).toBe('NAME_UNKNOWN');
    });

    test('being recorded, linked or mounted gives a full lease and never shortens one', async () => {
      const [one, two] = [await now().repository(), await now().repository()];
      const lease = async () => (await row('leased')).lease_until_ms;
      const setLease = (untilMs: number) => now().alter(`update blob set lease_until_ms = ${untilMs} where digest = '${digest('leased')}'`);
      const actions = [
        () => now().blob(one.id, 'leased', { origin: 'public' }),
        () => link(two.id, 'leased'),
        () => mount(one.name, two.id, 'leased'),
      ];
      for (const action of actions) {
        await action();
        await setLease(1);
        const before = Date.now();
        await action();
        expect(await lease()).toBeGreaterThanOrEqual(before + day);
        await setLease(before + 9 * day);
        await action();
        expect(await lease()).toBe(before + 9 * day);
      }
    });

    test('a trail is kept until there is a newer one', async () => {
      const target = await now().repository();
      const trail = async () =>
        (
          await now()
            .database.read.selectFrom('repository_blob')
            .select('trail')
            .where('digest', '=', digest('trailed'))
            .executeTakeFirstOrThrow()
        ).trail;
      await now().blob(target.id, 'trailed', { origin: 'public' });
      expect(await trail()).toBeNull();
      await now().blob(target.id, 'trailed', { trail: '{"n":1}' });
      await now().blob(target.id, 'trailed');
      expect(await trail()).toBe('{"n":1}');
      await now().database.run('linkBlob', { repositoryId: target.id, digest: digest('trailed'), trail: '{"n":2}' });
      expect(await trail()).toBe('{"n":2}');
    });

    test('a manifest that lacks a part learns when it comes, by whatever way, in its own repository only', async () => {
      const { database, blob } = now();
      const [origin, target, other] = [await now().repository(), await now().repository(), await now().repository()];
      const texts = ['by push', 'by fill', 'by link', 'by mount', 'never'];
      const references = [...texts.map((text) => layer(text)), child('by manifest')];
      for (const repository of [target, other])
        await database.run('putManifest', manifest(repository.id, 'lacking', { references, completeness: 'mirror' }));
      const present = async (repositoryId: number) => {
        const rows = await database.read
          .selectFrom('manifest_ref')
          .innerJoin('manifest', 'manifest.id', 'manifest_ref.manifest_id')
          .select('manifest_ref.digest as digest')
          .where('manifest.repository_id', '=', repositoryId)
          .where('manifest.digest', '=', digest('lacking'))
          .where('is_present', '=', 1)
          .execute();
        return [...texts, 'by manifest'].filter((text) => rows.some((found) => found.digest === digest(text)));
      };
      expect(await present(target.id)).toEqual([]);
      await blob(target.id, 'by push');
      await blob(target.id, 'by fill', { origin: 'public', trail: '{}' });
      await blob(origin.id, 'by link', { origin: 'public' });
      await link(target.id, 'by link');
      await blob(origin.id, 'by mount');
      await mount(origin.name, target.id, 'by mount');
      await database.run('putManifest', manifest(target.id, 'by manifest'));
      expect(await present(target.id)).toEqual(['by push', 'by fill', 'by link', 'by mount', 'by manifest']);
      expect(await present(other.id)).toEqual([]);
      await database.run('putManifest', manifest(target.id, 'later', { references, completeness: 'mirror' }));
      const later = await database.read
        .selectFrom('manifest_ref')
        .innerJoin('manifest', 'manifest.id', 'manifest_ref.manifest_id')
        .select('is_present')
        .where('manifest.digest', '=', digest('later'))
        .execute();
      expect(later.filter((found) => found.is_present === 1).length).toBe(5);
    });
  });
}
