// The rows of the table: each measures both servers in one run and gives figures and their ratio. Loads are bounded in time and on loopback.

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startFaultProxy } from '../test/support/fault-proxy.ts';
import { type Contender, cpuSeconds, residentMegabytes, startOurs, startPeer } from './contenders.ts';
import { type BigBlob, drain, inParallel, populate, pushBlob, putManifest, sha256, sink, tinyManifest } from './content.ts';
import { measurePulls } from './pace.ts';

export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  /** Absent where the peer has nothing to compare. */
  readonly peer?: number;
  /** What has to hold, in words, and whether it does; absent for figures without a target. */
  readonly target?: string;
  readonly holds?: boolean;
}

export interface Scope {
  readonly folder: string;
  readonly quick: boolean;
}

/** Manifest GET by tag: 10,000 random repository and tag pairs, 50 tokens at ours, tags moving meanwhile. */
export async function manifestRows({ folder, quick }: Scope): Promise<Row[]> {
  const results = new Map<string, { rate: number; cpuMicroseconds: number }>();
  for (const start of [startOurs, startPeer]) {
    const server = await start();
    try {
      const paths = await populate(server, 100, quick ? 10 : 100);
      const tokens = await tokensFor(server, 50);
      const lines = paths.map((path) => {
        const repository = Number(/bench-(\d+)/.exec(path)?.[1]);
        return `${path}\t${tokens[repository % 50] ?? ''}`;
      });
      const list = join(folder, `${server.name}.paths`);
      writeFileSync(list, `${lines.join('\n')}\n`);
      const moving = moveTags(server);
      const before = cpuSeconds(server.pid);
      const rate = await wrk(server, list, folder, quick ? 4 : 10);
      const cpu = cpuSeconds(server.pid) - before;
      await moving.stop();
      results.set(server.name, { rate, cpuMicroseconds: (cpu / (rate * (quick ? 4 : 10))) * 1e6 });
    } finally {
      await server.stop();
    }
  }
  const [ours, peer] = [figureOf(results, 'Breakwater'), figureOf(results, 'docker-registry')];
  return [
    {
      name: 'manifest GET by tag',
      unit: 'requests/s',
      ours: ours.rate,
      peer: peer.rate,
      target: '>= 8x',
      holds: ours.rate >= 8 * peer.rate,
    },
    { name: 'manifest GET by tag, CPU', unit: 'us/request', ours: ours.cpuMicroseconds, peer: peer.cpuMicroseconds },
  ];
}

async function tokensFor(server: Contender, count: number): Promise<string[]> {
  if (server.name !== 'Breakwater') return [];
  const tokens: string[] = [];
  for (let index = 0; index < count; index++) {
    const scope = [index, index + count].map((repository) => `scope=repository:library/bench-${repository}:pull`).join('&');
    const answer = (await (await fetch(`${server.url}/service/token?service=breakwater&${scope}`)).json()) as { token: string };
    tokens.push(answer.token);
  }
  return tokens;
}

function moveTags(server: Contender): { stop(): Promise<void> } {
  let isStopped = false;
  const config = Buffer.from('{}');
  const work = (async () => {
    for (let turn = 0; !isStopped; turn++) {
      await putManifest(server, `library/bench-${turn % 100}`, 't0', tinyManifest(config, `moved ${turn}`));
      await Bun.sleep(50);
    }
  })();
  return {
    stop: async () => {
      isStopped = true;
      await work;
    },
  };
}

/** Requests per second of the paths in `list`, each with a tab and a token or nothing, in any order. */
export async function wrk(server: Contender, list: string, folder: string, seconds: number): Promise<number> {
  const script = join(folder, 'pairs.lua');
  writeFileSync(
    script,
    `local requests = {}
for line in io.lines(${JSON.stringify(list)}) do
  local path, token = line:match("([^\\t]*)\\t(.*)")
  local headers = { ["Host"] = "localhost", ["Accept"] = "application/vnd.oci.image.manifest.v1+json" }
  if token ~= "" then headers["Authorization"] = "Bearer " .. token end
  requests[#requests + 1] = wrk.format("GET", path, headers)
end
math.randomseed(os.time())
request = function() return requests[math.random(#requests)] end
`,
  );
  const child = Bun.spawn(['wrk', '-t1', '-c32', `-d${seconds}`, '-s', script, server.url], { stdout: 'pipe' });
  const text = await new Response(child.stdout).text();
  if (/Non-2xx/.test(text)) throw new Error(`${server.name}: ${text}`);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
}

