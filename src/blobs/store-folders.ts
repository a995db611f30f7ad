// The folders of a filesystem store and its identity. Everything that a later commit relies on is durable before the store is used:
// a file is worth nothing in a folder that a power cut takes away.

import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/** The identity of the store in this folder, which is made at first use. Throws when there is something this program does not know. */
export async function openStoreFolders(root: string): Promise<string> {
  return (await readIdentity(root)) ?? (await prepareFolders(root));
}

/** Undefined where no store was finished yet. */
async function readIdentity(root: string): Promise<string | undefined> {
  const text = await readFile(join(root, 'store.json'), 'utf8').catch((error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const value = parseJson(text);
  const isKnown = typeof value === 'object' && value !== null && 'layout' in value && value.layout === 1;
  if (!isKnown || !('store' in value) || typeof value.store !== 'string' || value.store === '')
    throw new Error(`${join(root, 'store.json')} is not the identity of a blob store that this program knows`);
  return value.store;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Every folder is durable before the identity says so, and the identity is whole or absent. */
async function prepareFolders(root: string): Promise<string> {
  await makeFolder(root);
  for (const algorithm of ['sha256', 'sha512']) {
    for (let shard = 0; shard < 256; shard++)
      mkdirSync(join(root, algorithm, shard.toString(16).padStart(2, '0')), { recursive: true, mode: 0o700 });
    await syncFolder(join(root, algorithm));
  }
  mkdirSync(join(root, 'uploads'), { recursive: true, mode: 0o700 });
  await syncFolder(root);
  const identity = randomBytes(16).toString('hex');
  const partial = join(root, 'store.json.new');
  const handle = await open(partial, 'w', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify({ store: identity, layout: 1 })}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(partial, join(root, 'store.json'));
  await syncFolder(root);
  return identity;
}

/** Makes the folder and those above it that are missing, all durable. */
async function makeFolder(path: string): Promise<void> {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = resolve(path); ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === resolve(first) || made === dirname(made)) return;
  }
}

/** Makes the names in a folder durable. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
