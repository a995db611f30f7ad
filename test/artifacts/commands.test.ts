// `breakwater repository|artifact|tag ...` against a real server.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { postJson } from '../api/client.ts';
import { type CliResult, makeFolder, runCli } from '../cli/run.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { type Pushed, pushImage, pushIndex } from './images.ts';

let server: RunningBreakwater;
let image: Pushed;
const folder = makeFolder();
beforeAll(async () => {
  server = await startBreakwater({ config: JSON.stringify({ presets: false, probes: { enabled: false } }) });
  expect((await postJson(server, '/projects', { name: 'team' })).status).toBe(201);
  image = await pushImage(server, 'team/web/app', { note: 'cli', tags: ['1.0', 'latest'] });
  await pushIndex(server, 'team/multi', {
    children: [{ image: await pushImage(server, 'team/multi', { note: 'kid' }), architecture: 'amd64' }],
    tags: ['m'],
  });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  folder.remove();
});

function run(...words: readonly string[]): Promise<CliResult> {
  return runCli([...words, '--url', server.url, '--data', server.dataDir], { cwd: folder.path });
}
async function out(...words: readonly string[]): Promise<string> {
  const result = await run(...words);
  expect(result).toMatchObject({ code: 0, stderr: '' });
  return result.stdout;
}
const json = async (...words: readonly string[]) => JSON.parse(await out(...words, '--json'));

test('repositories are listed, searched and shown', async () => {
  expect(await out('repository', 'list')).toMatch(/^NAME +ARTIFACTS +PULLS[\s\S]*team\/multi +1 [\s\S]*team\/web\/app +1 /);
  expect((await json('repository', 'list', '--project', 'team', '--search', 'web')).map((item: { name: string }) => item.name)).toEqual([
    'team/web/app',
  ]);
  expect(await out('repository', 'show', 'team/web/app')).toMatch(/artifacts +1\n/);
  const cut = await run('repository', 'list', '--limit', '1');
  expect([cut.code, cut.stderr]).toEqual([0, 'only the first 1; --limit gives more\n']);
});

test('artifacts are listed, shown, copied and deleted', async () => {
  expect(await out('artifact', 'list', 'team/web/app')).toContain('latest, 1.0');
  expect(await out('artifact', 'show', 'team/multi:m')).toMatch(/child +sha256:[0-9a-f]{64} linux\/amd64/);
  expect((await json('artifact', 'show', `team/web/app@${image.digest}`)).digest).toBe(image.digest);
  expect(await out('artifact', 'copy', 'team/web/app:1.0', 'team/production/app')).toBe('copied team/web/app:1.0 to team/production/app\n');
  expect((await json('artifact', 'show', 'team/production/app:latest')).digest).toBe(image.digest);
  expect(await json('artifact', 'delete', 'team/production/app:latest')).toEqual({ deleted: 'team/production/app:latest' });
  expect(await json('artifact', 'list', 'team/production/app')).toEqual([]);
  expect(await json('repository', 'delete', 'team/production/app')).toEqual({ deleted: 'team/production/app' });
});

test('tags are listed, added and deleted', async () => {
  await out('tag', 'add', 'team/web/app:1.0', 'stable');
  expect(await out('tag', 'list', 'team/web/app:1.0', '--search', 'sta')).toMatch(/^TAG +PUSHED +PULLED\nstable +\d{4}-/);
  await out('tag', 'delete', 'team/web/app:stable');
  expect((await json('tag', 'list', 'team/web/app:1.0')).map((tag: { name: string }) => tag.name)).toEqual(['latest', '1.0']);
});

test('what makes no sense is said, and what is not there', async () => {
  const said = async (...words: readonly string[]) => {
    const { code, stderr } = await run(...words);
    return [code, stderr];
  };
  expect(await said('artifact', 'show', 'team/web/app')).toEqual([2, expect.stringContaining('is no image\nhint: ')]);
  expect(await said('repository', 'show', 'app')).toEqual([2, expect.stringContaining('is no repository\nhint: ')]);
  expect(await said('tag', 'delete', `team/web/app@${image.digest}`)).toEqual([2, expect.stringContaining('name a tag')]);
  expect(await said('repository', 'list', '--limit', '0')).toEqual([2, expect.stringContaining('--limit')]);
  expect(await said('artifact', 'show', 'team/web/app:absent')).toEqual([1, expect.stringContaining('there is no artifact absent')]);
});
