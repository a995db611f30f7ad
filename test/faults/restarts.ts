// A server that is started several times over the same data folder, with two sources that stay.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { type SourceSetting, startServer } from '../mirror/harness.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';

/** A server with a data folder that outlives it, over two sources. */
export async function withRestarts(
  run: (at: {
    readonly sources: readonly [FakeSource, FakeSource];
    readonly dataDir: string;
    /** Starts the next server; the one before must have ended. */
    readonly start: () => Promise<RunningBreakwater>;
  }) => Promise<void>,
): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-faults-'));
  const first = await startFakeSource();
  const second = await startFakeSource();
  const settings: readonly SourceSetting[] = [{ source: first }, { source: second }];
  let running: RunningBreakwater | undefined;
  const start = async (): Promise<RunningBreakwater> => {
    running = await startServer({ registries: { 'disk.test': settings }, dataDir });
    return running;
  };
  try {
    await run({ sources: [first, second], dataDir, start });
  } finally {
    await running?.stop();
    await first.stop();
    await second.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

export const pathOf = (rest: string): string => `/v2/disk.test/library/app/${rest}`;
