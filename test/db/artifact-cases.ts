// The contract on what lists are read from: counters, sizes and marks that commands keep beside the manifests are what a count would give.

import { describe, expect, test } from 'bun:test';
import { sql } from 'kysely';
import type { Digest } from '../../src/oci/digest.ts';
import { child, digest, type Fixture, layer, manifest, outcome, storedImage, storedManifest } from './fixture.ts';

const imageType = 'application/vnd.oci.image.manifest.v1+json';
const indexType = 'application/vnd.oci.image.index.v1+json';

export function artifactCases(now: () => Fixture): void {
  const run: Fixture['database']['run'] = (name, args) => now().database.run(name, args);
  const put = (...args: Parameters<typeof manifest>) => run('putManifest', manifest(...args));
  const artifact = (repositoryId: number, text: string) => row(now(), repositoryId, digest(text));
  const counted = async (repositoryId: number) =>
    (await now().database.read.selectFrom('repository').select('artifact_count').where('id', '=', repositoryId).executeTakeFirstOrThrow())
      .artifact_count;

  describe('artifacts', () => {
    test('a manifest is listed with its size, its kind and its number of tags', async () => {
      const { id } = await now().repository();
      await now().blob(id, 'config of it');
      await now().blob(id, 'layer of it');
      const references = [layer('config of it', { kind: 'config' }), layer('layer of it'), layer('layer of it')];
      await put(id, 'listed', { references, tags: ['a', 'b'], configMediaType: 'application/vnd.cncf.helm.config.v1+json' });
      expect(await artifact(id, 'listed')).toMatchObject({
        kind: 'CHART',
        config_media_type: 'application/vnd.cncf.helm.config.v1+json',
        size_bytes: 'listed'.length + 'config of it'.length + 'layer of it'.length,
        tag_count: 2,
        is_listed: 1,
        subject_digest: null,
      });
      expect(await counted(id)).toBe(1);
      await put(id, 'listed', { references, tags: ['b', 'c'] });
      expect((await artifact(id, 'listed'))?.tag_count).toBe(3);
      expect(await counted(id)).toBe(1);
    });

    test('children of an index are hidden while it holds them, unless they are tagged, and weigh in it', async () => {
      const { id } = await now().repository();
      await put(id, 'kid one');
      await put(id, 'kid two', { tags: ['two'] });
      expect(await counted(id)).toBe(2);
      await put(id, 'parent', { mediaType: indexType, references: [child('kid one'), child('kid two')], tags: ['p'] });
      expect((await artifact(id, 'kid one'))?.is_listed).toBe(0);
      expect((await artifact(id, 'kid two'))?.is_listed).toBe(1);
      expect((await artifact(id, 'parent'))?.size_bytes).toBe('parent'.length + 'kid one'.length + 'kid two'.length);
      expect(await counted(id)).toBe(2);
      await run('deleteTag', { repositoryId: id, tag: 'two' });
      expect(await counted(id)).toBe(1);
      await run('deleteManifest', { repositoryId: id, digest: digest('parent'), allowsSparse: false });
      expect(await counted(id)).toBe(2);
    });

    test('a child that comes after its index is hidden and adds its weight', async () => {
      const { id } = await now().repository();
      const size = { sizeBytes: 'late kid'.length };
      await put(id, 'early parent', {
        mediaType: indexType,
        references: [{ ...child('late kid'), ...size }],
        completeness: 'sparse',
        tags: ['p'],
      });
      await put(id, 'late kid');
      expect((await artifact(id, 'late kid'))?.is_listed).toBe(0);
      expect((await artifact(id, 'early parent'))?.size_bytes).toBe('early parent'.length + 'late kid'.length);
      expect(await counted(id)).toBe(1);
    });

    test('an accessory is hidden, by its subject and by the tag of cosign', async () => {
      const { id } = await now().repository();
      await put(id, 'signed', { tags: ['1'] });
      await put(id, 'sbom of it', { subjectDigest: digest('signed'), tags: ['sbom'] });
      await put(id, 'signature of it', { tags: [`${digest('signed').replace(':', '-')}.sig`] });
      expect(await counted(id)).toBe(1);
      for (const text of ['sbom of it', 'signature of it'])
        expect(await artifact(id, text)).toMatchObject({ is_listed: 0, subject_digest: digest('signed') });
    });

    test('a tag that moves, is removed upstream and comes back is counted where it points', async () => {
      const { id } = await now().repository();
      await put(id, 'old', { tags: ['m'], tagTrust: 'confirmed', completeness: 'mirror' });
      await put(id, 'new', { tags: ['m'], tagTrust: 'confirmed', completeness: 'mirror' });
      expect((await artifact(id, 'old'))?.tag_count).toBe(0);
      const check = { repositoryId: id, tag: 'm', digest: digest('new'), trail: '{}' };
      for (let times = 0; times < 2; times++) await run('recordTagRemoval', check);
      expect((await artifact(id, 'new'))?.tag_count).toBe(0);
      for (let times = 0; times < 2; times++) await run('recordTagCheck', { ...check, verified: true, trust: 'confirmed' });
      expect((await artifact(id, 'new'))?.tag_count).toBe(1);
      await run('recordTagRemoval', check);
      await put(id, 'old', { tags: ['m'], tagTrust: 'confirmed', completeness: 'mirror' });
      expect([(await artifact(id, 'new'))?.tag_count, (await artifact(id, 'old'))?.tag_count]).toEqual([0, 1]);
      await expectCounts(now(), id);
    });

    test('a new tag is one on what is here, and no tag that is here', async () => {
      const { id } = await now().repository();
      await put(id, 'to tag', { tags: ['1'] });
      await run('createTag', { repositoryId: id, digest: digest('to tag'), tag: 'Two' });
      expect((await artifact(id, 'to tag'))?.tag_count).toBe(2);
      expect(await outcome(run('createTag', { repositoryId: id, digest: digest('to tag'), tag: '1' }))).toBe('CONFLICT');
      expect(await outcome(run('createTag', { repositoryId: id, digest: digest('not here'), tag: '3' }))).toBe('MANIFEST_UNKNOWN');
      await expectCounts(now(), id);
    });

    test('an artifact goes with its untagged children and its accessories, and stays while an index holds it', async () => {
      const { id } = await now().repository();
      for (const kid of ['own kid', 'shared kid', 'tagged kid']) await put(id, kid, { tags: kid === 'tagged kid' ? ['kept'] : [] });
      const index = { mediaType: indexType };
      await put(id, 'goes', { ...index, references: [child('own kid'), child('shared kid'), child('tagged kid')], tags: ['g'] });
      await put(id, 'other', { ...index, references: [child('shared kid')], tags: ['o'] });
      await put(id, 'sbom of goes', { subjectDigest: digest('goes') });
      await put(id, 'signature of the sbom', { subjectDigest: digest('sbom of goes') });
      const remove = (text: string) => run('deleteArtifact', { repositoryId: id, digest: digest(text), allowsSparse: false });
      expect(await outcome(remove('own kid'))).toBe('UNSUPPORTED');
      expect(new Set(await remove('goes'))).toEqual(
        new Set(['goes', 'own kid', 'sbom of goes', 'signature of the sbom'].map((text) => digest(text))),
      );
      const left = await now().database.read.selectFrom('manifest').select('digest').where('repository_id', '=', id).execute();
      expect(new Set(left.map((manifest) => manifest.digest))).toEqual(
        new Set(['shared kid', 'tagged kid', 'other'].map((text) => digest(text))),
      );
      await expectCounts(now(), id);
    });

    test('a repository is described, and goes in parts with all it holds', async () => {
      const { id, name } = await now().repository();
      await run('describeRepository', { repositoryId: id, description: 'what it is for' });
      await now().blob(id, 'its layer');
      const tags = Array.from({ length: 1200 }, (_, index) => `t${index}`);
      await put(id, 'its kid', { references: [layer('its layer')], tags });
      await put(id, 'its index', { mediaType: indexType, references: [child('its kid')] });
      let parts = 1;
      while (!(await run('removeRepositoryPart', { repositoryId: id }))) {
        parts++;
        await expectCounts(now(), id);
      }
      expect(parts).toBeGreaterThan(3);
      expect(await now().content.repositoryId(name)).toBeUndefined();
      expect(await outcome(run('removeRepositoryPart', { repositoryId: id }))).toBe('NAME_UNKNOWN');
      const queued = await now()
        .database.read.selectFrom('gc_queue')
        .select('digest')
        .where('digest', 'in', [digest('its layer'), digest('its kid')])
        .execute();
      expect(queued).toHaveLength(2);
    });

    test('a copy has all that its source is made of, and no part that it lacks', async () => {
      const [from, to] = [await now().repository(), await now().repository()];
      for (const text of ['copied config', 'copied layer']) await now().blob(from.id, text);
      const image = storedImage('copied config', 'copied layer');
      const index = indexOf(image);
      const signature = { ...storedImage('copied config', 'copied layer', image.digest), subjectDigest: image.digest };
      await run('putManifest', { ...image, repositoryId: from.id });
      await run('putManifest', { ...index, repositoryId: from.id, tags: ['v1'] });
      await run('putManifest', { ...signature, repositoryId: from.id });
      const copy = (more: object = {}) =>
        run('copyArtifact', {
          fromRepositoryId: from.id,
          repositoryId: to.id,
          digest: index.digest,
          tags: ['v2'],
          completeness: 'complete',
          ...more,
        });
      await copy();
      await copy();
      for (const one of [image, index, signature])
        expect((await now().content.manifestByDigest(to.name, one.digest))?.bytes).toEqual(one.bytes);
      expect((await now().content.manifestByTag(to.name, 'v2'))?.digest).toBe(index.digest);
      expect(await now().content.blob(to.name, digest('copied layer'))).toBeDefined();
      expect((await row(now(), to.id, image.digest))?.config_media_type).toBe('application/vnd.oci.image.config.v1+json');
      await expectCounts(now(), to.id);
      expect(await outcome(copy({ digest: digest('not there') }))).toBe('MANIFEST_UNKNOWN');
      await now().alter(`delete from repository_blob where repository_id = ${from.id} and digest = '${digest('copied layer')}'`);
      const third = await now().repository();
      expect(await outcome(copy({ repositoryId: third.id }))).toBe('MANIFEST_BLOB_UNKNOWN');
      expect(await now().content.manifestByDigest(third.name, image.digest)).toBeUndefined();
    });

    test('pulls are added up, and the time of the last one noted', async () => {
      const { id, name } = await now().repository();
      await put(id, 'pulled');
      for (const count of [2, 3])
        await run('recordUse', { tags: [], blobs: [], pulls: [{ repository: name, count, digests: [digest('pulled')] }] });
      const found = await now()
        .database.read.selectFrom('repository')
        .select(['pull_count', 'pulled_at_ms'])
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      expect(found.pull_count).toBe(5);
      expect((await artifact(id, 'pulled'))?.pulled_at_ms ?? 0).toBeGreaterThan(0);
    });

    for (const seed of [1, 2, 3, 4]) {
      test(`counters are what a count gives, whatever comes in which order (seed ${seed})`, async () => {
        const { id } = await now().repository();
        const random = randomOf(seed);
        const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
        const images = ['i0', 'i1', 'i2', 'i3'].map((text) => `${text} of seed ${seed}`);
        const indexes = ['x0', 'x1'].map((text) => `${text} of seed ${seed}`);
        const tags = ['a', 'b', 'c'];
        for (let step = 0; step < 60; step++) {
          const tag = pick(tags);
          const [image, index] = [pick(images), pick(indexes)];
          const tagged = random() < 0.5 ? [tag] : [];
          const act = pick<() => Promise<unknown>>([
            () => put(id, image, { tags: tagged, ...(random() < 0.2 ? { subjectDigest: digest(index) } : {}) }),
            () => put(id, index, { mediaType: indexType, tags: tagged, completeness: 'mirror', references: images.slice(0, 3).map(child) }),
            () => run('createTag', { repositoryId: id, digest: digest(image), tag }),
            () => run('deleteTag', { repositoryId: id, tag }),
            () => run('deleteManifest', { repositoryId: id, digest: digest(pick([image, index])), allowsSparse: random() < 0.5 }),
            () => run('deleteArtifact', { repositoryId: id, digest: digest(pick([image, index])), allowsSparse: random() < 0.5 }),
            () => run('recordTagRemoval', { repositoryId: id, tag, digest: digest(image), trail: '{}' }),
            () => run('recordTagCheck', { repositoryId: id, tag, digest: digest(image), verified: true, trust: 'confirmed', trail: '{}' }),
          ]);
          expect(await outcome(act())).toMatch(/^(done|CONFLICT|MANIFEST_UNKNOWN|UNSUPPORTED)$/);
          await expectCounts(now(), id);
        }
      });
    }
  });
}

