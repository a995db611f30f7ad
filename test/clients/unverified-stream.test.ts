// What real clients do when a registry streams wrong bytes, breaks off, and is honest from then on: the reason why the mirror streams
// unverified bytes only from sources it believes (docs/decisions/0005). A client's own repeated pull
// must get over it, given a moment: containerd throws its wrong beginning away only when it collects garbage.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { imageTools, type TestImages, testImages } from '../images/test-images.ts';
import { fullRun, requireRoot, requireTools } from '../support/requirements.ts';
import { type Containerd, startContainerd } from './containerd.ts';
import { type DockerEngine, startDockerEngine } from './docker-engine.ts';
import { type LyingStub, startLyingStub } from './lying-stub.ts';
import { createPodman } from './podman.ts';
import { createSkopeo } from './skopeo.ts';

const ready = requireTools(...imageTools, 'containerd', 'ctr', 'dockerd', 'docker', 'podman', 'skopeo') && requireRoot();
const pullsMax = 4;
const pauseMs = 3000;

describe.skipIf(!ready)('a lie that breaks off, then honesty', () => {
  let images: TestImages;
  let folder: string;
  let containerd: Containerd;
  let engine: DockerEngine | undefined;

  beforeAll(async () => {
    images = await testImages();
    folder = mkdtempSync(join(tmpdir(), 'lying-'));
    containerd = await startContainerd();
    engine = fullRun() ? await startDockerEngine({}) : undefined;
  }, 300_000);

  afterAll(async () => {
    await containerd?.stop();
    await engine?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  const pullers: Readonly<Record<string, (stub: LyingStub) => Promise<{ pull(): Promise<boolean>; forget(): Promise<void> }>>> = {
    ctr: async (stub) => {
      const reference = `127.0.0.1:${stub.port}/library/lie:1`;
      return {
        pull: () => succeeds(containerd.ctr('images', 'pull', '--plain-http', reference)),
        forget: async () => {
          await succeeds(containerd.ctr('images', 'rm', '--sync', reference));
          await succeeds(containerd.ctr('content', 'prune', 'references'));
        },
      };
    },
    docker: async (stub) => {
      const reference = `127.0.0.1:${stub.port}/library/lie:1`;
      return {
        pull: async () => (await engine?.tryDocker(['pull', '--quiet', reference]))?.code === 0,
        forget: async () => void (await engine?.tryDocker(['image', 'rm', reference])),
      };
    },
    podman: async (stub) => {
      const podman = createPodman(images, `[[registry]]\nlocation = "127.0.0.1:${stub.port}"\ninsecure = true\n`);
      return {
        pull: async () => (await podman.tryPodman(['pull', '--quiet', `127.0.0.1:${stub.port}/library/lie:1`])).code === 0,
        forget: async () => podman.close(),
      };
    },
    skopeo: async (stub) => {
      const skopeo = createSkopeo(images);
      const to = mkdtempSync(join(folder, 'copy-'));
      return {
        pull: async () =>
          (await skopeo.tryCopy({ from: `docker://127.0.0.1:${stub.port}/library/lie:1`, to: `oci:${to}/out:1` })).code === 0,
        forget: async () => skopeo.close(),
      };
    },
  };

  const ways = [
    { framing: 'length', end: 'reset' },
    { framing: 'chunked', end: 'reset' },
    { framing: 'length', end: 'close' },
    { framing: 'chunked', end: 'close' },
  ] as const;
  // Docker waits a quarter of a minute before it tries again: in the long run only.
  const clients = Object.keys(pullers).filter((client) => fullRun() || client !== 'docker');
  const rows = clients.flatMap((client) => (fullRun() ? ways : ways.slice(0, 1)).map((way) => ({ client, ...way })));

  test.each(rows)(
    '$client gets over it: $framing, $end',
    async ({ client, framing, end }) => {
      const start = pullers[client];
      if (start === undefined) throw new Error(`no such client: ${client}`);
      // Other content for each row: containerd keeps what it began.
      await using stub = await startLyingStub(folder, `${client}-${framing}-${end}`);
      const { pull, forget } = await start(stub);
      stub.lieAgain({ framing, end });
      let pulls = 0;
      let isDone = false;
      while (!isDone && pulls < pullsMax) {
        if (pulls > 0) await Bun.sleep(pauseMs);
        pulls++;
        isDone = await pull();
      }
      if (fullRun())
        console.log(`${client} ${framing} ${end}: ${isDone ? 'done' : 'stuck'} after ${pulls} pulls; ${stub.requests().join(' | ')}`);
      await forget();
      expect(stub.requests()[0]).toBe('GET');
      expect(isDone).toBe(true);
      if (client === 'ctr') expect(pulls).toBeGreaterThan(1);
    },
    180_000,
  );
});

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}
