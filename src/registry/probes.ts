// Looking at one source on purpose, step by step up a ladder, so that one knows where it breaks: name, connection, TLS, /v2/ (upstream/reach.ts),
// then with a canary the head of a manifest behind its token, a blob behind its redirect compared with its digest, the same from the middle,
// and an image that only a mirror without a whitelist has. It must never GET a manifest (Docker Hub counts those), never ask for what the
// source's scope forbids, and never take longer than its deadline. sources.md 3.4; O5.

import type { Clock } from '../lib/clock.ts';
import { type Digest, digestAlgorithm, digestOf } from '../oci/digest.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { SourceHealth } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError, type Verdict } from '../upstream/verdict.ts';
import type { BlobCanary, Canaries, FindCanaries, ImageCanary } from './canaries.ts';
import { createSourceScope } from './source-scope.ts';

/** How far up: `light` ends at /v2/. */
export type ProbeDepth = 'light' | 'deep';

export interface ProbeStep {
  /** `token` stands for a manifest whose token could not be had. */
  readonly name: 'dns' | 'connect' | 'tls' | 'ping' | 'token' | 'manifest' | 'blob' | 'range' | 'rare';
  readonly verdict: Verdict | 'ok' | 'skipped';
  readonly ms: number;
  readonly detail?: string;
  /** Of the host that failed, or gave the blob, where it is known: the source's own, or where its redirect led. */
  readonly origin?: string;
}

/** `up` all that was asked for was had; `whitelist` it has some images and refuses others; `limited` it asks to wait; `down` the rest. */
export type ProbeState = 'up' | 'whitelist' | 'limited' | 'down';

export interface ProbeReport {
  readonly sourceId: string;
  readonly atMs: number;
  readonly depth: ProbeDepth;
  readonly state: ProbeState;
  readonly steps: readonly ProbeStep[];
  /** All of it. */
  readonly ms: number;
  /** What the source has under the popular canary's tag. */
  readonly tagDigest?: Digest;
  readonly certificateExpiresAtMs?: number;
  /** In a few words, for people. */
  readonly summary: string;
}

export interface ProbeOptions {
  readonly depth?: ProbeDepth;
  readonly signal?: AbortSignal;
  readonly isApart?: boolean;
}

export interface Probes {
  /** Throws nothing that the source does. The outcome is reported to the health of the source, unless it is `apart`. */
  probe(source: Source, options?: ProbeOptions): Promise<ProbeReport>;
}

const probeTimeoutMs = 20_000;
const stepTimeoutMs = 10_000;

