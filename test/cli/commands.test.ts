// The commands that speak to a server, each against a real one: what they print for people, what for programs, and their exit codes.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { explanationSchema, projectSchema } from '../../src/api/schemas.ts';
import { registrySourcesSchema } from '../../src/api/source-schemas.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { type CliResult, makeFolder, runCli } from './run.ts';

let server: RunningBreakwater;
const folder = makeFolder();

beforeAll(async () => {
  const config = { presets: false, registries: { 'docker.io': { sources: [{ url: 'http://127.0.0.1:1', trust: 'authority' }] } } };
  server = await startBreakwater({ config: JSON.stringify(config) });
});
afterAll(async () => {
  await server?.stop();
  folder.remove();
});

function run(...words: readonly string[]): Promise<CliResult> {
  return runCli([...words, '--url', server.url, '--data', server.dataDir], { cwd: folder.path });
}

async function json(...words: readonly string[]): Promise<unknown> {
  const result = await run(...words, '--json');
  expect(result).toMatchObject({ code: 0, stderr: '' });
  return JSON.parse(result.stdout);
}

describe('project', () => {
  test('create makes a private local project unless told otherwise', async () => {
    const result = await run('project', 'create', 'team-a');
    expect(result).toEqual({ code: 0, stderr: '', stdout: 'created the project team-a: private local\n' });
    expect(await run('project', 'create', 'base', '--public', '--allow-sparse')).toMatchObject({
      code: 0,
      stdout: 'created the project base: public local, sparse indexes allowed\n',
    });
    const created = await json('project', 'create', 'hub', '--kind', 'overlay', '--registry', 'docker.io', '--public');
    const shape = z.strictObject({ created: z.literal(true), project: z.strictObject(projectSchema.shape), warnings: z.array(z.string()) });
    expect(shape.parse(created).project).toMatchObject({
      name: 'hub',
      kind: 'overlay',
      registry: 'docker.io',
      metadata: { public: 'true' },
    });
  });

  test('list prints a table for people and the list of the API for programs', async () => {
    const { stdout } = await run('project', 'list');
    expect(stdout.split('\n')[0]).toMatch(/^NAME +KIND +VISIBILITY +REGISTRY +SPARSE +CREATED$/);
    expect(stdout).toMatch(/^library +overlay +public +docker\.io +no +\d{4}-\d\d-\d\d$/m);
    expect(stdout).toMatch(/^team-a +local +private +- +no +/m);
    const listed = z.array(z.strictObject(projectSchema.shape)).parse(await json('project', 'list'));
    expect(listed.map((project) => project.name)).toEqual(['base', 'docker.io', 'hub', 'library', 'team-a']);
  });

  test('create of a taken name fails, and with --if-absent only when it is another project', async () => {
    expect(await run('project', 'create', 'team-a')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'error: a project named team-a exists already\n',
    });
    expect(await run('project', 'create', 'team-a', '--if-absent')).toMatchObject({
      code: 0,
      stdout: 'the project team-a exists already: private local\n',
    });
    expect(await json('project', 'create', 'team-a', '--if-absent')).toMatchObject({ created: false, project: { name: 'team-a' } });
    const other = await run('project', 'create', 'base', '--if-absent');
    expect(other.code).toBe(1);
    expect(other.stderr).toContain('public local, sparse indexes allowed, not private local');
    expect((await run('project', 'create', 'hub', '--kind', 'mirror', '--registry', 'docker.io', '--public', '--if-absent')).code).toBe(1);
    expect((await run('project', 'create', 'fresh', '--if-absent')).stdout).toContain('created');
  });

  test('show tells what a project is, set changes it', async () => {
    expect((await run('project', 'show', 'team-a')).stdout).toMatch(
      /^team-a: private local\nid \d+, made \S+ by admin\nrepositories: 0\n$/,
    );
    expect(await run('project', 'set', 'team-a', '--public', 'yes', '--allow-sparse', 'yes')).toEqual({
      code: 0,
      stderr: '',
      stdout: 'changed the project team-a: public local, sparse indexes allowed\n',
    });
    expect(await json('project', 'set', 'team-a', '--public', 'no', '--allow-sparse', 'no')).toMatchObject({
      name: 'team-a',
      metadata: { public: 'false' },
    });
    expect(await json('project', 'show', 'team-a')).toMatchObject({ name: 'team-a', allows_sparse: false });
    expect(await run('project', 'set', 'team-a')).toMatchObject({ code: 2 });
    expect(await run('project', 'show', 'nothing')).toMatchObject({ code: 1 });
  });

  test('delete removes an empty project; with --if-exists an absent one is no failure', async () => {
    expect(await run('project', 'delete', 'fresh')).toEqual({ code: 0, stderr: '', stdout: 'deleted the project fresh\n' });
    expect(await run('project', 'delete', 'fresh')).toMatchObject({ code: 1, stderr: 'error: there is no project named fresh\n' });
    expect(await run('project', 'delete', 'fresh', '--if-exists')).toMatchObject({ code: 0, stdout: 'there is no project fresh\n' });
    expect(await json('project', 'delete', 'fresh', '--if-exists')).toEqual({ deleted: false, name: 'fresh' });
    expect(await json('project', 'delete', 'hub')).toEqual({ deleted: true, name: 'hub' });
  });

  test('a name of digits is a name, never the id of another project', async () => {
    const { project_id: id } = z
      .looseObject({ project_id: z.number() })
      .parse(z.array(z.unknown()).parse(await json('project', 'list'))[0]);
    expect((await run('project', 'delete', String(id))).stderr).toContain(`there is no project named ${id}`);
    expect((await run('project', 'create', '12345')).code).toBe(0);
    expect((await run('project', 'delete', '12345')).code).toBe(0);
  });

  test('a refused name or registry is told in one line', async () => {
    const upper = await run('project', 'create', 'Team');
    expect(upper).toMatchObject({ code: 1, stdout: '' });
    expect(upper.stderr).toMatch(/^error: a project name has .*\n$/);
    expect((await run('project', 'create', 'm', '--kind', 'mirror')).stderr).toContain('needs a registry, one of: docker.io');
    expect((await run('project', 'delete', '../sources')).stderr).toContain('no project named ../sources');
  });

  test('more projects than a page are all listed', async () => {
    const names = Array.from({ length: 105 }, (_, index) => `many-${String(index).padStart(3, '0')}`);
    const headers = { 'content-type': 'application/json', authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` };
    for (const name of names) await fetch(`${server.url}/api/v2.0/projects`, { method: 'POST', headers, body: JSON.stringify({ name }) });
    const listed = z.array(projectSchema).parse(await json('project', 'list'));
    expect(listed.map((project) => project.name).filter((name) => name.startsWith('many-'))).toEqual(names);
  });
});

describe('sources and explain', () => {
  test('sources prints a table for people and the list of the API for programs', async () => {
    const { stdout, code } = await run('sources');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ID +REGISTRY +SOURCE +TRUST +PRIORITY +STATE +LAST +OK +FAILED +AVERAGE +RECEIVED +QUOTA LEFT$/m);
    expect(stdout).toMatch(/^\d+ +docker\.io +http:\/\/127\.0\.0\.1:1 +authority +\d+ +up +never asked +0 +0 +- +0 B +-$/m);
    expect(z.array(registrySourcesSchema).parse(await json('sources'))[0]?.registry).toBe('docker.io');
  });

  test('explain tells of an image that could not be pulled why', async () => {
    expect((await fetch(`${server.url}/v2/library/debian/manifests/12`)).status).toBe(503);
    expect((await run('sources')).stdout).toMatch(/(open \(\d+ m?s\)|half-open) +refused, \d+ m?s ago/);
    const { stdout, code } = await run('explain', 'debian:12');
    expect(code).toBe(0);
    expect(stdout).toContain('library/debian');
    expect(stdout).toContain('not known here');
    expect(stdout).toMatch(/last failure .* ago\)/);
    expect(stdout).toContain('http://127.0.0.1:1 refused');
    const found = z.strictObject(explanationSchema.shape).parse(await json('explain', 'debian:12'));
    expect(found).toMatchObject({ image: 'debian:12', cached: false, blobs: [] });
    expect(found.lastFailure?.attempts.length).toBeGreaterThan(0);
  });

  test('an image that is not understood fails with its reason', async () => {
    const result = await run('explain', 'UPPER');
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toMatch(/^error: invalid repository name/);
  });
});

describe('the login', () => {
  test('comes from a file, from the environment, or from the data folder of the configuration', async () => {
    const file = join(folder.path, 'secret');
    writeFileSync(file, `${server.adminPassword}\n`);
    const list = ['project', 'list', '--url', server.url];
    const cwd = folder.path;
    expect((await runCli([...list, '--password-file', file], { cwd })).code).toBe(0);
    expect((await runCli(list, { cwd, env: { BREAKWATER_PASSWORD: server.adminPassword } })).code).toBe(0);
    expect((await runCli(list, { cwd, env: { BREAKWATER_DATA: server.dataDir } })).code).toBe(0);
    expect((await runCli(['project', 'list', '--data', server.dataDir], { cwd, env: { BREAKWATER_URL: server.url } })).code).toBe(0);
    const derived = { BREAKWATER_LISTEN: `127.0.0.1:${server.port}`, BREAKWATER_DATA: server.dataDir };
    expect((await runCli(['project', 'list'], { cwd, env: derived })).code).toBe(0);
  });

  test('a wrong one fails and says where it is taken from', async () => {
    const result = await runCli(['project', 'list', '--url', server.url], {
      cwd: folder.path,
      env: { BREAKWATER_PASSWORD: 'wrong-password' },
    });
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toMatch(/^error: unknown user or wrong password\nhint: .*--password-file/);
    expect(result.stderr).not.toContain('wrong-password');
  });

  test('a missing one is told when the server answers', async () => {
    const result = await runCli(['project', 'list', '--url', server.url], { cwd: folder.path });
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(`${join(folder.path, 'data/admin.password')} does not exist`);
    expect(result.stderr).toContain('hint: say where the server keeps its data with --data DIR');
  });

  test('a proxy from the environment is not asked for this machine', async () => {
    const env = { HTTP_PROXY: 'http://127.0.0.1:1', http_proxy: 'http://127.0.0.1:1', BREAKWATER_DATA: server.dataDir };
    expect(await runCli(['project', 'list', '--url', server.url], { env })).toMatchObject({ code: 0 });
  });
});
