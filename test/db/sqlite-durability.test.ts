// What SQLite must do for an acknowledged command to survive: sync before the answer, never write again after a sync that failed, come back
// from a full disk, keep its log short, and leave no file open.

import { describe, expect, test } from 'bun:test';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { prepareContentQueries } from '../../src/db/content.ts';
import { lockDataFolder } from '../../src/db/data-folder-lock.ts';
import type { Database } from '../../src/db/database.ts';
import { getMeta } from '../../src/db/projects.ts';
import { openSqliteDatabase } from '../../src/db/sqlite.ts';
import { openSqlite } from '../../src/db/sqlite-file.ts';
import { fullRun, requireRoot, requireTools } from '../support/requirements.ts';
import { createFixture, digest, manifest, outcome } from './fixture.ts';

const fatal: string[] = [];
const open = (path: string): Promise<Database> => openSqliteDatabase({ path, onFatal: (message) => fatal.push(message) });

async function inFolder(task: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-db-'));
  try {
    await task(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Files of the folder that this process has open. */
function openFiles(folder: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(folder) ? [target] : [];
    } catch {
      return [];
    }
  });
}

test('the files as they are when a command is answered hold it: a killed process loses nothing', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'test.sqlite');
    const database = await open(path);
    for (let index = 0; index < 20; index++) {
      await database.run('setMeta', { key: 'last', value: String(index) });
      const copy = join(folder, `copy-${index}`, 'test.sqlite');
      mkdirSync(dirname(copy));
      for (const suffix of ['', '-wal']) copyFileSync(`${path}${suffix}`, `${copy}${suffix}`);
      const copied = await open(copy);
      expect(await getMeta(copied.read, 'last')).toBe(String(index));
      await copied.close();
    }
    await database.close();
  }));

test('the folders above a new database are made, and nothing is left open after closing', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'a', 'b', 'test.sqlite');
    const database = await open(path);
    const content = prepareContentQueries(database);
    await content.blob('p/r', digest('x'));
    await database.run('setMeta', { key: 'k', value: 'v' });
    expect(openFiles(folder).length).toBeGreaterThan(0);
    await database.close();
    expect(openFiles(folder)).toEqual([]);
    expect(existsSync(`${path}-wal`)).toBe(false);
  }));

test('a file that is no database is refused, and nothing is left open', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'test.sqlite');
    writeFileSync(path, Buffer.alloc(8192, 7));
    expect(await outcome(open(path))).toContain('not a database');
    expect(openFiles(folder)).toEqual([]);
  }));

test('the log stays short under load, although statements of the reader have been used', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'test.sqlite');
    const database = await open(path);
    const fixture = await createFixture(async () => ({ database, restart: unused, alter: unused, close: () => database.close() }));
    const target = await fixture.repository();
    let longestBytes = 0;
    for (let index = 0; index < 60; index++) {
      const text = `padded ${index} ${'x'.repeat(512 * 1024)}`;
      await database.run('putManifest', manifest(target.id, text, { tags: ['t'] }));
      await fixture.content.manifestByTag(target.name, 't');
      await database.read.selectFrom('manifest').select('digest').limit(1).execute();
      longestBytes = Math.max(longestBytes, statSync(`${path}-wal`).size);
    }
    // 30 MiB were written; the log is folded into the file after each thousand pages (4 MiB).
    expect(longestBytes).toBeLessThan(8 * 1024 * 1024);
    await database.close();
  }));