export function createProbes(parts: {
  client: Pick<UpstreamClient, 'reach' | 'headManifest' | 'getBlob'>;
  health: SourceHealth;
  canaries: FindCanaries;
  clock: Clock;
  timeoutMs?: number;
}): Probes {
  const { client, health, clock } = parts;
  const timeoutMs = parts.timeoutMs ?? probeTimeoutMs;

  return {
    probe: async (source, { depth = 'deep', signal, isApart = false } = {}) => {
      const startMs = clock.monotonicMs();
      const limit = AbortSignal.timeout(timeoutMs);
      const ending = signal === undefined ? limit : AbortSignal.any([signal, limit]);
      const reach = await client.reach(source, {
        timeoutMs: Math.min(stepTimeoutMs, timeoutMs),
        ...(signal === undefined ? {} : { signal }),
      });
      const steps: ProbeStep[] = [...reach.steps];
      const isReached = !steps.some(isFailure);
      const tagDigest =
        isReached && depth === 'deep' ? await goDeep(source, steps, await parts.canaries(source.registry), ending) : undefined;
      const state = stateOf(steps, source);
      if (!isApart) report(source, steps, state, depth);
      return {
        sourceId: source.id,
        atMs: clock.nowMs(),
        depth,
        state,
        steps,
        ms: Math.round(clock.monotonicMs() - startMs),
        ...(tagDigest === undefined ? {} : { tagDigest }),
        ...(reach.certificateExpiresAtMs === undefined ? {} : { certificateExpiresAtMs: reach.certificateExpiresAtMs }),
        summary: summarize(steps, state),
      };
    },
  };

  /** Adds the steps with content; the digest of the popular canary's tag. */
  async function goDeep(source: Source, steps: ProbeStep[], canaries: Canaries, signal: AbortSignal): Promise<Digest | undefined> {
    const scope = source.scope === undefined ? undefined : createSourceScope(source.scope);
    const mayAsk = (repository: string): boolean => scope?.covers(repository) !== false;
    const take = async <T>(name: ProbeStep['name'], run: () => Promise<T>): Promise<T | undefined> => {
      const startMs = clock.monotonicMs();
      const elapsed = (): number => Math.round((clock.monotonicMs() - startMs) * 10) / 10;
      try {
        const result = await run();
        steps.push({ name, verdict: 'ok', ms: elapsed() });
        return result;
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
        // Only the deadline of the whole, and the end of the server, end a step from outside.
        const verdict = error.verdict === 'aborted' ? 'timeout' : error.verdict;
        const isToken = name === 'manifest' && (error.verdict === 'token-error' || error.verdict === 'foreign-realm');
        steps.push({
          name: isToken ? 'token' : name,
          verdict,
          ms: elapsed(),
          detail: error.detail,
          ...originOf(error.origin),
        });
        return undefined;
      }
    };
    const skip = (name: ProbeStep['name'], detail: string): void => void steps.push({ name, verdict: 'skipped', ms: 0, detail });
    const head = (image: ImageCanary) => client.headManifest(source, image.repository, image.tag, { timeoutMs: stepTimeoutMs, signal });

    const hasFailed = (): boolean => steps.some((step) => isFailure(step) && !isRefusal(step.verdict));
    const { popular, rare, blob } = canaries;
    let tagDigest: Digest | undefined;
    if (popular === undefined) skip('manifest', 'no canary is known for this registry');
    else if (!mayAsk(popular.repository)) skip('manifest', 'the canary is outside the scope of this source');
    else tagDigest = (await take('manifest', () => head(popular)))?.digest;
    if (hasFailed()) return tagDigest;

    if (blob === undefined) skip('blob', 'nothing small is cached of this registry yet');
    else if (!mayAsk(blob.repository)) skip('blob', 'the canary is outside the scope of this source');
    else {
      const bytes = await take('blob', async () => {
        const received = await readBlob(source, blob, 0, signal);
        if (digestOf(received, digestAlgorithm(blob.digest)) !== blob.digest)
          throw new UpstreamError('wrong-digest', { detail: `wrong bytes for the canary ${blob.digest.slice(0, 19)}...` });
        return received;
      });
      if (bytes !== undefined) {
        const middle = Math.floor(blob.sizeBytes / 2);
        await take('range', async () => {
          const rest = await readBlob(source, blob, middle, signal);
          if (!Buffer.from(rest).equals(bytes.subarray(middle)))
            throw new UpstreamError('bad-range', { detail: 'the second half of the canary is not what came with the whole' });
        });
      }
    }
    if (hasFailed()) return tagDigest;
    // An authority has what there is; its 404 says nothing on whitelists.
    if (rare === undefined || source.trust === 'authority') return tagDigest;
    if (!mayAsk(rare.repository)) skip('rare', 'the canary is outside the scope of this source');
    else await take('rare', () => head(rare));
    return tagDigest;
  }

  /** The bytes from `offset` on, as the client would use them: a whole body to a Range is cut. */
  async function readBlob(source: Source, canary: BlobCanary, offset: number, signal: AbortSignal): Promise<Uint8Array> {
    const answer = await client.getBlob(source, canary.repository, canary.digest, {
      offset,
      firstByteTimeoutMs: stepTimeoutMs,
      idleTimeoutMs: stepTimeoutMs,
      expectedSizeBytes: canary.sizeBytes,
      signal,
    });
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of answer.body) {
      sizeBytes += chunk.length;
      if (sizeBytes > canary.sizeBytes)
        throw new UpstreamError('too-large', { detail: `more than the ${canary.sizeBytes} bytes of the canary` });
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).subarray(offset - answer.startOffset);
  }

  /** The worst the ladder saw, or that it went well. A light probe that went well says too little to be counted. */
  function report(source: Source, steps: readonly ProbeStep[], state: ProbeState, depth: ProbeDepth): void {
    const failure = steps.find((step) => isFailure(step) && !isRefusal(step.verdict));
    if (failure !== undefined && failure.verdict !== 'ok' && failure.verdict !== 'skipped') {
      const kind =
        failure.name === 'blob' || failure.name === 'range'
          ? 'blob'
          : failure.name === 'manifest' || failure.name === 'token'
            ? 'head'
            : undefined;
      health.report(source.id, {
        verdict: failure.verdict,
        ms: failure.ms,
        isProbe: true,
        ...(kind === undefined ? {} : { kind }),
        ...(failure.origin === undefined ? {} : { finalOrigin: failure.origin }),
      });
      if (failure.verdict === 'wrong-digest') health.quarantine(source.id, failure.detail ?? 'wrong bytes for a canary');
      return;
    }
    const answered = steps.findLast((step) => step.verdict === 'ok' && (depth === 'light' ? step.name === 'ping' : step.name !== 'rare'));
    const isOpen = health.snapshot(source.id).state === 'open' || health.snapshot(source.id).state === 'half-open';
    if (answered === undefined || (depth === 'light' && isOpen) || state === 'down') return;
    health.report(source.id, { verdict: 'ok', ms: answered.ms, isProbe: true });
  }
}

function originOf(origin: string | undefined): { readonly origin?: string } {
  return origin === undefined ? {} : { origin };
}

function isFailure(step: ProbeStep): boolean {
  return step.verdict !== 'ok' && step.verdict !== 'skipped';
}

/** It answered, and will not give this one. */
function isRefusal(verdict: ProbeStep['verdict']): boolean {
  return verdict === 'denied' || verdict === 'unauthorized' || verdict === 'not-found' || verdict === 'gone';
}

function stateOf(steps: readonly ProbeStep[], source: Source): ProbeState {
  const failures = steps.filter(isFailure);
  if (failures.length === 0) return 'up';
  if (failures.some((step) => step.verdict === 'rate-limited')) return 'limited';
  const hasContent = steps.some(
    (step) => step.verdict === 'ok' && (step.name === 'manifest' || step.name === 'blob' || step.name === 'rare'),
  );
  const isRefusing = failures.every((step) => isRefusal(step.verdict) && step.name !== 'ping');
  return isRefusing && hasContent && source.trust !== 'authority' ? 'whitelist' : 'down';
}

function summarize(steps: readonly ProbeStep[], state: ProbeState): string {
  const failure = steps.find(isFailure);
  if (failure === undefined) return `all ${steps.filter((step) => step.verdict === 'ok').length} steps went well`;
  const what = `${failure.name}: ${failure.detail ?? failure.verdict}`;
  return state === 'whitelist' ? `has some images and refuses others (${what})` : what;
}
