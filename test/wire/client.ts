// The wire suite's registry client: raw answers, Basic and Bearer logins, a deadline on every request.
// It must never follow a redirect, retry a failed request or send credentials to another origin than the target's.
// Implements the token flow of the Docker Registry v2 authentication specification (challenge, token request, Bearer).

import { type ExchangeRequest, exchange, sendPart } from './http-exchange.ts';
import { type Header, headerValue, headerValues, statusOf } from './http-message.ts';

export interface WireTarget {
  /** Base URL of the registry, without `/v2/`. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  /** How a login is shown; by default as the registry's challenge asks. */
  readonly scheme?: 'basic' | 'bearer';
}

/** Who asks: the target's login, nobody (no Authorization header), the login as Basic, or a header of the case's own. */
export type Identity = 'login' | 'anonymous' | 'basic' | { readonly authorization: string };

export interface WireRequest {
  readonly method: string;
  /** Path and query as they go on the wire, or the value of a Location header. */
  readonly path: string;
  readonly headers?: readonly Header[];
  readonly body?: Uint8Array | string;
  readonly chunked?: boolean;
  readonly as?: Identity;
  /** Further repositories the login's token must open (a mount reads from another one). */
  readonly alsoRepositories?: readonly string[];
  /** Waits this long after the answer for bytes that must not follow it. */
  readonly lingerMs?: number;
}

export interface WireResponse {
  /** `PUT /v2/x/manifests/y -> 201`, for messages. */
  readonly title: string;
  readonly status: number;
  readonly headers: readonly Header[];
  readonly body: Buffer;
  readonly excess: Buffer;
  header(name: string): string | undefined;
  headerAll(name: string): string[];
}

export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

export interface TokenAnswer {
  readonly status: number;
  readonly token: string | undefined;
  readonly json: Record<string, unknown> | undefined;
}

export interface WireClient {
  readonly target: WireTarget;
  send(request: WireRequest): Promise<WireResponse>;
  /** Sends only the first `bodyBytes` of the body, then drops the connection. */
  sendPart(request: WireRequest, bodyBytes: number): Promise<void>;
  /** How `GET /v2/` without a login is answered, and what it asks for. Asked once. */
  entry(): Promise<{ readonly status: number; readonly challenge: Challenge | undefined }>;
  /** Asks the realm of the challenge for a token with exactly these scopes. */
  requestToken(options: {
    readonly scopes: readonly string[];
    readonly username?: string;
    readonly password?: string;
  }): Promise<TokenAnswer>;
  /** Requests sent so far. */
  requestCount(): number;
}

const requestTimeoutMs = 10_000;
const repositoryPattern = /^\/v2\/(.+)\/(?:blobs|manifests|tags|referrers)\//;

/** The first challenge of a scheme in a `WWW-Authenticate` value. */
export function parseChallenge(value: string): Challenge | undefined {
  const match = /^\s*([A-Za-z]+)(?:\s+(.*))?$/.exec(value);
  if (match?.[1] === undefined) return undefined;
  const parameters = new Map<string, string>();
  for (const part of (match[2] ?? '').matchAll(/([A-Za-z_]+)=(?:"([^"]*)"|([^\s,]+))/g)) {
    if (part[1] !== undefined) parameters.set(part[1].toLowerCase(), part[2] ?? part[3] ?? '');
  }
  return { scheme: match[1].toLowerCase(), parameters };
}

