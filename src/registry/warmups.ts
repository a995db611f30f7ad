// Warm-up runs: lists of images fetched before somebody needs them. A run belongs to the server, not to whoever asked for it: it goes on when
// the client leaves and after a restart, and what it has fetched is never fetched again.
//
//   start ──> queued ──> running ──> done · failed (an image could not be had) · cancelled
//                 └── restart: begun again from its stored wish ──┘

import { type AccessPolicy, authorize } from '../auth/access.ts';
import { serverItself } from '../auth/principal.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import { findWarmup, listWarmups, type StoredWarmup } from '../db/warmups.ts';
import type { Clock } from '../lib/clock.ts';
import { createSemaphore, LimitError } from '../lib/limits.ts';
import type { Log } from '../lib/log.ts';
import { createUlid } from '../lib/ulid.ts';
import { OciError } from '../oci/errors.ts';
import { formatPlatforms, type PlatformChoice } from '../oci/platform.ts';
import { resolveImage } from './image-name.ts';
import type { NameRules } from './names.ts';
import { createPace } from './pace.ts';
import type { Pull } from './pull.ts';
import { type ImageProgress, warmImage } from './warm-image.ts';

export interface WantedImage {
  readonly image: string;
  readonly platforms: PlatformChoice;
}
export interface WarmupSpec {
  /** Of a schedule: one run at a time bears it. */
  readonly name?: string;
  readonly images: readonly WantedImage[];
  /** Bytes per second, over the whole run. */
  readonly bandwidthBytes?: number;
  /** Images, and blobs, at a time. */
  readonly concurrency: number;
}
export interface Warmup {
  readonly id: string;
  readonly state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  readonly spec: WarmupSpec;
  readonly createdAtMs: number;
  readonly endedAtMs?: number;
  /** One entry per image, in the order of asking; empty in a list of runs. */
  readonly images: readonly ImageProgress[];
}
export interface Warmups {
  /** BAD_REQUEST for a wish without images or with too many, CONFLICT when a run of that name is active, TOOMANYREQUESTS when too many are. */
  start(spec: WarmupSpec): Promise<Warmup>;
  /** The youngest first, at most 1,000, without their images. */
  list(): Promise<Warmup[]>;
  /** NOT_FOUND. */
  get(id: string): Promise<Warmup>;
  /** Ends an active run; what it has fetched stays. NOT_FOUND. */
  cancel(id: string): Promise<Warmup>;
  /** Resolves when the run has ended; at once for one that is not active. */
  settled(id: string): Promise<void>;
  /** Goes on with the runs that a restart interrupted. */
  resume(): Promise<void>;
  /** Stops; active runs go on at the next start. */
  close(): Promise<void>;
}

export interface WarmupTimings {
  /** Waits before an image that no source could deliver is tried again. */
  readonly retryWaitsMs: readonly number[];
}

const imagesMax = 5000;
const activeMax = 100;
const runningMax = 2;
/** Failures that may pass. */
const passingCodes: ReadonlySet<string> = new Set(['UNAVAILABLE', 'TOOMANYREQUESTS']);

interface Run {
  readonly id: string;
  readonly spec: WarmupSpec;
  readonly createdAtMs: number;
  readonly images: readonly ImageProgress[];
  readonly stop: AbortController;
  /** Resolves when its row is there. */
  readonly recorded: Promise<unknown>;
  state: 'queued' | 'running';
  ended: Promise<void>;
}

/** A run was cancelled, or the server stops. */
class Stopped extends Error {
  override readonly name = 'Stopped';
}

