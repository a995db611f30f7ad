// The master key and the sealed passwords of a real server: what its data folder holds, and what becomes of a wrong key and of tampering.

import { Database as SqliteFile } from 'bun:sqlite';
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { postJson } from '../api/client.ts';
import { runCli } from '../cli/run.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { imageOf } from '../mirror/images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { filesHolding } from './files.ts';

const password = 'canary-of-a-source-4711';
const config = 'presets: false\nprobes: { enabled: false }\n';
const image = imageOf([100]);
let dataDir: string;
let elsewhere: string;
let server: RunningBreakwater | undefined;
let guarded: FakeSource;

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'breakwater-secrets-'));
  elsewhere = mkdtempSync(join(tmpdir(), 'breakwater-elsewhere-'));
  guarded = await startFakeSource();
  guarded.add('team/app', image, '1');
  guarded.rule((request) =>
    request.headers['authorization'] === `Basic ${btoa(`robot:${password}`)}`
      ? undefined
      : { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' }, body: Buffer.from('{}') },
  );
});
afterEach(async () => {
  await server?.stop();
  server = undefined;
  await guarded.stop();
  for (const folder of [dataDir, elsewhere]) rmSync(folder, { recursive: true, force: true });
});

async function start(env: Record<string, string> = {}): Promise<RunningBreakwater> {
  server = await startBreakwater({ config, dataDir, env });
  return server;
}

async function stop(): Promise<void> {
  await server?.stop();
  server = undefined;
}

/** A public mirror whose only source wants the password. */
async function addGuarded(running: RunningBreakwater, registry = 'guard.test'): Promise<void> {
  const source = { url: guarded.url, trust: 'authority', credentials: { username: 'robot', password } };
  const answer = await postJson(running, '/registries', { name: registry, public: true, sources: [source] });
  expect(answer.status).toBe(201);
}

/** The status of a pull that has to ask the source. */
async function pullStatus(running: RunningBreakwater, registry = 'guard.test'): Promise<number> {
  const response = await fetch(`${running.url}/v2/${registry}/team/app/manifests/1`);
  await response.arrayBuffer();
  return response.status;
}

function onFile<T>(task: (file: SqliteFile) => T): T {
  const file = new SqliteFile(join(dataDir, 'db', 'breakwater.sqlite'));
  try {
    return task(file);
  } finally {
    file.close();
  }
}

test('a password given to the API is used after a restart, and lies nowhere in the data folder', async () => {
  await addGuarded(await start());
  await stop();
  expect(filesHolding(dataDir, password)).toEqual([]);
  expect(statSync(join(dataDir, 'master.key')).mode & 0o777).toBe(0o600);
  expect(await pullStatus(await start())).toBe(200);
});

test('SEC-I02: with another master key the server does not start and says so, and the right one opens everything again', async () => {
  await addGuarded(await start());
  await stop();
  const file = join(dataDir, 'master.key');
  const right = readFileSync(file, 'utf8');
  writeFileSync(file, randomBytes(32).toString('base64'));
  const failure = String(await start().catch((error) => error));
  expect(failure).toContain('MASTER_KEY_WRONG');
  expect(failure).toContain('breakwater secrets status');
  const status = await runCli(['secrets', 'status', '--data', dataDir]);
  expect([status.code, status.stdout]).toEqual([1, expect.stringContaining('MASTER_KEY_WRONG')]);
  rmSync(file);
  expect(String(await start().catch((error) => error))).toContain('MASTER_KEY_MISSING');
  expect(existsSync(file)).toBe(false);
  writeFileSync(file, right);
  expect(await pullStatus(await start())).toBe(200);
});

