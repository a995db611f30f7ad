// `explain`: for an image, what this server would answer and why: which sources were asked, what each did, and which bytes of every blob came
// from where (design 7.7).

import type { RepositoryTarget } from '../auth/access.ts';
import { type ReferenceTrail, readReferenceTrails, readTagTrail } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import { type Digest, requireDigest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { requireTag } from '../oci/reference.ts';
import { parseImage, withoutOwnHost } from './image-name.ts';
import type { Mirror } from './mirror.ts';
import { type NameRules, resolveName } from './names.ts';
import type { SourcePool } from './source-pool.ts';
import { type Attempt, parseTrail, type Segment, type Trail } from './trail.ts';

export interface ExplainedBlob {
  readonly digest: Digest;
  readonly kind: 'config' | 'layer' | 'manifest';
  readonly sizeBytes: number;
  readonly cached: boolean;
  readonly segments: readonly Segment[];
  readonly attempts: readonly Attempt[];
  /** Where it was linked instead of fetched. */
  readonly reason?: string;
}
export interface Explanation {
  readonly image: string;
  readonly project: string;
  readonly kind: 'local' | 'mirror' | 'overlay';
  readonly registry?: string;
  /** The name inside the registry, or the local one. */
  readonly repository: string;
  readonly reference: string;
  readonly digest?: Digest;
  readonly cached: boolean;
  readonly tag?: {
    readonly trust: string;
    readonly verifiedAt?: string;
    readonly checkedAt?: string;
    /** When its registry was last heard to say that it has no such tag any more. */
    readonly removedAt?: string;
    readonly trail?: Trail;
  };
  /** An authority's word that it is not there, which is repeated without asking for so long. */
  readonly absence?: { readonly at: string; readonly forMs: number; readonly reason: string };
  /** Sources that gave another digest for this tag. */
  readonly drift?: Trail;
  /** Repositories that are asked for its digests when all sources have failed. */
  readonly equivalents?: readonly string[];
  /** The sources in the order they would be asked now, and what stands against one. */
  readonly sources?: readonly { readonly url: string; readonly trust: string; readonly state: string; readonly evidence?: string }[];
  /** Config and layers of the image, and of every cached child of an index. */
  readonly blobs: readonly ExplainedBlob[];
  /** Why the last pull of it failed. */
  readonly lastFailure?: Trail;
}

export interface Explain {
  /**
   * `image` as one would pull it: `debian:v1`, `library/debian`, `ghcr.io/owner/app@sha256:...`, or with this server's own address in front, one of
   * `ownHosts` or a loopback one.
   */
  explain(image: string, ownHosts?: readonly string[]): Promise<Explanation>;
}

const childrenMax = 200;

export function createExplain(options: {
  database: Database;
  names: NameRules;
  mirror: Mirror;
  pool: SourcePool;
  /** `HOST[:PORT]` of the external URL. */
  externalHost?: string;
}): Explain {
  const { database, names, mirror, pool, externalHost } = options;
  return {
    explain: async (image, ownHosts = []) => {
      const { name, reference } = parseImage(withoutOwnHost(image, externalHost === undefined ? ownHosts : [...ownHosts, externalHost]));
      const resolved = await resolveName(names, name, undefined);
      if (resolved === undefined) throw new OciError('NAME_UNKNOWN', `${name} means nothing here: no such project, and no root registry`);
      const local = await look(resolved, reference);
      const target = local.digest === undefined && resolved.fallback !== undefined ? resolved.fallback : resolved;
      const found = target === resolved ? local : await look(target, reference);
      const failure = mirror.lastFailure(target.name, reference);
      return {
        image,
        project: target.project.name,
        kind: target.project.kind,
        ...(target.upstream === undefined ? {} : { registry: target.upstream.registry }),
        repository: target.upstream?.repository ?? target.name,
        reference,
        cached: found.digest !== undefined,
        ...found,
        ...(failure === undefined ? {} : { lastFailure: failure }),
        ...(target.upstream === undefined ? {} : standing(target.name, target.upstream, reference)),
      };
    },
  };

  /** What the mirror has in mind about it now. */
  function standing(
    name: string,
    { registry, repository }: NonNullable<RepositoryTarget['upstream']>,
    reference: string,
  ): Pick<Explanation, 'absence' | 'drift' | 'equivalents' | 'sources'> {
    const absence = mirror.absence(name, reference);
    const drift = mirror.drift(name, reference);
    const sources = pool.ranked(registry, repository).map((source) => {
      const { state, evidence } = pool.snapshot(source);
      const doubt = mirror.doubt(source) ?? (state === 'quarantined' ? evidence : undefined);
      return { url: source.url, trust: source.trust, state, ...(doubt === undefined ? {} : { evidence: doubt }) };
    });
    return {
      ...(absence === undefined
        ? {}
        : { absence: { at: new Date(absence.atMs).toISOString(), forMs: Math.round(absence.forMs), reason: absence.reason } }),
      ...(drift === undefined ? {} : { drift }),
      equivalents: mirror.equivalents(registry, repository).map((other) => `${other.registry}/${other.repository}`),
      sources,
    };
  }

  async function look(target: RepositoryTarget, reference: string): Promise<Pick<Explanation, 'digest' | 'tag' | 'blobs'>> {
    const tag = reference.includes(':') ? undefined : await readTagTrail(database.read, target.name, requireTag(reference));
    const digest = tag?.digest ?? (reference.includes(':') ? requireDigest(reference) : undefined);
    const blobs = digest === undefined ? [] : await partsOf(target.name, digest);
    if (digest === undefined || (tag === undefined && blobs.length === 0)) return { blobs: [] };
    const trail = tag === undefined ? undefined : parseTrail(tag.tagTrail);
    return {
      digest,
      ...(tag === undefined
        ? {}
        : {
            tag: {
              trust: tag.trust,
              ...(tag.verifiedAtMs === null ? {} : { verifiedAt: new Date(tag.verifiedAtMs).toISOString() }),
              ...(tag.checkedAtMs === null ? {} : { checkedAt: new Date(tag.checkedAtMs).toISOString() }),
              ...(tag.removedAtMs === null ? {} : { removedAt: new Date(tag.removedAtMs).toISOString() }),
              ...(trail === undefined ? {} : { trail }),
            },
          }),
      blobs,
    };
  }

  /** Walks an index's cached children too; each manifest once. */
  async function partsOf(repository: string, manifest: Digest): Promise<ExplainedBlob[]> {
    const parts = new Map<Digest, ExplainedBlob>();
    const todo = [manifest];
    for (let visited = 0; visited < childrenMax; visited++) {
      const next = todo.pop();
      if (next === undefined) break;
      for (const row of await readReferenceTrails(database.read, repository, next)) {
        if (parts.has(row.digest)) continue;
        parts.set(row.digest, toBlob(row));
        if (row.kind === 'manifest' && row.linkedAtMs !== null) todo.push(row.digest);
      }
    }
    return [...parts.values()];
  }
}

function toBlob(row: ReferenceTrail): ExplainedBlob {
  const trail = parseTrail(row.trail);
  return {
    digest: row.digest,
    kind: row.kind,
    sizeBytes: row.sizeBytes,
    cached: row.linkedAtMs !== null,
    segments: trail?.segments ?? [],
    attempts: trail?.attempts ?? [],
    ...(trail?.reason === undefined ? {} : { reason: trail.reason }),
  };
}
