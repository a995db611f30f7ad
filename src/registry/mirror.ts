// The mirror as the pull path sees it: tags, manifests, blobs, tag lists and referrers of a registry behind several sources. It only joins
// the parts, and remembers for `explain` why a pull failed.

import type { Access, RepositoryTarget } from '../auth/access.ts';
import { createLru } from '../lib/lru.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { formatReference, type Reference, type Tag } from '../oci/reference.ts';
import type { Source } from '../upstream/source.ts';
import { type Absence, createAbsences } from './absences.ts';
import type { OnAlarm } from './alarms.ts';
import type { BlobAnswer, BlobRequest, ManifestAnswer, ReferrerDescriptor } from './answers.ts';
import { createEquivalents, type Equivalent, type EquivalentsOf } from './equivalents.ts';
import { createForeignLayers } from './foreign-layers.ts';
import { createHedging } from './hedging.ts';
import { createManifestFetcher } from './manifest-fetch.ts';
import { createMirrorBlobs, type FillCounts, type MirrorBlobsOptions } from './mirror-blobs.ts';
import { createMirrorListings, type Listing } from './mirror-listings.ts';
import { mirrorAccess, mirrorTargetOf } from './mirror-target.ts';
import { type MirrorTimings, mirrorTimings } from './mirror-timings.ts';
import { createTagDrift } from './tag-drift.ts';
import type { TagRules } from './tag-policies.ts';
import { createTagResolver } from './tag-resolution.ts';
import { createTagWitnesses } from './tag-witnesses.ts';
import type { Attempt, Trail } from './trail.ts';

const rememberedFailuresMax = 1000;

export interface Mirror {
  manifest(access: Access<'pull'>, reference: Reference, signal: AbortSignal): Promise<ManifestAnswer>;
  blob(access: Access<'pull'>, digest: Digest, request: BlobRequest, signal: AbortSignal): Promise<BlobAnswer>;
  /** The authority's tags (at most 20,000, remembered for the tag TTL). */
  tags(target: RepositoryTarget, signal: AbortSignal): Promise<Listing<Tag>>;
  /** What the authority lists as referrers. */
  referrers(target: RepositoryTarget, subject: Digest, signal: AbortSignal): Promise<Listing<ReferrerDescriptor>>;
  /** Why the sources last failed for this tag, manifest or blob, for `explain`. */
  lastFailure(name: string, reference: string): Trail | undefined;
  /** An authority's word that this tag or manifest is not there, while it is repeated without asking. */
  absence(name: string, reference: string): Absence | undefined;
  /** Which sources gave another digest for this tag, since the server started. */
  drift(name: string, tag: string): Trail | undefined;
  /** Why the word of this source on tags does not count now. */
  doubt(source: Source): string | undefined;
  /** Repositories that are asked for a digest when all sources of this one have failed. */
  equivalents: EquivalentsOf;
  /** How much is being fetched. */
  stats(): FillCounts;
  /** Ends fills under way. */
  close(): Promise<void>;
}

export interface MirrorOptions
  extends Omit<MirrorBlobsOptions, 'timings' | 'onFailure' | 'onAlarm' | 'hedging' | 'equivalentsOf' | 'foreignLayers'> {
  readonly rules: TagRules;
  readonly timings?: Partial<MirrorTimings>;
  /** Which repositories hold the same content; none without it. */
  readonly equivalents?: readonly Equivalent[];
  /** Origins that layers with `urls` may be fetched from; none without it. */
  readonly foreignHosts?: readonly string[];
  /** Beside the log line `mirror.<kind>`. */
  readonly onAlarm?: OnAlarm;
}

export function createMirror(options: MirrorOptions): Mirror {
  const { rules, clock } = options;
  const timings = { ...mirrorTimings, ...options.timings };
  const failures = createLru<string, Trail>({ maxEntries: rememberedFailuresMax });
  const told = new WeakSet<OciError>();
  const logPull = (key: string, attempts: readonly Attempt[], outcome: string): void => {
    const [repository, reference] = key.split(' ');
    options.log?.info('mirror.pull', { repository, reference, outcome, sources: attempts.map(attemptLine).join('; ') });
  };
  const onFailure = (key: string, attempts: readonly Attempt[]): void => {
    failures.set(key, { atMs: clock.nowMs(), attempts });
    logPull(key, attempts, 'failed');
  };
  const onDetour = (key: string, attempts: readonly Attempt[]): void => logPull(key, attempts, 'served');
  const onAlarm: OnAlarm = (kind, fields) => {
    options.log?.warn(`mirror.${kind}`, fields);
    options.onAlarm?.(kind, fields);
  };
  const absences = createAbsences({ notFoundTtlMs: rules.notFoundTtlMs, clock });
  const hedging = createHedging({ clock });
  const equivalentsOf = createEquivalents({ equivalents: options.equivalents ?? [], pool: options.pool });
  const foreignLayers = createForeignLayers({ ...options, hosts: options.foreignHosts ?? [] });
  const parts = { ...options, timings, onFailure, onDetour, onAlarm, absences, hedging, equivalentsOf, foreignLayers };
  const fetcher = createManifestFetcher(parts);
  const drift = createTagDrift(parts);
  const witnesses = createTagWitnesses({ ...parts, fetcher, drift });
  const tagResolver = createTagResolver({ ...parts, fetcher, drift, witnesses });
  const blobs = createMirrorBlobs(parts);
  const listings = createMirrorListings({ ...parts, tagTtlMs: rules.tagTtlMs, referrersTimeoutMs: rules.revalidateTimeoutMs });

  return {
    manifest: async (access, reference) => {
      const target = mirrorAccess(access);
      try {
        return await (reference.kind === 'tag' ? tagResolver.resolve(target, reference.tag) : fetcher.byDigest(target, reference.digest));
      } catch (error) {
        const attempts = attemptsOf(error);
        // A herd shares one error.
        const isNews = error instanceof OciError && !told.has(error) && !isRepeated(error);
        if (isNews) told.add(error);
        if (attempts !== undefined && isNews) onFailure(`${target.name} ${formatReference(reference)}`, attempts);
        throw error;
      }
    },
    blob: (access, digest, request, signal) => blobs.blob(mirrorAccess(access), digest, request, signal),
    tags: (target, signal) => listings.tags(mirrorTargetOf(target), signal),
    referrers: (target, subject) => listings.referrers(mirrorTargetOf(target), subject),
    lastFailure: (name, reference) => failures.get(`${name} ${reference}`),
    stats: blobs.stats,
    absence: absences.peek,
    drift: drift.evidence,
    doubt: drift.doubt,
    equivalents: equivalentsOf,
    close: async () => {
      await drift.settle();
      await blobs.close();
    },
  };
}

/** It was said before, and logged then. */
function isRepeated(error: unknown): boolean {
  const detail = error instanceof OciError ? error.detail : undefined;
  return typeof detail === 'object' && detail !== null && 'repeated' in detail;
}

/** One attempt in a log line. */
function attemptLine({ source, verdict, status, detail, ms }: Attempt): string {
  return `${source} ${verdict}${status === undefined ? '' : ` ${status}`} ${ms} ms${detail === undefined ? '' : ` (${detail})`}`;
}

/** What the sources said, out of the error a client gets. */
function attemptsOf(error: unknown): readonly Attempt[] | undefined {
  const detail = error instanceof OciError ? error.detail : undefined;
  return typeof detail === 'object' && detail !== null && 'attempts' in detail ? (detail.attempts as readonly Attempt[]) : undefined;
}
