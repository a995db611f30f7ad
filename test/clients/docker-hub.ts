// Docker Hub as the tests have it: two real docker-registry processes with the same content, each behind a fault proxy that counts
// every body byte it passes on and can end its registry at a chosen one. Loopback only.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestImages } from '../images/test-images.ts';
import { startDockerRegistry } from '../support/docker-registry.ts';
import { type KillableSource, startKillableSource } from './killable-source.ts';
import type { SourceEntry } from './mirror-config.ts';
import { createSkopeo } from './skopeo.ts';

export interface DockerHub {
  readonly first: KillableSource;
  readonly second: KillableSource;
  /** Both as sources of docker.io: the first an authority asked first, the second an authority asked next. */
  readonly sources: readonly SourceEntry[];
  /** Body bytes of blobs that both have passed on since the last `revive`. */
  bodyBytes(): number;
  /** Brings both up again at their addresses and forgets what was counted. */
  revive(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts both with the given tags of the image set as `library/LAYOUT:TAG`. */
export async function startDockerHub(images: TestImages, tags: readonly (readonly [layout: string, tag: string])[]): Promise<DockerHub> {
  const dataDir = mkdtempSync(join(tmpdir(), 'docker-hub-'));
  await seed(images, tags, dataDir);
  const [first, second] = await Promise.all([startKillableSource(dataDir), startKillableSource(dataDir)]);
  const both = [first, second];
  return {
    first,
    second,
    sources: both.map((source, index) => ({ url: source.url, trust: 'authority', priority: 10 * (index + 1) })),
    bodyBytes: () => both.flatMap((source) => source.deliveries()).reduce((sum, delivery) => sum + delivery.to - delivery.from, 0),
    revive: async () => {
      for (const source of both) await source.revive();
    },
    stop: async () => {
      for (const source of both) await source.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function seed(images: TestImages, tags: readonly (readonly [layout: string, tag: string])[], dataDir: string): Promise<void> {
  const registry = await startDockerRegistry({ dataDir });
  const skopeo = createSkopeo(images);
  try {
    for (const [layout, tag] of tags) {
      await skopeo.copy({ from: images.oci(layout, tag), to: `docker://127.0.0.1:${registry.port}/library/${layout}:${tag}` });
    }
  } finally {
    skopeo.close();
    await registry.stop();
  }
}
