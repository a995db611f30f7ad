// What a server is that somebody just started: no password that is known, no secret that others on the machine can read, and nothing open without a login
// but what is listed here and in docs/access.md.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { policyOf } from '../../src/api/api.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';

/** Answered without a login, whatever the configuration. */
const openRoutes = [
  'GET /api/docs',
  'GET /api/docs/{file}',
  'GET /api/version',
  'GET /api/v2.0/health',
  'GET /api/v2.0/openapi.json',
  'GET /api/v2.0/ping',
  'GET /api/v2.0/systeminfo',
  'GET /healthz',
  'GET /login',
  'GET /readyz',
  'GET /service/token',
  'POST /c/login',
  'POST /service/exchange',
];
let server: RunningBreakwater;
beforeAll(async () => {
  server = await startBreakwater();
});
afterAll(async () => {
  await server?.stop();
});

const ask = (method: string, path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${server.url}${path}`, { method, headers, redirect: 'manual', signal: AbortSignal.timeout(20_000) });

test('no widely known login opens it', async () => {
  for (const [name, password] of [
    // As many as may be wrong before the next one has to wait.
    ['admin', 'Harbor12345'],
    ['admin', 'admin'],
    ['admin', 'password'],
    ['root', 'root'],
    ['system', ''],
    ['anonymous', ''],
    ['robot$admin', ''],
    ['workload', ''],
  ]) {
    const authorization = `Basic ${btoa(`${name}:${password}`)}`;
    expect([name, password, (await ask('GET', '/api/v2.0/users/current', { authorization })).status]).toEqual([name, password, 401]);
  }
});

test('nobody else on the machine can read what it keeps', () => {
  const open: string[] = [];
  const walk = (folder: string, isClosed: boolean): void => {
    const closed = isClosed || (statSync(folder).mode & 0o077) === 0;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path, closed);
      else if (!closed && (statSync(path).mode & 0o044) !== 0) open.push(path.slice(server.dataDir.length + 1));
    }
  };
  walk(server.dataDir, false);
  expect(open).toEqual([]);
  // Those that are secrets are closed by themselves, too.
  const secrets = readdirSync(server.dataDir).filter((name) => /key|password|secret/.test(name));
  expect(secrets.length).toBeGreaterThanOrEqual(2);
  for (const name of secrets) expect([name, statSync(join(server.dataDir, name)).mode & 0o077]).toEqual([name, 0]);
});

test('nothing else than the list answers without a login', async () => {
  const policy = Object.entries(policyOf());
  const fromPolicy = policy.filter(([, requirement]) => requirement === 'public').map(([key]) => key);
  expect(openRoutes.filter((key) => key.includes(' /api/')).sort()).toEqual(fromPolicy.sort());
  for (const [key, requirement] of policy) {
    if (requirement === 'public') continue;
    const [method = '', path = ''] = key.split(' ');
    const sent = path.replaceAll(/\{[a-z_]+\}/g, 'absent');
    const response = await ask(method, sent);
    const isList = typeof requirement === 'object' && 'filtered' in requirement && requirement.login !== true;
    // What is filtered shows an anonymous caller public projects at most.
    expect([key, response.status, (isList ? [200, 400, 404] : [401]).includes(response.status)]).toEqual([key, response.status, true]);
  }
  for (const path of ['/metrics', '/status.json', '/v2/', '/v2/_catalog', '/account'])
    expect([path, [401, 302, 303].includes((await ask('GET', path)).status)]).toEqual([path, true]);
});

test('the list is the one of the documentation', () => {
  const page = readFileSync(join(import.meta.dir, '../../docs/access.md'), 'utf8');
  const section = page.slice(page.indexOf('## What is open without a login'));
  const told = [...section.slice(0, section.indexOf('\n## ', 5)).matchAll(/`((?:GET|POST) \/[^`]*)`/g)].map((match) => match[1]);
  expect(told.sort()).toEqual([...openRoutes].sort());
});
