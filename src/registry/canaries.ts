// What a source is asked for by a probe: an image every mirror of its registry has, one that only a mirror without a whitelist has, and a small
// blob that is cached here, so that its answer can be compared. What is configured counts before what is built in, before what is cached.

import type { Config } from '../config/config.ts';
import { findCachedSample } from '../db/canaries.ts';
import type { Database } from '../db/database.ts';
import type { Digest } from '../oci/digest.ts';

export interface ImageCanary {
  /** The name inside the registry. */
  readonly repository: string;
  readonly tag: string;
}
export interface BlobCanary {
  readonly repository: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}
export interface Canaries {
  readonly popular?: ImageCanary;
  readonly rare?: ImageCanary;
  readonly blob?: BlobCanary;
}

/** A configuration of an image: some kilobytes. */
const blobMaxBytes = 65_536;

/** Images that have been there for years. */
const builtIn: Readonly<Record<string, { readonly popular: string; readonly rare?: string }>> = {
  'docker.io': { popular: 'library/alpine:latest', rare: 'tianon/true:latest' },
  'quay.io': { popular: 'prometheus/busybox:latest' },
  'registry.k8s.io': { popular: 'pause:3.9' },
  'mcr.microsoft.com': { popular: 'hello-world:latest' },
  'gcr.io': { popular: 'distroless/static:latest' },
  'public.ecr.aws': { popular: 'docker/library/alpine:latest' },
};

export type FindCanaries = (registry: string) => Promise<Canaries>;

export function createCanaries(options: { configured: Config['probes']['canaries']; database: Pick<Database, 'read'> }): FindCanaries {
  return async (registry) => {
    const configured = options.configured.get(registry) ?? {};
    const sample = await findCachedSample(options.database.read, registry, blobMaxBytes);
    const prefix = sample === undefined ? '' : `${sample.projectName}/`;
    const repository = sample?.repositoryName.startsWith(prefix) === true ? sample.repositoryName.slice(prefix.length) : undefined;
    const cached = repository === undefined || sample?.tag === undefined ? undefined : { repository, tag: sample.tag };
    const popular = parseCanary(configured.popular ?? builtIn[registry]?.popular) ?? cached;
    const rare = parseCanary(configured.rare ?? builtIn[registry]?.rare);
    return {
      ...(popular === undefined ? {} : { popular }),
      ...(rare === undefined ? {} : { rare }),
      ...(repository === undefined || sample === undefined ? {} : { blob: { repository, ...sample.blob } }),
    };
  };
}

function parseCanary(image: string | undefined): ImageCanary | undefined {
  if (image === undefined) return undefined;
  const colon = image.lastIndexOf(':');
  return colon > image.lastIndexOf('/')
    ? { repository: image.slice(0, colon), tag: image.slice(colon + 1) }
    : { repository: image, tag: 'latest' };
}
