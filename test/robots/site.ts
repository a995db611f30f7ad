// A server with users, projects and an issuer of CI tokens, for the suites on what programs log in with.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { hashPassword } from '../../src/auth/passwords.ts';
import type { Database } from '../../src/db/database.ts';
import { prepareLoginQuery } from '../../src/db/identity.ts';
import { openSqliteDatabase } from '../../src/db/sqlite.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';

export interface Login {
  readonly name: string;
  readonly password: string;
}
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a test reads out of an answer it states itself
  readonly body: any;
}
export interface Site {
  readonly server: RunningBreakwater;
  readonly admin: Login;
  /** Project admin of `team-a` and nothing else. */
  readonly anna: Login;
  /** Without any right. */
  readonly ben: Login;
  readonly projects: { readonly teamA: number; readonly teamB: number };
  /** A request to the admin API; `undefined`: without a login. */
  api(login: Login | undefined, method: string, path: string, body?: unknown): Promise<Answer>;
  /** What a token from the token service allows: the actions of the one scope asked for. 401 gives undefined. */
  scope(login: Login, repository: string, actions: string): Promise<readonly string[] | undefined>;
  /** The status of `GET /v2/` with Basic. */
  ping(login: Login): Promise<number>;
  stop(): Promise<void>;
}

const timeoutMs = 20_000;
const password = 'a long password of the tests';

export async function openSite(config?: string): Promise<Site> {
  const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-robots-'));
  const options = { dataDir, config: config ?? JSON.stringify({ presets: false }) };
  const first = await startBreakwater(options);
  await first.stop();
  const projects = await addPeople(dataDir);
  const server = await startBreakwater(options);
  const site: Site = {
    server,
    admin: { name: 'admin', password: server.adminPassword },
    anna: { name: 'anna', password },
    ben: { name: 'ben', password },
    projects,
    api: async (login, method, path, body) => {
      const response = await fetch(`${server.url}/api/v2.0${path}`, {
        method,
        headers: {
          ...(login === undefined ? {} : { authorization: basic(login) }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      return readAnswer(response);
    },
    scope: async (login, repository, actions) => {
      const query = new URLSearchParams({ service: 'breakwater', scope: `repository:${repository}:${actions}` });
      const response = await fetch(`${server.url}/service/token?${query}`, {
        headers: { authorization: basic(login) },
        signal: AbortSignal.timeout(timeoutMs),
      });
      const { status, body } = await readAnswer(response);
      if (status === 401) return undefined;
      const claims = JSON.parse(Buffer.from(body.token.split('.')[1], 'base64url').toString('utf8'));
      return claims.access[0]?.actions ?? [];
    },
    ping: async (login) => {
      const response = await fetch(`${server.url}/v2/`, {
        headers: { authorization: basic(login) },
        signal: AbortSignal.timeout(timeoutMs),
      });
      await response.text();
      return response.status;
    },
    stop: async () => {
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  return site;
}

export function basic({ name, password: secret }: Login): string {
  return `Basic ${Buffer.from(`${name}:${secret}`, 'utf8').toString('base64')}`;
}

async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  return { status: response.status, headers: response.headers, text, body };
}

/** Opens the database of a server that does not run. */
async function withDatabase<T>(dataDir: string, task: (database: Database) => Promise<T>): Promise<T> {
  const database = await openSqliteDatabase({ path: join(dataDir, 'db', 'breakwater.sqlite'), onFatal: () => undefined });
  try {
    return await task(database);
  } finally {
    await database.close();
  }
}

async function addPeople(dataDir: string): Promise<Site['projects']> {
  return withDatabase(dataDir, async (database) => {
    const passwordHash = await hashPassword(password);
    const idOf = async (name: string): Promise<number> => {
      await database.run('createAccount', { name, passwordHash, isAdmin: false });
      return (await prepareLoginQuery(database)(name))?.id ?? 0;
    };
    const annaId = await idOf('anna');
    await idOf('ben');
    const project = async (name: string, accountId?: number): Promise<number> => {
      const owner = accountId === undefined ? {} : { owner: { accountId, roleId: 1 } };
      return (await database.run('createProject', { name, kind: 'local', isPublic: false, ...owner })).id;
    };
    return { teamA: await project('team-a', annaId), teamB: await project('team-b') };
  });
}

export interface Issuer {
  readonly url: string;
  /** Requests so far, by path. */
  readonly asked: string[];
  sign(claims?: Record<string, unknown>, options?: { kid?: string; expiresInS?: number }): Promise<string>;
  stop(): void;
}

/** An issuer of CI tokens on a free loopback port: discovery document, keys, and tokens signed with ES256. */
export async function startIssuer(): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };
  const asked: string[] = [];
  const server: Bun.Server<undefined> = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request): Response => {
      const { pathname } = new URL(request.url);
      asked.push(pathname);
      if (pathname === '/.well-known/openid-configuration') return Response.json({ issuer: url, jwks_uri: `${url}/keys` });
      return pathname === '/keys' ? Response.json({ keys: [jwk] }) : new Response('', { status: 404 });
    },
  });
  const url = `http://127.0.0.1:${server.port}`;
  return {
    url,
    asked,
    sign: async (claims = {}, { kid = 'k1', expiresInS = 300 } = {}) => {
      const nowS = Math.floor(Date.now() / 1000);
      const all = {
        iss: url,
        aud: 'registry.test',
        sub: 'repo:team/app:ref:refs/heads/main',
        repository: 'team/app',
        iat: nowS - 1,
        nbf: nowS - 1,
        exp: nowS + expiresInS,
        jti: crypto.randomUUID(),
        ...claims,
      };
      return new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid }).sign(privateKey);
    },
    stop: () => void server.stop(true),
  };
}
