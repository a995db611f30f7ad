// Filling one blob from its sources: one fetch whoever asks, checked by its digest before it counts, followed by any number of readers
// meanwhile (design 7.3, 7.4). It must never let a reader come to the end of wrong bytes, nor take an end for a whole.
//
//   first round: from any source, and after a failure in mid-body from the next ──> right: kept
//   wrong ──> readers that have bytes are cut off; readers that have none wait
//         ──> further rounds, each from one source alone, so that a wrong answer says who lies

import { openSpool, type Spool } from '../blobs/spool.ts';
import { createUlid } from '../lib/ulid.ts';
import { digestAlgorithm } from '../oci/digest.ts';
import type { Source } from '../upstream/source.ts';
import type { OnAlarm } from './alarms.ts';
import type { RaceParts } from './blob-race.ts';
import { type DiskGuard, isStorageFull } from './disk-guard.ts';
import { fetchRound, type Round, SourcesFailed, startRound, UnprovenInMemory } from './fill-round.ts';
import type { Attempt, Segment } from './trail.ts';
import { createWakeUp } from './wake-up.ts';
import type { WantedBlob } from './wanted-blob.ts';

/** Rounds in all: what lies costs the whole blob each time. */
const roundsMax = 6;
const lingerMs = 500;
const lingerMaxMs = 10_000;

export interface FillRequest extends WantedBlob {
  /** Makes the verified bytes live. */
  readonly keep: (spool: Spool, trail: { attempts: readonly Attempt[]; segments: readonly Segment[] }) => Promise<void>;
  /** Reads the bytes that are live now: for a reader who comes after the end of the fill. */
  readonly readKept: (start: number, end: number | undefined) => AsyncGenerator<Uint8Array>;
}

