// The mirror as the pull path sees it: tags, manifests, blobs, tag lists and referrers of a registry behind several sources. It only joins
// the parts, and remembers for `explain` why a pull failed.

import type { Access, RepositoryTarget } from '../auth/access.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { createLru } from '../lib/lru.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { formatReference, type Reference, type Tag } from '../oci/reference.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { BlobAnswer, BlobRequest, ManifestAnswer, ReferrerDescriptor } from './answers.ts';
import type { DiskReserve } from './disk-reserve.ts';
import type { Ingest } from './ingest.ts';
import { createManifestFetcher } from './manifest-fetch.ts';
import { createMirrorBlobs } from './mirror-blobs.ts';
import { createMirrorListings } from './mirror-listings.ts';
import { mirrorAccess, mirrorTargetOf } from './mirror-target.ts';
import { type MirrorTimings, mirrorTimings } from './mirror-timings.ts';
import type { Repositories } from './repositories.ts';
import type { SourcePool } from './source-pool.ts';
import { createTagResolver, type TagRules } from './tag-resolution.ts';
import type { Attempt, Trail } from './trail.ts';

const rememberedFailuresMax = 1000;

export interface Mirror {
  manifest(access: Access<'pull'>, reference: Reference, signal: AbortSignal): Promise<ManifestAnswer>;
  blob(access: Access<'pull'>, digest: Digest, request: BlobRequest, signal: AbortSignal): Promise<BlobAnswer>;
  /** The authority's tags (at most 20,000, remembered for the tag TTL); undefined when it cannot be asked or has no such repository. */
  tags(target: RepositoryTarget, signal: AbortSignal): Promise<readonly Tag[] | undefined>;
  /** What the authority lists as referrers; empty when it cannot be asked. */
  referrers(target: RepositoryTarget, subject: Digest, signal: AbortSignal): Promise<readonly ReferrerDescriptor[]>;
  /** Why the sources last failed for this tag, manifest or blob, for `explain`. */
  lastFailure(name: string, reference: string): Trail | undefined;
  /** Ends fills under way. */
  close(): Promise<void>;
}

export interface MirrorOptions {
  readonly content: ContentQueries;
  readonly database: Database;
  readonly repositories: Repositories;
  readonly store: BlobStore;
  readonly ingest: Ingest;
  readonly client: UpstreamClient;
  readonly pool: SourcePool;
  readonly rules: TagRules;
  readonly limits: { readonly blobMaxBytes: number; readonly fills: number; readonly minimumFree?: DiskReserve };
  readonly clock: Clock;
  readonly log?: Log;
  readonly timings?: Partial<MirrorTimings>;
}

export function createMirror(options: MirrorOptions): Mirror {
  const { rules, clock } = options;
  const timings = { ...mirrorTimings, ...options.timings };
  const failures = createLru<string, Trail>({ maxEntries: rememberedFailuresMax });
  const onFailure = (key: string, attempts: readonly Attempt[]): void => failures.set(key, { atMs: clock.nowMs(), attempts });
  const parts = { ...options, timings, onFailure };
  const fetcher = createManifestFetcher(parts);
  const tagResolver = createTagResolver({ ...parts, fetcher });
  const blobs = createMirrorBlobs(parts);
  const listings = createMirrorListings({ ...parts, tagTtlMs: rules.tagTtlMs, referrersTimeoutMs: rules.revalidateTimeoutMs });

  return {
    manifest: async (access, reference) => {
      const target = mirrorAccess(access);
      try {
        return await (reference.kind === 'tag' ? tagResolver.resolve(target, reference.tag) : fetcher.byDigest(target, reference.digest));
      } catch (error) {
        const attempts = attemptsOf(error);
        if (attempts !== undefined) onFailure(`${target.name} ${formatReference(reference)}`, attempts);
        throw error;
      }
    },
    blob: (access, digest, request, signal) => blobs.blob(mirrorAccess(access), digest, request, signal),
    tags: (target, signal) => listings.tags(mirrorTargetOf(target), signal),
    referrers: (target, subject) => listings.referrers(mirrorTargetOf(target), subject),
    lastFailure: (name, reference) => failures.get(`${name} ${reference}`),
    close: blobs.close,
  };
}

/** What the sources said, out of the error a client gets. */
function attemptsOf(error: unknown): readonly Attempt[] | undefined {
  const detail = error instanceof OciError ? error.detail : undefined;
  return typeof detail === 'object' && detail !== null && 'attempts' in detail ? (detail.attempts as readonly Attempt[]) : undefined;
}
