// Under which origin the client sees this server. `external_url` wins; else the request's own Host, whose syntax is checked; the
// X-Forwarded-* headers count only when the peer is a trusted proxy. Never used for Location, which is always relative.

import { BlockList, isIP } from 'node:net';

export interface OriginRules {
  readonly externalUrl: string | undefined;
  readonly trustedProxies: readonly string[];
  readonly hasTls: boolean;
}

export type OriginOf = (headers: Headers, peerAddress: string | undefined) => string;

/** With underscores, which names of containers have, and a closing dot. */
const hostPattern = /^(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,252}[a-zA-Z0-9_.])?|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?$/;

/** Whether a Host header is `NAME[:PORT]` with an address or a name of plain letters. Several headers arrive joined and are not. */
export function isHost(text: string): boolean {
  return hostPattern.test(text);
}

export function createOriginOf(rules: OriginRules): OriginOf {
  const trusted = proxyList(rules.trustedProxies);
  return (headers, peerAddress) => {
    if (rules.externalUrl !== undefined) return rules.externalUrl;
    const isTrusted = peerAddress !== undefined && rules.trustedProxies.length > 0 && isListed(trusted, peerAddress);
    const forwardedHost = isTrusted ? lastValue(headers.get('x-forwarded-host')) : undefined;
    const forwardedProto = isTrusted ? lastValue(headers.get('x-forwarded-proto')) : undefined;
    const host = forwardedHost ?? headers.get('host') ?? 'localhost';
    const scheme = forwardedProto === 'https' || forwardedProto === 'http' ? forwardedProto : rules.hasTls ? 'https' : 'http';
    return `${scheme}://${isHost(host) ? host : 'localhost'}`;
  };
}

/** What the proxy next to us wrote is last. */
function lastValue(header: string | null): string | undefined {
  const value = header?.split(',').at(-1)?.trim();
  return value === undefined || value === '' ? undefined : value;
}

function proxyList(cidrs: readonly string[]): BlockList {
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [address = '', bits] = cidr.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  }
  return list;
}

function isListed(list: BlockList, address: string): boolean {
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address;
  return list.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
}
