// `breakwater sources ...` against a running server: what the commands change, print and end with.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CliResult, runCli } from '../cli/run.ts';
import { imageOf } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { type Holder, makeServerFolder, pullStatus, registryOf, sourcesOf, startHolder } from './fixture.ts';

const folder = makeServerFolder();
const password = 'correct-horse-battery';
let server: RunningBreakwater;
let one: Holder;
let two: Holder;

beforeAll(async () => {
  const image = imageOf([2000]);
  [one, two] = await Promise.all([startHolder(image), startHolder(image)]);
  server = await folder.start({ 'cli.test': [{ url: 'http://127.0.0.1:1', priority: 500 }] });
}, 60_000);
afterAll(async () => {
  await folder.end();
  for (const source of [one, two]) await source?.stop();
}, 60_000);

const run = (...words: readonly string[]): Promise<CliResult> =>
  runCli(['sources', ...words, '--url', server.url, '--data', server.dataDir]);
const json = async (...words: readonly string[]) => {
  const result = await run(...words, '--json');
  expect(result).toMatchObject({ code: 0 });
  return JSON.parse(result.stdout);
};

test('add makes a source that is pulled from at once, and tells what its test said', async () => {
  const added = await run('add', one.url, '--registry', 'cli.test', '--trust', 'authority', '--priority', '20', '--allow', '**');
  expect(added).toMatchObject({ code: 0, stderr: '' });
  expect(added.stdout).toMatch(/^added the source \d+ of cli\.test: http/);
  expect(added.stdout).toMatch(/ {2}ok /);
  expect(await pullStatus(server, 'cli.test', one.image, '1')).toBe(200);
}, 60_000);

test('add of a source that does not answer adds it with a warning', async () => {
  const { source, test: report } = await json('add', 'http://127.0.0.1:2', '--registry', 'cli.test', '--requests-per-minute', '20');
  expect(source.limits).toEqual({ requestsPerMinute: 20 });
  expect(report.ok).toBe(false);
  const spoken = await run('add', 'http://127.0.0.1:3', '--registry', 'cli.test');
  expect(spoken).toMatchObject({ code: 0, stderr: 'warning: http://127.0.0.1:3 was added, but did not pass its test\n' });
}, 60_000);

test('add to a registry that is not mirrored says how, and does it when told', async () => {
  const refused = await run('add', two.url, '--registry', 'new.test');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('--new-registry');
  const { source, test: report } = await json(
    'add',
    two.url,
    '--registry',
    'new.test',
    '--new-registry',
    '--trust',
    'authority',
    '--no-test',
  );
  expect([source.registry, report]).toEqual(['new.test', null]);
  expect(await pullStatus(server, 'new.test', two.image, '1')).toBe(200);
}, 60_000);

test('set changes what is named and keeps the rest', async () => {
  await json('set', two.url, '--connections', '3', '--operator', 'somebody');
  await json('set', two.url, '--requests-per-minute', '40', '--allow-private');
  const changed = await json('set', two.url, '--priority', '7');
  expect(changed.settings).toMatchObject({
    limits: { connections: 3, requests_per_minute: 40 },
    operator: 'somebody',
    allow_private: true,
    priority: 7,
  });
  const less = await json('set', two.url, '--unset', 'limits,operator', '--no-allow-private');
  expect([less.settings.limits, less.settings.operator, less.settings.allow_private]).toEqual([undefined, undefined, false]);
  expect(await run('set', two.url)).toMatchObject({ code: 2 });
  expect((await run('set', two.url, '--unset', 'url')).stderr).toContain('cannot be taken away');
}, 120_000);

test('a password comes from a file and is printed nowhere', async () => {
  const file = join(server.dataDir, 'token');
  writeFileSync(file, `${password}\n`);
  const result = await run('set', two.url, '--username', 'me', '--source-password-file', file);
  expect(result.code).toBe(0);
  expect(result.stderr).toContain('no longer be pulled from without a login');
  const listed = [
    result.stdout,
    result.stderr,
    (await run('--json')).stdout,
    JSON.stringify(await json('set', two.url, '--priority', '8')),
  ];
  for (const text of [...listed, server.logs()]) expect(text).not.toContain(password);
  expect((await registryOf(server, 'new.test'))?.restricted).toBe(true);
  expect(await pullStatus(server, 'new.test', two.image, '1')).toBe(401);
  expect((await run('public', 'new.test', 'yes')).stdout).toBe('the mirror of new.test is public\n');
  expect(await pullStatus(server, 'new.test', two.image, '1')).toBe(200);
  expect(await json('public', 'new.test', 'auto')).toMatchObject({ name: 'new.test', restricted: true });
  expect(await pullStatus(server, 'new.test', two.image, '1')).toBe(401);
}, 60_000);

test('disable and enable are seen in the list; the order is that of the ids', async () => {
  expect((await run('disable', one.url)).stdout).toContain('disabled the source');
  expect((await run()).stdout).toMatch(new RegExp(`${one.url} .*disabled`));
  await run('enable', one.url);
  const sources = await sourcesOf(server, 'cli.test');
  const ids = sources.map((source) => String(source.id)).reverse();
  expect((await json('order', 'cli.test', ...ids)).sources).toHaveLength(ids.length);
  const after = (await sourcesOf(server, 'cli.test')).toSorted((left, right) => left.priority - right.priority);
  expect(after.map((source) => String(source.id))).toEqual(ids);
}, 60_000);

test('test ends with 1 when a source fails, and tells which', async () => {
  expect(await run('test', one.url)).toMatchObject({ code: 0, stderr: '' });
  const all = await run('test', '--all', '--registry', 'cli.test', '--json');
  expect(all.code).toBe(1);
  expect(all.stderr).toContain('3 of 4 did not pass');
  const failed = JSON.parse(all.stdout).filter((source: { ok: boolean }) => !source.ok);
  expect(failed.map((source: { url: string }) => source.url).sort()).toEqual([
    'http://127.0.0.1:1',
    'http://127.0.0.1:2',
    'http://127.0.0.1:3',
  ]);
  expect(await run('test')).toMatchObject({ code: 2 });
}, 120_000);

test('remove takes sources by URL and id, and a whole registry', async () => {
  const removed = await json('remove', 'http://127.0.0.1:2', 'http://127.0.0.1:3');
  expect(removed.removed).toHaveLength(2);
  expect((await run('remove', 'http://127.0.0.1:2')).stderr).toContain('there is no source http://127.0.0.1:2');
  expect((await run('remove', '--registry', 'new.test')).stderr).toContain('holds content');
  expect(await json('remove', '--registry', 'new.test', '--force')).toEqual({ removedRegistry: 'new.test' });
  expect(await registryOf(server, 'new.test')).toBeUndefined();
}, 60_000);
