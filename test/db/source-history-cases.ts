// How sources did: what is added to a minute and its hour, what is forgotten, what is read back.

import { describe, expect, test } from 'bun:test';
import { findCachedSample } from '../../src/db/canaries.ts';
import {
  hourMs,
  latencyBoundsMs,
  minuteMs,
  readSourceHistory,
  type SourceActivityRecord,
  sumSourceHistory,
} from '../../src/db/source-history.ts';
import { digest, type Fixture, layer, manifest } from './fixture.ts';

export function sourceHistoryCases(now: () => Fixture): void {
  const activity = (source: string, atMs: number, more: Partial<SourceActivityRecord> = {}): SourceActivityRecord => ({
    source,
    atMs,
    requests: 2,
    ok: 1,
    bytes: 100,
    latencies: latencyBoundsMs.map((_, place) => (place === 3 ? 1 : 0)).concat(0),
    verdicts: { timeout: 1 },
    ...more,
  });
  const add = (...activities: SourceActivityRecord[]) => now().database.run('recordSourceHistory', { activities });
  const minutes = (source: string) => readSourceHistory(now().database.read, { source, spanMs: minuteMs, sinceMs: 0 });
  const hours = (source: string) => readSourceHistory(now().database.read, { source, spanMs: hourMs, sinceMs: 0 });

  describe('what a mirror has cached, for probes', () => {
    test('is a small config blob that is here, with the repository and a tag; nothing in a mirror without one', async () => {
      const { database } = now();
      await database.run('ensureMirrorProject', { registry: 'sample.test', isPublic: true });
      expect(await findCachedSample(database.read, 'sample.test', 1_000)).toBeUndefined();
      const project = await database.read
        .selectFrom('project')
        .select('id')
        .where('registry', '=', 'sample.test')
        .executeTakeFirstOrThrow();
      const id = await database.run('ensureRepository', { projectId: project.id, name: 'sample.test/apps/one' });
      const image = manifest(id, 'sampled image', {
        references: [{ ...layer('sampled config'), kind: 'config', required: false }],
        tags: ['v1'],
        completeness: 'mirror',
      });
      await database.run('putManifest', image);
      expect(await findCachedSample(database.read, 'sample.test', 1_000)).toBeUndefined();
      await now().blob(id, 'sampled config', { origin: 'public' });
      expect(await findCachedSample(database.read, 'sample.test', 1_000)).toEqual({
        repositoryName: 'sample.test/apps/one',
        projectName: 'sample.test',
        blob: { digest: digest('sampled config'), sizeBytes: 'sampled config'.length },
        tag: 'v1',
      });
      expect(await findCachedSample(database.read, 'sample.test', 3)).toBeUndefined();
      expect(await findCachedSample(database.read, 'none.test', 1_000)).toBeUndefined();
    });
  });

  describe('the history of sources', () => {
    test('what happens in a minute is added up, in its hour too, across a restart', async () => {
      const startMs = Math.floor(Date.now() / hourMs) * hourMs - hourMs;
      await add(activity('a', startMs + 1), activity('a', startMs + 59_999, { verdicts: { timeout: 2, reset: 1 } }));
      await now().restart();
      await add(activity('a', startMs + minuteMs), activity('b', startMs));
      const [first, second, ...rest] = await minutes('a');
      expect(first).toMatchObject({ atMs: startMs, requests: 4, ok: 2, bytes: 200, verdicts: { timeout: 3, reset: 1 } });
      expect(first?.latencies[3]).toBe(2);
      expect(second).toMatchObject({ atMs: startMs + minuteMs, requests: 2 });
      expect(rest).toEqual([]);
      expect(await hours('a')).toMatchObject([{ atMs: startMs, requests: 6, ok: 3, bytes: 300 }]);
      expect(await hours('b')).toMatchObject([{ requests: 2 }]);
    });

    test('minutes are kept for a day and hours for 90 days', async () => {
      const nowMs = Date.now();
      await add(activity('old', nowMs - 25 * hourMs), activity('older', nowMs - 91 * 24 * hourMs));
      expect(await minutes('old')).toEqual([]);
      expect(await hours('old')).toHaveLength(1);
      expect(await hours('older')).toEqual([]);
    });

    test('the sum is that of the hours since then', async () => {
      const nowMs = Date.now();
      await add(activity('sum', nowMs - 48 * hourMs), activity('sum', nowMs - 2 * hourMs), activity('sum', nowMs));
      const { read } = now().database;
      expect(await sumSourceHistory(read, { source: 'sum', sinceMs: nowMs - 24 * hourMs })).toEqual({ requests: 4, ok: 2 });
      expect(await sumSourceHistory(read, { source: 'sum', sinceMs: nowMs - 72 * hourMs })).toEqual({ requests: 6, ok: 3 });
      expect(await sumSourceHistory(read, { source: 'nobody', sinceMs: 0 })).toEqual({ requests: 0, ok: 0 });
    });
  });
}
