// `breakwater sources import`: what it prints, that what it prints is a config file, and that nothing happens without --yes.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { makeFolder, runCli } from '../cli/run.ts';

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