test('SEC-I03: a password moved to another source is not sent there, and the other sources go on', async () => {
  const running = await start();
  await addGuarded(running);
  const other = await startFakeSource();
  other.rule(() => ({ status: 401, headers: { 'www-authenticate': 'Basic realm="x"' }, body: Buffer.from('{}') }));
  const thief = { url: other.url, trust: 'authority', credentials: { username: 'robot', password: 'another' } };
  expect((await postJson(running, '/registries', { name: 'thief.test', public: true, sources: [thief] })).status).toBe(201);
  await stop();
  onFile((file) =>
    file.run(
      "update source set credentials = (select credentials from source where registry = 'guard.test') where registry = 'thief.test'",
    ),
  );
  const again = await start();
  expect(await pullStatus(again, 'thief.test')).toBe(503);
  expect(JSON.stringify(other.requests)).not.toContain(btoa(`robot:${password}`));
  expect(await pullStatus(again)).toBe(200);
  await stop();
  await other.stop();
});

test('SEC-I03: a sealed password with one letter changed opens nothing, and its text is never sent as a password', async () => {
  await addGuarded(await start());
  await stop();
  onFile((file) => {
    const { credentials } = file.query("select credentials from source where registry = 'guard.test'").get() as { credentials: string };
    const at = credentials.indexOf('v1:') + 20;
    const changed = credentials.slice(0, at) + (credentials[at] === 'A' ? 'B' : 'A') + credentials.slice(at + 1);
    file.run("update source set credentials = ? where registry = 'guard.test'", [changed]);
  });
  expect(await pullStatus(await start())).toBe(503);
  expect(guarded.requests.filter((request) => request.headers['authorization'] !== undefined)).toEqual([]);
});

test('passwords that an older version kept as they were are sealed at the start, and nothing of them is left in the files', async () => {
  await addGuarded(await start());
  await stop();
  onFile((file) =>
    file.run("update source set credentials = ? where registry = 'guard.test'", [JSON.stringify([{ username: 'robot', password }])]),
  );
  expect(filesHolding(dataDir, password).length).toBeGreaterThan(0);
  const running = await start();
  expect(running.logs()).toContain('sources.passwords-sealed');
  expect(await pullStatus(running)).toBe(200);
  await stop();
  expect(filesHolding(dataDir, password)).toEqual([]);
});

test('a key file outside of the data folder: all is sealed with it, and a copy of the folder alone opens nothing', async () => {
  const env = { BREAKWATER_MASTER_KEY_FILE: join(elsewhere, 'key') };
  await addGuarded(await start(env));
  await stop();
  expect(existsSync(join(dataDir, 'master.key'))).toBe(false);
  expect(String(await start().catch((error) => error))).toContain('MASTER_KEY_MISSING');
  expect(await pullStatus(await start(env))).toBe(200);
});

test('a re-wrap on a stopped server: the new key opens everything, the old one nothing', async () => {
  await addGuarded(await start());
  const newKey = join(elsewhere, 'new.key');
  const words = ['secrets', 'rewrap', '--data', dataDir, '--new-key-file', newKey];
  const running = await runCli(words);
  expect([running.code, running.stderr]).toEqual([1, expect.stringContaining('another Breakwater is running')]);
  await stop();
  const old = readFileSync(join(dataDir, 'master.key'), 'utf8');
  const done = await runCli([...words, '--json']);
  expect(done.stderr).toBe('');
  expect(JSON.parse(done.stdout)).toMatchObject({ values: expect.any(Number), made: true });
  expect(readFileSync(join(dataDir, 'master.key'), 'utf8')).toBe(readFileSync(newKey, 'utf8'));
  const again = await runCli([...words, '--json']);
  expect(JSON.parse(again.stdout)).toMatchObject({ values: 0 });
  const status = await runCli(['secrets', 'status', '--data', dataDir, '--json']);
  expect([status.code, JSON.parse(status.stdout).state]).toEqual([0, 'ok']);
  for (const text of [done.stdout, again.stdout, status.stdout])
    for (const key of [old, readFileSync(newKey, 'utf8')]) expect(text).not.toContain(key.trim());
  expect(await pullStatus(await start())).toBe(200);
  await stop();
  writeFileSync(join(dataDir, 'master.key'), old);
  expect(String(await start().catch((error) => error))).toContain('MASTER_KEY_WRONG');
});
