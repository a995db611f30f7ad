// Where a source's logins come from: fixed, a file, an environment variable or a helper program. A login is fetched when it is needed and
// never earlier; its password must never be logged or become part of an error. A file or program that fails is `token-error`.

import { readFileSync, statSync } from 'node:fs';
import type { Clock } from '../lib/clock.ts';
import { systemClock } from '../lib/clock.ts';
import { Secret } from '../lib/secret.ts';
import { type Login, runCredentialHelper } from './credential-helper.ts';
import { abortable } from './deadline.ts';
import { UpstreamError } from './verdict.ts';

export interface CredentialSource {
  /** Different for each of a source's credentials; shown in status and metrics, so no secret. */
  readonly id: string;
  /** Runs a helper program or reads a file when needed; caches until it expires. Throws UpstreamError `token-error`, or the signal's reason. */
  get(signal: AbortSignal): Promise<Login>;
  /** The login was refused: a cached one is fetched anew, unless it is that new already. */
  forget?(): void;
}

const secretFileMaxBytes = 65_536;
const fileCheckIntervalMs = 1_000;
const dockerHubHosts: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

export function fixedCredential(username: string, password: Secret, id: string = username): CredentialSource {
  return { id, get: async () => ({ username, password }) };
}

/** A login that cannot be had: every use of it is `token-error`. */
export function unusableCredential(id: string, detail: string): CredentialSource {
  return {
    id,
    get: async () => {
      throw failure(detail);
    },
  };
}

/** The variable is read at each use; an empty or missing one is `token-error`. */
export function environmentCredential(options: {
  username: string;
  variable: string;
  environment?: Readonly<Record<string, string | undefined>>;
  id?: string;
}): CredentialSource {
  const { username, variable } = options;
  return {
    id: options.id ?? username,
    get: async () => {
      const value = (options.environment ?? process.env)[variable];
      if (value === undefined || value === '') throw failure(`the environment variable ${variable} holds no password`);
      return { username, password: new Secret(value) };
    },
  };
}

/**
 * The password in a file, without one line break at its end. Looked at again at most once a second and read again when it has changed, so
 * that a rotated secret is used without a restart; when it cannot be read, the last one read counts.
 */
export function fileCredential(options: { username: string; path: string; clock?: Clock; id?: string }): CredentialSource {
  const { username, path } = options;
  const clock = options.clock ?? systemClock;
  let held: { readonly password: Secret; readonly stamp: string } | undefined;
  let checkAtMs = 0;

  const look = (): void => {
    checkAtMs = clock.monotonicMs() + fileCheckIntervalMs;
    // Read in place: a few bytes once a second at most, and no wait in the runtime's small thread pool (docs/decisions/0002).
    const state = statSync(path);
    const stamp = `${state.ino} ${state.size} ${state.mtimeMs}`;
    if (stamp === held?.stamp) return;
    if (state.size > secretFileMaxBytes) throw new Error('it is larger than 64 KiB');
    const password = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    if (password === '') throw new Error('it is empty');
    held = { password: new Secret(password), stamp };
  };

  return {
    id: options.id ?? username,
    get: async () => {
      if (held === undefined || clock.monotonicMs() >= checkAtMs) {
        try {
          look();
        } catch (error) {
          if (held === undefined) throw failure(`the password file ${path} cannot be used: ${reasonOf(error)}`, error);
        }
      }
      if (held === undefined) throw failure(`the password file ${path} cannot be used`);
      return { username, password: held.password };
    },
    forget: () => {
      checkAtMs = 0;
    },
  };
}

export interface HelperOptions {
  /** Program and arguments, run without a shell. `get` is appended to a lone `docker-credential-*`. */
  readonly command: readonly string[];
  /** Given to the program on its standard input, as docker's credential helpers want it: the registry's host, or a URL. */
  readonly serverUrl: string;
  readonly timeoutMs?: number;
  /** How long a login counts whose expiry the program does not tell. */
  readonly cacheMs?: number;
  readonly clock?: Clock;
  readonly id?: string;
}

const helperNumbers = {
  timeoutMs: 10_000,
  cacheMs: 10 * 60_000,
  cacheMaxMs: 24 * 60 * 60_000,
  /** A program that failed is not run again for this long. */
  failureMs: 10_000,
  /** A login younger than this is not fetched anew because it was refused. */
  forgetAfterMs: 30_000,
  /** A login is fetched anew when this share of its life has passed. */
  refreshAtShareOfLife: 0.8,
} as const;

/**
 * A program that prints a login: docker's credential helper protocol (`get`: JSON with `Username` and `Secret`), or JSON with `username`,
 * `password` and, optionally, `expires_in` (seconds) or `expires_at` (ISO 8601). One run serves all who wait; a run ends at its deadline.
 * For registries whose passwords expire (Amazon ECR: 12 hours).
 */
export function helperCredential(options: HelperOptions): CredentialSource {
  const clock = options.clock ?? systemClock;
  const [program = '', ...given] = options.command;
  const name = program.slice(program.lastIndexOf('/') + 1);
  const isDockerHelper = name.startsWith('docker-credential-');
  const command = [program, ...(given.length === 0 && isDockerHelper ? ['get'] : given)];
  // `docker login` keeps the login of Docker Hub under its old address.
  const serverUrl = isDockerHelper && dockerHubHosts.has(options.serverUrl) ? 'https://index.docker.io/v1/' : options.serverUrl;
  let held: { readonly login: Login; readonly atMs: number; readonly refreshAtMs: number; readonly endsAtMs: number } | undefined;
  let failed: { readonly error: UpstreamError; readonly untilMs: number } | undefined;
  let running: Promise<Login> | undefined;

  const run = async (): Promise<Login> => {
    try {
      const answer = await runCredentialHelper({
        command,
        input: `${serverUrl}\n`,
        timeoutMs: options.timeoutMs ?? helperNumbers.timeoutMs,
        nowMs: clock.nowMs(),
      });
      const now = clock.monotonicMs();
      const lifeMs = Math.min(answer.lifeMs ?? options.cacheMs ?? helperNumbers.cacheMs, helperNumbers.cacheMaxMs);
      held = { login: answer.login, atMs: now, refreshAtMs: now + lifeMs * helperNumbers.refreshAtShareOfLife, endsAtMs: now + lifeMs };
      failed = undefined;
      return answer.login;
    } catch (error) {
      const reason = error instanceof UpstreamError ? error : failure(`the credential helper ${name} failed: ${reasonOf(error)}`, error);
      failed = { error: reason, untilMs: clock.monotonicMs() + helperNumbers.failureMs };
      throw reason;
    } finally {
      running = undefined;
    }
  };

  return {
    id: options.id ?? `helper ${name}`,
    get: async (signal) => {
      const now = clock.monotonicMs();
      if (held !== undefined && held.refreshAtMs > now) return held.login;
      const stillGood = held !== undefined && held.endsAtMs > now ? held.login : undefined;
      if (failed !== undefined && failed.untilMs > now) {
        if (stillGood !== undefined) return stillGood;
        throw failed.error;
      }
      running ??= run();
      if (stillGood === undefined) return abortable(running, signal);
      // An early renewal keeps nobody waiting.
      running.catch(() => undefined);
      return stillGood;
    },
    forget: () => {
      if (held !== undefined && clock.monotonicMs() - held.atMs >= helperNumbers.forgetAfterMs) held = undefined;
    },
  };
}

function failure(detail: string, cause?: unknown): UpstreamError {
  return new UpstreamError('token-error', { detail, ...(cause === undefined ? {} : { cause }) });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
