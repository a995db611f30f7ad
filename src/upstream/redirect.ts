// Follows redirects by hand. It must never carry an Authorization to another origin, nor back again, nor leave https for http; each hop
// passes the guard in the transport. wire.md 2.5; security.md SEC-C03; faults F33, F34, F37; RFC 9110 section 15.4.

import { readError } from './body.ts';
import { isAllowedPort } from './guard.ts';
import type { Hop, HopRequest, Transport } from './transport.ts';
import type { UpstreamLimits } from './upstream-limits.ts';
import { UpstreamError } from './verdict.ts';

export interface FollowRequest extends HopRequest {
  /** For the first origin only. */
  readonly authorization: string | undefined;
}

/** The answer of the last hop; its `url` says where that was. Throws `redirect-refused` and everything `exchange` throws. */
export async function follow(parts: { transport: Transport; limits: UpstreamLimits }, request: FollowRequest): Promise<Hop> {
  const { transport, limits } = parts;
  let { url, authorization } = request;
  for (let redirects = 0; ; redirects++) {
    const headers = authorization === undefined ? request.headers : { ...request.headers, authorization };
    const hop = await transport.exchange({ source: request.source, url, method: request.method, headers, signal: request.signal });
    if (!isRedirect(hop.status)) return hop;
    await readError(hop, { maxBytes: limits.errorMaxBytes, signal: request.signal });
    if (redirects >= limits.redirectsMax) throw refuse(`more than ${limits.redirectsMax} redirects`, hop);
    const next = resolveTarget(hop);
    if (!isAllowedPort(request.source, next)) throw refuse(`a redirect to port ${next.port}`, hop);
    if (next.origin !== url.origin) authorization = undefined;
    url = next;
  }
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/** The target of a redirect, resolved against the URL that answered. */
function resolveTarget(hop: Hop): URL {
  const location = hop.headers.get('location');
  if (location === null || location === '') throw refuse(`status ${hop.status} without a Location`, hop);
  if (location.length > 16_384) throw refuse('a Location longer than 16 KiB', hop);
  const next = URL.parse(location, hop.url.href);
  if (next === null) throw refuse('a Location that is no URL', hop);
  if (next.protocol !== 'https:' && next.protocol !== 'http:') throw refuse('a redirect to another protocol', hop);
  if (hop.url.protocol === 'https:' && next.protocol === 'http:') throw refuse('a redirect from https to http', hop);
  if (next.username !== '' || next.password !== '') throw refuse('a redirect with a login in its URL', hop);
  next.hash = '';
  return next;
}

function refuse(what: string, hop: Hop): UpstreamError {
  return new UpstreamError('redirect-refused', { detail: `refused: ${what}`, origin: hop.url.origin, status: hop.status });
}
