import { afterEach, beforeEach, expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../db/database.ts';
import { listSources } from '../db/sources.ts';
import { openSqliteDatabase } from '../db/sqlite.ts';
import { createSealer, SealError } from '../lib/seal.ts';
import { Secret } from '../lib/secret.ts';
import { MasterKeyError, openSecrets } from './master-key.ts';
import { countSealed, rewrap } from './rewrap.ts';

const [one, two, three] = [randomBytes(32), randomBytes(32), randomBytes(32)];
const place = (url: string, index = 0) => ({ table: 'source', row: `a.test ${url}`, field: `credentials/${index}/sealed` });
let folder: string;
let database: Database;
const useKey = (key: Uint8Array) => {
  writeFileSync(join(folder, 'key'), Buffer.from(key).toString('base64'), { mode: 0o600 });
  return openSecrets({ database, config: { dataDir: folder, masterKeyFile: join(folder, 'key') } });
};
const codeOf = (task: Promise<unknown>): Promise<string> =>
  task.then(
    () => 'done',
    (error) => (error instanceof MasterKeyError || error instanceof SealError ? error.code : String(error)),
  );

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-rewrap-'));
  database = await openSqliteDatabase({ path: join(folder, 'db.sqlite'), onFatal: () => undefined });
  const { sealer } = await useKey(one);
  const sources = ['https://a.test', 'https://b.test'].map((url) => ({
    url,
    trust: 'authority' as const,
    priority: 1,
    isEnabled: true,
    credentials: [
      { username: 'u', sealed: sealer.seal(new Secret(`password of ${url}`), place(url)) },
      { username: 'f', passwordFile: '/x' },
      { username: 'v', sealed: sealer.seal(new Secret('second'), place(url, 2)) },
    ],
    details: { realms: [], allowPrivate: false },
  }));
  await database.run('addRegistry', { name: 'a.test', origin: 'api', sources });
});
afterEach(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The passwords as they open under this key. */
async function opened(key: Uint8Array): Promise<string[]> {
  const sealer = createSealer(key);
  return (await listSources(database.read)).flatMap(({ url, credentials }) =>
    credentials.flatMap(({ sealed }, index) => (sealed === undefined ? [] : [sealer.open(sealed, place(url, index)).reveal()])),
  );
}
const all = ['password of https://a.test', 'second', 'password of https://b.test', 'second'];

test('everything opens under the new key and nothing under the old one; fingerprints stay', async () => {
  const before = await useKey(one);
  const { keyId, values } = await rewrap(database, { before: one, after: two });
  expect({ keyId, values }).toEqual({ keyId: createSealer(two).keyId, values: 5 });
  expect(await opened(two)).toEqual(all);
  await expect(opened(one)).rejects.toThrow('sealed with the master key');
  expect(await codeOf(useKey(one))).toBe('MASTER_KEY_WRONG');
  expect((await useKey(two)).fingerprintKey.reveal()).toBe(before.fingerprintKey.reveal());
  expect(new Set((await countSealed(database.read)).map((count) => count.keyId))).toEqual(new Set([keyId]));
});

test('done again it changes nothing', async () => {
  await rewrap(database, { before: one, after: two });
  const rows = JSON.stringify(await listSources(database.read));
  expect((await rewrap(database, { before: one, after: two })).values).toBe(0);
  expect((await rewrap(database, { before: two, after: two })).values).toBe(0);
  expect(JSON.stringify(await listSources(database.read))).toBe(rows);
});

test('broken off after any command it refuses to serve, and is ended by running it again', async () => {
  for (let commands = 0; ; commands++) {
    const from = commands % 2 === 0 ? one : two;
    const to = commands % 2 === 0 ? two : one;
    let left = commands;
    const failing: Database = {
      ...database,
      run: (name, args) => (left-- > 0 ? database.run(name, args) : Promise.reject(new Error('the power went'))),
    };
    const result = await codeOf(rewrap(failing, { before: from, after: to }));
    if (result === 'done') {
      expect(commands).toBeGreaterThan(1);
      break;
    }
    expect(result).toContain('the power went');
    // Before the first command nothing was changed.
    expect(await codeOf(useKey(from))).toBe(commands === 0 ? 'done' : 'MASTER_KEY_REWRAP_UNFINISHED');
    if (commands > 0) expect(await codeOf(rewrap(database, { before: from, after: three }))).toBe('MASTER_KEY_REWRAP_UNFINISHED');
    await rewrap(database, { before: from, after: to });
    expect(await codeOf(useKey(to))).toBe('done');
    expect(await opened(to)).toEqual(all);
  }
});

test('a wrong old key, and a value that does not open, change nothing', async () => {
  expect(await codeOf(rewrap(database, { before: three, after: two }))).toBe('MASTER_KEY_WRONG');
  const [first, second] = await listSources(database.read);
  await database.run('changeSource', { id: first?.id ?? 0, values: { credentials: second?.credentials ?? [] } });
  const rows = JSON.stringify(await listSources(database.read));
  expect(await codeOf(rewrap(database, { before: one, after: two }))).toBe('broken');
  expect(JSON.stringify(await listSources(database.read))).toBe(rows);
  expect(await codeOf(useKey(one))).toBe('done');
});
