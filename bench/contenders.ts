// The two servers measured side by side, each with what it costs: CPU of its whole process group, resident memory.

import { readdirSync, readFileSync } from 'node:fs';
import { startBreakwater } from '../test/support/breakwater.ts';
import { startDockerRegistry } from '../test/support/docker-registry.ts';

export interface Contender {
  readonly name: 'Breakwater' | 'docker-registry';
  readonly url: string;
  readonly pid: number;
  /** `Authorization` for writing; empty where none is needed. */
  readonly login: Readonly<Record<string, string>>;
  readonly dataDir: string;
  stop(): Promise<unknown>;
}

const localOnly = 'presets: false\nmirror: { root: false }\nlimits: { uploads_per_principal: 5000 }\n';

export async function startOurs(options: { dataDir?: string; config?: string; wrap?: readonly string[] } = {}): Promise<Contender> {
  const server = await startBreakwater({ config: options.config ?? localOnly, readyTimeoutMs: 60_000, ...options });
  const login = { authorization: `Basic ${Buffer.from(`admin:${server.adminPassword}`).toString('base64')}` };
  return { name: 'Breakwater', url: server.url, pid: server.pid, login, dataDir: server.dataDir, stop: server.stop };
}

export async function startPeer(options: { dataDir?: string; proxyUrl?: string } = {}): Promise<Contender> {
  const server = await startDockerRegistry(options);
  return { name: 'docker-registry', url: server.url, pid: server.pid, login: {}, dataDir: server.dataDir, stop: server.stop };
}

/** CPU seconds, user and system, of the process and its descendants so far. */
export function cpuSeconds(pid: number): number {
  return processTree(pid).reduce((sum, id) => sum + ticksOf(id), 0) / 100;
}

/** Resident memory of the process and its descendants, MB. */
export function residentMegabytes(pid: number, which: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  return (
    processTree(pid).reduce((sum, id) => sum + Number(new RegExp(`${which}:\\s+(\\d+)`).exec(read(`/proc/${id}/status`))?.[1] ?? 0), 0) /
    1024
  );
}

function ticksOf(pid: number): number {
  const fields = read(`/proc/${pid}/stat`).split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

function processTree(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (/^\d+$/.test(name)) parents.set(Number(name), Number(read(`/proc/${name}/stat`).split(') ')[1]?.split(' ')[1] ?? 0));
  }
  const tree = [root];
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid && !tree.includes(child)) tree.push(child);
  return tree;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
