// The spool: one writer, any number of readers that follow the growing bytes. Readers get exactly what was released, the writer waits for
// none of them, and a spool that fails gives nobody a byte more.

import { describe, expect, test } from 'bun:test';
import { rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { openSpool, type Spool } from '../../src/blobs/spool.ts';
import { type BlobStore, BlobStoreError } from '../../src/blobs/store.ts';
import { count } from '../support/requirements.ts';
import { bytesOf, committedFiles, digest, inStore, openFiles, readKey, same } from './fixture.ts';

const never = new AbortController().signal;
const open = async (store: BlobStore, id = 'x'): Promise<Spool> => openSpool(await store.stage(id), 'sha256');

async function collect(reader: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader) chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}

/** The error a reader ends with, and what it got before. */
async function collectUntilError(reader: AsyncIterable<Uint8Array>): Promise<{ bytes: Uint8Array; error: unknown }> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of reader) chunks.push(new Uint8Array(chunk));
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error };
  }
  throw new Error('the reader came to a good end');
}

/** How many listeners the signal has, from now on. */
function countListeners(signal: AbortSignal): () => number {
  const listeners = new Set<unknown>();
  const { addEventListener: add, removeEventListener: remove } = signal;
  signal.addEventListener = (...args: Parameters<typeof add>): void => {
    listeners.add(args[1]);
    add.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>): void => {
    listeners.delete(args[1]);
    remove.apply(signal, args);
  };
  return () => listeners.size;
}

/** Whether it is still waiting after what is under way has had its turns. */
async function isPending(task: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  task.then(settle, settle);
  await Bun.sleep(15);
  return !isSettled;
}

