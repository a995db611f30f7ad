// Starts a real Breakwater server as a child process on a free loopback port with a data folder of its own.
// It ends only the process it started, and removes only the folder it made.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface StartOptions {
  /** YAML text of the config file. */
  readonly config?: string;
  readonly env?: Record<string, string>;
  /** An existing data folder; it is kept at the end. Without it a temporary one is made and removed by `stop`. */
  readonly dataDir?: string;
  readonly args?: readonly string[];
  /** Words put before the command, e.g. `['strace', '-f', ...]`. */
  readonly wrap?: readonly string[];
  readonly readyTimeoutMs?: number;
}

export interface RunningBreakwater {
  readonly url: string;
  readonly port: number;
  readonly adminPassword: string;
  readonly dataDir: string;
  readonly pid: number;
  /** Everything written to stderr so far (JSON log lines). */
  logs(): string;
  /** SIGTERM, waits for the end, gives the exit code. Idempotent. */
  stop(): Promise<number>;
  /** SIGKILL, waits for the end. The data folder stays. */
  kill(): Promise<void>;
}

export const bunBinary = process.execPath;
export const mainFile = join(import.meta.dir, '../../src/main.ts');

/** Starts the server and waits until it says it is ready. Throws with its log when it ends or stays silent. */
export async function startBreakwater(options: StartOptions = {}): Promise<RunningBreakwater> {
  const ownFolder = options.dataDir === undefined;
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'breakwater-test-'));
  const args = ['serve', '--data', dataDir, '--listen', '127.0.0.1:0', ...(options.args ?? [])];
  if (options.config !== undefined) {
    const file = join(dataDir, 'test-config.yaml');
    writeFileSync(file, options.config);
    args.push('--config', file);
  }
  const child = Bun.spawn([...(options.wrap ?? []), bunBinary, mainFile, ...args], {
    env: { ...process.env, ...options.env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  let errors = '';
  const collect = async (): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) errors = (errors + decoder.decode(chunk, { stream: true })).slice(-2_000_000);
  };
  void collect();
  const url = await waitForReady(child, options.readyTimeoutMs ?? 20_000).catch(async (cause) => {
    child.kill('SIGKILL');
    await child.exited;
    if (ownFolder) rmSync(dataDir, { recursive: true, force: true });
    throw new Error(`breakwater did not start: ${String(cause)}\n${errors}`);
  });
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<number> => {
    child.kill(signal);
    return child.exited;
  };
  return {
    url,
    port: Number(new URL(url).port),
    adminPassword: options.env?.['BREAKWATER_ADMIN_PASSWORD'] ?? readFileSync(join(dataDir, 'admin.password'), 'utf8').trim(),
    dataDir,
    pid: child.pid,
    logs: () => errors,
    stop: async () => {
      const code = await end('SIGTERM');
      if (ownFolder) rmSync(dataDir, { recursive: true, force: true });
      return code;
    },
    kill: async () => {
      await end('SIGKILL');
    },
  };
}

async function waitForReady(child: Bun.Subprocess<'ignore', 'pipe', 'pipe'>, timeoutMs: number): Promise<string> {
  let text = '';
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  const deadline = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready after ${timeoutMs} ms: ${text}`)), timeoutMs);
    timer.unref();
  });
  for (;;) {
    const next = await Promise.race([reader.read(), deadline]);
    if (next.done) throw new Error(`ended with code ${await child.exited}: ${text}`);
    text += decoder.decode(next.value, { stream: true });
    const match = /Breakwater is ready at (\S+)/.exec(text);
    if (match?.[1] !== undefined) {
      void drain(reader);
      return match[1];
    }
  }
}

async function drain(reader: { read(): Promise<{ readonly done: boolean }> }): Promise<void> {
  while (!(await reader.read()).done);
}
