// What authorities lately said is not there, so that a client that keeps asking for a missing tag costs one request, not a thousand (fault F25).
// It must never hide what is here or was published after its time: an entry ends by its time, and at once when content arrives by another path.
//
//   404 on a tag or digest ── kept for `notFoundTtlMs` (30 s)
//   412 (a project shut down, fault F59) ── kept for an hour, a tag's for its whole repository

import type { StoredTag } from '../db/content.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { Tag } from '../oci/reference.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { Attempt } from './trail.ts';

export interface Absence {
  /** Wall clock. */
  readonly atMs: number;
  /** How long from now it is repeated. */
  readonly forMs: number;
  /** Who said so, for people. */
  readonly reason: string;
  readonly attempts: readonly Attempt[];
  /** Said before, not just now. */
  readonly isRepeated: boolean;
}

export interface Absences {
  /** Undefined when nobody said so lately, or when what is cached of the tag is not what it was then. */
  tag(target: MirrorTarget, tag: Tag, known: Cached | undefined): Absence | undefined;
  digest(target: MirrorTarget, digest: Digest): Absence | undefined;
  noteTag(target: MirrorTarget, tag: Tag, said: { known: Cached | undefined; attempts: readonly Attempt[] }): Absence;
  noteDigest(target: MirrorTarget, digest: Digest, attempts: readonly Attempt[]): Absence;
  /** The content arrived somewhere: nobody's word on its absence counts any more. */
  arrived(digest: Digest): void;
  /** For `explain`: without a side effect. */
  peek(name: string, reference: string): Absence | undefined;
}

/** What is cached of a tag, as far as it matters here. */
type Cached = Pick<StoredTag, 'digest' | 'removedAtMs'>;

interface Entry extends Omit<Absence, 'forMs' | 'isRepeated'> {
  readonly untilMs: number;
  /** What was cached of the tag then; empty for nothing. */
  readonly cached: string;
}

const notFoundTtlDefaultMs = 30_000;
const goneMs = 60 * 60 * 1000;
const entriesMax = 20_000;

export function createAbsences(options: { notFoundTtlMs: number | undefined; clock: Clock }): Absences {
  const { clock, notFoundTtlMs = notFoundTtlDefaultMs } = options;
  // `repository reference`, and `repository` alone for one that is gone.
  const entries = createLru<string, Entry>({ maxEntries: entriesMax });
  // The repositories each digest is said to be absent from.
  const byDigest = createLru<Digest, readonly string[]>({ maxEntries: entriesMax });

  const live = (key: string): Entry | undefined => {
    const entry = entries.get(key);
    if (entry === undefined || entry.untilMs > clock.monotonicMs()) return entry;
    entries.delete(key);
    return undefined;
  };
  const present = (entry: Entry): Absence => ({
    atMs: entry.atMs,
    forMs: entry.untilMs - clock.monotonicMs(),
    reason: entry.reason,
    attempts: entry.attempts,
    isRepeated: true,
  });
  const note = (key: string, goneKey: string, said: { known: Cached | undefined; attempts: readonly Attempt[] }): Absence => {
    const last = said.attempts.findLast((attempt) => attempt.verdict === 'gone' || attempt.verdict === 'not-found');
    const isGone = last?.verdict === 'gone';
    const entry: Entry = {
      atMs: clock.nowMs(),
      untilMs: clock.monotonicMs() + (isGone ? goneMs : notFoundTtlMs),
      reason: `${last?.source ?? 'an authority'} ${isGone ? 'shut this repository down' : 'has no such thing'}${
        last?.status === undefined ? '' : ` (it ${last.detail ?? `answered ${last.status}`})`
      }`,
      attempts: said.attempts,
      cached: tokenOf(said.known),
    };
    if (entry.untilMs > clock.monotonicMs()) entries.set(isGone ? goneKey : key, entry);
    return { ...present(entry), isRepeated: false };
  };

  return {
    tag: (target, tag, known) => {
      const key = `${target.name} ${tag}`;
      const entry = live(key);
      // Otherwise it came here by another way since: an import, a warm-up.
      if (entry !== undefined && entry.cached === tokenOf(known)) return present(entry);
      if (entry !== undefined) entries.delete(key);
      const gone = known === undefined || known.removedAtMs !== null ? live(target.name) : undefined;
      return gone === undefined ? undefined : present(gone);
    },
    digest: (target, digest) => {
      const entry = live(`${target.name} ${digest}`);
      return entry === undefined ? undefined : present(entry);
    },
    noteTag: (target, tag, said) => note(`${target.name} ${tag}`, target.name, said),
    noteDigest: (target, digest, attempts) => {
      const key = `${target.name} ${digest}`;
      byDigest.set(digest, [...(byDigest.get(digest) ?? []).filter((other) => other !== key).slice(-31), key]);
      return note(key, key, { known: undefined, attempts });
    },
    arrived: (digest) => {
      for (const key of byDigest.get(digest) ?? []) entries.delete(key);
      byDigest.delete(digest);
    },
    peek: (name, reference) => {
      const entry = live(`${name} ${reference}`) ?? (reference.includes(':') ? undefined : live(name));
      return entry === undefined ? undefined : present(entry);
    },
  };
}

function tokenOf(cached: Cached | undefined): string {
  return cached === undefined ? '' : `${cached.digest}${cached.removedAtMs === null ? '' : ' removed'}`;
}

/** What a client is told of it: MANIFEST_UNKNOWN, with who said so. */
export function absent(absence: Absence, reference: { readonly tag: Tag } | { readonly digest: Digest }): OciError {
  return new OciError('MANIFEST_UNKNOWN', `there is no such manifest in this repository: ${absence.reason}`, {
    detail: { ...reference, attempts: absence.attempts, ...(absence.isRepeated ? { repeated: true } : {}) },
  });
}
