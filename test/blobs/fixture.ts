// What the blob suites share: a store in a folder of its own, objects with known bytes, and a look at what the process holds open.

import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFilesystemStore } from '../../src/blobs/filesystem.ts';
import { type BlobStore, BlobStoreError, type StagedBlob } from '../../src/blobs/store.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';

export async function inStore(task: (store: BlobStore, root: string) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const root = join(folder, 'blobs');
    await task(await openFilesystemStore(root), root);
  });
}

/** In memory where there is such a place: a store makes 512 folders, and what is tested here is no disk. */
const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export async function inFolder(task: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(place, 'breakwater-blobs-'));
  try {
    await task(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Bytes that tell their own place, different for each seed. */
export function bytesOf(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 167 + (at >> 8) * 13 + seed * 101) & 255;
  return bytes;
}

export function digest(bytes: Uint8Array, algorithm: 'sha256' | 'sha512' = 'sha256'): Digest {
  return digestOf(bytes, algorithm);
}

/** Stages, fills and commits an object; gives its key. The handle is given up. */
export async function commitBytes(store: BlobStore, id: string, bytes: Uint8Array): Promise<string> {
  const staged = await store.stage(id);
  await staged.append(bytes);
  const key = await staged.commit(digest(bytes));
  await staged.close();
  return key;
}

export async function readKey(store: BlobStore, key: string): Promise<Uint8Array> {
  return Bun.file(store.open(key).path).bytes();
}

/** All that an object holds, in reads of at most `lengthMax`. */
export async function readStaged(staged: StagedBlob, lengthMax = 100_000): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < staged.sizeBytes; ) {
    const chunk = await staged.read(at, lengthMax);
    if (chunk.byteLength === 0) throw new Error('nothing was read');
    chunks.push(chunk);
    at += chunk.byteLength;
  }
  return Buffer.concat(chunks);
}

/** The code of the BlobStoreError a task ends with; `done` when it succeeds, the text of any other error. */
export async function outcome(task: Promise<unknown>): Promise<string> {
  return task.then(
    () => 'done',
    (error) => (error instanceof BlobStoreError ? error.code : String(error)),
  );
}

/** Files below the folder that this process has open. */
export function openFiles(folder: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(folder) ? [target] : [];
    } catch {
      return [];
    }
  });
}

/** Paths of the committed objects, relative to the store. */
export function committedFiles(root: string): string[] {
  return ['sha256', 'sha512'].flatMap((algorithm) =>
    readdirSync(join(root, algorithm)).flatMap((shard) =>
      readdirSync(join(root, algorithm, shard)).map((name) => `${algorithm}/${shard}/${name}`),
    ),
  );
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(b);
}
