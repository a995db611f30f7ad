// Pushing blobs: upload sessions that survive a restart and continue at their offset. distribution-spec v1.1 "Pushing blobs",
// end-4a, 4b, 5, 6, 11, 13, 14. One session is used by one request at a time; its offset is the number of bytes taken.

import { randomBytes } from 'node:crypto';
import { type Access, ownerOf } from '../auth/access.ts';
import { openSpool, type Spool } from '../blobs/spool.ts';
import { type BlobStore, BlobStoreError } from '../blobs/store.ts';
import type { Database } from '../db/database.ts';
import { prepareUploadQuery, type UploadSession } from '../db/uploads.ts';
import type { Clock } from '../lib/clock.ts';
import { createKeyedMutex } from '../lib/limits.ts';
import type { Log } from '../lib/log.ts';
import { type Digest, type DigestAlgorithm, digestAlgorithm } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { ByteRange } from '../oci/range.ts';
import type { Ingest } from './ingest.ts';
import type { Repositories } from './repositories.ts';

export interface UploadLimits {
  readonly blobMaxBytes: number;
  readonly uploadsPerRepository: number;
  readonly uploadsPerPrincipal: number;
  readonly uploadsTotal: number;
  readonly idleExpiryMs: number;
  readonly absoluteExpiryMs: number;
  readonly minimumFree: { readonly percent: number; readonly sizeBytes: number };
}
export type Body = AsyncIterable<Uint8Array>;
type Push = Access<'push'>;

export interface Uploads {
  /** Opens a session; gives its id. */
  start(access: Push, algorithm: DigestAlgorithm): Promise<string>;
  /** A blob in one request. */
  putWhole(access: Push, digest: Digest, body: Body): Promise<void>;
  /** Links a blob the principal may read elsewhere; false when there is none: the client must upload. */
  mount(access: Push, digest: Digest, from: Access<'pull'> | undefined): Promise<boolean>;
  /** Bytes held so far. */
  status(access: Push, id: string): Promise<number>;
  /** Appends; gives the bytes held. `range` is the chunk's Content-Range: BLOB_UPLOAD_RANGE unless it starts at the offset. */
  append(access: Push, id: string, body: Body, range: ByteRange | undefined): Promise<number>;
  /** Closes the session with the rest of the bytes, if any. After DIGEST_INVALID the session is as it was before. */
  finish(access: Push, id: string, digest: Digest, body: Body, range: ByteRange | undefined): Promise<void>;
  cancel(access: Push, id: string): Promise<void>;
  /** Removes sessions that have expired. */
  sweep(): Promise<void>;
  /** Removes staged files that belong to no session: what a server that was killed left behind. Only before requests are served. */
  removeLeftovers(): Promise<number>;
  close(): Promise<void>;
}

/** Sessions whose file and running hash are kept ready; others are opened and hashed again when used. */
const readyMax = 200;

