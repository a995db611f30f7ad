// The outbound guard: says which addresses a source may be dialled at, before anything is dialled. It resolves names itself, checks every
// answer, and the transport connects to what was checked and to nothing else (DNS rebinding). security.md SEC-D01 to SEC-D04, faults F2, F37.

import { lookup } from 'node:dns/promises';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import { type AddressClass, classifyAddress } from './address.ts';
import { abortable } from './deadline.ts';
import { isLocalName } from './domain.ts';
import { bareHost, type Source } from './source.ts';
import type { UpstreamLimits } from './upstream-limits.ts';
import { UpstreamError } from './verdict.ts';

/** All addresses of a name, as literals. Rejects when there is none. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/**
 * The operator's word on whether this URL may be contacted at all: the reason of a refusal, or undefined. It is asked before a name is
 * resolved, and again with what it resolved to; the addresses are undefined there when the source's proxy resolves.
 */
export type Egress = (source: Source, url: URL, resolved?: { readonly addresses: readonly string[] | undefined }) => string | undefined;

export interface Guard {
  /**
   * The addresses to dial for this URL on behalf of the source, in the resolver's order; `undefined` when the egress proxy resolves.
   * Throws UpstreamError `egress-denied`, `private-address`, `dns`, or the signal's reason. It is asked for every hop: registry, realm, redirect.
   */
  check(source: Source, url: URL, signal: AbortSignal): Promise<readonly string[] | undefined>;
  /** Forgets a name whose addresses did not answer. */
  forget(url: URL): void;
}

export function createGuard(options: { clock: Clock; limits: UpstreamLimits; resolve: Resolve | undefined; egress?: Egress }): Guard {
  const { clock, limits } = options;
  const resolve = options.resolve ?? resolveBySystem;
  const known = createLru<string, { readonly addresses: readonly string[]; readonly untilMs: number }>({ maxEntries: 1_000 });
  const flights = createSingleFlight<readonly string[]>();

  const addressesOf = async (host: string): Promise<readonly string[]> => {
    const cached = known.get(host);
    if (cached !== undefined && cached.untilMs > clock.monotonicMs()) return cached.addresses;
    return flights.run(host, async () => {
      const addresses = await resolveInTime({ host, resolve, clock, timeoutMs: limits.dnsTimeoutMs });
      known.set(host, { addresses, untilMs: clock.monotonicMs() + limits.dnsCacheMs });
      return addresses;
    });
  };

  const requireEgress = (source: Source, url: URL, resolved?: { readonly addresses: readonly string[] | undefined }): void => {
    const denied = options.egress?.(source, url, resolved);
    if (denied !== undefined) throw new UpstreamError('egress-denied', { detail: denied, origin: url.origin });
  };

  return {
    check: async (source, url, signal) => {
      requireEgress(source, url);
      const reach = reachOf(source);
      const host = bareHost(url);
      const origin = url.origin;
      const isOwnHost = host === reach.ownHost;
      const literal = classifyAddress(host);
      if (literal !== undefined) {
        const isTypedByOperator = isOwnHost;
        if (!isTypedByOperator && !isPermitted(literal, reach, isOwnHost)) throw refuse(host, literal, origin);
        return source.proxy === undefined ? [host] : undefined;
      }
      if (source.proxy !== undefined) {
        if (isLocalName(host) && !isOwnHost && !reach.mayBePrivate) throw refuse(host, 'private', origin);
        requireEgress(source, url, { addresses: undefined });
        return undefined;
      }
      const addresses = await abortable(addressesOf(host), signal);
      for (const address of addresses) {
        const kind = classifyAddress(address) ?? 'forbidden';
        if (!isPermitted(kind, reach, isOwnHost)) throw refuse(`${host} (${address})`, kind, origin);
      }
      requireEgress(source, url, { addresses });
      return addresses.slice(0, limits.addressesMax);
    },
    forget: (url) => {
      known.delete(bareHost(url));
    },
  };
}

/** Ports a redirect or a realm may name: the web's, unprivileged ones and the source's own. */
export function isAllowedPort(source: Source, url: URL): boolean {
  const port = effectivePort(url);
  return port === 80 || port === 443 || port >= 1024 || port === effectivePort(new URL(source.url));
}

export function effectivePort(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
}

interface Reach {
  readonly ownHost: string;
  readonly mayBePrivate: boolean;
  readonly mayBeLoopback: boolean;
}

/** What the operator allowed by writing this URL: a private literal, `localhost` or a local name; or by `allowPrivate`. */
function reachOf(source: Source): Reach {
  const ownHost = bareHost(new URL(source.url));
  const literal = classifyAddress(ownHost);
  const isLocalhost = ownHost === 'localhost' || ownHost.endsWith('.localhost') || literal === 'loopback';
  const isLocal = literal === undefined ? isLocalName(ownHost) : literal !== 'public';
  return {
    ownHost,
    mayBePrivate: isLocal || source.allowPrivate === true,
    // A mirror in the office network has no business with our own loopback services, unless it is there itself.
    mayBeLoopback: isLocalhost || source.allowPrivate === true,
  };
}

function isPermitted(kind: AddressClass, reach: Reach, isOwnHost: boolean): boolean {
  switch (kind) {
    case 'public':
      return true;
    case 'private':
      return reach.mayBePrivate;
    case 'loopback':
      return reach.mayBeLoopback || (isOwnHost && reach.mayBePrivate);
    case 'forbidden':
      return false;
  }
}

function refuse(what: string, kind: AddressClass, origin: string): UpstreamError {
  const hint = kind === 'forbidden' ? 'never dialled' : 'not dialled for this source unless allow_private is set';
  return new UpstreamError('private-address', { detail: `${what} is a ${kind} address: ${hint}`, origin });
}

async function resolveInTime(options: { host: string; resolve: Resolve; clock: Clock; timeoutMs: number }): Promise<readonly string[]> {
  const stop = new AbortController();
  const expired = options.clock.sleep(options.timeoutMs, stop.signal).then(
    () => {
      throw new UpstreamError('dns', { detail: `${options.host}: no answer from DNS within ${options.timeoutMs} ms` });
    },
    () => new Promise<never>(() => undefined),
  );
  try {
    const addresses = await Promise.race([options.resolve(options.host), expired]);
    if (addresses.length === 0) throw new UpstreamError('dns', { detail: `${options.host} has no address` });
    return addresses;
  } catch (error) {
    if (error instanceof UpstreamError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed';
    throw new UpstreamError('dns', { detail: `${options.host} does not resolve: ${code}`, cause: error });
  } finally {
    stop.abort();
  }
}

async function resolveBySystem(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true });
  return found.map((entry) => entry.address);
}
