// The blobs folder is on a volume that is not mounted: the server must not take the empty mount point for its store.

import { expect, test } from 'bun:test';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBreakwater } from '../support/breakwater.ts';

const config = 'presets: false\nmirror: { root: false }\n';

test('a server whose blob volume is gone does not start, and says what to do; with the volume back it does', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-volume-'));
  const blobs = join(dataDir, 'blobs');
  const away = join(dataDir, 'away');
  try {
    await (await startBreakwater({ dataDir, config })).stop();
    renameSync(blobs, away);
    await expect(startBreakwater({ dataDir, config })).rejects.toThrow(/not the one this database belongs to: is its volume mounted/);
    rmSync(blobs, { recursive: true, force: true });
    renameSync(away, blobs);
    expect(await (await startBreakwater({ dataDir, config })).stop()).toBe(0);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
