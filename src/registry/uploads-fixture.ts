// What the tests of upload sessions work with: a real store and database in a temporary folder, whose disk can be made to fail.
// It must never be imported by anything but tests.

import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Access, authorize } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import { testAdmin } from '../auth/principal-fixture.ts';
import { openFilesystemStore } from '../blobs/filesystem.ts';
import { type BlobStore, BlobStoreError, type StagedBlob } from '../blobs/store.ts';
import { prepareContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Project } from '../db/projects.ts';
import { openSqliteDatabase } from '../db/sqlite.ts';
import { createFakeClock, type FakeClock } from '../lib/clock.ts';
import { createLog } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import { requireRepositoryName } from '../oci/reference.ts';
import { createIngest } from './ingest.ts';
import { createRepositories } from './repositories.ts';
import { createUploads, type UploadLimits, type Uploads } from './uploads.ts';

export interface DiskFaults {
  /** Fails the next write of bytes. */
  append?: 'full' | 'io';
  /** Fails making bytes durable. */
  commit?: 'full' | 'io';
  freeBytes?: number;
  /** Times the database finds no room for a command. */
  fullDatabase?: number;
}

export interface UploadsFixture {
  readonly uploads: Uploads;
  readonly database: Database;
  readonly faults: DiskFaults;
  readonly clock: FakeClock;
  readonly project: Project;
  readonly root: string;
  /** Events written to the log. */
  readonly logged: string[];
  push(name: string, principal?: Principal): Access<'push'>;
  pull(name: string, principal?: Principal): Access<'pull'>;
  /** A server that starts again on the same folder, with other limits if wanted. */
  restart(limits?: Partial<UploadLimits>): Promise<Uploads>;
  /** Names of staged files. */
  staged(): string[];
  /** Committed files. */
  stored(): string[];
  /** Handles this process has open in the store. */
  handles(): number;
  close(): Promise<void>;
}

const admin: Principal = testAdmin();
export const otherAdmin: Principal = testAdmin(2, 'other');

const roomyLimits: UploadLimits = {
  blobMaxBytes: 1024 * 1024,
  uploadsPerRepository: 1000,
  uploadsPerPrincipal: 1000,
  uploadsTotal: 1000,
  idleExpiryMs: 60_000,
  absoluteExpiryMs: 600_000,
  minimumFree: { percent: 0, sizeBytes: 1000 },
};

export async function openUploadsFixture(limits: Partial<UploadLimits> = {}): Promise<UploadsFixture> {
  // In memory where there is such a folder: each fixture syncs hundreds of folders.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'breakwater-uploads-'));
  const root = join(folder, 'blobs');
  const faults: DiskFaults = { freeBytes: 1e9 };
  const store = withFaults(await openFilesystemStore(root), faults);
  const sqlite = await openSqliteDatabase({
    path: join(folder, 'db.sqlite'),
    onFatal: (message) => {
      throw new Error(message);
    },
  });
  const run: Database['run'] = (name, args) => {
    if ((faults.fullDatabase ?? 0) === 0) return sqlite.run(name, args);
    faults.fullDatabase = (faults.fullDatabase ?? 0) - 1;
    return Promise.reject(new OciError('INSUFFICIENT_STORAGE', 'the disk with the database is full'));
  };
  const database: Database = { ...sqlite, run };
  const clock = createFakeClock(Date.now());
  const logged: string[] = [];
  const log = createLog({ write: (line) => logged.push(line) });
  const project = await database.run('createProject', { name: 'team', kind: 'local', isPublic: false });
  const content = prepareContentQueries(database);
  const parts = {
    store,
    database,
    clock,
    log,
    repositories: createRepositories({ database, content }),
    ingest: createIngest({ store, database }),
  };
  let uploads = createUploads({ ...parts, limits: { ...roomyLimits, ...limits } });
  const policy = { anonymousPull: true };
  const filesBelow = (path: string): string[] =>
    readdirSync(path, { recursive: true, withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []));
  return {
    get uploads() {
      return uploads;
    },
    database,
    faults,
    clock,
    project,
    root,
    logged,
    push: (name, principal = admin) => authorize(policy, principal, 'push', { project, name: requireRepositoryName(name) }),
    pull: (name, principal = admin) => authorize(policy, principal, 'pull', { project, name: requireRepositoryName(name) }),
    restart: async (changed = {}) => {
      await uploads.close();
      uploads = createUploads({ ...parts, limits: { ...roomyLimits, ...limits, ...changed } });
      return uploads;
    },
    staged: () => filesBelow(join(root, 'uploads')),
    stored: () => [...filesBelow(join(root, 'sha256')), ...filesBelow(join(root, 'sha512'))],
    handles: () => openHandles(root),
    close: async () => {
      await uploads.close();
      await database.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function openHandles(root: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(root);
    } catch {
      return false;
    }
  }).length;
}

function withFaults(store: BlobStore, faults: DiskFaults): BlobStore {
  const failing = (staged: StagedBlob): StagedBlob => ({
    id: staged.id,
    get sizeBytes() {
      return staged.sizeBytes;
    },
    get onGrowth() {
      return staged.onGrowth;
    },
    set onGrowth(listener) {
      staged.onGrowth = listener;
    },
    append: (chunk, isLastUse) => {
      const code = faults.append;
      return code === undefined ? staged.append(chunk, isLastUse) : Promise.reject(new BlobStoreError(code, 'cannot write'));
    },
    flush: staged.flush,
    read: staged.read,
    truncate: staged.truncate,
    commit: (digest) => {
      const code = faults.commit;
      return code === undefined ? staged.commit(digest) : Promise.reject(new BlobStoreError(code, 'cannot sync'));
    },
    close: staged.close,
    discard: staged.discard,
  });
  return {
    ...store,
    stage: async (id) => failing(await store.stage(id)),
    resume: async (id) => {
      const staged = await store.resume(id);
      return staged === undefined ? undefined : failing(staged);
    },
    inspect: () => undefined,
    holds: () => true,
    freeSpace: async () => ({ freeBytes: faults.freeBytes ?? 0, totalBytes: 1e9 }),
  };
}

/** A body of these chunks. */
export async function* bodyOf(...chunks: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk;
}

/** A body that brings its chunks and then fails, as when the client leaves. */
export async function* brokenBody(...chunks: string[]): AsyncGenerator<Uint8Array> {
  yield* bodyOf(...chunks);
  throw new DOMException('The connection was closed.', 'AbortError');
}

/** A body fed by hand. */
export function handBody(): { body: AsyncIterable<Uint8Array>; send(text: string): void; end(): void; readonly taken: Promise<void> } {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const taken = Promise.withResolvers<void>();
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const reader = readable.getReader();
    for (;;) {
      const next = await reader.read();
      if (next.done) return;
      yield next.value;
      // The consumer asked for more: what came before was appended.
      taken.resolve();
    }
  }
  return {
    body: chunks(),
    send: (text) => void writer.write(new TextEncoder().encode(text)).catch(() => undefined),
    end: () => void writer.close().catch(() => undefined),
    taken: taken.promise,
  };
}
