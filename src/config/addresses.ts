// Network addresses as written in the config file: where to listen, CIDR blocks, URLs of sources, origins.
// Each function gives the one normal form, or undefined for what is not understood; none resolves a name or opens a socket.

import { isIP, isIPv6 } from 'node:net';

export interface ListenAddress {
  /** A host name or address without brackets; `0.0.0.0` or `::` for all interfaces. */
  readonly hostname: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** `HOST:PORT`, `[IPv6]:PORT` or `:PORT` (all IPv4 interfaces); port 0 to 65535. */
export function parseListen(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/@?#]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, v6, host, portText] = match;
  const port = Number(portText);
  if (port > 65_535) return undefined;
  if (v6 !== undefined) return isIPv6(v6) ? { hostname: v6.toLowerCase(), port } : undefined;
  if (host === undefined || host === '') return { hostname: '0.0.0.0', port };
  return isHostname(host) ? { hostname: host.toLowerCase(), port } : undefined;
}

/** The text that `parseListen` reads as this address. */
export function formatListen(address: ListenAddress): string {
  return address.hostname.includes(':') ? `[${address.hostname}]:${address.port}` : `${address.hostname}:${address.port}`;
}

/** `10.0.0.0/8`, `fd00::/8`, or one address, which becomes a block of its full length. */
export function parseCidr(text: string): string | undefined {
  const [address = '', length, more] = text.split('/');
  const family = address.includes('%') ? 0 : isIP(address);
  if (family === 0 || more !== undefined) return undefined;
  const bits = family === 4 ? 32 : 128;
  if (length === undefined) return `${address.toLowerCase()}/${bits}`;
  return /^(0|[1-9]\d{0,2})$/.test(length) && Number(length) <= bits ? `${address.toLowerCase()}/${length}` : undefined;
}

/** An http or https URL without user, query and fragment; a trailing slash is dropped, a path is kept. */
export function parseSourceUrl(text: string): string | undefined {
  const url = parseHttpUrl(text);
  return url === undefined ? undefined : `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/** `https://HOST[:PORT]`: an http or https URL with nothing after the port. */
export function parseOrigin(text: string): string | undefined {
  const url = parseHttpUrl(text);
  return url?.pathname === '/' ? url.origin : undefined;
}

/**
 * Where clients find the server: an http or https URL, with a path when it does not lie at the root of its host; no slash at the end. The path
 * may not begin with one of the server's own.
 */
export function parseExternalUrl(text: string): string | undefined {
  const url = parseSourceUrl(text);
  if (url === undefined) return undefined;
  const path = url.slice(new URL(url).origin.length);
  return path === '' || /^(?!\/(?:v2|api|service|c)(?:\/|$))(?:\/[A-Za-z0-9_~][A-Za-z0-9_.~-]{0,62}){1,8}$/.test(path) ? url : undefined;
}

/** `http://HOST:PORT` or `socks5://HOST:PORT` (also written `socks5h`; names are always resolved there): the egress proxy itself. */
export function parseProxyUrl(text: string): string | undefined {
  const socks = /^socks5h?:\/\/([^/].*)$/i.exec(text)?.[1];
  if (socks !== undefined) {
    // Read as https, because the default port of http would be lost.
    const origin = parseOrigin(`https://${socks}`);
    return origin === undefined ? undefined : origin.replace('https://', 'socks5://');
  }
  const origin = parseOrigin(text);
  return origin?.startsWith('http://') ? origin : undefined;
}

function parseHttpUrl(text: string): URL | undefined {
  if (!/^https?:\/\/[^\s\\@?#]+$/i.test(text) || text.length > 2000) return undefined;
  const url = URL.parse(text);
  return url !== null && url.hostname !== '' && url.username === '' && url.password === '' ? url : undefined;
}

function isHostname(text: string): boolean {
  if (/^[\d.]+$/.test(text)) return isIP(text) === 4;
  return text.length <= 253 && text.split('.').every((label) => /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label));
}
