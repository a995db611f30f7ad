// Runs `breakwater ...` as a child process, as a person at a terminal would, with nothing of this process's own BREAKWATER_ settings.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bunBinary, mainFile } from '../support/breakwater.ts';

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** In a process group of its own, which can be signalled as a terminal does. */
  readonly detached?: boolean;
}

const timeoutMs = 60_000;

export async function runCli(words: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return runProgram([bunBinary, mainFile, ...words], options);
}

export async function runProgram(command: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const child = spawnProgram(command, options);
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}

export function spawnProgram(command: readonly string[], options: CliOptions = {}) {
  return Bun.spawn([...command], {
    env: { ...cleanEnv(), ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.detached === true ? { detached: true } : {}),
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
}

/** Resolves with the text read so far once it matches; throws when the stream ends before. The stream is drained from then on. */
export async function readUntil(stream: ReadableStream<Uint8Array>, pattern: RegExp): Promise<string> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let text = '';
  for (;;) {
    const next = await reader.read();
    if (next.done) throw new Error(`ended before ${pattern}: ${text}`);
    text += decoder.decode(next.value, { stream: true });
    if (pattern.test(text)) break;
  }
  void (async () => {
    while (!(await reader.read()).done);
  })();
  return text;
}

/** A temporary folder and its end. */
export function makeFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'breakwater-cli-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

function cleanEnv(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && !/^BREAKWATER_|_proxy$/i.test(name)) kept[name] = value;
  // Logins that the person at this machine keeps are no matter here.
  kept['XDG_CONFIG_HOME'] = '/nonexistent';
  return kept;
}
