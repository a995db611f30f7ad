// `breakwater serve`: boots the server, tells people how to use it, and ends it without loss.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type App, startApp } from '../app.ts';
import { MasterKeyError } from '../auth/master-key.ts';
import { formatListen } from '../config/addresses.ts';
import type { Config } from '../config/config.ts';
import { createLog, type Log } from '../lib/log.ts';
import { adminPasswordFile } from '../registry/bootstrap.ts';
import { CommandFailure } from './failure.ts';

/** Serves until SIGTERM or SIGINT, then drains; repeats change nothing (the drain itself ends within 30 s). Throws a CommandFailure, with nothing left open, when it cannot. */
export async function serve(config: Config, env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const log = createLog();
  const app = await start(config, env, log);
  const signalled = new Promise<string>((resolve) => {
    // `on`, not `once`: a Ctrl-C reaches the whole group and npm passes it on too, and the second must not end the drain.
    process.on('SIGTERM', () => resolve('SIGTERM'));
    process.on('SIGINT', () => resolve('SIGINT'));
  });
  // Only now: who reads that it is ready may stop it at once.
  process.stdout.write(welcome(config, app.port, app.newAdminPassword));
  const signal = await signalled;
  log.info('server.stopping', { signal });
  await app.stop();
  log.info('server.stopped');
}

async function start(config: Config, env: Readonly<Record<string, string | undefined>>, log: Log): Promise<App> {
  const password = env['BREAKWATER_ADMIN_PASSWORD'];
  try {
    return await startApp({
      config,
      log,
      ...(password === undefined || password === '' ? {} : { adminPassword: password }),
      onFatal: (message) => {
        log.error('database.fatal', { message, hint: 'the database cannot be written; check the disk, then start again' });
        process.exit(70);
      },
    });
  } catch (error) {
    throw startFailure(config, error);
  }
}

/** The folder cannot be made or written. */
const folderCodes: ReadonlySet<string> = new Set(['EACCES', 'EEXIST', 'EISDIR', 'ENOSPC', 'ENOTDIR', 'EPERM', 'EROFS']);

/** What the person at the terminal can do about it. */
function startFailure(config: Config, cause: unknown): CommandFailure {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const call = cause instanceof Error && 'syscall' in cause ? cause.syscall : undefined;
  const address = formatListen(config.listen);
  const elsewhere = 'choose another address with --listen HOST:PORT, BREAKWATER_LISTEN or `listen` in the config file';
  if (code === 'EADDRINUSE') {
    return new CommandFailure(`${address} is in use by another program`, { hint: `stop that program, or ${elsewhere}`, cause });
  }
  if (code === 'EADDRNOTAVAIL') return new CommandFailure(`${address} is not an address of this machine`, { hint: elsewhere, cause });
  if (code === 'EACCES' && call === 'listen') {
    return new CommandFailure(`this user may not listen on ${address}`, {
      hint: `ports below 1024 need a right of their own; ${elsewhere}`,
      cause,
    });
  }
  if (typeof code === 'string' && (folderCodes.has(code) || code.startsWith('SQLITE_'))) {
    return new CommandFailure(`the data folder ${config.dataDir} cannot be used: ${message}`, {
      hint: 'the user of the server must be able to write there; choose another folder with --data DIR',
      cause,
    });
  }
  if (cause instanceof MasterKeyError)
    return new CommandFailure(`cannot start: ${message}`, { hint: 'breakwater secrets status tells which keys there are', cause });
  return new CommandFailure(`cannot start: ${message}`, { cause });
}

function welcome(config: Config, port: number, newAdminPassword: string | undefined): string {
  const scheme = config.tls === undefined ? 'http' : 'https';
  const { hostname } = config.listen;
  const isAny = hostname === '0.0.0.0' || hostname === '::';
  const host = isAny ? 'localhost' : hostname.includes(':') ? `[${hostname}]` : hostname;
  const url = `${scheme}://${host}:${port}`;
  // Docker takes no path here before its version 25.
  const mirror = config.externalUrl === undefined ? url : new URL(config.externalUrl).origin;
  const lines = [
    `Breakwater is ready at ${url}`,
    `  data folder   ${config.dataDir}`,
    ...loginLines(join(config.dataDir, adminPasswordFile), newAdminPassword),
    `  as a mirror   put this into /etc/docker/daemon.json, then reload Docker:`,
    `                { "registry-mirrors": ["${mirror}"] }`,
  ];
  return `${lines.join('\n')}\n`;
}

/** The password itself is shown once; later where it is kept. */
function loginLines(file: string, newAdminPassword: string | undefined): string[] {
  if (newAdminPassword !== undefined) return [`  log in        user admin, password ${newAdminPassword}  (also in ${file})`];
  return existsSync(file) ? [`  log in        user admin, password in ${file}`] : [];
}