describe.skipIf(!requireTools('strace'))('under a tracer', () => {
  const run = async (folder: string, commands: { count: number; atOnce: number }, inject: string[]) => {
    const trace = join(folder, 'trace');
    const tracer = ['strace', '-f', '-qq', '-o', trace, '-e', 'trace=fsync,fdatasync', ...inject];
    const child = Bun.spawn(
      [...tracer, process.execPath, childFile, join(folder, 'test.sqlite'), String(commands.count), String(commands.atOnce)],
      {
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'inherit',
      },
    );
    const said = (await new Response(child.stdout).text()).trim().split('\n');
    await child.exited;
    const syncs = readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => /f(data)?sync\(/.test(line));
    return { said, syncs, signal: child.signalCode };
  };
  const none = { count: 0, atOnce: 1 };
  const childFile = join(import.meta.dir, 'sqlite-child.ts');

  test(
    'each command waits for a sync of its own when it comes alone',
    () =>
      inFolder(async (folder) => {
        const before = (await run(folder, none, [])).syncs.length;
        const other = join(folder, 'other');
        mkdirSync(other);
        const { said, syncs } = await run(other, { count: 25, atOnce: 1 }, []);
        expect(said.filter((line) => line.startsWith('done')).length).toBe(25);
        expect(syncs.length).toBeGreaterThanOrEqual(before + 25);
      }),
    60_000,
  );

  test(
    'after a sync that failed nothing is acknowledged, nothing is written and the process is told to end',
    () =>
      inFolder(async (folder) => {
        const opening = (await run(folder, none, [])).syncs.length;
        const other = join(folder, 'other');
        mkdirSync(other);
        // One failure only: every later sync would succeed. The tracer counts for each thread, so that it hits the writer after some commits;
        // 150 commands at once make three commits, so that others wait behind the one that fails.
        const commands = { count: 150 * (opening + 3), atOnce: 150 };
        const { said, syncs } = await run(other, commands, ['-e', `inject=fsync,fdatasync:error=EIO:when=${opening + 4}`]);
        const outcomes = said.filter((line) => line !== 'open' && line !== 'fatal').map((line) => line.split(' ')[0] ?? '');
        expect(said.filter((line) => line === 'fatal').length).toBe(1);
        expect(outcomes.length).toBe(commands.count);
        const done = outcomes.indexOf('failed');
        const failedCount = outcomes.filter((line) => line === 'failed').length;
        expect(done).toBeGreaterThan(0);
        expect(failedCount).toBeGreaterThan(0);
        // Those whose commit failed have no code: whether they were done is unknown. Those behind them were not begun.
        const behind = commands.count - done - failedCount;
        expect(behind).toBeGreaterThan(0);
        expect(outcomes).toEqual([
          ...Array.from({ length: done }, () => 'done'),
          ...Array.from({ length: failedCount }, () => 'failed'),
          ...Array.from({ length: behind }, () => 'refused'),
        ]);
        expect(said.filter((line) => line.startsWith('refused') && line !== 'refused UNAVAILABLE')).toEqual([]);
        // The writer, told by its thread, syncs no more. (The end of the process folds what was committed before into the file.)
        const failed = syncs.findIndex((line) => line.includes('INJECTED'));
        const thread = syncs[failed]?.split(' ')[0] ?? 'no thread';
        expect(syncs.slice(failed + 1).filter((line) => line.startsWith(`${thread} `))).toEqual([]);
        const again = await open(join(other, 'test.sqlite'));
        for (let index = 0; index < done; index++) expect(await getMeta(again.read, `key ${index}`)).toBeDefined();
        await again.close();
      }),
    60_000,
  );

  test(
    'killed at any sync of the first opening, it opens the next time',
    () =>
      inFolder(async (folder) => {
        for (let sync = 1; ; sync++) {
          const at = join(folder, String(sync));
          mkdirSync(at);
          const { signal } = await run(at, none, ['-e', `inject=fsync,fdatasync:signal=KILL:when=${sync}`]);
          const database = await open(join(at, 'test.sqlite'));
          expect(await outcome(database.run('setMeta', { key: 'k', value: 'v' }))).toBe('done');
          await database.close();
          if (signal === null) break;
          expect(signal).toBe('SIGKILL');
          expect(sync).toBeLessThan(100);
        }
      }),
    120_000,
  );
});

