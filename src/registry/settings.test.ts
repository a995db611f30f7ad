// Settings of the server: defaults, what is refused and why, and how long an old value can be seen.

import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../db/database.ts';
import { openSqliteDatabase } from '../db/sqlite.ts';
import { createFakeClock } from '../lib/clock.ts';
import { OciError } from '../oci/errors.ts';
import { createSettings } from './settings.ts';

let folder: string;
let database: Database;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-settings-'));
  database = await openSqliteDatabase({ path: join(folder, 'db.sqlite'), onFatal: () => undefined });
});
afterEach(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

const messageOf = async (task: Promise<unknown>): Promise<string> =>
  task.then(
    () => 'done',
    (error) => (error instanceof OciError && error.code === 'BAD_REQUEST' ? error.message : `${error}`),
  );

test('a change is told, seen at once here and within a second elsewhere', async () => {
  const clock = createFakeClock();
  const here = createSettings({ database, clock });
  const elsewhere = createSettings({ database, clock });
  expect((await elsewhere.read()).project_creation_restriction).toBe('adminonly');
  expect(await here.change({ project_creation_restriction: 'everyone', session_timeout: 60 })).toEqual([
    { name: 'project_creation_restriction', before: 'adminonly', after: 'everyone' },
  ]);
  expect((await here.read()).project_creation_restriction).toBe('everyone');
  expect((await elsewhere.read()).project_creation_restriction).toBe('adminonly');
  clock.advance(1001);
  expect((await elsewhere.read()).project_creation_restriction).toBe('everyone');
});

test('a value that makes no sense, an unknown setting and one that is fixed here are refused, and nothing is changed', async () => {
  const settings = createSettings({ database, clock: createFakeClock() });
  const refused: readonly (readonly [values: Record<string, unknown>, word: string])[] = [
    [{ project_creation_restriction: 'nobody' }, 'is everyone or adminonly'],
    [{ robot_token_duration: 0 }, 'from 1 to 36500'],
    [{ robot_token_duration: '30' }, 'is a number'],
    [{ robot_name_prefix: 'robot' }, 'at its end'],
    [{ session_timeout: 1.5 }, 'whole number'],
    [{ banner_message: 'a\u0000b' }, 'control characters'],
    [{ self_registration: true }, 'is false here and cannot be changed'],
    [{ storage_per_project: 5 }, 'cannot be changed'],
    [{ constructor: 1 }, 'no setting named constructor'],
    [JSON.parse('{"__proto__": 1}'), 'no setting named __proto__'],
  ];
  for (const [values, word] of refused) expect(await messageOf(settings.change({ session_timeout: 5, ...values }))).toContain(word);
  expect((await settings.read()).session_timeout).toBe(60);
  expect(await settings.change({ self_registration: false, storage_per_project: -1 })).toEqual([]);
});

test('a row that this program cannot read counts as never set', async () => {
  await database.run('changeSettings', { values: [{ name: 'session_timeout', value: '"long"' }] });
  expect((await createSettings({ database, clock: createFakeClock() }).read()).session_timeout).toBe(60);
});
