// Runs one credential helper program to its end: no shell, a deadline, a cap on what it prints. What it prints is a secret: it must never
// become part of an error. github.com/docker/docker-credential-helpers, "Development" (get); AWS and Google ship such programs.

import { Secret } from '../lib/secret.ts';
import { UpstreamError } from './verdict.ts';

export interface Login {
  readonly username: string;
  readonly password: Secret;
}

export interface HelperAnswer {
  readonly login: Login;
  /** From now on; absent when the program does not say. */
  readonly lifeMs?: number;
}

const outputMaxBytes = 65_536;
const passwordMaxLength = 32_768;

/** Throws UpstreamError `token-error` for a program that cannot be started, fails, takes too long or prints no login. */
export async function runCredentialHelper(options: {
  command: readonly string[];
  /** Its standard input. */
  input: string;
  timeoutMs: number;
  /** Wall clock, for `expires_at`. */
  nowMs: number;
}): Promise<HelperAnswer> {
  const name = options.command[0]?.split('/').at(-1) ?? '';
  const output = await runToEnd(name, options);
  return parseHelperAnswer(output, { name, nowMs: options.nowMs });
}

async function runToEnd(name: string, options: { command: readonly string[]; input: string; timeoutMs: number }): Promise<string> {
  const child = start(name, options.command, options.input);
  // The whole group: a helper that is a script has children of its own, which would keep the pipe open.
  const kill = (): void => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      child.kill('SIGKILL');
    }
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(failed(name, `printed no login within ${options.timeoutMs} ms`)), options.timeoutMs);
  });
  try {
    return await Promise.race([collect(name, child), expired]);
  } finally {
    clearTimeout(timer);
    kill();
  }
}

type Child = Bun.Subprocess<Uint8Array, 'pipe', 'ignore'>;

function start(name: string, command: readonly string[], input: string): Child {
  try {
    return Bun.spawn({
      cmd: [...command],
      stdin: new TextEncoder().encode(input),
      stdout: 'pipe',
      stderr: 'ignore',
      detached: true,
      // Our own settings may hold secrets that are none of its business.
      env: Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('BREAKWATER_'))),
    });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed';
    throw failed(name, `cannot be started (${code})`);
  }
}

async function collect(name: string, child: Child): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of child.stdout) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > outputMaxBytes) throw failed(name, `prints more than ${outputMaxBytes} bytes`);
    chunks.push(chunk);
  }
  const exitCode = await child.exited;
  if (exitCode !== 0) throw failed(name, `ended with exit code ${exitCode}`);
  return Buffer.concat(chunks).toString('utf8');
}

/** Throws `token-error` for what is no login. */
export function parseHelperAnswer(text: string, context: { name: string; nowMs: number }): HelperAnswer {
  const record = parseRecord(text);
  if (record === undefined) throw failed(context.name, 'prints no JSON object');
  const username = [record['Username'], record['username']].find(isFilled);
  const password = [record['Secret'], record['password']].find(isFilled);
  if (username === undefined || password === undefined) throw failed(context.name, 'prints no user name and secret');
  if (username === '<token>')
    throw failed(context.name, 'holds an identity token, which is no password: log in with a password or access token');
  if (username.length > 1_024 || password.length > passwordMaxLength) throw failed(context.name, 'prints a login that is too long');
  const lifeMs = lifeOf(record, context.nowMs);
  return { login: { username, password: new Secret(password) }, ...(lifeMs === undefined ? {} : { lifeMs }) };
}

function lifeOf(record: Readonly<Record<string, unknown>>, nowMs: number): number | undefined {
  const seconds = record['expires_in'];
  if (typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0) return seconds * 1_000;
  const at = record['expires_at'];
  const atMs = typeof at === 'string' && at.length <= 40 ? Date.parse(at) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

function parseRecord(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isFilled(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function failed(name: string, what: string): UpstreamError {
  return new UpstreamError('token-error', { detail: `the credential helper ${name} ${what}` });
}