describe.skipIf(!requireTools('mount', 'umount') || !requireRoot())('on a full disk', () => {
  test(
    'writes are INSUFFICIENT_STORAGE, reads go on, and writes go on without a restart once there is room',
    () =>
      inFolder(async (folder) => {
        await Bun.$`mount -t tmpfs -o size=3m tmpfs ${folder}`.quiet();
        try {
          const ballast = join(folder, 'ballast');
          writeFileSync(ballast, Buffer.alloc(1024 * 1024));
          const database = await open(join(folder, 'db', 'test.sqlite'));
          const fixture = await createFixture(async () => ({ database, restart: unused, alter: unused, close: () => database.close() }));
          const target = await fixture.repository();
          const put = (name: string) =>
            outcome(database.run('putManifest', manifest(target.id, `${name} ${'x'.repeat(100_000)}`, { tags: [name] })));
          const stored: string[] = [];
          let last = 'done';
          for (let index = 0; index < 60 && last === 'done'; index++) {
            last = await put(`fill-${index}`);
            if (last === 'done') stored.push(`fill-${index}`);
          }
          expect(last).toBe('INSUFFICIENT_STORAGE');
          expect(stored.length).toBeGreaterThan(0);
          expect(new Set(await Promise.all(['a', 'b', 'c'].map(put)))).toEqual(new Set(['INSUFFICIENT_STORAGE']));
          for (const name of stored) expect(await fixture.content.manifestByTag(target.name, name)).toBeDefined();
          expect(await fixture.content.manifestByTag(target.name, 'a')).toBeUndefined();
          rmSync(ballast);
          expect(await put('after')).toBe('done');
          await database.close();
          expect(openFiles(folder)).toEqual([]);
          const again = await open(join(folder, 'db', 'test.sqlite'));
          const content = prepareContentQueries(again);
          for (const name of [...stored, 'after']) expect(await content.manifestByTag(target.name, name)).toBeDefined();
          await again.close();
          expect(fatal).toEqual([]);
        } finally {
          await Bun.$`umount ${folder}`.quiet();
        }
      }),
    60_000,
  );
});

test.skipIf(!fullRun())(
  'a file that another program holds for long is UNAVAILABLE, and written again afterwards',
  () =>
    inFolder(async (folder) => {
      const path = join(folder, 'test.sqlite');
      const database = await open(path);
      const rival = openSqlite(path, 'writer');
      rival.run('begin immediate');
      expect(await outcome(database.run('setMeta', { key: 'k', value: '1' }))).toBe('UNAVAILABLE');
      rival.run('rollback');
      expect(await outcome(database.run('setMeta', { key: 'k', value: '2' }))).toBe('done');
      rival.close();
      await database.close();
      expect(fatal).toEqual([]);
    }),
  60_000,
);

describe('the lock of the data folder', () => {
  test('is held by one, and free again after its release', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'data');
      const lock = lockDataFolder(path);
      expect(() => lockDataFolder(path)).toThrow(/another Breakwater is running/);
      lock.release();
      lockDataFolder(path).release();
      expect(openFiles(folder)).toEqual([]);
    }));

  test(
    'is held for the life of the process, whoever forgets it, and free again when that is killed',
    () =>
      inFolder(async (folder) => {
        const module = join(import.meta.dir, '../../src/db/data-folder-lock.ts');
        const program = `import { lockDataFolder } from ${JSON.stringify(module)};
        lockDataFolder(${JSON.stringify(folder)});
        await Bun.sleep(1);
        Bun.gc(true);
        console.log('held');
        setTimeout(() => {}, 20_000);`;
        const child = Bun.spawn([process.execPath, '-e', program], { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' });
        try {
          await child.stdout.getReader().read();
          expect(() => lockDataFolder(folder)).toThrow(/another Breakwater is running/);
        } finally {
          child.kill('SIGKILL');
          await child.exited;
        }
        lockDataFolder(folder).release();
      }),
    20_000,
  );
});

async function unused(): Promise<never> {
  throw new Error('not used here');
}
