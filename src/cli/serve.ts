// `breakwater serve`: boots the server, tells people how to use it, and ends it without loss.

import { startApp } from '../app.ts';
import type { Config } from '../config/config.ts';
import { createLog } from '../lib/log.ts';
import { adminPasswordFile } from '../registry/bootstrap.ts';

/** Serves until SIGTERM or SIGINT; gives the exit code. */
export async function serve(config: Config, env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const log = createLog();
  const password = env['BREAKWATER_ADMIN_PASSWORD'];
  const app = await startApp({
    config,
    log,
    ...(password === undefined || password === '' ? {} : { adminPassword: password }),
    onFatal: (message) => {
      log.error('database.fatal', { message, hint: 'the database cannot be written; check the disk, then start again' });
      process.exit(70);
    },
  });
  process.stdout.write(welcome(config, app.port, app.newAdminPassword));
  const signal = await new Promise<string>((resolve) => {
    process.once('SIGTERM', () => resolve('SIGTERM'));
    process.once('SIGINT', () => resolve('SIGINT'));
  });
  log.info('server.stopping', { signal });
  await app.stop();
  log.info('server.stopped');
  return 0;
}

function welcome(config: Config, port: number, newAdminPassword: string | undefined): string {
  const scheme = config.tls === undefined ? 'http' : 'https';
  const { hostname } = config.listen;
  const isAny = hostname === '0.0.0.0' || hostname === '::';
  const host = isAny ? 'localhost' : hostname.includes(':') ? `[${hostname}]` : hostname;
  const url = `${scheme}://${host}:${port}`;
  const mirror = config.externalUrl ?? url;
  const lines = [
    `Breakwater is ready at ${url}`,
    `  data folder   ${config.dataDir}`,
    ...(newAdminPassword === undefined ? [] : [`  log in        user admin, password ${newAdminPassword}  (also in ${config.dataDir}/${adminPasswordFile})`]),
    `  as a mirror   put this into /etc/docker/daemon.json, then reload Docker:`,
    `                { "registry-mirrors": ["${mirror}"] }`,
  ];
  return `${lines.join('\n')}\n`;
}
