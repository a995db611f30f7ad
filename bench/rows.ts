// The rows of the table: each measures both servers in one run and gives figures and their ratio. Loads are bounded in time and on loopback.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startFaultProxy } from '../test/support/fault-proxy.ts';
import { type Contender, cpuSeconds, residentMegabytes, startOurs, startPeer } from './contenders.ts';
import { type BigBlob, drain, inParallel, populate, pushBlob, putManifest, sha256, tinyManifest } from './content.ts';
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
  const [ours, peer] = [results.get('Breakwater'), results.get('docker-registry')];
  if (ours === undefined || peer === undefined) throw new Error('a contender is missing');
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

async function wrk(server: Contender, list: string, folder: string, seconds: number): Promise<number> {
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
  const figures = new Map<string, { push: number; pull: number; pushRate: number }>();
  const gigabytes = blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0) / 1e9;
  const rounds = quick ? 2 : 6;
  const servers = [await startOurs(), await startPeer()];
  try {
    for (const server of servers) {
      const before = cpuSeconds(server.pid);
      const startMs = performance.now();
      for (const blob of blobs) await pushBlob(server, 'library/big', Bun.file(blob.file), blob.digest);
      const seconds = (performance.now() - startMs) / 1000;
      figures.set(server.name, { push: (cpuSeconds(server.pid) - before) / gigabytes, pull: 0, pushRate: (gigabytes * 1000) / seconds });
    }
    const pulls = new Map<string, number>();
    for (let round = 0; round < rounds; round++) {
      for (const server of servers) {
        const before = cpuSeconds(server.pid);
        for (const blob of blobs) await drain(`${server.url}/v2/library/big/blobs/${blob.digest}`);
        pulls.set(server.name, (pulls.get(server.name) ?? 0) + cpuSeconds(server.pid) - before);
      }
    }
    for (const server of servers) {
      const entry = figures.get(server.name);
      if (entry !== undefined) entry.pull = (pulls.get(server.name) ?? 0) / (gigabytes * rounds);
    }
  } finally {
    for (const server of servers) await server.stop();
  }
  const [ours, peer] = [figures.get('Breakwater'), figures.get('docker-registry')];
  if (ours === undefined || peer === undefined) throw new Error('a contender is missing');
  return [
    { name: 'push, CPU', unit: 's/GB', ours: ours.push, peer: peer.push, target: '<= 0.67x', holds: ours.push <= (2 / 3) * peer.push },
    { name: 'push, one client', unit: 'MB/s', ours: ours.pushRate, peer: peer.pushRate },
    { name: 'warm blob GET, CPU', unit: 's/GB', ours: ours.pull, peer: peer.pull, target: '<= 0.33x', holds: ours.pull <= peer.pull / 3 },
  ];
}

/** 50 clients of one cold blob through a mirror: what the upstream gave, and the time to the first byte. */
export async function coldRows(_scope: Scope, blob: BigBlob): Promise<Row[]> {
  const upstream = await startPeer();
  const figures = new Map<string, { ratio: number; firstByteMs: number; peak: number }>();
  try {
    await pushBlob(upstream, 'library/big', Bun.file(blob.file), blob.digest);
    for (const name of ['Breakwater', 'docker-registry']) {
      const proxy = startFaultProxy({ upstreamPort: Number(new URL(upstream.url).port) });
      const config = `presets: false\nregistries:\n  docker.io:\n    sources:\n      - { url: "${proxy.url}", trust: authority }\n`;
      const server = name === 'Breakwater' ? await startOurs({ config }) : await startPeer({ proxyUrl: proxy.url });
      try {
        const results = await Promise.all(Array.from({ length: 50 }, () => drain(`${server.url}/v2/library/big/blobs/${blob.digest}`)));
        if (results.some((result) => result.bytes !== blob.sizeBytes)) throw new Error(`${name}: a client got a short blob`);
        const given = proxy.counters().reduce((sum, response) => sum + response.bodyBytes, 0);
        const middle = results.map((result) => result.firstByteMs).sort((a, b) => a - b)[25] ?? 0;
        figures.set(name, { ratio: given / blob.sizeBytes, firstByteMs: middle, peak: residentMegabytes(server.pid, 'VmHWM') });
      } finally {
        await server.stop();
        proxy.stop();
      }
    }
  } finally {
    await upstream.stop();
  }
  const [ours, peer] = [figures.get('Breakwater'), figures.get('docker-registry')];
  if (ours === undefined || peer === undefined) throw new Error('a contender is missing');
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
  const [ours, peer] = [figures.get('Breakwater'), figures.get('docker-registry')];
  if (ours === undefined || peer === undefined) throw new Error('a contender is missing');
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
  try {
    const config = Buffer.from('{}');
    await pushBlob(server, 'library/slow', config, sha256(config));
    await putManifest(server, 'library/slow', 'v1', tinyManifest(config, 'slow'));
    const target = { url: `${server.url}/v2/library/slow/manifests/v1`, perSecond: 200, seconds: quick ? 3 : 10 };
    await measurePulls(target);
    // Quiet and loaded in turns, because the machine's own noise changes from minute to minute.
    const [quiet, loaded]: [number[], number[]] = [[], []];
    let pushed = 0;
    const rounds = quick ? 3 : 5;
    for (let round = 0; round < rounds; round++) {
      quiet.push((await measurePulls(target)).p99Ms);
      const pushers = startPushers(server, round);
      await Bun.sleep(1000);
      loaded.push((await measurePulls(target)).p99Ms);
      pushed += await pushers.stop();
    }
    const ratio = median(loaded) / median(quiet);
    return [
      { name: `pull p99, quiet (median of ${rounds})`, unit: 'ms', ours: median(quiet) },
      { name: 'pull p99, 50 pushers and 20 ms syncs', unit: 'ms', ours: median(loaded), target: '<= 1.5x of quiet', holds: ratio <= 1.5 },
      { name: 'blobs pushed meanwhile', unit: '1/s', ours: pushed / (rounds * (target.seconds + 1)) },
    ];
  } finally {
    await server.stop();
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
