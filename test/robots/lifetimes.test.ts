// Ends and last uses of what programs log in with, on a clock of the test's own.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testAdmin } from '../../src/auth/principal-fixture.ts';
import { createProgramLogins, type ProgramLogins } from '../../src/auth/program-logins.ts';
import type { Database } from '../../src/db/database.ts';
import { openSqliteDatabase } from '../../src/db/sqlite.ts';
import { createFakeClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';

const day = 24 * 60 * 60 * 1000;
const folder = mkdtempSync(join(tmpdir(), 'breakwater-lifetimes-'));
// The database's own times are real ones.
const clock = createFakeClock(Date.now());
const settings = { namePrefix: 'robot$', durationDefaultDays: 30 };
let database: Database;
let programs: ProgramLogins;
let changes = 0;

beforeAll(async () => {
  database = await openSqliteDatabase({ path: join(folder, 'db.sqlite'), onFatal: () => undefined });
  await database.run('createAccount', { name: 'anna', passwordHash: 'h', isAdmin: false });
  programs = createProgramLogins({
    database,
    clock,
    log: createLog({ write: () => undefined }),
    access: { anonymousPull: false },
    call: async () => {
      throw new Error('nothing is asked here');
    },
    robotSettings: async () => settings,
    onChange: () => {
      changes++;
    },
  });
});
afterAll(async () => {
  await programs?.close();
  await database?.close();
  rmSync(folder, { recursive: true, force: true });
});

const permissions = [{ kind: 'project', namespace: '*', access: [{ resource: 'repository', action: 'pull' }] }];
async function makeRobot(name: string, durationDays: number | undefined) {
  const wish = {
    name,
    description: '',
    level: 'system',
    isDisabled: false,
    durationDays,
    permissions,
    networks: [],
    secret: undefined,
  } as const;
  const { robot, secret } = await programs.robots.create(testAdmin(), wish);
  const login = async (): Promise<boolean> => (await programs.login(robot.name, secret.reveal(), {})) !== undefined;
  return { robot, secret, login };
}

test('a robot gets in until its last day ends, and a token for it finds it until then', async () => {
  const { robot, login } = await makeRobot('ten-days', 10);
  const find = () => programs.principals.find(({ prefix }) => prefix === 'robot')?.find(`robot:${robot.record.id}`);
  clock.advance(10 * day - 60_000);
  expect([await login(), (await find())?.kind]).toEqual([true, 'robot']);
  clock.advance(120_000);
  expect([await login(), await find()]).toEqual([false, undefined]);
  // More days count from when it was made.
  const found = await programs.robots.find(robot.record.id);
  if (found === undefined) throw new Error('the robot is gone');
  const before = changes;
  await programs.robots.update(testAdmin(), found.view, { durationDays: 20 });
  expect([await login(), changes]).toEqual([true, before + 1]);
});

test('a robot without a word lives as the setting says, one of -1 for ever, and the prefix is a setting', async () => {
  const [byDefault, zero, forEver] = [
    await makeRobot('by-default', undefined),
    await makeRobot('zero', 0),
    await makeRobot('for-ever', -1),
  ];
  expect([byDefault, zero, forEver].map(({ robot }) => robot.record.durationDays)).toEqual([30, 30, -1]);
  clock.advance(31 * day);
  expect([await byDefault.login(), await zero.login(), await forEver.login()]).toEqual([false, false, true]);
  settings.namePrefix = 'bot-';
  try {
    expect(await forEver.login()).toBe(false);
    expect((await programs.login('bot-for-ever', forEver.secret.reveal(), {}))?.principal).toMatchObject({
      kind: 'robot',
      name: 'bot-for-ever',
    });
  } finally {
    settings.namePrefix = 'robot$';
  }
});

test('a token of a user ends at its end', async () => {
  const { secret } = await programs.cliSecrets.create(1, { name: 'short', reach: 'api', durationDays: 2 });
  const check = () => programs.checkToken(1, secret.reveal(), undefined);
  clock.advance(2 * day - 1000);
  expect(await check()).toBe('api-token');
  clock.advance(2000);
  expect(await check()).toBeUndefined();
});

test('last uses are written together, the latest of each', async () => {
  const { robot, secret } = await makeRobot('used', 10);
  for (const address of ['10.0.0.1', '10.0.0.2']) {
    clock.advance(1000);
    await programs.login(robot.name, secret.reveal(), { address });
  }
  await programs.login(robot.name, 'wrong', { address: '10.0.0.3' });
  expect((await programs.robots.find(robot.record.id))?.view.record.lastUsedAtMs).toBeUndefined();
  await programs.close();
  expect((await programs.robots.find(robot.record.id))?.view.record).toMatchObject({
    lastUsedAtMs: clock.nowMs(),
    lastUsedFrom: '10.0.0.2',
  });
});
