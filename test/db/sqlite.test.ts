// The contract on SQLite. What only SQLite must prove is in sqlite-durability.test.ts and sqlite-plans.test.ts.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteDatabase } from '../../src/db/sqlite.ts';
import { openSqlite } from '../../src/db/sqlite-file.ts';
import { databaseContract } from './contract.ts';
import type { OpenedDatabase } from './fixture.ts';

databaseContract('SQLite', () => openIn(mkdtempSync(join(tmpdir(), 'breakwater-db-'))));

async function openIn(folder: string): Promise<OpenedDatabase> {
  const path = join(folder, 'test.sqlite');
  const onFatal = (message: string): void => {
    throw new Error(message);
  };
  const database = await openSqliteDatabase({ path, onFatal });
  return {
    database,
    alter: async (sql) => {
      const file = openSqlite(path, 'writer');
      file.run(sql);
      file.close();
    },
    restart: async () => {
      await database.close();
      return openIn(folder);
    },
    close: async () => {
      await database.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