/** Pushing unique content with fsync on, then pulling it warm. */
export async function blobRows({ quick }: Scope, blobs: readonly BigBlob[]): Promise<Row[]> {
  interface Figures {
    pushCpu: number;
    pushSeconds: number;
    pullCpu: number;
    pullSeconds: number;
    peak: number;
  }
  const figures = new Map<string, Figures>();
  const gigabytes = blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0) / 1e9;
  const rounds = quick ? 2 : 6;
  const servers = [await startOurs(), await startPeer()];
  try {
    for (const server of servers) figures.set(server.name, { pushCpu: 0, pushSeconds: 0, pullCpu: 0, pullSeconds: 0, peak: 0 });
    // Blob by blob in turns, so that what else the machine does falls on both.
    for (const blob of blobs) {
      for (const server of servers) {
        const entry = figureOf(figures, server.name);
        const before = cpuSeconds(server.pid);
        const startMs = performance.now();
        await pushBlob(server, 'library/big', Bun.file(blob.file), blob.digest);
        entry.pushSeconds += (performance.now() - startMs) / 1000;
        entry.pushCpu += cpuSeconds(server.pid) - before;
      }
    }
    for (let round = 0; round < rounds; round++) {
      for (const server of servers) {
        const entry = figureOf(figures, server.name);
        const before = cpuSeconds(server.pid);
        for (const blob of blobs) entry.pullSeconds += await sink(`${server.url}/v2/library/big/blobs/${blob.digest}`, blob.sizeBytes);
        entry.pullCpu += cpuSeconds(server.pid) - before;
        entry.peak = residentMegabytes(server.pid, 'VmHWM');
      }
    }
  } finally {
    for (const server of servers) await server.stop();
  }
  const [ours, peer] = [figureOf(figures, 'Breakwater'), figureOf(figures, 'docker-registry')];
  const pushed = (entry: Figures): number => entry.pushCpu / gigabytes;
  const pulled = (entry: Figures): number => entry.pullCpu / (gigabytes * rounds);
  const pushRate = (entry: Figures): number => (gigabytes * 1000) / entry.pushSeconds;
  const pullRate = (entry: Figures): number => (gigabytes * rounds * 1000) / entry.pullSeconds;
  return [
    {
      name: 'push, CPU',
      unit: 's/GB',
      ours: pushed(ours),
      peer: pushed(peer),
      target: '<= 0.67x',
      holds: pushed(ours) <= (2 / 3) * pushed(peer),
    },
    { name: 'push, one client', unit: 'MB/s', ours: pushRate(ours), peer: pushRate(peer) },
    {
      name: 'warm blob GET, CPU',
      unit: 's/GB',
      ours: pulled(ours),
      peer: pulled(peer),
      target: '<= 0.33x',
      holds: pulled(ours) <= pulled(peer) / 3,
    },
    { name: 'warm blob GET, one client', unit: 'MB/s', ours: pullRate(ours), peer: pullRate(peer) },
    { name: 'push and pull, peak memory', unit: 'MB', ours: ours.peak, peer: peer.peak },
  ];
}

function figureOf<T>(figures: ReadonlyMap<string, T>, name: string): T {
  const found = figures.get(name);
  if (found === undefined) throw new Error(`${name} was not measured`);
  return found;
}

