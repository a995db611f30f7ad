// Lists of a store with many repositories, artifacts and tags: their numbers and pages are right, from the first to the last.
// How quick they are at full size is measured by `npm run bench -- --only lists`.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { send } from '../api/client.ts';
import { startSeeded } from '../support/seeded-server.ts';

const size = { projects: 10, repositories: 500, artifacts: 2000, tags: 8000 };
let store: Awaited<ReturnType<typeof startSeeded>> | undefined;

beforeAll(async () => {
  store = await startSeeded(size);
}, 120_000);
afterAll(async () => {
  await store?.stop();
}, 60_000);

async function page(path: string): Promise<{ count: number; names: string[] }> {
  if (store === undefined) throw new Error('there is no server');
  const answer = await send(store.server, path);
  if (answer.status !== 200) throw new Error(`${path} was answered ${answer.status}: ${answer.text}`);
  const items = answer.json() as { name?: string; digest?: string }[];
  return { count: Number(answer.headers.get('x-total-count')), names: items.map(({ name, digest }) => name ?? digest ?? '') };
}

const large = '/projects/project-0/repositories/large%252Frepository';

test('all repositories are counted and paged to the last, without one twice', async () => {
  const seen = new Set<string>();
  for (let number = 1; number <= 5; number++) {
    const { count, names } = await page(`/repositories?page_size=100&page=${number}`);
    expect([count, names.length]).toEqual([size.repositories, 100]);
    for (const name of names) seen.add(name);
  }
  expect(seen.size).toBe(size.repositories);
  expect((await page('/repositories?page_size=100&page=6')).names).toEqual([]);
  expect((await page('/projects/project-3/repositories')).count).toBe(size.repositories / size.projects);
  expect((await page('/repositories?q=name%3D~app-49')).count).toBe(11);
});

test('artifacts and tags of a large repository are counted and paged, the newest first', async () => {
  const artifacts = size.artifacts / 10;
  const [first, last] = [await page(`${large}/artifacts`), await page(`${large}/artifacts?page=${artifacts / 10}`)];
  expect([first.count, first.names.length, last.names.length]).toEqual([artifacts, 10, 10]);
  expect(last.names.at(-1)).toBe(store?.seeded.large.taggedMost);
  const tags = `${large}/artifacts/${store?.seeded.large.taggedMost}/tags`;
  const most = size.tags / 20;
  expect((await page(tags)).count).toBe(most);
  expect((await page(`${tags}?page_size=100&page=${most / 100}`)).names).toHaveLength(100);
  const [named] = (await page(`${tags}?sort=name`)).names;
  expect((await page(`${large}/artifacts?q=tags%3D${named}`)).names).toEqual([store?.seeded.large.taggedMost ?? '']);
});

test('an artifact with very many tags is shown with some of them, and says how many it has', async () => {
  if (store === undefined) throw new Error('there is no server');
  const answer = await send(store.server, `${large}/artifacts?sort=push_time&page_size=1`);
  const [found] = answer.json() as { tags: unknown[]; tag_count: number }[];
  expect([found?.tags.length, found?.tag_count]).toEqual([100, size.tags / 20]);
});

test('a large repository is deleted whole', async () => {
  if (store === undefined) throw new Error('there is no server');
  expect((await send(store.server, large, { method: 'DELETE' })).status).toBe(200);
  expect((await send(store.server, large)).status).toBe(404);
  expect((await page('/repositories')).count).toBe(size.repositories - 1);
}, 60_000);
