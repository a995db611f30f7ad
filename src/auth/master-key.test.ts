import { afterEach, beforeEach, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../db/database.ts';
import { getMeta } from '../db/projects.ts';
import { openSqliteDatabase } from '../db/sqlite.ts';
import { Secret } from '../lib/secret.ts';
import { MasterKeyError, openSecrets, parseMasterKey } from './master-key.ts';

let dataDir: string;
let database: Database;
beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'breakwater-key-'));
  database = await openSqliteDatabase({ path: join(dataDir, 'db.sqlite'), onFatal: () => undefined });
});
afterEach(async () => {
  await database.close();
  rmSync(dataDir, { recursive: true, force: true });
});
const open = (masterKeyFile?: string) =>
  openSecrets({ database, config: { dataDir, ...(masterKeyFile === undefined ? {} : { masterKeyFile }) } });
const refusal = async (masterKeyFile?: string): Promise<string> => {
  try {
    await open(masterKeyFile);
  } catch (error) {
    if (error instanceof MasterKeyError) return error.code;
    throw error;
  }
  return 'opened';
};
const base64 = (byte: number): string => Buffer.from(Array.from({ length: 32 }, (_, index) => (index * 7 + byte) & 255)).toString('base64');

test('the key is made once, for its owner alone, and is not in the database', async () => {
  const first = await open();
  const file = join(dataDir, 'master.key');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(first.masterKey).toEqual({ file, isInDataFolder: true, isReadableByOthers: false });
  const second = await open();
  const place = { table: 't', row: 'r', field: 'f' };
  expect(second.sealer.open(first.sealer.seal(new Secret('x'), place), place).reveal()).toBe('x');
  expect(second.fingerprintKey.reveal()).toBe(first.fingerprintKey.reveal());
  const rows = await database.read.selectFrom('meta').selectAll().execute();
  expect(JSON.stringify(rows)).not.toContain(readFileSync(file, 'utf8').trim());
  expect(JSON.stringify(rows)).not.toContain(first.fingerprintKey.reveal());
});

test('a key outside of the data folder is made there, and nothing is left in the folder', async () => {
  const elsewhere = mkdtempSync(join(tmpdir(), 'breakwater-elsewhere-'));
  const { masterKey } = await open(join(elsewhere, 'key'));
  expect(masterKey.isInDataFolder).toBe(false);
  expect(existsSync(join(dataDir, 'master.key'))).toBe(false);
  expect(statSync(join(elsewhere, 'key')).mode & 0o777).toBe(0o600);
  rmSync(elsewhere, { recursive: true });
});

test('SEC-I02: another key, a missing and an unreadable one each have their name, and none makes a new key', async () => {
  await open();
  const file = join(dataDir, 'master.key');
  const right = readFileSync(file, 'utf8');
  writeFileSync(file, base64(1));
  expect(await refusal()).toBe('MASTER_KEY_WRONG');
  writeFileSync(file, 'not a key\n');
  expect(await refusal()).toBe('MASTER_KEY_INVALID');
  writeFileSync(file, '');
  expect(await refusal()).toBe('MASTER_KEY_INVALID');
  rmSync(file);
  expect(await refusal()).toBe('MASTER_KEY_MISSING');
  expect(existsSync(file)).toBe(false);
  expect(await refusal(dataDir)).toBe('MASTER_KEY_UNREADABLE');
  writeFileSync(file, right);
  expect(await refusal()).toBe('opened');
});

test('SEC-I02: what is wrong is told with the ids of both keys and without a key', async () => {
  await open();
  const file = join(dataDir, 'master.key');
  const sealedBy = (await getMeta(database.read, 'master-key-check'))?.slice(3, 11) ?? '';
  writeFileSync(file, base64(1));
  const error = await open().catch((cause) => cause);
  expect(error.message).toStartWith('MASTER_KEY_WRONG: ');
  expect(error.message).toContain(sealedBy);
  expect(error.message).not.toContain(base64(1));
});

test('the server does not start in the middle of a re-wrap', async () => {
  const { sealer } = await open();
  await database.run('setMeta', {
    key: 'master-key-next',
    value: sealer.seal(new Secret('x'), { table: 'meta', row: 'x', field: 'value' }),
  });
  expect(await refusal()).toBe('MASTER_KEY_REWRAP_UNFINISHED');
});

test('a key that others may read is told', async () => {
  const file = join(dataDir, 'other.key');
  writeFileSync(file, `${base64(3)}\n`, { mode: 0o644 });
  expect((await open(file)).masterKey.isReadableByOthers).toBe(true);
});

test('32 bytes as base64, base64url or hex are a key; other lengths and texts of a template are none', () => {
  const key = Buffer.from(base64(200), 'base64');
  for (const text of [key.toString('base64'), key.toString('base64url'), key.toString('hex'), key.toString('hex').toUpperCase()])
    expect(parseMasterKey(text)).toEqual(key);
  for (const text of [
    '',
    'changeme',
    key.toString('hex').slice(1),
    `${key.toString('base64')}A`,
    Buffer.alloc(32).toString('base64'),
    '0'.repeat(64),
  ])
    expect(parseMasterKey(text)).toBeUndefined();
});
