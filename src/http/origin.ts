// How a client sees this server, and from where it comes: origin, path prefix and address. `external_url` wins; else the request's own Host,
// whose syntax is checked. X-Forwarded-* count only when the peer is a trusted proxy; `Forwarded`, X-Real-IP and the like never do.

import { isIP } from 'node:net';
import { createNetworks, plainAddress } from '../lib/networks.ts';

export interface OriginRules {
  /** http or https, may have a path, no slash at the end. */
  readonly externalUrl: string | undefined;
  readonly trustedProxies: readonly string[];
  readonly hasTls: boolean;
}

export interface Clients {
  /** Under which URL the client reaches the server: scheme, host, prefix, no slash at the end. The realm is made from it. */
  originOf(headers: Headers, peerAddress: string | undefined): string;
  /** The address of the client: the last hop that is no trusted proxy. */
  addressOf(headers: Headers, peerAddress: string | undefined): string | undefined;
  /** Whether what this peer forwards is believed. */
  isTrusted(peerAddress: string | undefined): boolean;
  /** The path without the prefix, and the prefix that relative addresses in the answer need. */
  place(path: string, headers: Headers, peerAddress: () => string | undefined): Place;
  /** Where cookies hold: `/`, or the prefix of `external_url` with a slash. */
  readonly cookiePath: string;
}

export interface Place {
  readonly path: string;
  /** `/registry-a`, or nothing. */
  readonly base: string;
}

/** With underscores, which names of containers have, and a closing dot. */
const hostPattern = /^(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,252}[a-zA-Z0-9_.])?|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?$/;
const prefixPattern = /^(?:\/[A-Za-z0-9_~][A-Za-z0-9_.~-]{0,62}){1,8}$/;
const hopsMax = 32;
const forwardedMaxLength = 2048;

/** Whether a Host header is `NAME[:PORT]` with an address or a name of plain letters. Several headers arrive joined and are not. */
export function isHost(text: string): boolean {
  return hostPattern.test(text);
}

export function createClients(rules: OriginRules): Clients {
  const trusted = createNetworks(rules.trustedProxies);
  const hasProxies = rules.trustedProxies.length > 0;
  const isTrusted = (peerAddress: string | undefined): boolean => peerAddress !== undefined && trusted.has(peerAddress);
  const ownPrefix = rules.externalUrl === undefined ? '' : new URL(rules.externalUrl).pathname.replace(/\/+$/, '');
  return {
    isTrusted,
    cookiePath: `${ownPrefix}/`,
    originOf: (headers, peerAddress) => {
      if (rules.externalUrl !== undefined) return rules.externalUrl;
      const forwarded = (name: string): string | undefined => (isTrusted(peerAddress) ? lastValue(headers.get(name)) : undefined);
      const proto = forwarded('x-forwarded-proto');
      const scheme = proto === 'https' || proto === 'http' ? proto : rules.hasTls ? 'https' : 'http';
      const named = forwarded('x-forwarded-host') ?? headers.get('host') ?? 'localhost';
      const host = withPort(isHost(named) ? named : 'localhost', forwarded('x-forwarded-port'), scheme);
      return `${scheme}://${host}${readPrefix(forwarded('x-forwarded-prefix')) ?? ''}`;
    },
    addressOf: (headers, peerAddress) => {
      let address = peerAddress === undefined ? undefined : plainAddress(peerAddress);
      if (!isTrusted(address)) return address;
      const hops = headers.get('x-forwarded-for')?.slice(-forwardedMaxLength).split(',').slice(-hopsMax).reverse() ?? [];
      for (const hop of hops) {
        const next = readHop(hop);
        if (next === undefined) break;
        address = next;
        if (!isTrusted(next)) break;
      }
      return address;
    },
    place: (path, headers, peerAddress) => {
      if (ownPrefix !== '') {
        const inner = withoutPrefix(path, ownPrefix);
        if (inner !== undefined) return { path: inner, base: ownPrefix };
      } else if (hasProxies) {
        const header = headers.get('x-forwarded-prefix');
        const prefix = header === null || !isTrusted(peerAddress()) ? undefined : readPrefix(lastValue(header));
        // The proxy may have taken it off, or left that to us.
        if (prefix !== undefined) return { path: withoutPrefix(path, prefix) ?? path, base: prefix };
      }
      // Docker and podman ask for /v2/ at the root of a host, whatever the prefix; all else is below it.
      return { path, base: path === '/v2' || path.startsWith('/v2/') ? '' : ownPrefix };
    },
  };
}

/** Puts the prefix before the addresses of an answer that begin at the root. */
export function addBase(response: Response, base: string): Response {
  const location = response.headers.get('location');
  if (location?.startsWith('/') === true && !location.startsWith('//')) response.headers.set('location', `${base}${location}`);
  const link = response.headers.get('link');
  if (link !== null) response.headers.set('link', link.replace(/<\/(?!\/)/g, `<${base}/`));
  return response;
}

/** `1.2.3.4`, `1.2.3.4:5678`, `[fd00::1]:5678` or `fd00::1`. */
function readHop(hop: string): string | undefined {
  const text = hop.trim().replace(/^"(.*)"$/, '$1');
  const bare = /^\[([0-9a-fA-F:.]+)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/.exec(text)?.[1] ?? text;
  return bare.includes('%') || isIP(bare) === 0 ? undefined : plainAddress(bare);
}

function withoutPrefix(path: string, prefix: string): string | undefined {
  if (path === prefix) return '/';
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : undefined;
}

function readPrefix(text: string | undefined): string | undefined {
  const trimmed = text?.replace(/\/+$/, '');
  return trimmed !== undefined && prefixPattern.test(trimmed) ? trimmed : undefined;
}

/** Some proxies forward the host without its port and the port beside it. */
function withPort(host: string, port: string | undefined, scheme: string): string {
  if (port === undefined || !/^\d{1,5}$/.test(port) || /[^:\]]:\d+$|\]:\d+$/.test(host)) return host;
  return port === (scheme === 'https' ? '443' : '80') ? host : `${host}:${port}`;
}

/** What the proxy next to us wrote is last. */
function lastValue(header: string | null): string | undefined {
  const value = header?.split(',').at(-1)?.trim();
  return value === undefined || value === '' ? undefined : value;
}
