// Tag lists and referrers from a source. It must never follow a Link: the next page is a query the caller passes back, on the same path.
// distribution-spec v1.1 end-8 (tags), end-12 (referrers); RFC 8288 for Link. security.md SEC-C15.

import { parseTag } from '../oci/reference.ts';
import { readWhole } from './body.ts';
import { isHtml } from './classify.ts';
import { decodeContent } from './manifest.ts';
import type { Hop } from './transport.ts';
import type { UpstreamLimits } from './upstream-limits.ts';
import { UpstreamError } from './verdict.ts';

export interface TagPage {
  /** As the source orders them; what is no tag by the spec's grammar is left out. */
  readonly tags: readonly string[];
  /** Pass it to `listTags` for the next page. Opaque (some registries use parameters of their own). */
  readonly next?: string;
}

export interface ReferrersPage {
  /** The index as it came. */
  readonly bytes: Uint8Array;
  /** The source says it filtered by artifactType. */
  readonly filtersApplied: boolean;
  readonly next?: string;
}

/** Throws `html`, `bad-answer`, `too-large`. */
export async function readTagPage(hop: Hop, limits: UpstreamLimits): Promise<TagPage> {
  const value = parseListing(await readListing(hop, limits), hop);
  const tags = value['tags'];
  if (tags !== null && !Array.isArray(tags)) throw bad('no list of tags', hop);
  const found = (tags ?? []).filter((tag): tag is string => typeof tag === 'string' && parseTag(tag) !== undefined);
  if (found.length > limits.tagsMax)
    throw new UpstreamError('too-large', { detail: `more than ${limits.tagsMax} tags in one page`, origin: hop.url.origin });
  return { tags: found, ...nextOf(hop) };
}

/** Throws `html`, `bad-answer`, `too-large`. */
export async function readReferrersPage(hop: Hop, limits: UpstreamLimits): Promise<ReferrersPage> {
  const bytes = await readListing(hop, limits);
  const value = parseListing(bytes, hop);
  if (value['schemaVersion'] !== 2 || !Array.isArray(value['manifests'])) throw bad('no index of referrers', hop);
  const filters = hop.headers.get('oci-filters-applied')?.split(',') ?? [];
  return { bytes, filtersApplied: filters.some((filter) => filter.trim() === 'artifactType'), ...nextOf(hop) };
}

async function readListing(hop: Hop, limits: UpstreamLimits): Promise<Uint8Array> {
  const bytes = await readWhole(hop, limits.listingMaxBytes);
  return decodeContent(bytes, { encoding: hop.headers.get('content-encoding'), maxBytes: limits.listingMaxBytes, origin: hop.url.origin });
}

function parseListing(bytes: Uint8Array, hop: Hop): Readonly<Record<string, unknown>> {
  const text = new TextDecoder().decode(bytes);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    if (isHtml(hop.headers.get('content-type'), text))
      throw new UpstreamError('html', { detail: 'an HTML page instead of a list', origin: hop.url.origin });
  }
  throw bad('no JSON object', hop);
}

function nextOf(hop: Hop): { next?: string } {
  const next = parseNextLink(hop.headers.get('link'), hop.url);
  return next === undefined ? {} : { next };
}

/** The query of a `rel="next"` Link, when it leads to the same path of the same origin with another query; at most 2 KiB. */
export function parseNextLink(header: string | null, url: URL): string | undefined {
  const match = /<([^<>]{1,4096})>\s{0,8};\s{0,8}rel="?next"?(?:[;,\s]|$)/i.exec((header ?? '').slice(0, 8_192));
  const next = URL.parse(match?.[1] ?? '', url.href);
  if (match === null || next === null || next.origin !== url.origin || next.pathname !== url.pathname) return undefined;
  return next.search === '' || next.search === url.search || next.search.length > 2_048 ? undefined : next.search;
}

function bad(what: string, hop: Hop): UpstreamError {
  return new UpstreamError('bad-answer', { detail: `answered with ${what}`, status: hop.status, origin: hop.url.origin });
}
