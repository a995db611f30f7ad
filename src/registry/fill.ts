// Filling one blob from its sources: one fetch whoever asks, continued at the exact byte on the next source when one fails, checked by its
// digest before it counts, followed by any number of readers meanwhile (design 7.3, 7.4).
//
//   bytes from an authority or a clean source ──> released to readers at once, less the last 64 KiB
//   bytes from any other source              ──> released only when the digest agrees
//   the digest disagrees ──> readers that have bytes are cut off, the contributors are quarantined, the whole is fetched again from
//                            one other source; readers that have none just wait for that

import { openSpool, type Spool } from '../blobs/spool.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { Clock } from '../lib/clock.ts';
import { createUlid } from '../lib/ulid.ts';
import { type Digest, digestAlgorithm } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import { failedAttempt, type SourcePool, skippedAttempt } from './source-pool.ts';
import type { Attempt, Segment } from './trail.ts';

const holdBackBytes = 64 * 1024;
/** Blobs up to this size are verified before their first byte goes out. */
export const verifyFirstBytes = 8 * 1024 * 1024;
const firstByteTimeoutMs = 10_000;
const idleTimeoutMs = 6_000;
const wholeAttemptsMax = 3;
const triesPerSourceMax = 2;

export interface FillRequest {
  readonly registry: string;
  readonly repository: string;
  readonly digest: Digest;
  /** From a manifest; undefined when none is known. */
  readonly expectedBytes: number | undefined;
  readonly blobMaxBytes: number;
  /** Makes the verified bytes live. */
  readonly keep: (spool: Spool, trail: { attempts: readonly Attempt[]; segments: readonly Segment[] }) => Promise<void>;
}

