// The commands about people against a real server: a login that is kept, users, members, groups and roles, and the way back in from the host.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CliResult, makeFolder, runCli } from '../cli/run.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { callerOf, goodPassword, makeUser } from './callers.ts';

let server: RunningBreakwater;
const folder = makeFolder();
const config = join(folder.path, 'config');
const loginsFile = join(config, 'breakwater', 'logins.json');
const limitMs = 90_000;

beforeAll(async () => {
  server = await startBreakwater({ config: JSON.stringify({ presets: false }) });
});
afterAll(async () => {
  await server?.stop();
  folder.remove();
});

/** With the logins of a folder of its own, and nothing of the server's data. */
function run(...words: readonly string[]): Promise<CliResult> {
  return runCli(words, { cwd: folder.path, env: { XDG_CONFIG_HOME: config } });
}

async function json<T>(...words: readonly string[]): Promise<T> {
  const result = await run(...words, '--json');
  expect(result).toMatchObject({ code: 0, stderr: '' });
  return JSON.parse(result.stdout) as T;
}

function keep(name: string, text: string): string {
  const file = join(folder.path, name);
  writeFileSync(file, `${text}\n`);
  return file;
}

describe('login', () => {
  test(
    'keeps a token instead of the password, for nobody else to read, and is what the other commands use',
    async () => {
      const wrong = await run('login', server.url, '--user', 'admin', '--password-file', keep('wrong', 'not the password'));
      expect([wrong.code, existsSync(loginsFile)]).toEqual([1, false]);
      const file = keep('right', server.adminPassword);
      const kept = await json<{ kept: string; user: string }>('login', server.url, '--user', 'ADMIN', '--password-file', file);
      expect(kept).toMatchObject({ kept: 'token', user: 'admin' });
      expect(statSync(loginsFile).mode & 0o777).toBe(0o600);
      expect(readFileSync(loginsFile, 'utf8')).not.toContain(server.adminPassword);
      expect(await json<{ name: string }[]>('project', 'list')).toContainEqual(expect.objectContaining({ name: 'library' }));
      chmodSync(loginsFile, 0o644);
      const open = await run('project', 'list');
      expect([open.code, open.stderr]).toEqual([1, expect.stringContaining('can be read by others')]);
      chmodSync(loginsFile, 0o600);
    },
    limitMs,
  );

  test(
    'with a wrong address fails, and without a password says how to give one',
    async () => {
      const nobody = await run('login', server.url, '--user', 'anna');
      expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining('--password-file')]);
      const noAddress = await run('login', 'registry.example', '--user', 'anna');
      expect(noAddress.code).toBe(2);
    },
    limitMs,
  );
});

describe('people', () => {
  test(
    'users are made with a password that is told once, changed, switched off and deleted',
    async () => {
      const made = await json<{ password: string; user: { user_id: number } }>('user', 'create', 'cli-anna', '--email', 'a@example.org');
      expect(made.password).toMatch(/^[\w-]{22}$/);
      expect((await callerOf(server, 'cli-anna', made.password).get('/users/current')).status).toBe(200);
      expect(await json<{ created: boolean }>('user', 'create', 'cli-anna', '--if-absent')).toMatchObject({ created: false });
      expect((await run('user', 'create', 'cli-anna')).stderr).toContain('exists already');
      const listed = await run('user', 'list', '--search', 'cli-');
      expect(listed.stdout).toMatch(/^ID +NAME +KIND +STATE +PROVIDER +EMAIL +LAST LOGIN$/m);
      expect(listed.stdout).toMatch(/cli-anna +user +on +local +a@example\.org/);
      expect(await json<object>('user', 'set', 'CLI-ANNA', '--auditor', '--email', '')).toMatchObject({ auditor_flag: true, email: '' });
      expect((await run('user', 'set', 'cli-anna')).code).toBe(2);
      expect(await json<object>('user', 'disable', 'cli-anna')).toMatchObject({ disabled: true });
      expect(await json<object>('user', 'enable', 'cli-anna')).toMatchObject({ disabled: false });
      const changed = await run('user', 'password', 'cli-anna', '--new-password-file', keep('new', 'another good one'), '--must-change');
      expect(changed).toMatchObject({ code: 0, stdout: 'changed the password of cli-anna\n' });
      expect(await json<object>('user', 'delete', 'cli-anna')).toEqual({ deleted: true, name: 'cli-anna' });
      expect(await json<object>('user', 'delete', 'cli-anna', '--if-exists')).toEqual({ deleted: false, name: 'cli-anna' });
    },
    limitMs,
  );

  test(
    'members, groups, roles and rules are named by their names',
    async () => {
      await makeUser(server, callerOf(server, 'admin', server.adminPassword), 'cli-bob');
      expect((await run('project', 'create', 'cli-team')).code).toBe(0);
      expect(await json<object>('member', 'add', 'cli-team', 'cli-bob', '--role', 'developer')).toMatchObject({ role_id: 2 });
      expect((await run('member', 'add', 'cli-team', 'cli-bob', '--role', 'emperor')).stderr).toContain('projectAdmin, maintainer');
      expect((await run('member', 'set', 'cli-team', 'cli-bob', '--role', 'guest')).stdout).toBe('cli-bob is guest of cli-team now\n');
      expect((await run('group', 'create', 'cli-ops')).code).toBe(0);
      expect((await run('group', 'add', 'cli-ops', 'cli-bob')).stdout).toBe('cli-bob is in cli-ops\n');
      expect((await run('member', 'add', 'cli-team', 'cli-ops', '--group', '--role', 'maintainer')).code).toBe(0);
      expect((await run('member', 'list', 'cli-team')).stdout).toMatch(/^user +cli-bob +guest\ngroup +cli-ops +maintainer$/m);
      expect((await run('member', 'remove', 'cli-team', 'cli-bob')).code).toBe(0);
      expect(await json<object>('role', 'create', 'cli-puller', 'repository:pull', 'project:read')).toMatchObject({
        actions: ['project:read', 'repository:pull'],
      });
      const rule = await json<{ id: number }>('role', 'grant', 'cli-puller', 'cli-bob', '--projects', 'cli-*');
      expect((await run('role', 'grant', 'cli-puller', 'cli-bob')).code).toBe(2);
      expect((await run('role', 'grants')).stdout).toContain('cli-puller');
      expect((await run('role', 'revoke', String(rule.id))).code).toBe(0);
      expect((await run('role', 'delete', 'cli-puller')).code).toBe(0);
      expect((await run('group', 'delete', 'cli-ops')).code).toBe(0);
    },
    limitMs,
  );

  test(
    'of oneself, the password is not changed by a token that was kept, but by who shows the password',
    async () => {
      const change = ['user', 'password', '--new-password-file', keep('own', 'quite another one')];
      const refused = await run(...change);
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('--password-file')]);
      const shown = await run(...change, '--password-file', keep('old', server.adminPassword));
      expect(shown).toMatchObject({ code: 0, stderr: '' });
      const back = callerOf(server, 'admin', 'quite another one');
      expect((await back.put('/users/1/password', { new_password: server.adminPassword })).status).toBe(200);
    },
    limitMs,
  );

  test(
    'logout forgets the login and ends its token',
    async () => {
      const { logins } = JSON.parse(readFileSync(loginsFile, 'utf8')) as { logins: Record<string, { password: string }> };
      const secret = logins[server.url]?.password ?? '';
      expect((await callerOf(server, 'admin', secret).get('/projects')).status).toBe(200);
      expect(await json<object>('logout')).toEqual({ loggedOut: [server.url] });
      expect((await callerOf(server, 'admin', secret).get('/users/current')).status).toBe(401);
      expect((await run('logout')).stdout).toBe('there was no login to forget\n');
    },
    limitMs,
  );
});

