// The contract on lists: each page equals what a plain model says, whatever the names, the limits and the starting points.

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { listReferrers, listRepositories, listTags, type ReferrerRow } from '../../src/db/content.ts';
import { count } from '../support/requirements.ts';
import { digest, type Fixture, manifest } from './fixture.ts';

const runs = { numRuns: count({ quick: 12, full: 100, env: 'BREAKWATER_LISTING_RUNS' }), endOnFailure: true };
const timeoutMs = 30_000 + runs.numRuns * 1000;
// Few letters, so that names often differ in case alone or are the beginning of one another.
const tagName = fc.oneof(fc.stringMatching(/^[aAbBzZ_][aAbBzZ0._-]{0,3}$/), fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}$/));
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const compareFolded = (a: string, b: string): number => compare(a.toLowerCase(), b.toLowerCase()) || compare(a, b);

/** Calls `next` with the last item until a page is short. */
async function readPages<T>(limit: number, next: (last: T | undefined) => Promise<T[]>): Promise<T[]> {
  const items: T[] = [];
  for (;;) {
    const page = await next(items.at(-1));
    expect(page.length).toBeLessThanOrEqual(limit);
    items.push(...page);
    if (page.length < limit) return items;
  }
}

export function listingCases(now: () => Fixture): void {
  describe('lists', () => {
    test(
      'tags come in case-insensitive order, page by page, each once, from any starting point',
      async () => {
        const input = fc.record({
          names: fc.uniqueArray(tagName, { maxLength: 40 }),
          limit: fc.integer({ min: 1, max: 15 }),
          after: tagName,
        });
        await fc.assert(
          fc.asyncProperty(input, async ({ names, limit, after }) => {
            const target = await now().repository();
            await now().database.run('putManifest', manifest(target.id, 'tagged', { tags: names }));
            const model = [...names].sort(compareFolded);
            const read = (start: string | undefined, most: number) =>
              listTags(now().database.read, { repositoryId: target.id, limit: most, ...(start === undefined ? {} : { after: start }) });
            expect(await readPages<string>(limit, (last) => read(last, limit))).toEqual(model);
            expect((await read(after, 1000)) as string[]).toEqual(model.filter((name) => compareFolded(name, after) > 0));
          }),
          runs,
        );
      },
      timeoutMs,
    );

    test(
      'referrers come in the order of their digests, page by page, of one subject and one artifact type',
      async () => {
        const input = fc.record({
          items: fc.uniqueArray(
            fc.record({
              text: fc.string({ minLength: 1, maxLength: 8 }),
              type: fc.constantFrom('a/x', 'a/y', undefined),
              subject: fc.constantFrom('s1', 's2', undefined),
            }),
            { maxLength: 25, selector: (item) => item.text },
          ),
          limit: fc.integer({ min: 1, max: 8 }),
          artifactType: fc.constantFrom('a/x', 'a/y', 'a/z', undefined),
        });
        await fc.assert(
          fc.asyncProperty(input, async ({ items, limit, artifactType }) => {
            const target = await now().repository();
            for (const { text, type, subject } of items) {
              const details = {
                annotations: JSON.stringify({ text }),
                ...(type === undefined ? {} : { artifactType: type }),
                ...(subject === undefined ? {} : { subjectDigest: digest(subject) }),
              };
              await now().database.run('putManifest', manifest(target.id, text, details));
            }
            const model = items
              .filter((item) => item.subject === 's1' && (artifactType === undefined || item.type === artifactType))
              .map(
                ({ text, type }): ReferrerRow => ({
                  digest: digest(text),
                  mediaType: 'application/vnd.oci.image.manifest.v1+json',
                  sizeBytes: Buffer.byteLength(text),
                  artifactType: type ?? null,
                  annotations: JSON.stringify({ text }),
                }),
              )
              .sort((a, b) => compare(a.digest, b.digest));
            const found = await readPages(limit, (last: ReferrerRow | undefined) =>
              listReferrers(now().database.read, {
                repositoryId: target.id,
                subject: digest('s1'),
                limit,
                ...(artifactType === undefined ? {} : { artifactType }),
                ...(last === undefined ? {} : { after: last.digest }),
              }),
            );
            expect(found).toEqual(model);
          }),
          runs,
        );
      },
      timeoutMs,
    );

    test('a condemned referrer is left out', async () => {
      const target = await now().repository();
      await now().database.run('putManifest', manifest(target.id, 'gone referrer', { subjectDigest: digest('s') }));
      await now().alter(`update manifest set state = 'condemned' where repository_id = ${target.id}`);
      expect(await listReferrers(now().database.read, { repositoryId: target.id, subject: digest('s'), limit: 10 })).toEqual([]);
    });

    test('repositories are listed by name when they hold a manifest, private ones only to who may see everything', async () => {
      const { database } = now();
      const hidden = await database.run('createProject', { name: 'hidden', kind: 'local', isPublic: false });
      const shown = await database.run('createProject', { name: 'shown', kind: 'local', isPublic: true });
      const names = ['hidden/b', 'shown/a', 'shown/a-b', 'shown/a/b', 'shown/a.b', 'shown/empty'];
      for (const name of names) {
        const id = await database.run('ensureRepository', {
          projectId: name.startsWith('hidden') ? hidden.id : shown.id,
          name,
        });
        if (name !== 'shown/empty') await database.run('putManifest', manifest(id, name));
      }
      const list = async (everything: boolean, limit: number) =>
        (
          await readPages<string>(limit, (last) =>
            listRepositories(database.read, { limit, everything, ...(last === undefined ? {} : { after: last }) }),
          )
        ).filter((name) => !name.startsWith('p/'));
      const held = names.filter((name) => name !== 'shown/empty').sort();
      expect(await list(true, 2)).toEqual(held);
      expect(await list(true, 1000)).toEqual(held);
      expect(await list(false, 3)).toEqual(held.filter((name) => name.startsWith('shown')));
    });
  });
}
