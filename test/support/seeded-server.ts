// A server on a data folder that was filled with many repositories, artifacts and tags before it was started.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../src/db/migrations.ts';
import { kyselyOn } from '../../src/db/sqlite-dialect.ts';
import { openSqlite } from '../../src/db/sqlite-file.ts';
import { createStatements } from '../../src/db/sqlite-statements.ts';
import { type RunningBreakwater, startBreakwater } from './breakwater.ts';
import { type Seeded, type SeedSize, seedContent } from './seed-content.ts';

export async function startSeeded(size: SeedSize): Promise<{ server: RunningBreakwater; seeded: Seeded; stop(): Promise<void> }> {
  const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-seeded-'));
  try {
    mkdirSync(join(dataDir, 'db'), { recursive: true, mode: 0o700 });
    const file = openSqlite(join(dataDir, 'db', 'breakwater.sqlite'), 'writer');
    await migrate(kyselyOn(createStatements(file), { withTransactions: true }), 'sqlite');
    file.run('pragma synchronous = off');
    const seeded = seedContent(file, size);
    file.close();
    const config = JSON.stringify({ presets: false, probes: { enabled: false } });
    const server = await startBreakwater({ dataDir, config, readyTimeoutMs: 60_000 });
    return {
      server,
      seeded,
      stop: async () => {
        await server.stop();
        rmSync(dataDir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(dataDir, { recursive: true, force: true });
    throw error;
  }
}
