// Blobs of a mirror: what is here, what is here for another repository and may be linked, and what has to be fetched. One fetch per digest
// serves all anonymous mirrors that expect the same size; bytes that were pushed, or fetched with credentials, stay where they are (design 7.4).

import type { BlobStore } from '../blobs/store.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { createSemaphore, LimitError } from '../lib/limits.ts';
import type { Log } from '../lib/log.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/reference.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { OnAlarm } from './alarms.ts';
import { type BlobAnswer, type BlobRequest, blobUnknown } from './answers.ts';
import type { BlobCheck } from './blob-check.ts';
import { createColdRanges } from './cold-range.ts';
import { createDiskGuard, isStorageFull } from './disk-guard.ts';
import { asStorageError, type DiskReserve } from './disk-reserve.ts';
import type { EquivalentsOf } from './equivalents.ts';
import { type Fill, type FillParts, startFill } from './fill.ts';
import { SourcesFailed } from './fill-round.ts';
import type { ForeignLayer, ForeignLayers } from './foreign-layers.ts';
import type { Hedging } from './hedging.ts';
import type { Ingest } from './ingest.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { MirrorTimings } from './mirror-timings.ts';
import type { Repositories } from './repositories.ts';
import type { SourcePool } from './source-pool.ts';
import { type Attempt, formatTrail } from './trail.ts';
import { unavailable } from './unavailable.ts';

export interface MirrorBlobs {
  /** BLOB_UNKNOWN by an authority's word, UNAVAILABLE or DENIED when no source gave it, INSUFFICIENT_STORAGE; the signal's reason. */
  blob(target: MirrorTarget, digest: Digest, request: BlobRequest, signal: AbortSignal): Promise<BlobAnswer>;
  stats(): FillCounts;
  /** Ends fetches under way. */
  close(): Promise<void>;
}

/** Numbers now, and of hedges since the start. */
export interface FillCounts {
  readonly fillsRunning: number;
  readonly fillsQueued: number;
  /** Clients that are being sent bytes of a fill. */
  readonly readers: number;
  readonly hedgesStarted: number;
  readonly hedgesWon: number;
}

export interface MirrorBlobsOptions {
  readonly content: ContentQueries;
  readonly database: Database;
  readonly repositories: Repositories;
  readonly store: BlobStore;
  readonly check: BlobCheck;
  readonly ingest: Ingest;
  readonly client: UpstreamClient;
  readonly pool: SourcePool;
  readonly limits: { readonly blobMaxBytes: number; readonly fills: number; readonly minimumFree?: DiskReserve };
  readonly timings: MirrorTimings;
  readonly clock: Clock;
  readonly log?: Log;
  readonly hedging: Hedging;
  readonly onAlarm: OnAlarm;
  readonly onFailure: (key: string, attempts: readonly Attempt[]) => void;
  readonly equivalentsOf: EquivalentsOf;
  readonly foreignLayers: ForeignLayers;
}

interface RunningFill extends Fill {
  /** The repository it was begun for, whose sources it asks. */
  readonly owner: RepositoryName;
  /** No limit of its rate any more: somebody waits for it. */
  hurry(): void;
}

const queuedFillsPerPlace = 16;

