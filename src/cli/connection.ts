// Which server a command speaks to, and as whom: from options, environment, what `breakwater login` kept, the configuration of the server, in this
// order. The configuration is read only when something is not said otherwise. A password must never come from the command line, where others see it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/error.ts';
import { Secret } from '../lib/secret.ts';
import { CommandFailure } from './failure.ts';
import { readStoredLogins, type StoredLogin } from './stored-logins.ts';
import type { Terminal } from './terminal.ts';

export interface ConnectionOptions {
  readonly url?: string;
  readonly user?: string;
  readonly passwordFile?: string;
  readonly caFile?: string;
  readonly insecure?: boolean;
  readonly config?: string;
  readonly data?: string;
}

export interface Connection {
  /** http or https, without a slash at the end; may have a path. */
  readonly url: string;
  readonly user: string;
  /** Or why there is none: told only when a server answers, because "no server is running" is the more helpful thing to say. */
  readonly password: Secret | CommandFailure;
  readonly tls: { readonly ca?: string; readonly insecure: boolean };
  /** The password is what `breakwater login` kept. */
  readonly isKept?: boolean;
}

const adminUser = 'admin';
/** Where the server keeps the administrator's password, in its data folder. */
export const adminPasswordFile = 'admin.password';

/** Throws a CommandFailure for what cannot be read, and a ConfigError. */
export async function resolveConnection(options: ConnectionOptions, { env }: Terminal): Promise<Connection> {
  let known: Promise<Config> | undefined;
  const config = (): Promise<Config> => {
    known ??= loadServerConfig(options, env);
    return known;
  };
  const given = options.url ?? (env['BREAKWATER_URL'] || undefined);
  const named = given === undefined ? undefined : parseUrl(given, options.url === undefined ? 'BREAKWATER_URL' : '--url');
  const kept = findStoredLogin(options, env, named);
  const url = named ?? kept?.url ?? urlOf(await config());
  const user = options.user ?? (env['BREAKWATER_USER'] || undefined) ?? kept?.login.user ?? adminUser;
  const caFile = options.caFile ?? kept?.login.caFile;
  const password = await findPassword({ ...options, user }, env, config, kept?.login);
  return {
    ...(kept !== undefined && password === kept.login.password ? { isKept: true } : {}),
    url,
    user,
    password,
    tls: {
      insecure: options.insecure === true || kept?.login.insecure === true,
      ...(caFile === undefined ? {} : { ca: readText(caFile, '--ca-file') }),
    },
  };
}

/** The login kept for this address; without one, that of the last login, unless a server of this machine is meant. */
function findStoredLogin(
  options: ConnectionOptions,
  env: Terminal['env'],
  url: string | undefined,
): { readonly url: string; readonly login: StoredLogin } | undefined {
  const isLocal = [options.data, options.config, env['BREAKWATER_DATA'], env['BREAKWATER_CONFIG']].some((value) => (value ?? '') !== '');
  if (url === undefined && isLocal) return undefined;
  const { current, logins } = readStoredLogins(env);
  const wanted = url ?? current;
  const login = wanted === undefined ? undefined : logins.get(wanted);
  return wanted === undefined || login === undefined ? undefined : { url: wanted, login };
}

/** The configuration of the server on this machine. A CommandFailure that says how to do without when it cannot be read. */
export async function loadServerConfig(options: ConnectionOptions, env: Terminal['env']): Promise<Config> {
  const { loadConfig } = await import('../config/load.ts');
  try {
    return loadConfig({ file: options.config, env, overrides: { data: options.data } });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CommandFailure(error.message, {
      hint: "the server's configuration is read to find its address and data folder; --url and --password-file make that needless",
      cause: error,
    });
  }
}

async function findPassword(
  options: ConnectionOptions & { readonly user: string },
  env: Terminal['env'],
  config: () => Promise<Config>,
  kept: StoredLogin | undefined,
): Promise<Secret | CommandFailure> {
  if (options.passwordFile !== undefined) return new Secret(readText(options.passwordFile, '--password-file').replace(/\r?\n$/, ''));
  const fromEnv = env['BREAKWATER_PASSWORD'];
  if (fromEnv !== undefined && fromEnv !== '') return new Secret(fromEnv);
  if (kept !== undefined && kept.user === options.user) return kept.password;
  const hint =
    'log in with `breakwater login`, name one with --password-file FILE, or put it into the environment variable BREAKWATER_PASSWORD';
  if (options.user !== adminUser) return new CommandFailure(`there is no password for the user ${options.user}`, { hint });
  const file = join(options.data ?? (await config()).dataDir, adminPasswordFile);
  try {
    return new Secret(readFileSync(file, 'utf8').trim());
  } catch (cause) {
    const isAbsent = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const reason = isAbsent ? 'does not exist' : `cannot be read (${describeCause(cause)})`;
    return new CommandFailure(`there is no password: ${file} ${reason}`, {
      hint: `say where the server keeps its data with --data DIR, or ${hint}`,
      cause,
    });
  }
}

/** The address under which a server of this configuration is reached from its own machine; under TLS by the name its certificate has. */
function urlOf(config: Config): string {
  if (config.tls !== undefined && config.externalUrl !== undefined) return config.externalUrl;
  const { hostname, port } = config.listen;
  if (port === 0)
    throw new CommandFailure('the configuration lets the system choose the port', {
      hint: 'name the address that the server printed with --url',
    });
  const host = hostname === '0.0.0.0' ? '127.0.0.1' : hostname === '::' ? '[::1]' : hostname.includes(':') ? `[${hostname}]` : hostname;
  return `${config.tls === undefined ? 'http' : 'https'}://${host}:${port}`;
}

/** The address as it is compared and kept; CommandFailure when it is none. */
export function parseUrl(text: string, origin: string): string {
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
  if (url === null || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    const shown = text.replace(/\/\/[^/]*@/g, '//***@').slice(0, 100);
    throw new CommandFailure(`${origin}: "${shown}" is not understood`, {
      hint: 'expected http://HOST:PORT or https://HOST:PORT, without a user or a query',
      exitCode: 2,
    });
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function readText(file: string, option: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CommandFailure(`${option}: ${file} cannot be read (${describeCause(cause)})`, { cause });
  }
}

function describeCause(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code = 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'permission denied';
  return cause.message;
}