/** 50 clients of one cold blob through a mirror: what the upstream gave, and the time to the first byte. */
export async function coldRows(_scope: Scope, blob: BigBlob): Promise<Row[]> {
  const upstream = await startPeer();
  const figures = new Map<string, { ratio: number; firstByteMs: number; peak: number; laterMs: number }>();
  const path = (digest: string): string => `/v2/library/big/blobs/${digest}`;
  const single = Array.from({ length: 7 }, () => randomBytes(16 * 1024 * 1024));
  try {
    await pushBlob(upstream, 'library/big', Bun.file(blob.file), blob.digest);
    for (const bytes of single) await pushBlob(upstream, 'library/big', bytes, sha256(bytes));
    for (const name of ['Breakwater', 'docker-registry']) {
      const proxy = startFaultProxy({ upstreamPort: Number(new URL(upstream.url).port) });
      const config = `presets: false\nregistries:\n  docker.io:\n    sources:\n      - { url: "${proxy.url}", trust: authority }\n`;
      const server = name === 'Breakwater' ? await startOurs({ config }) : await startPeer({ proxyUrl: proxy.url });
      try {
        const later: number[] = [];
        for (const digest of single.map(sha256)) {
          const direct = await drain(`${proxy.url}${path(digest)}`);
          later.push((await drain(`${server.url}${path(digest)}`)).firstByteMs - direct.firstByteMs);
        }
        proxy.resetCounters();
        const results = await Promise.all(Array.from({ length: 50 }, () => drain(`${server.url}${path(blob.digest)}`)));
        if (results.some((result) => result.bytes !== blob.sizeBytes)) throw new Error(`${name}: a client got a short blob`);
        const given = proxy.counters().reduce((sum, response) => sum + response.bodyBytes, 0);
        figures.set(name, {
          ratio: given / blob.sizeBytes,
          firstByteMs: median(results.map((result) => result.firstByteMs)),
          peak: residentMegabytes(server.pid, 'VmHWM'),
          laterMs: median(later),
        });
      } finally {
        await server.stop();
        proxy.stop();
      }
    }
  } finally {
    await upstream.stop();
  }
  const [ours, peer] = [figureOf(figures, 'Breakwater'), figureOf(figures, 'docker-registry')];
  return [
    {
      name: '50 cold clients, upstream bytes',
      unit: 'x of the blob',
      ours: ours.ratio,
      peer: peer.ratio,
      target: '<= 1.01x',
      holds: ours.ratio <= 1.01,
    },
    { name: '50 cold clients, first byte, median', unit: 'ms', ours: ours.firstByteMs, peer: peer.firstByteMs },
    { name: '50 cold clients, peak memory', unit: 'MB', ours: ours.peak, peer: peer.peak },
    {
      name: "one cold client, first byte after the upstream's own",
      unit: 'ms',
      ours: ours.laterMs,
      peer: peer.laterMs,
      target: '<= 20 ms',
      holds: ours.laterMs <= 20,
    },
  ];
}

/** Reading all of 10,000 tags page by page, memory at rest, and the time from start to the first answer. */
export async function restRows({ quick }: Scope): Promise<Row[]> {
  const figures = new Map<string, { listMs: number; idle: number; startMs: number }>();
  const config = Buffer.from('{}');
  for (const start of [startOurs, startPeer]) {
    const server = await start();
    await pushBlob(server, 'library/tags', config, sha256(config));
    const text = tinyManifest(config, 'tags');
    await inParallel(quick ? 1000 : 10_000, 16, (index) => putManifest(server, 'library/tags', `tag-${index}`, text));
    const startMs = performance.now();
    let path: string | undefined = '/v2/library/tags/tags/list?n=1000';
    while (path !== undefined) {
      const answer: Response = await fetch(new URL(path, server.url), { headers: server.login });
      await answer.json();
      path = /<([^>]+)>/.exec(answer.headers.get('link') ?? '')?.[1];
    }
    const listMs = performance.now() - startMs;
    const { dataDir } = server;
    const copy = `${dataDir}-copy`;
    await Bun.$`cp -a ${dataDir} ${copy}`.quiet();
    await server.stop();
    const bootMs = performance.now();
    const again = await start({ dataDir: copy });
    const readyMs = performance.now() - bootMs;
    await Bun.sleep(3000);
    figures.set(server.name, { listMs, idle: residentMegabytes(again.pid), startMs: readyMs });
    await again.stop();
    await Bun.$`rm -rf ${copy}`.quiet();
  }
  const [ours, peer] = [figureOf(figures, 'Breakwater'), figureOf(figures, 'docker-registry')];
  return [
    { name: `all of ${quick ? '1,000' : '10,000'} tags, pages of 1,000`, unit: 'ms', ours: ours.listMs, peer: peer.listMs },
    { name: 'memory at rest', unit: 'MB', ours: ours.idle, peer: peer.idle, target: '<= 90 MB', holds: ours.idle <= 90 },
    { name: 'cold start to ready', unit: 'ms', ours: ours.startMs, peer: peer.startMs },
  ];
}