export function createMirrorBlobs(options: MirrorBlobsOptions): MirrorBlobs {
  const { content, database, repositories, store, check, ingest, client, pool, hedging, limits, timings, clock, log, onAlarm } = options;
  const stopping = new AbortController();
  const disk = createDiskGuard({ store, reserve: limits.minimumFree, clock, log, onAlarm });
  const parts: FillParts = { disk, client, pool, hedging, clock, timings, signal: stopping.signal, onAlarm };
  const coldRanges = createColdRanges(parts);
  /** Those that can be joined. */
  const fills = new Map<string, RunningFill>();
  const running = new Set<RunningFill>();
  const places = createSemaphore({ places: limits.fills, queueMax: limits.fills * queuedFillsPerPlace });

  return {
    blob: async (target, digest, request, signal) => {
      const here = await stored(target.name, digest);
      if (here !== undefined && here !== 'damaged') return here;
      const statedBytes = await content.statedSize(target.name, digest);
      if (request.head) return { kind: 'known', sizeBytes: statedBytes ?? (await upstreamSize(target, digest)) };
      if (statedBytes !== undefined && statedBytes > 0 && request.startBytes >= statedBytes) {
        // Nothing can be read from there: most likely the answer is 416, and nothing is fetched for it.
        const follow = (start: number, end: number | undefined, abort: AbortSignal) => fetchLate(target, digest, { start, end, abort });
        return { kind: 'arriving', sizeBytes: statedBytes, follow, from: 'miss' };
      }
      if (statedBytes !== undefined && here === undefined && (await linkPublic(target, digest))) {
        const linked = await stored(target.name, digest);
        if (linked !== undefined && linked !== 'damaged') return linked;
      }
      return fetchBlob(target, digest, statedBytes, request, signal);
    },
    stats: () => ({
      fillsRunning: places.active,
      fillsQueued: Math.max(0, running.size - places.active),
      readers: [...running].reduce((sum, fill) => sum + fill.readers, 0),
      hedgesStarted: hedging.counts.started,
      hedgesWon: hedging.counts.won,
    }),
    close: async () => {
      stopping.abort(new OciError('UNAVAILABLE', 'the server is shutting down'));
      await Promise.allSettled([...running].map((fill) => fill.settled));
    },
  };

  /** `damaged`: it is on record, and its file is gone or another one. */
  async function stored(repository: string, digest: Digest): Promise<BlobAnswer | 'damaged' | undefined> {
    const found = await content.blob(repository, digest);
    if (found === undefined) return undefined;
    if (!check.isIntact(digest, found)) return 'damaged';
    return { ...store.open(found.storageKey), sizeBytes: found.sizeBytes, from: 'hit' };
  }

  /** Content that anybody may fetch upstream and that is here already is linked, when this repository's own manifest names it. */
  async function linkPublic(target: MirrorTarget, digest: Digest): Promise<boolean> {
    if (!pool.isAnonymous(target.upstream.registry) || (await content.originOf(digest)) !== 'public') return false;
    try {
      const repositoryId = await repositories.ensure(target.project.id, target.name);
      return await database.run('linkBlob', {
        repositoryId,
        digest,
        trail: formatTrail({ atMs: clock.nowMs(), attempts: [], reason: 'here already, fetched for another repository' }),
      });
    } catch (error) {
      // Where not even a row can be written it is fetched, and passed on.
      if (isStorageFull(error)) return false;
      throw error;
    }
  }

  async function fetchBlob(
    target: MirrorTarget,
    digest: Digest,
    statedBytes: number | undefined,
    request: BlobRequest,
    signal: AbortSignal,
  ): Promise<BlobAnswer> {
    const isShared = statedBytes !== undefined && pool.isAnonymous(target.upstream.registry);
    const fill = fillOf(target, digest, request, { statedBytes, key: isShared ? `${digest} ${statedBytes}` : `${target.name} ${digest}` });
    const cold = statedBytes === undefined ? undefined : coldRange(fill, target, digest, { statedBytes, startBytes: request.startBytes });
    if (cold !== undefined) return cold;
    try {
      return await answerFrom(fill, target, digest, request, signal);
    } catch (error) {
      if (!(error instanceof SourcesFailed)) throw asPullError(error);
      if (fill.owner === target.name) return fetchElsewhere(target, digest, statedBytes, { request, signal, failed: error.attempts });
    }
    // Another repository's sources did not have it; this one's may.
    const own = fillOf(target, digest, request, { statedBytes, key: `${target.name} ${digest}` });
    return answerFrom(own, target, digest, request, signal).catch((error) => {
      if (!(error instanceof SourcesFailed)) throw asPullError(error);
      return fetchElsewhere(target, digest, statedBytes, { request, signal, failed: error.attempts });
    });
  }

  /** All sources of its own have failed: repositories that hold the same content (equivalents.ts) are asked for the digest. */
  async function fetchElsewhere(
    target: MirrorTarget,
    digest: Digest,
    statedBytes: number | undefined,
    asked: { readonly request: BlobRequest; readonly signal: AbortSignal; readonly failed: readonly Attempt[] },
  ): Promise<BlobAnswer> {
    const attempts = [...asked.failed];
    for (const from of options.equivalentsOf(target.upstream.registry, target.upstream.repository)) {
      const key = `${target.name} ${digest} from ${from.registry}/${from.repository}`;
      try {
        const fill = fillOf(target, digest, asked.request, { statedBytes, key, from });
        return await answerFrom(fill, target, digest, asked.request, asked.signal);
      } catch (error) {
        if (!(error instanceof SourcesFailed)) throw asPullError(error);
        attempts.push(...error.attempts);
      }
    }
    const foreign = await options.foreignLayers.of(target, digest);
    if (foreign !== undefined) {
      const key = `${target.name} ${digest} from its urls`;
      try {
        const fill = fillOf(target, digest, asked.request, { statedBytes, key, foreign });
        return await answerFrom(fill, target, digest, asked.request, asked.signal);
      } catch (error) {
        if (!(error instanceof SourcesFailed)) throw asPullError(error);
        attempts.push(...error.attempts);
      }
    }
    throw blobFailure(target, digest, attempts);
  }

  /** For a request that asked in vain for what is behind the end, and means the whole (a range that is none). */
  async function* fetchLate(
    target: MirrorTarget,
    digest: Digest,
    wanted: { readonly start: number; readonly end: number | undefined; readonly abort: AbortSignal },
  ): AsyncGenerator<Uint8Array> {
    const { start, end, abort } = wanted;
    const statedBytes = await content.statedSize(target.name, digest);
    const answer = await fetchBlob(target, digest, statedBytes, { head: false, asPusher: false, startBytes: start }, abort);
    yield* answer.kind === 'arriving' ? answer.follow(start, end, abort) : readKept(target, digest, start, end);
  }

  /** For a range that is far from being here: straight from a source, and what is left of it from the fill. */
  function coldRange(
    fill: RunningFill,
    target: MirrorTarget,
    digest: Digest,
    { statedBytes, startBytes }: { readonly statedBytes: number; readonly startBytes: number },
  ): BlobAnswer | undefined {
    const wanted = { ...target.upstream, digest, expectedBytes: statedBytes, blobMaxBytes: limits.blobMaxBytes };
    if (!coldRanges.isCold(wanted, { startBytes, hereBytes: fill.releasedBytes })) return undefined;
    // The fill's failure is told to those who wait for it.
    fill.settled.catch(() => undefined);
    const follow = async function* (start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array> {
      let at = start;
      for await (const chunk of coldRanges.read(wanted, { start, end }, signal)) {
        at += chunk.byteLength;
        yield chunk;
      }
      if (at < Math.min(end ?? statedBytes, statedBytes)) yield* fill.follow(at, end, signal);
    };
    return { kind: 'arriving', sizeBytes: statedBytes, follow, from: 'miss' };
  }

  /** Waits for the first byte wanted, or for the whole where that is small or not to be trusted yet. */
  async function answerFrom(
    fill: RunningFill,
    target: MirrorTarget,
    digest: Digest,
    request: BlobRequest,
    signal: AbortSignal,
  ): Promise<BlobAnswer> {
    const kept = fill.settled.then(async (): Promise<BlobAnswer> => {
      const found =
        (await stored(target.name, digest)) ?? ((await linkPublic(target, digest)) ? await stored(target.name, digest) : undefined);
      if (found !== undefined && found !== 'damaged') return { ...found, from: 'miss' };
      if (found === 'damaged') throw new OciError('UNAVAILABLE', 'the bytes of this blob were damaged on the disk just now; ask again');
      if (!fill.isUncached) throw blobUnknown(digest);
      if (fill.totalBytes === 0) return { kind: 'arriving', sizeBytes: 0, follow: fill.follow, from: 'miss' };
      throw new OciError('UNAVAILABLE', 'the disk is full, and this was passed on without being kept; ask again');
    });
    // Whoever leaves early leaves nobody to hear of a failure.
    kept.catch(() => undefined);
    const left = rejectionOf(signal);
    const arriving = async (): Promise<BlobAnswer> => {
      if (!(await fill.readable(request.startBytes, signal))) return kept;
      return { kind: 'arriving', sizeBytes: fill.totalBytes, follow: fill.follow, from: 'miss' };
    };
    try {
      return await Promise.race([left.promise, kept, arriving()]);
    } finally {
      left.dispose();
    }
  }

  function fillOf(
    target: MirrorTarget,
    digest: Digest,
    request: BlobRequest,
    how: {
      readonly statedBytes: number | undefined;
      readonly key: string;
      readonly from?: MirrorTarget['upstream'];
      readonly foreign?: ForeignLayer;
    },
  ): RunningFill {
    const { statedBytes, key, from = target.upstream, foreign } = how;
    const known = fills.get(key);
    if (known?.isWholeFrom(request.startBytes) === true) {
      if (request.pace === undefined) known.hurry();
      return known;
    }
    let pace = request.pace;
    const { registry, repository } = from;
    const begun = startFill(
      { ...parts, ...foreign },
      {
        registry,
        repository,
        digest,
        expectedBytes: statedBytes,
        blobMaxBytes: limits.blobMaxBytes,
        pace: () => pace,
        keep: async (spool, { attempts, segments }) => {
          await ingest.blob({
            repositoryId: await repositories.ensure(target.project.id, target.name),
            spool,
            digest,
            origin: pool.isAnonymous(registry) ? 'public' : 'restricted',
            trail: formatTrail({ atMs: clock.nowMs(), attempts, segments }),
          });
        },
        readKept: (start, end) => readKept(target, digest, start, end),
      },
      (task) => places.run(task),
    );
    const fill: RunningFill = {
      owner: target.name,
      settled: begun.settled,
      readable: begun.readable,
      follow: begun.follow,
      hurry: () => {
        pace = undefined;
      },
      get totalBytes() {
        return begun.totalBytes;
      },
      get releasedBytes() {
        return begun.releasedBytes;
      },
      get readers() {
        return begun.readers;
      },
      get isUncached() {
        return begun.isUncached;
      },
      isWholeFrom: begun.isWholeFrom,
    };
    fills.set(key, fill);
    running.add(fill);
    const done = (): void => {
      running.delete(fill);
      if (fills.get(key) === fill) fills.delete(key);
    };
    fill.settled.then(done, (error) => {
      done();
      if (error instanceof SourcesFailed) options.onFailure(`${target.name} ${digest}`, error.attempts);
      else if (isStorageFull(error)) log?.warn('mirror.fill-dropped', { repository: target.name, digest, error });
      else if (!stopping.signal.aborted) log?.error('mirror.fill-failed', { repository: target.name, digest, error });
    });
    return fill;
  }

  async function* readKept(target: MirrorTarget, digest: Digest, start: number, end: number | undefined): AsyncGenerator<Uint8Array> {
    const found = await stored(target.name, digest);
    if (found === undefined || found === 'damaged') throw blobUnknown(digest);
    if (found.kind !== 'file') throw new Error('a stored blob that is no file');
    yield* Bun.file(found.path)
      .slice(start, end ?? found.sizeBytes)
      .stream();
  }

  async function upstreamSize(target: MirrorTarget, digest: Digest): Promise<number> {
    const attempts: Attempt[] = [];
    const { registry, repository } = target.upstream;
    for (const source of pool.ranked(registry, repository, { kind: 'blob' })) {
      const asked = await pool.ask(source, {
        repository,
        kind: 'blob',
        run: () => client.headBlob(source, repository, digest, { timeoutMs: timings.listingTimeoutMs }),
      });
      attempts.push(asked.attempt);
      if ('value' in asked && asked.value.sizeBytes !== undefined) return asked.value.sizeBytes;
    }
    throw blobFailure(target, digest, attempts);
  }

  function blobFailure(target: MirrorTarget, digest: Digest, attempts: readonly Attempt[]): OciError {
    const authorities = new Set(
      pool.sourcesOf(target.upstream.registry).flatMap((source) => (source.trust === 'authority' ? [source.url] : [])),
    );
    const isAbsent = attempts.some(
      (attempt) => authorities.has(attempt.source) && (attempt.verdict === 'not-found' || attempt.verdict === 'gone'),
    );
    return isAbsent ? blobUnknown(digest) : unavailable(target, attempts);
  }
}

function asPullError(error: unknown): unknown {
  if (error instanceof LimitError)
    return new OciError('UNAVAILABLE', 'too many downloads wait already; try again shortly', { retryAfterMs: 5000 });
  return asStorageError(error);
}

/** Rejects when the signal is aborted. */
function rejectionOf(signal: AbortSignal): { readonly promise: Promise<never>; dispose(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return { promise, dispose: () => signal.removeEventListener('abort', onAbort) };
}
