// Listing: tags, referrers, repositories. Always by index and page, never by walking storage. distribution-spec v1.1 "Content Discovery",
// end-8a, 8b, 12a, 12b; Docker's `_catalog`.

import { type Access, decideSystem } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import { type ContentQueries, listReferrers, listRepositories, listTags, type ReferrerRow } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { mediaTypes } from '../oci/media-types.ts';
import type { Tag } from '../oci/reference.ts';
import type { Page } from '../oci/route.ts';
import type { ReferrerDescriptor } from './answers.ts';
import type { Mirror } from './mirror.ts';
import type { Listing } from './mirror-listings.ts';

export interface PageLimits {
  readonly sizeDefault: number;
  readonly sizeMax: number;
}
/** One page; `next` is the `last` of the following one, and `count` what it should ask for. */
export interface Listed<T> {
  readonly items: readonly T[];
  readonly next?: { readonly last: string; readonly count: number };
  /** Text of a `Warning: 299` header: the upstream could not be asked, only what is cached is listed. */
  readonly warning?: string;
}

export interface Catalog {
  /** NAME_UNKNOWN when there is no such repository; UNAVAILABLE when its upstream cannot be asked and nothing of it is cached. */
  tags(access: Access<'pull'>, page: Page, signal: AbortSignal): Promise<Listed<Tag>>;
  /**
   * Descriptors of the referrers; an empty list when there are none, whether the subject exists or not. UNAVAILABLE when the upstream cannot be
   * asked and none is cached: an empty list would say that nothing refers to it.
   */
  referrers(
    access: Access<'pull'>,
    subject: Digest,
    artifactType: string | undefined,
    page: Page,
    signal: AbortSignal,
  ): Promise<Listed<ReferrerDescriptor>>;
  /** Repositories the principal may see. */
  repositories(principal: Principal, page: Page): Promise<Listed<string>>;
}

export function createCatalog(options: { database: Database; content: ContentQueries; mirror: Mirror; limits: PageLimits }): Catalog {
  const { database, content, mirror, limits } = options;
  const pageSize = (page: Page): number => Math.min(page.count ?? limits.sizeDefault, limits.sizeMax);
  return {
    tags: async (access, page, signal) => {
      const limit = pageSize(page);
      const own = await localTags(access.target.name, page.last, limit + 1);
      const mirrored = access.target.upstream !== undefined ? access.target : access.target.fallback;
      const cached = mirrored === undefined || mirrored === access.target ? own : await localTags(mirrored.name, page.last, limit + 1);
      const listing = mirrored === undefined ? undefined : await mirror.tags(mirrored, signal);
      // A repository that was never pulled from is no list of nothing.
      const here = own ?? cached;
      const remembered = itemsOf(listing);
      const isNothingHere = here === undefined || (here.length === 0 && page.last === undefined && limit > 0);
      if (isNothingHere && listing?.kind === 'unreachable' && listing.remembered === undefined) throw listing.error;
      if (here === undefined && remembered === undefined)
        throw new OciError('NAME_UNKNOWN', 'there is no such repository', { detail: { name: access.target.name } });
      const behind = (remembered ?? []).filter((tag) => page.last === undefined || compareTags(tag, page.last) > 0);
      // What is cached stays listed, so that the list never gets shorter when the upstream is away.
      const all = mergeTags(mergeTags(own ?? [], cached ?? []), behind);
      return { ...cut(all, limit, (tag) => tag), ...warningOf(listing, 'tags') };
    },
    referrers: async (access, subject, artifactType, page, signal) => {
      const limit = pageSize(page);
      const mirrored = access.target.upstream !== undefined ? access.target : access.target.fallback;
      const names = [access.target.name, ...(access.target.fallback === undefined ? [] : [access.target.fallback.name])];
      const found = new Map<string, ReferrerDescriptor>();
      for (const name of names) {
        const repositoryId = await content.repositoryId(name);
        if (repositoryId === undefined) continue;
        const rows = await listReferrers(database.read, {
          repositoryId,
          subject,
          ...(artifactType === undefined ? {} : { artifactType }),
          ...(page.last === undefined ? {} : { after: page.last }),
          limit: limit + 1,
        });
        for (const row of rows) if (!found.has(row.digest)) found.set(row.digest, toDescriptor(row));
      }
      const listing = mirrored === undefined ? undefined : await mirror.referrers(mirrored, subject, signal);
      const remembered = itemsOf(listing);
      if (listing?.kind === 'unreachable' && remembered === undefined && found.size === 0 && page.last === undefined) throw listing.error;
      for (const descriptor of remembered ?? []) {
        const isWanted = artifactType === undefined || descriptor.artifactType === artifactType;
        if (isWanted && (page.last === undefined || descriptor.digest > page.last) && !found.has(descriptor.digest))
          found.set(descriptor.digest, descriptor);
      }
      const sorted = [...found.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1));
      return { ...cut(sorted, limit, (descriptor) => descriptor.digest), ...warningOf(listing, 'referrers') };
    },
    repositories: async (principal, page) => {
      const limit = pageSize(page);
      const names = await listRepositories(database.read, {
        limit: limit + 1,
        everything: decideSystem(principal, 'catalog:read'),
        ...(page.last === undefined ? {} : { after: page.last }),
      });
      return cut(names, limit, (name) => name);
    },
  };

  async function localTags(name: string, after: string | undefined, limit: number): Promise<Tag[] | undefined> {
    const repositoryId = await content.repositoryId(name);
    if (repositoryId === undefined) return undefined;
    return listTags(database.read, { repositoryId, limit, ...(after === undefined ? {} : { after }) });
  }
}

/** An OCI image index of referrers. */
export function referrersIndex(descriptors: readonly ReferrerDescriptor[]): string {
  return JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: descriptors });
}

/** The spec's order of tags: case-insensitive, then by code. */
function compareTags(a: string, b: string): number {
  const [foldedA, foldedB] = [a.toLowerCase(), b.toLowerCase()];
  if (foldedA !== foldedB) return foldedA < foldedB ? -1 : 1;
  return a === b ? 0 : a < b ? -1 : 1;
}

/** What is listed, now or when it was asked last; undefined for neither. */
function itemsOf<T>(listing: Listing<T> | undefined): readonly T[] | undefined {
  return listing?.kind === 'listed' ? listing.items : listing?.kind === 'unreachable' ? listing.remembered : undefined;
}

function warningOf(listing: Listing<unknown> | undefined, what: string): { warning?: string } {
  return listing?.kind === 'unreachable' ? { warning: `299 - "${what} as last known: the upstream could not be asked"` } : {};
}

function mergeTags(a: readonly Tag[], b: readonly Tag[]): Tag[] {
  return [...new Set([...a, ...b])].sort(compareTags);
}

function cut<T>(items: readonly T[], limit: number, key: (item: T) => string): Listed<T> {
  const page = items.slice(0, limit);
  const last = page.at(-1);
  return items.length > limit && last !== undefined ? { items: page, next: { last: key(last), count: limit } } : { items: page };
}

function toDescriptor(row: ReferrerRow): ReferrerDescriptor {
  const annotations = JSON.parse(row.annotations) as Record<string, string>;
  return {
    mediaType: row.mediaType,
    digest: row.digest,
    size: row.sizeBytes,
    ...(row.artifactType === null ? {} : { artifactType: row.artifactType }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}
