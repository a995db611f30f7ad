// The contract on SQLite, and what only SQLite must prove: commits outlive the process, the reader cannot write, an older program refuses a
// newer schema, and the queries of every pull use an index.

import { expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../../src/db/database.ts';
import { openSqliteDatabase } from '../../src/db/sqlite.ts';
import { openSqlite } from '../../src/db/sqlite-file.ts';
import { databaseContract } from './contract.ts';

const open = (path: string): Promise<Database> =>
  openSqliteDatabase({
    path,
    onFatal: (message) => {
      throw new Error(message);
    },
  });

async function inFolder(task: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-db-'));
  try {
    await task(join(folder, 'test.sqlite'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

databaseContract('SQLite', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-db-'));
  const database = await open(join(folder, 'test.sqlite'));
  return {
    database,
    close: async () => {
      await database.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
});

test('what was answered is there after closing and opening again, and migrating twice changes nothing', () =>
  inFolder(async (path) => {
    const first = await open(path);
    await first.run('setMeta', { key: 'kept', value: 'yes' });
    await first.close();
    const again = await open(path);
    expect(await again.read.selectFrom('meta').select('value').where('key', '=', 'kept').executeTakeFirst()).toEqual({ value: 'yes' });
    await again.close();
  }));

test('the read connection cannot write', () =>
  inFolder(async (path) => {
    const database = await open(path);
    expect(database.read.insertInto('meta').values({ key: 'k', value: 'v' }).execute()).rejects.toThrow(/readonly/);
    await database.close();
  }));

test('a database of a newer program is refused', () =>
  inFolder(async (path) => {
    await (await open(path)).close();
    const file = openSqlite(path, 'writer');
    file.run("insert into kysely_migration (name, timestamp) values ('9999-future', '2030-01-01')");
    file.close();
    expect(open(path)).rejects.toThrow(/newer Breakwater/);
  }));

test('the queries of a pull search indexes and scan nothing', () =>
  inFolder(async (path) => {
    await (await open(path)).close();
    const file = openSqlite(path, 'reader');
    const repository = '(select id from repository where name = ?)';
    for (const query of [
      `select bytes from manifest where repository_id = ${repository} and digest = (select digest from tag where repository_id = ${repository} and name = ?)`,
      `select storage_key from blob where digest = (select digest from repository_blob where repository_id = ${repository} and digest = ?)`,
      'select id from project where name = ?',
      'select name from tag where repository_id = ? and (name_folded, name) > (?, ?) order by name_folded, name limit 10',
      'select digest from manifest where repository_id = ? and subject_digest = ? and digest > ? order by digest limit 10',
    ]) {
      const plan = file
        .query<{ detail: string }, never[]>(`explain query plan ${query}`)
        .all()
        .map((row) => row.detail);
      expect(plan.filter((step) => step.startsWith('SCAN') || step.includes('TEMP B-TREE'))).toEqual([]);
    }
    file.close();
  }));
