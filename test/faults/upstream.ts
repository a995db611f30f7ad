// What stands around a registry: its token service, its CDN on another host, and the ways each of them misbehaves. Built from fake sources
// (test/mirror/fake-source.ts), so that every one of them records what reached it. Rules are set on the registry by the functions here.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Answer, type FakeSource, json, type SourceRequest, startFakeSource } from '../mirror/fake-source.ts';

const fixtures = join(import.meta.dir, '../upstream/fixtures');
/** Signed `loopbackPem`, `otherNamePem` and `expiredPem`. */
export const caFile = join(fixtures, 'ca.pem');
/** For 127.0.0.1; for a.test; for a.test until 2021. */
export const loopbackPem = readFileSync(join(fixtures, 'loopback.pem'), 'utf8');
export const otherNamePem = readFileSync(join(fixtures, 'a.test.pem'), 'utf8');
export const expiredPem = readFileSync(join(fixtures, 'expired.pem'), 'utf8');

export interface TokenService {
  readonly listener: FakeSource;
  /** What it says from now on; undefined: a good token. */
  turn: ((good: Answer, request: SourceRequest) => Answer) | undefined;
  /** Tokens it gave out. */
  readonly issued: string[];
}

/** A token service on an address of its own. distribution "Token Authentication Specification". */
export async function startTokenService(address = '127.0.0.2'): Promise<TokenService> {
  const listener = await startFakeSource({ address });
  const issued: string[] = [];
  const service: TokenService = { listener, turn: undefined, issued };
  listener.rule((request) => {
    const token = `token-${listener.port}-${issued.length}`;
    const good = json(200, { token, expires_in: 300 });
    issued.push(token);
    return service.turn?.(good, request) ?? good;
  });
  return service;
}

export interface TokenDemand {
  /** Where the challenge sends the client. */
  readonly realm: string;
  /** Tokens taken; by default none ever is. */
  readonly accepted?: () => readonly string[];
}

/** The registry answers 401 with a Bearer challenge to everything without an accepted token. */
export function demandToken(registry: FakeSource, demand: TokenDemand): void {
  registry.rule((request) => {
    const token = /^Bearer (.+)$/.exec(request.headers['authorization'] ?? '')?.[1];
    if (token !== undefined && demand.accepted?.().includes(token) === true) return undefined;
    return challenge(`Bearer realm="${demand.realm}",service="registry.test",scope="repository:library/app:pull"`);
  });
}

/** The registry answers 401 with a Basic challenge to everybody but this login. */
export function demandBasic(registry: FakeSource, login: { readonly username: string; readonly password: string }): void {
  const expected = `Basic ${btoa(`${login.username}:${login.password}`)}`;
  registry.rule((request) => (request.headers['authorization'] === expected ? undefined : challenge('Basic realm="registry"')));
}

function challenge(text: string): Answer {
  return {
    ...json(401, { errors: [{ code: 'UNAUTHORIZED' }] }),
    headers: { 'content-type': 'application/json', 'www-authenticate': text },
  };
}

export function asGzip(answer: Answer): Answer {
  return { ...answer, headers: { ...answer.headers, 'content-encoding': 'gzip' }, body: gzipSync(answer.body) };
}

/** Fails when any of these listeners ever saw the secret, as it is or in Base64, in a path, a query or a header. */
export function expectNoSecret(secret: string, listeners: readonly FakeSource[]): void {
  for (const listener of listeners) {
    for (const request of listener.requests) {
      const text = JSON.stringify(request);
      const decoded = (request.headers['authorization'] ?? '').replace(/^Basic (.*)$/, (_, value: string) => atob(value));
      if (text.includes(secret) || decoded.includes(secret))
        throw new Error(`${listener.url} was sent the secret: ${request.method} ${request.path}`);
    }
  }
}
/** Every blob answer becomes a redirect to `locationOf` it; manifests stay. */
export function redirectBlobs(registry: FakeSource, locationOf: (request: SourceRequest) => string): void {
  registry.rule((request) =>
    request.path.includes('/blobs/') ? { status: 307, headers: { location: locationOf(request) }, body: Buffer.alloc(0) } : undefined,
  );
}
