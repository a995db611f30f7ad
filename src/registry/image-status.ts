// Which source has an image, how fresh and how fast: from the trails of what was pulled, asking nobody, or by asking every source for the head of
// its manifest when that is wished.

import type { Clock } from '../lib/clock.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import type { Explain, Explanation } from './explain.ts';
import type { SourcePool } from './source-pool.ts';
import { createSourceScope } from './source-scope.ts';

export interface ImageSource {
  readonly source: string;
  /** Of its last known answer on this image: ok, or the kind of failure; absent when it was never asked for it. */
  readonly verdict?: string;
  readonly ms?: number;
  /** Bytes of this image that came from it. */
  readonly bytes: number;
  /** What it says the tag means; asked now only. */
  readonly digest?: string;
  /** Whether that is what is known here. */
  readonly isSame?: boolean;
}
export interface ImageStatus {
  readonly image: string;
  readonly registry?: string;
  readonly digest?: string;
  readonly cached: boolean;
  readonly trust?: string;
  readonly verifiedAt?: string;
  readonly checkedAt?: string;
  readonly sources: readonly ImageSource[];
}

const askTimeoutMs = 8_000;
/** Sources asked at once. */
const askedMax = 32;

export type ReadImageStatus = (
  image: string,
  options: { readonly isAsking: boolean; readonly signal: AbortSignal },
) => Promise<ImageStatus>;

/** Throws what `explain` throws: NAME_INVALID, NAME_UNKNOWN, TAG_INVALID, DIGEST_INVALID. */
export function createImageStatus(parts: {
  explain: Explain;
  pool: SourcePool;
  client: Pick<UpstreamClient, 'headManifest'>;
  clock: Clock;
}): ReadImageStatus {
  const { explain, pool, client, clock } = parts;

  const ask = async (source: Source, found: Explanation, signal: AbortSignal): Promise<Partial<ImageSource>> => {
    const startMs = clock.monotonicMs();
    const elapsed = (): number => Math.round(clock.monotonicMs() - startMs);
    const scope = source.scope === undefined ? undefined : createSourceScope(source.scope);
    if (scope?.covers(found.repository) === false) return { verdict: 'out of scope' };
    try {
      const { digest } = await client.headManifest(source, found.repository, found.reference, { timeoutMs: askTimeoutMs, signal });
      return {
        verdict: 'ok',
        ms: elapsed(),
        ...(digest === undefined ? {} : { digest }),
        ...(digest === undefined || found.digest === undefined ? {} : { isSame: digest === found.digest }),
      };
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      return { verdict: error.verdict, ms: elapsed() };
    }
  };

  return async (image, { isAsking, signal }) => {
    const found = await explain.explain(image);
    const attempts = [
      ...(found.lastFailure?.attempts ?? []),
      ...(found.tag?.trail?.attempts ?? []),
      ...found.blobs.flatMap((blob) => blob.attempts),
    ];
    const segments = found.blobs.flatMap((blob) => blob.segments);
    const live = found.registry === undefined ? [] : pool.health.rank(pool.sourcesOf(found.registry)).slice(0, askedMax);
    const sources = await Promise.all(
      live.map(async (source): Promise<ImageSource> => {
        const bytes = segments.reduce((sum, segment) => (segment.source === source.url ? sum + segment.to - segment.from : sum), 0);
        const last = attempts.findLast((attempt) => attempt.source === source.url && attempt.verdict !== 'skipped');
        const told = last === undefined ? {} : { verdict: last.verdict, ms: last.ms };
        return { source: source.url, ...told, bytes, ...(isAsking ? await ask(source, found, signal) : {}) };
      }),
    );
    return {
      image,
      ...(found.registry === undefined ? {} : { registry: found.registry }),
      ...(found.digest === undefined ? {} : { digest: found.digest }),
      cached: found.cached,
      ...(found.tag === undefined ? {} : { trust: found.tag.trust }),
      ...(found.tag?.verifiedAt === undefined ? {} : { verifiedAt: found.tag.verifiedAt }),
      ...(found.tag?.checkedAt === undefined ? {} : { checkedAt: found.tag.checkedAt }),
      sources,
    };
  };
}
