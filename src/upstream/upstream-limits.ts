// Every limit of the outbound client in one place. security.md LIM-17 and LIM-18 name the defaults.

export interface UpstreamLimits {
  /** Requests in flight per final host, a body being read included. */
  readonly connectionsPerHost: number;
  /** Requests waiting for a place at one host; one more fails as `busy`. */
  readonly waitingPerHost: number;
  readonly redirectsMax: number;
  /** An address that takes no TCP connection for this long is given up. */
  readonly connectTimeoutMs: number;
  /** The same, while the host has another address to try (RFC 8305 gives 250 ms; a mirror abroad needs more). */
  readonly connectNextMs: number;
  /** Silence after which an address not known to work is tested by a bare TCP connection. */
  readonly connectWatchDelayMs: number;
  readonly dnsTimeoutMs: number;
  readonly dnsCacheMs: number;
  /** Addresses of one host that are tried. */
  readonly addressesMax: number;
  readonly manifestMaxBytes: number;
  readonly tokenMaxBytes: number;
  readonly tokenTimeoutMs: number;
  /** A token service that failed is left alone for this long. */
  readonly tokenBreakerMs: number;
  readonly listingMaxBytes: number;
  readonly tagsMax: number;
  /** Error and redirect bodies are read up to here (to keep the connection and to see an error code), then dropped. */
  readonly errorMaxBytes: number;
}

export const upstreamLimitDefaults: UpstreamLimits = {
  connectionsPerHost: 32,
  waitingPerHost: 512,
  redirectsMax: 5,
  connectTimeoutMs: 5_000,
  connectNextMs: 1_000,
  connectWatchDelayMs: 250,
  dnsTimeoutMs: 5_000,
  dnsCacheMs: 30_000,
  addressesMax: 4,
  manifestMaxBytes: 4 * 1024 * 1024,
  tokenMaxBytes: 1024 * 1024,
  tokenTimeoutMs: 10_000,
  tokenBreakerMs: 10_000,
  listingMaxBytes: 4 * 1024 * 1024,
  tagsMax: 10_000,
  errorMaxBytes: 64 * 1024,
};
