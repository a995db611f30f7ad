// `breakwater sources import`: what it prints, that what it prints is a config file, and that nothing happens without --yes.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { registrySourcesSchema, type SourceBody } from '../../src/api/source-schemas.ts';
import { loadConfig } from '../../src/config/load.ts';
import { makeFolder, runCli } from '../cli/run.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';

const folder = makeFolder();
const file = (name: string, text: string): string => {
  const path = join(folder.path, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
};
const cwd = folder.path;
let daemon: string;
let k3s: string;
beforeAll(() => {
  daemon = file(
    'daemon.json',
    JSON.stringify({ 'registry-mirrors': ['https://docker.1ms.run', 'https://hub-mirror.c.163.com', 'http://127.0.0.1:5000'] }),
  );
  file('certs.d/quay.io/hosts.toml', '[host."https://quay.1ms.run"]\ncapabilities = ["pull"]\n');
  file('certs.d/registry.corp.example/hosts.toml', '[host."https://mirror.corp.lan"]\n');
  k3s = file(
    'registries.yaml',
    'mirrors: { docker.io: { endpoint: ["https://harbor.lan"] } }\nconfigs: { harbor.lan: { auth: { username: robot, password: open-sesame } } }\n',
  );
});
afterAll(() => folder.remove());

test('without --yes it tells what it would do and needs no server', async () => {
  const { code, stdout, stderr } = await runCli(['sources', 'import', daemon], { cwd });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('+ https://docker.1ms.run digest-only, priority 10, 1ms');
  expect(stdout).toContain('- https://hub-mirror.c.163.com skipped: it is dead: the service was shut down');
  expect(stdout).toContain('- http://127.0.0.1:5000 skipped: it is this server');
  expect(stdout).toContain('1 to add, 2 skipped\nNothing was changed.');
});

test('a folder of hosts.toml is read whole, and JSON tells the same', async () => {
  const { code, stdout } = await runCli(['sources', 'import', join(cwd, 'certs.d'), daemon, '--json'], { cwd });
  expect(code).toBe(0);
  const document = JSON.parse(stdout) as {
    files: { kind: string }[];
    sources: { registry: string; url: string; action: string; trust: string }[];
  };
  expect(document.files.map((one) => one.kind)).toEqual(['hosts.toml', 'hosts.toml', 'daemon.json']);
  expect(document.sources.filter((one) => one.action === 'add').map((one) => `${one.registry} ${one.url} ${one.trust}`)).toEqual([
    'quay.io https://quay.1ms.run digest-only',
    'registry.corp.example https://mirror.corp.lan digest-only',
    'docker.io https://docker.1ms.run digest-only',
    'registry.corp.example https://registry.corp.example authority',
  ]);
});

test('--print-config gives a config file that holds the mirrors and each registry itself', async () => {
  const { code, stdout } = await runCli(['sources', 'import', join(cwd, 'certs.d'), daemon, k3s, '--print-config'], { cwd });
  expect(code).toBe(0);
  const config = loadConfig({ file: file('printed.yaml', stdout), env: {} });
  const briefly = (registry: string) => config.registries.get(registry)?.sources.map((one) => `${one.url} ${one.trust} ${one.priority}`);
  expect(briefly('docker.io')).toEqual([
    'https://docker.1ms.run digest-only 10',
    'https://harbor.lan digest-only 20',
    'https://registry-1.docker.io authority 100',
  ]);
  expect(briefly('registry.corp.example')).toEqual([
    'https://mirror.corp.lan digest-only 10',
    'https://registry.corp.example authority 100',
  ]);
  expect(config.registries.get('docker.io')?.sources.at(-1)?.realms).toEqual(['https://auth.docker.io']);
});

test('a password is printed only where it was asked for', async () => {
  for (const words of [[], ['--json'], ['--print-config'], ['--with-credentials'], ['--with-credentials', '--json']]) {
    const { stdout, stderr } = await runCli(['sources', 'import', k3s, ...words], { cwd });
    expect([words, `${stdout}${stderr}`.includes('open-sesame')]).toEqual([words, false]);
  }
  const { stdout } = await runCli(['sources', 'import', k3s, '--with-credentials', '--print-config'], { cwd });
  expect(stdout).toContain('password: open-sesame');
});

test('what cannot be read is said with the place, and --yes without a server changes nothing', async () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [[join(cwd, 'absent.json')], 'cannot be read (ENOENT)'],
    [[file('broken.json', '{"registry-mirrors": [')], 'it is no JSON, so Docker does not start with it either'],
    [[file('broken.toml', 'a = [')], 'it is no TOML: line 1'],
    [[file('notes', 'just a text')], 'this is the file of no client known here'],
    [[daemon, '--yes', '--dry-run'], 'exclude each other'],
    [[daemon, '--yes', '--url', 'http://127.0.0.1:1'], 'no server is running'],
  ];
  for (const [words, expected] of cases) {
    const { code, stdout, stderr } = await runCli(['sources', 'import', ...words], { cwd, env: { BREAKWATER_PASSWORD: 'x' } });
    expect(stderr).toContain(expected);
    expect({ stdout, isFailure: code > 0 }).toEqual({ stdout: '', isFailure: true });
  }
});

