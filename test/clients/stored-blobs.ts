// Looks into a data folder as an auditor would: every blob file is named by a digest, and must hold exactly the bytes of that digest.
// Layout (design section 5): blobs/<algorithm>/<2 hex>/<hex>.<ulid>, and blobs/uploads/ for what is still being written.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hashFile } from './layout-content.ts';

export interface StoredBlobs {
  /** Digests whose file is right, with sizes. */
  readonly sound: ReadonlyMap<string, number>;
  /** Files whose bytes are not those of their name. */
  readonly wrong: readonly string[];
}

/** Hashes every committed blob of a data folder. */
export async function auditStoredBlobs(dataDir: string): Promise<StoredBlobs> {
  const sound = new Map<string, number>();
  const wrong: string[] = [];
  for (const algorithm of ['sha256', 'sha512']) {
    const root = join(dataDir, 'blobs', algorithm);
    if (!existsSync(root)) continue;
    for (const shard of readdirSync(root)) {
      for (const name of readdirSync(join(root, shard))) {
        const file = join(root, shard, name);
        const hex = name.split('.')[0] ?? '';
        if ((await hashFile(file, algorithm)) === hex) sound.set(`${algorithm}:${hex}`, statSync(file).size);
        else wrong.push(file);
      }
    }
  }
  return { sound, wrong };
}

/** Names of objects still being written. */
export function unfinishedObjects(dataDir: string): readonly string[] {
  const folder = join(dataDir, 'blobs', 'uploads');
  return existsSync(folder) ? readdirSync(folder) : [];
}
