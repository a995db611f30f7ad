// The contract of the blob store, on a filesystem: what is written is read back, what is committed is whole and under a name of its own,
// and what failed leaves nothing that could be taken for content.

import { describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { openFilesystemStore } from '../../src/blobs/filesystem.ts';
import { digestHex } from '../../src/oci/digest.ts';
import { count } from '../support/requirements.ts';
import {
  bytesOf,
  commitBytes,
  committedFiles,
  digest,
  inFolder,
  inStore,
  openFiles,
  outcome,
  readKey,
  readStaged,
  same,
} from './fixture.ts';

describe('a new store', () => {
  test('has its folders and an identity that stays', () =>
    inFolder(async (folder) => {
      const root = join(folder, 'a', 'b', 'blobs');
      const first = await openFilesystemStore(root);
      expect(readdirSync(root).sort()).toEqual(['sha256', 'sha512', 'store.json', 'uploads']);
      expect(readdirSync(join(root, 'sha256')).length).toBe(256);
      expect(readdirSync(join(root, 'sha512')).length).toBe(256);
      expect(first.identity).toMatch(/^[0-9a-f]{32}$/);
      expect(JSON.parse(readFileSync(join(root, 'store.json'), 'utf8'))).toEqual({ store: first.identity, layout: 1 });
      for (const name of ['sha256', 'sha256/00', 'uploads']) expect(statSync(join(root, name)).mode & 0o777).toBe(0o700);
      expect(statSync(join(root, 'store.json')).mode & 0o777).toBe(0o600);
      expect((await openFilesystemStore(root)).identity).toBe(first.identity);
      expect((await openFilesystemStore(join(folder, 'other'))).identity).not.toBe(first.identity);
      expect(openFiles(folder)).toEqual([]);
    }));

  test('whose making was interrupted is made to the end', () =>
    inFolder(async (folder) => {
      const root = join(folder, 'blobs');
      mkdirSync(join(root, 'sha256', '00'), { recursive: true });
      writeFileSync(join(root, 'store.json.new'), '{"sto');
      const store = await openFilesystemStore(root);
      expect(await readKey(store, await commitBytes(store, 'x', bytesOf(10)))).toEqual(bytesOf(10));
      expect(existsSync(join(root, 'store.json.new'))).toBe(false);
    }));

  for (const text of ['', '{"store":"', '[]', 'null', '{"store":"abc","layout":2}', '{"store":"","layout":1}', '{"store":7,"layout":1}']) {
    test(`is refused where store.json holds ${JSON.stringify(text)}`, () =>
      inFolder(async (folder) => {
        writeFileSync(join(folder, 'store.json'), text);
        expect(await outcome(openFilesystemStore(folder))).toContain('not the identity of a blob store');
        expect(readdirSync(folder)).toEqual(['store.json']);
      }));
  }
});

describe('an object', () => {
  test('is read back as it was written, whatever the order of appends, reads, cuts and restarts', async () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('append' as const),
        length: fc.integer({ min: 0, max: 3000 }),
        seed: fc.integer({ min: 0, max: 250 }),
      }),
      fc.record({ kind: fc.constant('append' as const), length: fc.constant(300_000), seed: fc.integer({ min: 0, max: 250 }) }),
      fc.record({
        kind: fc.constant('read' as const),
        start: fc.integer({ min: 0, max: 400_000 }),
        length: fc.integer({ min: 0, max: 200_000 }),
      }),
      fc.record({ kind: fc.constant('truncate' as const), keep: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.constant({ kind: 'flush' as const }),
      fc.constant({ kind: 'resume' as const }),
    );
    await inStore(async (store, root) => {
      let nextId = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
          const id = `object-${nextId++}`;
          let model: Uint8Array = new Uint8Array();
          let staged = await store.stage(id);
          for (const one of steps) {
            if (one.kind === 'append') {
              const chunk = bytesOf(one.length, one.seed);
              await staged.append(chunk);
              model = Buffer.concat([model, chunk]);
            } else if (one.kind === 'truncate') {
              const length = Math.floor(model.byteLength * one.keep);
              await staged.truncate(length);
              model = model.subarray(0, length);
            } else if (one.kind === 'resume') {
              await staged.close();
              const again = await store.resume(id);
              if (again === undefined) throw new Error('the object is gone');
              staged = again;
              expect(staged.sizeBytes).toBe(model.byteLength);
            } else {
              await staged.flush();
              expect(staged.sizeBytes).toBe(model.byteLength);
              if (one.kind === 'read')
                expect(same(await staged.read(one.start, one.length), model.subarray(one.start, one.start + one.length))).toBe(true);
            }
          }
          const key = await staged.commit(digest(model));
          expect(same(await readKey(store, key), model)).toBe(true);
          expect(same(await readStaged(staged), model)).toBe(true);
          await staged.close();
          expect(same(await readStaged(staged), model)).toBe(true);
        }),
        { numRuns: count({ quick: 25, full: 300, env: 'BREAKWATER_OBJECT_RUNS' }), endOnFailure: true },
      );
      expect(openFiles(root)).toEqual([]);
      expect(await store.listStaged()).toEqual([]);
    });
  }, 600_000);

  test('takes many small pieces at once and any large one', () =>
    inStore(async (store) => {
      const bytes = bytesOf(5000);
      const staged = await store.stage('x');
      await Promise.all(Array.from(bytes, (byte) => staged.append(new Uint8Array([byte]))));
      await staged.append(bytesOf(9_000_000, 3));
      const whole = Buffer.concat([bytes, bytesOf(9_000_000, 3)]);
      expect(same(await readKey(store, await staged.commit(digest(whole))), whole)).toBe(true);
      await staged.close();
    }));

  test('tells of each growth once the bytes can be read', () =>
    inStore(async (store) => {
      const staged = await store.stage('x');
      const seen: number[] = [];
      staged.onGrowth = () => seen.push(staged.sizeBytes);
      expect(staged.sizeBytes).toBe(0);
      await staged.append(bytesOf(1000));
      await staged.flush();
      await staged.append(bytesOf(500));
      await staged.flush();
      expect(seen).toEqual([1000, 1500]);
      await staged.discard();
    }));

  test('is written without a flush, soon', () =>
    inStore(async (store) => {
      const staged = await store.stage('x');
      const grown = Promise.withResolvers<void>();
      staged.onGrowth = grown.resolve;
      await staged.append(bytesOf(10));
      await grown.promise;
      expect(await readStaged(staged)).toEqual(bytesOf(10));
      await staged.discard();
    }));

  test('has an id of its own: a second one of that id is refused, the first goes on', () =>
    inStore(async (store) => {
      const staged = await store.stage('x');
      await staged.append(bytesOf(10));
      expect(await outcome(store.stage('x'))).toBe('exists');
      expect(await store.resume('y')).toBeUndefined();
      await staged.flush();
      expect(await readStaged(staged)).toEqual(bytesOf(10));
      await staged.discard();
    }));

  test('is never made longer by a cut', () =>
    inStore(async (store, root) => {
      const staged = await store.stage('x');
      await staged.append(bytesOf(10));
      expect(await outcome(staged.truncate(11))).toBe('io');
      await staged.truncate(10);
      expect(statSync(join(root, 'uploads', 'x')).size).toBe(10);
      await staged.discard();
    }));

  test('that is closed keeps all that was appended, flushed or not', () =>
    inStore(async (store, root) => {
      const staged = await store.stage('x');
      await staged.append(bytesOf(700_000));
      await staged.append(bytesOf(3));
      await staged.close();
      await staged.close();
      expect(openFiles(root)).toEqual([]);
      const again = await store.resume('x');
      expect(again?.sizeBytes).toBe(700_003);
      await again?.discard();
    }));

  test('that is discarded is gone, and so is everything one could do with it', () =>
    inStore(async (store, root) => {
      const staged = await store.stage('x');
      await staged.append(bytesOf(100));
      await staged.discard();
      await staged.discard();
      expect(readdirSync(join(root, 'uploads'))).toEqual([]);
      expect(openFiles(root)).toEqual([]);
      expect(await outcome(staged.append(bytesOf(1)))).toBe('io');
      expect(await outcome(staged.flush())).toBe('io');
      expect(await outcome(staged.read(0, 10))).toBe('io');
      expect(await outcome(staged.commit(digest(bytesOf(100))))).toBe('io');
      expect(committedFiles(root)).toEqual([]);
      expect(await store.resume('x')).toBeUndefined();
    }));

  test('is listed with the time of its last write until it is committed or discarded', () =>
    inStore(async (store) => {
      const first = await store.stage('first');
      const second = await store.stage('second');
      const listed = await store.listStaged();
      expect(listed.map((item) => item.id).sort()).toEqual(['first', 'second']);
      for (const item of listed) expect(Math.abs(item.writtenAtMs - Date.now())).toBeLessThan(60_000);
      await first.append(bytesOf(1));
      await first.commit(digest(bytesOf(1)));
      await second.discard();
      expect(await store.listStaged()).toEqual([]);
      await first.close();
    }));

  test('that the disk does not give is not taken for an absent one', () =>
    inStore(async (store, root) => {
      symlinkSync('loop', join(root, 'uploads', 'loop'));
      expect(await outcome(store.resume('loop'))).toBe('io');
      mkdirSync(join(root, 'uploads', 'folder'));
      expect(await outcome(store.resume('folder'))).toBe('io');
      expect(openFiles(root)).toEqual([]);
    }));
});

