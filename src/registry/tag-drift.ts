// Sources that give another digest for a tag than the truth: behind (the digest was the registry's once) or suspected of poison (nobody else has
// ever had it). Their word on tags is then not believed for a while; their content still is, since the digest proves it. A small sample of the
// checks that an authority answered is compared in the background, never on the pull path. faults F43, F44; wire.md 2.6.

import type { ContentQueries } from '../db/content.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import type { Digest } from '../oci/digest.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import type { OnAlarm } from './alarms.ts';
import type { MirrorTimings } from './mirror-timings.ts';
import type { SourcePool } from './source-pool.ts';
import type { TagCheck } from './tag-check.ts';
import type { Attempt, Trail } from './trail.ts';

export interface TagDrift {
  /** Why the word of this source on tags does not count now; undefined when it does. */
  doubt(source: Source): string | undefined;
  /** Several agreed on a digest: those that said another one are noted. */
  noteMinority(check: TagCheck, digest: Digest, votes: readonly Vote[]): Promise<void>;
  /** An authority has just said what the tag means: one other source is asked too, when it is its turn. Returns at once. */
  sample(check: TagCheck, digest: Digest, authority: Source): void;
  /** For `explain`: who said something else about this tag last. */
  evidence(name: string, tag: string): Trail | undefined;
  /** Waits for the comparison under way. */
  settle(): Promise<void>;
}

interface Vote {
  readonly source: Source;
  readonly said: { readonly digest: Digest };
}
type Finding = 'tag-drift' | 'tag-poisoned';

const doubtMs: Readonly<Record<Finding, number>> = { 'tag-drift': 10 * 60 * 1000, 'tag-poisoned': 24 * 60 * 60 * 1000 };
/** One source is compared once in so many intervals. */
const intervalsPerSource = 10;

export function createTagDrift(options: {
  content: Pick<ContentQueries, 'manifestByDigest'>;
  client: Pick<UpstreamClient, 'headManifest'>;
  pool: SourcePool;
  timings: MirrorTimings;
  clock: Clock;
  onAlarm: OnAlarm;
}): TagDrift {
  const { content, client, pool, timings, clock, onAlarm } = options;
  const doubts = createLru<string, { readonly untilMs: number; readonly why: string }>({ maxEntries: 1000 });
  const trails = createLru<string, Trail>({ maxEntries: 1000 });
  /** Source id -> when it was compared last (monotonic). */
  const compared = createLru<string, number>({ maxEntries: 1000 });
  let nextSampleMs = clock.monotonicMs() + timings.driftSampleMs;
  let running: Promise<void> | undefined;

  const doubt = (source: Source): string | undefined => {
    const found = doubts.get(source.id);
    return found !== undefined && found.untilMs > clock.monotonicMs() ? found.why : undefined;
  };

  const found = (check: TagCheck, source: Source, said: { finding: Finding; digest: Digest; expected: Digest; why: string }): Attempt => {
    const { finding, digest, expected, why } = said;
    doubts.set(source.id, {
      untilMs: clock.monotonicMs() + doubtMs[finding],
      why: `not believed on tags: it gave ${short(digest)} for ${check.target.upstream.repository}:${check.tag}`,
    });
    const attempt: Attempt = { source: source.url, verdict: 'ok', detail: `said ${short(digest)}: ${why}`, ms: 0, bytes: 0 };
    const before = trails.get(check.key)?.attempts ?? [];
    trails.set(check.key, {
      atMs: clock.nowMs(),
      attempts: [...before.filter((other) => other.source !== source.url).slice(-15), attempt],
      reason: `the tag means ${short(expected)}`,
    });
    onAlarm(finding, {
      registry: source.registry,
      repository: check.target.name,
      tag: check.tag,
      source: source.url,
      digest,
      expected,
      why,
    });
    return attempt;
  };

  const compare = async (check: TagCheck, expected: Digest, authority: Source, source: Source): Promise<void> => {
    const { repository } = check.target.upstream;
    const head = async (whom: Source, reference: string) => {
      const run = () => client.headManifest(whom, repository, reference, { timeoutMs: timings.listingTimeoutMs });
      return pool.ask(whom, { repository, kind: 'head', run });
    };
    const other = await head(source, check.tag);
    if (!('value' in other) || other.value.digest === undefined || other.value.digest === expected) return;
    const { digest } = other.value;
    // The tag may have moved just now.
    const again = await head(authority, check.tag);
    if (!('value' in again) || again.value.digest !== expected) return;
    const isKnown = (await content.manifestByDigest(check.target.name, digest)) !== undefined;
    const atAuthority = isKnown ? undefined : await head(authority, digest);
    if (isKnown || (atAuthority !== undefined && 'value' in atAuthority))
      found(check, source, { finding: 'tag-drift', digest, expected, why: 'the registry had it once; this source is behind' });
    else if (atAuthority?.error?.verdict === 'not-found')
      found(check, source, { finding: 'tag-poisoned', digest, expected, why: 'the registry does not have it' });
  };

  const nextToCompare = (check: TagCheck): Source | undefined => {
    const { registry, repository } = check.target.upstream;
    const restMs = timings.driftSampleMs * intervalsPerSource;
    const waiting = pool
      .ranked(registry, repository, 'digest-only')
      .filter((source) => doubt(source) === undefined && clock.monotonicMs() - (compared.get(source.id) ?? -restMs) >= restMs);
    return waiting.reduce<Source | undefined>(
      (best, source) => (best === undefined || (compared.get(source.id) ?? -1) < (compared.get(best.id) ?? -1) ? source : best),
      undefined,
    );
  };

  return {
    doubt,
    noteMinority: async (check, digest, votes) => {
      for (const { source, said } of votes) {
        if (said.digest === digest) continue;
        const isKnown = (await content.manifestByDigest(check.target.name, said.digest)) !== undefined;
        check.attempts.push(
          found(check, source, {
            finding: isKnown ? 'tag-drift' : 'tag-poisoned',
            digest: said.digest,
            expected: digest,
            why: isKnown ? 'cached here before; this source is behind' : 'independent sources agree on another one',
          }),
        );
      }
    },
    sample: (check, digest, authority) => {
      if (running !== undefined || clock.monotonicMs() < nextSampleMs) return;
      const source = nextToCompare(check);
      if (source === undefined) return;
      nextSampleMs = clock.monotonicMs() + timings.driftSampleMs;
      compared.set(source.id, clock.monotonicMs());
      // A failure of the comparison itself proves nothing about anybody.
      running = compare(check, digest, authority, source)
        .catch(() => undefined)
        .finally(() => {
          running = undefined;
        });
    },
    evidence: (name, tag) => trails.get(`${name} ${tag}`),
    settle: async () => running,
  };
}

function short(digest: Digest): string {
  return `${digest.slice(0, 19)}...`;
}
