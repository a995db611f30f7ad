// SIGKILL at a random moment of a push storm, again and again on one data folder: nothing acknowledged is lost, nothing half is shown, and
// interrupted uploads go on at their offset. BREAKWATER_CRASH_CYCLES sets the count.

import { expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBreakwater } from '../support/breakwater.ts';
import { count } from '../support/requirements.ts';
import { acknowledgedCount, createLedger, createRandom } from './ledger.ts';
import { startLoad } from './load.ts';
import { verify } from './verify.ts';

const cycles = count({ quick: 5, full: 200, env: 'BREAKWATER_CRASH_CYCLES' });
const seed = Number(process.env['BREAKWATER_SEED'] ?? Date.now() % 1_000_000);
const config =
  'presets: false\nmirror: { root: false }\nlimits: { uploads_per_principal: 100000, uploads_per_repository: 100000, uploads_total: 100000 }\n';

test(
  `${cycles} SIGKILLs during pushes lose nothing that was acknowledged`,
  async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-crash-'));
    const ledger = createLedger();
    const random = createRandom(seed);
    let slowestStartMs = 0;
    try {
      for (let cycle = 0; cycle < cycles; cycle++) {
        const before = { blobs: ledger.blobs.length, manifests: ledger.manifests.length };
        const server = await startBreakwater({ dataDir, config });
        const load = startLoad({
          url: server.url,
          password: server.adminPassword,
          ledger,
          seed: seed + cycle,
          workers: 6,
          blobMaxBytes: 400_000,
        });
        await Bun.sleep(random() * 800);
        await server.kill();
        await load.stop();
        const startMs = performance.now();
        const again = await startBreakwater({ dataDir, config });
        slowestStartMs = Math.max(slowestStartMs, performance.now() - startMs);
        const wrong = await verify({
          url: again.url,
          password: again.adminPassword,
          dataDir,
          ledger,
          before,
          sample: 20,
          seed: seed + cycle,
          sessions: true,
        });
        await again.stop();
        expect({ seed, cycle, wrong }).toEqual({ seed, cycle, wrong: [] });
      }
      console.log(
        `crash: ${cycles} cycles, ${acknowledgedCount(ledger)} acknowledged items, 0 lost, slowest restart ${Math.round(slowestStartMs)} ms, seed ${seed}`,
      );
      expect(acknowledgedCount(ledger)).toBeGreaterThan(cycles);
      expect(slowestStartMs).toBeLessThan(10_000);
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  },
  30 * 60_000,
);

test('the checker sees a lost blob, a wrong tag and a file that is not what its name says', async () => {
  const server = await startBreakwater({ config });
  try {
    const ledger = createLedger();
    const load = startLoad({ url: server.url, password: server.adminPassword, ledger, seed, workers: 3, blobMaxBytes: 10_000 });
    while (ledger.manifests.length < 5) await Bun.sleep(20);
    await load.stop();
    const lost = { repository: 'library/crash-0', digest: `sha256:${'0'.repeat(64)}`, seed: 1, sizeBytes: 5 };
    ledger.blobs.push(lost);
    ledger.tags.set('planted', { repository: 'library/crash-0', tag: 'moving', values: [{ digest: lost.digest, isAcked: true }] });
    await Bun.write(join(server.dataDir, 'blobs', 'sha256', '00', `${'0'.repeat(64)}.x`), 'other bytes');
    const wrong = await verify({
      url: server.url,
      password: server.adminPassword,
      dataDir: server.dataDir,
      ledger,
      before: { blobs: 0, manifests: 0 },
      sample: 0,
      seed,
      sessions: true,
    });
    expect(wrong.length).toBe(3);
  } finally {
    await server.stop();
  }
});
