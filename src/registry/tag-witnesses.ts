// Who says what a tag means: authorities one after the other; without their word several others side by side, of whom two independent ones that
// agree are believed. It must never decide what is served: tag-resolution.ts does that. design 7.1; faults F12-F14, F43-F45, F47.

import type { ContentQueries } from '../db/content.ts';
import type { TagTrust } from '../db/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import type { Digest } from '../oci/digest.ts';
import type { Tag } from '../oci/reference.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import { registrableDomain } from '../upstream/domain.ts';
import { bareHost, type Source } from '../upstream/source.ts';
import type { ManifestAnswer } from './answers.ts';
import type { Hedging } from './hedging.ts';
import type { ManifestFetcher } from './manifest-fetch.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { MirrorTimings } from './mirror-timings.ts';
import { type Asked, quarantinedAttempt, type SourcePool } from './source-pool.ts';
import { raceSources } from './source-race.ts';
import type { TagCheck } from './tag-check.ts';
import type { TagDrift } from './tag-drift.ts';

/** A source's word: the digest, and the manifest itself where it was asked for that. */
interface Said {
  readonly digest: Digest;
  readonly manifest?: ManifestAnswer;
}
/** What is to be believed, and why. */
export interface Word extends Said {
  readonly trust: TagTrust;
  readonly reason: string;
  /** The authority that said so. */
  readonly authority?: Source;
}
/** An authority says that there is no such tag. */
interface Absent {
  readonly kind: 'absent';
  readonly by: Source;
}

export interface TagWitnesses {
  /** The first authority that answers decides. Undefined when none could be asked. */
  askAuthorities(check: TagCheck): Promise<Word | Absent | undefined>;
  /** Whether an authority's "no such tag" stands when another one is asked, or the same one a moment later; undefined when nobody answers. */
  confirmAbsence(check: TagCheck, by: Source): Promise<Word | 'absent' | undefined>;
  /** No authority answered: what several independent sources say together, or one alone when nothing is known. */
  askOthers(check: TagCheck): Promise<Word | undefined>;
  /** The tag's manifest itself from the authority whose HEAD told a digest that cannot be had (fault F48); undefined when it does not come. */
  askBody(check: TagCheck, source: Source): Promise<Word | undefined>;
}

const quorumSourcesMax = 4;
/** For so long a source that answers GET but not HEAD is asked by GET at once. */
const getOnlyMs = 60 * 60 * 1000;
/** A GET that only checks is left out when less than this share of a counted budget is left. */
const budgetShareMin = 0.2;

