import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { authorize } from '../auth/access.ts';
import { testAdmin, testUser } from '../auth/principal-fixture.ts';
import { prepareContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Project } from '../db/projects.ts';
import { openSqliteDatabase } from '../db/sqlite.ts';
import { digestOf } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { requireRepositoryName, requireTag, type Tag } from '../oci/reference.ts';
import type { ReferrerDescriptor } from './answers.ts';
import { createCatalog } from './catalog.ts';
import type { Mirror } from './mirror.ts';
import type { Listing } from './mirror-listings.ts';

let folder: string;
let database: Database;
let project: Project;
let nextRepository = 0;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-catalog-'));
  database = await openSqliteDatabase({ path: join(folder, 'db.sqlite'), onFatal: () => undefined });
  project = await database.run('createProject', { name: 'open', kind: 'local', isPublic: true });
});
afterAll(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

const none = async (): Promise<never> => {
  throw new Error('not asked for');
};

const away = new OciError('UNAVAILABLE', 'the upstream is away');

/** An upstream that lists these, has no such repository (nothing given), or is away. */
function catalogWith(upstream: { tags?: readonly string[]; referrers?: readonly ReferrerDescriptor[]; isAway?: boolean } = {}) {
  const listing = <T>(items: readonly T[] | undefined): Listing<T> =>
    upstream.isAway === true ? { kind: 'unreachable', error: away } : items === undefined ? { kind: 'absent' } : { kind: 'listed', items };
  const mirror: Mirror = {
    manifest: none,
    blob: none,
    tags: async () => listing(upstream.tags?.map(requireTag)),
    referrers: async () => listing(upstream.referrers),
    lastFailure: () => undefined,
    absence: () => undefined,
    drift: () => undefined,
    doubt: () => undefined,
    equivalents: () => [],
    stats: () => ({ fillsRunning: 0, fillsQueued: 0, readers: 0, hedgesStarted: 0, hedgesWon: 0 }),
    close: async () => undefined,
  };
  return createCatalog({ database, content: prepareContentQueries(database), mirror, limits: { sizeDefault: 3, sizeMax: 5 } });
}

const subject = digestOf(new TextEncoder().encode('the subject'));
const noSignal = new AbortController().signal;

/** A repository with these tags, each on a manifest that refers to the subject. */
async function repositoryWith(tags: readonly string[], owner = project) {
  const name = requireRepositoryName(`${owner.name}/app${nextRepository++}`);
  const repositoryId = await database.run('ensureRepository', { projectId: owner.id, name });
  for (const tag of tags) {
    const bytes = new TextEncoder().encode(`${name}:${tag}`);
    await database.run('putManifest', {
      repositoryId,
      digest: digestOf(bytes),
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: `application/${tag.toLowerCase() === tag ? 'lower' : 'mixed'}`,
      subjectDigest: subject,
      annotations: '{}',
      bytes,
      references: [],
      tags: [tag],
      completeness: 'complete',
    });
  }
  return { name, project: owner };
}
const access = (target: { name: ReturnType<typeof requireRepositoryName>; project: Project }, fallback?: typeof target) =>
  authorize({ anonymousPull: true }, { kind: 'anonymous' }, 'pull', { ...target, ...(fallback === undefined ? {} : { fallback }) });

/** The spec's order: as if all were lower case, then as they are. */
const ordered = (tags: readonly string[]): string[] =>
  [...new Set(tags)].sort((a, b) => {
    const [x, y] = [a.toLowerCase(), b.toLowerCase()];
    return x === y ? (a < b ? -1 : a > b ? 1 : 0) : x < y ? -1 : 1;
  });

/** All pages of a listing, followed by `next`. */
async function walk<T>(
  list: (page: { count?: number; last?: string }) => Promise<{ items: readonly T[]; next?: { last: string; count: number } }>,
  count?: number,
) {
  const pages: (readonly T[])[] = [];
  let page: { count?: number; last?: string } = count === undefined ? {} : { count };
  for (let turn = 0; turn < 1000; turn++) {
    const { items, next } = await list(page);
    pages.push(items);
    if (next === undefined) return pages;
    page = next;
  }
  throw new Error('the pages do not end');
}

const tag = fc.stringMatching(/^[a-cA-C_][a-cA-C.-]{0,3}$/);

describe('tags', () => {
  test('over all pages are each tag once, in the order of the specification, whatever of them is here and what upstream', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(tag, { maxLength: 12 }),
        fc.uniqueArray(tag, { maxLength: 12 }),
        fc.integer({ min: 1, max: 9 }),
        async (here, upstream, count) => {
          const own = await repositoryWith(here);
          const other = await repositoryWith([]);
          const catalog = catalogWith({ tags: upstream });
          const pages = await walk((page) => catalog.tags(access(own, other), page, noSignal), count);
          expect(pages.flat()).toEqual(ordered([...here, ...upstream]) as Tag[]);
          for (const page of pages) expect(page.length).toBeLessThanOrEqual(Math.min(count, 5));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('have the default size when none is asked for, the largest when more is, and none for 0', async () => {
    const target = access(await repositoryWith(['a', 'b', 'c', 'd', 'e', 'f', 'g']));
    const catalog = catalogWith();
    expect(await catalog.tags(target, {}, noSignal)).toMatchObject({ items: ['a', 'b', 'c'], next: { last: 'c', count: 3 } });
    expect(await catalog.tags(target, { count: 1e12 }, noSignal)).toMatchObject({
      items: ['a', 'b', 'c', 'd', 'e'],
      next: { last: 'e', count: 5 },
    });
    expect(await catalog.tags(target, { count: 0 }, noSignal)).toEqual({ items: [] });
    expect(await catalog.tags(target, { last: 'z' }, noSignal)).toEqual({ items: [] });
  });

  test('of a repository that is not there are NAME_UNKNOWN, of one without tags none', async () => {
    const absent = { name: requireRepositoryName('open/absent'), project };
    await expect(catalogWith().tags(access(absent), {}, noSignal)).rejects.toMatchObject({ code: 'NAME_UNKNOWN' });
    expect(await catalogWith({ tags: [] }).tags(access(absent, absent), {}, noSignal)).toEqual({ items: [] });
    expect(await catalogWith().tags(access(await repositoryWith([])), {}, noSignal)).toEqual({ items: [] });
  });

  test('do not get fewer when the upstream is away: what is cached is listed, with a warning', async () => {
    const cached = await repositoryWith(['a', 'b']);
    const own = await repositoryWith(['c']);
    const listed = await catalogWith({ isAway: true }).tags(access(own, cached), {}, noSignal);
    expect(listed).toEqual({ items: ['a', 'b', 'c'] as Tag[], warning: expect.stringMatching(/^299 - "tags as last known/) });
    expect(await catalogWith({}).tags(access(own, cached), {}, noSignal)).toEqual({ items: ['a', 'b', 'c'] as Tag[] });
  });

  test('of which none is cached are no 404 when the upstream is away', async () => {
    const catalog = catalogWith({ isAway: true });
    const absent = { name: requireRepositoryName('open/absent'), project };
    const empty = await repositoryWith([]);
    await expect(catalog.tags(access(absent, absent), {}, noSignal)).rejects.toBe(away);
    await expect(catalog.tags(access(empty, empty), {}, noSignal)).rejects.toBe(away);
    const cached = await repositoryWith(['a']);
    expect((await catalog.tags(access(cached, cached), { last: 'a' }, noSignal)).items).toEqual([]);
  });
});

describe('referrers', () => {
  test('over all pages are each once, by type when asked for', async () => {
    const target = await repositoryWith(['a', 'B', 'c', 'D', 'e', 'f', 'G']);
    const upstream: ReferrerDescriptor = {
      mediaType: 'application/x',
      digest: digestOf(new Uint8Array([1])),
      size: 1,
      artifactType: 'application/lower',
    };
    const other = await repositoryWith([]);
    const catalog = catalogWith({ referrers: [upstream] });
    const all = (await walk((page) => catalog.referrers(access(target, other), subject, undefined, page, noSignal), 2)).flat();
    expect(all).toHaveLength(8);
    expect(all.map((item) => item.digest)).toEqual([...new Set(all.map((item) => item.digest))].sort());
    const lower = (await walk((page) => catalog.referrers(access(target, other), subject, 'application/lower', page, noSignal), 2)).flat();
    expect(lower).toHaveLength(5);
    expect(await catalog.referrers(access(target), digestOf(new Uint8Array([2])), undefined, {}, noSignal)).toEqual({ items: [] });
  });
});

test('referrers of which none is cached are no empty list when the upstream is away', async () => {
  const catalog = catalogWith({ isAway: true });
  const empty = await repositoryWith([]);
  await expect(catalog.referrers(access(empty, empty), subject, undefined, {}, noSignal)).rejects.toBe(away);
  const cached = await repositoryWith(['a']);
  const listed = await catalog.referrers(access(cached, cached), subject, undefined, {}, noSignal);
  expect([listed.items.length, listed.warning?.slice(0, 23)]).toEqual([1, '299 - "referrers as las']);
});

describe('repositories', () => {
  test('are those that hold something, of private projects for administrators only', async () => {
    const closed = await database.run('createProject', { name: 'closed', kind: 'local', isPublic: false });
    const [open, empty] = [await repositoryWith(['a']), await repositoryWith([])];
    const hidden = await repositoryWith(['a'], closed);
    const listed = async (isAdmin: boolean): Promise<string[]> =>
      (await walk((page) => catalogWith().repositories(isAdmin ? testAdmin() : testUser(), page), 2)).flat();
    const [forUser, forAdmin] = [await listed(false), await listed(true)];
    expect(forUser).toContain(open.name);
    expect(forUser).not.toContain(hidden.name);
    expect(forAdmin).toContain(hidden.name);
    expect(forAdmin).not.toContain(empty.name);
    expect(forAdmin).toEqual([...new Set(forAdmin)].sort());
  });
});
