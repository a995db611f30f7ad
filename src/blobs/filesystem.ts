// The blob store on a filesystem.
//
//   ROOT/store.json                            identity; written once all folders are durable (store-folders.ts)
//   ROOT/sha256/ab/<64 hex>.<ulid>             committed blobs, 256 pre-made shard folders per algorithm
//   ROOT/sha512/ab/<128 hex>.<ulid>
//   ROOT/uploads/<id>                          staged objects, same filesystem
//
// Commit: fdatasync(file) -> rename into the shard -> fsync(shard folder). Only then may a row say that the blob is here.

import { readFileSync, statSync } from 'node:fs';
import { type FileHandle, open, readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { createUlid } from '../lib/ulid.ts';
import { type Digest, digestAlgorithm, digestHex, digestOf } from '../oci/digest.ts';
import { freeBytes } from './spent.ts';
import { type BlobStore, BlobStoreError, type StagedBlob } from './store.ts';
import { openStoreFolders } from './store-folders.ts';
import { createSyncPool, type SyncPool } from './sync-pool.ts';

/** Bytes waiting for the disk per object; the writer of the object waits beyond it. */
const queueMaxBytes = 1024 * 1024;
const batchBytes = 256 * 1024;
const batchWaitMs = 3;
const freeSpaceAgeMaxMs = 1000;

/** Opens the store, making its folders at first use. Throws when there is something else than a store of this layout. */
export async function openFilesystemStore(root: string): Promise<BlobStore> {
  const identity = await openStoreFolders(root);
  const syncs = createSyncPool();
  let space: { readonly atMs: number; readonly freeBytes: number; readonly totalBytes: number } | undefined;
  const stagedPath = (id: string): string => join(root, 'uploads', id);
  return {
    identity,
    open: (key) => ({ kind: 'file', path: join(root, key) }),
    inspect: (key) => {
      const found = statSync(join(root, key), { throwIfNoEntry: false });
      return found === undefined ? undefined : { sizeBytes: found.size, changedAtMs: found.ctimeMs };
    },
    holds: (key, digest) => {
      try {
        return digestOf(readFileSync(join(root, key)), digestAlgorithm(digest)) === digest;
      } catch {
        return false;
      }
    },
    stage: async (id) => {
      const handle = await open(stagedPath(id), 'wx+', 0o600).catch((error) => {
        throw storeError(error, 'cannot start an object');
      });
      return stagedFile({ root, id, handle, syncs, sizeBytes: 0 });
    },
    resume: async (id) => {
      const handle = await open(stagedPath(id), 'r+').catch((error) => {
        // Only what is not there is absent: a disk that fails to answer must not look like an upload that never was.
        if (errorCode(error) === 'ENOENT') return undefined;
        throw storeError(error, 'cannot open an object again');
      });
      if (handle === undefined) return undefined;
      try {
        return stagedFile({ root, id, handle, syncs, sizeBytes: (await handle.stat()).size });
      } catch (error) {
        await handle.close();
        throw storeError(error, 'cannot open an object again');
      }
    },
    listStaged: async () => {
      const ids = await readdir(join(root, 'uploads'));
      const items = await Promise.all(
        ids.map(async (id) => {
          const found = await stat(stagedPath(id)).catch(() => undefined);
          return found === undefined ? [] : [{ id, writtenAtMs: found.mtimeMs }];
        }),
      );
      return items.flat();
    },
    remove: (key) => rm(join(root, key), { force: true }),
    freeSpace: async () => {
      if (space === undefined || Date.now() - space.atMs > freeSpaceAgeMaxMs) {
        const found = await statfs(root);
        space = { atMs: Date.now(), freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize };
      }
      return space;
    },
  };
}

interface Opened {
  readonly root: string;
  readonly id: string;
  readonly handle: FileHandle;
  readonly syncs: SyncPool;
  readonly sizeBytes: number;
}

function stagedFile({ root, id, handle, syncs, sizeBytes: initialSize }: Opened): StagedBlob {
  let path = join(root, 'uploads', id);
  let sizeBytes = initialSize;
  let queue: Uint8Array[] = [];
  /** Chunks that are to be freed when they are written. */
  const spent = new Set<Uint8Array>();
  let queuedBytes = 0;
  let writing: Promise<void> | undefined;
  let failure: BlobStoreError | undefined;
  let isOpen = true;
  let isDiscarded = false;

  // One write at a time. What arrives meanwhile goes out together with the next, and a small rest waits a moment for more: a write of 64 KiB
  // costs several times the CPU per byte of one of 256 KiB (measured).
  let isDue = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const begin = (): void => {
    clearTimeout(timer);
    timer = undefined;
    // With nothing to write `write` would end before its promise is kept, and that promise would stand in the way of the next.
    if (queue.length > 0 && failure === undefined) writing ??= write();
  };
  const schedule = (): void => {
    timer ??= setTimeout(() => {
      isDue = true;
      begin();
    }, batchWaitMs);
  };
  const write = async (): Promise<void> => {
    while (queue.length > 0 && failure === undefined && (isDue || queuedBytes >= batchBytes)) {
      const batch = queue;
      const bytes = queuedBytes;
      queue = [];
      queuedBytes = 0;
      isDue = false;
      try {
        await writeAll(handle, batch, sizeBytes);
        sizeBytes += bytes;
        staged.onGrowth?.();
        for (const chunk of batch) if (spent.delete(chunk)) freeBytes(chunk);
      } catch (error) {
        failure = storeError(error, 'cannot write the object');
      }
    }
    writing = undefined;
    if (queue.length > 0 && failure === undefined) schedule();
  };
  const flush = async (): Promise<void> => {
    while (failure === undefined && (queue.length > 0 || writing !== undefined)) {
      isDue = true;
      begin();
      await writing;
    }
    if (failure !== undefined) throw failure;
  };
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await flush().catch(() => undefined);
    clearTimeout(timer);
    await writing;
    await handle.close();
  };

  const staged: StagedBlob = {
    id,
    onGrowth: undefined,
    get sizeBytes() {
      return sizeBytes;
    },
    append: async (chunk, isLastUse = false) => {
      if (failure !== undefined) throw failure;
      if (chunk.byteLength === 0) return;
      queue.push(chunk);
      if (isLastUse) spent.add(chunk);
      queuedBytes += chunk.byteLength;
      if (queuedBytes >= batchBytes) begin();
      else schedule();
      if (queuedBytes >= queueMaxBytes) {
        await writing;
        if (failure !== undefined) throw failure;
      }
    },
    flush,
    read: async (start, lengthMax) => {
      if (isDiscarded) throw new BlobStoreError('io', 'the object was discarded');
      // Not a Buffer, whose `slice` would be no copy.
      const buffer = new Uint8Array(Buffer.allocUnsafeSlow(Math.max(0, Math.min(lengthMax, sizeBytes - start))).buffer);
      if (buffer.byteLength === 0) return buffer;
      try {
        const bytesRead = isOpen ? await readAll(handle, buffer, start) : await readPath(path, buffer, start);
        return buffer.subarray(0, bytesRead);
      } catch (error) {
        throw storeError(error, 'cannot read the object');
      }
    },
    truncate: async (length) => {
      await flush();
      if (length > sizeBytes) throw new BlobStoreError('io', `the object has ${sizeBytes} bytes and cannot be cut to ${length}`);
      try {
        await handle.truncate(length);
      } catch (error) {
        failure = storeError(error, 'cannot cut the object');
        throw failure;
      }
      sizeBytes = length;
    },
    commit: async (digest) => {
      await flush();
      const key = newKey(digest);
      try {
        await syncs.run({ descriptor: handle.fd, from: path, to: join(root, key) });
      } catch (error) {
        // What the disk holds is unknown now, and a second sync may succeed without it (the system reports a lost page once). So these
        // bytes are never used again, neither by this object nor by one that resumes it.
        failure = storeError(error, 'cannot make the blob durable');
        await Promise.allSettled([rm(path, { force: true }), rm(join(root, key), { force: true })]);
        throw failure;
      }
      path = join(root, key);
      return key;
    },
    close,
    discard: async () => {
      isDiscarded = true;
      failure ??= new BlobStoreError('io', 'the object was discarded');
      await close();
      await rm(join(root, 'uploads', id), { force: true });
    },
  };
  return staged;
}

