// How long the mirror waits for its sources, in one place, so that tests can wait less. faults.md 6.3 names the starting points.

export interface MirrorTimings {
  /** To the headers of a blob. */
  readonly firstByteTimeoutMs: number;
  /**
   * A source that has sent no headers after its budget (learned, health.ts) gets company: another source is asked beside it. At most this, below
   * a second, so that an address that swallows everything (F3) costs less than that.
   */
  readonly firstByteBudgetMaxMs: number;
  /** Between two pieces of a blob. */
  readonly idleTimeoutMs: number;
  /** A source that sends less than this over the window gives place to another one, where there is one. Time it does not need does not count. */
  readonly floor: { readonly bytesPerSecond: number; readonly windowMs: number };
  /** For one source's whole answer to a manifest, and for its first word on a tag nobody knows. */
  readonly manifestTimeoutMs: number;
  /** On a tag nobody knows here: a silent authority is waited for so long, then others are asked too; of those the slow ones for so long again. */
  readonly witnessPatienceMs: number;
  readonly listingTimeoutMs: number;
  /** After a failed check of a tag the stale answer is given at once for this long. */
  readonly failedCheckRestMs: number;
  /** An authority that no longer has a cached tag is asked again after so long, unless another one can be asked. */
  readonly absenceRecheckMs: number;
  /** Between two comparisons of another source's tags with an authority's. */
  readonly driftSampleMs: number;
}

export const mirrorTimings: MirrorTimings = {
  firstByteTimeoutMs: 10_000,
  firstByteBudgetMaxMs: 900,
  idleTimeoutMs: 6_000,
  floor: { bytesPerSecond: 64 * 1024, windowMs: 10_000 },
  manifestTimeoutMs: 10_000,
  witnessPatienceMs: 3_000,
  listingTimeoutMs: 5_000,
  failedCheckRestMs: 10_000,
  absenceRecheckMs: 250,
  driftSampleMs: 60_000,
};