describe('readers', () => {
  test('get exactly their range, and at no moment more than was released', async () => {
    const follower = fc.record({
      start: fc.double({ min: 0, max: 1.1, noNaN: true }),
      end: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
      /** The step of the writer before which it comes. */
      from: fc.integer({ min: 0, max: 20 }),
      pauseMs: fc.constantFrom(0, 0, 0, 1),
    });
    const input = fc.record({
      chunks: fc.array(
        fc.record({
          length: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 1, max: 200_000 })),
          release: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        { maxLength: 12 },
      ),
      followers: fc.array(follower, { minLength: 1, maxLength: 6 }),
    });
    await inStore(async (store, root) => {
      let nextId = 0;
      await fc.assert(
        fc.asyncProperty(input, async ({ chunks, followers }) => {
          const spool = await open(store, `spool-${nextId++}`);
          const model = bytesOf(
            chunks.reduce((sum, chunk) => sum + chunk.length, 0),
            nextId,
          );
          let released = 0;
          const results: Promise<void>[] = [];
          const begin = (step: number, isLast: boolean): void => {
            for (const one of followers.filter((item) => item.from === step || (isLast && item.from > step))) {
              const start = Math.floor(model.byteLength * one.start);
              const end = one.end === undefined ? undefined : Math.floor(model.byteLength * one.end);
              const read = async (): Promise<void> => {
                let at = start;
                for await (const chunk of spool.follow(start, end, never)) {
                  at += chunk.byteLength;
                  expect(at).toBeLessThanOrEqual(released);
                  expect(same(chunk, model.subarray(at - chunk.byteLength, at))).toBe(true);
                  if (one.pauseMs > 0) await Bun.sleep(one.pauseMs);
                }
                expect(Math.max(0, at - start)).toBe(model.subarray(start, end ?? model.byteLength).byteLength);
              };
              results.push(read());
            }
          };
          let accepted = 0;
          for (const [step, { length, release }] of chunks.entries()) {
            begin(step, false);
            await spool.append(model.slice(accepted, accepted + length));
            accepted += length;
            expect(spool.acceptedBytes).toBe(accepted);
            // Any point up to what is accepted; one that lies behind an earlier one changes nothing.
            released = Math.max(released, Math.floor(accepted * release));
            spool.release(released);
            spool.release(0);
          }
          expect(spool.digest()).toBe(digest(model));
          released = accepted;
          spool.complete();
          begin(chunks.length, true);
          const key = await spool.commit(digest(model));
          await spool.close();
          await Promise.all(results);
          expect(same(await collect(spool.follow(0, undefined, never)), model)).toBe(true);
          expect(same(await readKey(store, key), model)).toBe(true);
          await store.remove(key);
        }),
        { numRuns: count({ quick: 40, full: 500, env: 'BREAKWATER_SPOOL_RUNS' }), endOnFailure: true },
      );
      expect(openFiles(root)).toEqual([]);
    });
  }, 600_000);

  test('wait for the release although the bytes are there, and end with the completion', () =>
    inStore(async (store) => {
      const spool = await open(store);
      await spool.append(bytesOf(1000));
      await spool.flush();
      const reader = spool.follow(0, undefined, never);
      const first = reader.next();
      expect(await isPending(first)).toBe(true);
      spool.release(400);
      spool.release(100);
      expect((await first).value).toEqual(Buffer.from(bytesOf(1000).subarray(0, 400)));
      const second = reader.next();
      expect(await isPending(second)).toBe(true);
      // No commit is needed for readers to go to the end.
      spool.complete();
      expect((await second).value).toEqual(Buffer.from(bytesOf(1000).subarray(400)));
      expect((await reader.next()).done).toBe(true);
      await spool.fail(new Error('done with it'));
    }));

  test('take pieces of a bounded size, however much there is', () =>
    inStore(async (store) => {
      const spool = await open(store);
      await spool.append(bytesOf(1_000_000));
      spool.complete();
      await spool.flush();
      for await (const chunk of spool.follow(0, undefined, never)) expect(chunk.byteLength).toBeLessThanOrEqual(128 * 1024);
      await spool.fail(new Error('done with it'));
    }));

  test('of an empty blob end at once with nothing', () =>
    inStore(async (store) => {
      const spool = await open(store);
      spool.complete();
      expect((await collect(spool.follow(0, undefined, never))).byteLength).toBe(0);
      expect((await collect(spool.follow(5, 9, never))).byteLength).toBe(0);
      const key = await spool.commit(spool.digest());
      expect((await readKey(store, key)).byteLength).toBe(0);
      await spool.close();
    }));

  test(
    'that stop reading slow down neither the writer nor the others, and lose nothing',
    () =>
      inStore(async (store) => {
        const spool = await open(store);
        const whole = bytesOf(1024 * 1024);
        const slow = spool.follow(0, undefined, never);
        await spool.append(whole);
        spool.release(10);
        const parts = [new Uint8Array((await slow.next()).value ?? [])];
        const quick = collect(spool.follow(0, undefined, never));
        for (let index = 1; index < 24; index++) {
          await spool.append(whole.slice());
          spool.release(spool.acceptedBytes);
        }
        spool.complete();
        await spool.commit(spool.digest());
        const model = Buffer.concat(Array.from({ length: 24 }, () => whole));
        expect(same(await quick, model)).toBe(true);
        for await (const chunk of slow) parts.push(new Uint8Array(chunk));
        expect(same(Buffer.concat(parts), model)).toBe(true);
        await spool.close();
      }),
    30_000,
  );

  test('get what was written from chunks that were freed then, and each piece only until they ask for the next', () =>
    inStore(async (store) => {
      const spool = await open(store);
      const [kept, given] = [new Uint8Array(bytesOf(300_000)), new Uint8Array(bytesOf(300_000))];
      const model = Buffer.concat([kept, given]);
      await spool.append(kept);
      await spool.append(given, true);
      await spool.flush();
      expect([kept.byteLength, given.byteLength]).toEqual([300_000, 0]);
      spool.complete();
      expect(same(await collect(spool.follow(0, undefined, never)), model)).toBe(true);
      // The last piece is no whole block, so it is read for this reader alone.
      let last = new Uint8Array();
      for await (const piece of spool.follow(599_000, undefined, never)) last = piece as Uint8Array<ArrayBuffer>;
      expect(last.byteLength).toBe(0);
      await spool.close();
    }));

  test('that are aborted end with the reason, waiting or not, and the writer goes on', () =>
    inStore(async (store, root) => {
      const spool = await open(store);
      const before = new AbortController();
      before.abort(new Error('never wanted'));
      expect((await collectUntilError(spool.follow(0, undefined, before.signal))).error).toEqual(new Error('never wanted'));
      const during = new AbortController();
      const waiting = collectUntilError(spool.follow(0, undefined, during.signal));
      await spool.append(bytesOf(100));
      spool.release(60);
      await spool.flush();
      await Bun.sleep(10);
      during.abort(new Error('left'));
      const { bytes, error } = await waiting;
      expect(error).toEqual(new Error('left'));
      expect(bytes).toEqual(Buffer.from(bytesOf(60)));
      const other = collect(spool.follow(50, undefined, never));
      await spool.append(bytesOf(10));
      spool.complete();
      await spool.commit(spool.digest());
      await spool.close();
      expect((await other).byteLength).toBe(60);
      expect(openFiles(root)).toEqual([]);
    }));

  test('leave no listener behind, however often they have waited', () =>
    inStore(async (store) => {
      const spool = await open(store);
      const controller = new AbortController();
      const listeners = countListeners(controller.signal);
      const reader = collect(spool.follow(0, undefined, controller.signal));
      let most = 0;
      for (let index = 0; index < 200; index++) {
        await spool.append(new Uint8Array([index]));
        await spool.flush();
        spool.release(spool.acceptedBytes);
        if (index % 10 === 0) await Bun.sleep(2);
        most = Math.max(most, listeners());
      }
      expect(most).toBe(1);
      spool.complete();
      expect((await reader).byteLength).toBe(200);
      expect(listeners()).toBe(0);
      await spool.fail(new Error('done with it'));
    }));

  test('of a file that someone cut get an error, not silence', () =>
    inStore(async (store, root) => {
      const spool = await open(store);
      await spool.append(bytesOf(1000));
      await spool.flush();
      truncateSync(join(root, 'uploads', 'x'), 300);
      spool.complete();
      const { bytes, error } = await collectUntilError(spool.follow(0, undefined, never));
      expect(bytes).toEqual(Buffer.from(bytesOf(300)));
      expect(error).toBeInstanceOf(BlobStoreError);
      await spool.fail(new Error('cut'));
    }));
});

