// Notes what is pulled, for evicting what nobody uses. On the pull path it adds a name to a set in memory and nothing else; now and then the sets go
// to the database in small commands. A crash loses the last minute of notes, which harms nothing.

import type { RepositoryTarget } from '../auth/access.ts';
import type { Database } from '../db/database.ts';
import type { PulledManifests } from '../db/use-commands.ts';
import type { Log } from '../lib/log.ts';
import type { Digest } from '../oci/digest.ts';
import type { ManifestAnswer } from './answers.ts';
import type { Pull } from './pull.ts';

export interface LastUse {
  tag(repository: string, tag: string): void;
  blob(digest: Digest): void;
  /** A manifest was sent: counted for its repository. */
  manifest(repository: string, digest: Digest): void;
  /** Writes what is noted. */
  flush(): Promise<void>;
  /** Writes what is noted, a last time. Before the database is closed. */
  close(): Promise<void>;
}

const flushEveryMs = 60_000;
/** Flushes for which a note stands: what is used all the time is written once in ten of them. */
const flushesPerRound = 10;
/** Notes of one round; more are left out. */
const notesMax = 100_000;
/** Notes after which a command is sent: small ones, so that pushes get their turn between two. */
const notesPerCommand = 500;

export function createLastUse({ database, log }: { database: Pick<Database, 'run'>; log: Log }): LastUse {
  /** Noted in this round, by repository. */
  const tags = new Map<string, Set<string>>();
  const blobs = new Set<Digest>();
  /** Of them, what is not written yet. */
  let newTags = new Map<string, string[]>();
  let newBlobs: Digest[] = [];
  /** Counted since the last flush, with the manifests that are not noted yet in this round. */
  let pulls = new Map<string, { count: number; readonly digests: Digest[] }>();
  const manifests = new Set<string>();
  let notes = 0;
  let flushes = 0;
  let flushing: Promise<void> | undefined;

  const write = async (): Promise<void> => {
    const [usedTags, usedBlobs, counted] = [newTags, newBlobs, pulls];
    newTags = new Map();
    newBlobs = [];
    pulls = new Map();
    if (++flushes % flushesPerRound === 0) {
      tags.clear();
      blobs.clear();
      manifests.clear();
      notes = 0;
    }
    let batch: { repository: string; tags: string[] }[] = [];
    let size = 0;
    const send = async (): Promise<void> => {
      const args = { tags: batch, blobs: [] };
      batch = [];
      size = 0;
      await database.run('recordUse', args);
    };
    for (const [repository, names] of usedTags) {
      for (const chunk of chunksOf(names)) {
        batch.push({ repository, tags: chunk });
        size += chunk.length;
        if (size >= notesPerCommand) await send();
      }
    }
    if (size > 0) await send();
    for (const chunk of chunksOf(usedBlobs)) await database.run('recordUse', { tags: [], blobs: chunk });
    await writePulls(counted);
  };
  const writePulls = async (counted: typeof pulls): Promise<void> => {
    let batch: PulledManifests[] = [];
    let size = 0;
    const send = async (): Promise<void> => {
      const args = { tags: [], blobs: [], pulls: batch };
      batch = [];
      size = 0;
      await database.run('recordUse', args);
    };
    for (const [repository, { count, digests }] of counted) {
      const [first = [], ...rest] = [...chunksOf(digests)];
      for (const [index, chunk] of [first, ...rest].entries()) {
        batch.push({ repository, count: index === 0 ? count : 0, digests: chunk });
        size += chunk.length + 1;
        if (size >= notesPerCommand) await send();
      }
    }
    if (size > 0) await send();
  };
  const flush = (): Promise<void> => {
    flushing ??= write()
      .catch((error) => log.warn('last-use.not-written', { error }))
      .finally(() => {
        flushing = undefined;
      });
    return flushing;
  };
  const timer = setInterval(() => void flush(), flushEveryMs);
  timer.unref();

  return {
    tag: (repository, tag) => {
      const known = tags.get(repository);
      if (known?.has(tag) === true || notes >= notesMax) return;
      notes++;
      if (known === undefined) tags.set(repository, new Set([tag]));
      else known.add(tag);
      const waiting = newTags.get(repository);
      if (waiting === undefined) newTags.set(repository, [tag]);
      else waiting.push(tag);
    },
    blob: (digest) => {
      if (blobs.has(digest) || notes >= notesMax) return;
      notes++;
      blobs.add(digest);
      newBlobs.push(digest);
    },
    manifest: (repository, digest) => {
      let pulled = pulls.get(repository);
      if (pulled === undefined) {
        if (pulls.size >= notesMax) return;
        pulled = { count: 0, digests: [] };
        pulls.set(repository, pulled);
      }
      pulled.count++;
      const key = `${repository}@${digest}`;
      if (manifests.has(key) || notes >= notesMax) return;
      notes++;
      manifests.add(key);
      pulled.digests.push(digest);
    },
    flush,
    close: async () => {
      clearInterval(timer);
      await flushing;
      await flush();
    },
  };
}

/** The same pulls, noted when they succeed. In an overlay the tag is noted in both halves: which of them answered is not told. */
export function notingUse(pull: Pull, lastUse: Pick<LastUse, 'tag' | 'blob'>): Pull {
  return {
    manifest: async (access, reference, signal) => {
      const answer = await pull.manifest(access, reference, signal);
      if (reference.kind === 'tag') {
        lastUse.tag(access.target.name, reference.tag);
        if (access.target.fallback !== undefined) lastUse.tag(access.target.fallback.name, reference.tag);
      }
      return answer;
    },
    blob: async (access, digest, request, signal) => {
      const answer = await pull.blob(access, digest, request, signal);
      lastUse.blob(digest);
      return answer;
    },
  };
}

/** Counts the pulls of manifests where they came from: in an overlay, the half that answered. */
export function countingPulls(lastUse: Pick<LastUse, 'manifest'>): (target: RepositoryTarget, answer: ManifestAnswer) => void {
  return (target, { digest, from }) => lastUse.manifest(from === undefined ? target.name : (target.fallback ?? target).name, digest);
}

function* chunksOf<T>(items: Iterable<T>): Generator<T[]> {
  let chunk: T[] = [];
  for (const item of items) {
    chunk.push(item);
    if (chunk.length < notesPerCommand) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
