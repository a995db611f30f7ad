import { expect, test } from 'bun:test';
import type { NewAuditRow } from '../db/audit-commands.ts';
import type { Database } from '../db/database.ts';
import { createFakeClock } from '../lib/clock.ts';
import { createLog } from '../lib/log.ts';
import { createAudit } from './audit.ts';
import type { AuditEvent } from './audit-event.ts';
import { anonymous, type Caller } from './principal.ts';
import { testUser } from './principal-fixture.ts';

function setUp(settings = { pulls: true, pullWindowMs: 600_000 }) {
  const clock = createFakeClock();
  const rows: NewAuditRow[] = [];
  const sizes: number[] = [];
  let failures = 0;
  const run = (async (_name: string, args: { rows: readonly NewAuditRow[] }) => {
    if (failures > 0) {
      failures--;
      throw new Error('busy');
    }
    sizes.push(args.rows.length);
    rows.push(...args.rows);
    return rows.length;
  }) as unknown as Database['run'];
  const audit = createAudit({ database: { run }, clock, log: createLog({ write: () => undefined }), settings });
  return {
    audit,
    clock,
    rows,
    sizes,
    fail: (times: number) => {
      failures = times;
    },
  };
}
const caller: Caller = { principal: anonymous, method: 'anonymous' };
const event: AuditEvent = {
  atMs: 1,
  actor: { kind: 'user', id: '1', name: 'admin', method: 'password' },
  operation: 'create',
  resourceType: 'project',
  resource: 'p',
  outcome: 'success',
};

test('many pulls of one reference by one caller are an entry at once and one at the end of the window with the count', async () => {
  const { audit, clock, rows } = setUp();
  const pull = () => audit.notePull({ caller, address: () => '192.0.2.7', repository: 'library/app', reference: '1', projectId: 4 });
  pull();
  await audit.flush();
  expect(rows).toMatchObject([{ operation: 'pull', resource: 'library/app:1', count: 1, address: '192.0.2.7', projectId: 4 }]);
  for (let index = 0; index < 99; index++) {
    clock.advance(1000);
    pull();
  }
  await audit.flush();
  expect(rows.length).toBe(1);
  clock.advance(600_000);
  await audit.flush();
  expect(rows.length).toBe(2);
  expect(rows[1]).toMatchObject({ count: 99 });
  expect((rows[1]?.atMs ?? 0) - (rows[1]?.sinceMs ?? 0)).toBe(98_000);
  pull();
  await audit.flush();
  expect(rows.length).toBe(3);
  await audit.close();
});

test('pulls of ever other references stay few rows, and every pull is counted once', async () => {
  const { audit, clock, rows } = setUp();
  const pulls = 50_000;
  for (let index = 0; index < pulls; index++)
    audit.notePull({ caller, repository: `p/r${index % 20_000}`, reference: `sha256:${index % 7}`, projectId: 1 });
  await audit.flush();
  expect(rows.length).toBeLessThanOrEqual(120);
  clock.advance(600_000);
  await audit.flush();
  expect(rows.length).toBeLessThanOrEqual(5001);
  expect(rows.reduce((sum, row) => sum + row.count, 0)).toBe(pulls);
  expect(rows.some((row) => row.resource === '*' && row.actorName === '*')).toBe(true);
  await audit.close();
});

test('without the setting no pull is recorded', async () => {
  const { audit, rows } = setUp({ pulls: false, pullWindowMs: 1000 });
  audit.notePull({ caller, repository: 'p/r', reference: '1', projectId: 1 });
  await audit.close();
  expect(rows).toEqual([]);
});

test('good logins are an entry an hour for each account, address and method', async () => {
  const { audit, clock, rows } = setUp();
  const accepted = { principal: testUser(3, 'ann'), method: 'password' as const };
  for (let minute = 0; minute < 59; minute++) {
    audit.noteLogin({ name: 'ann', address: '192.0.2.1', accepted });
    audit.noteLogin({ name: 'ann', address: '192.0.2.2', accepted });
    await audit.flush();
    clock.advance(60_000);
  }
  expect(rows.length).toBe(2);
  clock.advance(60_000);
  await audit.flush();
  expect(rows.map((row) => [row.address, row.count])).toEqual([
    ['192.0.2.1', 1],
    ['192.0.2.2', 1],
    ['192.0.2.1', 58],
    ['192.0.2.2', 58],
  ]);
  expect(rows[0]).toMatchObject({ operation: 'login', outcome: 'success', actorId: '3', resource: 'ann' });
  await audit.close();
});

test('a flood of bad logins of ever other names is few rows a minute, and none is lost from the count', async () => {
  const { audit, clock, rows } = setUp();
  for (let index = 0; index < 10_000; index++) audit.noteLogin({ name: `guess${index}`, address: `192.0.2.${index % 250}` });
  for (let index = 0; index < 500; index++) audit.noteLogin({ name: 'admin', address: '192.0.2.1' });
  clock.advance(60_000);
  await audit.flush();
  expect(rows.length).toBeLessThanOrEqual(110);
  expect(rows.reduce((sum, row) => sum + row.count, 0)).toBe(10_500);
  expect(new Set(rows.map((row) => row.outcome))).toEqual(new Set(['failed']));
  await audit.close();
});

test('what does not fit into the queue is counted, told in the log itself, and harms nothing', async () => {
  const { audit, rows, sizes } = setUp();
  for (let index = 0; index < 10_500; index++) audit.note({ ...event, resource: `p${index}` });
  expect(audit.numbers()).toEqual({ recorded: 0, dropped: 500, waiting: 10_000 });
  await audit.flush();
  expect(rows[0]).toMatchObject({ operation: 'drop', resourceType: 'audit-log', count: 500, outcome: 'failed' });
  expect(rows.length).toBe(10_001);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(100);
  await audit.close();
});

test('a batch the database refuses is tried again, and given up after three times without harm to the next', async () => {
  const { audit, rows, fail } = setUp();
  fail(2);
  audit.note({ ...event, resource: 'kept' });
  await audit.flush();
  expect(rows.map((row) => row.resource)).toEqual(['kept']);
  fail(3);
  audit.note({ ...event, resource: 'lost' });
  await audit.flush();
  audit.note({ ...event, resource: 'next' });
  await audit.flush();
  expect(rows.map((row) => row.resource)).toEqual(['kept', 'events', 'next']);
  expect(audit.numbers().dropped).toBe(1);
  fail(1);
  expect(audit.record(event)).rejects.toThrow('busy');
  await audit.close();
});

test('the same refusal again and again is an entry, then one a minute', async () => {
  const { audit, clock, rows } = setUp();
  for (let index = 0; index < 50; index++) audit.noteRefusal({ ...event, outcome: 'denied', reason: 'DENIED' });
  await audit.flush();
  clock.advance(60_000);
  await audit.flush();
  expect(rows.map((row) => row.count)).toEqual([1, 49]);
  await audit.close();
});

test('what is still being counted is written at the end', async () => {
  const { audit, rows } = setUp();
  for (let index = 0; index < 5; index++) audit.notePull({ caller, repository: 'p/r', reference: '1', projectId: 1 });
  await audit.close();
  expect(rows.map((row) => row.count)).toEqual([1, 4]);
});