export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** A client of one registry. Tokens are kept per set of scopes until their time is over. */
export function createWireClient(target: WireTarget): WireClient {
  const base = new URL(target.url);
  const tokens = new Map<string, { readonly token: string; readonly goodUntilMs: number }>();
  let firstEntry: ReturnType<WireClient['entry']> | undefined;
  let sent = 0;

  const prepare = (request: WireRequest, authorization: string | undefined): ExchangeRequest => {
    const url = request.path.startsWith('/') ? base : new URL(request.path, base);
    const headers: Header[] = [['Host', url.host], ...(request.headers ?? [])];
    if (authorization !== undefined && url.origin === base.origin) headers.push(['Authorization', authorization]);
    const hasBody = request.body !== undefined || !['GET', 'HEAD', 'DELETE'].includes(request.method);
    return {
      origin: url,
      method: request.method,
      path: request.path.startsWith('/') ? request.path : `${url.pathname}${url.search}`,
      headers,
      body: hasBody ? Buffer.from(request.body ?? '') : undefined,
      chunked: request.chunked ?? false,
      timeoutMs: requestTimeoutMs,
      ...(request.lingerMs === undefined ? {} : { lingerMs: request.lingerMs }),
    };
  };
  const raw = async (request: WireRequest, authorization: string | undefined): Promise<WireResponse> => {
    const prepared = prepare(request, authorization);
    const { path } = prepared;
    const title = `${request.method} ${path.length > 180 ? `${path.slice(0, 120)}...${path.slice(-50)}` : path}`;
    sent += 1;
    const message = await exchange(prepared).catch((cause: unknown) => {
      throw new Error(`${title}: ${cause instanceof Error ? cause.message : String(cause)}`);
    });
    const status = statusOf(message.startLine) ?? 0;
    return {
      title: `${title} -> ${status}`,
      status,
      headers: message.headers,
      body: message.body,
      excess: message.excess,
      header: (name) => headerValue(message.headers, name),
      headerAll: (name) => headerValues(message.headers, name),
    };
  };
  const entry: WireClient['entry'] = () => {
    firstEntry ??= raw({ method: 'GET', path: '/v2/' }, undefined).then((answer) => {
      const values = answer.headerAll('www-authenticate').map(parseChallenge);
      const challenge = values.find((value) => value?.scheme === 'bearer') ?? values.find((value) => value !== undefined);
      return { status: answer.status, challenge };
    });
    return firstEntry;
  };
  const requestToken: WireClient['requestToken'] = async ({ scopes, username, password }) => {
    const parameters = (await entry()).challenge?.parameters;
    const realm = new URL(parameters?.get('realm') ?? '/service/token', base);
    const service = parameters?.get('service');
    if (service !== undefined) realm.searchParams.set('service', service);
    for (const scope of scopes) realm.searchParams.append('scope', scope);
    const headers: Header[] = [['Host', realm.host]];
    // The realm is named by the registry itself, so the login goes there, as every client does.
    if (username !== undefined) headers.push(['Authorization', basicAuthorization(username, password ?? '')]);
    sent += 1;
    const answer = await exchange({
      origin: realm,
      method: 'GET',
      path: `${realm.pathname}${realm.search}`,
      headers,
      body: undefined,
      chunked: false,
      timeoutMs: requestTimeoutMs,
    });
    const json = parseObject(answer.body);
    const token = json?.['token'] ?? json?.['access_token'];
    return { status: statusOf(answer.startLine) ?? 0, token: typeof token === 'string' ? token : undefined, json };
  };
  const bearer = async (request: WireRequest): Promise<string | undefined> => {
    const own = repositoryPattern.exec(request.path.startsWith('/') ? request.path : new URL(request.path, base).pathname)?.[1];
    const scopes = own === undefined ? [] : [`repository:${own}:pull,push,delete`];
    for (const repository of request.alsoRepositories ?? []) scopes.push(`repository:${repository}:pull`);
    if (request.path.startsWith('/v2/_catalog')) scopes.push('registry:catalog:*');
    const key = scopes.join(' ');
    const known = tokens.get(key);
    if (known !== undefined && known.goodUntilMs > Date.now()) return `Bearer ${known.token}`;
    const login = target.username === undefined ? {} : { username: target.username, password: target.password ?? '' };
    // A name the token service refuses still has to reach the registry, which must answer for it.
    const asked = await requestToken({ scopes, ...login });
    const answer = asked.token === undefined ? await requestToken({ scopes: [], ...login }) : asked;
    if (answer.token === undefined) throw new Error(`the token service gave no token for "${key}" (status ${asked.status})`);
    const expiresInS = typeof answer.json?.['expires_in'] === 'number' ? answer.json['expires_in'] : 60;
    tokens.set(key, { token: answer.token, goodUntilMs: Date.now() + expiresInS * 500 });
    return `Bearer ${answer.token}`;
  };
  const authorize = async (request: WireRequest): Promise<string | undefined> => {
    const identity = request.as ?? 'login';
    if (identity === 'anonymous') return undefined;
    if (typeof identity === 'object') return identity.authorization;
    const basic = target.username === undefined ? undefined : basicAuthorization(target.username, target.password ?? '');
    if (identity === 'basic') return basic;
    const scheme = target.scheme ?? (await entry()).challenge?.scheme;
    return scheme === 'bearer' ? bearer(request) : scheme === 'basic' ? basic : undefined;
  };
  return {
    target,
    send: async (request) => raw(request, await authorize(request)),
    sendPart: async (request, bodyBytes) => sendPart(prepare(request, await authorize(request)), bodyBytes),
    entry,
    requestToken,
    requestCount: () => sent,
  };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
