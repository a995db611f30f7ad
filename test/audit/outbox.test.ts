// What waits for the targets of the audit log, with time in hand: the real database, a fake clock, targets that fail when told.

import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditEntryOf } from '../../src/auth/audit-entry.ts';
import { rowOf } from '../../src/auth/audit-event.ts';
import type { AuditRow } from '../../src/db/audit-chain.ts';
import type { Database } from '../../src/db/database.ts';
import { openSqliteDatabase } from '../../src/db/sqlite.ts';
import { type AuditForwarding, type OutboxLimits, startAuditForwarding } from '../../src/jobs/audit-forwarding.ts';
import { type AuditTarget, syslogMessage } from '../../src/jobs/audit-targets.ts';
import { createFakeClock, type FakeClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';

let folder: string;
let database: Database;
let clock: FakeClock;
let running: AuditForwarding | undefined;
const dropped: number[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-forward-'));
  database = await openSqliteDatabase({ path: join(folder, 'db.sqlite'), onFatal: () => undefined });
  clock = createFakeClock();
  dropped.length = 0;
});
afterEach(async () => {
  await running?.close();
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

const row = (resource: string) =>
  rowOf({
    atMs: clock.nowMs(),
    actor: { kind: 'user', id: '1', name: 'admin', method: 'password' },
    operation: 'create',
    resourceType: 'project',
    resource,
    outcome: 'success',
  });
const write = async (count: number, name = 'p'): Promise<void> => {
  for (let at = 0; at < count; at += 500)
    await database.run('recordAudit', {
      rows: Array.from({ length: Math.min(500, count - at) }, (_, index) => row(`${name}${at + index}`)),
    });
};

/** A target that takes what it is given unless it is down. */
function createTarget(name = 'one') {
  const taken: string[] = [];
  const batches: number[] = [];
  let tries = 0;
  const state = { isDown: false };
  const target: AuditTarget = {
    name,
    send: async (rows: readonly AuditRow[]) => {
      tries++;
      if (state.isDown) throw new Error('connection refused');
      batches.push(rows.length);
      taken.push(...rows.map((entry) => entry.resource));
    },
  };
  return { target, taken, batches, state, tries: () => tries };
}

async function start(targets: readonly AuditTarget[], outbox: OutboxLimits = { ageMs: 86_400_000, entries: 10_000 }): Promise<void> {
  running = startAuditForwarding({
    database,
    clock,
    log: createLog({ write: () => undefined }),
    targets: async () => targets,
    outbox,
    onDropped: ({ entries }) => dropped.push(entries),
  });
  await settle();
}
/** Lets what is due run; `ms` later. */
async function settle(ms = 0): Promise<void> {
  clock.advance(ms);
  for (let turn = 0; turn < 60; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
}

test('a new target gets what comes from now on, in order, in bounded batches', async () => {
  await write(5, 'before');
  const { target, taken, batches } = createTarget();
  await start([target]);
  expect(taken).toEqual([]);
  await write(250);
  await settle(1000);
  expect(taken).toEqual(Array.from({ length: 250 }, (_, index) => `p${index}`));
  expect(Math.max(...batches)).toBeLessThanOrEqual(100);
  expect(running?.states()).toEqual([{ target: 'one', lag: 0, sent: 250, dropped: 0, failingMs: 0 }]);
});

test('a target that was away gets what it missed when it is back, also after a restart, and nothing twice', async () => {
  const { target, taken, state, tries } = createTarget();
  await start([target]);
  state.isDown = true;
  await write(3, 'missed');
  await settle(1000);
  expect(running?.states()[0]).toMatchObject({ lag: 3, sent: 0 });
  const before = tries();
  for (let turn = 0; turn < 20; turn++) await settle(3000);
  // Doubling pauses: a minute holds a handful of tries.
  expect(tries() - before).toBeLessThan(10);
  expect(running?.states()[0]?.failingMs).toBeGreaterThan(59_000);
  await running?.close();
  state.isDown = false;
  await start([target]);
  await settle(1000);
  expect(taken).toEqual(['missed0', 'missed1', 'missed2']);
  await write(1, 'later');
  await settle(1000);
  expect(taken).toEqual(['missed0', 'missed1', 'missed2', 'later0']);
}, 60_000);

test('one target that is away holds up no other', async () => {
  const [away, here] = [createTarget('away'), createTarget('here')];
  away.state.isDown = true;
  await start([away.target, here.target]);
  await write(2);
  await settle(1000);
  expect(here.taken).toEqual(['p0', 'p1']);
  expect(away.taken).toEqual([]);
});

test('SEC-G09: what waits for a target that is away for days is bounded by number and age; what it misses is counted and an alarm', async () => {
  const { target, taken, state } = createTarget();
  await start([target], { ageMs: 3_600_000, entries: 500 });
  state.isDown = true;
  await write(800);
  await settle(1000);
  expect(running?.states()[0]).toMatchObject({ lag: 500, dropped: 300 });
  expect(dropped).toEqual([300]);
  clock.advance(7_200_000);
  for (let turn = 0; turn < 8; turn++) await settle(300_000);
  expect(running?.states()[0]).toMatchObject({ lag: 0, dropped: 800 });
  state.isDown = false;
  await write(1, 'fresh');
  await settle(300_000);
  expect(taken).toEqual(['fresh0']);
}, 60_000);

test('an entry is one syslog message of printable ASCII, whatever is in it', () => {
  const entry = auditEntryOf({ ...row('ünï\u2028 "x" ]'), id: 7, hash: 'h', outcome: 'denied', operation: 'weird op\u0000' });
  const message = syslogMessage(entry, 'host-1');
  expect(message).toMatch(/^<108>1 \d{4}-\d\d-\d\dT[\d:.]+Z host-1 breakwater - weird-op- - \{/);
  expect(message).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(message.slice(message.indexOf('{')))).toEqual(JSON.parse(JSON.stringify(entry)));
  expect(syslogMessage({ ...entry, operation_result: true }, 'h')).toStartWith('<110>1 ');
});
