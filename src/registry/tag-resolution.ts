// What a mirrored tag means now (design 7.1). Within its TTL the cached digest is the answer. After it an authority is asked by HEAD, with
// a deadline; when none answers, the last verified digest is served with a warning. Without an authority's word two independent sources
// must agree; one alone is served as unconfirmed, and never overrides a known answer.
//
//   verified within the TTL ─────────────────────────────────────────────────> the known digest
//   an authority lately said that there is no such tag ──────────────────────> MANIFEST_UNKNOWN at once (absences.ts)
//   older, within stale_while_revalidate ────────────────────────────────────> the known digest at once, and one check behind it
//   older, verified within stale_if_error, and a check failed lately ────────> the known digest, with a warning, at once
//   older ──> check: an authority says ──> a digest: that one
//                                          nothing: MANIFEST_UNKNOWN; a cached tag is first asked about once more, then marked removed,
//                                                   or kept with a warning where the policy is `keep`
//                    no authority says ──> it was removed by an authority's word lately: MANIFEST_UNKNOWN
//                                          two others agree: that digest · one has the known digest: that one
//                    nobody, or the deadline has passed ──> the known digest, with a warning; UNAVAILABLE when there is none

import type { ContentQueries, StoredTag } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import { OciError } from '../oci/errors.ts';
import type { Tag } from '../oci/reference.ts';
import { type Absences, absent } from './absences.ts';
import type { ContentOrigin, ManifestAnswer } from './answers.ts';
import type { ManifestFetcher } from './manifest-fetch.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { MirrorTimings } from './mirror-timings.ts';
import type { TagCheck } from './tag-check.ts';
import type { TagDrift } from './tag-drift.ts';
import { createTagPolicies, type TagRules } from './tag-policies.ts';
import type { TagWitnesses, Word } from './tag-witnesses.ts';
import { type Attempt, formatTrail } from './trail.ts';
import { unavailable } from './unavailable.ts';

export interface TagResolver {
  resolve(target: MirrorTarget, tag: Tag): Promise<ManifestAnswer>;
}

/** A first pull waits for this many sources at most, one after the other. */
const firstPullWaits = 3;

