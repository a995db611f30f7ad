// Pushing blobs: upload sessions that survive a restart and continue at their offset. distribution-spec v1.1 "Pushing blobs",
// end-4a, 4b, 5, 6, 11, 13, 14. One session is used by one request at a time (upload-files.ts); its offset is the length of its file.

import { randomBytes } from 'node:crypto';
import { type Access, ownerOf } from '../auth/access.ts';
import { openSpool, type Spool } from '../blobs/spool.ts';
import { type BlobStore, BlobStoreError } from '../blobs/store.ts';
import type { Database } from '../db/database.ts';
import { prepareUploadQuery, type UploadSession } from '../db/uploads.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { type Digest, type DigestAlgorithm, digestAlgorithm } from '../oci/digest.ts';
import { OciError, type OciErrorCode } from '../oci/errors.ts';
import type { ByteRange } from '../oci/range.ts';
import type { Ingest } from './ingest.ts';
import type { Repositories } from './repositories.ts';
import { createUploadFiles, type UploadFile, uploadUnknown } from './upload-files.ts';

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
  /** Removes sessions that have expired, and bytes that have lost their session. */
  sweep(): Promise<void>;
  /** Removes staged files that belong to no session: what a server that was killed left behind. Only before requests are served. */
  removeLeftovers(): Promise<number>;
  close(): Promise<void>;
}

