// Makes tests of rows: one server for all of them, each with a registry of its own. The server is looked at in the end.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { type SourceSetting, startServer, until } from '../mirror/harness.ts';
import { auditStore, openBlobFiles, stagedFiles } from '../mirror/stored.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { createStage, type Row } from './row.ts';

const rowTimeoutMs = 60_000;

export function runRows(rows: readonly Row[]): void {
  const sources = new Map<string, readonly FakeSource[]>();
  let server: RunningBreakwater;
  beforeAll(async () => {
    const registries: Record<string, readonly SourceSetting[]> = {};
    for (const row of rows) {
      const settings =
        (await row.settings?.()) ??
        (await Promise.all((row.sources ?? []).map(async (trust) => ({ source: await startFakeSource(), trust }))));
      if (settings.length === 0) continue;
      registries[registryOf(row)] = settings;
      sources.set(
        row.id,
        settings.map(({ source }) => source),
      );
    }
    // Every pull of a tag is a check of it here.
    server = await startServer({ registries, mirror: { tag_ttl: '0s', revalidate_timeout: '700ms', not_found_ttl: '2s' } });
  }, rowTimeoutMs);
  afterAll(async () => {
    await server?.stop();
    for (const list of sources.values()) for (const source of list) await source.stop();
  });

  for (const row of [...rows].sort((one, other) => numberOf(one) - numberOf(other))) {
    test.skipIf(row.needs?.() === false)(
      `${row.id} ${row.name}: ${row.fact}`,
      () => row.run(createStage(server, registryOf(row), sources.get(row.id) ?? [])),
      rowTimeoutMs,
    );
  }

  test('after all rows the store holds nothing wrong, nothing is left open or staged, and nothing failed unforeseen', async () => {
    await until(() => openBlobFiles(server.pid, server.dataDir).length === 0);
    expect(stagedFiles(server.dataDir)).toEqual([]);
    auditStore(server.dataDir);
    expect(server.logs()).not.toContain('"level":"error"');
  });
}

function registryOf(row: Row): string {
  return `${row.id.toLowerCase()}.test`;
}

function numberOf(row: Row): number {
  return Number(row.id.slice(1));
}