export function createUploads(options: {
  store: BlobStore;
  database: Database;
  repositories: Repositories;
  ingest: Ingest;
  limits: UploadLimits;
  clock: Clock;
  log: Log;
}): Uploads {
  const { store, database, repositories, ingest, limits, clock, log } = options;
  const find = prepareUploadQuery(database);
  const mutex = createKeyedMutex();
  const ready = new Map<string, Spool>();

  const requireSession = async (access: Push, id: string): Promise<UploadSession> => {
    const session = await find({ id, repositoryName: access.target.name, principal: ownerOf(access) });
    if (session === undefined || session.expiresAtMs < clock.nowMs())
      throw new OciError('BLOB_UPLOAD_UNKNOWN', 'there is no such upload session; start a new one');
    return session;
  };
  const repositoryId = (access: Push): Promise<number> => repositories.ensure(access.target.project.id, access.target.name);
  const forget = async (id: string): Promise<void> => {
    const spool = ready.get(id);
    ready.delete(id);
    await spool?.close();
  };
  const openSession = async (session: UploadSession): Promise<Spool> => {
    const known = ready.get(session.id);
    ready.delete(session.id);
    const spool = known ?? (await reopen(session));
    ready.set(session.id, spool);
    for (const id of ready.keys()) {
      if (ready.size <= readyMax) break;
      if (!mutex.isBusy(id)) await forget(id);
    }
    return spool;
  };
  const reopen = async (session: UploadSession): Promise<Spool> => {
    const staged = (await store.resume(session.id)) ?? (await store.stage(session.id));
    return openSpool(staged, session.algorithm);
  };
  const requireSpace = async (): Promise<void> => {
    const { freeBytes, totalBytes } = await store.freeSpace();
    const reserve = Math.max(limits.minimumFree.sizeBytes, (totalBytes * limits.minimumFree.percent) / 100);
    if (freeBytes < reserve)
      throw new OciError(
        'INSUFFICIENT_STORAGE',
        'the disk is almost full, so nothing can be pushed; pulls go on. Free some space or grow the volume',
      );
  };
  const take = async (spool: Spool, body: Body): Promise<void> => {
    await requireSpace();
    let checkedBytes = spool.acceptedBytes;
    try {
      for await (const chunk of body) {
        if (spool.acceptedBytes + chunk.byteLength > limits.blobMaxBytes)
          throw new OciError('BLOB_TOO_LARGE', `a blob may have at most ${limits.blobMaxBytes} bytes`);
        await spool.append(chunk);
        if (spool.acceptedBytes - checkedBytes > 64 * 1024 * 1024) {
          checkedBytes = spool.acceptedBytes;
          await requireSpace();
        }
      }
      // What is acknowledged can be resumed: it is in the file before the answer.
      await spool.flush();
    } catch (error) {
      throw error instanceof BlobStoreError ? storeFailure(error) : error;
    }
  };
  const requireStart = (spool: Spool, range: ByteRange | undefined): void => {
    if (range !== undefined && range.start !== spool.acceptedBytes) {
      throw new OciError('BLOB_UPLOAD_RANGE', 'the chunk does not start where the upload stands', {
        detail: { offset: spool.acceptedBytes },
      });
    }
  };
  const extend = async (session: UploadSession): Promise<void> => {
    const expiresAtMs = Math.min(session.createdAtMs + limits.absoluteExpiryMs, clock.nowMs() + limits.idleExpiryMs);
    if (expiresAtMs - session.expiresAtMs > limits.idleExpiryMs / 4) await database.run('extendUpload', { id: session.id, expiresAtMs });
  };
  const commit = async (spool: Spool, access: Push, digest: Digest, uploadId: string | undefined): Promise<void> => {
    try {
      await ingest.blob({
        repositoryId: await repositoryId(access),
        spool,
        digest,
        origin: 'restricted',
        ...(uploadId === undefined ? {} : { uploadId }),
      });
    } catch (error) {
      throw error instanceof BlobStoreError ? storeFailure(error) : error;
    }
  };

  return {
    start: async (access, algorithm) => {
      await requireSpace();
      const id = randomBytes(20).toString('hex');
      const nowMs = clock.nowMs();
      await database.run('createUpload', {
        id,
        repositoryId: await repositoryId(access),
        principal: ownerOf(access),
        algorithm,
        expiresAtMs: nowMs + Math.min(limits.idleExpiryMs, limits.absoluteExpiryMs),
        limits: { perPrincipal: limits.uploadsPerPrincipal, perRepository: limits.uploadsPerRepository, total: limits.uploadsTotal },
      });
      return id;
    },
    putWhole: async (access, digest, body) => {
      const spool = await openSpool(await store.stage(randomBytes(20).toString('hex')), digestAlgorithm(digest));
      try {
        await take(spool, body);
        await commit(spool, access, digest, undefined);
      } catch (error) {
        await spool.fail(error instanceof Error ? error : new Error(String(error)));
        throw error;
      } finally {
        await spool.close();
      }
    },
    mount: async (access, digest, from) => {
      if (from === undefined) return false;
      return database.run('mountBlob', { fromRepository: from.target.name, repositoryId: await repositoryId(access), digest });
    },
    status: async (access, id) => {
      const session = await requireSession(access, id);
      return mutex.run(id, async () => (await openSession(session)).acceptedBytes);
    },
    append: async (access, id, body, range) => {
      await requireSession(access, id);
      return mutex.run(id, async () => {
        const session = await requireSession(access, id);
        const spool = await openSession(session);
        requireStart(spool, range);
        const before = spool.acceptedBytes;
        await take(spool, body).catch(async (error) => {
          await forgetAfterFailure(error, id);
          throw error;
        });
        if (range !== undefined && spool.acceptedBytes - before !== range.end - range.start) {
          const error = new OciError('SIZE_INVALID', 'the chunk has another length than its Content-Range says', {
            detail: { offset: before },
          });
          await rollBack(id, before, error);
          throw error;
        }
        await extend(session);
        return spool.acceptedBytes;
      });
    },
    finish: async (access, id, digest, body, range) => {
      await requireSession(access, id);
      await mutex.run(id, async () => {
        const session = await requireSession(access, id);
        const spool = await openSession(session);
        requireStart(spool, range);
        const before = spool.acceptedBytes;
        let closing = spool;
        try {
          await take(spool, body);
          if (digestAlgorithm(digest) !== session.algorithm) closing = await rehash(id, digestAlgorithm(digest));
          await commit(closing, access, digest, id);
        } catch (error) {
          await rollBack(id, before, error);
          throw error;
        } finally {
          await closing.close();
        }
        await forget(id);
      });
    },
    cancel: async (access, id) => {
      await requireSession(access, id);
      await mutex.run(id, async () => {
        await requireSession(access, id);
        await database.run('deleteUpload', { id });
        await forget(id);
        await (await store.resume(id))?.discard();
      });
    },
    sweep: async () => {
      const inUse = [...ready.keys()].filter((id) => mutex.isBusy(id));
      for (const id of await database.run('deleteExpiredUploads', { inUse, max: 500 })) {
        await forget(id);
        await (await store.resume(id))?.discard();
      }
    },
    removeLeftovers: async () => {
      const sessions = new Set((await database.read.selectFrom('upload').select('id').execute()).map((row) => row.id));
      const leftovers = (await store.listStaged()).filter((item) => !sessions.has(item.id));
      for (const item of leftovers) await (await store.resume(item.id))?.discard();
      return leftovers.length;
    },
    close: async () => {
      for (const id of [...ready.keys()]) await forget(id);
    },
  };

  /** The session's bytes hashed again with another algorithm (the client chose it only at the end). */
  async function rehash(id: string, algorithm: DigestAlgorithm): Promise<Spool> {
    await flushed(id);
    await forget(id);
    const staged = await store.resume(id);
    if (staged === undefined) throw new OciError('BLOB_UPLOAD_UNKNOWN', 'the bytes of this upload session are gone; start a new one');
    return openSpool(staged, algorithm);
  }

  async function flushed(id: string): Promise<void> {
    await ready.get(id)?.flush();
  }

  /** A finish that failed leaves the session as it was: the bytes that came with it go, and so does the running hash. */
  async function rollBack(id: string, sizeBytes: number, cause: unknown): Promise<void> {
    await forget(id);
    const staged = await store.resume(id).catch(() => undefined);
    if (staged === undefined) {
      log.warn('upload.lost', { id, cause });
      return;
    }
    await staged.truncate(sizeBytes).catch(() => undefined);
    await staged.close();
  }

  /** After a failed write nothing in memory may be trusted: the next use reads the file again. A client that left loses nothing. */
  async function forgetAfterFailure(error: unknown, id: string): Promise<void> {
    if (error instanceof OciError && error.code === 'INSUFFICIENT_STORAGE') await forget(id);
  }
}

function storeFailure(error: BlobStoreError): OciError | BlobStoreError {
  return error.code === 'full'
    ? new OciError('INSUFFICIENT_STORAGE', 'the disk is full; pulls go on. Free some space or grow the volume', { cause: error })
    : error;
}
