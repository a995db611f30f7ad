// The egress policy: which registries and which hosts this server may contact at all. Pure: it looks at names, URLs and addresses and says
// yes or no; upstream/guard.ts asks it before every hop (registry, token service, redirect, proxy) and again with what a name resolved to.

import { BlockList, isIP } from 'node:net';

/** Patterns. A deny that matches wins; a list of allows that is not empty lets through what matches one of it, and nothing else. */
export interface EgressRules {
  /** Patterns of registry names: `docker.io`, `*.pkg.dev`. */
  readonly registries: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  /** Patterns of host names (`*.docker.com`), addresses and blocks of them (`10.0.0.0/8`). */
  readonly hosts: { readonly allow: readonly string[]; readonly deny: readonly string[] };
}

export type EgressDecision = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

export interface EgressPolicy {
  /** Whether anything may be asked for this registry's content. */
  checkRegistry(registry: string): EgressDecision;
  /**
   * Whether this URL may be contacted for this registry ('': for none, a file the server fetches for itself): before a name is resolved. A name that only a block of addresses could allow passes
   * here; `checkAddresses` decides about it.
   */
  check(registry: string, url: URL): EgressDecision;
  /** Whether what the URL's host resolved to may be dialled; `undefined`: nobody here knows, because a proxy resolves. */
  checkAddresses(registry: string, url: URL, addresses: readonly string[] | undefined): EgressDecision;
}

const allowed: EgressDecision = { allowed: true };

/** Without rules everything is allowed. Patterns are those `parseEgressHost` and `parseEgressRegistry` understand. */
export function createEgressPolicy(rules: EgressRules): EgressPolicy {
  const registries = { allow: rules.registries.allow.map(toGlob), deny: rules.registries.deny.map(toGlob) };
  const hosts = { allow: createHostList(rules.hosts.allow), deny: createHostList(rules.hosts.deny) };
  const hasHostAllows = rules.hosts.allow.length > 0;

  const checkRegistry = (registry: string): EgressDecision => {
    const denied = registries.deny.find((one) => one.test(registry));
    if (denied !== undefined) return refuse(`the registry ${registry} may not be contacted (egress.registries.deny: ${denied.pattern})`);
    if (registries.allow.length === 0 || registries.allow.some((one) => one.test(registry))) return allowed;
    return refuse(`the registry ${registry} may not be contacted (egress.registries.allow does not list it)`);
  };

  return {
    checkRegistry,
    check: (registry, url) => {
      const first = registry === '' ? allowed : checkRegistry(registry);
      if (!first.allowed) return first;
      const host = hostOf(url);
      const denied = hosts.deny.byText(host);
      if (denied !== undefined) return refuse(`the host ${host} may not be contacted (egress.hosts.deny: ${denied})`);
      if (!hasHostAllows || hosts.allow.byText(host) !== undefined) return allowed;
      if (isIP(host) === 0 && hosts.allow.hasBlocks) return allowed;
      return refuse(`the host ${host} may not be contacted (egress.hosts.allow does not list it)`);
    },
    checkAddresses: (_registry, url, addresses) => {
      const host = hostOf(url);
      for (const address of addresses ?? []) {
        const denied = hosts.deny.byText(address);
        if (denied !== undefined) return refuse(`the host ${host} (${address}) may not be contacted (egress.hosts.deny: ${denied})`);
      }
      if (!hasHostAllows || hosts.allow.byText(host) !== undefined) return allowed;
      if (addresses === undefined) {
        return refuse(`the host ${host} may not be contacted: its proxy resolves it, and egress.hosts.allow does not list the name`);
      }
      const stray = addresses.find((address) => hosts.allow.byText(address) === undefined);
      if (stray === undefined && addresses.length > 0) return allowed;
      return refuse(`the host ${host} (${stray ?? 'no address'}) may not be contacted (egress.hosts.allow does not list it)`);
    },
  };
}

/** A pattern of registry names, in lower case; undefined when it is none. */
export function parseEgressRegistry(text: string): string | undefined {
  const lower = text.toLowerCase();
  return lower.length <= 128 && /^[a-z0-9*](?:[a-z0-9*._-]*[a-z0-9*])?$/.test(lower) ? lower : undefined;
}

/** A pattern of host names without a port, an address or a block of addresses; undefined when it is none of them. */
export function parseEgressHost(text: string): string | undefined {
  const lower = text.toLowerCase();
  const [address = '', bits, more] = lower.split('/');
  const bare = address.startsWith('[') && address.endsWith(']') ? address.slice(1, -1) : address;
  const family = bare.includes('%') ? 0 : isIP(bare);
  if (family !== 0) {
    if (more !== undefined) return undefined;
    if (bits === undefined) return bare;
    return /^(0|[1-9]\d{0,2})$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128) ? `${bare}/${bits}` : undefined;
  }
  // What looks like an address and is none would never match anything.
  if (bits !== undefined || /^[\d.]+$/.test(lower)) return undefined;
  return lower.length <= 253 && /^[a-z0-9*_](?:[a-z0-9*._-]*[a-z0-9*])?$/.test(lower) ? lower : undefined;
}

interface HostList {
  /** The entry that matches this name or address. */
  byText(host: string): string | undefined;
  readonly hasBlocks: boolean;
}

function createHostList(entries: readonly string[]): HostList {
  const blocks = entries.filter(isBlock).map((entry) => ({ entry, list: toBlockList(entry) }));
  const globs = entries.filter((entry) => !isBlock(entry)).map(toGlob);
  return {
    hasBlocks: blocks.length > 0,
    byText: (host) => {
      const address = plainAddress(host);
      const family = isIP(address);
      if (family === 0) return globs.find((one) => one.test(host))?.pattern;
      return (
        blocks.find(({ list }) => list.check(address, family === 6 ? 'ipv6' : 'ipv4'))?.entry ??
        globs.find((one) => one.pattern === '*')?.pattern
      );
    },
  };
}

function isBlock(entry: string): boolean {
  return isIP(entry.split('/')[0] ?? '') !== 0;
}

function toBlockList(entry: string): BlockList {
  const [address = '', bits] = entry.split('/');
  const plain = plainAddress(address);
  const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  if (bits === undefined) list.addAddress(plain, family);
  else list.addSubnet(plain, plain === address ? Number(bits) : Math.max(0, Number(bits) - 96), family);
  return list;
}

/** IPv4 in IPv6 (`::ffff:10.0.0.1`, `::ffff:a00:1`) is the IPv4 address it means. */
function plainAddress(text: string): string {
  const mapped = /^::ffff:(?:([0-9.]+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/.exec(text);
  if (mapped === null) return text;
  const [, dotted, high, low] = mapped;
  if (dotted !== undefined) return isIP(dotted) === 4 ? dotted : text;
  const value = Number.parseInt(high ?? '0', 16) * 65_536 + Number.parseInt(low ?? '0', 16);
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

function toGlob(pattern: string): { readonly pattern: string; test(text: string): boolean } {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\-]/g, '\\$&'));
  // Several stars in a row are one.
  const expression = new RegExp(`^${parts.filter((part, index) => part !== '' || index === 0 || index === parts.length - 1).join('.*')}$`);
  return { pattern, test: (text) => text.length <= 300 && expression.test(text) };
}

function hostOf(url: URL): string {
  const host = url.hostname.toLowerCase();
  return (host.startsWith('[') ? host.slice(1, -1) : host).replace(/\.$/, '');
}

function refuse(reason: string): EgressDecision {
  return { allowed: false, reason };
}
