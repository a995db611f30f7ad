// Fetching manifests for a mirror: by digest from any source, the digest being the proof; kept byte for byte.

import type { ContentQueries } from '../db/content.ts';
import type { TagTrust } from '../db/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { Tag } from '../oci/reference.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import { type Absences, absent } from './absences.ts';
import type { ManifestAnswer } from './answers.ts';
import type { Hedging } from './hedging.ts';
import type { Ingest } from './ingest.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { MirrorTimings } from './mirror-timings.ts';
import type { Repositories } from './repositories.ts';
import type { SourcePool } from './source-pool.ts';
import { raceSources, type SourceRaceParts } from './source-race.ts';
import { type Attempt, formatTrail } from './trail.ts';
import { unavailable } from './unavailable.ts';

export interface ManifestFetcher {
  /** Local, or from the sources in the order of health. MANIFEST_UNKNOWN only by an authority's word, UNAVAILABLE, DENIED. */
  byDigest(target: MirrorTarget, digest: Digest): Promise<ManifestAnswer>;
  /** What one source has under a tag; not kept. Throws UpstreamError, `bad-manifest` also for what this server would not take. */
  byTag(source: Source, repository: string, tag: Tag, timeoutMs: number): Promise<ManifestAnswer>;
  /** Keeps a manifest and sets the tag to it. */
  setTag(target: MirrorTarget, tag: Tag, manifest: ManifestAnswer, trust: TagTrust, trail: string): Promise<void>;
}

export function createManifestFetcher(options: {
  content: ContentQueries;
  repositories: Repositories;
  ingest: Ingest;
  client: UpstreamClient;
  pool: SourcePool;
  hedging: Hedging;
  absences: Absences;
  timings: MirrorTimings;
  clock: Clock;
}): ManifestFetcher {
  const { content, repositories, ingest, client, pool, absences, timings, clock } = options;
  const race: SourceRaceParts = options;
  const flights = createSingleFlight<ManifestAnswer>();

  const keep = async (
    target: MirrorTarget,
    manifest: ManifestAnswer,
    trail: string,
    tag?: { readonly name: Tag; readonly trust: TagTrust },
  ): Promise<void> => {
    await ingest.manifest({
      repositoryId: await repositories.ensure(target.project.id, target.name),
      bytes: manifest.bytes,
      contentType: manifest.mediaType,
      digest: manifest.digest,
      tags: tag === undefined ? [] : [tag.name],
      completeness: 'mirror',
      trail,
      ...(tag === undefined ? {} : { tagTrust: tag.trust }),
    });
    absences.arrived(manifest.digest);
  };

  const get = async (source: Source, repository: string, reference: string, timeoutMs: number): Promise<ManifestAnswer> => {
    const { digest, mediaType, bytes } = await client.getManifest(source, repository, reference, { timeoutMs });
    requireAcceptable(bytes, mediaType, source);
    return { digest, mediaType, bytes, from: 'miss' };
  };

  const fetch = async (target: MirrorTarget, digest: Digest): Promise<ManifestAnswer> => {
    const { registry, repository } = target.upstream;
    const attempts: Attempt[] = [];
    let isAbsent = false;
    const won = await raceSources(race, {
      sources: pool.ranked(registry, repository, { kind: 'manifest' }),
      deadlineMs: clock.monotonicMs() + timings.manifestTimeoutMs,
      ask: (source, timeoutMs) =>
        pool.ask(source, {
          repository,
          kind: 'manifest',
          verified: true,
          run: () => get(source, repository, digest, timeoutMs),
          sizeOf: (manifest) => manifest.bytes.byteLength,
        }),
      isLast: (asked, source) => {
        attempts.push(asked.attempt);
        if ('value' in asked) return true;
        if (source.trust === 'authority' && (asked.error?.verdict === 'not-found' || asked.error?.verdict === 'gone')) isAbsent = true;
        return false;
      },
      onLost: (attempt) => attempts.push(attempt),
    });
    if (won !== undefined && 'value' in won.asked) {
      const { value } = won.asked;
      await keep(target, value, formatTrail({ atMs: clock.nowMs(), attempts }));
      return value;
    }
    if (isAbsent) throw absent(absences.noteDigest(target, digest, attempts), { digest });
    throw unavailable(target, attempts);
  };

  return {
    byDigest: async (target, digest) => {
      const known = await content.manifestByDigest(target.name, digest);
      if (known !== undefined) return { digest, mediaType: known.mediaType, bytes: known.bytes, from: 'hit' };
      const absence = absences.digest(target, digest);
      if (absence !== undefined) throw absent(absence, { digest });
      return flights.run(`${target.name}@${digest}`, () => fetch(target, digest));
    },
    byTag: get,
    setTag: (target, tag, manifest, trust, trail) => keep(target, manifest, trail, { name: tag, trust }),
  };
}

/** A manifest that this server would refuse from a client it takes from no source either: that is the source's fault, not the client's. */
function requireAcceptable(bytes: Uint8Array, mediaType: string, source: Source): void {
  try {
    parseManifest(bytes, mediaType);
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    throw new UpstreamError('bad-manifest', { detail: 'no manifest this server takes', origin: new URL(source.url).origin, cause: error });
  }
}