export function createTagResolver(options: {
  content: Pick<ContentQueries, 'manifestByTag'>;
  database: Pick<Database, 'run'>;
  witnesses: TagWitnesses;
  drift: Pick<TagDrift, 'sample'>;
  absences: Absences;
  fetcher: Pick<ManifestFetcher, 'byDigest' | 'setTag'>;
  rules: TagRules;
  timings: MirrorTimings;
  clock: Clock;
  /** A check failed although the client was served. */
  onFailure: (key: string, attempts: readonly Attempt[]) => void;
}): TagResolver {
  const { content, database, witnesses, drift, absences, fetcher, rules, timings, clock } = options;
  const policies = createTagPolicies(rules);
  const flights = createSingleFlight<ManifestAnswer>();
  const resting = createLru<string, number>({ maxEntries: 10_000 });

  return {
    resolve: async (target, tag) => {
      const known = await content.manifestByTag(target.name, tag);
      const policy = policies.of(target, tag);
      const key = `${target.name} ${tag}`;
      const isRemoved = known !== undefined && known.removedAtMs !== null && policy.onUpstreamDelete === 'remove';
      const ageMs = clock.nowMs() - (known?.verifiedAtMs ?? 0);
      if (known !== undefined && !isRemoved && ageMs >= 0 && ageMs < policy.tagTtlMs) return answer(known, 'hit');
      const absence = absences.tag(target, tag, known);
      if (absence !== undefined) {
        if (known === undefined || isRemoved) throw absent(absence, { tag });
        return answer(known, 'stale', keptWarning(known));
      }
      const standing = !isRemoved && ageMs < policy.staleIfErrorMs ? known : undefined;
      if (standing !== undefined && isResting(key)) return answer(standing, 'stale', staleWarning(standing));
      const waitMs = standing === undefined ? firstPullWaits * timings.manifestTimeoutMs : rules.revalidateTimeoutMs;
      const flight = flights.run(key, () =>
        check({ target, tag, key, policy, known, standing, deadlineMs: clock.monotonicMs() + waitMs, attempts: [] }),
      );
      if (standing === undefined) return flight;
      if (ageMs >= 0 && ageMs < policy.tagTtlMs + policy.staleWhileRevalidateMs) {
        flight.catch(() => undefined);
        return answer(standing, 'hit');
      }
      return orStale(flight, standing, key);
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

  function isResting(key: string): boolean {
    return (resting.get(key) ?? 0) > clock.monotonicMs();
  }

  async function check(run: TagCheck): Promise<ManifestAnswer> {
    const { target, standing, attempts } = run;
    const authority = witnesses.askAuthorities(run);
    authority.catch(() => undefined);
    const others = standing === undefined ? await othersMeanwhile(run, authority) : undefined;
    if (others?.trust === 'confirmed') return accept(run, others);
    let said = await authority;
    if (said !== undefined && 'kind' in said) {
      const after = run.known === undefined || run.known.removedAtMs !== null ? 'absent' : await witnesses.confirmAbsence(run, said.by);
      if (after === 'absent') return ended(run);
      // Not confirmed: another authority has it, or nobody answers any more.
      said = after;
      if (said === undefined && standing === undefined) return ended(run);
      if (said === undefined) return stale(run, standing);
    }
    if (said === undefined) refuseRemoved(run);
    const word = said ?? others ?? (await askOthers(run));
    if (word !== undefined) {
      try {
        return await accept(run, word);
      } catch (error) {
        if (standing === undefined) throw error;
      }
    }
    if (standing === undefined) throw unavailable(target, attempts);
    return stale(run, standing);
  }

  /** Nothing is known, and the authority keeps silent: what others say, while it may still answer. */
  async function othersMeanwhile(run: TagCheck, authority: Promise<unknown>): Promise<Word | undefined> {
    const answered = new AbortController();
    const isSilent = await Promise.race([
      authority.then(
        () => false,
        () => false,
      ),
      clock.sleep(timings.witnessPatienceMs, answered.signal).then(
        () => true,
        () => false,
      ),
    ]);
    answered.abort();
    if (!isSilent || isRemovedLately(run)) return undefined;
    return askOthers(run);
  }

  /** The word of others, as far as the policy lets it count. */
  async function askOthers(run: TagCheck): Promise<Word | undefined> {
    if (run.policy.withoutAuthority === 'known') return undefined;
    const word = await witnesses.askOthers(run);
    return word?.trust === 'unconfirmed' && run.policy.withoutAuthority === 'quorum' ? undefined : word;
  }

  async function stale(run: TagCheck, standing: StoredTag | undefined): Promise<ManifestAnswer> {
    if (standing === undefined) throw unavailable(run.target, run.attempts);
    rest(run.key);
    options.onFailure(run.key, run.attempts);
    const { repositoryId, digest, trust } = standing;
    await database.run('recordTagCheck', { repositoryId, tag: run.tag, digest, verified: false, trust, trail: '' });
    return answer(standing, 'stale', staleWarning(standing));
  }

  /** Authorities have no such tag: that is the answer from now on, or the cached one is kept by policy. */
  async function ended(run: TagCheck): Promise<ManifestAnswer> {
    const { target, tag, known, policy, attempts } = run;
    if (known !== undefined && policy.onUpstreamDelete === 'keep') {
      absences.noteTag(target, tag, { known, attempts });
      return answer(known, 'stale', keptWarning(known));
    }
    const absence = absences.noteTag(target, tag, {
      known: known === undefined ? undefined : { digest: known.digest, removedAtMs: clock.nowMs() },
      attempts,
    });
    if (known !== undefined) {
      const trail = formatTrail({ atMs: clock.nowMs(), attempts, reason: absence.reason });
      await database.run('recordTagRemoval', { repositoryId: known.repositoryId, tag, digest: known.digest, trail });
    }
    throw absent(absence, { tag });
  }

  /** The word of an authority that a tag is gone stands as long as a digest would: a mirror that still has it proves nothing. */
  function refuseRemoved(run: TagCheck): void {
    if (!isRemovedLately(run)) return;
    const { target, tag, known, attempts } = run;
    const at = new Date(known?.removedAtMs ?? 0).toISOString();
    throw new OciError('MANIFEST_UNKNOWN', `${target.upstream.registry} had no such tag any more at ${at}, and cannot be asked now`, {
      detail: { tag, attempts },
    });
  }

  function isRemovedLately({ known, policy }: TagCheck): boolean {
    if (known === undefined || known.removedAtMs === null || policy.onUpstreamDelete === 'keep') return false;
    return clock.nowMs() - known.removedAtMs < policy.staleIfErrorMs;
  }

  async function accept(run: TagCheck, first: Word): Promise<ManifestAnswer> {
    const { target, tag, known, attempts } = run;
    const { word, manifest } = await withManifest(run, first);
    const trail = formatTrail({ atMs: clock.nowMs(), attempts, reason: word.reason });
    if (word.authority !== undefined) drift.sample(run, word.digest, word.authority);
    if (manifest === undefined && known !== undefined) {
      const { repositoryId, digest } = known;
      await database.run('recordTagCheck', { repositoryId, tag, digest, verified: true, trust: word.trust, trail });
      return answer({ ...known, trust: word.trust }, 'revalidated');
    }
    if (manifest === undefined) throw new Error('a word without a manifest');
    await fetcher.setTag(target, tag, manifest, word.trust, trail);
    return { ...manifest, from: 'miss', ...(word.trust === 'unconfirmed' ? { warning: unconfirmedWarning } : {}) };
  }

  /** The manifest behind the word, or none when it is the known one. */
  async function withManifest(run: TagCheck, word: Word): Promise<{ word: Word; manifest: ManifestAnswer | undefined }> {
    if (word.digest === run.known?.digest) return { word, manifest: undefined };
    if (word.manifest !== undefined) return { word, manifest: word.manifest };
    try {
      return { word, manifest: await fetcher.byDigest(run.target, word.digest) };
    } catch (error) {
      const isUnknown = error instanceof OciError && error.code === 'MANIFEST_UNKNOWN';
      // The HEAD told a digest that even the authority does not have: its body is believed instead (fault F48).
      const body = isUnknown && word.authority !== undefined ? await witnesses.askBody(run, word.authority) : undefined;
      if (body === undefined) throw error;
      return { word: body, manifest: body.digest === run.known?.digest ? undefined : body.manifest };
    }
  }
}

const unconfirmedWarning = '299 - "unconfirmed tag: no authority could be asked and no second source agrees yet"';

function answer(known: StoredTag, from: ContentOrigin, warning?: string): ManifestAnswer {
  const text = warning ?? (known.trust === 'unconfirmed' ? unconfirmedWarning : undefined);
  return { digest: known.digest, mediaType: known.mediaType, bytes: known.bytes, from, ...(text === undefined ? {} : { warning: text }) };
}

function staleWarning(known: StoredTag): string {
  return `299 - "stale tag, last verified ${verifiedAt(known)}: no source could confirm it in time"`;
}

function keptWarning(known: StoredTag): string {
  return `299 - "kept tag, last verified ${verifiedAt(known)}: its registry no longer has it"`;
}

function verifiedAt(known: StoredTag): string {
  return new Date(known.verifiedAtMs ?? 0).toISOString();
}