export interface Fill {
  /** Resolves when the blob is live, rejects when it cannot be had. */
  readonly settled: Promise<void>;
  /** True as soon as a byte at `start` may be read, false when the fill has settled. Rejects with the signal's reason. */
  readable(start: number, signal: AbortSignal): Promise<boolean>;
  /** Undefined while nobody who is believed has told it. */
  readonly totalBytes: number | undefined;
  /** How far it may be read now. */
  readonly releasedBytes: number;
  /** Who follows now. */
  readonly readers: number;
  /** The disk is full: it is passed on and not kept. */
  readonly isUncached: boolean;
  /** A reader who comes now can still have everything from there on. */
  isWholeFrom(start: number): boolean;
  /**
   * The bytes from `start` to `end` (exclusive) as they may be read; each piece is there until the next is asked for, whoever keeps it longer
   * copies it. Throws what the fill failed with, and when bytes that were given out turn out wrong: the reader must be cut off.
   */
  follow(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array>;
}

export interface FillParts extends RaceParts {
  readonly disk: DiskGuard;
  /** Logs it, too. */
  readonly onAlarm: OnAlarm;
}

/** Bytes that turned out wrong were on their way. */
class WrongBytes extends Error {
  override readonly name = 'WrongBytes';
}

/** Starts the fetch; `admit` runs it when there is a place for one more. */
export function startFill(parts: FillParts, request: FillRequest, admit: (task: () => Promise<void>) => Promise<void>): Fill {
  const changes = createWakeUp();
  const state: FillState = {
    round: undefined,
    rounds: 0,
    totalBytes: request.expectedBytes,
    readers: 0,
    inMemory: false,
    isUncached: false,
    isSettled: false,
  };
  const settled = admit(() => run(parts, request, state, changes.wake)).finally(() => {
    state.isSettled = true;
    changes.wake();
  });

  async function* follow(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    state.readers++;
    try {
      yield* read(start, end, signal);
    } finally {
      state.readers--;
    }
  }

  async function* read(start: number, end: number | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (;;) {
      const { round, rounds } = state;
      if (round === undefined) {
        if (!state.isSettled) {
          await changes.next(signal);
          continue;
        }
        await settled;
        yield* request.readKept(start, end);
        return;
      }
      let hasDelivered = false;
      try {
        for await (const chunk of round.spool.follow(start, end, signal)) {
          hasDelivered = true;
          yield chunk;
        }
        return;
      } catch (error) {
        if (hasDelivered || signal.aborted) throw error;
        while (state.round !== undefined && state.rounds === rounds) await changes.next(signal);
      }
    }
  }

  return {
    settled,
    follow,
    get totalBytes() {
      return state.round?.totalBytes ?? state.totalBytes;
    },
    get releasedBytes() {
      return state.round?.releasedBytes ?? 0;
    },
    get readers() {
      return state.readers;
    },
    get isUncached() {
      return state.isUncached || state.round?.spool.isUncached === true;
    },
    isWholeFrom: (start) => state.round?.spool.isWholeFrom(start) ?? !state.isUncached,
    readable: async (start, signal) => {
      while (!state.isSettled && (state.round?.releasedBytes ?? 0) <= start) await changes.next(signal);
      return !state.isSettled;
    },
  };
}

interface FillState {
  /** The one under way; undefined before the first, between two, and after the last. */
  round: Round | undefined;
  /** Begun so far. */
  rounds: number;
  totalBytes: number | undefined;
  readers: number;
  /** Nothing of it is to be written to the disk any more. */
  inMemory: boolean;
  /** It was proven and could not be kept. */
  isUncached: boolean;
  isSettled: boolean;
}

async function run(parts: FillParts, request: FillRequest, state: FillState, wake: () => void): Promise<void> {
  const attempts: Attempt[] = [];
  const ranked = (): readonly Source[] =>
    parts.pool.ranked(request.registry, request.repository, {
      kind: 'blob',
      ...(state.totalBytes === undefined ? {} : { sizeBytes: state.totalBytes }),
    });
  const fetchFrom = (candidates: () => readonly Source[]): Promise<RoundEnd> =>
    runRound({ parts, request, state, wake, attempts, candidates });
  const first = await fetchFrom(ranked).catch((error) => {
    if (!(error instanceof UnprovenInMemory)) throw error;
    state.inMemory = true;
    return fetchFrom(ranked);
  });
  if (first.kind === 'kept') return;
  if (first.kind === 'failed' && first.misfits.size === 0) throw new SourcesFailed(attempts);
  // Alone it was the liar; together with others any of them may be.
  const suspects = new Set(first.kind === 'wrong' ? first.contributors.map((source) => source.id) : []);
  const tried = new Set(suspects.size === 1 ? suspects : []);
  const mayHaveIt = (source: Source): boolean => !tried.has(source.id) && (first.kind === 'wrong' || first.misfits.has(source.id));
  while (state.rounds < roundsMax) {
    const left = ranked().filter(mayHaveIt);
    const source = left.find((other) => !suspects.has(other.id)) ?? left[0];
    if (source === undefined) break;
    tried.add(source.id);
    if ((await fetchFrom(() => [source])).kind === 'kept') return;
  }
  throw new SourcesFailed(attempts);
}

type RoundEnd =
  | { readonly kind: 'kept' }
  | { readonly kind: 'wrong'; readonly contributors: readonly Source[] }
  | { readonly kind: 'failed'; readonly misfits: ReadonlySet<string> };

/** Fetches once. `kept`: the bytes were right and are live. Throws what is no fault of a source. */
async function runRound(options: {
  parts: FillParts;
  request: FillRequest;
  state: FillState;
  wake: () => void;
  attempts: Attempt[];
  candidates: () => readonly Source[];
}): Promise<RoundEnd> {
  const { parts, request, state, wake, attempts, candidates } = options;
  const staged = await parts.disk.stage(`fill-${createUlid(Date.now())}`, { ...request, inMemory: state.inMemory });
  const spool = await openSpool(staged, digestAlgorithm(request.digest));
  const round = startRound(spool, request);
  state.round = round;
  state.rounds++;
  wake();
  try {
    await fetchRound(parts, request, round, { candidates, attempts, onRelease: wake });
    if (spool.digest() === request.digest) {
      reportProven(parts, request, round);
      state.totalBytes = spool.acceptedBytes;
      if (!(await keepRound(parts, request, round, attempts))) {
        state.isUncached = true;
        spool.complete();
        round.releasedBytes = spool.acceptedBytes;
        wake();
        await waitForReaders(parts, state);
      }
      return { kind: 'kept' };
    }
    reportWrong(parts, request, round, attempts);
    await spool.fail(new WrongBytes('the bytes had another digest'));
    return { kind: 'wrong', contributors: [...round.contributors] };
  } catch (error) {
    await spool.fail(error instanceof Error ? error : new Error(String(error)));
    if (error instanceof SourcesFailed) return { kind: 'failed', misfits: error.misfits };
    throw error;
  } finally {
    // First nobody new may come to this spool, then it closes behind its last reader.
    state.round = undefined;
    const closed = spool.close(!state.isUncached);
    wake();
    await closed;
  }
}

/** False when the disk is full: the bytes are right and can be read, and are not kept. */
async function keepRound(parts: FillParts, request: FillRequest, round: Round, attempts: readonly Attempt[]): Promise<boolean> {
  if (round.spool.isUncached) return false;
  try {
    await request.keep(round.spool, { attempts, segments: round.segments });
    parts.disk.noteKept();
    return true;
  } catch (error) {
    if (!isStorageFull(error) || !(await round.spool.isStill(request.digest))) throw error;
    parts.disk.noteFull();
    return false;
  }
}

/** What is not kept stays for a moment, so that everybody who waits for it can begin to read. */
async function waitForReaders({ clock, signal }: FillParts, state: FillState): Promise<void> {
  const endMs = clock.monotonicMs() + lingerMaxMs;
  do await clock.sleep(lingerMs, signal).catch(() => undefined);
  while (!signal.aborted && state.readers > 0 && clock.monotonicMs() < endMs);
}

function reportProven({ pool }: FillParts, request: FillRequest, { finish }: Round): void {
  if (finish === undefined) return;
  const { source, firstByteMs: ms, bytes, finalOrigin } = finish;
  const { repository } = request;
  pool.health.report(source.id, { verdict: 'ok', kind: 'blob', ms, bytes, repository, trust: source.trust, verified: true, finalOrigin });
}

/** One source alone is the liar. Of several any may be: all but authorities are set aside. */
function reportWrong({ pool, onAlarm }: FillParts, request: FillRequest, round: Round, attempts: Attempt[]): void {
  const isAlone = round.contributors.size === 1;
  const detail = isAlone ? 'wrong bytes' : 'took part in a delivery of wrong bytes';
  const bytes = round.finish?.bytes ?? 0;
  if (round.finish !== undefined) {
    const { id, trust } = round.finish.source;
    pool.health.report(id, {
      kind: 'blob',
      verdict: isAlone ? 'wrong-digest' : 'aborted',
      ms: 0,
      bytes,
      repository: request.repository,
      trust,
    });
  }
  for (const source of round.contributors) {
    onAlarm('wrong-bytes', { source: source.id, repository: request.repository, digest: request.digest, detail });
    attempts.push({ source: source.url, verdict: 'wrong-digest', detail, ms: 0, bytes: 0 });
    if (isAlone || source.trust !== 'authority') pool.health.quarantine(source.id, `${detail} for ${request.digest}`);
  }
}
