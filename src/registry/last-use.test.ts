import { expect, test } from 'bun:test';
import type { Database } from '../db/database.ts';
import type { PulledManifests, UsedTags } from '../db/use-commands.ts';
import { createLog } from '../lib/log.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import { createLastUse } from './last-use.ts';

interface Written {
  readonly tags: readonly UsedTags[];
  readonly blobs: readonly Digest[];
  readonly pulls?: readonly PulledManifests[];
}
function start(fail = false): { lastUse: ReturnType<typeof createLastUse>; written: Written[]; lines: string[] } {
  const written: Written[] = [];
  const lines: string[] = [];
  const run = async (_name: string, args: unknown): Promise<never> => {
    if (fail) throw new Error('the disk is full');
    written.push(args as Written);
    return undefined as never;
  };
  const database: Pick<Database, 'run'> = { run };
  return { lastUse: createLastUse({ database, log: createLog({ write: (line) => void lines.push(line) }) }), written, lines };
}
const blob = (text: string): Digest => digestOf(Buffer.from(text));

test('what is pulled many times is written once, and nothing is written when nothing was pulled', async () => {
  const { lastUse, written } = start();
  for (let pulls = 0; pulls < 1000; pulls++) {
    lastUse.tag('p/a', '1');
    lastUse.tag('p/a', '2');
    lastUse.tag('p/b', '1');
    lastUse.blob(blob('x'));
  }
  await lastUse.flush();
  expect(written).toEqual([
    {
      tags: [
        { repository: 'p/a', tags: ['1', '2'] },
        { repository: 'p/b', tags: ['1'] },
      ],
      blobs: [],
    },
    { tags: [], blobs: [blob('x')] },
  ]);
  await lastUse.close();
  expect(written).toHaveLength(2);
});

test('commands are small, and notes beyond the limit are left out', async () => {
  const { lastUse, written } = start();
  for (let index = 0; index < 120_000; index++) lastUse.tag('p/many', `t${index}`);
  lastUse.blob(blob('late'));
  await lastUse.close();
  expect(written.reduce((sum, { tags }) => sum + (tags[0]?.tags.length ?? 0), 0)).toBe(100_000);
  expect(Math.max(...written.map(({ tags }) => tags.reduce((sum, item) => sum + item.tags.length, 0)))).toBeLessThanOrEqual(500);
  expect(written.flatMap(({ blobs }) => blobs)).toEqual([]);
});

test('what is used all the time is written once in ten flushes', async () => {
  const { lastUse, written } = start();
  for (let flushes = 0; flushes < 20; flushes++) {
    lastUse.tag('p/a', '1');
    lastUse.blob(blob('x'));
    await lastUse.flush();
  }
  expect(written.filter(({ tags }) => tags.length > 0)).toHaveLength(2);
  expect(written.filter(({ blobs }) => blobs.length > 0)).toHaveLength(2);
});

test('a failed write loses its notes and goes on with new ones', async () => {
  const { lastUse, lines } = start(true);
  lastUse.tag('p/a', '1');
  await lastUse.flush();
  expect(lines.join('')).toContain('last-use.not-written');
  lastUse.tag('p/a', '2');
  await lastUse.close();
  expect(lines).toHaveLength(2);
});

test('manifests are counted for their repository each time, and noted once in ten flushes', async () => {
  const { lastUse, written } = start();
  for (let flushes = 0; flushes < 2; flushes++) {
    for (let pulls = 0; pulls < 3; pulls++) lastUse.manifest('p/a', blob('x'));
    lastUse.manifest('p/b', blob('x'));
    await lastUse.flush();
  }
  const pulled = (digests: readonly Digest[]) => [
    { repository: 'p/a', count: 3, digests },
    { repository: 'p/b', count: 1, digests },
  ];
  expect(written.map(({ pulls }) => pulls)).toEqual([pulled([blob('x')]), pulled([])]);
  await lastUse.close();
});

test('the manifests of one repository go in small commands, and its pulls are counted once', async () => {
  const { lastUse, written } = start();
  for (let index = 0; index < 1200; index++) lastUse.manifest('p/many', blob(`m${index}`));
  await lastUse.close();
  const pulls = written.flatMap((one) => one.pulls ?? []);
  expect(pulls.reduce((sum, { count }) => sum + count, 0)).toBe(1200);
  expect(pulls.map(({ digests }) => digests.length)).toEqual([500, 500, 200]);
});
