// One fill with scripted sources and readers, on a store in memory whose steps take random turns: for the tests of fill.ts only.

import type { BlobStore, StagedBlob } from '../blobs/store.ts';
import { systemClock } from '../lib/clock.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import type { BlobAnswer } from '../upstream/blob.ts';
import { createSourceHealth } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError, type Verdict } from '../upstream/verdict.ts';
import { smallBlobMaxBytes } from './blob-race.ts';
import { createDiskGuard } from './disk-guard.ts';
import { type Fill, startFill } from './fill.ts';
import { createHedging } from './hedging.ts';
import { mirrorTimings } from './mirror-timings.ts';
import { createSourcePool } from './source-pool.ts';
import type { Segment } from './trail.ts';

const chunkBytes = 256 * 1024;

/** What a source does with one request. */
export type Turn =
  | { readonly kind: 'honest' | 'ignores-range' }
  | { readonly kind: 'refuses'; readonly verdict: Verdict }
  /** Takes the request and says nothing, for ever or for a while. */
  | { readonly kind: 'silent'; readonly forMs: number | undefined }
  | { readonly kind: 'breaks'; readonly afterBytes: number; readonly verdict: 'truncated' | 'stalled' }
  | { readonly kind: 'lies'; readonly atShare: number }
  /** Has another size than it should, and may break off too. */
  | { readonly kind: 'misstates'; readonly byBytes: number; readonly afterBytes?: number };
export interface ScriptedSource {
  readonly trust: Source['trust'];
  /** One for each request, the last one for all that follow. */
  readonly turns: readonly Turn[];
}

/** A store in memory; each step takes a few turns of the event loop, as a disk would. */
function memoryStore(pause: () => Promise<void>): { store: BlobStore; open: () => number; staged: () => number } {
  const stagedIds = new Set<string>();
  let openHandles = 0;
  const stage = async (id: string): Promise<StagedBlob> => {
    await pause();
    openHandles++;
    stagedIds.add(id);
    let isOpen = true;
    const close = async (): Promise<void> => {
      if (isOpen) openHandles--;
      isOpen = false;
      await pause();
    };
    let length = 0;
    const whole = Buffer.alloc(smallBlobMaxBytes + 2 * 1024 * 1024);
    const staged: StagedBlob = {
      id,
      get sizeBytes() {
        return length;
      },
      append: async (chunk) => {
        whole.set(chunk, length);
        length += chunk.byteLength;
        await pause();
        staged.onGrowth?.();
      },
      flush: pause,
      read: async (start, lengthMax) => {
        if (!isOpen) throw new Error('read after close');
        await pause();
        return Buffer.from(whole.subarray(start, Math.min(length, start + lengthMax)));
      },
      truncate: async () => {
        throw new Error('not used by a fill');
      },
      commit: async () => {
        await pause();
        stagedIds.delete(id);
        return id;
      },
      close,
      discard: async () => {
        stagedIds.delete(id);
        await close();
      },
      onGrowth: undefined,
    };
    return staged;
  };
  const unused = (): never => {
    throw new Error('not used by a fill');
  };
  const store: BlobStore = {
    identity: 'memory',
    stage,
    open: unused,
    resume: unused,
    listStaged: unused,
    remove: unused,
    inspect: unused,
    holds: unused,
    freeSpace: unused,
  };
  return { store, open: () => openHandles, staged: () => stagedIds.size };
}

function answerOf(turn: Turn, blob: Buffer, offset: number, expectedBytes: number | undefined, pause: () => Promise<void>): BlobAnswer {
  const fail = (verdict: Verdict): never => {
    throw new UpstreamError(verdict, { detail: 'scripted' });
  };
  if (turn.kind === 'refuses') return fail(turn.verdict);
  const sent = Buffer.from(blob);
  if (turn.kind === 'lies') {
    const at = Math.min(blob.length - 1, Math.floor(turn.atShare * blob.length));
    sent[at] = (sent[at] ?? 0) ^ 1;
  }
  const body = turn.kind === 'misstates' ? sent.subarray(0, Math.max(0, blob.length - turn.byBytes)) : sent;
  if (expectedBytes !== undefined && expectedBytes !== body.length) return fail(offset === 0 ? 'bad-answer' : 'bad-range');
  if (offset > 0 && offset >= body.length) return fail('bad-range');
  const startOffset = turn.kind === 'ignores-range' ? 0 : offset;
  const end = 'afterBytes' in turn ? Math.min(body.length, startOffset + turn.afterBytes) : body.length;
  async function* stream(): AsyncGenerator<Uint8Array> {
    for (let at = startOffset; at < end; at += chunkBytes) {
      await pause();
      yield body.subarray(at, Math.min(end, at + chunkBytes));
    }
    if ('afterBytes' in turn) fail(turn.kind === 'breaks' ? turn.verdict : 'truncated');
  }
  return { startOffset, totalBytes: body.length, body: stream(), finalOrigin: 'http://a.test', discard: () => undefined };
}