describe('a spool that fails', () => {
  test('cuts off readers that wait, that read and that come later, with its error', () =>
    inStore(async (store, root) => {
      const spool = await open(store);
      await spool.append(bytesOf(1_000_000));
      spool.release(500_000);
      await spool.flush();
      const atRest = spool.follow(0, undefined, never);
      await atRest.next();
      const waiting = collectUntilError(spool.follow(500_000, undefined, never));
      await Bun.sleep(5);
      const failure = new Error('wrong bytes');
      const failing = spool.fail(failure);
      expect((await waiting).error).toBe(failure);
      expect(await atRest.next().catch((error: unknown) => error)).toBe(failure);
      expect((await collectUntilError(spool.follow(0, undefined, never))).error).toBe(failure);
      await failing;
      await spool.fail(new Error('another'));
      expect((await collectUntilError(spool.follow(0, undefined, never))).error).toBe(failure);
      expect(await store.listStaged()).toEqual([]);
      expect(committedFiles(root)).toEqual([]);
      await spool.close();
      expect(openFiles(root)).toEqual([]);
    }));

  test('gives no byte that was being read when it failed', () =>
    inStore(async (store) => {
      for (let round = 0; round < 50; round++) {
        const spool = await open(store, `round-${round}`);
        await spool.append(bytesOf(200_000));
        spool.release(200_000);
        await spool.flush();
        const reader = spool.follow(0, undefined, never);
        const reading = reader.next().then(
          () => 'a byte',
          () => 'cut off',
        );
        const failing = spool.fail(new Error('wrong bytes'));
        expect(await reading).toBe('cut off');
        await failing;
      }
    }));

  test('after its commit cuts off readers and leaves the object to its owner', () =>
    inStore(async (store) => {
      const spool = await open(store);
      await spool.append(bytesOf(500_000));
      spool.complete();
      const key = await spool.commit(spool.digest());
      const reader = spool.follow(0, undefined, never);
      await reader.next();
      await spool.fail(new Error('the database refused it'));
      expect(await reader.next().catch((error: unknown) => String(error))).toContain('the database refused it');
      expect(await readKey(store, key)).toEqual(bytesOf(500_000));
    }));
});

