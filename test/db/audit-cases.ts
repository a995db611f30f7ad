// The contract on the audit log: its chain, what a damaged one is told by, pages, and removal from the front.

import { describe, expect, test } from 'bun:test';
import { type AuditWish, countAudit, listAudit, readAuditRows, readChainEnds } from '../../src/db/audit.ts';
import { type AuditRow, type ChainReport, chainHash, walkChain } from '../../src/db/audit-chain.ts';
import type { NewAuditRow } from '../../src/db/audit-commands.ts';
import type { Fixture } from './fixture.ts';

export function auditRow(more: Partial<NewAuditRow> = {}): NewAuditRow {
  return {
    atMs: 1_000,
    sinceMs: null,
    count: 1,
    actorKind: 'user',
    actorId: '1',
    actorName: 'admin',
    method: 'password',
    address: '192.0.2.1',
    userAgent: null,
    requestId: null,
    operation: 'create',
    resourceType: 'project',
    resource: 'team-a',
    projectId: null,
    outcome: 'success',
    detail: '{"after":{"name":"ünï"}}',
    ...more,
  };
}

export function auditCases(now: () => Fixture): void {
  const rows = async (): Promise<AuditRow[]> => {
    const { anchor } = await readChainEnds(now().database.read);
    return readAuditRows(now().database.read, { afterId: anchor.id, limit: 1000 });
  };
  const verify = async (change: (rows: AuditRow[]) => AuditRow[] = (all) => all): Promise<ChainReport> => {
    const { anchor, head } = await readChainEnds(now().database.read);
    const walk = walkChain(anchor, head);
    for (const row of change(await rows())) if (!walk.add(row)) break;
    return walk.end();
  };
  const page = (more: Partial<AuditWish>) =>
    listAudit(now().database, { scope: 'all', conditions: [], descending: true, limit: 100, offset: 0, ...more });

  describe('the audit log', () => {
    test('rows written by many at once form one chain without gaps', async () => {
      const { database } = now();
      const batches = Array.from({ length: 20 }, (_, batch) =>
        Array.from({ length: 3 }, (_, index) => auditRow({ atMs: 1_000 + batch, resource: `chain-${batch}-${index}` })),
      );
      await Promise.all(batches.map((batch) => database.run('recordAudit', { rows: batch })));
      const all = await rows();
      expect(all.length).toBeGreaterThanOrEqual(60);
      expect(all.map((row) => row.id)).toEqual(all.map((_, index) => (all[0]?.id ?? 0) + index));
      expect(await verify()).toMatchObject({ isWhole: true, rows: all.length });
      expect(await database.run('recordAudit', { rows: [] })).toBe(all.at(-1)?.id ?? 0);
    });

    test('a row changed in any column, removed, exchanged or put in is found, and the first broken row is named', async () => {
      const { database } = now();
      await database.run('recordAudit', { rows: ['a', 'b', 'c', 'd'].map((resource) => auditRow({ resource })) });
      const all = await rows();
      const target = all.at(-3);
      if (target === undefined) throw new Error('no row');
      const changes: Partial<AuditRow>[] = [
        { atMs: 2 },
        { sinceMs: 3 },
        { count: 2 },
        { actorKind: 'robot' },
        { actorId: '2' },
        { actorName: 'other' },
        { method: 'session' },
        { address: null },
        { userAgent: 'x' },
        { requestId: 'x' },
        { operation: 'delete' },
        { resourceType: 'robot' },
        { resource: 'z' },
        { projectId: 1 },
        { outcome: 'denied' },
        { detail: null },
        { hash: '0'.repeat(64) },
      ];
      for (const change of changes) {
        const report = await verify((list) => list.map((row) => (row.id === target.id ? { ...row, ...change } : row)));
        expect([change, report.broken?.id]).toEqual([change, target.id]);
      }
      // Rehashed so that the row itself is right: the next one tells.
      const forged = { ...target, actorName: 'other' };
      const before = all.find((row) => row.id === target.id - 1)?.hash ?? '';
      const rehashed = { ...forged, hash: chainHash(before, forged) };
      expect((await verify((list) => list.map((row) => (row.id === target.id ? rehashed : row)))).broken?.id).toBe(target.id + 1);
      expect((await verify((list) => list.filter((row) => row.id !== target.id))).broken?.id).toBe(target.id + 1);
      expect((await verify((list) => list.slice(0, -1))).broken?.id).toBe(all.at(-1)?.id);
      expect((await verify((list) => list.slice(1))).broken?.id).toBe((all[0]?.id ?? 0) + 1);
      const swapped = (list: AuditRow[]) => list.toSorted((one, other) => (one.id === target.id ? 1 : other.id === target.id ? -1 : 0));
      expect((await verify(swapped)).isWhole).toBe(false);
    });

    test('pages come by time and then by number, forwards and backwards, without overlap', async () => {
      const { database } = now();
      await database.run('recordAudit', {
        rows: [5, 3, 9, 3, 7].map((time, index) => auditRow({ atMs: 5_000_000 + time, resource: `p${index}`, actorName: 'pager' })),
      });
      const conditions = [{ field: 'username' as const, kind: 'exact' as const, value: 'pager' }];
      const names = (found: readonly AuditRow[]) => found.map((row) => row.resource);
      expect(names(await page({ conditions }))).toEqual(['p2', 'p4', 'p0', 'p3', 'p1']);
      expect(names(await page({ conditions, descending: false }))).toEqual(['p1', 'p3', 'p0', 'p4', 'p2']);
      expect(names(await page({ conditions, limit: 2, offset: 2 }))).toEqual(['p0', 'p3']);
      const seen: string[] = [];
      let after: AuditWish['after'];
      for (let turn = 0; turn < 10; turn++) {
        const found = await page({ conditions, limit: 2, ...(after === undefined ? {} : { after }) });
        const last = found.at(-1);
        if (last === undefined) break;
        seen.push(...names(found));
        after = { atMs: last.atMs, id: last.id };
      }
      expect(seen).toEqual(['p2', 'p4', 'p0', 'p3', 'p1']);
      const range = [...conditions, { field: 'op_time' as const, kind: 'range' as const, min: 5_000_004, max: 5_000_007 }];
      expect(names(await page({ conditions: range }))).toEqual(['p4', 'p0']);
    });

    test('only rows of the projects in scope are given and counted', async () => {
      const { database } = now();
      await database.run('recordAudit', {
        rows: [901, 902, 902, 903, null].map((projectId) => auditRow({ projectId, operation: 'scope-test' })),
      });
      const conditions = [{ field: 'operation' as const, kind: 'exact' as const, value: 'scope-test' }];
      const counted = async (scope: AuditWish['scope']) => [
        (await page({ scope, conditions })).length,
        await countAudit(database, { scope, conditions }),
      ];
      expect(await counted('all')).toEqual([5, 5]);
      expect(await counted([902])).toEqual([2, 2]);
      expect(await counted([901, 903])).toEqual([2, 2]);
      expect(await counted([])).toEqual([0, 0]);
      const denied = [...conditions, { field: 'operation_result' as const, kind: 'exact' as const, value: false }];
      expect(await countAudit(database, { scope: 'all', conditions: denied })).toBe(0);
      const { anchor, head } = await readChainEnds(database.read);
      expect(await countAudit(database, { scope: 'all', conditions: [] })).toBe(head.id - anchor.id);
    });

    test('old rows go from the front in bounded steps, a row says so, and the rest still follows from its anchor', async () => {
      const { database } = now();
      // One that is young stands in the middle: nothing behind it goes.
      const times = [...Array.from({ length: 5 }, () => 10), 9_000_000_000_000, 10];
      await database.run('recordAudit', { rows: times.map((atMs) => auditRow({ atMs, operation: 'old' })) });
      const before = await rows();
      const isOld = before.findIndex((row) => row.atMs >= 8_000_000_000_000);
      let gone = 0;
      for (;;) {
        const count = await database.run('removeOldAudit', { beforeMs: 8_000_000_000_000, max: 20, actor: 'retention' });
        expect(count).toBeLessThanOrEqual(20);
        if (count === 0) break;
        gone += count;
        expect(await verify()).toMatchObject({ isWhole: true });
      }
      expect(gone).toBe(isOld);
      const after = await rows();
      expect(after[0]?.atMs).toBe(9_000_000_000_000);
      const said = after.filter((row) => row.resourceType === 'audit-log');
      expect(said.length).toBeGreaterThan(0);
      expect(JSON.parse(said.at(-1)?.detail ?? '{}').after.last_hash).toBe((await readChainEnds(database.read)).anchor.hash);
      // Without the rows that remain being asked, a forged anchor is found.
      const walk = walkChain(
        { id: (await readChainEnds(database.read)).anchor.id, hash: 'f'.repeat(64) },
        (await readChainEnds(database.read)).head,
      );
      for (const row of after) if (!walk.add(row)) break;
      expect(walk.end().broken?.id).toBe(after[0]?.id);
    });
  });
}
