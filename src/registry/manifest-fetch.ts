// Fetching manifests for a mirror: by digest from any source, the digest being the proof; kept byte for byte.

import type { ContentQueries } from '../db/content.ts';
import type { TagTrust } from '../db/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import type { Digest } from '../oci/digest.ts';
import type { Tag } from '../oci/reference.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import { type ManifestAnswer, manifestUnknown } from './answers.ts';
import type { Ingest } from './ingest.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { Repositories } from './repositories.ts';
import type { SourcePool } from './source-pool.ts';
import { type Attempt, formatTrail } from './trail.ts';
import { unavailable } from './unavailable.ts';

const manifestTimeoutMs = 10_000;

export interface ManifestFetcher {
  /** Local, or from the sources in the order of health. MANIFEST_UNKNOWN only by an authority's word. */
  byDigest(target: MirrorTarget, digest: Digest): Promise<ManifestAnswer>;
  /** Keeps a manifest a source gave for a tag; the tag itself is not set. */
  keep(
    target: MirrorTarget,
    manifest: { readonly bytes: Uint8Array; readonly mediaType: string; readonly digest: Digest },
    source: Source,
  ): Promise<void>;
  setTag(target: MirrorTarget, tag: Tag, manifest: ManifestAnswer, trust: TagTrust, trail: string): Promise<void>;
}

export function createManifestFetcher(options: {
  content: ContentQueries;
  repositories: Repositories;
  ingest: Ingest;
  client: UpstreamClient;
  pool: SourcePool;
  clock: Clock;
}): ManifestFetcher {
  const { content, repositories, ingest, client, pool, clock } = options;
  const flights = createSingleFlight<ManifestAnswer>();
  const store = async (
    target: MirrorTarget,
    manifest: { bytes: Uint8Array; mediaType: string; digest: Digest },
    trail: string,
    tag?: { name: Tag; trust: TagTrust },
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
  };
  const fetch = async (target: MirrorTarget, digest: Digest): Promise<ManifestAnswer> => {
    const attempts: Attempt[] = [];
    let isAbsent = false;
    for (const source of pool.ranked(target.upstream.registry, target.upstream.repository)) {
      const asked = await pool.ask(source, {
        repository: target.upstream.repository,
        verified: true,
        run: () => client.getManifest(source, target.upstream.repository, digest, { timeoutMs: manifestTimeoutMs }),
      });
      attempts.push(asked.attempt);
      if ('value' in asked) {
        const { bytes, mediaType } = asked.value;
        await store(target, asked.value, formatTrail({ atMs: clock.nowMs(), attempts }));
        return { digest, mediaType, bytes };
      }
      if (source.trust === 'authority' && (asked.error?.verdict === 'not-found' || asked.error?.verdict === 'gone')) isAbsent = true;
    }
    if (isAbsent) throw manifestUnknown({ kind: 'digest', digest });
    throw unavailable(target, attempts);
  };
  return {
    byDigest: async (target, digest) => {
      const known = await content.manifestByDigest(target.name, digest);
      if (known !== undefined) return { digest, mediaType: known.mediaType, bytes: known.bytes };
      return flights.run(`${target.name}@${digest}`, () => fetch(target, digest));
    },
    keep: (target, manifest, source) =>
      store(
        target,
        manifest,
        formatTrail({ atMs: clock.nowMs(), attempts: [{ source: source.url, verdict: 'ok', ms: 0, bytes: manifest.bytes.byteLength }] }),
      ),
    setTag: (target, tag, manifest, trust, trail) => store(target, manifest, trail, { name: tag, trust }),
  };
}
