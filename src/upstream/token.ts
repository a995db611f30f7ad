// Fetches and keeps registry tokens. It must never send a password anywhere but to the realm it was told is pinned, and never hammer a token
// service that fails. distribution "Token Authentication Specification"; wire.md 2.2; faults F18, F60.

import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { Secret } from '../lib/secret.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import { readError, readWhole } from './body.ts';
import { classifyStatus } from './classify.ts';
import type { Login } from './credential-helper.ts';
import { abortable, startDeadline } from './deadline.ts';
import type { Source } from './source.ts';
import type { Transport } from './transport.ts';
import type { UpstreamLimits } from './upstream-limits.ts';
import { UpstreamError, type Verdict } from './verdict.ts';

export interface TokenRequest {
  readonly source: Source;
  /** A realm that was judged; never a raw one. */
  readonly realm: URL;
  readonly service: string | undefined;
  /** One scope, e.g. `repository:library/debian:pull`. */
  readonly scope: string;
  /** Sent as Basic; give it only for a pinned realm. */
  readonly login: Login | undefined;
}

export interface TokenStore {
  /** A usable token, from the cache or the realm; callers of one token share one request. Throws `token-error` or the signal's reason. */
  get(request: TokenRequest, signal: AbortSignal): Promise<HeldToken>;
  /** Forgets this very token (an upstream refused it). */
  drop(request: TokenRequest, token: HeldToken): void;
}

export interface HeldToken {
  readonly value: Secret;
  readonly expiresAtMs: number;
}

const keptVerdicts: ReadonlySet<Verdict> = new Set(['aborted', 'busy', 'private-address', 'egress-denied', 'token-error']);
const expiresInDefaultSeconds = 60;
const expiresInMaxSeconds = 3_600;
const refreshAtShareOfLife = 0.8;
const tokenMaxLength = 65_536;

export function createTokenStore(parts: { clock: Clock; limits: UpstreamLimits; transport: Transport; closing: AbortSignal }): TokenStore {
  const { clock, limits } = parts;
  const tokens = createLru<string, HeldToken & { readonly refreshAtMs: number }>({ maxEntries: 5_000 });
  const breakers = createLru<string, { readonly error: UpstreamError; readonly untilMs: number }>({ maxEntries: 2_000 });
  const flights = createSingleFlight<HeldToken>();

  const fetchToken = async (request: TokenRequest, key: string): Promise<HeldToken> => {
    const serviceKey = keyOfService(request);
    for (const breakerKey of [serviceKey, key]) {
      const open = breakers.get(breakerKey);
      if (open !== undefined && open.untilMs > clock.monotonicMs()) throw open.error;
    }
    const deadline = startDeadline({ clock, timeoutMs: limits.tokenTimeoutMs, parents: [parts.closing] });
    try {
      const answer = parseToken(await requestToken(parts, request, deadline.signal), request.realm.origin);
      const now = clock.monotonicMs();
      const lifeMs = answer.expiresInSeconds * 1_000;
      const held = { value: answer.value, expiresAtMs: now + lifeMs, refreshAtMs: now + lifeMs * refreshAtShareOfLife };
      tokens.set(key, held);
      return held;
    } catch (error) {
      const failure = asTokenError(error, request.realm.origin);
      if (failure.verdict === 'token-error') {
        // A refusal concerns this repository and login (ghcr.io answers 403 for private ones); anything else the whole service.
        const isRefusal = failure.status !== undefined && failure.status >= 400 && failure.status < 500 && failure.status !== 429;
        const holdMs = Math.min(Math.max(failure.retryAfterMs ?? 0, limits.tokenBreakerMs), 30 * limits.tokenBreakerMs);
        breakers.set(isRefusal ? key : serviceKey, { error: failure, untilMs: clock.monotonicMs() + holdMs });
      }
      throw failure;
    } finally {
      deadline.release();
    }
  };

  return {
    get: async (request, signal) => {
      const key = `${keyOfService(request)}\n${request.scope}`;
      const held = tokens.get(key);
      const now = clock.monotonicMs();
      if (held !== undefined && held.refreshAtMs > now) return held;
      try {
        return await abortable(
          flights.run(key, () => fetchToken(request, key)),
          signal,
        );
      } catch (error) {
        if (held !== undefined && held.expiresAtMs > clock.monotonicMs() && !signal.aborted) return held;
        throw error;
      }
    },
    drop: (request, token) => {
      const key = `${keyOfService(request)}\n${request.scope}`;
      if (tokens.get(key)?.value === token.value) tokens.delete(key);
    },
  };
}