describe('admin reset-password', () => {
  test(
    'opens the door beside a running server and without one, and never a folder that holds no database',
    async () => {
      const own = await startBreakwater({ config: JSON.stringify({ presets: false }), dataDir: makeData() });
      const admin = callerOf(own, 'admin', own.adminPassword);
      const second = await makeUser(own, admin, 'second', { sysadmin_flag: true });
      await callerOf(own, 'second', goodPassword).put('/users/1/disabled', { disabled: true });
      expect((await admin.get('/users/current')).status).toBe(401);
      const words = ['admin', 'reset-password', '--data', own.dataDir];
      const reset = await json<{ password: string }>(...words);
      expect(reset).toMatchObject({ account: 'admin', made: false, wasAdmin: true, wasDisabled: true, mustChangePassword: true });
      expect(existsSync(join(own.dataDir, 'admin.password'))).toBe(false);
      const back = callerOf(own, 'admin', reset.password);
      expect((await back.get('/users/current')).status).toBe(200);
      expect((await back.get('/projects')).code).toBe('DENIED');
      expect((await admin.get('/users/current')).status).toBe(401);
      const change = ['user', 'password', '--url', own.url, '--new-password-file', keep('after', 'quite another one')];
      const env = { XDG_CONFIG_HOME: config, BREAKWATER_PASSWORD: reset.password, BREAKWATER_USER: 'admin' };
      expect(await runCli(change, { cwd: folder.path, env })).toMatchObject({ code: 0, stdout: 'changed the password of admin\n' });
      expect((await callerOf(own, 'admin', 'quite another one').get('/projects')).status).toBe(200);
      expect((await second.get('/users')).status).toBe(200);
      await own.stop();
      const chosen = await run(...words, '--new-password-file', keep('chosen', goodPassword));
      expect(chosen).toMatchObject({ code: 0, stderr: '' });
      expect(chosen.stdout).not.toContain(goodPassword);
      const made = await json<{ password: string }>(...words, '--account', 'rescuer');
      expect(made).toMatchObject({ made: true });
      const again = await startBreakwater({ dataDir: own.dataDir, env: { BREAKWATER_ADMIN_PASSWORD: goodPassword } });
      try {
        expect((await callerOf(again, 'admin', goodPassword).get('/projects')).status).toBe(200);
        expect((await callerOf(again, 'rescuer', made.password).get('/users/current')).json<object>()).toMatchObject({
          sysadmin_flag: true,
        });
        const audited = await callerOf(again, 'admin', goodPassword).get('/auditlog-exts?page_size=100');
        expect(audited.text).toContain('"rescuer"');
        expect(audited.text).not.toContain(made.password);
        expect((await callerOf(again, 'admin', goodPassword).get('/audit/verify')).json<object>()).toMatchObject({ whole: true });
      } finally {
        await again.stop();
      }
      const empty = await run('admin', 'reset-password', '--data', join(folder.path, 'empty'));
      expect([empty.code, empty.stderr]).toEqual([1, expect.stringContaining('there is no database')]);
      expect((await run(...words, '--new-password-file', keep('weak', 'password'))).stderr).toContain('widely known');
    },
    limitMs,
  );
});

function makeData(): string {
  const path = join(folder.path, 'reset');
  mkdirSync(path, { mode: 0o700 });
  return path;
}
