// One server per data folder. The lock is a file lock held by SQLite on an empty database of its own, so the system gives it back
// whenever the process ends, however it ends.

import { Database as SqliteFile } from 'bun:sqlite';
import { join } from 'node:path';
import { makeDurableFolder } from './durable-folder.ts';

export interface FolderLock {
  release(): void;
}

/** Keeps the files of held locks reachable: one that nobody refers to is closed by the garbage collector, and its lock is gone. */
const held = new Set<SqliteFile>();

/** Takes the folder (made when absent, mode 0700); throws when another server holds it. */
export function lockDataFolder(dataDir: string): FolderLock {
  makeDurableFolder(dataDir);
  const file = new SqliteFile(join(dataDir, 'breakwater.lock'), { create: true });
  try {
    file.run('pragma busy_timeout = 0');
    file.run('begin exclusive');
  } catch (cause) {
    file.close();
    throw new Error(`another Breakwater is running on ${dataDir}; stop it or choose another folder with --data`, { cause });
  }
  held.add(file);
  return {
    release: () => {
      held.delete(file);
      file.close();
    },
  };
}