describe('a commit', () => {
  test('gives a name of its own each time, made of the digest, and never overwrites', () =>
    inStore(async (store, root) => {
      const bytes = bytesOf(1000);
      const keys = await Promise.all(Array.from({ length: 20 }, (_, index) => commitBytes(store, `object-${index}`, bytes)));
      expect(new Set(keys).size).toBe(20);
      const hex = digestHex(digest(bytes));
      for (const key of keys) expect(key).toMatch(new RegExp(`^sha256/${hex.slice(0, 2)}/${hex}\\.[0-9a-z]{26}$`));
      expect(committedFiles(root).sort()).toEqual([...keys].sort());
      const wide = await store.stage('wide');
      await wide.append(bytes);
      const key = await wide.commit(digest(bytes, 'sha512'));
      expect(key.startsWith(`sha512/${digestHex(digest(bytes, 'sha512')).slice(0, 2)}/`)).toBe(true);
      await wide.close();
      await store.remove(keys[0] ?? '');
      await store.remove(keys[0] ?? '');
      expect(existsSync(store.open(keys[0] ?? '').path)).toBe(false);
      for (const kept of [...keys.slice(1), key]) expect(await readKey(store, kept)).toEqual(bytes);
    }));

  test('shows an object whole or not at all, at any moment', () =>
    inStore(async (store, root) => {
      let isDone = false;
      let seen = 0;
      const watch = (async () => {
        const known = new Set<string>();
        while (!isDone) {
          for (const file of committedFiles(root).filter((name) => !known.has(name))) {
            known.add(file);
            const bytes = readFileSync(join(root, file));
            expect(file).toContain(digestHex(digest(bytes)));
            seen++;
          }
          await Bun.sleep(1);
        }
      })();
      await Promise.all(
        Array.from({ length: 40 }, async (_, index) => {
          const bytes = bytesOf(50_000 + index * 7919, index);
          const staged = await store.stage(`object-${index}`);
          for (let at = 0; at < bytes.byteLength; at += 10_007) await staged.append(bytes.slice(at, at + 10_007));
          await staged.commit(digest(bytes));
          await staged.close();
        }),
      );
      await Bun.sleep(20);
      isDone = true;
      await watch;
      expect(seen).toBe(40);
    }));

  test('that fails leaves nothing behind: not the bytes, not a name, and no second try', () =>
    inStore(async (store, root) => {
      const bytes = bytesOf(1000);
      const shard = join(root, 'sha256', digestHex(digest(bytes)).slice(0, 2));
      rmSync(shard, { recursive: true });
      const staged = await store.stage('x');
      await staged.append(bytes);
      expect(await outcome(staged.commit(digest(bytes)))).toBe('io');
      mkdirSync(shard);
      expect(await outcome(staged.commit(digest(bytes)))).toBe('io');
      expect(await outcome(staged.append(bytes))).toBe('io');
      expect(await store.resume('x')).toBeUndefined();
      expect(committedFiles(root)).toEqual([]);
      await staged.discard();
      expect(openFiles(root)).toEqual([]);
    }));
});

test('an object that someone else cut short gives what is there, not zeros', () =>
  inStore(async (store, root) => {
    const staged = await store.stage('x');
    await staged.append(bytesOf(1000));
    await staged.flush();
    truncateSync(join(root, 'uploads', 'x'), 400);
    expect(await staged.read(0, 1000)).toEqual(Buffer.from(bytesOf(1000).subarray(0, 400)));
    expect((await staged.read(400, 100)).byteLength).toBe(0);
    await staged.discard();
  }));
