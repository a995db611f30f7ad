// `breakwater serve` from the outside: what the first start prints and keeps, how it ends, and what it says when it cannot start.

import { afterEach, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { bunBinary, mainFile } from '../support/breakwater.ts';
import { makeFolder, readUntil, runCli, spawnProgram } from './run.ts';

const root = join(import.meta.dir, '../..');
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function useFolder(): string {
  const folder = makeFolder();
  ends.push(folder.remove);
  return folder.path;
}

interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  readonly detached?: boolean;
}

/** Starts it in a folder and gives what it printed up to the line for daemon.json. It is killed at the end of the test. */
async function start(cwd: string, options: StartOptions = {}) {
  const { env = {}, command = [bunBinary, mainFile, 'serve', '--listen', '127.0.0.1:0'], detached = false } = options;
  const child = spawnProgram(command, { cwd, env, detached });
  const errors = child.stderr.text();
  ends.push(async () => {
    if (detached) signalGroup(child.pid, 'SIGKILL');
    child.kill('SIGKILL');
    await child.exited;
  });
  const text = await readUntil(child.stdout, /registry-mirrors.*\n/).catch(async (cause) => {
    throw new Error(`${String(cause)}\n${await errors}`);
  });
  const url = /ready at (\S+)/.exec(text)?.[1] ?? '';
  return { child, text, url, errors };
}

/** As the terminal does at Ctrl-C. A group that is gone is no failure. */
function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

async function loginStatus(url: string, password: string): Promise<number> {
  return (await fetch(`${url}/api/v2.0/projects`, { headers: { authorization: `Basic ${btoa(`admin:${password}`)}` } })).status;
}

describe('starting', () => {
  test('the first start prints the address, the password once and the line for Docker; later ones where the password is', async () => {
    const cwd = useFolder();
    const first = await start(cwd);
    const file = join(cwd, 'data/admin.password');
    const password = readFileSync(file, 'utf8').trim();
    expect(password.length).toBeGreaterThanOrEqual(20);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(first.text).toContain(`log in        user admin, password ${password}  (also in ${file})`);
    expect(first.text).toContain(`{ "registry-mirrors": ["${first.url}"] }`);
    expect(await loginStatus(first.url, password)).toBe(200);
    first.child.kill('SIGTERM');
    expect(await first.child.exited).toBe(0);
    expect(await first.errors).toContain('"event":"server.stopped"');

    const second = await start(cwd);
    expect(second.text).not.toContain(password);
    expect(second.text).toContain(`log in        user admin, password in ${file}`);
    expect(await loginStatus(second.url, password)).toBe(200);
    second.child.kill('SIGINT');
    expect(await second.child.exited).toBe(0);
    expect(await second.errors).not.toContain(password);
  });

  test('npm start without a config file keeps everything in ./data, and Ctrl-C ends it', async () => {
    const cwd = useFolder();
    for (const name of ['package.json', 'src', 'node_modules']) symlinkSync(join(root, name), join(cwd, name));
    const env = { BREAKWATER_LISTEN: '127.0.0.1:0' };
    const { child, text, url, errors } = await start(cwd, { env, command: ['npm', 'start'], detached: true });
    expect(text).toContain(`data folder   ${join(cwd, 'data')}`);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    signalGroup(child.pid, 'SIGINT');
    await child.exited;
    expect(await errors).toContain('"event":"server.stopped"');
    const again = await start(cwd);
    expect((await fetch(`${again.url}/healthz`)).status).toBe(200);
  });

  test('a given password is used at the first start only, and is neither printed nor kept', async () => {
    const cwd = useFolder();
    const env = { BREAKWATER_ADMIN_PASSWORD: 'a given password' };
    const first = await start(cwd, { env });
    expect(first.text).not.toContain('log in');
    expect(await loginStatus(first.url, 'a given password')).toBe(200);
    first.child.kill('SIGTERM');
    await first.child.exited;
    const second = await start(cwd, { env: { BREAKWATER_ADMIN_PASSWORD: 'another password' } });
    expect(await loginStatus(second.url, 'another password')).toBe(401);
    expect(await loginStatus(second.url, 'a given password')).toBe(200);
  });

  test('a known or short password is refused, and a good one is taken after that', async () => {
    const cwd = useFolder();
    for (const [password, said] of [
      ['short', 'is too short'],
      ['Harbor12345', 'is widely known'],
    ] as const) {
      const result = await runCli(['serve', '--listen', '127.0.0.1:0'], { cwd, env: { BREAKWATER_ADMIN_PASSWORD: password } });
      expect(result).toMatchObject({ code: 1, stdout: '' });
      expect(result.stderr).toContain(`BREAKWATER_ADMIN_PASSWORD ${said}`);
    }
    const { url } = await start(cwd, { env: { BREAKWATER_ADMIN_PASSWORD: 'a good password' } });
    expect(await loginStatus(url, 'a good password')).toBe(200);
  });
});

describe('not starting', () => {
  test('a second server on the same data folder is refused, and the first one is not harmed', async () => {
    const cwd = useFolder();
    const { url } = await start(cwd);
    const result = await runCli(['serve', '--listen', '127.0.0.1:0'], { cwd });
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toMatch(/^error: .*another Breakwater is running on .*data; stop it or choose another folder with --data\n$/);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  test('a killed server leaves no lock behind', async () => {
    const cwd = useFolder();
    const first = await start(cwd);
    first.child.kill('SIGKILL');
    await first.child.exited;
    const second = await start(cwd);
    expect((await fetch(`${second.url}/healthz`)).status).toBe(200);
  });

  test('a port in use is named, and nothing stays locked; the password of that first boot is kept', async () => {
    const cwd = useFolder();
    const other = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response('other') });
    ends.push(() => other.stop(true));
    const result = await runCli(['serve', '--listen', `127.0.0.1:${other.port}`], { cwd });
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toMatch(new RegExp(`^error: 127\\.0\\.0\\.1:${other.port} is in use by another program\\nhint: .*--listen`));
    const { url, text } = await start(cwd);
    expect(text).toContain('password in');
    expect(await loginStatus(url, readFileSync(join(cwd, 'data/admin.password'), 'utf8').trim())).toBe(200);
  });

  test('an address of another machine is named', async () => {
    const cwd = useFolder();
    const result = await runCli(['serve', '--listen', '203.0.113.1:0'], { cwd });
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toContain('203.0.113.1:0 is not an address of this machine');
  });

  test('a data folder that is a file, or lies below one, is named', async () => {
    const cwd = useFolder();
    await Bun.write(join(cwd, 'file'), 'x');
    for (const data of ['file', 'file/below']) {
      const result = await runCli(['serve', '--listen', '127.0.0.1:0', '--data', data], { cwd });
      expect(result).toMatchObject({ code: 1, stdout: '' });
      expect(result.stderr).toContain(`the data folder ${join(cwd, data)} cannot be used`);
      expect(result.stderr).toContain('--data DIR');
    }
  });

  test('a data folder that was removed is simply made again', async () => {
    const cwd = useFolder();
    mkdirSync(join(cwd, 'data'));
    rmSync(join(cwd, 'data'), { recursive: true });
    const { url } = await start(cwd);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});
