// What a mirrored tag means now (design 7.1). Within its TTL the cached digest is the answer. After it an authority is asked by HEAD, with
// a deadline; when none answers, the last verified digest is served with a warning. Without an authority's word two independent sources
// must agree; one alone is served as unconfirmed, and never overrides a known answer.
//
//   verified within the TTL ─────────────────────────────────────────────────> the known digest
//   older, verified within stale_if_error, and a check failed lately ────────> the known digest, with a warning, at once
//   older ──> check: an authority says ──> a digest: that one · nothing: MANIFEST_UNKNOWN
//                    no authority says ──> two others agree: that digest · one has the known digest: that one
//                    nobody, or the deadline has passed ──> the known digest, with a warning; UNAVAILABLE when there is none

import type { ContentQueries, StoredTag } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { TagTrust } from '../db/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import type { Digest } from '../oci/digest.ts';
import type { Tag } from '../oci/reference.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import { type ContentOrigin, type ManifestAnswer, manifestUnknown } from './answers.ts';
import type { ManifestFetcher } from './manifest-fetch.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { MirrorTimings } from './mirror-timings.ts';
import { type Asked, quarantinedAttempt, type SourcePool } from './source-pool.ts';
import { type Attempt, formatTrail } from './trail.ts';
import { unavailable } from './unavailable.ts';

export interface TagRules {
  readonly tagTtlMs: number;
  readonly staleIfErrorMs: number;
  readonly revalidateTimeoutMs: number;
}
export interface TagResolver {
  resolve(target: MirrorTarget, tag: Tag): Promise<ManifestAnswer>;
}

const quorumSourcesMax = 4;
/** A first pull waits for this many sources at most, one after the other. */
const firstPullWaits = 3;

/** A source's word: the digest, and the manifest itself where it was asked for that. */
interface Said {
  readonly digest: Digest;
  readonly manifest?: ManifestAnswer;
}
/** What is to be believed, and why. */
interface Word extends Said {
  readonly trust: TagTrust;
  readonly reason: string;
}
/** One check of one tag. */
interface Check {
  readonly target: MirrorTarget;
  readonly tag: Tag;
  readonly key: string;
  /** What is cached, however old. */
  readonly known: StoredTag | undefined;
  /** The same, while it may still be served. */
  readonly standing: StoredTag | undefined;
  readonly deadlineMs: number;
  readonly attempts: Attempt[];
}