/** Pull latency while 50 clients push on a disk whose every sync takes 20 ms longer, against the same server when quiet. */
export async function slowDiskRows({ quick }: Scope): Promise<Row[]> {
  const inject = [
    'strace',
    '-D',
    '-f',
    '--seccomp-bpf',
    '-qq',
    '-o',
    '/dev/null',
    '-e',
    'trace=fdatasync,fsync',
    '-e',
    'inject=fdatasync,fsync:delay_exit=20000',
  ];
  const server = await startOurs({ wrap: inject });
  // The same load beside the measured server instead of on it: what it adds is the machine's share of the slowdown, not the server's.
  const neighbour = await startOurs({ wrap: inject });
  try {
    const config = Buffer.from('{}');
    await pushBlob(server, 'library/slow', config, sha256(config));
    await putManifest(server, 'library/slow', 'v1', tinyManifest(config, 'slow'));
    const target = { url: `${server.url}/v2/library/slow/manifests/v1`, perSecond: 200, seconds: quick ? 3 : 10 };
    await measurePulls(target);
    // Quiet and loaded in turns, because the machine's own noise changes from minute to minute.
    const [quiet, beside, loaded]: [number[], number[], number[]] = [[], [], []];
    const measureUnder = async (pushedTo: Contender, turn: number): Promise<{ readonly p99Ms: number; readonly pushed: number }> => {
      const pushers = startPushers(pushedTo, turn);
      await Bun.sleep(1000);
      const { p99Ms } = await measurePulls(target);
      return { p99Ms, pushed: await pushers.stop() };
    };
    let pushed = 0;
    const rounds = quick ? 3 : 5;
    for (let round = 0; round < rounds; round++) {
      quiet.push((await measurePulls(target)).p99Ms);
      beside.push((await measureUnder(neighbour, round)).p99Ms);
      const own = await measureUnder(server, round);
      loaded.push(own.p99Ms);
      pushed += own.pushed;
    }
    const ratio = median(loaded) / median(quiet);
    return [
      { name: `pull p99, quiet (median of ${rounds})`, unit: 'ms', ours: median(quiet) },
      { name: 'pull p99, the pushers on another server', unit: 'ms', ours: median(beside) },
      { name: 'pull p99, 50 pushers and 20 ms syncs', unit: 'ms', ours: median(loaded), target: '<= 1.5x of quiet', holds: ratio <= 1.5 },
      { name: 'blobs pushed meanwhile', unit: '1/s', ours: pushed / (rounds * (target.seconds + 1)) },
    ];
  } finally {
    await server.stop();
    await neighbour.stop();
  }
}

function startPushers(server: Contender, round: number): { stop(): Promise<number> } {
  let isStopped = false;
  let pushed = 0;
  const work = Promise.all(
    Array.from({ length: 50 }, async (_, pusher) => {
      for (let turn = 0; !isStopped; turn++) {
        const bytes = Buffer.from(`${round} ${pusher} ${turn} ${Math.random()}`);
        await pushBlob(server, `library/slow-${pusher}`, bytes, sha256(bytes));
        pushed++;
      }
    }),
  );
  return {
    stop: async () => {
      isStopped = true;
      await work;
      return pushed;
    },
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
