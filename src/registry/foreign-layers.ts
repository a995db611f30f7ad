// Layers whose manifest says that they live elsewhere (`urls` in the descriptor, as in old Windows images): fetched from there when no source has
// them, checked by digest as everything else (fault F49). A manifest is written by strangers, so only hosts on the operator's list are asked;
// nothing is sent but the request. image-spec v1.1 "descriptor.md", `urls`; wire.md 2.5.

import { readManifestsNaming } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Digest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import { createSourceHealth } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import type { MirrorTarget } from './mirror-target.ts';
import { createSourcePool, type SourcePool } from './source-pool.ts';

/** What a fill needs to fetch one foreign layer. */
export interface ForeignLayer {
  readonly pool: SourcePool;
  readonly client: Pick<UpstreamClient, 'getBlob'>;
}
export interface ForeignLayers {
  /** Where its manifests say it lives, as far as that is allowed; undefined for nowhere. */
  of(target: MirrorTarget, digest: Digest): Promise<ForeignLayer | undefined>;
}

const manifestsMax = 4;
const urlsMax = 8;

/** `hosts`: origins (`https://go.microsoft.com`). */
export function createForeignLayers(options: {
  database: Pick<Database, 'read'>;
  client: Pick<UpstreamClient, 'getBlob'>;
  clock: Clock;
  hosts: readonly string[];
}): ForeignLayers {
  const { database, client, clock } = options;
  const allowed = new Set(options.hosts);
  return {
    of: async (target, digest) => {
      if (allowed.size === 0) return undefined;
      const urls = new Set<string>();
      for (const { bytes, mediaType } of await readManifestsNaming(database.read, target.name, digest, manifestsMax)) {
        const named = parseManifest(bytes, mediaType).references.filter((reference) => reference.digest === digest);
        for (const url of named.flatMap((reference) => reference.urls ?? [])) {
          const parsed = URL.parse(url);
          if (parsed !== null && parsed.username === '' && parsed.password === '' && allowed.has(parsed.origin)) urls.add(parsed.href);
        }
      }
      if (urls.size === 0) return undefined;
      const { registry } = target.upstream;
      const sources = [...urls].slice(0, urlsMax).map(
        (url, priority): Source => ({
          id: `foreign ${priority} ${new URL(url).origin}`,
          registry,
          // Without the query, which may be a signature: this is what trails show.
          url: `${new URL(url).origin}${new URL(url).pathname}`,
          trust: 'digest-only',
          priority,
          realms: [],
        }),
      );
      const addresses = new Map(sources.map((source, place) => [source.id, [...urls][place]]));
      // Its own health record: what happens there says nothing about a source of the registry.
      const pool = createSourcePool({ sources: new Map([[registry, sources]]), health: createSourceHealth({ clock }), clock });
      return {
        pool,
        client: {
          getBlob: (source, repository, wanted, call) => {
            const at = addresses.get(source.id);
            return client.getBlob(source, repository, wanted, { ...call, ...(at === undefined ? {} : { at }) });
          },
        },
      };
    },
  };
}