async function* endedBy(body: AsyncIterable<Uint8Array>, end: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } finally {
    end();
  }
}

/** Resolves after a while; throws as the outbound client does when the time is over or the caller leaves. */
async function keepSilent(forMs: number | undefined, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
  const isShort = forMs !== undefined && forMs < timeoutMs;
  await systemClock.sleep(isShort ? forMs : timeoutMs, signal).catch(() => {
    throw new UpstreamError('aborted', { detail: 'scripted' });
  });
  if (!isShort) throw new UpstreamError('timeout', { detail: 'scripted' });
}

interface Outcome {
  readonly failure: unknown;
  readonly segments: readonly Segment[];
  readonly kept: Buffer | undefined;
}
export interface Simulation {
  readonly fill: Fill;
  readonly blob: Buffer;
  readonly digest: Digest;
  readonly requests: () => number;
  /** Answers that nobody reads or has given up. */
  answers(): number;
  ended(): Promise<Outcome>;
  open(): number;
  staged(): number;
}

export function simulate(options: {
  sources: readonly ScriptedSource[];
  sizeBytes: number;
  isSizeKnown: boolean;
  seed: number;
}): Simulation {
  let state = options.seed | 1;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const pause = async (): Promise<void> => {
    if (random() < 0.2) await new Promise<void>((resolve) => setImmediate(resolve));
  };
  const blob = Buffer.alloc(options.sizeBytes, options.seed % 251);
  for (let at = 0; at < blob.length; at += 4096)
    blob.writeUInt32LE((Math.imul(at, 2654435761) + options.seed) >>> 0, Math.min(at, Math.max(0, blob.length - 4)));
  const digest = digestOf(blob);
  const memory = memoryStore(pause);
  const health = createSourceHealth({ clock: systemClock });
  const list = options.sources.map(
    ({ trust }, place): Source => ({
      id: `${place}`,
      registry: 'docker.io',
      url: `http://${place}.test`,
      trust,
      priority: place,
      realms: [],
    }),
  );
  const asked = new Map<string, number>();
  let requests = 0;
  /** Answers whose body is neither read nor given up. */
  let opened = 0;
  let kept: Buffer | undefined;
  let segments: readonly Segment[] = [];
  const fill = startFill(
    {
      disk: createDiskGuard({ store: memory.store, reserve: undefined, clock: systemClock, log: undefined, onAlarm: () => undefined }),
      client: {
        getBlob: async (source, _repository, _digest, { offset, expectedSizeBytes, firstByteTimeoutMs, signal }) => {
          await pause();
          requests++;
          const count = asked.get(source.id) ?? 0;
          asked.set(source.id, count + 1);
          const turns = options.sources[Number(source.id)]?.turns ?? [];
          const turn = turns[Math.min(count, turns.length - 1)] ?? { kind: 'honest' };
          if (turn.kind === 'silent') await keepSilent(turn.forMs, firstByteTimeoutMs, signal);
          const answer = answerOf(turn, blob, offset, expectedSizeBytes, pause);
          opened++;
          let isOver = false;
          const end = (): void => {
            if (!isOver) opened--;
            isOver = true;
          };
          return { ...answer, body: endedBy(answer.body, end), discard: end };
        },
      },
      pool: createSourcePool({ sources: new Map([['docker.io', list]]), health, clock: systemClock }),
      hedging: createHedging({ clock: systemClock }),
      onAlarm: () => undefined,
      clock: systemClock,
      timings: { ...mirrorTimings, firstByteTimeoutMs: 40, firstByteBudgetMaxMs: 4 },
      signal: new AbortController().signal,
    },
    {
      registry: 'docker.io',
      repository: 'library/app',
      digest,
      expectedBytes: options.isSizeKnown ? options.sizeBytes : undefined,
      blobMaxBytes: 100_000_000,
      keep: async (spool, trail) => {
        await spool.commit(digest);
        segments = trail.segments;
        kept = blob;
        spool.complete();
      },
      readKept: async function* (start, end) {
        await pause();
        yield blob.subarray(start, end);
      },
    },
    (task) => task(),
  );
  return {
    fill,
    blob,
    digest,
    requests: () => requests,
    answers: () => opened,
    ended: async () => {
      const failure = await fill.settled.then(
        () => undefined,
        (error: unknown) => error,
      );
      return { failure, segments, kept };
    },
    open: memory.open,
    staged: memory.staged,
  };
}

/** Reads as a client of the mirror does. */
export async function read(simulation: Simulation, start: number, leaving: AbortSignal): Promise<{ bytes: Buffer; failure: unknown }> {
  const chunks: Uint8Array[] = [];
  try {
    if (!(await simulation.fill.readable(start, leaving))) await simulation.fill.settled;
    for await (const chunk of simulation.fill.follow(start, undefined, leaving)) chunks.push(new Uint8Array(chunk));
    return { bytes: Buffer.concat(chunks), failure: undefined };
  } catch (failure) {
    return { bytes: Buffer.concat(chunks), failure };
  }
}
