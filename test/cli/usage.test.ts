// Command lines that are not understood end with 2, say why on standard error and start nothing; help and version are asked of no server.

import { describe, expect, test } from 'bun:test';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import pkg from '../../package.json' with { type: 'json' };
import { makeFolder, runCli, runProgram } from './run.ts';

const root = join(import.meta.dir, '../..');

describe('a command line that is not understood', () => {
  const cases: readonly (readonly [words: readonly string[], said: string])[] = [
    [[], 'Usage: breakwater'],
    [['serv'], "unknown command 'serv'"],
    [['project'], 'Usage: breakwater project'],
    [['project', 'crate', 'x'], 'Did you mean create?'],
    [['project', 'create'], "missing required argument 'name'"],
    [['project', 'create', 'a', 'b'], 'too many arguments'],
    [['project', 'create', 'a', '--kind', 'remote'], 'Allowed choices are local, mirror, overlay'],
    [['project', 'create', 'a', '--pubic'], "unknown option '--pubic'"],
    [['serve', 'now'], 'too many arguments'],
    [['serve', '--data'], 'argument missing'],
    [['explain'], "missing required argument 'image'"],
    [['project', 'list', '--password', 'x'], "unknown option '--password'"],
    [['sources', '--url', 'localhost:5000'], '--url: "localhost:5000" is not understood'],
  ];
  for (const [words, said] of cases) {
    test(`breakwater ${words.join(' ')}`, async () => {
      const result = await runCli(words);
      expect(result.stderr).toContain(said);
      expect(result).toMatchObject({ code: 2, stdout: '' });
    });
  }
});

describe('without a server', () => {
  test('help goes to standard output and ends with 0', async () => {
    for (const words of [['--help'], ['serve', '--help'], ['project', 'create', '-h']]) {
      const result = await runCli(words);
      expect(result).toMatchObject({ code: 0, stderr: '' });
      expect(result.stdout).toStartWith('Usage: breakwater');
      expect(result.stdout).toContain('Examples:');
    }
  });

  test('the version is told, also as JSON', async () => {
    expect(await runCli(['version'])).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining(`breakwater ${pkg.version} (Bun `),
    });
    expect(await runCli(['--version'])).toMatchObject({ code: 0, stdout: `${pkg.version}\n` });
    expect(JSON.parse((await runCli(['version', '--json'])).stdout)).toEqual({
      version: pkg.version,
      bun: Bun.version,
      platform: process.platform,
      architecture: process.arch,
    });
  });

  test('a command that needs one says that none is running, and how to start one', async () => {
    const folder = makeFolder();
    try {
      const result = await runCli(['project', 'list', '--url', 'http://127.0.0.1:1'], { cwd: folder.path });
      expect(result).toEqual({
        code: 1,
        stdout: '',
        stderr:
          'error: no server is running at http://127.0.0.1:1\nhint: start one with `breakwater serve`, or name the address of another one with --url\n',
      });
    } finally {
      folder.remove();
    }
  });

  test('bin/breakwater works through a link in another folder, from a third', async () => {
    const folder = makeFolder();
    try {
      symlinkSync(join(root, 'bin/breakwater'), join(folder.path, 'bw'));
      expect(await runProgram([join(folder.path, 'bw'), 'version'], { cwd: '/' })).toMatchObject({ code: 0, stderr: '' });
      expect(await runProgram([join(folder.path, 'bw'), 'nope'], { cwd: '/' })).toMatchObject({ code: 2 });
    } finally {
      folder.remove();
    }
  });

  test('output that is longer than a pipe arrives whole, and a reader that leaves is no failure', async () => {
    const folder = makeFolder();
    try {
      const sources = Array.from({ length: 64 }, (_, index) => ({ url: `https://mirror-${index}.example`, trust: 'digest-only' }));
      const registries = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`registry-${index}.example`, { sources }]));
      const file = join(folder.path, 'big.yaml');
      await Bun.write(file, JSON.stringify({ registries }));
      const printed = await runCli(['config', 'print', '--json', '--config', file]);
      expect(printed.stdout.length).toBeGreaterThan(500_000);
      expect(JSON.parse(printed.stdout).registries['registry-59.example'].sources).toHaveLength(64);
      const command = `"$0" "$1" config print --config "$2" | head -c 10; echo " \${PIPESTATUS[0]}"`;
      const cut = await runProgram(['bash', '-c', command, process.execPath, join(root, 'src/main.ts'), file]);
      expect(cut).toEqual({ code: 0, stderr: '', stdout: 'listen: 0. 0\n' });
    } finally {
      folder.remove();
    }
  });
});