describe('the handle', () => {
  test('is kept for readers and given up with the last of them', () =>
    inStore(async (store, root) => {
      const spool = await open(store);
      await spool.append(bytesOf(400_000));
      spool.complete();
      await spool.commit(spool.digest());
      const [one, two] = [spool.follow(0, undefined, never), spool.follow(0, 200_000, never)];
      await one.next();
      await two.next();
      await spool.close();
      expect(openFiles(root).length).toBe(1);
      await two.return(undefined);
      expect(openFiles(root).length).toBe(1);
      expect((await collect(one)).byteLength).toBe(400_000 - 128 * 1024);
      expect(openFiles(root)).toEqual([]);
    }));

  test('is taken again by a reader that comes after it was given up, before and after the commit', () =>
    inStore(async (store, root) => {
      const spool = await open(store);
      await spool.append(bytesOf(400_000));
      spool.complete();
      const early = spool.follow(0, undefined, never);
      const key = await spool.commit(spool.digest());
      await spool.close();
      expect(openFiles(root)).toEqual([]);
      expect(same(await collect(early), bytesOf(400_000))).toBe(true);
      expect(same(await collect(spool.follow(399_999, undefined, never)), bytesOf(400_000).subarray(399_999))).toBe(true);
      rmSync(store.open(key).path);
      expect((await collectUntilError(spool.follow(0, undefined, never))).error).toBeInstanceOf(BlobStoreError);
      expect(openFiles(root)).toEqual([]);
    }));
});

describe('a spool over bytes that are there already', () => {
  test('that cannot be read gives up the handle', () =>
    inStore(async (store, root) => {
      const staged = await store.stage('x');
      await staged.append(bytesOf(1000));
      await staged.flush();
      truncateSync(join(root, 'uploads', 'x'), 300);
      expect(await openSpool(staged, 'sha256').catch((error: unknown) => error)).toBeInstanceOf(BlobStoreError);
      expect(openFiles(root)).toEqual([]);
    }));

  for (const algorithm of ['sha256', 'sha512'] as const) {
    test(`goes on with the ${algorithm} of all of them`, () =>
      inStore(async (store) => {
        const first = await openSpool(await store.stage('x'), algorithm);
        await first.append(bytesOf(300_001));
        await first.close();
        const staged = await store.resume('x');
        if (staged === undefined) throw new Error('the object is gone');
        const second = await openSpool(staged, algorithm);
        expect(second.acceptedBytes).toBe(300_001);
        await second.append(bytesOf(7, 5));
        const whole = Buffer.concat([bytesOf(300_001), bytesOf(7, 5)]);
        expect(second.digest()).toBe(digest(whole, algorithm));
        expect(second.digest()).toBe(digest(whole, algorithm));
        expect(await second.append(bytesOf(1)).catch((error: unknown) => String(error))).toContain('has ended');
        expect(await readKey(store, await second.commit(digest(whole, algorithm)))).toEqual(new Uint8Array(whole));
        await second.close();
      }));
  }
});
