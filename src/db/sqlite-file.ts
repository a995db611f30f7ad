// Opens the SQLite file with the settings that make a commit durable, and checks the library's version.
// SQLite before 3.51.3 can corrupt a database when several connections reset the WAL.

import { Database as SqliteFile } from 'bun:sqlite';

const oldestSafeVersion = [3, 51, 3] as const;

/** A connection. The reader's is query-only, so that no write can slip past the commands. Throws, with nothing left open, when it cannot. */
export function openSqlite(path: string, role: 'reader' | 'writer'): SqliteFile {
  const file = new SqliteFile(path, { create: role === 'writer', readwrite: true });
  try {
    for (const pragma of [
      'busy_timeout = 10000',
      'journal_mode = wal',
      'synchronous = full',
      'foreign_keys = on',
      'mmap_size = 0',
      'cell_size_check = on',
      'trusted_schema = off',
      'temp_store = memory',
      'cache_size = -16384',
      ...(role === 'reader' ? ['query_only = on'] : ['journal_size_limit = 67108864']),
    ])
      file.run(`pragma ${pragma}`);
  } catch (error) {
    file.close();
    throw error;
  }
  return file;
}

/** Writes the file anew without what was deleted or replaced in it, which otherwise lies there until its page is used again. Blocks meanwhile. */
export function rewriteSqlite(path: string): void {
  const file = openSqlite(path, 'writer');
  try {
    file.run('vacuum');
    file.run('pragma wal_checkpoint(truncate)');
  } finally {
    file.close();
  }
}

/** Throws when the bundled SQLite is one with a known corruption bug. */
export function assertSafeSqlite(): void {
  const file = new SqliteFile(':memory:');
  const row = file.query('select sqlite_version() as version').get() as { version: string };
  file.close();
  const found = row.version.split('.').map(Number);
  for (const [index, wanted] of oldestSafeVersion.entries()) {
    const part = found[index] ?? 0;
    if (part > wanted) return;
    if (part < wanted)
      throw new Error(`SQLite ${row.version} has a known corruption bug; ${oldestSafeVersion.join('.')} or newer is needed`);
  }
}
