// One fetch of a whole blob into a spool: from the best source, and after a failure in mid-body from the exact offset on from the next
// (design 7.3). It decides which bytes readers may see before the digest is known, and never whether the bytes are right.
//
//   bytes from an authority or a clean source, and only such bytes before them ──> released at once, less the last 64 KiB
//   everything else ──> released by the caller, when the digest agrees

import type { Spool } from '../blobs/spool.ts';
import { OciError } from '../oci/errors.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import { type Candidate, type OpenedBlob, openBlob, type RaceParts, smallBlobMaxBytes } from './blob-race.ts';
import { measurePace, SlowSource } from './body-pace.ts';
import { failedAttempt, type SourcePool } from './source-pool.ts';
import type { Attempt, Segment } from './trail.ts';
import type { WantedBlob } from './wanted-blob.ts';

export const holdBackBytes = 64 * 1024;
/** Tries of one source that brought next to nothing. */
const fruitlessTriesMax = 2;
/** A try that brought this much before it broke off was worth it, and is worth another one. */
const fruitBytes = 1024 * 1024;
const triesPerRoundMax = 100;
/** A slow source is left this often at most, and for another slow one only if that gave this many times as much. */
const unprovenDetail = 'the disk is full, and what it sends may not be passed on before it is proven';
const slowTimesMax = 3;
const muchFaster = 2;

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
  finish: { readonly source: Source; readonly firstByteMs: number; readonly bytes: number; readonly finalOrigin: string } | undefined;
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

/** The disk is full, and what comes may not be passed on unproven: the fetch has to begin again, from sources that are believed. */
export class UnprovenInMemory extends Error {
  override readonly name = 'UnprovenInMemory';
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
  /** What it gave when it was left for being slow. */
  slowBytesPerSecond: number | undefined;
  slowTimes: number;
}

/** The sources of one round and what they did in it. */
interface Ranking {
  readonly candidates: () => readonly Source[];
  /** Only what a believed source sends can be used. */
  readonly mustBelieve: () => boolean;
  readonly records: Map<string, SourceRecord>;
  readonly attempts: Attempt[];
}

/**
 * Fetches all bytes into the round's spool from the candidates, asked for anew before each try, best first. What broke off in mid-body is tried
 * again after the others: twice, or as long as it brings something. One that is slow gives place to another, and comes back when all are.
 * `attempts` grows with each try; `onRelease` is called when readers may go on. Throws SourcesFailed, BlobStoreError, or UNAVAILABLE at the stop.
 */
export async function fetchRound(
  parts: RaceParts,
  wanted: WantedBlob,
  round: Round,
  how: { readonly candidates: () => readonly Source[]; readonly attempts: Attempt[]; readonly onRelease: () => void },
): Promise<void> {
  // Nothing is passed on unproven, and nothing large can be held until it is proven.
  const mustBelieve = (): boolean => round.spool.isUncached && (round.totalBytes ?? Number.MAX_SAFE_INTEGER) > smallBlobMaxBytes;
  const ranking: Ranking = { candidates: how.candidates, mustBelieve, records: new Map(), attempts: how.attempts };
  const misfits = new Set<string>();
  for (let tries = 0; !isAllThere(round); tries++) {
    const offset = round.spool.acceptedBytes;
    const note = (source: Source, error: UpstreamError): void => {
      noteTry(ranking.records, source, error, round.spool.acceptedBytes - offset);
      if (offset > 0 && (error.verdict === 'bad-range' || error.verdict === 'bad-answer')) misfits.add(source.id);
    };
    const opened =
      tries < triesPerRoundMax
        ? await openBlob(parts, wanted, {
            offset,
            totalBytes: round.totalBytes,
            next: (others) => nextSource(parts, wanted, ranking, others),
            onFailure: note,
            attempts: how.attempts,
          })
        : undefined;
    if (opened === undefined) throw new SourcesFailed(how.attempts, misfits);
    const failure = await takeBody(parts, wanted, round, { opened, ranking, onRelease: how.onRelease });
    if (failure === undefined) return;
    if (parts.signal.aborted) throw new OciError('UNAVAILABLE', 'the server is shutting down');
    note(opened.source, failure);
  }
}