/** The key never leaves memory; the password goes in as a digest. The way to the realm (proxy, TLS policy) is the source's. */
function keyOfService(request: TokenRequest): string {
  const { login } = request;
  const loginKey = login === undefined ? '' : `${login.username}:${Bun.CryptoHasher.hash('sha256', login.password.reveal(), 'hex')}`;
  return [request.source.id, request.realm.href, request.service ?? '', loginKey].join('\n');
}

async function requestToken(
  parts: { limits: UpstreamLimits; transport: Transport; clock: Clock },
  request: TokenRequest,
  signal: AbortSignal,
): Promise<Uint8Array> {
  let url = new URL(request.realm);
  if (request.service !== undefined) url.searchParams.set('service', request.service);
  url.searchParams.set('scope', request.scope);
  const headers = {
    accept: 'application/json',
    ...(request.login === undefined ? {} : { authorization: basicAuthorization(request.login) }),
  };
  for (let redirects = 0; ; redirects++) {
    const hop = await parts.transport.exchange({ source: request.source, url, method: 'GET', headers, signal });
    if (hop.status === 200) return readWhole(hop, parts.limits.tokenMaxBytes);
    const body = await readError(hop, { maxBytes: parts.limits.errorMaxBytes, signal });
    const location = hop.status >= 301 && hop.status <= 308 ? hop.headers.get('location') : null;
    const next = location === null ? null : URL.parse(location, url.href);
    // The realm was judged, its redirects were not: they may move on the same origin only.
    if (next === null || next.origin !== url.origin || redirects >= parts.limits.redirectsMax) {
      throw classifyStatus(
        { status: hop.status, headers: hop.headers, body, origin: url.origin },
        { trust: 'digest-only', nowMs: parts.clock.nowMs() },
      );
    }
    url = next;
  }
}

export function basicAuthorization(login: Login): string {
  return `Basic ${Buffer.from(`${login.username}:${login.password.reveal()}`, 'utf8').toString('base64')}`;
}

/** The token of a token answer (either field name) and its life, at least one second, at most one hour; 60 s when unsaid. */
export function parseToken(bytes: Uint8Array, origin: string): { readonly value: Secret; readonly expiresInSeconds: number } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new UpstreamError('token-error', { detail: 'the token answer is no JSON', origin });
  }
  const record: Readonly<Record<string, unknown>> = typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
  const token = [record['token'], record['access_token']].find((value) => typeof value === 'string' && value !== '');
  if (typeof token !== 'string') throw new UpstreamError('token-error', { detail: 'the token answer holds no token', origin });
  // It becomes a header value: nothing but visible ASCII may get there.
  if (token.length > tokenMaxLength || !/^[\x21-\x7e]+$/.test(token))
    throw new UpstreamError('token-error', { detail: 'the token is malformed', origin });
  const expiresIn = record['expires_in'];
  const seconds = typeof expiresIn === 'number' && Number.isFinite(expiresIn) && expiresIn > 0 ? expiresIn : expiresInDefaultSeconds;
  return { value: new Secret(token), expiresInSeconds: Math.min(Math.max(seconds, 1), expiresInMaxSeconds) };
}

/** Whatever went wrong at the token service is `token-error`, with its status; leaving, our own limit and refused addresses keep their verdict. */
function asTokenError(error: unknown, origin: string): UpstreamError {
  if (!(error instanceof UpstreamError)) throw error;
  if (keptVerdicts.has(error.verdict)) return error;
  return new UpstreamError('token-error', {
    detail: `token service: ${error.detail}`,
    origin,
    cause: error,
    ...(error.status === undefined ? {} : { status: error.status }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