describe('with --yes', () => {
  let server: RunningBreakwater;
  let answering: FakeSource;
  beforeAll(async () => {
    answering = await startFakeSource();
    server = await startBreakwater();
  });
  afterAll(async () => {
    await server.stop();
    await answering.stop();
  });
  const env = () => ({ BREAKWATER_URL: server.url, BREAKWATER_PASSWORD: server.adminPassword });
  const run = async (...words: readonly string[]) => {
    const result = await runCli(['sources', 'import', ...words], { cwd, env: env() });
    expect({ code: result.code, stderr: result.stderr }).toEqual({ code: 0, stderr: '' });
    return result.stdout;
  };
  const sourcesOf = async (registry: string): Promise<readonly SourceBody[]> => {
    const { stdout } = await runCli(['sources', '--json'], { cwd, env: env() });
    return (
      z
        .array(registrySourcesSchema)
        .parse(JSON.parse(stdout))
        .find((one) => one.registry === registry)?.sources ?? []
    );
  };

  test('the presets are there, and off', async () => {
    const sources = await sourcesOf('docker.io');
    expect(sources.filter((one) => one.enabled).map((one) => one.url)).toEqual(['https://registry-1.docker.io']);
    expect(sources.find((one) => one.url === 'https://docker.1ms.run')).toMatchObject({
      enabled: false,
      origin: 'preset',
      trust: 'digest-only',
      operator: '1ms',
    });
  });

  test('a mirror that is a preset is turned on at the place of the file, another one is added, and a second run finds both', async () => {
    const own = file('own.json', JSON.stringify({ 'registry-mirrors': ['https://docker.1ms.run', answering.url] }));
    const first = await run(own, '--yes');
    expect(first).toMatch(/\+ https:\/\/docker\.1ms\.run .*\[turned on\]/);
    expect(first).toMatch(/\+ http:\/\/127\.0\.0\.1:\d+ .*\[added\]/);
    const sources = await sourcesOf('docker.io');
    const brief = sources.filter((one) => one.enabled).map((one) => [one.url, one.trust, one.priority]);
    expect(brief.toSorted((one, other) => Number(one[2]) - Number(other[2]))).toEqual([
      ['https://docker.1ms.run', 'digest-only', 10],
      [answering.url, 'digest-only', 20],
      ['https://registry-1.docker.io', 'authority', 100],
    ]);
    const second = await run(own, '--yes', '--json');
    expect((JSON.parse(second) as { results: { outcome: string }[] }).results.map((one) => one.outcome)).toEqual([
      'there already',
      'there already',
    ]);
  });

  test('a registry that is new here is made, with itself as the authority', async () => {
    await run(join(cwd, 'certs.d'), '--yes');
    const sources = await sourcesOf('registry.corp.example');
    expect(sources.map((one) => `${one.url} ${one.trust}`).toSorted()).toEqual([
      'https://mirror.corp.lan digest-only',
      'https://registry.corp.example authority',
    ]);
  });

  test('--test tells which of them answer and changes nothing', async () => {
    const one = file('test.json', JSON.stringify({ 'registry-mirrors': ['http://127.0.0.1:1', `${answering.url}/`] }));
    const output = await run(one, '--test', '--json');
    const { tests, results } = JSON.parse(output) as { tests: { url: string; ok: boolean; detail: string }[]; results?: unknown };
    expect(tests.map(({ url }) => url)).toEqual(['http://127.0.0.1:1', answering.url]);
    expect(tests[0]).toMatchObject({ ok: false, detail: expect.stringContaining('refused') });
    // It answers, as a registry that has nothing.
    expect(tests[1]?.detail).not.toContain('refused');
    expect(answering.requests.length).toBeGreaterThan(0);
    expect(results).toBeUndefined();
    expect((await sourcesOf('docker.io')).some((source) => source.url === 'http://127.0.0.1:1')).toBe(false);
  });
});
