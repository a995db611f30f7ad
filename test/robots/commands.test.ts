// `breakwater robot|token|workload ...` against a real server.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CliResult, makeFolder, runCli } from '../cli/run.ts';
import { type Issuer, openSite, type Site, startIssuer } from './site.ts';

let site: Site;
let issuer: Issuer;
const folder = makeFolder();
beforeAll(async () => {
  issuer = await startIssuer();
  site = await openSite();
}, 60_000);
afterAll(async () => {
  await site?.stop();
  issuer?.stop();
  folder.remove();
});

function run(...words: readonly string[]): Promise<CliResult> {
  return runCli([...words, '--url', site.server.url, '--data', site.server.dataDir], { cwd: folder.path });
}
async function json(...words: readonly string[]) {
  const result = await run(...words, '--json');
  expect(result).toMatchObject({ code: 0, stderr: '' });
  return JSON.parse(result.stdout);
}

describe('robot', () => {
  test('create prints the secret alone on standard output', async () => {
    const { code, stdout, stderr } = await run('robot', 'create', 'ci', '--project', 'team-a', '--push', '--days', '7');
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^made robot\$team-a\+ci \(id \d+\), until \d{4}-\d\d-\d\d/)]);
    expect(stdout).toMatch(/^bwr_[0-9A-Za-z]{49}\n$/);
    expect(await site.scope({ name: 'robot$team-a+ci', password: stdout.trim() }, 'team-a/app', 'pull,push')).toEqual(['pull', 'push']);
  });

  test('is found by id and by every name, changed, refreshed and deleted', async () => {
    const words = ['--pull', '*', '--push', 'team-*', '--allow', '/=audit-log:list,project:list', '--never', '--network', '127.0.0.0/8'];
    const made = await json('robot', 'create', 'wide', ...words, '--description', 'for all');
    expect(made).toMatchObject({ name: 'robot$wide', expires_at: -1 });
    for (const which of [String(made.id), 'wide', 'robot$wide']) {
      const shown = await json('robot', 'show', which);
      expect(shown).toMatchObject({ id: made.id, description: 'for all', networks: ['127.0.0.0/8'] });
      expect(shown.permissions.map((one: { namespace: string }) => one.namespace)).toEqual(['*', 'team-*', '/']);
    }
    expect((await run('robot', 'list')).stdout).toMatch(
      /robot\$wide +on +never +- +pull in all projects; pull, push in team-\*; audit-log:list/,
    );
    expect(await run('robot', 'update', 'wide', '--disable', '--any-network', '--pull', 'team-a')).toMatchObject({ code: 0 });
    expect(await json('robot', 'show', 'wide')).toMatchObject({ disable: true, networks: [], permissions: [{ namespace: 'team-a' }] });
    const { secret } = await json('robot', 'refresh', 'wide');
    await run('robot', 'update', 'wide', '--enable');
    expect(await site.ping({ name: 'robot$wide', password: secret })).toBe(200);
    writeFileSync(join(folder.path, 'secret'), 'kF83hd9Qm2xZ\n');
    expect(await json('robot', 'refresh', 'wide', '--secret-file', 'secret')).toMatchObject({ secret: 'kF83hd9Qm2xZ' });
    expect(await json('robot', 'delete', 'wide')).toEqual({ deleted: true, name: 'robot$wide' });
    expect(await run('robot', 'delete', 'wide')).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no robot wide') });
    expect(await json('robot', 'delete', 'wide', '--if-exists')).toEqual({ deleted: false, name: 'wide' });
  });

  test('of a project is found by project and name', async () => {
    await run('robot', 'create', 'named', '--project', 'team-a', '--pull');
    for (const which of ['team-a+named', 'robot$team-a+named'])
      expect(await json('robot', 'show', which)).toMatchObject({ level: 'project' });
    expect((await json('robot', 'list', '--project', 'team-a')).map((robot: { name: string }) => robot.name)).toContain(
      'robot$team-a+named',
    );
  });

  test.each([
    [['robot', 'create', 'x'], /what may the robot do/],
    [['robot', 'create', 'x', '--pull'], /--pull where/],
    [['robot', 'create', 'x', '--allow', 'team-a'], /--allow: "team-a" is not understood/],
    [['robot', 'create', 'x', '--pull', '*', '--days', 'ten'], /no number of days/],
    [['robot', 'create', 'x', '--pull', '*', '--days', '3', '--never'], /the opposite/],
    [['robot', 'update', 'x'], /nothing is to be changed|there is no robot/],
    [['token', 'delete', 'x'], /no id of a token/],
    [['workload', 'create', 'x'], /--issuer/],
  ])('%p is refused in words', async (words, said) => {
    const { code, stdout, stderr } = await run(...words);
    expect([code > 0, stdout, stderr]).toEqual([true, '', expect.stringMatching(said)]);
  });
});

test('token create, list and delete', async () => {
  const { code, stdout } = await run('token', 'create', 'laptop', '--days', '3');
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^bwu_[0-9A-Za-z]{49}\n$/)]);
  expect(await site.ping({ name: 'admin', password: stdout.trim() })).toBe(200);
  const [token] = await json('token', 'list');
  expect(token).toMatchObject({ name: 'laptop', reach: 'registry' });
  expect((await run('token', 'list')).stdout).toContain('laptop');
  expect(await json('token', 'delete', String(token.id))).toEqual({ deleted: true, id: token.id });
  expect(await site.ping({ name: 'admin', password: stdout.trim() })).toBe(401);
});

test('workload create, check, switch and delete', async () => {
  const made = await run(
    ...['workload', 'create', 'deploy', '--issuer', issuer.url, '--audience', 'registry.test', '--allow-private'],
    ...['--claim', 'repository=team/app', '--claim-like', 'sub=repo:team/**', '--push', 'team-a', '--minutes', '5'],
  );
  expect(made).toMatchObject({ code: 0, stdout: 'made the rule deploy: pull, push in team-a\n' });
  const token = await issuer.sign();
  writeFileSync(join(folder.path, 'token'), `${token}\n`);
  writeFileSync(join(folder.path, 'bad'), await issuer.sign({ repository: 'team/other' }));
  expect(await run('workload', 'check', 'token')).toMatchObject({ code: 0, stdout: expect.stringContaining('the rule deploy lets it in') });
  expect(await run('workload', 'check', 'bad')).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('its claim repository is not team/app'),
  });
  expect(await site.ping({ name: 'workload', password: token })).toBe(200);
  expect(await json('workload', 'disable', 'deploy')).toMatchObject({ disable: true });
  expect(await site.ping({ name: 'workload', password: token })).toBe(401);
  expect(await json('workload', 'enable', 'deploy')).toMatchObject({ disable: false, claims: [{}, { glob: 'repo:team/**' }] });
  expect(await site.ping({ name: 'workload', password: token })).toBe(200);
  expect((await run('workload', 'show', 'deploy')).stdout).toMatch(/whose +repository=team\/app, sub~repo:team\/\*\*/);
  expect((await run('workload', 'list')).stdout).toContain('deploy');
  expect(await json('workload', 'delete', 'deploy')).toEqual({ deleted: true, name: 'deploy' });
});
