// Turns what the runtime or an upstream says into a verdict. Pure; it must never put an upstream's own words into a detail, because an
// upstream may echo the token we sent. wire.md 2.6 (bad-mirror signatures); the runtime's codes were measured on Bun 1.4.5.

import { parseRetryAfter } from './retry-after.ts';
import type { Source } from './source.ts';
import { UpstreamError, type Verdict } from './verdict.ts';

/** When the failure came: before the response's headers or in its body. */
export type Phase = 'answer' | 'body';

/** The coded form of what `fetch` or a body reader threw. Pass coded errors and abort reasons through before calling it. */
export function classifyFailure(error: unknown, phase: Phase, origin: string): UpstreamError {
  const code = codeOf(error);
  const verdict = verdictOfCode(code, phase);
  return new UpstreamError(verdict, { detail: describe(verdict, code), origin, cause: error });
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return code.slice(0, 60);
}

function verdictOfCode(code: string, phase: Phase): Verdict {
  switch (code) {
    case 'ECONNREFUSED':
    case 'ConnectionRefused':
      return 'refused';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
    case 'EACCES':
    case 'EPERM':
    case 'ERR_PROXY_TUNNEL':
    case 'FailedToOpenSocket':
      return 'unreachable';
    case 'ETIMEDOUT':
      return phase === 'body' ? 'stalled' : 'connect-timeout';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'dns';
    case 'ECONNRESET':
    case 'EPIPE':
    case 'ConnectionClosed':
      return phase === 'body' ? 'truncated' : 'reset';
    case 'EPROTO':
      return 'tls';
    default:
      return /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERROR_IN_CERT|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH)/.test(
        code,
      )
        ? 'tls'
        : 'bad-answer';
  }
}

function describe(verdict: Verdict, code: string): string {
  switch (verdict) {
    case 'refused':
      return 'connection refused';
    case 'unreachable':
      return code === 'ERR_PROXY_TUNNEL' ? 'the egress proxy opened no tunnel' : `no route (${code})`;
    case 'truncated':
      return 'the connection was lost in mid-body';
    case 'reset':
      return 'the connection was closed before an answer';
    case 'tls':
      return `TLS failed: ${code}`;
    default:
      return `the exchange failed: ${code}`;
  }
}

/** The parts of an error answer that decide its verdict. `body` is its beginning as text. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
  readonly origin: string;
}

/** The error for a status that is no success. `nowMs` (wall clock) is for a Retry-After that names a date. */
export function classifyStatus(answer: ErrorAnswer, context: { trust: Source['trust']; nowMs: number }): UpstreamError {
  const ociCode = firstErrorCode(answer.body);
  const isPage = isHtml(answer.headers.get('content-type'), answer.body);
  const verdict = verdictOfStatus(answer.status, { ociCode, isPage, trust: context.trust });
  const retryAfterMs =
    verdict === 'rate-limited' || verdict === 'server-error'
      ? parseRetryAfter({ header: answer.headers.get('retry-after'), message: answer.body, nowMs: context.nowMs })
      : undefined;
  return new UpstreamError(verdict, {
    detail: `answered ${answer.status}${ociCode === undefined ? '' : ` ${ociCode}`}${isPage ? ' with an HTML page' : ''}`,
    status: answer.status,
    origin: answer.origin,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** A 429 of a flood guard, which concerns all that this address asks the host: no word of a quota, of a time or of a registry. wire.md 2.3. */
export function isAbuseLimit(answer: ErrorAnswer): boolean {
  if (answer.status !== 429) return false;
  const { headers } = answer;
  return headers.get('retry-after') === null && headers.get('ratelimit-remaining') === null && firstErrorCode(answer.body) === undefined;
}

function verdictOfStatus(status: number, seen: { ociCode: string | undefined; isPage: boolean; trust: Source['trust'] }): Verdict {
  // Some proxies dress a limit up as 401, 403 or 404 (faults F30).
  if (status === 429 || (status >= 400 && seen.ociCode === 'TOOMANYREQUESTS')) return 'rate-limited';
  if (status >= 500 || status === 408 || status === 425) return 'server-error';
  switch (status) {
    case 401:
      return 'unauthorized';
    case 402:
    case 403:
    case 451:
      // A registry refuses in JSON; a page is a wall before it, which lets nothing through (fault F23).
      return seen.isPage ? 'html' : 'denied';
    case 404:
    case 410:
      // A captive portal answers pages; an authority's word on absence must look like a registry's.
      return seen.isPage && seen.trust === 'authority' ? 'html' : 'not-found';
    case 407:
      return 'unreachable';
    case 412:
      return 'gone';
    case 416:
      return 'bad-range';
    default:
      return 'bad-answer';
  }
}

/** A page by its type, or by its first character where the type says nothing. */
export function isHtml(contentType: string | null, body: string): boolean {
  const type = (contentType ?? '').toLowerCase();
  if (type.startsWith('text/html') || type.startsWith('application/xhtml')) return true;
  return !type.includes('json') && /^\s{0,64}<(?:!doctype html|html|head|body)\b/i.test(body.slice(0, 200));
}

/** `errors[0].code` of a distribution error body, when it is a plain word. */
export function firstErrorCode(body: string): string | undefined {
  if (!body.includes('"errors"')) return undefined;
  try {
    const parsed: unknown = JSON.parse(body);
    const errors = typeof parsed === 'object' && parsed !== null && 'errors' in parsed ? parsed.errors : undefined;
    const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
    const code = typeof first === 'object' && first !== null && 'code' in first ? first.code : undefined;
    return typeof code === 'string' && /^[A-Z][A-Z_]{1,39}$/.test(code) ? code : undefined;
  } catch {
    return undefined;
  }
}
