// Whether everything is here to pull an image with no network: the tag, the manifests of the chosen platforms, every config and layer, their
// rows and their files. It asks no source and changes nothing.

import { stat } from 'node:fs/promises';
import type { RepositoryTarget } from '../auth/access.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { ContentQueries, StoredManifest } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import { listTagPage } from '../db/tag-pages.ts';
import type { Clock } from '../lib/clock.ts';
import { type Digest, digestAlgorithm, startDigest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { formatPlatforms, type PlatformChoice } from '../oci/platform.ts';
import type { Reference } from '../oci/reference.ts';
import type { ManifestAnswer } from './answers.ts';
import { type GraphBlob, walkImage } from './image-graph.ts';
import { resolveImage } from './image-name.ts';
import { mirrorTargetOf } from './mirror-target.ts';
import type { NameRules } from './names.ts';
import { createPace, type Pace } from './pace.ts';
import { createTagPolicies, type TagRules } from './tag-policies.ts';

export interface VerifyWish {
  readonly image: string;
  /** `present`: the children that are here, at least one, each whole. */
  readonly platforms: PlatformChoice | 'present';
}
export interface Shortfall {
  readonly what: 'name' | 'tag' | 'manifest' | 'platform' | 'blob';
  readonly digest?: Digest;
  readonly reason: string;
}
export interface Verified {
  readonly kind: 'image';
  readonly image: string;
  readonly complete: boolean;
  readonly digest?: Digest;
  readonly manifests: number;
  readonly blobs: number;
  readonly sizeBytes: number;
  /** Until when the tag of a mirror is served although no source confirms it (ms). */
  readonly servedUntilMs?: number;
  readonly missing: readonly Shortfall[];
}
/** Says that a long check goes on. */
export interface VerifyProgress {
  readonly kind: 'progress';
  readonly image: string;
  readonly checkedBytes: number;
}

export interface VerifyHow {
  /** Reads every byte and compares the digest, at most so many bytes per second; without it rows and file sizes are compared. */
  readonly deepBytesPerSecond?: number;
  readonly signal: AbortSignal;
}
export interface Verifier {
  /** One answer per image, in order. Throws nothing for an image that is not here: that is its answer. */
  images(wishes: readonly VerifyWish[], how: VerifyHow): AsyncGenerator<Verified | VerifyProgress>;
  /** All tags of the server. */
  everything(platforms: VerifyWish['platforms'], how: VerifyHow): AsyncGenerator<Verified | VerifyProgress>;
}

const pageSize = 200;
const readMaxBytes = 256 * 1024;
const readMinBytes = 16 * 1024;
const progressEveryMs = 2000;
/** Blobs whose outcome is remembered, so that what many images share is looked at once. */
const rememberedMax = 1_000_000;

interface Root {
  readonly manifest: StoredManifest;
  /** Of a mirror's tag. */
  readonly servedUntilMs?: number;
  readonly isRemoved?: boolean;
}

interface Walk {
  readonly how: VerifyHow;
  readonly pace: Pace | undefined;
  /** What is wrong with a blob that was looked at already; '' when nothing. */
  readonly known: Map<Digest, string>;
  checkedBytes: number;
  saidAtMs: number;
}

export function createVerifier(parts: {
  database: Database;
  content: ContentQueries;
  store: BlobStore;
  names: NameRules;
  clock: Clock;
  rules: TagRules;
}): Verifier {
  const { database, content, store, names, clock } = parts;
  const policies = createTagPolicies(parts.rules);

  return {
    images: async function* (wishes, how) {
      const walk = startWalk(how);
      for (const wish of wishes) yield* verify(wish, walk);
    },
    everything: async function* (platforms, how) {
      const walk = startWalk(how);
      for (let after = 0; ; ) {
        const page = await listTagPage(database.read, { after, limit: pageSize });
        for (const { id, repository, tag } of page) {
          yield* verify({ image: `${repository}:${tag}`, platforms }, walk);
          after = id;
        }
        if (page.length < pageSize) return;
      }
    },
  };

  function startWalk(how: VerifyHow): Walk {
    const pace = how.deepBytesPerSecond === undefined ? undefined : createPace(how.deepBytesPerSecond, clock);
    return { how, pace, known: new Map(), checkedBytes: 0, saidAtMs: clock.monotonicMs() };
  }

  async function* verify(wish: VerifyWish, walk: Walk): AsyncGenerator<Verified | VerifyProgress> {
    walk.how.signal.throwIfAborted();
    const nothing = { kind: 'image', image: wish.image, complete: false, manifests: 0, blobs: 0, sizeBytes: 0 } as const;
    const resolved = await resolveImage(names, wish.image).catch((error) => {
      if (error instanceof OciError) return error.message;
      throw error;
    });
    if (typeof resolved === 'string') {
      yield { ...nothing, missing: [{ what: 'name', reason: resolved }] };
      return;
    }
    const { target, reference } = resolved;
    const root = await findRoot(target, reference);
    if (root === undefined) {
      const what = reference.kind === 'tag' ? 'tag' : 'manifest';
      yield {
        ...nothing,
        missing: [{ what, ...(reference.kind === 'digest' ? { digest: reference.digest } : {}), reason: 'is not here' }],
      };
      return;
    }
    const choice = wish.platforms === 'present' ? 'all' : wish.platforms;
    const graph = await walkImage(answerOf(root.manifest), choice, async (digest) => {
      const child = await findManifest(target, digest);
      return child === undefined ? undefined : answerOf(child);
    });
    const missing: Shortfall[] = [];
    if (graph.unmet.length > 0) missing.push({ what: 'platform', reason: `the image has nothing for ${formatPlatforms(graph.unmet)}` });
    const needsAll = wish.platforms !== 'present' || graph.manifests.length === 1;
    if (needsAll) missing.push(...graph.absent.map((digest): Shortfall => ({ what: 'manifest', digest, reason: 'is not here' })));
    const { servedUntilMs } = root;
    if (root.isRemoved === true)
      missing.push({ what: 'tag', reason: 'its registry has removed it; mirror.on_upstream_delete keeps such tags' });
    else if (servedUntilMs !== undefined && servedUntilMs <= clock.nowMs())
      missing.push({ what: 'tag', reason: 'was last confirmed longer ago than mirror.stale_if_error allows; warm it again' });
    for (const blob of graph.blobs) {
      const wrong = yield* checkBlob(target, blob, wish.image, walk);
      if (wrong !== '') missing.push({ what: 'blob', digest: blob.digest, reason: wrong });
    }
    yield {
      kind: 'image',
      image: wish.image,
      complete: missing.length === 0,
      digest: root.manifest.digest,
      manifests: graph.manifests.length,
      blobs: graph.blobs.length,
      sizeBytes: graph.blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0),
      ...(servedUntilMs === undefined ? {} : { servedUntilMs }),
      missing,
    };
  }

  /** As a pull would: local content first, then the mirror behind it, whose tags are served for a time only. */
  async function findRoot(target: RepositoryTarget, reference: Reference): Promise<Root | undefined> {
    if (reference.kind === 'digest') {
      const manifest = await findManifest(target, reference.digest);
      return manifest === undefined ? undefined : { manifest };
    }
    for (const place of target.fallback === undefined ? [target] : [target, target.fallback]) {
      const found = await content.manifestByTag(place.name, reference.tag);
      if (found === undefined) continue;
      if (place.upstream === undefined) return { manifest: found };
      const policy = policies.of(mirrorTargetOf(place), reference.tag);
      return {
        manifest: found,
        servedUntilMs: (found.verifiedAtMs ?? 0) + policy.staleIfErrorMs,
        isRemoved: found.removedAtMs !== null && policy.onUpstreamDelete === 'remove',
      };
    }
    return undefined;
  }

  async function findManifest(target: RepositoryTarget, digest: Digest): Promise<StoredManifest | undefined> {
    for (const name of namesOf(target)) {
      const found = await content.manifestByDigest(name, digest);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** What is wrong, or ''. */
  async function* checkBlob(target: RepositoryTarget, blob: GraphBlob, image: string, walk: Walk): AsyncGenerator<VerifyProgress, string> {
    let row: Awaited<ReturnType<ContentQueries['blob']>>;
    for (const name of namesOf(target)) row ??= await content.blob(name, blob.digest);
    if (row === undefined) return blob.isRequired ? 'is not here' : '';
    if (row.sizeBytes !== blob.sizeBytes) return `has ${row.sizeBytes} bytes here, the manifest says ${blob.sizeBytes}`;
    const known = walk.known.get(blob.digest);
    if (known !== undefined) return known;
    const { path } = store.open(row.storageKey);
    const wrong = (await checkFile(path, row.sizeBytes)) ?? (walk.pace === undefined ? '' : yield* rehash(path, blob, image, walk));
    if (walk.known.size < rememberedMax) walk.known.set(blob.digest, wrong);
    return wrong;
  }

  async function* rehash(path: string, blob: GraphBlob, image: string, walk: Walk): AsyncGenerator<VerifyProgress, string> {
    const hash = startDigest(digestAlgorithm(blob.digest));
    // At a low rate small pieces, so that the answer never rests for long.
    const readBytes = Math.max(readMinBytes, Math.min(readMaxBytes, walk.how.deepBytesPerSecond ?? readMaxBytes));
    for (let at = 0; at < blob.sizeBytes; at += readBytes) {
      const chunk = await Bun.file(path)
        .slice(at, Math.min(at + readBytes, blob.sizeBytes))
        .bytes();
      hash.update(chunk);
      walk.checkedBytes += chunk.byteLength;
      await walk.pace?.take(chunk.byteLength, walk.how.signal);
      walk.how.signal.throwIfAborted();
      if (clock.monotonicMs() - walk.saidAtMs < progressEveryMs) continue;
      walk.saidAtMs = clock.monotonicMs();
      yield { kind: 'progress', image, checkedBytes: walk.checkedBytes };
    }
    return hash.digest() === blob.digest ? '' : 'the file has another digest: it is damaged';
  }
}

async function checkFile(path: string, sizeBytes: number): Promise<string | undefined> {
  const found = await stat(path).catch((error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return 'the file is gone';
  return found.size === sizeBytes ? undefined : `the file has ${found.size} bytes instead of ${sizeBytes}`;
}

function namesOf(target: RepositoryTarget): readonly string[] {
  return target.fallback === undefined ? [target.name] : [target.name, target.fallback.name];
}

function answerOf({ digest, mediaType, bytes }: StoredManifest): ManifestAnswer {
  return { digest, mediaType, bytes };
}
