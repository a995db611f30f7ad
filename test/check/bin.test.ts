// The command `breakwater` as npm installs it: a link in node_modules/.bin, Bun in the package's own node_modules or in one above it.

import { afterAll, expect, test } from 'bun:test';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dir, '../..');
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'breakwater bin-')));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const program = 'console.log(JSON.stringify({ pid: process.pid, args: process.argv.slice(2), bun: process.execPath })); process.exit(7);\n';

/** A package `breakwater` at this path of the temporary folder whose program tells how it was started. */
function installAt(path: string): string {
  const home = join(folder, path);
  mkdirSync(join(home, 'src'), { recursive: true });
  cpSync(join(root, 'bin'), join(home, 'bin'), { recursive: true });
  writeFileSync(join(home, 'src/main.ts'), program);
  return home;
}

function linkBun(path: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  symlinkSync(join(root, 'node_modules/bun'), join(folder, path));
}

async function start(command: string): Promise<{ code: number; told: { pid: number; args: string[]; bun: string }; pid: number }> {
  const child = Bun.spawn([command, 'one', 'two words'], { cwd: '/', stdout: 'pipe', stderr: 'inherit', env: { PATH: '/usr/bin:/bin' } });
  const told = JSON.parse(await child.stdout.text());
  return { code: await child.exited, told, pid: child.pid };
}

test('a link of a link finds the package, and Bun in a folder above it', async () => {
  installAt('app/node_modules/breakwater');
  linkBun('app/node_modules/bun');
  mkdirSync(join(folder, 'app/node_modules/.bin'));
  symlinkSync('../breakwater/bin/breakwater', join(folder, 'app/node_modules/.bin/breakwater'));
  symlinkSync(join(folder, 'app/node_modules/.bin/breakwater'), join(folder, 'link'));
  const { code, told, pid } = await start(join(folder, 'link'));
  expect(code).toBe(7);
  expect(told.args).toEqual(['one', 'two words']);
  expect(told.pid).toBe(pid);
});

test("the package's own Bun comes first", async () => {
  const home = installAt('own');
  linkBun('own/node_modules/bun');
  const { code, told, pid } = await start(join(home, 'bin/breakwater'));
  expect(code).toBe(7);
  expect(told.pid).toBe(pid);
});

test('without Bun it says what to do and ends with 127', () => {
  const home = installAt('bare');
  const run = Bun.spawnSync([join(home, 'bin/breakwater')], { env: { PATH: '/usr/bin:/bin' } });
  expect(run.stderr.toString()).toContain('npm ci');
  expect(run.exitCode).toBe(127);
});
