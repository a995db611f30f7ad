// The contract on registries and sources: what is kept of them, who wins between the file and the running server, and who may pull.

import { describe, expect, test } from 'bun:test';
import type { Database } from '../../src/db/database.ts';
import { prepareProjectQueries } from '../../src/db/projects.ts';
import { sourcesPerRegistryMax } from '../../src/db/source-commands.ts';
import type { SeedRegistry } from '../../src/db/source-seeds.ts';
import { findSource, findSourceByUrl, listSourceRegistries, listSources, type SourceValues } from '../../src/db/sources.ts';
import { OciError } from '../../src/oci/errors.ts';
import { digest, type Fixture, outcome } from './fixture.ts';

const login = { username: 'robot', sealed: 'v1:00000000:AA==' };

export function source(url: string, more: Partial<SourceValues> = {}): SourceValues {
  return {
    url,
    trust: 'digest-only',
    priority: 100,
    isEnabled: true,
    credentials: [],
    details: { realms: [], allowPrivate: false },
    ...more,
  };
}

function seed(name: string, sources: readonly (SourceValues & { hash: string })[], more: Partial<SeedRegistry> = {}): SeedRegistry {
  return { name, origin: 'config', hash: 'h', sources, ...more };
}

export function sourceCases(now: () => Fixture): void {
  const urlsOf = async (database: Database, registry: string): Promise<string[]> =>
    (await listSources(database.read, registry)).map((one) => `${one.url} ${one.origin}${one.isEnabled ? '' : ' off'}`);
  const isPublic = async (database: Database, registry: string): Promise<boolean | undefined> =>
    (await prepareProjectQueries(database).mirrorOf(registry))?.isPublic;

  describe('sources', () => {
    test('a registry is made once, with its sources and a public mirror project', async () => {
      const { database } = now();
      const sources = [source('https://b.test'), source('https://a.test', { priority: 5 })];
      await database.run('addRegistry', { name: 'one.test', origin: 'api', sources });
      expect(await urlsOf(database, 'one.test')).toEqual(['https://a.test api', 'https://b.test api']);
      expect(await prepareProjectQueries(database).mirrorOf('one.test')).toMatchObject({
        name: 'one.test',
        kind: 'mirror',
        isPublic: true,
      });
      expect(await outcome(database.run('addRegistry', { name: 'one.test', origin: 'api', sources: [] }))).toBe('CONFLICT');
      const twice = { name: 'twice.test', origin: 'api' as const, sources: [source('https://a.test'), source('https://a.test')] };
      expect(await outcome(database.run('addRegistry', twice))).toBe('CONFLICT');
      await database.run('createProject', { name: 'local.test', kind: 'local', isPublic: true });
      expect(await outcome(database.run('addRegistry', { name: 'local.test', origin: 'api', sources: [] }))).toBe('CONFLICT');
      const names = (await listSourceRegistries(database.read)).map((registry) => registry.name);
      expect(names).not.toContain('local.test');
      expect(names).toContain('one.test');
      expect(names).not.toContain('twice.test');
    });

    test('everything of a source is kept, and only what is changed changes', async () => {
      const { database } = now();
      await database.run('addRegistry', { name: 'full.test', origin: 'api', sources: [] });
      const values = source('https://full.test/v2/x', {
        trust: 'authority',
        priority: 7,
        isEnabled: false,
        credentials: [login, { username: 'u', passwordFile: '/p' }, { username: 'u', passwordEnv: 'P' }, { helper: ['/bin/x', 'a b'] }],
        details: {
          proxy: 'http://proxy.test:1',
          tls: { ca: 'pem\n', insecure: true },
          realms: ['https://auth.test'],
          allowPrivate: true,
          limits: { connections: 3, requestsPerMinute: 20, bytesPerSecond: 1_048_576 },
          scope: { allow: ['library/*'], deny: ['library/x'] },
          operator: 'somebody',
        },
      });
      const added = await database.run('addSource', { registry: 'full.test', origin: 'api', values });
      expect(added).toMatchObject(values);
      expect(await findSource(database.read, added.id)).toEqual(added);
      expect(await findSourceByUrl(database.read, 'full.test', values.url)).toEqual(added);
      const changed = await database.run('changeSource', { id: added.id, values: { priority: 8, isEnabled: true } });
      expect(changed).toEqual({ ...added, priority: 8, isEnabled: true, updatedAtMs: changed.updatedAtMs });
      expect(await database.run('removeSource', { id: added.id })).toEqual(changed);
      expect(await findSource(database.read, added.id)).toBeUndefined();
    });

    test('a second source of the same URL is a CONFLICT that names the first', async () => {
      const { database } = now();
      await database.run('addRegistry', { name: 'same.test', origin: 'api', sources: [source('https://a.test')] });
      const [first] = await listSources(database.read, 'same.test');
      const again = database.run('addSource', { registry: 'same.test', origin: 'api', values: source('https://a.test') });
      const failure = await again.catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(OciError);
      expect((failure as OciError).detail).toEqual({ id: first?.id });
      const other = await database.run('addSource', { registry: 'same.test', origin: 'api', values: source('https://b.test') });
      expect(await outcome(database.run('changeSource', { id: other.id, values: { url: 'https://a.test' } }))).toBe('CONFLICT');
      expect(await urlsOf(database, 'same.test')).toEqual(['https://a.test api', 'https://b.test api']);
    });

    test('what does not exist is NOT_FOUND', async () => {
      const { database } = now();
      const id = 987_654;
      expect(await outcome(database.run('addSource', { registry: 'none.test', origin: 'api', values: source('https://a.test') }))).toBe(
        'NOT_FOUND',
      );
      expect(await outcome(database.run('changeSource', { id, values: { priority: 1 } }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('removeSource', { id }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('orderSources', { registry: 'none.test', ids: [] }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('removeRegistry', { name: 'none.test', force: true }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('changeRegistry', { name: 'none.test', isPublic: true }))).toBe('NOT_FOUND');
    });

    test('an order puts those it names first, and the others behind them as they stood', async () => {
      const { database } = now();
      const sources = ['https://a.test', 'https://b.test', 'https://c.test'].map((url) => source(url));
      await database.run('addRegistry', { name: 'order.test', origin: 'api', sources });
      const ids = (await listSources(database.read, 'order.test')).map((one) => one.id);
      const [a = 0, b = 0, c = 0] = ids;
      for (const wrong of [
        [a, b, b],
        [a, 987_654],
      ])
        expect(await outcome(database.run('orderSources', { registry: 'order.test', ids: wrong }))).toBe('BAD_REQUEST');
      await database.run('orderSources', { registry: 'order.test', ids: [c] });
      expect((await listSources(database.read, 'order.test')).map((one) => [one.id, one.priority])).toEqual([
        [c, 10],
        [a, 20],
        [b, 30],
      ]);
    });

    test('a registry has a limited number of sources', async () => {
      const { database } = now();
      const sources = Array.from({ length: sourcesPerRegistryMax }, (_, index) => source(`https://s${index}.test`));
      await database.run('addRegistry', { name: 'many.test', origin: 'api', sources });
      const more = { registry: 'many.test', origin: 'api' as const, values: source('https://more.test') };
      expect(await outcome(database.run('addSource', more))).toBe('BAD_REQUEST');
    });

    test('a registry goes with its empty mirror; one that holds content only by force, and the content stays', async () => {
      const { database, blob } = now();
      await database.run('addRegistry', { name: 'empty.test', origin: 'api', sources: [source('https://a.test')] });
      await database.run('removeRegistry', { name: 'empty.test', force: false });
      expect(await prepareProjectQueries(database).byName('empty.test')).toBeUndefined();
      expect(await urlsOf(database, 'empty.test')).toEqual([]);
      await database.run('addRegistry', { name: 'held.test', origin: 'api', sources: [source('https://a.test')] });
      const project = await prepareProjectQueries(database).byName('held.test');
      const repository = await database.run('ensureRepository', { projectId: project?.id ?? 0, name: 'held.test/x' });
      await blob(repository, 'held by a mirror');
      expect(await outcome(database.run('removeRegistry', { name: 'held.test', force: false }))).toBe('CONFLICT');
      expect(await urlsOf(database, 'held.test')).toEqual(['https://a.test api']);
      await database.run('removeRegistry', { name: 'held.test', force: true });
      expect(await prepareProjectQueries(database).byName('held.test')).toEqual(project);
      expect((await listSourceRegistries(database.read)).some((registry) => registry.name === 'held.test')).toBe(false);
      await database.run('deleteBlob', { repositoryId: repository, digest: digest('held by a mirror') });
    });
  });

  describe('who may pull through a mirror', () => {
    test('credentials make it private, taking them away does not undo that, the word of the operator counts', async () => {
      const { database } = now();
      await database.run('addRegistry', { name: 'guard.test', origin: 'api', sources: [source('https://a.test')] });
      expect(await isPublic(database, 'guard.test')).toBe(true);
      const [first] = await listSources(database.read, 'guard.test');
      const id = first?.id ?? 0;
      await database.run('changeSource', { id, values: { credentials: [login] } });
      expect(await isPublic(database, 'guard.test')).toBe(false);
      await database.run('changeSource', { id, values: { credentials: [] } });
      await database.run('addSource', { registry: 'guard.test', origin: 'api', values: source('https://b.test') });
      expect(await isPublic(database, 'guard.test')).toBe(false);
      await database.run('changeRegistry', { name: 'guard.test', isPublic: true });
      expect(await isPublic(database, 'guard.test')).toBe(true);
      await database.run('changeSource', { id, values: { credentials: [login] } });
      expect(await isPublic(database, 'guard.test')).toBe(true);
      await database.run('changeRegistry', { name: 'guard.test' });
      expect(await isPublic(database, 'guard.test')).toBe(false);
    });

    test('a file that drops the credentials makes it public again', async () => {
      const { database } = now();
      const plant = (...sources: (SourceValues & { hash: string })[]) =>
        database.run('reconcileSources', { registries: [seed('file.test', sources)] });
      await plant({ ...source('https://a.test'), hash: '1' }, { ...source('https://b.test', { credentials: [login] }), hash: '2' });
      expect(await isPublic(database, 'file.test')).toBe(false);
      await plant({ ...source('https://a.test'), hash: '1' });
      expect(await isPublic(database, 'file.test')).toBe(true);
      await plant({ ...source('https://a.test', { credentials: [login] }), hash: '3' });
      expect(await isPublic(database, 'file.test')).toBe(false);
      await plant({ ...source('https://a.test'), hash: '1' });
      expect(await isPublic(database, 'file.test')).toBe(true);
      await database.run('reconcileSources', { registries: [] });
    });
  });

  describe('seeds', () => {
    const a = { ...source('https://a.test', { priority: 1 }), hash: 'a' };
    const b = { ...source('https://b.test', { priority: 2 }), hash: 'b' };

    test('a new entry makes a row, the same entry again changes nothing', async () => {
      const { database } = now();
      const plant = () => database.run('reconcileSources', { registries: [seed('seed1.test', [a, b])] });
      expect(await plant()).toEqual({ added: ['seed1.test https://a.test', 'seed1.test https://b.test'], changed: [], removed: [] });
      const before = await listSources(database.read, 'seed1.test');
      expect(await plant()).toEqual({ added: [], changed: [], removed: [] });
      expect(await listSources(database.read, 'seed1.test')).toEqual(before);
      await database.run('reconcileSources', { registries: [] });
    });

    test('what was changed and deleted while running stays until the entry changes; then the file wins', async () => {
      const { database } = now();
      const plant = (...sources: (SourceValues & { hash: string })[]) =>
        database.run('reconcileSources', { registries: [seed('seed2.test', sources)] });
      await plant(a, b);
      const [first, second] = await listSources(database.read, 'seed2.test');
      await database.run('changeSource', { id: first?.id ?? 0, values: { isEnabled: false } });
      await database.run('removeSource', { id: second?.id ?? 0 });
      await plant(a, b);
      expect(await urlsOf(database, 'seed2.test')).toEqual(['https://a.test config off']);
      expect(await plant({ ...a, hash: 'a2' }, b)).toMatchObject({ added: [], changed: ['seed2.test https://a.test'] });
      expect(await urlsOf(database, 'seed2.test')).toEqual(['https://a.test config']);
      expect(await plant({ ...a, hash: 'a2' }, { ...b, hash: 'b2' })).toMatchObject({ added: ['seed2.test https://b.test'] });
      expect(await urlsOf(database, 'seed2.test')).toEqual(['https://a.test config', 'https://b.test config']);
      await database.run('reconcileSources', { registries: [] });
    });

    test('an entry that is gone takes its row along, but none that was made while running', async () => {
      const { database } = now();
      await database.run('reconcileSources', { registries: [seed('seed3.test', [a, b])] });
      await database.run('addSource', { registry: 'seed3.test', origin: 'api', values: source('https://own.test') });
      expect(await database.run('reconcileSources', { registries: [seed('seed3.test', [b])] })).toMatchObject({
        removed: ['seed3.test https://a.test'],
      });
      expect(await urlsOf(database, 'seed3.test')).toEqual(['https://b.test config', 'https://own.test api']);
      await database.run('reconcileSources', { registries: [] });
      expect(await urlsOf(database, 'seed3.test')).toEqual(['https://own.test api']);
      expect((await listSourceRegistries(database.read)).find((one) => one.name === 'seed3.test')?.origin).toBe('api');
    });

    test('a registry that is gone from the file is gone with its last source, and a deleted one comes back when an entry changes', async () => {
      const { database } = now();
      const names = async (): Promise<string[]> => (await listSourceRegistries(database.read)).map((one) => one.name);
      await database.run('reconcileSources', { registries: [seed('seed4.test', [a])] });
      await database.run('removeRegistry', { name: 'seed4.test', force: false });
      await database.run('reconcileSources', { registries: [seed('seed4.test', [a])] });
      expect(await names()).not.toContain('seed4.test');
      await database.run('reconcileSources', { registries: [seed('seed4.test', [{ ...a, hash: 'new' }])] });
      expect(await urlsOf(database, 'seed4.test')).toEqual(['https://a.test config']);
      await database.run('reconcileSources', { registries: [] });
      expect(await names()).not.toContain('seed4.test');
    });

    test('an entry takes over a row of its URL that was made while running', async () => {
      const { database } = now();
      await database.run('addRegistry', { name: 'seed5.test', origin: 'api', sources: [source('https://a.test', { priority: 50 })] });
      const [made] = await listSources(database.read, 'seed5.test');
      await database.run('reconcileSources', { registries: [seed('seed5.test', [a], { origin: 'preset', isPublic: false })] });
      expect(await listSources(database.read, 'seed5.test')).toMatchObject([{ id: made?.id ?? 0, priority: 1, origin: 'preset' }]);
      expect(await isPublic(database, 'seed5.test')).toBe(false);
      await database.run('reconcileSources', { registries: [] });
    });
  });
}
