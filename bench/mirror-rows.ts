// What the mirror costs its clients when sources fail: the rows of a killed first source, of one that sleeps, and of a cached tag when nothing
// upstream answers. docker-registry has one upstream, so its proxy mode has a figure only where that question can be put to it.

import { randomBytes } from 'node:crypto';
import { startDockerRegistry } from '../test/support/docker-registry.ts';
import { type Contender, startOurs, startPeer } from './contenders.ts';
import { drain, inParallel, pushBlob, putManifest, sha256, tinyManifest } from './content.ts';
import type { Row, Scope } from './rows.ts';

type Upstream = Contender & { kill(): Promise<void> };

/** Two upstream registries with the same small images, `library/faults:t0` and so on, each of one blob that no other has. */
async function startUpstreams(
  images: number,
): Promise<{ readonly both: readonly [Upstream, Upstream]; readonly blobs: readonly string[] }> {
  const start = async (): Promise<Upstream> => {
    const registry = await startDockerRegistry();
    return { ...registry, name: 'docker-registry', login: {} };
  };
  const both: readonly [Upstream, Upstream] = [await start(), await start()];
  const contents = Array.from({ length: images }, () => randomBytes(2048));
  await inParallel(images, 8, async (index) => {
    const bytes = contents[index] ?? Buffer.alloc(0);
    for (const upstream of both) {
      await pushBlob(upstream, 'library/faults', bytes, sha256(bytes));
      await putManifest(upstream, 'library/faults', `t${index}`, tinyManifest(bytes, `image ${index}`));
    }
  });
  return { both, blobs: contents.map((bytes) => sha256(bytes)) };
}

function configOf(upstreams: readonly Contender[], extra = ''): string {
  const sources = upstreams.map(({ url }, place) => `      - { url: "${url}", trust: authority, priority: ${place + 1} }\n`).join('');
  return `presets: false\nmirror: { root: docker.io${extra} }\nregistries:\n  docker.io:\n    sources:\n${sources}`;
}

/** A cold pull of one image: manifest by tag, then its blob. Milliseconds. */
async function pullImage(server: Contender, index: number, blob: string): Promise<number> {
  const startMs = performance.now();
  await drain(`${server.url}/v2/library/faults/manifests/t${index}`);
  await drain(`${server.url}/v2/library/faults/blobs/${blob}`);
  return performance.now() - startMs;
}

/** Extra latency of the pull after the first of two sources was killed, and of those that follow. */
export async function killedSourceRows({ quick }: Scope): Promise<Row[]> {
  const before = quick ? 20 : 50;
  const { both, blobs } = await startUpstreams(2 * before + 1);
  const server = await startOurs({ config: configOf(both) });
  try {
    const quiet: number[] = [];
    const later: number[] = [];
    let next = 0;
    for (const [index, blob] of blobs.entries()) {
      if (index === before) await both[0].kill();
      const ms = await pullImage(server, index, blob);
      if (index < before) quiet.push(ms);
      else if (index === before) next = ms;
      else later.push(ms);
    }
    const usual = quantile(quiet, 0.5);
    const extra = quantile(later, 0.5) - usual;
    return [
      { name: 'cold pull of a small image, two sources', unit: 'ms', ours: usual },
      {
        name: 'first source killed: next pull later by',
        unit: 'ms',
        ours: next - usual,
        target: '<= 1000 ms',
        holds: next - usual <= 1000,
      },
      { name: 'first source killed: later pulls later by', unit: 'ms', ours: extra, target: '<= 5 ms', holds: extra <= 5 },
    ];
  } finally {
    await server.stop();
    await Promise.all(both.map((upstream) => upstream.stop()));
  }
}

/** p99 of cold pulls while the first source takes connections and answers nothing, against both awake. */
export async function sleepingSourceRows({ quick }: Scope): Promise<Row[]> {
  const pulls = quick ? 100 : 1000;
  const { both, blobs } = await startUpstreams(pulls);
  const measure = async (): Promise<number> => {
    const server = await startOurs({ config: configOf(both) });
    try {
      const times: number[] = [];
      await inParallel(pulls, 4, async (index) => {
        times.push(await pullImage(server, index, blobs[index] ?? ''));
      });
      return quantile(times, 0.99);
    } finally {
      await server.stop();
    }
  };
  try {
    const awake = await measure();
    process.kill(both[0].pid, 'SIGSTOP');
    const asleep = await measure();
    process.kill(both[0].pid, 'SIGCONT');
    return [
      { name: 'cold pulls p99, both sources awake', unit: 'ms', ours: awake },
      { name: 'cold pulls p99, the first asleep', unit: 'ms', ours: asleep, target: '<= 1.3x of awake', holds: asleep <= 1.3 * awake },
    ];
  } finally {
    await Promise.all(both.map((upstream) => upstream.stop()));
  }
}

/** A tag that is cached and due for a check, when nothing upstream answers any more. */
export async function deadUpstreamRows(_scope: Scope): Promise<Row[]> {
  const figures = new Map<string, { first: number; again: number }>();
  for (const name of ['Breakwater', 'docker-registry']) {
    const { both } = await startUpstreams(1);
    const server =
      name === 'Breakwater' ? await startOurs({ config: configOf(both, ', tag_ttl: 1s') }) : await startPeer({ proxyUrl: both[0].url });
    const path = `${server.url}/v2/library/faults/manifests/t0`;
    try {
      await drain(path);
      await Bun.sleep(1500);
      await Promise.all(both.map((upstream) => upstream.kill()));
      const times: number[] = [];
      for (let turn = 0; turn < 20; turn++) {
        const startMs = performance.now();
        await drain(path);
        times.push(performance.now() - startMs);
      }
      figures.set(name, { first: times[0] ?? 0, again: quantile(times.slice(1), 0.5) });
    } catch (error) {
      console.error(`${name} does not serve a cached tag with its upstream down: ${String(error)}`);
    } finally {
      await server.stop();
      await Promise.all(both.map((upstream) => upstream.stop()));
    }
  }
  const [ours, peer] = [figures.get('Breakwater'), figures.get('docker-registry')];
  if (ours === undefined) throw new Error('Breakwater did not serve a cached tag with everything down');
  return [
    {
      name: 'cached tag, everything down, first pull',
      unit: 'ms',
      ours: ours.first,
      ...(peer === undefined ? {} : { peer: peer.first }),
      target: '<= 2500 ms',
      holds: ours.first <= 2500,
    },
    { name: 'cached tag, everything down, later pulls', unit: 'ms', ours: ours.again, ...(peer === undefined ? {} : { peer: peer.again }) },
  ];
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
