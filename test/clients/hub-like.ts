// An upstream that behaves like Docker Hub: a token service on an origin of its own, private repositories, rate-limit headers and
// 429 after a number of manifest GETs, in front of a real docker-registry that checks the tokens. Loopback only, for tests.
// Sources: distribution "Token Authentication Specification" and "Token Authentication Implementation" (JWT with x5c); Docker Hub's
// pull limit documentation: only manifest GETs count, HEADs do not.

import { createPrivateKey, type KeyObject, randomUUID, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/docker-registry.ts';
import { runToSuccess } from './command.ts';

export interface HubLikeOptions {
  /** Manifest GETs answered before every further one is a 429. Without it there is no limit. */
  readonly manifestGetLimit?: number;
}

export interface TokenRequest {
  /** The user whose password was right, or `anonymous`, or `refused`. */
  readonly user: string;
  readonly scopes: readonly string[];
}

export interface HubLike {
  /** The registry, as a client reaches it. */
  readonly url: string;
  /** Origin of the token service. */
  readonly tokenOrigin: string;
  /** The account that may push, and read `private/*`. */
  readonly account: { readonly username: string; readonly password: string };
  readonly tokenRequests: readonly TokenRequest[];
  /** Requests seen at the front, `METHOD /path status`. */
  readonly requests: readonly string[];
  manifestGets(): number;
  /** Changes the limit; undefined lifts it. The count starts again at 0. */
  limitManifestGets(limit: number | undefined): void;
  stop(): Promise<void>;
}

const service = 'registry.docker.io';
const issuer = 'hub-like';
const tokenLifeSeconds = 300;
const account = { username: 'alice', password: 'alice-secret' } as const;

/** Starts the three parts on free loopback ports. */
export async function startHubLike(options: HubLikeOptions = {}): Promise<HubLike> {
  const folder = mkdtempSync(join(tmpdir(), 'hub-like-'));
  const keyFile = join(folder, 'key.pem');
  const certificateFile = join(folder, 'certificate.pem');
  await runToSuccess([
    ...['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', `/CN=${issuer}`],
    ...['-keyout', keyFile, '-out', certificateFile],
  ]);
  const tokenRequests: TokenRequest[] = [];
  const signer = createSigner(keyFile, certificateFile);
  const tokens = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: (request) => answerToken(request, { signer, tokenRequests }) });
  const tokenOrigin = `http://127.0.0.1:${tokens.port}`;
  const registry = await startGuardedRegistry({ folder, tokenOrigin, certificateFile });
  const front = createFront(registry.port, options.manifestGetLimit);
  return {
    url: front.url,
    tokenOrigin,
    account,
    tokenRequests,
    requests: front.requests,
    manifestGets: front.manifestGets,
    limitManifestGets: front.limitManifestGets,
    stop: async () => {
      await front.stop();
      await tokens.stop(true);
      registry.process.kill('SIGTERM');
      await registry.process.exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Signer {
  readonly key: KeyObject;
  /** The certificate, DER in base64, for the header's x5c. */
  readonly certificate: string;
}

function createSigner(keyFile: string, certificateFile: string): Signer {
  const certificate = readFileSync(certificateFile, 'utf8').replace(/-----[^-]+-----|\s/g, '');
  return { key: createPrivateKey(readFileSync(keyFile)), certificate };
}

function answerToken(request: Request, parts: { signer: Signer; tokenRequests: TokenRequest[] }): Response {
  const url = new URL(request.url);
  if (url.pathname !== '/token') return new Response('not found', { status: 404 });
  const scopes = url.searchParams.getAll('scope').flatMap((scope) => scope.split(' ').filter((part) => part !== ''));
  const user = userOf(request.headers.get('authorization'));
  parts.tokenRequests.push({ user, scopes });
  if (user === 'refused') return Response.json({ details: 'incorrect username or password' }, { status: 401 });
  const access = scopes.map((scope) => grant(user, scope)).filter((entry) => entry.actions.length > 0);
  const token = signToken(parts.signer, { user, access });
  return Response.json({ token, access_token: token, expires_in: tokenLifeSeconds, issued_at: new Date().toISOString() });
}

function userOf(authorization: string | null): string {
  if (authorization === null) return 'anonymous';
  const expected = `Basic ${btoa(`${account.username}:${account.password}`)}`;
  return authorization === expected ? account.username : 'refused';
}

interface Grant {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** The account may do what it asks; others may pull what is not private. */
function grant(user: string, scope: string): Grant {
  const [type = '', name = '', actions = ''] = scope.split(':');
  const asked = actions.split(',');
  if (user === account.username) return { type, name, actions: asked };
  return { type, name, actions: name.startsWith('private/') ? [] : asked.filter((action) => action === 'pull') };
}

function signToken(signer: Signer, claims: { user: string; access: readonly Grant[] }): string {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const nowSeconds = Math.floor(Date.now() / 1000);
  const header = encode({ typ: 'JWT', alg: 'RS256', x5c: [signer.certificate] });
  const payload = encode({
    ...{ iss: issuer, sub: claims.user, aud: service, access: claims.access, jti: randomUUID() },
    ...{ iat: nowSeconds, nbf: nowSeconds - 10, exp: nowSeconds + tokenLifeSeconds },
  });
  return `${header}.${payload}.${sign('RSA-SHA256', Buffer.from(`${header}.${payload}`), signer.key).toString('base64url')}`;
}

async function startGuardedRegistry(options: { folder: string; tokenOrigin: string; certificateFile: string }): Promise<{
  readonly port: number;
  readonly process: Bun.Subprocess;
}> {
  const realm = `${options.tokenOrigin}/token`;
  const port = await freePort();
  const configFile = join(options.folder, 'registry.yml');
  const text = (value: string): string => JSON.stringify(value);
  writeFileSync(
    configFile,
    [
      'version: 0.1',
      'log: {level: error, accesslog: {disabled: true}}',
      `storage: {filesystem: {rootdirectory: ${text(join(options.folder, 'data'))}}}`,
      `auth: {token: {realm: "${realm}", service: ${service}, issuer: ${issuer}, rootcertbundle: ${text(options.certificateFile)}}}`,
      `http: {addr: "127.0.0.1:${port}", relativeurls: true}`,
      '',
    ].join('\n'),
  );
  const env = { ...process.env, REGISTRY_HTTP_SECRET: 'test' };
  const child = Bun.spawn(['docker-registry', 'serve', configFile], { env, stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' });
  for (let attempt = 0; attempt < 100; attempt++) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with code ${child.exitCode}`);
    if ((await fetch(`http://127.0.0.1:${port}/v2/`).catch(() => undefined)) !== undefined) return { port, process: child };
    await Bun.sleep(50);
  }
  child.kill('SIGKILL');
  throw new Error('docker-registry does not answer');
}

/** Forwards to the registry, counts manifest GETs that succeed and refuses those over the limit. */
function createFront(
  registryPort: number,
  firstLimit: number | undefined,
): Pick<HubLike, 'url' | 'requests' | 'manifestGets' | 'limitManifestGets' | 'stop'> {
  let limit = firstLimit;
  let manifestGets = 0;
  const requests: string[] = [];
  const tooMany = (): Response =>
    Response.json(
      { errors: [{ code: 'TOOMANYREQUESTS', message: 'You have reached your pull rate limit.' }] },
      { status: 429, headers: { 'retry-after': '60', 'ratelimit-limit': `${limit};w=21600`, 'ratelimit-remaining': '0;w=21600' } },
    );
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 60,
    maxRequestBodySize: 4 * 1024 * 1024 * 1024,
    fetch: async (request) => {
      const url = new URL(request.url);
      const counted = request.method === 'GET' && /^\/v2\/.+\/manifests\//.test(url.pathname) && request.headers.has('authorization');
      const exhausted = counted && limit !== undefined && manifestGets >= limit;
      const answer = exhausted ? tooMany() : await forward(request, `http://127.0.0.1:${registryPort}`);
      if (counted && answer.ok) manifestGets += 1;
      if (limit !== undefined && answer.status !== 429) {
        answer.headers.set('ratelimit-limit', `${limit};w=21600`);
        answer.headers.set('ratelimit-remaining', `${Math.max(0, limit - manifestGets)};w=21600`);
        answer.headers.set('docker-ratelimit-source', '127.0.0.1');
      }
      requests.push(`${request.method} ${url.pathname} ${answer.status}`);
      return answer;
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    manifestGets: () => manifestGets,
    limitManifestGets: (next) => {
      limit = next;
      manifestGets = 0;
    },
    stop: () => server.stop(true),
  };
}

async function forward(request: Request, origin: string): Promise<Response> {
  const url = new URL(request.url);
  const headers = new Headers(request.headers);
  const body = request.method === 'GET' || request.method === 'HEAD' ? {} : { body: request.body };
  const answer = await fetch(`${origin}${url.pathname}${url.search}`, {
    method: request.method,
    headers,
    redirect: 'manual',
    decompress: false,
    ...body,
  });
  return new Response(answer.body, { status: answer.status, headers: new Headers(answer.headers) });
}