export interface Fill {
  /** Resolves when the blob is live, rejects when it cannot be had. */
  readonly settled: Promise<void>;
  /** Resolves when a byte at `start` may be read, or the fill has settled. */
  readable(start: number): Promise<void>;
  readonly totalBytes: number | undefined;
  follow(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array>;
}

export interface FillParts {
  readonly store: BlobStore;
  readonly client: UpstreamClient;
  readonly pool: SourcePool;
  readonly clock: Clock;
  /** Ends all fills: the server stops. */
  readonly signal: AbortSignal;
}

/** Thrown when no source gave the blob; carries what each said. */
export class SourcesFailed extends Error {
  override readonly name = 'SourcesFailed';
  readonly attempts: readonly Attempt[];
  constructor(attempts: readonly Attempt[]) {
    super('no source gave the content');
    this.attempts = attempts;
  }
}

/** Bytes that turned out wrong were on their way: the reader must be cut off. */
class WrongBytes extends Error {
  override readonly name = 'WrongBytes';
}

/** Starts the fetch; `admit` runs it when there is a place for one more. */
export function startFill(parts: FillParts, request: FillRequest, admit: (task: () => Promise<void>) => Promise<void>): Fill {
  const state: FillState = { attempts: [], segments: [], spool: undefined, totalBytes: request.expectedBytes, releasedBytes: 0, round: 0 };
  const waiters = createWaiters();
  const settled = admit(() => run(parts, request, state, waiters.wake)).finally(waiters.wake);
  let isSettled = false;
  const end = (): void => {
    isSettled = true;
  };
  settled.then(end, end);

  async function* follow(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let delivered = 0;
    for (;;) {
      const { spool, round } = state;
      if (spool === undefined) {
        if (isSettled) {
          await settled;
          return;
        }
        await waiters.next(signal);
        continue;
      }
      try {
        for await (const chunk of spool.follow(start, end, signal)) {
          delivered += chunk.byteLength;
          yield chunk;
        }
        return;
      } catch (error) {
        if (delivered > 0 || signal.aborted) throw error;
        while (state.round === round && !isSettled) await waiters.next(signal);
        if (isSettled) await settled;
        if (state.round === round) throw error;
      }
    }
  }

  return {
    settled,
    follow,
    get totalBytes() {
      return state.totalBytes;
    },
    readable: async (start) => {
      while (!isSettled && state.releasedBytes <= start) await waiters.next(parts.signal);
    },
  };
}

interface FillState {
  attempts: Attempt[];
  segments: Segment[];
  spool: Spool | undefined;
  totalBytes: number | undefined;
  releasedBytes: number;
  /** Whole fetches begun. */
  round: number;
}

async function run(parts: FillParts, request: FillRequest, state: FillState, wake: () => void): Promise<void> {
  const excluded = new Set<string>();
  for (let round = 1; ; round++) {
    const spool = await openSpool(await parts.store.stage(`fill-${createUlid(Date.now())}`), digestAlgorithm(request.digest));
    Object.assign(state, { spool, round, releasedBytes: 0, segments: [] });
    wake();
    try {
      const contributors = await fetchWhole({ parts, request, state, wake, excluded, mayMix: round === 1 });
      if (spool.digest() === request.digest) {
        for (const source of contributors)
          parts.pool.health.report(source.id, {
            verdict: 'ok',
            ms: 0,
            repository: request.repository,
            trust: source.trust,
            verified: true,
          });
        state.totalBytes = spool.acceptedBytes;
        state.releasedBytes = spool.acceptedBytes;
        await request.keep(spool, state);
        return;
      }
      quarantine(parts, request, contributors, excluded);
      state.attempts.push(
        ...contributors.map((source): Attempt => ({ source: source.url, verdict: 'wrong-digest', detail: 'wrong bytes', ms: 0, bytes: 0 })),
      );
      await spool.fail(new WrongBytes('the bytes had another digest'));
      if (round === wholeAttemptsMax) throw new SourcesFailed(state.attempts);
    } catch (error) {
      await spool.fail(error instanceof Error ? error : new Error(String(error)));
      throw error;
    } finally {
      await spool.close();
      wake();
    }
  }
}

/** One source alone is the liar. Of several any may be: all but authorities are set aside, and all are left out of the next fetch. */
function quarantine(parts: FillParts, request: FillRequest, contributors: readonly Source[], excluded: Set<string>): void {
  for (const source of contributors) {
    excluded.add(source.id);
    if (contributors.length === 1 || source.trust !== 'authority')
      parts.pool.health.quarantine(source.id, `wrong bytes for ${request.digest}`);
  }
}

interface Fetching {
  readonly parts: FillParts;
  readonly request: FillRequest;
  readonly state: FillState;
  readonly wake: () => void;
  readonly excluded: ReadonlySet<string>;
  /** Bytes may come from several sources; a refetch after a lie takes all from one. */
  readonly mayMix: boolean;
}

/** Fetches all bytes into the spool, going on at the exact offset on the next source after a failure; gives who contributed. */
async function fetchWhole(fetching: Fetching): Promise<readonly Source[]> {
  const { parts, request, state } = fetching;
  const tries = new Map<string, number>();
  const contributors = new Set<Source>();
  for (;;) {
    const source = nextSource(fetching, tries);
    if (source === undefined) throw new SourcesFailed(state.attempts);
    tries.set(source.id, (tries.get(source.id) ?? 0) + 1);
    const before = state.spool?.acceptedBytes ?? 0;
    if (before > 0 && !fetching.mayMix && !contributors.has(source)) throw new SourcesFailed(state.attempts);
    const startMs = parts.clock.monotonicMs();
    let firstByteMs = 0;
    try {
      await fetchFrom(fetching, source, before, () => {
        firstByteMs = Math.round(parts.clock.monotonicMs() - startMs);
      });
      contributors.add(source);
      noteSegment(state, source, before);
      const bytes = (state.spool?.acceptedBytes ?? 0) - before;
      parts.pool.health.report(source.id, { verdict: 'ok', ms: firstByteMs, bytes, repository: request.repository, trust: source.trust });
      state.attempts.push({ source: source.url, verdict: 'ok', ms: Math.round(parts.clock.monotonicMs() - startMs), bytes });
      return [...contributors];
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      const bytes = (state.spool?.acceptedBytes ?? 0) - before;
      if (bytes > 0) {
        contributors.add(source);
        noteSegment(state, source, before);
      } else if (error.verdict !== 'truncated' && error.verdict !== 'stalled') {
        tries.set(source.id, triesPerSourceMax);
      }
      const ms = Math.round(parts.clock.monotonicMs() - startMs);
      parts.pool.health.report(source.id, {
        verdict: error.verdict,
        ms,
        bytes,
        repository: request.repository,
        trust: source.trust,
        ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
      });
      state.attempts.push(failedAttempt(source, error, ms, bytes));
      if (parts.signal.aborted) throw new OciError('UNAVAILABLE', 'the server is shutting down');
    }
  }
}

function nextSource(fetching: Fetching, tries: ReadonlyMap<string, number>): Source | undefined {
  const { parts, request, state } = fetching;
  const left = parts.pool
    .ranked(request.registry, request.repository)
    .filter((source) => !fetching.excluded.has(source.id))
    .map((source, order) => ({ source, order, tries: tries.get(source.id) ?? 0 }))
    .filter((item) => item.tries < triesPerSourceMax)
    .sort((a, b) => a.tries - b.tries || a.order - b.order);
  for (const { source } of left) {
    if (parts.pool.health.allow(source.id, request.repository) !== 'no') return source;
    if (!state.attempts.some((attempt) => attempt.source === source.url))
      state.attempts.push(skippedAttempt(source, parts.pool.snapshot(source)));
  }
  return undefined;
}

async function fetchFrom(fetching: Fetching, source: Source, offset: number, onFirstByte: () => void): Promise<void> {
  const { parts, request, state, wake } = fetching;
  const { spool } = state;
  if (spool === undefined) throw new Error('a fetch without a spool');
  const answer = await parts.client.getBlob(source, request.repository, request.digest, {
    offset,
    firstByteTimeoutMs,
    idleTimeoutMs,
    signal: parts.signal,
    ...(state.totalBytes === undefined ? {} : { expectedSizeBytes: state.totalBytes }),
  });
  onFirstByte();
  state.totalBytes ??= answer.totalBytes;
  const isTrusted = source.trust === 'authority' || parts.pool.health.clean(source.id);
  const mayRelease = isTrusted && !parts.pool.health.isQuarantined(source.id) && state.releasedBytes >= offset - holdBackBytes;
  let skipBytes = offset - answer.startOffset;
  for await (const received of answer.body) {
    const chunk = received.subarray(Math.min(skipBytes, received.byteLength));
    skipBytes -= received.byteLength - chunk.byteLength;
    if (spool.acceptedBytes + chunk.byteLength > request.blobMaxBytes)
      throw new UpstreamError('too-large', { detail: 'larger than the limit for blobs' });
    await spool.append(chunk);
    if (
      mayRelease &&
      (state.totalBytes ?? Number.MAX_SAFE_INTEGER) > verifyFirstBytes &&
      spool.acceptedBytes - holdBackBytes > state.releasedBytes
    ) {
      state.releasedBytes = spool.acceptedBytes - holdBackBytes;
      spool.release(state.releasedBytes);
      wake();
    }
  }
}

/** Adds what a source delivered, joined to its earlier piece when they touch. */
function noteSegment(state: FillState, source: Source, from: number): void {
  const to = state.spool?.acceptedBytes ?? from;
  if (to === from) return;
  const last = state.segments.at(-1);
  if (last !== undefined && last.source === source.url && last.to === from) state.segments[state.segments.length - 1] = { ...last, to };
  else state.segments.push({ source: source.url, from, to });
}

/** Those who wait for any change. */
function createWaiters(): { wake(): void; next(signal: AbortSignal): Promise<void> } {
  let changed = Promise.withResolvers<void>();
  return {
    wake: () => {
      const before = changed;
      changed = Promise.withResolvers<void>();
      before.resolve();
    },
    next: (signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = (): void => reject(signal.reason);
        signal.addEventListener('abort', onAbort, { once: true });
        void changed.promise.then(() => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        });
      }),
  };
}
