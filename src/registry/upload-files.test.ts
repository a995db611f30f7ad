import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFilesystemStore } from '../blobs/filesystem.ts';
import { OciError } from '../oci/errors.ts';
import { createUploadFiles, type UploadFiles } from './upload-files.ts';
import { bodyOf } from './uploads-fixture.ts';

let folder: string;
let files: UploadFiles;
const started = async (limits: { readyMax?: number; waitMaxMs?: number }): Promise<void> => {
  files = createUploadFiles(await openFilesystemStore(join(folder, 'blobs')), limits);
};

beforeEach(async () => {
  folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'breakwater-files-'));
  await started({ readyMax: 2, waitMaxMs: 5 });
});
afterEach(async () => {
  await files.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Holds a session until it is told to let go. */
function holdSession(id: string): { letGo(): void; readonly done: Promise<void> } {
  const gate = Promise.withResolvers<void>();
  return { letGo: gate.resolve, done: files.use(id, () => gate.promise) };
}

async function write(id: string, text: string): Promise<void> {
  await files.use(id, async (file) => {
    const spool = await file.open('sha256');
    for await (const chunk of bodyOf(text)) await spool.append(chunk);
    await spool.flush();
  });
}

describe('a session that is held', () => {
  test('is waited for, but not for ever', async () => {
    const held = holdSession('a');
    const error = await files.use('a', async () => undefined).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(OciError);
    expect(error).toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 5000 });
    held.letGo();
    await held.done;
    expect(await files.use('a', async () => 'free')).toBe('free');
  });

  test('has a bounded number of waiters', async () => {
    await started({ waitMaxMs: 60_000 });
    const held = holdSession('a');
    const outcomes = Array.from({ length: 30 }, () => files.use('a', async () => 'had it').catch((error: OciError) => error.code));
    expect(await outcomes.at(-1)).toBe('TOOMANYREQUESTS');
    held.letGo();
    const all = await Promise.all(outcomes);
    expect(all.filter((outcome) => outcome === 'had it')).toHaveLength(16);
    await held.done;
  });

  test('keeps no other one waiting', async () => {
    const held = holdSession('a');
    expect(await files.use('b', async () => 'free')).toBe('free');
    expect(files.inUse()).toEqual(['a']);
    held.letGo();
    await held.done;
    expect(files.inUse()).toEqual([]);
  });

  test('is removed when it has been let go, whoever waits', async () => {
    await write('a', 'abc');
    const held = holdSession('a');
    const removed = files.remove('a');
    held.letGo();
    await removed;
    expect(existsSync(join(folder, 'blobs/uploads/a'))).toBe(false);
    expect(files.openHandles).toBe(0);
  });
});

describe('handles', () => {
  test('of the sessions unused for longest are given up', async () => {
    for (const id of ['a', 'b', 'c', 'd']) await write(id, id);
    expect(files.openHandles).toBe(2);
    // Their bytes stay.
    expect(await files.use('a', (file) => file.sizeBytes())).toBe(1);
  });

  test('of a session in use are never given up', async () => {
    await write('a', 'abc');
    const held = holdSession('a');
    for (const id of ['b', 'c', 'd']) await write(id, id);
    expect(files.openHandles).toBe(2);
    held.letGo();
    await held.done;
    await write('a', 'def');
    expect(await files.use('a', (file) => file.sizeBytes())).toBe(6);
  });

  test('a session that was only looked at has none', async () => {
    expect(await files.use('a', (file) => file.sizeBytes())).toBe(0);
    expect(files.openHandles).toBe(0);
    expect(existsSync(join(folder, 'blobs/uploads/a'))).toBe(false);
  });

  test('the end of the server waits for who holds a session', async () => {
    const order: string[] = [];
    await started({});
    const held = files.use('a', async (file) => {
      await file.open('sha256');
      await new Promise((resolve) => setImmediate(resolve));
      order.push('used');
    });
    await files.close();
    order.push('closed');
    await held;
    expect(order).toEqual(['used', 'closed']);
    expect(files.openHandles).toBe(0);
  });
});
