// One request to one URL: guard, place at the source and the host, checked address, request, coded failure. It follows no redirect, knows no login and
// must never dial what the guard did not return. The next address is tried when one takes no connection.

import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { watchAddress } from './address-watch.ts';
import { classifyFailure } from './classify.ts';
import { effectivePort, type Guard } from './guard.ts';
import type { HostGate } from './host-gate.ts';
import type { Pace } from './pace.ts';
import type { SessionPool } from './sessions.ts';
import type { Source } from './source.ts';
import type { UpstreamLimits } from './upstream-limits.ts';
import { UpstreamError } from './verdict.ts';

export interface HopRequest {
  readonly source: Source;
  readonly url: URL;
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  /** Of a POST: small, sent again when an address takes no connection. */
  readonly body?: string;
  /** Its reason must be an UpstreamError (see deadline.ts). It covers the body, too. */
  readonly signal: AbortSignal;
}

/** An answer whose body is still to be read. One of `finish` and `abort` must be called, or the place at the host is lost until the signal fires. */
export interface Hop {
  readonly url: URL;
  readonly status: number;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | undefined;
  /** The body was read to its end: the connection may be used again. */
  finish(): void;
  /** Closes the connection; a pending read rejects with the error. */
  abort(error: UpstreamError): void;
}

export interface Transport {
  exchange(request: HopRequest): Promise<Hop>;
}

const addressMemoryMs = 60_000;

export function createTransport(parts: {
  clock: Clock;
  limits: UpstreamLimits;
  guard: Guard;
  gate: HostGate;
  pace: Pace;
  sessions: SessionPool;
  userAgent: string;
}): Transport {
  const { clock, limits, guard, gate, sessions } = parts;
  // What an address did lately: `true` answered, `false` took no connection.
  const memory = createLru<string, { readonly isGood: boolean; readonly untilMs: number }>({ maxEntries: 2_000 });
  const remember = (key: string, isGood: boolean): void => memory.set(key, { isGood, untilMs: clock.monotonicMs() + addressMemoryMs });
  const recall = (key: string): boolean | undefined => {
    const entry = memory.get(key);
    return entry !== undefined && entry.untilMs > clock.monotonicMs() ? entry.isGood : undefined;
  };

  /** A place among the source's own connections, then one at the host; the source's limit of requests counts for its own host. */
  const enter = async ({ source, url, signal }: HopRequest): Promise<() => void> => {
    const connections = source.limits?.connections;
    const leaveSource = connections === undefined ? undefined : await gate.enter(`source ${source.id}`, signal, connections);
    try {
      if (url.host === new URL(source.url).host) await parts.pace.takeRequest(source, signal);
      const leaveHost = await gate.enter(url.host, signal);
      return () => {
        leaveHost();
        leaveSource?.();
      };
    } catch (error) {
      leaveSource?.();
      throw error;
    }
  };

  const exchange = async (request: HopRequest): Promise<Hop> => {
    const addresses = await guard.check(request.source, request.url, request.signal);
    const leave = await enter(request);
    try {
      if (addresses === undefined) return await send(request, undefined, leave);
      const keyed = addresses.map((address) => ({ address, key: `${address} ${effectivePort(request.url)}` }));
      // Dead ones last; the resolver's order otherwise.
      const ordered = [...keyed.filter((entry) => recall(entry.key) !== false), ...keyed.filter((entry) => recall(entry.key) === false)];
      let lastError: UpstreamError | undefined;
      for (const [index, { address, key }] of ordered.entries()) {
        // With another address in hand, this one gets less time.
        const isLast = index === ordered.length - 1;
        const timeoutMs = isLast ? limits.connectTimeoutMs : Math.min(limits.connectTimeoutMs, limits.connectNextMs);
        try {
          const hop = await send(request, { address, isKnownGood: recall(key) === true, timeoutMs }, leave);
          remember(key, true);
          return hop;
        } catch (error) {
          if (!(error instanceof UpstreamError) || !isAddressFailure(error)) throw error;
          remember(key, false);
          lastError = error;
        }
      }
      guard.forget(request.url);
      throw lastError ?? new UpstreamError('dns', { detail: 'no address to dial', origin: request.url.origin });
    } catch (error) {
      leave();
      throw error;
    }
  };

  const send = async (
    request: HopRequest,
    target: { address: string; isKnownGood: boolean; timeoutMs: number } | undefined,
    leave: () => void,
  ): Promise<Hop> => {
    const { url, signal } = request;
    const attempt = new AbortController();
    const onAbort = (): void => {
      attempt.abort(signal.reason);
      leave();
    };
    if (signal.aborted) throw signal.reason;
    signal.addEventListener('abort', onAbort, { once: true });
    const letGo = (): void => {
      signal.removeEventListener('abort', onAbort);
      leave();
    };
    const watch =
      target === undefined || target.isKnownGood
        ? undefined
        : watchAddress({
            clock,
            address: target.address,
            port: effectivePort(url),
            origin: url.origin,
            delayMs: limits.connectWatchDelayMs,
            timeoutMs: target.timeoutMs,
            onDead: (error) => attempt.abort(error),
          });
    try {
      const session = await sessions.sessionFor(request.source, url);
      const response = await session.fetch(dialUrl(url, target?.address), {
        method: request.method,
        ...(request.body === undefined ? {} : { body: request.body }),
        headers: { ...request.headers, host: url.host, 'user-agent': parts.userAgent, 'accept-encoding': 'identity' },
        redirect: 'manual',
        decompress: false,
        signal: attempt.signal,
      });
      return {
        url,
        status: response.status,
        headers: response.headers,
        body: request.method === 'HEAD' ? undefined : (response.body ?? undefined),
        finish: letGo,
        abort: (error) => {
          attempt.abort(error);
          letGo();
        },
      };
    } catch (error) {
      signal.removeEventListener('abort', onAbort);
      if (attempt.signal.aborted && attempt.signal.reason instanceof UpstreamError) throw atOrigin(attempt.signal.reason, url.origin);
      if (error instanceof UpstreamError) throw error;
      throw classifyFailure(error, 'answer', url.origin);
    } finally {
      watch?.stop();
    }
  };

  return { exchange };
}

/** The same URL with the checked address in place of the name; the name goes into Host and SNI. */
function dialUrl(url: URL, address: string | undefined): string {
  if (address === undefined) return url.href;
  const host = address.includes(':') ? `[${address}]` : address;
  const port = url.port === '' ? '' : `:${url.port}`;
  return `${url.protocol}//${host}${port}${url.pathname}${url.search}`;
}

function isAddressFailure(error: UpstreamError): boolean {
  return error.verdict === 'refused' || error.verdict === 'unreachable' || error.verdict === 'connect-timeout';
}

/** The same error, saying where, unless it says so already. */
function atOrigin(error: UpstreamError, origin: string): UpstreamError {
  if (error.origin !== undefined || error.verdict === 'aborted') return error;
  return new UpstreamError(error.verdict, {
    detail: error.detail,
    origin,
    cause: error,
    ...(error.status === undefined ? {} : { status: error.status }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
