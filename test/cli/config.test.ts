// `breakwater config check|print`: what is wrong is named with file, line, key and expectation; what holds is printed without passwords.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { makeFolder, runCli } from './run.ts';

const folder = makeFolder();
const good = join(folder.path, 'good.yaml');
const bad = join(folder.path, 'bad.yaml');
const cwd = folder.path;

beforeAll(() => {
  writeFileSync(
    good,
    [
      'listen: 127.0.0.1:7000',
      'registries:',
      '  corp.example:',
      '    sources:',
      '      - { url: "https://corp.example", trust: authority, credentials: { username: robot, password: topsecret } }',
      '',
    ].join('\n'),
  );
  writeFileSync(bad, 'listen: 0.0.0.0:5000\nmirror:\n  tag_ttl: soon\nregistrys: {}\n');
});
afterAll(() => folder.remove());

test('check of a good file says what it means', async () => {
  const result = await runCli(['config', 'check', '--config', good], { cwd });
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(result.stdout).toContain(`${good} can be used: listens on 127.0.0.1:7000`);
  const machine = await runCli(['config', 'check', '--config', good, '--data', 'elsewhere', '--json'], { cwd });
  expect(JSON.parse(machine.stdout)).toMatchObject({ valid: true, file: good, listen: '127.0.0.1:7000', data: join(cwd, 'elsewhere') });
});

test('check of a bad file names file, line, key and what was expected, and ends with 1', async () => {
  const result = await runCli(['config', 'check', '--config', bad], { cwd });
  expect(result).toMatchObject({ code: 1, stdout: '' });
  expect(result.stderr).toContain(`${bad}:3: mirror.tag_ttl: "soon" is not understood; expected a duration`);
  expect(result.stderr).toMatch(/bad\.yaml:4: .*registrys/);
  const machine = await runCli(['config', 'check', '--config', bad, '--json'], { cwd });
  expect(machine.code).toBe(1);
  expect(JSON.parse(machine.stdout)).toMatchObject({
    valid: false,
    file: bad,
    problems: [{ origin: bad, line: 3, key: 'mirror.tag_ttl' }, { line: 4 }],
  });
});

test('serve refuses a bad file, and a bad option, with the same words and starts nothing', async () => {
  for (const words of [
    ['--config', bad],
    ['--config', join(folder.path, 'absent.yaml')],
    ['--listen', 'nonsense'],
  ]) {
    const result = await runCli(['serve', ...words], { cwd });
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toContain(words[1] ?? '');
  }
  expect(existsSync(join(folder.path, 'data'))).toBe(false);
});

test('print gives a config file of the same meaning, without the passwords', async () => {
  const result = await runCli(['config', 'print', '--config', good], { cwd });
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(result.stdout).not.toContain('topsecret');
  const copy = join(folder.path, 'copy.yaml');
  writeFileSync(copy, result.stdout);
  // The registries of the presets are printed one by one, the presets themselves as off.
  const {
    registries: _,
    presets: presetsBefore,
    ...original
  } = loadConfig({ file: good, env: {}, overrides: { data: join(cwd, 'data') } });
  const { registries: __, presets: presetsAfter, ...printed } = loadConfig({ file: copy, env: {} });
  expect(printed).toEqual(original);
  expect(presetsAfter).toEqual({ ...presetsBefore, isMirrored: false });
  const machine = await runCli(['config', 'print', '--config', good, '--json'], { cwd });
  expect(JSON.parse(machine.stdout)).toEqual(parse(result.stdout));
});

test('without a file the defaults hold, and the environment names one', async () => {
  expect((await runCli(['config', 'check'], { cwd })).stdout).toContain(
    'there is no config file; the defaults can be used: listens on 0.0.0.0:5000',
  );
  expect((await runCli(['config', 'check'], { cwd, env: { BREAKWATER_CONFIG: bad } })).code).toBe(1);
});

test('check warns of sources that the egress policy keeps from working, and the file can still be used', async () => {
  const file = join(folder.path, 'egress.yaml');
  writeFileSync(file, 'egress: { registries: { deny: [quay.io] }, hosts: { deny: [auth.docker.io] } }\n');
  const result = await runCli(['config', 'check', '--config', file], { cwd });
  expect(result.code).toBe(0);
  expect(result.stderr.trim().split('\n').toSorted()).toEqual([
    'warning: docker.io: token service https://auth.docker.io of the source https://registry-1.docker.io: the host auth.docker.io may not be contacted (egress.hosts.deny: auth.docker.io)',
    'warning: the registry quay.io may not be contacted (egress.registries.deny: quay.io)',
  ]);
  const machine = await runCli(['config', 'check', '--config', file, '--json'], { cwd });
  expect(JSON.parse(machine.stdout)).toMatchObject({ valid: true, warnings: expect.arrayContaining([expect.stringContaining('quay.io')]) });
});
