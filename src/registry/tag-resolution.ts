// What a mirrored tag means now (design 7.1). Within its TTL the cached digest is the answer. After it an authority is asked by HEAD, with
// a deadline; when none answers, the last verified digest is served with a warning. Without an authority's word two independent sources
// must agree; one alone is served as unconfirmed, and never overrides a known answer.

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
import { type ManifestAnswer, manifestUnknown } from './answers.ts';
import type { ManifestFetcher } from './manifest-fetch.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { Asked, SourcePool } from './source-pool.ts';
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

/** The longest a first pull waits for one source's word on a tag. */
const firstAnswerTimeoutMs = 10_000;
/** After a failed check the stale answer is given at once for this long. */
const failedCheckRestMs = 10_000;
const quorumSourcesMax = 4;

interface Vote {
  readonly source: Source;
  readonly digest: Digest;
}

export function createTagResolver(options: {
  content: ContentQueries;
  database: Database;
  client: UpstreamClient;
  pool: SourcePool;
  fetcher: ManifestFetcher;
  rules: TagRules;
  clock: Clock;
}): TagResolver {
  const { content, database, client, pool, fetcher, rules, clock } = options;
  const flights = createSingleFlight<ManifestAnswer>();
  const resting = createLru<string, number>({ maxEntries: 10_000 });

  return {
    resolve: async (target, tag) => {
      const known = await content.manifestByTag(target.name, tag);
      const key = `${target.name}:${tag}`;
      if (known !== undefined) {
        const ageMs = clock.nowMs() - (known.verifiedAtMs ?? 0);
        if (ageMs >= 0 && ageMs < rules.tagTtlMs) return answer(known);
        if ((resting.get(key) ?? 0) > clock.monotonicMs() && ageMs < rules.staleIfErrorMs) return answer(known, staleWarning(known));
      }
      return flights.run(key, () => check(target, tag, key, known));
    },
  };

  async function check(target: MirrorTarget, tag: Tag, key: string, known: StoredTag | undefined): Promise<ManifestAnswer> {
    const attempts: Attempt[] = [];
    const deadlineMs = clock.monotonicMs() + (known === undefined ? 3 * firstAnswerTimeoutMs : rules.revalidateTimeoutMs);
    const fromAuthority = await askAuthorities(target, tag, known, attempts, deadlineMs);
    if (fromAuthority === 'absent') throw manifestUnknown({ kind: 'tag', tag });
    const vote = fromAuthority ?? (await askOthers(target, tag, known, attempts, deadlineMs));
    if (vote !== undefined) {
      try {
        return await accept(target, tag, known, vote, attempts);
      } catch (error) {
        if (known === undefined) throw error;
      }
    }
    resting.set(key, clock.monotonicMs() + failedCheckRestMs);
    if (known !== undefined && clock.nowMs() - (known.verifiedAtMs ?? 0) < rules.staleIfErrorMs) return answer(known, staleWarning(known));
    throw unavailable(target, attempts);
  }

  type Word = { readonly digest: Digest; readonly trust: TagTrust; readonly reason: string };

  /** The first authority that answers decides; 'absent' is its word too. Undefined when none could be asked. */
  async function askAuthorities(
    target: MirrorTarget,
    tag: Tag,
    known: StoredTag | undefined,
    attempts: Attempt[],
    deadlineMs: number,
  ): Promise<Word | 'absent' | undefined> {
    for (const source of pool.ranked(target.upstream.registry, target.upstream.repository, 'authority')) {
      if (pool.health.isQuarantined(source.id)) continue;
      const asked = await head(source, target, tag, known, deadlineMs);
      attempts.push(asked.attempt);
      if ('value' in asked) return { digest: asked.value, trust: 'confirmed', reason: `${source.url} is an authority` };
      if (asked.error?.verdict === 'not-found' || asked.error?.verdict === 'gone') return 'absent';
    }
    return undefined;
  }

  /** No authority answered: what several independent sources say together, or one alone when nothing is known. */
  async function askOthers(
    target: MirrorTarget,
    tag: Tag,
    known: StoredTag | undefined,
    attempts: Attempt[],
    deadlineMs: number,
  ): Promise<Word | undefined> {
    const sources = pool
      .ranked(target.upstream.registry, target.upstream.repository, 'digest-only')
      .filter((source) => !pool.health.isQuarantined(source.id))
      .slice(0, quorumSourcesMax);
    const votes: Vote[] = [];
    await Promise.all(
      sources.map(async (source) => {
        const asked = await head(source, target, tag, known, deadlineMs);
        attempts.push(asked.attempt);
        if ('value' in asked) votes.push({ source, digest: asked.value });
      }),
    );
    const agreed = votes.find((vote) =>
      votes.some((other) => other.digest === vote.digest && hostOf(other.source) !== hostOf(vote.source)),
    );
    if (agreed !== undefined)
      return { digest: agreed.digest, trust: 'confirmed', reason: 'no authority answered; independent sources agree' };
    if (known !== undefined) {
      const same = votes.find((vote) => vote.digest === known.digest);
      return same === undefined
        ? undefined
        : { digest: same.digest, trust: known.trust, reason: `${same.source.url} still has the known digest` };
    }
    const [alone] = sources.flatMap((source) => votes.filter((vote) => vote.source === source));
    return alone === undefined ? undefined : { digest: alone.digest, trust: 'unconfirmed', reason: `only ${alone.source.url} answered` };
  }

  /** The digest a source gives for the tag: by HEAD, and by GET where HEAD does not tell it. */
  async function head(
    source: Source,
    target: MirrorTarget,
    tag: Tag,
    known: StoredTag | undefined,
    deadlineMs: number,
  ): Promise<Asked<Digest>> {
    const { repository } = target.upstream;
    const timeLeft = (): number => Math.max(1, Math.min(firstAnswerTimeoutMs, deadlineMs - clock.monotonicMs()));
    return pool.ask(source, {
      repository,
      run: async () => {
        const isCold = known === undefined;
        const told =
          isCold && source.trust === 'authority' && isFirst(source, target)
            ? undefined
            : (await headOrNothing(source, repository, tag, timeLeft())).digest;
        if (told !== undefined) return told;
        const manifest = await client.getManifest(source, repository, tag, { timeoutMs: timeLeft() });
        await fetcher.keep(target, manifest, source);
        return manifest.digest;
      },
    });
  }

  /** Some mirrors answer only GET (405, 403 to HEAD). */
  async function headOrNothing(source: Source, repository: string, tag: Tag, timeoutMs: number): Promise<{ readonly digest?: Digest }> {
    try {
      return await client.headManifest(source, repository, tag, { timeoutMs });
    } catch (error) {
      if (error instanceof Error && 'status' in error && error.status === 405) return {};
      throw error;
    }
  }

  /** The best source is asked for the manifest itself at once: one round trip instead of two. */
  function isFirst(source: Source, target: MirrorTarget): boolean {
    return pool.ranked(target.upstream.registry, target.upstream.repository)[0]?.id === source.id;
  }

  async function accept(
    target: MirrorTarget,
    tag: Tag,
    known: StoredTag | undefined,
    word: Word,
    attempts: readonly Attempt[],
  ): Promise<ManifestAnswer> {
    const trail = formatTrail({ atMs: clock.nowMs(), attempts, reason: word.reason });
    const warning = word.trust === 'unconfirmed' ? unconfirmedWarning : undefined;
    if (known !== undefined && known.digest === word.digest) {
      await database.run('recordTagCheck', {
        repositoryId: known.repositoryId,
        tag,
        digest: known.digest,
        verified: true,
        trust: word.trust,
        trail,
      });
      return answer(known, warning);
    }
    const manifest = await fetcher.byDigest(target, word.digest);
    await fetcher.setTag(target, tag, manifest, word.trust, trail);
    return warning === undefined ? manifest : { ...manifest, warning };
  }
}

const unconfirmedWarning = '299 - "unconfirmed tag: no authority could be asked and no second source agrees yet"';

function answer(known: StoredTag, warning?: string): ManifestAnswer {
  const text = warning ?? (known.trust === 'unconfirmed' ? unconfirmedWarning : undefined);
  return { digest: known.digest, mediaType: known.mediaType, bytes: known.bytes, ...(text === undefined ? {} : { warning: text }) };
}

function staleWarning(known: StoredTag): string {
  return `299 - "stale tag, last verified ${new Date(known.verifiedAtMs ?? 0).toISOString()}: no source could be asked"`;
}

function hostOf(source: Source): string {
  return new URL(source.url).host;
}
