// What a registry lists: its tags, and what refers to a manifest. Asked of authorities only: a list proves nothing by itself.
// distribution-spec v1.1 "Listing Tags" (end-8), "Listing Referrers" (end-12) and "Referrers Tag Schema".

import { type ContentQueries, readListedReferrers } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import { type Digest, digestAlgorithm, digestHex, parseDigest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { parseTag, type Tag } from '../oci/reference.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import type { ReferrerDescriptor } from './answers.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { MirrorTimings } from './mirror-timings.ts';
import { quarantinedAttempt, type SourcePool } from './source-pool.ts';
import type { Attempt } from './trail.ts';
import { unavailable } from './unavailable.ts';

const pagesMax = 20;
const tagsMax = 20_000;
const rememberedListsMax = 100;
/** As JSON, in characters: some thousand referrers. */
const rememberedReferrersMaxLength = 1_000_000;

/** An authority's list; its word that it has no such repository; or why none could be asked. */
export type Listing<T> =
  | { readonly kind: 'listed'; readonly items: readonly T[] }
  | { readonly kind: 'absent' }
  | {
      readonly kind: 'unreachable';
      readonly error: OciError /** What it listed when it was asked last. */;
      readonly remembered?: readonly T[];
    };

export interface MirrorListings {
  /** The authority's tags (at most 20,000, remembered for the tag TTL). */
  tags(target: MirrorTarget, signal: AbortSignal): Promise<Listing<Tag>>;
  /** What the authority lists as referrers, by its API or by the tag schema. */
  /** Kept in the database, so that they are there without the registry, too. */
  referrers(target: MirrorTarget, subject: Digest): Promise<Listing<ReferrerDescriptor>>;
}

export function createMirrorListings(options: {
  content: Pick<ContentQueries, 'repositoryId'>;
  database: Pick<Database, 'read' | 'run'>;
  client: UpstreamClient;
  pool: SourcePool;
  tagTtlMs: number;
  referrersTimeoutMs: number;
  timings: MirrorTimings;
  clock: Clock;
}): MirrorListings {
  const { content, database, client, pool, tagTtlMs, timings, clock } = options;
  const lists = createLru<string, { readonly tags: readonly Tag[]; readonly atMs: number }>({ maxEntries: rememberedListsMax });
  const flights = createSingleFlight<Listing<Tag>>();
  const referrerFlights = createSingleFlight<Listing<ReferrerDescriptor>>();

  /** The first authority that answers; a 404 is an answer, unless another one has a list. */
  const askAuthorities = async <T>(target: MirrorTarget, ask: (source: Source) => Promise<readonly T[]>): Promise<Listing<T>> => {
    const { registry, repository } = target.upstream;
    const attempts: Attempt[] = [];
    let isAbsent = false;
    for (const source of pool.ranked(registry, repository, { trust: 'authority', kind: 'head' })) {
      if (pool.health.isQuarantined(source.id)) {
        attempts.push(quarantinedAttempt(source));
        continue;
      }
      // Some refuse to list what they give out: that refusal concerns no pull.
      const asked = await pool.ask(source, { repository: `${repository} (lists)`, kind: 'head', run: ask });
      attempts.push(asked.attempt);
      if ('value' in asked) return { kind: 'listed', items: asked.value };
      if (asked.error?.verdict === 'not-found' || asked.error?.verdict === 'gone') isAbsent = true;
    }
    if (isAbsent) return { kind: 'absent' };
    const error =
      attempts.length > 0
        ? unavailable(target, attempts)
        : new OciError('UNAVAILABLE', `no authority is configured for ${registry}, and only its word counts for lists`);
    return { kind: 'unreachable', error };
  };

  const listTags = async (source: Source, repository: string): Promise<readonly Tag[]> => {
    const tags: Tag[] = [];
    let next: string | undefined;
    for (let page = 0; page < pagesMax && tags.length < tagsMax; page++) {
      const answer = await client.listTags(source, repository, {
        timeoutMs: timings.listingTimeoutMs,
        n: 1000,
        ...(next === undefined ? {} : { next }),
      });
      tags.push(...answer.tags.map(parseTag).filter((tag) => tag !== undefined));
      next = answer.next;
      if (next === undefined) break;
    }
    return tags;
  };

  const listReferrers = async (source: Source, repository: string, subject: Digest): Promise<readonly ReferrerDescriptor[]> => {
    const found: ReferrerDescriptor[] = [];
    let next: string | undefined;
    for (let page = 0; page < pagesMax; page++) {
      const answer = await client.getReferrers(source, repository, subject, {
        timeoutMs: options.referrersTimeoutMs,
        ...(next === undefined ? {} : { next }),
      });
      if (answer === undefined) return page === 0 ? listByTagSchema(source, repository, subject) : found;
      found.push(...readReferrers(answer.bytes));
      next = answer.next;
      if (next === undefined) break;
    }
    return found;
  };

  /** A registry without the API keeps the index of referrers under a tag made of the digest. */
  const listByTagSchema = async (source: Source, repository: string, subject: Digest): Promise<readonly ReferrerDescriptor[]> => {
    const tag = `${digestAlgorithm(subject)}-${digestHex(subject).slice(0, 64)}`;
    try {
      return readReferrers((await client.getManifest(source, repository, tag, { timeoutMs: options.referrersTimeoutMs })).bytes);
    } catch (error) {
      if (error instanceof Error && 'verdict' in error && error.verdict === 'not-found') return [];
      throw error;
    }
  };

  /** Only for a repository that holds something: a list by itself makes none. */
  const remember = async (target: MirrorTarget, subject: Digest, items: readonly ReferrerDescriptor[]): Promise<void> => {
    const repositoryId = await content.repositoryId(target.name);
    const descriptors = JSON.stringify(items);
    if (repositoryId === undefined || descriptors.length > rememberedReferrersMaxLength) return;
    await database.run('recordListedReferrers', { repositoryId, subject, descriptors });
  };

  return {
    tags: async (target, signal) => {
      const known = lists.get(target.name);
      if (known !== undefined && clock.monotonicMs() - known.atMs < tagTtlMs) return { kind: 'listed', items: known.tags };
      const listing = await flights.run(target.name, () =>
        askAuthorities(target, (source) => listTags(source, target.upstream.repository)),
      );
      signal.throwIfAborted();
      if (listing.kind === 'listed') lists.set(target.name, { tags: listing.items, atMs: clock.monotonicMs() });
      return listing.kind === 'unreachable' && known !== undefined ? { ...listing, remembered: known.tags } : listing;
    },
    referrers: async (target, subject) => {
      const known = await readListedReferrers(database.read, target.name, subject);
      const remembered = known === undefined ? undefined : (JSON.parse(known.descriptors) as ReferrerDescriptor[]);
      const ageMs = clock.nowMs() - (known?.listedAtMs ?? 0);
      if (remembered !== undefined && ageMs >= 0 && ageMs < tagTtlMs) return { kind: 'listed', items: remembered };
      const listing = await referrerFlights.run(`${target.name}@${subject}`, () =>
        askAuthorities(target, (source) => listReferrers(source, target.upstream.repository, subject)),
      );
      if (listing.kind === 'listed') await remember(target, subject, listing.items);
      return listing.kind === 'unreachable' && remembered !== undefined ? { ...listing, remembered } : listing;
    },
  };
}

/** The descriptors of an upstream's referrers index; what is malformed is left out. The bytes are known to be a JSON object. */
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