async function row(fixture: Fixture, repositoryId: number, of: Digest) {
  return fixture.database.read
    .selectFrom('artifact')
    .innerJoin('manifest', 'manifest.id', 'artifact.manifest_id')
    .selectAll('artifact')
    .where('manifest.repository_id', '=', repositoryId)
    .where('manifest.digest', '=', of)
    .executeTakeFirst();
}

/** Compares every mark and number of a repository with a count of what they stand for. */
async function expectCounts(fixture: Fixture, repositoryId: number): Promise<void> {
  const { rows } = await sql<{ digest: string; kept: string; counted: string }>`
    select manifest.digest as digest,
      artifact.tag_count || ' ' || artifact.is_held || ' ' || artifact.is_listed as kept,
      expected.tags || ' ' || expected.held || ' ' ||
        case when artifact.subject_digest is null and (expected.tags > 0 or expected.held = 0) then 1 else 0 end as counted
    from manifest left join artifact on artifact.manifest_id = manifest.id
    join (select id,
        (select count(*) from tag where tag.repository_id = m.repository_id and tag.digest = m.digest and tag.removed_at_ms is null) as tags,
        (select count(*) from (select 1 from manifest_ref where manifest_ref.repository_id = m.repository_id and manifest_ref.digest = m.digest
          and manifest_ref.kind = 'manifest' limit 1) as one) as held
      from manifest as m) as expected on expected.id = manifest.id
    where manifest.repository_id = ${repositoryId}`.execute(fixture.database.read);
  for (const { digest: of, kept, counted } of rows) expect([of, kept]).toEqual([of, counted]);
  const { rows: totals } = await sql<{ kept: number; counted: number }>`
    select artifact_count as kept,
      (select count(*) from artifact where artifact.repository_id = repository.id and is_listed = 1) as counted
    from repository where id = ${repositoryId}`.execute(fixture.database.read);
  for (const { kept, counted } of totals) expect(Number(kept)).toBe(Number(counted));
}

function indexOf(image: ReturnType<typeof storedImage>) {
  const manifests = [{ mediaType: imageType, digest: image.digest, size: image.bytes.byteLength }];
  const reference = { digest: image.digest, kind: 'manifest' as const, sizeBytes: image.bytes.byteLength, required: true };
  return storedManifest({ schemaVersion: 2, mediaType: indexType, manifests }, [reference], indexType);
}

function randomOf(seed: number): () => number {
  let state = seed * 2654435761;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 3266489917) >>> 0;
    return state / 2 ** 32;
  };
}