export function createTagWitnesses(options: {
  content: Pick<ContentQueries, 'manifestByDigest'>;
  client: Pick<UpstreamClient, 'headManifest'>;
  pool: SourcePool;
  hedging: Hedging;
  fetcher: Pick<ManifestFetcher, 'byTag'>;
  drift: TagDrift;
  timings: MirrorTimings;
  clock: Clock;
}): TagWitnesses {
  const { content, client, pool, fetcher, drift, timings, clock } = options;
  /** Source id -> until when (monotonic) it is not asked by HEAD. */
  const getOnly = createLru<string, number>({ maxEntries: 1000 });

  return {
    askAuthorities: async (check) => {
      const { registry, repository } = check.target.upstream;
      const won = await raceSources<Said>(options, {
        sources: pool.ranked(registry, repository, { trust: 'authority', kind: 'head' }),
        deadlineMs: Math.min(check.deadlineMs, clock.monotonicMs() + timings.manifestTimeoutMs),
        ask: (source, timeoutMs) => ask(source, check, timeoutMs),
        isLast: (asked, source) => wordOf(asked, source) !== undefined,
        onLost: (attempt) => check.attempts.push(attempt),
      });
      const word = won === undefined ? undefined : wordOf(won.asked, won.source);
      return word === 'absent' && won !== undefined ? { kind: 'absent', by: won.source } : word === 'absent' ? undefined : word;
    },

    confirmAbsence: async (check, by) => {
      const { registry, repository } = check.target.upstream;
      for (const source of pool.ranked(registry, repository, { trust: 'authority', kind: 'head' })) {
        if (source.id === by.id) continue;
        const word = await askAuthority(source, check);
        if (word !== undefined) return word;
      }
      await clock.sleep(timings.absenceRecheckMs);
      return askAuthority(by, check);
    },

    askOthers: async (check) => {
      const { registry, repository } = check.target.upstream;
      const believed = pool.ranked(registry, repository, 'digest-only').filter((source) => {
        const doubt = drift.doubt(source);
        if (doubt !== undefined) check.attempts.push({ source: source.url, verdict: 'skipped', detail: doubt, ms: 0, bytes: 0 });
        return doubt === undefined;
      });
      const sources = believed.slice(0, quorumSourcesMax);
      const { votes, agreed } = await gather(check, sources);
      const { standing } = check;
      if (agreed !== undefined) {
        await drift.noteMinority(check, agreed.said.digest, votes);
        return { ...agreed.said, trust: 'confirmed', reason: 'no authority answered; independent sources agree' };
      }
      if (standing === undefined) {
        const [alone] = votes;
        return alone === undefined ? undefined : { ...alone.said, trust: 'unconfirmed', reason: `only ${alone.source.url} answered` };
      }
      const same = votes.find((vote) => vote.said.digest === standing.digest);
      return same === undefined
        ? undefined
        : { ...same.said, trust: standing.trust, reason: `${same.source.url} still has the known digest` };
    },

    askBody: async (check, source) => {
      getOnly.set(source.id, clock.monotonicMs() + getOnlyMs);
      const asked = await ask(source, check, timings.manifestTimeoutMs);
      if (asked === undefined || !('value' in asked)) return undefined;
      return {
        ...asked.value,
        trust: 'confirmed',
        reason: `${source.url} is an authority; its HEAD told another digest than its manifest has`,
        authority: source,
      };
    },
  };

  async function askAuthority(source: Source, check: TagCheck): Promise<Word | 'absent' | undefined> {
    const asked = await ask(source, check, Math.min(timings.manifestTimeoutMs, check.deadlineMs - clock.monotonicMs()));
    return asked === undefined ? undefined : wordOf(asked, source);
  }

  /** Votes in the order of rank, until two agree, all have spoken, or the slow ones have had their time while others have spoken. */
  async function gather(check: TagCheck, sources: readonly Source[]): Promise<{ votes: readonly Vote[]; agreed: Vote | undefined }> {
    const timeoutMs = Math.min(timings.manifestTimeoutMs, check.deadlineMs - clock.monotonicMs());
    const heard = new Map<string, Vote>();
    let left = sources.length;
    let next = Promise.withResolvers<void>();
    for (const source of sources) {
      void ask(source, check, timeoutMs)
        .then(
          (asked) => {
            if (asked !== undefined && 'value' in asked) heard.set(source.id, { source, said: asked.value });
            next.resolve();
          },
          (error: unknown) => next.reject(error),
        )
        .finally(() => left--);
    }
    const done = new AbortController();
    let isLate = false;
    const late = clock.sleep(timings.witnessPatienceMs, done.signal).then(
      () => {
        isLate = true;
      },
      () => undefined,
    );
    try {
      for (;;) {
        const votes = sources.flatMap((source) => heard.get(source.id) ?? []);
        const agreed = await firstAgreed(check, votes);
        if (agreed !== undefined || left === 0 || (isLate && votes.length > 0)) return { votes, agreed };
        await (isLate ? next.promise : Promise.race([next.promise, late]));
        // Those that answered at the same time are heard together.
        await Promise.resolve();
        next = Promise.withResolvers<void>();
        next.promise.catch(() => undefined);
      }
    } finally {
      done.abort();
    }
  }

  /**
   * What two independent sources say. A known answer gives way only to one that is new here: sources that agree on what the tag meant before
   * are both behind, and must not turn it back.
   */
  async function firstAgreed(check: TagCheck, votes: readonly Vote[]): Promise<Vote | undefined> {
    const { standing, target } = check;
    const pairs = votes.filter((vote) =>
      votes.some((other) => other.said.digest === vote.said.digest && operatorOf(other.source) !== operatorOf(vote.source)),
    );
    if (standing === undefined) return pairs[0];
    for (const vote of pairs) {
      const { digest } = vote.said;
      if (digest === standing.digest || (await content.manifestByDigest(target.name, digest)) === undefined) return vote;
    }
    return undefined;
  }

  /** What a source says on the tag; undefined when its word counts for nothing now. */
  async function ask(source: Source, check: TagCheck, timeoutMs: number): Promise<Asked<Said> | undefined> {
    if (pool.health.isQuarantined(source.id)) {
      check.attempts.push(quarantinedAttempt(source));
      return undefined;
    }
    const { repository } = check.target.upstream;
    const endMs = clock.monotonicMs() + timeoutMs;
    const timeLeftMs = (): number => Math.max(1, endMs - clock.monotonicMs());
    // With nothing to compare, the best authority is asked for the manifest itself: one round trip instead of two.
    const isDirect = check.known === undefined && source.trust === 'authority' && isFirst(source, check.target);
    const isGetOnly = (getOnly.get(source.id) ?? 0) > clock.monotonicMs();
    if (isGetOnly && check.standing !== undefined && !mayCount(source)) {
      const detail = 'answers no HEAD, and what is left of its limit is kept for pulls';
      check.attempts.push({ source: source.url, verdict: 'skipped', detail, ms: 0, bytes: 0 });
      return undefined;
    }
    const asked = await pool.ask(source, {
      repository,
      kind: isDirect || isGetOnly ? 'manifest' : 'head',
      run: async (): Promise<Said> => {
        const told = isDirect || isGetOnly ? undefined : await headOrNothing(source, repository, check.tag, timeLeftMs());
        if (typeof told === 'object') return told;
        const manifest = await fetcher.byTag(source, repository, check.tag, timeLeftMs());
        // It gives by GET what it did not by HEAD: from now on it is asked so at once.
        if (told === 'no-head') getOnly.set(source.id, clock.monotonicMs() + getOnlyMs);
        return { digest: manifest.digest, manifest };
      },
      sizeOf: (said) => said.manifest?.bytes.byteLength ?? 0,
    });
    check.attempts.push(asked.attempt);
    return asked;
  }

  /** The digest by HEAD; `no-head` where HEAD does not work (405, 403: some mirrors answer only GET), undefined where it tells no digest. */
  async function headOrNothing(source: Source, repository: string, tag: Tag, timeoutMs: number): Promise<Said | 'no-head' | undefined> {
    try {
      const { digest } = await client.headManifest(source, repository, tag, { timeoutMs });
      return digest === undefined ? undefined : { digest };
    } catch (error) {
      const status = error instanceof Error && 'status' in error ? error.status : undefined;
      if (status === 403 || status === 405 || status === 501) return 'no-head';
      throw error;
    }
  }

  function isFirst(source: Source, target: MirrorTarget): boolean {
    return pool.ranked(target.upstream.registry, target.upstream.repository)[0]?.id === source.id;
  }

  /** Whether a request that is counted may be made only to check. */
  function mayCount(source: Source): boolean {
    const { quota } = pool.snapshot(source);
    return quota === undefined || quota.remaining > quota.limit * budgetShareMin;
  }
}

/** An authority's word on the tag: what it means, that it is not there, or nothing. */
function wordOf(asked: Asked<Said>, source: Source): Word | 'absent' | undefined {
  if ('value' in asked) return { ...asked.value, trust: 'confirmed', reason: `${source.url} is an authority`, authority: source };
  return asked.error?.verdict === 'not-found' || asked.error?.verdict === 'gone' ? 'absent' : undefined;
}

interface Vote {
  readonly source: Source;
  readonly said: Said;
}

/** Who runs it: sources of one operator are one witness. What is no registrable name stands for itself, port included. */
function operatorOf(source: Source): string {
  const url = new URL(source.url);
  return source.operator ?? registrableDomain(bareHost(url)) ?? url.host;
}
