// A range of a blob that is still far from being here: straight from a source whose bytes may go out before they are proven, beside the fill
// (design 7.3). For clients that read an image lazily, or go on where they stopped. It must never give the last 64 KiB, so that nobody comes
// to the end of a blob that was not proven.

import { UpstreamError } from '../upstream/verdict.ts';
import { type Candidate, openBlob, type RaceParts } from './blob-race.ts';
import { holdBackBytes, isBelieved } from './fill-round.ts';
import type { WantedBlob } from './wanted-blob.ts';

/** What is nearer than this to what is here is waited for. */
const farBytes = 8 * 1024 * 1024;
/** A source that ignores ranges is read past so much at most. */
const skipMaxBytes = 1024 * 1024;
const triesMax = 4;
const placesMax = 32;

export interface ColdRanges {
  /** Whether a range that begins there is to be read here, while the fill may be read up to `hereBytes`. */
  isCold(
    wanted: WantedBlob & { readonly expectedBytes: number },
    range: { readonly startBytes: number; readonly hereBytes: number },
  ): boolean;
  /**
   * Bytes from `start` on, at most to `end` (exclusive) and never those held back. It ends early, without an error, when no believed source
   * gives more: the rest is to be had from the fill. Throws the signal's reason.
   */
  read(
    wanted: WantedBlob & { readonly expectedBytes: number },
    range: { readonly start: number; readonly end: number | undefined },
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array>;
}

export function createColdRanges(parts: RaceParts): ColdRanges {
  let taken = 0;
  return {
    isCold: (wanted, { startBytes, hereBytes }) =>
      taken < placesMax &&
      startBytes - hereBytes > farBytes &&
      startBytes < wanted.expectedBytes - holdBackBytes &&
      parts.pool
        .ranked(wanted.registry, wanted.repository, { kind: 'blob' })
        .some((source) => isBelieved(parts.pool, source) && parts.pool.snapshot(source).blockedForMs === 0),
    read: async function* (wanted, range, signal) {
      const end = Math.min(range.end ?? wanted.expectedBytes, wanted.expectedBytes - holdBackBytes);
      const failed = new Set<string>();
      let at = range.start;
      taken++;
      try {
        for (let tries = 0; at < end && tries < triesMax; tries++) {
          try {
            for await (const chunk of readFrom(parts, wanted, { at, end, failed, signal })) {
              at += chunk.byteLength;
              yield chunk;
            }
            return;
          } catch (error) {
            if (signal.aborted) throw signal.reason;
            if (!(error instanceof UpstreamError)) return;
          }
        }
      } finally {
        taken--;
      }
    },
  };
}

/** What the best believed source gives. Ends without an error when there is none. */
async function* readFrom(
  parts: RaceParts,
  wanted: WantedBlob,
  from: { readonly at: number; readonly end: number; readonly failed: Set<string>; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const { pool } = parts;
  const next = (others: ReadonlySet<string>): Candidate | undefined => {
    const source = pool
      .ranked(wanted.registry, wanted.repository, { kind: 'blob' })
      .find(
        (one) =>
          !others.has(one.id) &&
          !from.failed.has(one.id) &&
          isBelieved(pool, one) &&
          pool.admit(one, wanted.repository, 'blob') === undefined,
      );
    return source === undefined ? undefined : { source, isTrial: false };
  };
  const opened = await openBlob({ ...parts, signal: AbortSignal.any([parts.signal, from.signal]) }, wanted, {
    offset: from.at,
    totalBytes: wanted.expectedBytes,
    next,
    onFailure: (source) => from.failed.add(source.id),
    attempts: [],
  });
  if (opened === undefined) return;
  const { source, answer, firstByteMs: ms } = opened;
  let isReported = false;
  const report = (verdict: UpstreamError['verdict'] | 'ok', bytes: number): void => {
    isReported = true;
    const { finalOrigin } = answer;
    pool.health.report(source.id, { verdict, kind: 'blob', ms, bytes, repository: wanted.repository, trust: source.trust, finalOrigin });
  };
  let bytes = 0;
  try {
    let skipBytes = from.at - answer.startOffset;
    if (skipBytes > skipMaxBytes) throw new UpstreamError('bad-range', { detail: 'it ignores ranges' });
    let left = from.end - from.at;
    for await (const received of answer.body) {
      bytes += received.byteLength;
      const chunk = received.subarray(Math.min(skipBytes, received.byteLength)).subarray(0, left);
      skipBytes -= Math.min(skipBytes, received.byteLength);
      left -= chunk.byteLength;
      if (chunk.byteLength > 0) yield chunk;
      if (left <= 0) break;
    }
    report('ok', bytes);
  } catch (error) {
    from.failed.add(source.id);
    report(error instanceof UpstreamError ? error.verdict : 'aborted', bytes);
    throw error;
  } finally {
    // The client left.
    if (!isReported) report('aborted', bytes);
    answer.discard();
    opened.release();
  }
}
