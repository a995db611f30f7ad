import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Spool } from '../blobs/spool.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { Database } from '../db/database.ts';
import { openSqliteDatabase } from '../db/sqlite.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { createIngest } from './ingest.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const indexType = 'application/vnd.oci.image.index.v1+json';

let folder: string;
let database: Database;
let repositoryId: number;
const events: string[] = [];
let removal: () => Promise<void>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-ingest-'));
  database = await openSqliteDatabase({ path: join(folder, 'db.sqlite'), onFatal: () => undefined });
  const project = await database.run('createProject', { name: 'team', kind: 'local', isPublic: false });
  repositoryId = await database.run('ensureRepository', { projectId: project.id, name: 'team/app' });
  events.length = 0;
  removal = async () => undefined;
});
afterEach(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

const store: BlobStore = {
  identity: 'a test',
  open: (key) => ({ kind: 'file', path: key }),
  stage: () => Promise.reject(new Error('not asked for')),
  resume: async () => undefined,
  listStaged: async () => [],
  remove: async (key) => {
    events.push(`remove ${key}`);
    await removal();
  },
  inspect: () => ({ sizeBytes: liveBytes, changedAtMs: 0 }),
  holds: () => true,
  freeSpace: async () => ({ freeBytes: 0, totalBytes: 0 }),
};

/** What the disk has of every committed blob. */
let liveBytes = 0;
/** A spool of these bytes whose commit gives this key. */
function spoolOf(text: string, key: string): Spool {
  const none = async (): Promise<void> => undefined;
  return {
    id: key,
    acceptedBytes: bytesOf(text).byteLength,
    isUncached: false,
    isWholeFrom: () => true,
    isStill: async () => true,
    append: none,
    flush: none,
    release: () => undefined,
    digest: () => digestOf(bytesOf(text)),
    complete: () => events.push('complete'),
    commit: async () => {
      events.push(`commit ${key}`);
      liveBytes = bytesOf(text).byteLength;
      return key;
    },
    fail: none,
    close: none,
    follow: async function* () {},
  };
}

/** The database, with a command that fails in its own way after or instead of its work. */
function failing(error: Error): Database {
  return { ...database, run: () => Promise.reject(error) };
}

const ingestBlob = (text: string, key: string, digest: Digest = digestOf(bytesOf(text)), to: Database = database): Promise<void> =>
  createIngest({ store, database: to }).blob({ repositoryId, spool: spoolOf(text, key), digest, origin: 'restricted' });

describe('a blob', () => {
  test('is durable before its row says so', async () => {
    const seen: string[] = [];
    const watching: Database = {
      ...database,
      run: (name, args) => {
        seen.push(...events, name);
        return database.run(name, args);
      },
    };
    await ingestBlob('abc', 'key', undefined, watching);
    expect(seen).toEqual(['complete', 'commit key', 'recordBlob']);
  });

  test('of other bytes than promised is refused before anything is made durable or released', async () => {
    await expect(ingestBlob('abc', 'key', digestOf(bytesOf('other')))).rejects.toMatchObject({ code: 'DIGEST_INVALID' });
    expect(events).toEqual([]);
  });

  test('that is here already is kept as it is, and the surplus goes; a disk that fails at that changes nothing', async () => {
    await ingestBlob('abc', 'first');
    removal = () => Promise.reject(new Error('the disk failed'));
    await ingestBlob('abc', 'second');
    expect(events).toContain('remove second');
    expect(events).not.toContain('remove first');
  });

  test('whose row was refused goes', async () => {
    await expect(ingestBlob('abc', 'key', undefined, failing(new OciError('NAME_UNKNOWN', 'gone')))).rejects.toMatchObject({
      code: 'NAME_UNKNOWN',
    });
    expect(events).toContain('remove key');
  });

  test('of which nobody knows whether its row was written stays', async () => {
    await expect(ingestBlob('abc', 'key', undefined, failing(new Error('the writer is gone')))).rejects.toThrow('the writer is gone');
    expect(events).not.toContain('remove key');
  });
});

describe('a manifest', () => {
  const bytes = bytesOf(`{"schemaVersion":2,"mediaType":"${indexType}","manifests":[]}  `);
  const put = (changes: { digest?: Digest; bytes?: Uint8Array; contentType?: string }) =>
    createIngest({ store, database }).manifest({
      repositoryId,
      bytes,
      contentType: indexType,
      tags: ['v1'],
      completeness: 'complete',
      ...changes,
    });
  const stored = async (): Promise<unknown[]> => database.read.selectFrom('manifest').select(['digest', 'bytes']).execute();

  test('is kept byte for byte under the digest of these bytes', async () => {
    expect((await put({})).digest).toBe(digestOf(bytes));
    expect(await stored()).toEqual([{ digest: digestOf(bytes), bytes }]);
  });

  test('that was promised by sha512 is kept under that name', async () => {
    expect((await put({ digest: digestOf(bytes, 'sha512') })).digest).toBe(digestOf(bytes, 'sha512'));
  });

  test('of other bytes, another type or no sense is not kept', async () => {
    await expect(put({ digest: digestOf(bytesOf('other')) })).rejects.toMatchObject({ code: 'DIGEST_INVALID' });
    await expect(put({ contentType: 'application/vnd.oci.image.manifest.v1+json' })).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
    await expect(put({ bytes: bytesOf('{') })).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
    expect(await stored()).toEqual([]);
  });
});
