// How long the mirror waits for its sources, in one place, so that tests can wait less. faults.md 6.3 names the starting points.

export interface MirrorTimings {
  /** To the headers of a blob. */
  readonly firstByteTimeoutMs: number;
  /** Between two pieces of a blob. */
  readonly idleTimeoutMs: number;
  /** For one source's whole answer to a manifest, and for its first word on a tag nobody knows. */
  readonly manifestTimeoutMs: number;
  readonly listingTimeoutMs: number;
  /** After a failed check of a tag the stale answer is given at once for this long. */
  readonly failedCheckRestMs: number;
}

export const mirrorTimings: MirrorTimings = {
  firstByteTimeoutMs: 10_000,
  idleTimeoutMs: 6_000,
  manifestTimeoutMs: 10_000,
  listingTimeoutMs: 5_000,
  failedCheckRestMs: 10_000,
};
