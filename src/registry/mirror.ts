// The mirror as the pull path sees it: tags, manifests, blobs, tag lists and referrers of a registry behind several sources.

import type { Access, RepositoryTarget } from '../auth/access.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { createSemaphore, LimitError } from '../lib/limits.ts';
import { createLru } from '../lib/lru.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { parseTag, type Reference, type Tag } from '../oci/reference.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import { type BlobAnswer, type BlobRequest, blobUnknown, type ManifestAnswer, type ReferrerDescriptor } from './answers.ts';
import { type Fill, type FillParts, SourcesFailed, startFill, verifyFirstBytes } from './fill.ts';
import type { Ingest } from './ingest.ts';
import { createManifestFetcher } from './manifest-fetch.ts';
import { type MirrorTarget, mirrorAccess, mirrorTargetOf } from './mirror-target.ts';
import type { Repositories } from './repositories.ts';
import type { SourcePool } from './source-pool.ts';
import { createTagResolver, type TagRules } from './tag-resolution.ts';
import { type Attempt, formatTrail, type Trail } from './trail.ts';
import { unavailable } from './unavailable.ts';

const listingTimeoutMs = 5_000;
const listingPagesMax = 20;
const listedTagsMax = 20_000;

export interface Mirror {
  manifest(access: Access<'pull'>, reference: Reference, signal: AbortSignal): Promise<ManifestAnswer>;
  blob(access: Access<'pull'>, digest: Digest, request: BlobRequest, signal: AbortSignal): Promise<BlobAnswer>;
  /** The authority's tags (at most 20,000, remembered for the tag TTL); undefined when it cannot be asked or has no such repository. */
  tags(target: RepositoryTarget, signal: AbortSignal): Promise<readonly Tag[] | undefined>;
  /** What the authority lists as referrers; empty when it cannot be asked or has no such API. */
  referrers(target: RepositoryTarget, subject: Digest, signal: AbortSignal): Promise<readonly ReferrerDescriptor[]>;
  /** Why the last pull of something not cached failed, for `explain`. */
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
  readonly limits: { readonly blobMaxBytes: number; readonly fills: number };
  readonly clock: Clock;
}

