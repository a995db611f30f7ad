// What every database must do, in one suite: each command and query of the port, its errors, and many writers at once.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import {
  type ContentQueries,
  listReferrers,
  listRepositories,
  listTags,
  prepareContentQueries,
  readReferenceTrails,
} from '../../src/db/content.ts';
import type { NewManifest } from '../../src/db/content-commands.ts';
import type { Database } from '../../src/db/database.ts';
import { prepareAccountQuery, prepareLoginQuery } from '../../src/db/identity.ts';
import { getMeta, prepareProjectQueries } from '../../src/db/projects.ts';
import { prepareUploadQuery } from '../../src/db/uploads.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { OciError } from '../../src/oci/errors.ts';

const limits = { perPrincipal: 1000, perRepository: 1000, total: 1000 };
const day = 24 * 60 * 60 * 1000;

export function databaseContract(name: string, open: () => Promise<{ database: Database; close(): Promise<void> }>): void {
  describe(name, () => {
    let database: Database;
    let close: () => Promise<void>;
    let content: ContentQueries;
    let projectId: number;
    let nextName = 0;

    beforeAll(async () => {
      ({ database, close } = await open());
      content = prepareContentQueries(database);
      projectId = (await database.run('createProject', { name: 'p', kind: 'local', isPublic: true })).id;
    }, 60_000);
    afterAll(() => close());

    const repository = async (): Promise<{ id: number; name: string }> => {
      const name = `p/r${nextName++}`;
      return { name, id: await database.run('ensureRepository', { projectId, name }) };
    };
    const digest = (text: string): Digest => digestOf(Buffer.from(text));
    const blob = async (
      repositoryId: number,
      text: string,
      more: { origin?: 'public' | 'restricted'; key?: string; trail?: string } = {},
    ) => {
      const storageKey = more.key ?? `sha256/00/${text}.${nextName++}`;
      const trail = more.trail === undefined ? {} : { trail: more.trail };
      const origin = more.origin ?? 'restricted';
      return database.run('recordBlob', { repositoryId, digest: digest(text), storageKey, sizeBytes: text.length, origin, ...trail });
    };
    const manifest = (repositoryId: number, text: string, more: Partial<NewManifest> = {}): NewManifest => ({
      repositoryId,
      digest: digest(text),
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      annotations: '{}',
      bytes: new Uint8Array(Buffer.from(text)),
      references: [],
      tags: [],
      completeness: 'complete',
      ...more,
    });
    const layer = (text: string, sizeBytes = text.length) => ({ digest: digest(text), kind: 'layer' as const, sizeBytes, required: true });
    const codeOf = async (task: Promise<unknown>): Promise<string> =>
      task.then(
        () => 'no error',
        (error) => (error instanceof OciError ? error.code : String(error)),
      );

    test('projects: created once, found by name and as the mirror of a registry, deleted when empty', async () => {
      const queries = prepareProjectQueries(database);
      const created = await database.run('createProject', {
        name: 'ghcr.io',
        kind: 'mirror',
        isPublic: false,
        registry: 'ghcr.io',
        allowsSparse: true,
      });
      expect(created).toMatchObject({ name: 'ghcr.io', kind: 'mirror', isPublic: false, registry: 'ghcr.io', allowsSparse: true });
      expect(await queries.byName('ghcr.io')).toEqual(created);
      expect(await queries.mirrorOf('ghcr.io')).toEqual(created);
      expect(await queries.byName('nobody')).toBeUndefined();
      expect(await codeOf(database.run('createProject', { name: 'ghcr.io', kind: 'local', isPublic: true }))).toBe('CONFLICT');
      expect((await database.run('createProject', { name: 'ghcr.io', kind: 'local', isPublic: true, ifAbsent: true })).id).toBe(created.id);
      expect((await database.run('ensureMirrorProject', { registry: 'ghcr.io', isPublic: true })).isPublic).toBe(true);
      const inside = await database.run('ensureRepository', { projectId: created.id, name: 'ghcr.io/x' });
      await blob(inside, 'in ghcr');
      expect(await codeOf(database.run('deleteProject', { name: 'ghcr.io' }))).toBe('CONFLICT');
      await database.run('deleteBlob', { repositoryId: inside, digest: digest('in ghcr') });
      await database.run('deleteProject', { name: 'ghcr.io' });
      expect(await queries.byName('ghcr.io')).toBeUndefined();
      expect(await content.repositoryId('ghcr.io/x')).toBeUndefined();
      expect(await codeOf(database.run('deleteProject', { name: 'ghcr.io' }))).toBe('NAME_UNKNOWN');
      expect(await codeOf(database.run('ensureRepository', { projectId: created.id, name: 'ghcr.io/y' }))).toBe('NAME_UNKNOWN');
    });

    test('accounts and meta values are kept', async () => {
      expect(await database.run('createAccount', { name: 'ann', passwordHash: 'h', isAdmin: true })).toBe(true);
      expect(await database.run('createAccount', { name: 'ann', passwordHash: 'other', isAdmin: false })).toBe(false);
      const found = await prepareLoginQuery(database)('ann');
      expect(found).toMatchObject({ name: 'ann', passwordHash: 'h', isAdmin: true });
      expect(await prepareAccountQuery(database)(found?.id ?? 0)).toMatchObject({ name: 'ann', isAdmin: true });
      await database.run('setMeta', { key: 'k', value: '1' });
      await database.run('setMeta', { key: 'k', value: '2' });
      expect(await getMeta(database.read, 'k')).toBe('2');
    });

    test('a blob is seen only in the repositories that hold it, and stored once', async () => {
      const [one, two, three] = [await repository(), await repository(), await repository()];
      const first = await blob(one.id, 'shared');
      const second = await blob(two.id, 'shared');
      expect(second.storageKey).toBe(first.storageKey);
      expect(await content.blob(one.name, digest('shared'))).toEqual({ storageKey: first.storageKey, sizeBytes: 6 });
      expect(await content.blob(three.name, digest('shared'))).toBeUndefined();
      expect(await database.run('mountBlob', { fromRepository: three.name, repositoryId: three.id, digest: digest('shared') })).toBe(false);
      expect(await database.run('mountBlob', { fromRepository: one.name, repositoryId: three.id, digest: digest('shared') })).toBe(true);
      expect(await content.blob(three.name, digest('shared'))).toBeDefined();
      expect(await codeOf(blob(987_654, 'nowhere'))).toBe('NAME_UNKNOWN');
    });

    test('only public blobs are linked, and a public fetch makes a blob public', async () => {
      const [one, two] = [await repository(), await repository()];
      await blob(one.id, 'pushed');
      expect(await database.run('linkBlob', { repositoryId: two.id, digest: digest('pushed') })).toBe(false);
      await blob(one.id, 'pushed', { origin: 'public' });
      expect(await content.originOf(digest('pushed'))).toBe('public');
      await blob(one.id, 'pushed', { origin: 'restricted' });
      expect(await database.run('linkBlob', { repositoryId: two.id, digest: digest('pushed'), trail: '{}' })).toBe(true);
      expect(await content.blob(two.name, digest('pushed'))).toBeDefined();
    });

    test('50 pushers of one blob store one copy and all succeed', async () => {
      const target = await repository();
      const keys = await Promise.all(Array.from({ length: 50 }, (_, index) => blob(target.id, 'crowd', { key: `crowd.${index}` })));
      expect(new Set(keys.map((recorded) => recorded.storageKey)).size).toBe(1);
    });

    test('a manifest needs its blobs, with the sizes it states, in its own repository', async () => {
      const [one, two] = [await repository(), await repository()];
      await blob(one.id, 'layer');
      const error = await database.run('putManifest', manifest(two.id, 'm', { references: [layer('layer')] })).catch((thrown) => thrown);
      expect(error).toMatchObject({ code: 'MANIFEST_BLOB_UNKNOWN', detail: { missing: [digest('layer')], count: 1 } });
      expect(await codeOf(database.run('putManifest', manifest(one.id, 'm', { references: [layer('layer', 4)] })))).toBe(
        'MANIFEST_INVALID',
      );
      expect(await content.manifestByDigest(one.name, digest('m'))).toBeUndefined();
      await database.run('putManifest', manifest(one.id, 'm', { references: [layer('layer')], tags: ['v1', 'v2'] }));
      const found = await content.manifestByTag(one.name, 'v1');
      expect(found).toMatchObject({ digest: digest('m'), repositoryId: one.id, trust: 'confirmed', verifiedAtMs: null });
      expect(Buffer.from(found?.bytes ?? []).toString()).toBe('m');
      expect(await content.manifestByTag(two.name, 'v1')).toBeUndefined();
      expect(await content.statedSize(one.name, digest('layer'))).toBe(5);
      expect(await codeOf(database.run('deleteBlob', { repositoryId: one.id, digest: digest('layer') }))).toBe('UNSUPPORTED');
    });

    test('an index needs its children unless the project is sparse; a mirror may lack anything and notes what comes later', async () => {
      const target = await repository();
      const child = { digest: digest('child'), kind: 'manifest' as const, sizeBytes: 5, required: true };
      expect(await codeOf(database.run('putManifest', manifest(target.id, 'index', { references: [child] })))).toBe(
        'MANIFEST_BLOB_UNKNOWN',
      );
      await database.run(
        'putManifest',
        manifest(target.id, 'index', { references: [child, layer('late')], completeness: 'mirror', tagTrust: 'unconfirmed', tags: ['t'] }),
      );
      expect((await content.manifestByTag(target.name, 't'))?.trust).toBe('unconfirmed');
      const before = await readReferenceTrails(database.read, target.name, digest('index'));
      expect(before.map((row) => row.linkedAtMs)).toEqual([null, null]);
      await database.run('putManifest', manifest(target.id, 'child', { completeness: 'mirror' }));
      await blob(target.id, 'late', { trail: '{"attempts":[]}' });
      const after = await readReferenceTrails(database.read, target.name, digest('index'));
      expect(after.every((row) => row.linkedAtMs !== null)).toBe(true);
      const present = await database.read
        .selectFrom('manifest_ref')
        .select('is_present')
        .where('digest', 'in', [digest('late'), digest('child')])
        .execute();
      expect(present.every((row) => row.is_present === 1)).toBe(true);
      await database.run('recordTagCheck', {
        repositoryId: target.id,
        tag: 't',
        digest: digest('index'),
        verified: true,
        trust: 'confirmed',
        trail: '{}',
      });
      expect((await content.manifestByTag(target.name, 't'))?.trust).toBe('confirmed');
    });

    test('a tag moves; what loses a reference keeps a lease and waits for review', async () => {
      const target = await repository();
      await blob(target.id, 'leased');
      await database.run('putManifest', manifest(target.id, 'old', { references: [layer('leased')], tags: ['t'] }));
      await database.run('putManifest', manifest(target.id, 'new', { tags: ['t'] }));
      expect((await content.manifestByTag(target.name, 't'))?.digest).toBe(digest('new'));
      const queued = async (item: Digest) =>
        database.read.selectFrom('gc_queue').select('review_after_ms').where('digest', '=', item).executeTakeFirst();
      expect((await queued(digest('old')))?.review_after_ms).toBeGreaterThan(Date.now() + day / 2);
      await database.run('deleteManifest', { repositoryId: target.id, digest: digest('old'), allowsSparse: false });
      expect(await queued(digest('leased'))).toBeDefined();
      expect(await content.manifestByDigest(target.name, digest('old'))).toBeUndefined();
      await database.run('deleteTag', { repositoryId: target.id, tag: 't' });
      expect(await content.manifestByDigest(target.name, digest('new'))).toBeDefined();
      expect(await codeOf(database.run('deleteTag', { repositoryId: target.id, tag: 't' }))).toBe('MANIFEST_UNKNOWN');
      expect(await codeOf(database.run('deleteManifest', { repositoryId: target.id, digest: digest('gone'), allowsSparse: false }))).toBe(
        'MANIFEST_UNKNOWN',
      );
      await database.run('deleteBlob', { repositoryId: target.id, digest: digest('leased') });
      expect(await codeOf(database.run('deleteBlob', { repositoryId: target.id, digest: digest('leased') }))).toBe('BLOB_UNKNOWN');
    });

    test('a child is not deleted from under its index', async () => {
      const target = await repository();
      await database.run('putManifest', manifest(target.id, 'kid'));
      await database.run(
        'putManifest',
        manifest(target.id, 'idx', { references: [{ digest: digest('kid'), kind: 'manifest', sizeBytes: 3, required: true }] }),
      );
      expect(await codeOf(database.run('deleteManifest', { repositoryId: target.id, digest: digest('kid'), allowsSparse: false }))).toBe(
        'UNSUPPORTED',
      );
      await database.run('deleteManifest', { repositoryId: target.id, digest: digest('idx'), allowsSparse: false });
      await database.run('deleteManifest', { repositoryId: target.id, digest: digest('kid'), allowsSparse: false });
    });

    test('tags are listed case-insensitively, page by page, each once', async () => {
      const target = await repository();
      const tagName = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,8}$/);
      const names = fc.sample(fc.uniqueArray(tagName, { minLength: 60, maxLength: 60 }), { numRuns: 1, seed: 7 })[0] ?? [];
      await database.run('putManifest', manifest(target.id, 'tagged', { tags: names }));
      const model = [...names].sort((a, b) =>
        a.toLowerCase() < b.toLowerCase() ? -1 : a.toLowerCase() > b.toLowerCase() ? 1 : a < b ? -1 : 1,
      );
      const listed: string[] = [];
      for (;;) {
        const after = listed.at(-1);
        const page = await listTags(database.read, { repositoryId: target.id, limit: 7, ...(after === undefined ? {} : { after }) });
        listed.push(...page);
        if (page.length < 7) break;
      }
      expect(listed).toEqual(model);
    });

    test('referrers are filtered and paged; repositories are listed with content and by visibility', async () => {
      const target = await repository();
      const subjectDigest = digest('subject');
      for (const [text, artifactType] of [
        ['r1', 'a/x'],
        ['r2', 'a/y'],
        ['r3', 'a/x'],
      ] as const) {
        await database.run('putManifest', manifest(target.id, text, { subjectDigest, artifactType }));
      }
      const ask = (more: object) => listReferrers(database.read, { repositoryId: target.id, subject: subjectDigest, limit: 10, ...more });
      expect((await ask({})).length).toBe(3);
      expect((await ask({ artifactType: 'a/x' })).map((row) => row.digest).sort()).toEqual([digest('r1'), digest('r3')].sort());
      const [first] = await ask({ limit: 1 });
      expect((await ask({ after: first?.digest })).length).toBe(2);
      const hidden = await database.run('createProject', { name: 'hidden', kind: 'local', isPublic: false });
      const secret = await database.run('ensureRepository', { projectId: hidden.id, name: 'hidden/x' });
      await database.run('putManifest', manifest(secret, 'secret'));
      expect(await listRepositories(database.read, { limit: 1000, everything: false })).not.toContain('hidden/x');
      expect(await listRepositories(database.read, { limit: 1000, everything: true })).toContain('hidden/x');
      expect(await listRepositories(database.read, { limit: 1000, everything: true, after: 'hidden/x' })).not.toContain('hidden/x');
    });

    test('upload sessions belong to a repository and a principal, are limited and expire', async () => {
      const target = await repository();
      const find = prepareUploadQuery(database);
      const create = (id: string, more: object = {}) =>
        database.run('createUpload', {
          id,
          repositoryId: target.id,
          principal: 'user:1',
          algorithm: 'sha256',
          expiresAtMs: Date.now() + day,
          limits,
          ...more,
        });
      await create('u1');
      expect(await find({ id: 'u1', repositoryName: target.name, principal: 'user:1' })).toMatchObject({
        id: 'u1',
        repositoryId: target.id,
        algorithm: 'sha256',
      });
      expect(await find({ id: 'u1', repositoryName: target.name, principal: 'user:2' })).toBeUndefined();
      expect(await find({ id: 'u1', repositoryName: 'p/other', principal: 'user:1' })).toBeUndefined();
      expect(await codeOf(create('u2', { limits: { ...limits, perRepository: 1 } }))).toBe('TOOMANYREQUESTS');
      expect(await codeOf(create('u2', { limits: { ...limits, perPrincipal: 1 } }))).toBe('TOOMANYREQUESTS');
      expect(await codeOf(create('u2', { limits: { ...limits, total: 1 } }))).toBe('TOOMANYREQUESTS');
      await create('u3', { expiresAtMs: Date.now() - 1 });
      await create('u4', { expiresAtMs: Date.now() - 1 });
      expect(await database.run('deleteExpiredUploads', { inUse: ['u4'], max: 10 })).toEqual(['u3']);
      await database.run('extendUpload', { id: 'u4', expiresAtMs: Date.now() + day });
      expect(await database.run('deleteExpiredUploads', { inUse: [], max: 10 })).toEqual([]);
      await database.run('recordBlob', {
        repositoryId: target.id,
        digest: digest('done'),
        storageKey: 'done.1',
        sizeBytes: 4,
        origin: 'restricted',
        uploadId: 'u4',
      });
      expect(await find({ id: 'u4', repositoryName: target.name, principal: 'user:1' })).toBeUndefined();
      await database.run('deleteUpload', { id: 'u1' });
      expect(await find({ id: 'u1', repositoryName: target.name, principal: 'user:1' })).toBeUndefined();
    });

    test('50 pushers of different manifests to one tag: all succeed, the tag is one of theirs', async () => {
      const target = await repository();
      const texts = Array.from({ length: 50 }, (_, index) => `race ${index}`);
      await Promise.all(texts.map((text) => database.run('putManifest', manifest(target.id, text, { tags: ['latest'] }))));
      const won = await content.manifestByTag(target.name, 'latest');
      expect(texts.map(digest)).toContain(won?.digest ?? digest('nothing'));
    });

    test('a command that fails takes nothing of those beside it along', async () => {
      const target = await repository();
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          codeOf(
            index % 2 === 0
              ? database.run('putManifest', manifest(target.id, `ok ${index}`, { tags: [`t${index}`] }))
              : database.run('putManifest', manifest(target.id, `bad ${index}`, { tags: [`t${index}`], references: [layer('not there')] })),
          ),
        ),
      );
      expect(results.filter((code) => code === 'no error').length).toBe(10);
      expect((await listTags(database.read, { repositoryId: target.id, limit: 100 })).length).toBe(10);
    });
  });
}
