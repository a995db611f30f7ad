// One fetch of a whole blob into a spool: from the best source, and after a failure in mid-body from the exact offset on from the next
// (design 7.3). It decides which bytes readers may see before the digest is known, and never whether the bytes are right.
//
//   bytes from an authority or a clean source, and only such bytes before them ──> released at once, less the last 64 KiB
//   everything else ──> released by the caller, when the digest agrees

import type { Spool } from '../blobs/spool.ts';
import type { Clock } from '../lib/clock.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import type { MirrorTimings } from './mirror-timings.ts';
import { failedAttempt, type SourcePool } from './source-pool.ts';
import type { Attempt, Segment } from './trail.ts';

const holdBackBytes = 64 * 1024;
/** Blobs up to this size are verified before their first byte goes out. */
export const verifyFirstBytes = 8 * 1024 * 1024;
/** Tries of one source that brought next to nothing. */
const fruitlessTriesMax = 2;
/** A try that brought this much before it broke off was worth it, and is worth another one. */
const fruitBytes = 1024 * 1024;
const triesPerRoundMax = 100;

export interface RoundParts {
  readonly client: Pick<UpstreamClient, 'getBlob'>;
  readonly pool: SourcePool;
  readonly clock: Clock;
  readonly timings: MirrorTimings;
  /** Ends all fetches: the server stops. */
  readonly signal: AbortSignal;
}

export interface WantedBlob {
  readonly registry: string;
  readonly repository: string;
  readonly digest: Digest;
  /** From a manifest; undefined when none is known. */
  readonly expectedBytes: number | undefined;
  readonly blobMaxBytes: number;
}

/** A fetch under way. */
export interface Round {
  readonly spool: Spool;
  /** The blob's size: from a manifest, else by the word of a source that is believed. */
  totalBytes: number | undefined;
  /** How far readers may go. */
  releasedBytes: number;
  /** How far all bytes came from sources that are believed. */
  trustedBytes: number;
  /** Who delivered what, without gaps. */
  segments: Segment[];
  readonly contributors: Set<Source>;
  /** Who sent the last byte, in an answer without fault; its outcome is to be reported when the digest is known. */
  finish: { readonly source: Source; readonly firstByteMs: number; readonly bytes: number } | undefined;
}

/** Thrown when no source gave the blob; carries what each said. */
export class SourcesFailed extends Error {
  override readonly name = 'SourcesFailed';
  readonly attempts: readonly Attempt[];
  /** Ids of sources that could not go on where another had stopped, and may have the whole. */
  readonly misfits: ReadonlySet<string>;
  constructor(attempts: readonly Attempt[], misfits: ReadonlySet<string> = new Set()) {
    super('no source gave the content');
    this.attempts = attempts;
    this.misfits = misfits;
  }
}

export function startRound(spool: Spool, wanted: WantedBlob): Round {
  return {
    spool,
    totalBytes: wanted.expectedBytes,
    releasedBytes: 0,
    trustedBytes: 0,
    segments: [],
    contributors: new Set(),
    finish: undefined,
  };
}

/** What a source did in this round. */
interface SourceRecord {
  tries: number;
  fruitless: number;
  /** Its last try brought something. */
  isFruitful: boolean;
}

/**
 * Fetches all bytes into the round's spool from the candidates, asked for anew before each try, best first. What broke off in mid-body is tried
 * again after the others: twice, or as long as it brings something. `attempts` grows with each try; `onRelease` is called when readers may go
 * on. Throws SourcesFailed, BlobStoreError, or UNAVAILABLE at the stop.
 */
export async function fetchRound(
  parts: RoundParts,
  wanted: WantedBlob,
  round: Round,
  how: { readonly candidates: () => readonly Source[]; readonly attempts: Attempt[]; readonly onRelease: () => void },
): Promise<void> {
  const records = new Map<string, SourceRecord>();
  const misfits = new Set<string>();
  for (let tries = 0; !isAllThere(round); tries++) {
    const source =
      tries < triesPerRoundMax
        ? nextSource(parts.pool, wanted.repository, { candidates: how.candidates(), records, attempts: how.attempts })
        : undefined;
    if (source === undefined) throw new SourcesFailed(how.attempts, misfits);
    const offset = round.spool.acceptedBytes;
    const failure = await tryFrom(parts, wanted, round, { source, attempts: how.attempts, onRelease: how.onRelease });
    if (failure === undefined) return;
    if (parts.signal.aborted) throw new OciError('UNAVAILABLE', 'the server is shutting down');
    const brokeOff = failure.verdict === 'truncated' || failure.verdict === 'stalled' || failure.verdict === 'reset';
    const before = records.get(source.id) ?? { tries: 0, fruitless: 0, isFruitful: false };
    const isFruitful = brokeOff && round.spool.acceptedBytes - offset >= fruitBytes;
    const fruitless = isFruitful ? 0 : brokeOff ? before.fruitless + 1 : fruitlessTriesMax;
    records.set(source.id, { tries: before.tries + 1, fruitless, isFruitful });
    if (offset > 0 && (failure.verdict === 'bad-range' || failure.verdict === 'bad-answer')) misfits.add(source.id);
  }
}

/** A source can break off after the last byte: asking another one for the rest would only bring 416. */
function isAllThere({ spool, totalBytes }: Round): boolean {
  return totalBytes !== undefined && totalBytes > 0 && spool.acceptedBytes >= totalBytes;
}