export function createMirror(options: MirrorOptions): Mirror {
  const { content, database, repositories, store, ingest, client, pool, rules, limits, clock } = options;
  const fetcher = createManifestFetcher({ content, repositories, ingest, client, pool, clock });
  const tagResolver = createTagResolver({ content, database, client, pool, fetcher, rules, clock });
  const stopping = new AbortController();
  const parts: FillParts = { store, client, pool, clock, signal: stopping.signal };
  const fills = new Map<string, Fill>();
  const places = createSemaphore({ places: limits.fills, queueMax: limits.fills * 16 });
  const failures = createLru<string, Trail>({ maxEntries: 1000 });
  const listings = createLru<string, { readonly tags: readonly Tag[]; readonly atMs: number }>({ maxEntries: 100 });
  const listingFlights = createSingleFlight<readonly Tag[] | undefined>();

  const remember = (key: string, error: unknown): void => {
    const attempts =
      error instanceof OciError && typeof error.detail === 'object' && error.detail !== null && 'attempts' in error.detail
        ? (error.detail.attempts as Attempt[])
        : undefined;
    if (attempts !== undefined) failures.set(key, { atMs: clock.nowMs(), attempts });
  };

  return {
    manifest: async (access, reference) => {
      const target = mirrorAccess(access);
      try {
        return await (reference.kind === 'tag' ? tagResolver.resolve(target, reference.tag) : fetcher.byDigest(target, reference.digest));
      } catch (error) {
        remember(`${target.name} ${reference.kind === 'tag' ? reference.tag : reference.digest}`, error);
        throw error;
      }
    },
    blob: async (access, digest, request, signal) => {
      const target = mirrorAccess(access);
      const found = await content.blob(target.name, digest);
      if (found !== undefined) return { ...store.open(found.storageKey), sizeBytes: found.sizeBytes };
      const statedBytes = await content.statedSize(target.name, digest);
      if (request.head) return { kind: 'known', sizeBytes: statedBytes ?? (await upstreamSize(target, digest)) };
      if (statedBytes !== undefined && (await linkPublic(target, digest))) return storedBlob(target, digest);
      return awaitFill(target, digest, statedBytes, request, signal);
    },
    tags: async (target, signal) => {
      const mirrored = mirrorTargetOf(target);
      const known = listings.get(target.name);
      if (known !== undefined && clock.monotonicMs() - known.atMs < rules.tagTtlMs) return known.tags;
      const tags = await listingFlights.run(target.name, () => listUpstreamTags(mirrored));
      signal.throwIfAborted();
      if (tags !== undefined) listings.set(target.name, { tags, atMs: clock.monotonicMs() });
      return tags;
    },
    referrers: async (target, subject) => {
      const { registry, repository } = mirrorTargetOf(target).upstream;
      for (const source of pool.ranked(registry, repository, 'authority')) {
        const asked = await pool.ask(source, {
          repository,
          run: () => client.getReferrers(source, repository, subject, { timeoutMs: rules.revalidateTimeoutMs }),
        });
        if ('value' in asked) return asked.value === undefined ? [] : readReferrers(asked.value.bytes);
      }
      return [];
    },
    lastFailure: (name, reference) => failures.get(`${name} ${reference}`),
    close: async () => {
      stopping.abort(new OciError('UNAVAILABLE', 'the server is shutting down'));
      await Promise.allSettled([...fills.values()].map((fill) => fill.settled));
    },
  };

  /** Content that anybody may fetch upstream and that is here already is linked, when this repository's own manifest names it. */
  async function linkPublic(target: MirrorTarget, digest: Digest): Promise<boolean> {
    if (!pool.isAnonymous(target.upstream.registry) || (await content.originOf(digest)) !== 'public') return false;
    const repositoryId = await repositories.ensure(target.project.id, target.name);
    return database.run('linkBlob', {
      repositoryId,
      digest,
      trail: formatTrail({ atMs: clock.nowMs(), attempts: [], reason: 'here already, fetched for another repository' }),
    });
  }

  async function storedBlob(target: MirrorTarget, digest: Digest): Promise<BlobAnswer> {
    const found = await content.blob(target.name, digest);
    if (found === undefined) throw blobUnknown(digest);
    return { ...store.open(found.storageKey), sizeBytes: found.sizeBytes };
  }

  async function awaitFill(
    target: MirrorTarget,
    digest: Digest,
    statedBytes: number | undefined,
    request: BlobRequest,
    signal: AbortSignal,
  ): Promise<BlobAnswer> {
    const fill = fillOf(target, digest, statedBytes);
    const isSmall = (fill.totalBytes ?? Number.MAX_SAFE_INTEGER) <= verifyFirstBytes;
    const left = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    left.catch(() => undefined);
    let isSettled = false;
    const settled = fill.settled.then(() => {
      isSettled = true;
    });
    try {
      await Promise.race([left, isSmall ? settled : Promise.race([settled, fill.readable(request.startBytes)])]);
      // Another repository's fill of the same public blob: link it here too.
      if (isSettled && (await content.blob(target.name, digest)) === undefined) await linkPublic(target, digest);
      if (isSettled) return await storedBlob(target, digest);
    } catch (error) {
      throw asPullError(target, digest, error);
    }
    settled.catch(() => undefined);
    return { kind: 'arriving', sizeBytes: fill.totalBytes, follow: fill.follow };
  }

  function fillOf(target: MirrorTarget, digest: Digest, statedBytes: number | undefined): Fill {
    const isShared = statedBytes !== undefined && pool.isAnonymous(target.upstream.registry);
    const key = isShared ? digest : `${target.name} ${digest}`;
    const running = fills.get(key);
    if (running !== undefined) return running;
    const { registry, repository } = target.upstream;
    const fill = startFill(
      parts,
      {
        registry,
        repository,
        digest,
        expectedBytes: statedBytes,
        blobMaxBytes: limits.blobMaxBytes,
        keep: async (spool, { attempts, segments }) => {
          await ingest.blob({
            repositoryId: await repositories.ensure(target.project.id, target.name),
            spool,
            digest,
            origin: pool.isAnonymous(registry) ? 'public' : 'restricted',
            trail: formatTrail({ atMs: clock.nowMs(), attempts, segments }),
          });
        },
      },
      (task) => places.run(task),
    );
    fills.set(key, fill);
    const done = (): void => {
      fills.delete(key);
    };
    fill.settled.then(done, (error) => {
      done();
      if (error instanceof SourcesFailed) failures.set(`${target.name} ${digest}`, { atMs: clock.nowMs(), attempts: error.attempts });
    });
    return fill;
  }

  async function upstreamSize(target: MirrorTarget, digest: Digest): Promise<number> {
    const attempts: Attempt[] = [];
    const { registry, repository } = target.upstream;
    for (const source of pool.ranked(registry, repository)) {
      const asked = await pool.ask(source, {
        repository,
        run: () => client.headBlob(source, repository, digest, { timeoutMs: listingTimeoutMs }),
      });
      attempts.push(asked.attempt);
      if ('value' in asked && asked.value.sizeBytes !== undefined) return asked.value.sizeBytes;
    }
    throw blobFailure(target, digest, attempts);
  }

  async function listUpstreamTags(target: MirrorTarget): Promise<readonly Tag[] | undefined> {
    const { registry, repository } = target.upstream;
    for (const source of pool.ranked(registry, repository, 'authority')) {
      const asked = await pool.ask(source, {
        repository,
        run: async () => {
          const tags: Tag[] = [];
          let next: string | undefined;
          for (let page = 0; page < listingPagesMax && tags.length < listedTagsMax; page++) {
            const answer = await client.listTags(source, repository, {
              timeoutMs: listingTimeoutMs,
              n: 1000,
              ...(next === undefined ? {} : { next }),
            });
            for (const text of answer.tags) {
              const tag = parseTag(text);
              if (tag !== undefined) tags.push(tag);
            }
            next = answer.next;
            if (next === undefined) break;
          }
          return tags;
        },
      });
      if ('value' in asked) return asked.value;
    }
    return undefined;
  }

  function asPullError(target: MirrorTarget, digest: Digest, error: unknown): unknown {
    if (error instanceof LimitError)
      return new OciError('UNAVAILABLE', 'too many downloads wait already; try again shortly', { retryAfterMs: 5000 });
    if (!(error instanceof SourcesFailed)) return error;
    return blobFailure(target, digest, error.attempts);
  }

  function blobFailure(target: MirrorTarget, digest: Digest, attempts: readonly Attempt[]): OciError {
    const authorities = new Set(
      pool.sourcesOf(target.upstream.registry).flatMap((source) => (source.trust === 'authority' ? [source.url] : [])),
    );
    const isAbsent = attempts.some(
      (attempt) => authorities.has(attempt.source) && (attempt.verdict === 'not-found' || attempt.verdict === 'gone'),
    );
    return isAbsent ? blobUnknown(digest) : unavailable(target, attempts);
  }
}

/** The descriptors of an upstream's referrers index; what is malformed is left out. */
function readReferrers(bytes: Uint8Array): ReferrerDescriptor[] {
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
  const manifests =
    typeof value === 'object' && value !== null && 'manifests' in value && Array.isArray(value.manifests)
      ? (value.manifests as unknown[])
      : [];
  return manifests.flatMap((item): ReferrerDescriptor[] => {
    if (typeof item !== 'object' || item === null) return [];
    const { mediaType, digest, size, artifactType, annotations } = item as Record<string, unknown>;
    const parsed = typeof digest === 'string' ? parseDigest(digest) : undefined;
    if (parsed === undefined || typeof mediaType !== 'string' || typeof size !== 'number') return [];
    return [
      {
        mediaType,
        digest: parsed,
        size,
        ...(typeof artifactType === 'string' ? { artifactType } : {}),
        ...(typeof annotations === 'object' && annotations !== null ? { annotations: annotations as Record<string, string> } : {}),
      },
    ];
  });
}
