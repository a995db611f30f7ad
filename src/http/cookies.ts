// The cookies of browsers: how they are named, read and written. Where the client speaks TLS their names carry the prefix that makes browsers
// refuse them from anywhere else (`__Host-`, or `__Secure-` when the server lives below a path). Nothing below /v2 and no token service reads
// one. RFC 6265, RFC 6265bis 4.1.3; security.md HRD-08.

/** Where the client reaches the server. */
export interface CookiePlace {
  readonly isSecure: boolean;
  /** `/`, or the prefix below which a proxy serves it, with a slash at its end. */
  readonly path: string;
}

export type CookieKind = 'session' | 'csrf' | 'login';

const names: Readonly<Record<CookieKind, string>> = { session: 'breakwater', csrf: 'breakwater-csrf', login: 'breakwater-login' };
const headerMaxLength = 16 * 1024;

/** The value of our cookie of this kind; undefined when it is absent or sent twice with different values. */
export function readCookie(header: string | null, kind: CookieKind, place: CookiePlace): string | undefined {
  if (header === null || header.length > headerMaxLength) return undefined;
  const start = `${nameOf(kind, place)}=`;
  const values = new Set(
    header
      .split(';')
      .map((pair) => pair.trim())
      .filter((pair) => pair.startsWith(start))
      .map((pair) => pair.slice(start.length)),
  );
  const [value] = values;
  return values.size === 1 && value !== undefined && value !== '' ? value : undefined;
}

/** A Set-Cookie value that lasts as long as the browser runs, or `maxAgeS`. Scripts cannot read it, and other sites' forms do not send it. */
export function writeCookie(kind: CookieKind, value: string, place: CookiePlace, maxAgeS?: number): string {
  const age = maxAgeS === undefined ? '' : `; Max-Age=${maxAgeS}`;
  return `${nameOf(kind, place)}=${value}; Path=${place.path}; HttpOnly; SameSite=Lax${place.isSecure ? '; Secure' : ''}${age}`;
}

export function clearCookie(kind: CookieKind, place: CookiePlace): string {
  return writeCookie(kind, '', place, 0);
}

function nameOf(kind: CookieKind, place: CookiePlace): string {
  if (!place.isSecure) return names[kind];
  return `${place.path === '/' ? '__Host-' : '__Secure-'}${names[kind]}`;
}