export function createWarmups(options: {
  database: Database;
  content: ContentQueries;
  names: NameRules;
  policy: AccessPolicy;
  pull: Pull;
  clock: Clock;
  log: Log;
  timings?: WarmupTimings;
}): Warmups {
  const { database, names, policy, clock, log } = options;
  const retryWaitsMs = options.timings?.retryWaitsMs ?? [2000, 10_000];
  const runs = new Map<string, Run>();
  const lanes = createSemaphore({ places: runningMax, queueMax: activeMax });
  let isClosing = false;

  return {
    start: async (spec) => {
      if (isClosing) throw new OciError('UNAVAILABLE', 'the server is shutting down');
      if (spec.images.length === 0 || spec.images.length > imagesMax)
        throw new OciError('BAD_REQUEST', `a warm-up has from 1 to ${imagesMax} images`);
      if (runs.size >= activeMax) throw new OciError('TOOMANYREQUESTS', `${activeMax} warm-ups are active already; cancel one, or wait`);
      if (spec.name !== undefined && [...runs.values()].some((run) => run.spec.name === spec.name))
        throw new OciError('CONFLICT', `a warm-up named ${spec.name} is active already`);
      const id = createUlid(clock.nowMs());
      const run = begin(id, { ...spec, images: uniqueImages(spec.images) }, clock.nowMs());
      // Told only when a restart would go on with it.
      await run.recorded;
      return present(run);
    },
    list: async () => {
      const stored = await listWarmups(database.read);
      return stored.map((row) => {
        const run = runs.get(row.id);
        return { ...(run === undefined ? presentStored(row) : present(run)), images: [] };
      });
    },
    get,
    cancel: async (id) => {
      const run = runs.get(id);
      if (run === undefined) return get(id);
      run.stop.abort(new Stopped('cancelled'));
      await run.ended;
      return get(id);
    },
    settled: async (id) => {
      await runs.get(id)?.ended;
    },
    resume: async () => {
      for (const row of await listWarmups(database.read)) {
        if (row.state !== 'active' || runs.has(row.id)) continue;
        log.info('warmup.resumed', { id: row.id });
        begin(row.id, parseSpec(row.spec), row.createdAtMs, true);
      }
    },
    close: async () => {
      isClosing = true;
      const active = [...runs.values()];
      for (const run of active) run.stop.abort(new Stopped('the server stops'));
      await Promise.all(active.map((run) => run.ended));
    },
  };

  async function get(id: string): Promise<Warmup> {
    const run = runs.get(id);
    if (run !== undefined) return present(run);
    const row = await findWarmup(database.read, id);
    if (row === undefined) throw new OciError('NOT_FOUND', `there is no warm-up ${id.slice(0, 40)}`);
    return presentStored(row);
  }

  /** In the map before anything is awaited, so that two of one name never start. */
  function begin(id: string, spec: WarmupSpec, createdAtMs: number, isStored = false): Run {
    const images = spec.images.map((wanted) => startProgress(wanted.image, formatPlatforms(wanted.platforms)));
    const name = spec.name === undefined ? {} : { name: spec.name };
    const recorded = isStored ? Promise.resolve() : database.run('createWarmup', { id, ...name, spec: JSON.stringify(spec) });
    const run: Run = { id, spec, createdAtMs, images, stop: new AbortController(), state: 'queued', recorded, ended: Promise.resolve() };
    runs.set(id, run);
    run.ended = carryOut(run)
      .catch((error) => log.error('warmup.failed', { id, error }))
      .finally(() => runs.delete(id));
    return run;
  }

  async function carryOut(run: Run): Promise<void> {
    const { id, images, stop } = run;
    await run.recorded;
    await lanes
      .run(() => warmAll(run), { signal: stop.signal })
      .catch((error) => {
        if (!(error instanceof LimitError)) throw error;
      });
    // Unfinished in the database: begun again at the next start.
    if (stop.signal.aborted && isClosing) return;
    for (const image of images) if (image.state === 'waiting' || image.state === 'running') image.state = 'cancelled';
    const state = stop.signal.aborted ? 'cancelled' : images.some((image) => image.state === 'failed') ? 'failed' : 'done';
    await database.run('endWarmup', { id, state, result: JSON.stringify(images) });
    const count = (wanted: ImageProgress['state']): number => images.filter((image) => image.state === wanted).length;
    log.info('warmup.ended', { id, state, done: count('done'), failed: count('failed') });
  }

  async function warmAll(run: Run): Promise<void> {
    run.state = 'running';
    const { spec, stop } = run;
    const places = createSemaphore({ places: spec.concurrency, queueMax: Number.MAX_SAFE_INTEGER });
    const pace = spec.bandwidthBytes === undefined ? {} : { pace: createPace(spec.bandwidthBytes, clock) };
    // One iterator for all workers: each takes the next image.
    const waiting = run.images.entries();
    const work = async (): Promise<void> => {
      for (const [index, progress] of waiting) {
        const wanted = spec.images[index];
        if (stop.signal.aborted || wanted === undefined) return;
        await warmPatiently(progress, { platforms: wanted.platforms, places, signal: stop.signal, ...pace });
      }
    };
    await Promise.all(Array.from({ length: spec.concurrency }, work));
  }

  /** Tries an image again that no source could deliver just now. Throws nothing: what came of it stands in the progress. */
  async function warmPatiently(
    progress: ImageProgress,
    how: Pick<Parameters<typeof warmImage>[1], 'platforms' | 'places' | 'signal' | 'pace'>,
  ): Promise<void> {
    for (let tries = 0; ; tries++) {
      Object.assign(progress, startProgress(progress.image, progress.platforms), { state: 'running', fetchedBytes: progress.fetchedBytes });
      try {
        const { target, reference } = await resolveImage(names, progress.image);
        const access = authorize(policy, serverItself, 'pull', target);
        await warmImage(options, { access, reference, ...how }, progress);
        // What an earlier try brought was here for the last one.
        progress.cachedBytes = Math.max(0, Math.min(progress.cachedBytes, progress.totalBytes - progress.fetchedBytes));
        progress.state = 'done';
        return;
      } catch (error) {
        if (how.signal.aborted) return;
        const waitMs = retryWaitsMs[tries];
        if (error instanceof OciError && passingCodes.has(error.code) && waitMs !== undefined) {
          await clock.sleep(waitMs, how.signal).catch(() => undefined);
          if (!how.signal.aborted) continue;
          return;
        }
        progress.state = 'failed';
        progress.error = describeError(error);
        if (!(error instanceof OciError)) log.error('warmup.image-failed', { image: progress.image, error });
        return;
      }
    }
  }
}

function uniqueImages(images: readonly WantedImage[]): readonly WantedImage[] {
  return [...new Map(images.map((wanted) => [`${wanted.image} ${formatPlatforms(wanted.platforms)}`, wanted])).values()];
}

function startProgress(image: string, platforms: string): ImageProgress {
  return { image, platforms, state: 'waiting', manifests: 0, blobs: 0, blobsTotal: 0, totalBytes: 0, fetchedBytes: 0, cachedBytes: 0 };
}

function describeError(error: unknown): { code: string; message: string } {
  if (error instanceof OciError) return { code: error.code, message: error.message };
  return { code: 'INTERNAL', message: "an internal error; the server's log says more" };
}

function present(run: Run): Warmup {
  return { id: run.id, state: run.state, spec: run.spec, createdAtMs: run.createdAtMs, images: run.images };
}

function presentStored(row: StoredWarmup): Warmup {
  return {
    id: row.id,
    state: row.state === 'active' ? 'queued' : row.state,
    spec: parseSpec(row.spec),
    createdAtMs: row.createdAtMs,
    ...(row.endedAtMs === null ? {} : { endedAtMs: row.endedAtMs }),
    images: row.result === null ? [] : (JSON.parse(row.result) as ImageProgress[]),
  };
}

function parseSpec(text: string): WarmupSpec {
  return JSON.parse(text) as WarmupSpec;
}
