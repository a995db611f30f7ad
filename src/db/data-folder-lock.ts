// One server per data folder. The lock is a file lock held by SQLite on an empty database of its own, so the system gives it back
// whenever the process ends, however it ends.

import { Database as SqliteFile } from 'bun:sqlite';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

export interface FolderLock {
  release(): void;
}

/** Takes the folder (made when absent, mode 0700); throws when another server holds it. */
export function lockDataFolder(dataDir: string): FolderLock {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = new SqliteFile(join(dataDir, 'breakwater.lock'), { create: true });
  try {
    file.run('pragma busy_timeout = 0');
    file.run('begin exclusive');
  } catch (cause) {
    file.close();
    throw new Error(`another Breakwater is running on ${dataDir}; stop it or choose another folder with --data`, { cause });
  }
  return { release: () => file.close() };
}
