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
import type { EquivalentsOf } from './equivalents.ts';
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

/** What an equal repository elsewhere gets at least, when the own sources took all the time. */
const elsewhereMs = 3_000;

export function createManifestFetcher(options: {
  content: ContentQueries;
  repositories: Repositories;
  ingest: Ingest;
  client: UpstreamClient;
  pool: SourcePool;
  hedging: Hedging;
  absences: Absences;
  equivalentsOf: EquivalentsOf;
  /** It was served, although not by the first source that was asked. */
  onDetour: (key: string, attempts: readonly Attempt[]) => void;
  timings: MirrorTimings;
  clock: Clock;
}): ManifestFetcher {
  const { content, repositories, ingest, client, pool, absences, equivalentsOf, onDetour, timings, clock } = options;
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
    const deadlineMs = clock.monotonicMs() + timings.manifestTimeoutMs;
    const ask = async (from: { registry: string; repository: string }, untilMs: number): Promise<ManifestAnswer | undefined> => {
      const won = await raceSources(race, {
        sources: pool.ranked(from.registry, from.repository, { kind: 'manifest' }),
        deadlineMs: untilMs,
        ask: (source, timeoutMs) =>
          pool.ask(source, {
            repository: from.repository,
            kind: 'manifest',
            verified: true,
            run: () => get(source, from.repository, digest, timeoutMs),
            sizeOf: (manifest) => manifest.bytes.byteLength,
          }),
        isLast: (asked, source) => {
          attempts.push(asked.attempt);
          if ('value' in asked) return true;
          const isNo = asked.error?.verdict === 'not-found' || asked.error?.verdict === 'gone';
          if (isNo && source.trust === 'authority' && from === target.upstream) isAbsent = true;
          return false;
        },
        onLost: (attempt) => attempts.push(attempt),
      });
      return won !== undefined && 'value' in won.asked ? won.asked.value : undefined;
    };
    const own = await ask(target.upstream, deadlineMs);
    if (own !== undefined) {
      if (attempts.length > 1) onDetour(`${target.name} ${digest}`, attempts);
      await keep(target, own, formatTrail({ atMs: clock.nowMs(), attempts }));
      return own;
    }
    for (const other of equivalentsOf(registry, repository)) {
      const found = await ask(other, Math.max(deadlineMs, clock.monotonicMs() + elsewhereMs));
      if (found === undefined) continue;
      onDetour(`${target.name} ${digest}`, attempts);
      const reason = `no source of ${registry}/${repository} gave it; ${other.registry}/${other.repository} has the same digest`;
      await keep(target, found, formatTrail({ atMs: clock.nowMs(), attempts, reason }));
      return found;
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