export function createTagResolver(options: {
  content: Pick<ContentQueries, 'manifestByTag'>;
  database: Pick<Database, 'run'>;
  client: Pick<UpstreamClient, 'headManifest'>;
  pool: SourcePool;
  fetcher: ManifestFetcher;
  rules: TagRules;
  timings: MirrorTimings;
  clock: Clock;
  /** A check failed although the client was served. */
  onFailure: (key: string, attempts: readonly Attempt[]) => void;
}): TagResolver {
  const { content, database, client, pool, fetcher, rules, timings, clock } = options;
  const flights = createSingleFlight<ManifestAnswer>();
  const resting = createLru<string, number>({ maxEntries: 10_000 });

  return {
    resolve: async (target, tag) => {
      const known = await content.manifestByTag(target.name, tag);
      const key = `${target.name} ${tag}`;
      const ageMs = clock.nowMs() - (known?.verifiedAtMs ?? 0);
      if (known !== undefined && ageMs >= 0 && ageMs < rules.tagTtlMs) return answer(known, 'hit');
      const standing = ageMs < rules.staleIfErrorMs ? known : undefined;
      if (standing !== undefined && (resting.get(key) ?? 0) > clock.monotonicMs()) return answer(standing, 'stale', staleWarning(standing));
      const waitMs = standing === undefined ? firstPullWaits * timings.manifestTimeoutMs : rules.revalidateTimeoutMs;
      const flight = flights.run(key, () =>
        check({ target, tag, key, known, standing, deadlineMs: clock.monotonicMs() + waitMs, attempts: [] }),
      );
      return standing === undefined ? flight : orStale(flight, standing, key);
    },
  };

  /** The check's answer, or the stale one when it takes too long; the check goes on. */
  async function orStale(flight: Promise<ManifestAnswer>, standing: StoredTag, key: string): Promise<ManifestAnswer> {
    const answered = new AbortController();
    const late = clock.sleep(rules.revalidateTimeoutMs, answered.signal).then(() => {
      rest(key);
      return answer(standing, 'stale', staleWarning(standing));
    });
    late.catch(() => undefined);
    try {
      return await Promise.race([flight, late]);
    } finally {
      answered.abort();
      flight.catch(() => undefined);
    }
  }

  function rest(key: string): void {
    resting.set(key, clock.monotonicMs() + timings.failedCheckRestMs);
  }

  async function check(run: Check): Promise<ManifestAnswer> {
    const { target, tag, key, standing, attempts } = run;
    const said = await askAuthorities(run);
    if (said === 'absent') throw manifestUnknown({ kind: 'tag', tag });
    const word = said ?? (await askOthers(run));
    if (word !== undefined) {
      try {
        return await accept(run, word);
      } catch (error) {
        if (standing === undefined) throw error;
      }
    }
    if (standing === undefined) throw unavailable(target, attempts);
    rest(key);
    options.onFailure(key, attempts);
    const { repositoryId, digest, trust } = standing;
    await database.run('recordTagCheck', { repositoryId, tag, digest, verified: false, trust, trail: '' });
    return answer(standing, 'stale', staleWarning(standing));
  }

  /** The first authority that answers decides; 'absent' is its word too. Undefined when none could be asked. */
  async function askAuthorities(run: Check): Promise<Word | 'absent' | undefined> {
    const { registry, repository } = run.target.upstream;
    for (const source of pool.ranked(registry, repository, 'authority')) {
      const asked = await ask(source, run);
      if (asked === undefined) continue;
      if ('value' in asked) return { ...asked.value, trust: 'confirmed', reason: `${source.url} is an authority` };
      if (asked.error?.verdict === 'not-found' || asked.error?.verdict === 'gone') return 'absent';
    }
    return undefined;
  }

  /** No authority answered: what several independent sources say together, or one alone when nothing is known. */
  async function askOthers(run: Check): Promise<Word | undefined> {
    const { registry, repository } = run.target.upstream;
    const sources = pool.ranked(registry, repository, 'digest-only').slice(0, quorumSourcesMax);
    const asked = await Promise.all(sources.map((source) => ask(source, run)));
    // In the order of rank.
    const votes = sources.flatMap((source, index) => {
      const one = asked[index];
      return one !== undefined && 'value' in one ? [{ source, said: one.value }] : [];
    });
    const agreed = votes.find((vote) =>
      votes.some((other) => other.said.digest === vote.said.digest && hostOf(other.source) !== hostOf(vote.source)),
    );
    if (agreed !== undefined) return { ...agreed.said, trust: 'confirmed', reason: 'no authority answered; independent sources agree' };
    const { standing } = run;
    if (standing === undefined) {
      const [alone] = votes;
      return alone === undefined ? undefined : { ...alone.said, trust: 'unconfirmed', reason: `only ${alone.source.url} answered` };
    }
    const same = votes.find((vote) => vote.said.digest === standing.digest);
    return same === undefined
      ? undefined
      : { ...same.said, trust: standing.trust, reason: `${same.source.url} still has the known digest` };
  }

  /** What a source says on the tag; undefined when its word counts for nothing now. */
  async function ask(source: Source, run: Check): Promise<Asked<Said> | undefined> {
    if (pool.health.isQuarantined(source.id)) {
      run.attempts.push(quarantinedAttempt(source));
      return undefined;
    }
    const { repository } = run.target.upstream;
    const timeLeftMs = (): number => Math.max(1, Math.min(timings.manifestTimeoutMs, run.deadlineMs - clock.monotonicMs()));
    const asked = await pool.ask(source, {
      repository,
      run: async (): Promise<Said> => {
        // With nothing to compare, the best authority is asked for the manifest itself: one round trip instead of two.
        const isDirect = run.known === undefined && source.trust === 'authority' && isFirst(source, run.target);
        const told = isDirect ? undefined : await headOrNothing(source, repository, run.tag, timeLeftMs());
        if (told !== undefined) return { digest: told };
        const manifest = await fetcher.byTag(source, repository, run.tag, timeLeftMs());
        return { digest: manifest.digest, manifest };
      },
      sizeOf: (said) => said.manifest?.bytes.byteLength ?? 0,
    });
    run.attempts.push(asked.attempt);
    return asked;
  }

  /** The digest by HEAD; undefined where HEAD does not tell it (405, 403: some mirrors answer only GET). */
  async function headOrNothing(source: Source, repository: string, tag: Tag, timeoutMs: number): Promise<Digest | undefined> {
    try {
      return (await client.headManifest(source, repository, tag, { timeoutMs })).digest;
    } catch (error) {
      const status = error instanceof Error && 'status' in error ? error.status : undefined;
      if (status === 403 || status === 405 || status === 501) return undefined;
      throw error;
    }
  }

  function isFirst(source: Source, target: MirrorTarget): boolean {
    return pool.ranked(target.upstream.registry, target.upstream.repository)[0]?.id === source.id;
  }

  async function accept(run: Check, word: Word): Promise<ManifestAnswer> {
    const { target, tag, known, attempts } = run;
    const trail = formatTrail({ atMs: clock.nowMs(), attempts, reason: word.reason });
    if (known !== undefined && known.digest === word.digest) {
      const { repositoryId, digest } = known;
      await database.run('recordTagCheck', { repositoryId, tag, digest, verified: true, trust: word.trust, trail });
      return answer({ ...known, trust: word.trust }, 'revalidated');
    }
    const manifest = word.manifest ?? (await fetcher.byDigest(target, word.digest));
    await fetcher.setTag(target, tag, manifest, word.trust, trail);
    return { ...manifest, from: 'miss', ...(word.trust === 'unconfirmed' ? { warning: unconfirmedWarning } : {}) };
  }
}

const unconfirmedWarning = '299 - "unconfirmed tag: no authority could be asked and no second source agrees yet"';

function answer(known: StoredTag, from: ContentOrigin, warning?: string): ManifestAnswer {
  const text = warning ?? (known.trust === 'unconfirmed' ? unconfirmedWarning : undefined);
  return { digest: known.digest, mediaType: known.mediaType, bytes: known.bytes, from, ...(text === undefined ? {} : { warning: text }) };
}

function staleWarning(known: StoredTag): string {
  return `299 - "stale tag, last verified ${new Date(known.verifiedAtMs ?? 0).toISOString()}: no source could confirm it in time"`;
}

function hostOf(source: Source): string {
  return new URL(source.url).host;
}
