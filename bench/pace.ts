// Pull latency at a steady pace, measured by a process of its own so that the load generator's work does not count as the server's.
// Run as a program it prints the percentiles as JSON.

export interface PullTarget {
  readonly url: string;
  readonly perSecond: number;
  readonly seconds: number;
}
export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly count: number;
}

/** Runs the measurement in a child process. */
export async function measurePulls(target: PullTarget): Promise<Latency> {
  const child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(target)], { stdout: 'pipe', stderr: 'inherit' });
  return JSON.parse(await new Response(child.stdout).text()) as Latency;
}

async function run(target: PullTarget): Promise<Latency> {
  const times: number[] = [];
  const pending: Promise<void>[] = [];
  const total = target.perSecond * target.seconds;
  const startMs = performance.now();
  for (let turn = 0; turn < total; turn++) {
    const dueMs = startMs + (turn * 1000) / target.perSecond;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await Bun.sleep(waitMs);
    const sentMs = performance.now();
    pending.push(
      fetch(target.url).then(async (response) => {
        await response.arrayBuffer();
        if (response.status !== 200) throw new Error(`answered ${response.status}`);
        times.push(performance.now() - sentMs);
      }),
    );
  }
  await Promise.all(pending);
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99), count: times.length };
}

if (import.meta.main) console.log(JSON.stringify(await run(JSON.parse(process.argv[2] ?? '{}') as PullTarget)));