/** Reads until the buffer is full or the file ends; gives the count. */
async function readAll(handle: FileHandle, buffer: Uint8Array, start: number): Promise<number> {
  let at = 0;
  while (at < buffer.byteLength) {
    const { bytesRead } = await handle.read(buffer, at, buffer.byteLength - at, start + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return at;
}

/** For a reader that comes when the object has given up its handle. */
async function readPath(path: string, buffer: Uint8Array, start: number): Promise<number> {
  const handle = await open(path, 'r');
  try {
    return await readAll(handle, buffer, start);
  } finally {
    await handle.close();
  }
}

async function writeAll(handle: FileHandle, batch: readonly Uint8Array[], position: number): Promise<void> {
  const total = batch.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const { bytesWritten } = await handle.writev(batch, position);
  if (bytesWritten === total) return;
  // A short write: finish the rest piece by piece.
  const rest = Buffer.concat(batch).subarray(bytesWritten);
  for (let at = 0; at < rest.byteLength; ) {
    const { bytesWritten: more } = await handle.write(rest, at, rest.byteLength - at, position + bytesWritten + at);
    if (more === 0) throw new BlobStoreError('io', 'the disk takes no more bytes');
    at += more;
  }
}

function newKey(digest: Digest): string {
  const hex = digestHex(digest);
  return `${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}.${createUlid(Date.now())}`;
}

function storeError(error: unknown, what: string): BlobStoreError {
  if (error instanceof BlobStoreError) return error;
  const code = errorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') return new BlobStoreError('full', `${what}: no space left on the disk`, error);
  if (code === 'EEXIST') return new BlobStoreError('exists', `${what}: it exists already`, error);
  return new BlobStoreError('io', `${what} (${code === '' ? String(error) : code})`, error);
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
