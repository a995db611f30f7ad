// What is on a server's disk, and which files it holds open: the store must hold nothing wrong, and nothing may be left open.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Digests of all committed blobs. Throws when a file's bytes are not what its name says. */
export function auditStore(dataDir: string): string[] {
  const found: string[] = [];
  const root = join(dataDir, 'blobs', 'sha256');
  for (const shard of readdirSync(root)) {
    for (const name of readdirSync(join(root, shard))) {
      const hex = name.split('.')[0] ?? '';
      const actual = createHash('sha256')
        .update(readFileSync(join(root, shard, name)))
        .digest('hex');
      if (actual !== hex) throw new Error(`the store holds a wrong file: ${name} is ${actual}`);
      found.push(`sha256:${hex}`);
    }
  }
  return found;
}

/** Staged objects that are not committed. */
export function stagedFiles(dataDir: string): string[] {
  return readdirSync(join(dataDir, 'blobs', 'uploads'));
}

/** Files below the blob folders that the process holds open. */
export function openBlobFiles(pid: number, dataDir: string): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return target.startsWith(join(dataDir, 'blobs')) ? [target] : [];
    } catch {
      return [];
    }
  });
}
