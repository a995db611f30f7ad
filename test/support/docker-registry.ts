// Starts Debian's docker-registry (CNCF Distribution 2.8.2) on a free loopback port: an upstream for the mirror and the peer of the bench.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface DockerRegistryOptions {
  /** Makes it a pull-through cache of this URL. */
  readonly proxyUrl?: string;
  /** An existing storage folder; kept at the end. */
  readonly dataDir?: string;
  /** A fixed port, to restart at the same address. */
  readonly port?: number;
  readonly deleteEnabled?: boolean;
}

export interface RunningDockerRegistry {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly dataDir: string;
  stop(): Promise<void>;
  /** SIGKILL; the storage folder stays. */
  kill(): Promise<void>;
}

/** A loopback TCP port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}

/** Starts the registry and waits until `/v2/` answers. */
export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<RunningDockerRegistry> {
  const folder = mkdtempSync(join(tmpdir(), 'docker-registry-'));
  const dataDir = options.dataDir ?? join(folder, 'data');
  const port = options.port ?? (await freePort());
  const lines = [
    'version: 0.1',
    'log: {level: error, accesslog: {disabled: true}}',
    `storage: {filesystem: {rootdirectory: ${JSON.stringify(dataDir)}}, delete: {enabled: ${options.deleteEnabled ?? true}}}`,
    `http: {addr: "127.0.0.1:${port}", relativeurls: true}`,
  ];
  if (options.proxyUrl !== undefined) lines.push(`proxy: {remoteurl: ${JSON.stringify(options.proxyUrl)}}`);
  const file = join(folder, 'config.yml');
  writeFileSync(file, `${lines.join('\n')}\n`);
  const child = Bun.spawn(['docker-registry', 'serve', file], {
    env: { ...process.env, REGISTRY_HTTP_SECRET: 'test' },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
  });
  const url = `http://127.0.0.1:${port}`;
  for (let attempt = 0; attempt < 100; attempt++) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with code ${child.exitCode}`);
    const answer = await fetch(`${url}/v2/`).catch(() => undefined);
    if (answer?.ok) break;
    await Bun.sleep(100);
  }
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    child.kill(signal);
    await child.exited;
  };
  return {
    url,
    port,
    pid: child.pid,
    dataDir,
    kill: () => end('SIGKILL'),
    stop: async () => {
      await end('SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
