import { afterEach, beforeEach, expect, test } from 'bun:test';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSyncPool } from './sync-pool.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-sync-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('many commits at once are all done, by no more threads than allowed', async () => {
  const syncs = createSyncPool({ threadsMax: 2 });
  await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const from = join(folder, `from-${index}`);
      const descriptor = openSync(from, 'wx');
      writeSync(descriptor, `content ${index}`);
      await syncs.run({ descriptor, from, to: join(folder, `to-${index}`) });
      closeSync(descriptor);
      expect(readFileSync(join(folder, `to-${index}`), 'utf8')).toBe(`content ${index}`);
    }),
  );
  expect(syncs.size).toBe(2);
});

test('a failure carries the name the system gave it, and the thread goes on', async () => {
  const syncs = createSyncPool({ threadsMax: 1 });
  const from = join(folder, 'from');
  const descriptor = openSync(from, 'wx');
  const error = await syncs.run({ descriptor, from, to: join(folder, 'absent', 'to') }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ code: 'ENOENT' });
  await syncs.run({ descriptor, from, to: join(folder, 'to') });
  closeSync(descriptor);
  expect(syncs.size).toBe(1);
});

test('idle threads end, and new ones start when there is work again', async () => {
  const syncs = createSyncPool({ idleMs: 5 });
  const commit = async (name: string): Promise<void> => {
    const from = join(folder, name);
    const descriptor = openSync(from, 'wx');
    await syncs.run({ descriptor, from, to: join(folder, `${name}.done`) });
    closeSync(descriptor);
  };
  await commit('one');
  while (syncs.size > 0) await Bun.sleep(1);
  await commit('two');
  expect(syncs.size).toBe(1);
});
