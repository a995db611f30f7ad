// What a filesystem store must do when the disk does not do its part: the order of its syncs, calls that fail, and a disk that is full.

import { describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openFilesystemStore } from '../../src/blobs/filesystem.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { bytesOf, commitBytes, committedFiles, digest, inFolder, openFiles, outcome, readKey, readStaged, same } from './fixture.ts';

describe.skipIf(!requireTools('strace'))('under a tracer', () => {
  const child = join(import.meta.dir, 'commit-child.ts');
  const run = (folder: string, inject: string[]): string => {
    const tracer = ['strace', '-f', '-qq', '-o', join(folder, 'trace'), '-e', 'trace=fdatasync,fsync,rename,unlink', ...inject];
    const { stdout } = Bun.spawnSync([...tracer, process.execPath, child, join(folder, 'blobs')], { stderr: 'inherit' });
    return stdout.toString();
  };

  test('the data is synced before it has its name, and the name before the key is given', () =>
    inFolder(async (folder) => {
      expect(run(folder, ['-y', '-e', 'trace=fdatasync,fsync,rename,write,writev,sendto,sendmsg'])).toContain('committed');
      const lines = readFileSync(join(folder, 'trace'), 'utf8').split('\n');
      const at = (pattern: RegExp): number => lines.findIndex((line) => pattern.test(line));
      const order = [
        /fdatasync\(.*uploads\/object/,
        /rename\(.*uploads\/object/,
        /fsync\(\d+<[^>]*\/sha256\/[0-9a-f]{2}>/,
        /(write|send)\w*\(.*committed/,
      ].map(at);
      expect(order.every((line) => line >= 0)).toBe(true);
      expect(order).toEqual([...order].sort((a, b) => a - b));
    }));

  for (const call of ['fdatasync', 'rename', 'fsync']) {
    test(`${call} that fails gives no key and takes the bytes away, so that no later sync can bless them`, () =>
      inFolder(async (folder) => {
        // The folders are made first, without the failure.
        run(folder, []);
        rmSync(join(folder, 'blobs', 'sha256'), { recursive: true });
        for (let shard = 0; shard < 256; shard++)
          mkdirSync(join(folder, 'blobs', 'sha256', shard.toString(16).padStart(2, '0')), { recursive: true });
        const said = run(folder, ['-e', `inject=${call}:error=EIO`]);
        expect(said).toBe('refused io\nagain io\nresumed nothing\n');
        expect(committedFiles(join(folder, 'blobs'))).toEqual([]);
        expect(readdirSync(join(folder, 'blobs', 'uploads'))).toEqual([]);
        const syncs = readFileSync(join(folder, 'trace'), 'utf8')
          .split('\n')
          .filter((line) => line.includes('fdatasync('));
        expect(syncs.length).toBe(1);
      }));
  }
});

describe.skipIf(!requireTools('mount', 'umount') || !requireRoot())('on a full disk', () => {
  test(
    'writes are told `full`, what is committed stays readable, and writes go on once there is room',
    () =>
      inFolder(async (folder) => {
        await Bun.$`mount -t tmpfs -o size=4m tmpfs ${folder}`.quiet();
        try {
          const root = join(folder, 'blobs');
          const store = await openFilesystemStore(root);
          const kept = bytesOf(1024 * 1024);
          const key = await commitBytes(store, 'kept', kept);
          const staged = await store.stage('x');
          const write = async (): Promise<void> => {
            for (let index = 0; index < 20; index++) await staged.append(bytesOf(400_000));
            await staged.flush();
          };
          expect(await outcome(write())).toBe('full');
          expect(await outcome(staged.append(bytesOf(1)))).toBe('full');
          expect(await outcome(staged.commit(digest(bytesOf(1))))).toBe('full');
          const { sizeBytes } = staged;
          expect(sizeBytes).toBeGreaterThan(0);
          const model = Buffer.concat(Array.from({ length: 20 }, () => bytesOf(400_000)));
          expect(same(await readStaged(staged), model.subarray(0, sizeBytes))).toBe(true);
          expect(same(await readKey(store, key), kept)).toBe(true);
          expect((await store.freeSpace()).freeBytes).toBeLessThan(64 * 1024);
          // The session goes on from what is there: never a gap, never other bytes.
          await staged.close();
          const again = await store.resume('x');
          if (again === undefined) throw new Error('the object is gone');
          expect(again.sizeBytes).toBeGreaterThanOrEqual(sizeBytes);
          expect(same(await readStaged(again), model.subarray(0, again.sizeBytes))).toBe(true);
          await again.discard();
          await Bun.sleep(1100);
          const free = await store.freeSpace();
          expect(free.freeBytes).toBeGreaterThan(2 * 1024 * 1024);
          expect(free.totalBytes).toBe(4 * 1024 * 1024);
          expect(same(await readKey(store, await commitBytes(store, 'after', kept)), kept)).toBe(true);
          expect(openFiles(folder)).toEqual([]);
        } finally {
          await Bun.$`umount ${folder}`.quiet();
        }
      }),
    30_000,
  );

  test(
    'a disk without room for another name is `full` too',
    () =>
      inFolder(async (folder) => {
        await Bun.$`mount -t tmpfs -o size=4m,nr_inodes=530 tmpfs ${folder}`.quiet();
        try {
          const store = await openFilesystemStore(join(folder, 'blobs'));
          const made: string[] = [];
          let last = 'done';
          for (let index = 0; index < 100 && last === 'done'; index++) {
            last = await outcome(
              store.stage(`object-${index}`).then(async (staged) => {
                made.push(staged.id);
                await staged.close();
              }),
            );
          }
          expect(last).toBe('full');
          expect(made.length).toBeGreaterThan(0);
          expect(openFiles(folder)).toEqual([]);
        } finally {
          await Bun.$`umount ${folder}`.quiet();
        }
      }),
    30_000,
  );
});