function noteTry(records: Map<string, SourceRecord>, source: Source, error: UpstreamError, bytes: number): void {
  const before = records.get(source.id) ?? { tries: 0, fruitless: 0, isFruitful: false, slowBytesPerSecond: undefined, slowTimes: 0 };
  const brokeOff = error.verdict === 'truncated' || error.verdict === 'stalled' || error.verdict === 'reset';
  const isSlow = error instanceof SlowSource;
  const isFruitful = (brokeOff && bytes >= fruitBytes) || isSlow;
  const fruitless = isFruitful ? 0 : brokeOff ? before.fruitless + 1 : fruitlessTriesMax;
  const slowBytesPerSecond = isSlow ? error.bytesPerSecond : before.slowBytesPerSecond;
  const slowTimes = before.slowTimes + (isSlow ? 1 : 0);
  records.set(source.id, { tries: before.tries + 1, fruitless, isFruitful, slowBytesPerSecond, slowTimes });
}

/** A source can break off after the last byte: asking another one for the rest would only bring 416. */
function isAllThere({ spool, totalBytes }: Round): boolean {
  return totalBytes !== undefined && totalBytes > 0 && spool.acceptedBytes >= totalBytes;
}

function nextSource(parts: RaceParts, wanted: WantedBlob, ranking: Ranking, others: ReadonlySet<string>): Candidate | undefined {
  const { pool, hedging } = parts;
  const ordered = ranking
    .candidates()
    .map((source, order) => {
      const record = ranking.records.get(source.id);
      const slowness = record?.slowBytesPerSecond === undefined ? 0 : 1 / Math.max(1, record.slowBytesPerSecond);
      return { source, record, key: [hedging.isOverdue(source.id) ? 1 : 0, slowness, record?.tries ?? 0, order] };
    })
    .filter(({ source, record }) => (record?.fruitless ?? 0) < fruitlessTriesMax && !others.has(source.id))
    .sort((a, b) => compare(a.key, b.key));
  for (const { source, record } of ordered) {
    if (ranking.mustBelieve() && !isBelieved(pool, source)) {
      noteOnce(ranking.attempts, { source: source.url, verdict: 'skipped', detail: unprovenDetail, ms: 0, bytes: 0 });
      continue;
    }
    const isTrial = pool.snapshot(source).state === 'half-open';
    const skipped = pool.admit(source, wanted.repository, 'blob');
    // A breaker that opened because it breaks off all the time does not stop a download that gets on.
    const isKnownToWork = record?.isFruitful === true && pool.snapshot(source).state === 'open';
    if (skipped === undefined || isKnownToWork) return { source, isTrial };
    noteOnce(ranking.attempts, skipped.attempt);
  }
  return undefined;
}

function noteOnce(attempts: Attempt[], attempt: Attempt): void {
  if (!attempts.some((other) => other.source === attempt.source)) attempts.push(attempt);
}

/** Its bytes may go out before the digest is known. */
export function isBelieved({ health }: SourcePool, source: Source): boolean {
  return (source.trust === 'authority' || health.clean(source.id)) && !health.isQuarantined(source.id);
}

function compare(one: readonly number[], other: readonly number[]): number {
  for (const [place, value] of one.entries()) if (value !== other[place]) return value - (other[place] ?? 0);
  return 0;
}