function nextSource(
  pool: SourcePool,
  repository: string,
  left: { readonly candidates: readonly Source[]; readonly records: ReadonlyMap<string, SourceRecord>; readonly attempts: Attempt[] },
): Source | undefined {
  const ordered = left.candidates
    .map((source, order) => ({ source, order, record: left.records.get(source.id) }))
    .filter(({ record }) => (record?.fruitless ?? 0) < fruitlessTriesMax)
    .sort((a, b) => (a.record?.tries ?? 0) - (b.record?.tries ?? 0) || a.order - b.order);
  for (const { source, record } of ordered) {
    const skipped = pool.admit(source, repository);
    // A breaker that opened because it breaks off all the time does not stop a download that gets on.
    const isKnownToWork = record?.isFruitful === true && pool.snapshot(source).state === 'open';
    if (skipped === undefined || isKnownToWork) return source;
    if (!left.attempts.some((attempt) => attempt.source === source.url)) left.attempts.push(skipped.attempt);
  }
  return undefined;
}

/** Takes what one source gives from where the spool stands; gives its failure, if any. */
async function tryFrom(
  parts: RoundParts,
  wanted: WantedBlob,
  round: Round,
  { source, attempts, onRelease }: { source: Source; attempts: Attempt[]; onRelease: () => void },
): Promise<UpstreamError | undefined> {
  const { pool, clock } = parts;
  const offset = round.spool.acceptedBytes;
  const startMs = clock.monotonicMs();
  const seen = { firstByteMs: 0, receivedBytes: 0 };
  const base = { repository: wanted.repository, trust: source.trust };
  try {
    await receive(parts, wanted, round, { source, offset, seen, startMs, onRelease });
  } catch (error) {
    if (!(error instanceof UpstreamError)) {
      pool.health.report(source.id, { ...base, verdict: 'aborted', ms: 0, bytes: seen.receivedBytes });
      throw error;
    }
    const ms = Math.round(clock.monotonicMs() - startMs);
    const retryAfter = error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs };
    pool.health.report(source.id, { ...base, verdict: error.verdict, ms, bytes: seen.receivedBytes, ...retryAfter });
    pool.noteRefusal(source, wanted.repository, error);
    attempts.push(failedAttempt(source, error, ms, seen.receivedBytes));
    return error;
  } finally {
    noteSegment(round, source, offset);
  }
  round.contributors.add(source);
  round.finish = { source, firstByteMs: seen.firstByteMs, bytes: seen.receivedBytes };
  attempts.push({ source: source.url, verdict: 'ok', ms: Math.round(clock.monotonicMs() - startMs), bytes: seen.receivedBytes });
  return undefined;
}

async function receive(
  parts: RoundParts,
  wanted: WantedBlob,
  round: Round,
  from: {
    readonly source: Source;
    readonly offset: number;
    readonly startMs: number;
    readonly seen: { firstByteMs: number; receivedBytes: number };
    readonly onRelease: () => void;
  },
): Promise<void> {
  const { spool } = round;
  const { source, offset, seen } = from;
  const answer = await parts.client.getBlob(source, wanted.repository, wanted.digest, {
    offset,
    firstByteTimeoutMs: parts.timings.firstByteTimeoutMs,
    idleTimeoutMs: parts.timings.idleTimeoutMs,
    signal: parts.signal,
    ...(round.totalBytes === undefined ? {} : { expectedSizeBytes: round.totalBytes }),
  });
  seen.firstByteMs = Math.round(parts.clock.monotonicMs() - from.startMs);
  const { health } = parts.pool;
  const isBelieved = (source.trust === 'authority' || health.clean(source.id)) && !health.isQuarantined(source.id);
  // An unproven source's word on the size is not held against the next one.
  if (isBelieved) round.totalBytes ??= answer.totalBytes;
  const isTrusted = isBelieved && round.trustedBytes === offset;
  let skipBytes = offset - answer.startOffset;
  for await (const received of answer.body) {
    seen.receivedBytes += received.byteLength;
    const chunk = received.subarray(Math.min(skipBytes, received.byteLength));
    skipBytes -= received.byteLength - chunk.byteLength;
    if (spool.acceptedBytes + chunk.byteLength > wanted.blobMaxBytes)
      throw new UpstreamError('too-large', { detail: 'larger than the limit for blobs' });
    await spool.append(chunk);
    if (!isTrusted) continue;
    round.trustedBytes = spool.acceptedBytes;
    const mayGoTo = round.trustedBytes - holdBackBytes;
    if ((round.totalBytes ?? spool.acceptedBytes) <= verifyFirstBytes || mayGoTo <= round.releasedBytes) continue;
    round.releasedBytes = mayGoTo;
    spool.release(mayGoTo);
    from.onRelease();
  }
}

/** Adds what a source delivered, joined to its earlier piece when they touch. */
function noteSegment(round: Round, source: Source, from: number): void {
  const to = round.spool.acceptedBytes;
  if (to === from) return;
  round.contributors.add(source);
  const last = round.segments.at(-1);
  if (last !== undefined && last.source === source.url && last.to === from) round.segments[round.segments.length - 1] = { ...last, to };
  else round.segments.push({ source: source.url, from, to });
}
