// Logins that come from files and programs: real ones, each in a folder of its own.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFakeClock } from '../../src/lib/clock.ts';
import { fileCredential, helperCredential } from '../../src/upstream/credentials.ts';
import { failureOf } from './set-up.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-credentials-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const never = new AbortController().signal;

/** A program that appends its arguments and its input to a file, then does what `body` says. */
function program(name: string, body: string): { path: string; runs: () => string[] } {
  const path = join(folder, name);
  const log = `${path}.log`;
  writeFileSync(log, '');
  writeFileSync(path, `#!/bin/sh\nread server\necho "$* $server" >> ${log}\n${body}\n`, { mode: 0o755 });
  return { path, runs: () => readFileSync(log, 'utf8').split('\n').slice(0, -1) };
}

describe('a password file', () => {
  test('is read again when it has changed, and the last password read serves while it is missing', async () => {
    const path = join(folder, 'password');
    const clock = createFakeClock();
    const credential = fileCredential({ username: 'u', path, clock });
    const password = async (): Promise<string> => (await credential.get(never)).password.reveal();
    expect((await failureOf(credential.get(never))).verdict).toBe('token-error');
    writeFileSync(path, 'one\n');
    expect(await password()).toBe('one');
    writeFileSync(`${path}.new`, 'two');
    utimesSync(`${path}.new`, 1, 1);
    renameSync(`${path}.new`, path);
    expect(await password()).toBe('one');
    clock.advance(1_000);
    expect(await password()).toBe('two');
    rmSync(path);
    clock.advance(1_000);
    expect(await password()).toBe('two');
  });
});

describe('a credential helper', () => {
  test('of docker’s kind is told `get` and the server, once for all who wait, and again when its login is old', async () => {
    const { path, runs } = program('docker-credential-fake', `echo '{"ServerURL":"x","Username":"AWS","Secret":"s1"}'`);
    const clock = createFakeClock();
    const credential = helperCredential({ command: [path], serverUrl: 'r.example', clock, cacheMs: 60_000 });
    const logins = await Promise.all(Array.from({ length: 5 }, () => credential.get(never)));
    expect(logins.map((login) => `${login.username} ${login.password.reveal()}`)).toEqual(new Array<string>(5).fill('AWS s1'));
    expect(runs()).toEqual(['get r.example']);
    clock.advance(59_000);
    // Old but good: used at once, while a new one is fetched.
    expect((await credential.get(never)).password.reveal()).toBe('s1');
    clock.advance(2_000);
    await credential.get(never);
    expect(runs()).toHaveLength(2);
    await helperCredential({ command: [path], serverUrl: 'registry-1.docker.io' }).get(never);
    expect(runs().at(-1)).toBe('get https://index.docker.io/v1/');
  });

  test('that tells how long its login lasts is run again after that, and after a refusal', async () => {
    const { path, runs } = program('plain', `echo '{"username":"u","password":"p","expires_in":100}'`);
    const clock = createFakeClock();
    const credential = helperCredential({ command: [path, 'print'], serverUrl: 'r', clock });
    await credential.get(never);
    clock.advance(79_000);
    await credential.get(never);
    expect(runs()).toEqual(['print r']);
    clock.advance(22_000);
    await credential.get(never);
    expect(runs()).toHaveLength(2);
    credential.forget?.();
    await credential.get(never);
    expect(runs()).toHaveLength(2);
    clock.advance(30_000);
    credential.forget?.();
    await credential.get(never);
    expect(runs()).toHaveLength(3);
  });

  test.each([
    ['fails', 'echo secret-text; exit 3', 'exit code 3'],
    ['prints no login', 'echo secret-text', 'no JSON'],
    ['prints without end', 'while :; do echo secret-text-secret-text-secret-text-secret-text-secret-text; done', 'more than 65536'],
    ['never ends', 'sleep 1000', 'within 300 ms'],
    ['leaves a child that holds the pipe', 'sleep 1000 & exit 0', 'within 300 ms'],
  ])('that %s is a token error without a word of what it printed, and is left alone for a while', async (name, body, detail) => {
    const { path, runs } = program(name.replaceAll(' ', '-'), body);
    const clock = createFakeClock();
    const timeoutMs = detail.includes('300 ms') ? 300 : 20_000;
    const credential = helperCredential({ command: [path, 'x'], serverUrl: 'r', clock, timeoutMs });
    const error = await failureOf(credential.get(never));
    expect(error.verdict).toBe('token-error');
    expect(error.detail).toContain(detail);
    expect(String(error)).not.toContain('secret-text');
    const runsBefore = runs().length;
    await failureOf(credential.get(never));
    expect(runs()).toHaveLength(runsBefore);
    clock.advance(10_000);
    await failureOf(credential.get(never));
    expect(runs().length).toBeGreaterThanOrEqual(runsBefore);
  });

  test('that does not exist is a token error that names it', async () => {
    const error = await failureOf(helperCredential({ command: [join(folder, 'nowhere')], serverUrl: 'r' }).get(never));
    expect([error.verdict, error.detail]).toEqual(['token-error', 'the credential helper nowhere cannot be started (ENOENT)']);
  });

  test('is not run by a shell', async () => {
    const { path, runs } = program('quoted', `echo '{"username":"u","password":"p"}'`);
    await helperCredential({ command: [path, '$(touch x); `id`'], serverUrl: 'a;b' }).get(never);
    expect(runs()).toEqual(['$(touch x); `id` a;b']);
  });
});