/** A source that may be asked and has not been found slow in this round, or was found to be much faster than this one is now. */
function isAnyFaster(pool: SourcePool, ranking: Ranking, now: { readonly source: Source; readonly bytesPerSecond: number }): boolean {
  if ((ranking.records.get(now.source.id)?.slowTimes ?? 0) >= slowTimesMax) return false;
  return ranking.candidates().some((other) => {
    if (other.id === now.source.id) return false;
    const record = ranking.records.get(other.id);
    if ((record?.fruitless ?? 0) >= fruitlessTriesMax) return false;
    if (record?.slowBytesPerSecond !== undefined && record.slowBytesPerSecond < muchFaster * now.bytesPerSecond) return false;
    return pool.snapshot(other).blockedForMs === 0;
  });
}

interface Taken {
  readonly opened: OpenedBlob;
  readonly ranking: Ranking;
  readonly onRelease: () => void;
}

/** Takes what one source gives from where the spool stands; gives its failure, if any. */
async function takeBody(parts: RaceParts, wanted: WantedBlob, round: Round, taken: Taken): Promise<UpstreamError | undefined> {
  const { pool, clock } = parts;
  const { source, startMs, firstByteMs } = taken.opened;
  const { attempts } = taken.ranking;
  const offset = round.spool.acceptedBytes;
  const seen = { receivedBytes: 0 };
  const base = { kind: 'blob', repository: wanted.repository, trust: source.trust, finalOrigin: taken.opened.answer.finalOrigin } as const;
  try {
    await receive(parts, wanted, round, { ...taken, offset, seen });
  } catch (error) {
    if (!(error instanceof UpstreamError)) {
      pool.health.report(source.id, { ...base, verdict: 'aborted', ms: 0, bytes: seen.receivedBytes });
      throw error;
    }
    const ms = Math.round(clock.monotonicMs() - startMs);
    pool.health.report(source.id, { ...base, verdict: error.verdict, ms, bytes: seen.receivedBytes });
    attempts.push(failedAttempt(source, error, ms, seen.receivedBytes));
    return error;
  } finally {
    taken.opened.release();
    noteSegment(round, source, offset);
  }
  round.contributors.add(source);
  round.finish = { source, firstByteMs, bytes: seen.receivedBytes, finalOrigin: base.finalOrigin };
  attempts.push({ source: source.url, verdict: 'ok', ms: Math.round(clock.monotonicMs() - startMs), bytes: seen.receivedBytes });
  return undefined;
}

async function receive(
  parts: RaceParts,
  wanted: WantedBlob,
  round: Round,
  from: Taken & { readonly offset: number; readonly seen: { receivedBytes: number } },
): Promise<void> {
  const { spool } = round;
  const { offset, seen, ranking } = from;
  const { source, answer } = from.opened;
  const believed = isBelieved(parts.pool, source);
  // An unproven source's word on the size is not held against the next one.
  if (believed) round.totalBytes ??= answer.totalBytes;
  const isTrusted = believed && round.trustedBytes === offset;
  let skipBytes = offset - answer.startOffset;
  const paced = measurePace(answer.body, parts, {
    source,
    hasBetter: (bytesPerSecond) => isAnyFaster(parts.pool, ranking, { source, bytesPerSecond }),
  });
  for await (const received of paced) {
    seen.receivedBytes += received.byteLength;
    const chunk = received.subarray(Math.min(skipBytes, received.byteLength));
    skipBytes -= received.byteLength - chunk.byteLength;
    if (spool.acceptedBytes + chunk.byteLength > wanted.blobMaxBytes)
      throw new UpstreamError('too-large', { detail: 'larger than the limit for blobs' });
    if (spool.isUncached && !isTrusted && (round.totalBytes ?? spool.acceptedBytes + chunk.byteLength) > smallBlobMaxBytes)
      throw new UnprovenInMemory('the disk is full');
    await wanted.pace?.()?.(chunk.byteLength, parts.signal);
    await spool.append(chunk, true);
    if (!isTrusted) continue;
    round.trustedBytes = spool.acceptedBytes;
    const mayGoTo = round.trustedBytes - holdBackBytes;
    if ((round.totalBytes ?? spool.acceptedBytes) <= smallBlobMaxBytes || mayGoTo <= round.releasedBytes) continue;
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