const storageNote = 'pulls go on. Free some space or grow the volume';
/** Bytes taken between two looks at the free space. */
const spaceCheckBytes = 64 * 1024 * 1024;
const sweepMax = 500;
const sessionIdPattern = /^[0-9a-f]{40}$/;
/** A file younger than this may belong to a session that is just being opened. */
const leftoverAgeMs = 60 * 60 * 1000;

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
  const files = createUploadFiles(store);

  const requireSession = async (access: Push, id: string): Promise<UploadSession> => {
    const session = await find({ id, repositoryName: access.target.name, principal: ownerOf(access) });
    if (session === undefined || session.expiresAtMs < clock.nowMs()) throw uploadUnknown();
    return session;
  };
  /** Runs the task alone on a session of the principal. It is looked up again when its turn has come: it may have ended meanwhile. */
  const withSession = async <T>(access: Push, id: string, task: (session: UploadSession, file: UploadFile) => Promise<T>): Promise<T> => {
    await requireSession(access, id);
    return files
      .use(id, async (file) => task(await requireSession(access, id), file))
      .catch((error) => {
        throw asCoded(error);
      });
  };
  const repositoryId = (access: Push): Promise<number> => repositories.ensure(access.target.project.id, access.target.name);
  const requireSpace = async (): Promise<void> => {
    const { freeBytes, totalBytes } = await store.freeSpace();
    const reserve = Math.max(limits.minimumFree.sizeBytes, (totalBytes * limits.minimumFree.percent) / 100);
    if (freeBytes < reserve)
      throw new OciError('INSUFFICIENT_STORAGE', `the disk is almost full, so nothing can be pushed; ${storageNote}`);
  };
  /** Appends what `receive` brings. What was taken of a body that ends early is in the file, too. */
  const take = async (spool: Spool, receive: (append: (chunk: Uint8Array) => Promise<void>) => Promise<void>): Promise<void> => {
    await requireSpace();
    let checkedBytes = spool.acceptedBytes;
    try {
      await receive(async (chunk) => {
        if (spool.acceptedBytes + chunk.byteLength > limits.blobMaxBytes)
          throw new OciError('BLOB_TOO_LARGE', `a blob may have at most ${limits.blobMaxBytes} bytes`);
        await spool.append(chunk);
        if (spool.acceptedBytes - checkedBytes > spaceCheckBytes) {
          checkedBytes = spool.acceptedBytes;
          await requireSpace();
        }
      });
    } finally {
      await spool.flush();
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
      try {
        const spool = await openSpool(await store.stage(`whole-${randomBytes(20).toString('hex')}`), digestAlgorithm(digest));
        try {
          await take(spool, async (append) => {
            for await (const chunk of body) await append(chunk);
          });
          await ingest.blob({ repositoryId: await repositoryId(access), spool, digest, origin: 'restricted' });
        } catch (error) {
          await spool.fail(error instanceof Error ? error : new Error(String(error)));
          throw error;
        } finally {
          await spool.close();
        }
      } catch (error) {
        throw asCoded(error);
      }
    },
    mount: async (access, digest, from) => {
      if (from === undefined) return false;
      return database.run('mountBlob', { fromRepository: from.target.name, repositoryId: await repositoryId(access), digest });
    },
    status: (access, id) => withSession(access, id, (_session, file) => file.sizeBytes()),
    append: (access, id, body, range) =>
      withSession(access, id, async (session, file) => {
        const spool = await file.open(session.algorithm);
        requireStart(spool, range);
        const before = spool.acceptedBytes;
        try {
          await take(spool, (append) => file.receive(body, append));
          if (range !== undefined && spool.acceptedBytes - before !== range.end - range.start) {
            throw new OciError('SIZE_INVALID', 'the chunk has another length than its Content-Range says', { detail: { offset: before } });
          }
        } catch (error) {
          if (error instanceof BlobStoreError && error.code !== 'full') await giveUp(file, id, error);
          else if (isRefused(error)) await cutBack(file, id, before);
          throw error;
        }
        await extend(session);
        return spool.acceptedBytes;
      }),
    finish: (access, id, digest, body, range) =>
      withSession(access, id, async (session, file) => {
        const begun = await file.open(session.algorithm);
        requireStart(begun, range);
        const before = begun.acceptedBytes;
        let isCommitting = false;
        try {
          await take(begun, (append) => file.receive(body, append));
          // Another algorithm than the session was begun with: hashed again from the file.
          const spool = await file.open(digestAlgorithm(digest));
          isCommitting = true;
          await ingest.blob({ repositoryId: await repositoryId(access), spool, digest, origin: 'restricted', uploadId: id });
        } catch (error) {
          // What the disk refused to make durable may be lost although it can still be read.
          if (error instanceof BlobStoreError && (isCommitting || error.code !== 'full')) await giveUp(file, id, error);
          else if (!(await cutBack(file, id, before))) await giveUp(file, id, error);
          throw error;
        }
        await file.drop();
      }),
    cancel: async (access, id) => {
      await requireSession(access, id);
      await afterMakingRoom(
        async () => [id],
        () => database.run('deleteUpload', { id }),
      );
      await files.remove(id);
    },
    sweep: async () => {
      const inUse = files.inUse();
      const expired = await afterMakingRoom(
        async () => findExpired(inUse),
        () => database.run('deleteExpiredUploads', { inUse, max: sweepMax }),
      );
      for (const id of expired) await files.remove(id);
      // Sessions that went with their repository left their bytes.
      const untilMs = clock.nowMs() - leftoverAgeMs;
      for (const id of await findLeftovers((item) => sessionIdPattern.test(item.id) && item.writtenAtMs < untilMs)) await files.remove(id);
    },
    removeLeftovers: async () => {
      const ids = await findLeftovers(() => true);
      for (const id of ids) await files.remove(id);
      return ids.length;
    },
    close: files.close,
  };

  /** Runs a write that ends sessions. Where the disk has no room even for that, their bytes go first: a session without bytes starts anew. */
  async function afterMakingRoom<T>(findIds: () => Promise<string[]>, write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof OciError) || error.code !== 'INSUFFICIENT_STORAGE') throw error;
      for (const id of await findIds()) await files.remove(id);
      return write();
    }
  }

  async function findExpired(inUse: readonly string[]): Promise<string[]> {
    const query = database.read.selectFrom('upload').select('id').where('expires_at_ms', '<', clock.nowMs()).limit(sweepMax);
    return (await query.execute()).flatMap(({ id }) => (inUse.includes(id) ? [] : [id]));
  }

  async function findLeftovers(isWanted: (item: { id: string; writtenAtMs: number }) => boolean): Promise<string[]> {
    const staged = (await store.listStaged()).filter(isWanted);
    if (staged.length === 0) return [];
    const known = new Set((await database.read.selectFrom('upload').select('id').execute()).map((row) => row.id));
    return staged.flatMap((item) => (known.has(item.id) ? [] : [item.id]));
  }

  /** The session as it was before this request; false when its bytes are gone: they had their name already when their row was refused. */
  async function cutBack(file: UploadFile, id: string, sizeBytes: number): Promise<boolean> {
    return file.cut(sizeBytes).catch((error) => {
      log.error('upload.cut-failed', { id, error });
      return false;
    });
  }

  /** A session that lost bytes must not go on from nothing. */
  async function giveUp(file: UploadFile, id: string, cause: unknown): Promise<void> {
    log.warn('upload.lost', { id, cause });
    try {
      await database.run('deleteUpload', { id });
      await file.discard();
    } catch (error) {
      log.error('upload.removal-failed', { id, error });
    }
  }
}

const refusals: ReadonlySet<OciErrorCode> = new Set(['SIZE_INVALID', 'BLOB_TOO_LARGE', 'INSUFFICIENT_STORAGE']);

/**
 * A chunk refused so never came: what is here of it goes, and on a full disk makes room for others. Of one that broke off, because the
 * client left or was slow, what came stays.
 */
function isRefused(error: unknown): boolean {
  return error instanceof BlobStoreError || (error instanceof OciError && refusals.has(error.code));
}

/** A full disk in the words of a client; anything else as it is. */
function asCoded(error: unknown): unknown {
  if (!(error instanceof BlobStoreError) || error.code !== 'full') return error;
  return new OciError('INSUFFICIENT_STORAGE', `the disk is full; ${storageNote}`, { cause: error });
}
