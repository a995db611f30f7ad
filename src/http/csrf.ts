// Whether a request that a browser's cookie speaks for was meant by its user: it comes from our own pages (Sec-Fetch-Site, Origin), and it
// carries in `X-Harbor-CSRF-Token` what only they could read. As in Harbor the token goes with a cookie of its own, so that one got before the
// login is good after it. security.md HRD-09, SEC-H02; Fetch Metadata Request Headers (W3C) 2.3, RFC 6454 section 7.

import { createHash, timingSafeEqual } from 'node:crypto';

export const csrfHeader = 'x-harbor-csrf-token';

const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const cookiePattern = /^[A-Za-z0-9_-]{43}$/;

/** Whether a method may change something. */
export function isUnsafe(method: string): boolean {
  return !safeMethods.has(method);
}

/** The token that goes with a CSRF cookie. */
export function csrfTokenOf(cookie: string): string {
  return createHash('sha256').update(`csrf ${cookie}`).digest('base64url');
}

export function isCsrfToken(token: string | null | undefined, cookie: string | undefined): boolean {
  if (token === null || token === undefined || cookie === undefined || !cookiePattern.test(cookie)) return false;
  const expected = Buffer.from(csrfTokenOf(cookie));
  const given = Buffer.from(token);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

export function isCsrfCookie(cookie: string | undefined): cookie is string {
  return cookie !== undefined && cookiePattern.test(cookie);
}

/**
 * Whether a browser says that another site made this request. `hosts` are the names (with port) this server goes by. Clients that are no
 * browsers say nothing, and what they send was not made by a page.
 */
export function isForeign(headers: Headers, hosts: readonly string[]): boolean {
  const site = headers.get('sec-fetch-site');
  if (site !== null) return site !== 'same-origin' && site !== 'none';
  const origin = headers.get('origin');
  if (origin === null) return false;
  const host = URL.parse(origin)?.host;
  return host === undefined || host === '' || !hosts.includes(host);
}
