// The power goes during pushes, with blobs and database on separate filesystems: what was acknowledged is there afterwards.
// BREAKWATER_POWER_CUTS sets the count. Needs root and loop mounts.

import { describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBreakwater } from '../support/breakwater.ts';
import { count, requireRoot, requireTools } from '../support/requirements.ts';
import { type CutVolume, canMount, createVolume } from './cut-volume.ts';
import { acknowledgedCount, createLedger, createRandom } from './ledger.ts';
import { startLoad } from './load.ts';
import { verify } from './verify.ts';

const cuts = count({ quick: 2, full: 20, env: 'BREAKWATER_POWER_CUTS' });
const seed = Number(process.env['BREAKWATER_SEED'] ?? Date.now() % 1_000_000);
const isReady = requireTools('mkfs.ext4', 'python3', 'mount') && requireRoot();
const mounts = isReady && canMount();
if (isReady && !mounts) console.log('skipped a suite: loop devices cannot be mounted here');
const config =
  'presets: false\nmirror: { root: false }\nlimits: { uploads_per_principal: 100000, uploads_per_repository: 100000, uploads_total: 100000, minimum_free: { percent: 0, bytes: 1MiB } }\n';

describe.skipIf(!mounts)('power cuts', () => {
  for (const call of requireTools('strace') ? (['fdatasync', 'fsync'] as const) : []) {
    test(`a disk that only says it did ${call} loses acknowledged items, and the checker sees it`, async () => {
      const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-lying-'));
      const name = dataDir.split('/').at(-1);
      const volumes: CutVolume[] = [];
      const ledger = createLedger();
      try {
        volumes.push(createVolume(`/dev/shm/${name}-blobs.img`, join(dataDir, 'blobs'), 512));
        volumes.push(createVolume(`/dev/shm/${name}-db.img`, join(dataDir, 'db'), 256));
        // The folders are made on an honest disk: only what is pushed later may get lost.
        await (await startBreakwater({ dataDir, config })).stop();
        for (const volume of volumes) await Bun.$`sync -f ${volume.mountPoint}`.quiet();
        const lie = [
          'strace',
          '-D',
          '-f',
          '--seccomp-bpf',
          '-qq',
          '-o',
          '/dev/null',
          '-e',
          `trace=${call}`,
          '-e',
          `inject=${call}:retval=0`,
        ];
        const server = await startBreakwater({ dataDir, config, wrap: lie, readyTimeoutMs: 60_000 });
        const load = startLoad({ url: server.url, password: server.adminPassword, ledger, seed, workers: 6, blobMaxBytes: 100_000 });
        while (ledger.blobs.length < 60) await Bun.sleep(20);
        for (const volume of volumes) volume.cut();
        await server.kill();
        await load.stop().catch(() => undefined);
        for (const volume of volumes) await remountWhenFree(volume);
        const again = await startBreakwater({ dataDir, config });
        const checked = { url: again.url, password: again.adminPassword, dataDir, ledger, before: { blobs: 0, manifests: 0 } };
        const wrong = await verify({ ...checked, sample: 0, seed, sessions: false });
        await again.stop();
        expect(wrong.length).toBeGreaterThan(0);
      } finally {
        for (const volume of volumes) volume.remove();
        rmSync(dataDir, { recursive: true, force: true });
      }
    }, 120_000);
  }

  test('the cut loses what was not synced (the harness can fail)', () => {
    const folder = mkdtempSync(join(tmpdir(), 'breakwater-cut-'));
    const volume = createVolume(`/dev/shm/${folder.split('/').at(-1)}.img`, folder, 64);
    try {
      writeFileSync(join(folder, 'unsynced'), 'gone after the cut');
      volume.cut();
      volume.remount();
      const left = statSync(join(folder, 'unsynced'), { throwIfNoEntry: false });
      expect(left === undefined || readFileSync(join(folder, 'unsynced'), 'utf8') === '').toBe(true);
    } finally {
      volume.remove();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test(
    `${cuts} cuts during pushes lose nothing that was acknowledged`,
    async () => {
      const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-power-'));
      const name = dataDir.split('/').at(-1);
      const volumes: CutVolume[] = [];
      const ledger = createLedger();
      const random = createRandom(seed);
      try {
        volumes.push(createVolume(`/dev/shm/${name}-blobs.img`, join(dataDir, 'blobs'), 1024));
        volumes.push(createVolume(`/dev/shm/${name}-db.img`, join(dataDir, 'db'), 512));
        for (let cut = 0; cut < cuts; cut++) {
          const before = { blobs: ledger.blobs.length, manifests: ledger.manifests.length };
          const server = await startBreakwater({ dataDir, config });
          const load = startLoad({
            url: server.url,
            password: server.adminPassword,
            ledger,
            seed: seed + cut,
            workers: 6,
            blobMaxBytes: 200_000,
          });
          // On a busy machine the first acknowledgement takes its time, and a cut before it proves nothing.
          const ackedBefore = acknowledgedCount(ledger);
          for (let waitedMs = 0; acknowledgedCount(ledger) < ackedBefore + 5 && waitedMs < 20_000; waitedMs += 20) await Bun.sleep(20);
          await Bun.sleep(random() * 1000);
          for (const volume of random() < 0.5 ? volumes : [...volumes].reverse()) volume.cut();
          await server.kill();
          await load.stop().catch((error) => {
            // A server on a dead disk may answer an error before it is killed; what it acknowledged still counts.
            if (!/answered (500|503|507)/.test(String(error))) throw error;
          });
          for (const volume of volumes) volume.remount();
          const again = await startBreakwater({ dataDir, config });
          const wrong = await verify({
            url: again.url,
            password: again.adminPassword,
            dataDir,
            ledger,
            before,
            sample: 50,
            seed: seed + cut,
            sessions: false,
          });
          await again.stop();
          expect({ seed, cut, wrong }).toEqual({ seed, cut, wrong: [] });
        }
        console.log(`power: ${cuts} cuts, ${acknowledgedCount(ledger)} acknowledged items, 0 lost, seed ${seed}`);
        expect(acknowledgedCount(ledger)).toBeGreaterThan(cuts);
      } finally {
        for (const volume of volumes) volume.remove();
        rmSync(dataDir, { recursive: true, force: true });
      }
    },
    20 * 60_000,
  );
});

/** The tracer holds on to the server's files for a moment after its end. */
async function remountWhenFree(volume: CutVolume): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      volume.remount();
      return;
    } catch (error) {
      if (attempt >= 50) throw error;
      await Bun.sleep(100);
    }
  }
}
