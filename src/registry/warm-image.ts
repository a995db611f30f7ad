// Warming one image: everything a pull of it would fetch, fetched now through the same use-cases, so that it is verified and recorded as a pull
// is. What is here already is not fetched again, which is all that resuming needs. It must never read around the pull path.

import type { Access, RepositoryTarget } from '../auth/access.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Clock } from '../lib/clock.ts';
import type { Semaphore } from '../lib/limits.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { formatPlatforms, type PlatformChoice } from '../oci/platform.ts';
import type { Reference } from '../oci/reference.ts';
import { type GraphBlob, walkImage } from './image-graph.ts';
import type { Pace } from './pace.ts';
import type { Pull } from './pull.ts';

/** How one image of a run does. Its numbers grow while it runs. */
export interface ImageProgress {
  readonly image: string;
  readonly platforms: string;
  state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';
  digest?: Digest;
  manifests: number;
  blobs: number;
  blobsTotal: number;
  /** Of blobs. */
  totalBytes: number;
  /** Brought by this run. */
  fetchedBytes: number;
  /** That were here before. */
  cachedBytes: number;
  /** Why the answer is not as good as it could be: a tag that no source could confirm, layers that may live elsewhere only. */
  warning?: string;
  error?: { readonly code: string; readonly message: string };
}

export interface WarmParts {
  readonly content: Pick<ContentQueries, 'blob' | 'originOf'>;
  readonly pull: Pull;
  readonly clock: Clock;
}
export interface WarmWish {
  readonly access: Access<'pull'>;
  readonly reference: Reference;
  readonly platforms: PlatformChoice;
  /** Blobs at a time, over the whole run. */
  readonly places: Semaphore;
  readonly pace?: Pace;
  readonly signal: AbortSignal;
}

/** How long bytes that were delivered may take to become durable. An image that took longer is tried again, and finds them. */
const keptTimeoutMs = 30_000;
const keptPollMs = 20;

/** Fetches what is missing. Throws what a pull throws, MANIFEST_UNKNOWN for a platform the image lacks, and the signal's reason. */
export async function warmImage(parts: WarmParts, wish: WarmWish, progress: ImageProgress): Promise<void> {
  const { access, signal } = wish;
  const root = await orAborted(parts.pull.manifest(access, wish.reference, signal), signal);
  progress.digest = root.digest;
  progress.manifests = 1;
  if (root.warning !== undefined) progress.warning = root.warning;
  const graph = await walkImage(root, wish.platforms, async (digest) => {
    const child = await orAborted(parts.pull.manifest(access, { kind: 'digest', digest }, signal), signal);
    progress.manifests++;
    return child;
  });
  if (graph.unmet.length > 0)
    throw new OciError('MANIFEST_UNKNOWN', `the image has nothing for ${formatPlatforms(graph.unmet)}`, {
      detail: { digest: root.digest },
    });
  progress.blobsTotal = graph.blobs.length;
  progress.totalBytes = graph.blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0);
  const warmOne = async (blob: GraphBlob): Promise<void> => {
    try {
      await warmBlob(parts, wish, blob, progress);
      progress.blobs++;
    } catch (error) {
      if (blob.isRequired || signal.aborted) throw error;
      progress.warning ??= 'a layer that may live elsewhere only is not here';
    }
  };
  const outcomes = await Promise.allSettled(graph.blobs.map((blob) => wish.places.run(() => warmOne(blob), { signal })));
  signal.throwIfAborted();
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

async function warmBlob(parts: WarmParts, wish: WarmWish, blob: GraphBlob, progress: ImageProgress): Promise<void> {
  const { content, pull } = parts;
  const { access, signal, pace } = wish;
  signal.throwIfAborted();
  if (await isHere(content, access.target, blob.digest)) {
    progress.cachedBytes += blob.sizeBytes;
    return;
  }
  const isInStore = (await content.originOf(blob.digest)) !== undefined;
  // The fetch itself keeps the pace, unless a client of the registry wants the same blob meanwhile.
  const limited = pace === undefined ? {} : { pace: pace.take };
  const answer = await pull.blob(access, blob.digest, { head: false, startBytes: 0, asPusher: false, ...limited }, signal);
  if (answer.kind === 'arriving') {
    for await (const chunk of answer.follow(0, undefined, signal)) progress.fetchedBytes += chunk.byteLength;
    await untilKept(parts, access.target, blob.digest, signal);
  } else if (isInStore) {
    // Linked from another repository.
    progress.cachedBytes += blob.sizeBytes;
  } else progress.fetchedBytes += blob.sizeBytes;
}

/** The last byte is passed on before the blob is durable: a run is done when it is. */
async function untilKept({ content, clock }: WarmParts, target: RepositoryTarget, digest: Digest, signal: AbortSignal): Promise<void> {
  const untilMs = clock.monotonicMs() + keptTimeoutMs;
  for (let waitMs = keptPollMs; !(await isHere(content, target, digest)); waitMs = Math.min(1000, waitMs * 2)) {
    if (clock.monotonicMs() > untilMs)
      throw new OciError('UNAVAILABLE', `${digest} was delivered but could not be kept; is the disk full?`, { detail: { digest } });
    await clock.sleep(waitMs, signal);
  }
}

/** Whether a pull of this repository would be answered without a source. */
async function isHere(content: Pick<ContentQueries, 'blob'>, target: RepositoryTarget, digest: Digest): Promise<boolean> {
  if ((await content.blob(target.name, digest)) !== undefined) return true;
  return target.fallback !== undefined && (await content.blob(target.fallback.name, digest)) !== undefined;
}

/** A check under way is shared with others and goes on; this run does not wait for its end. */
function orAborted<T>(task: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    task.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
