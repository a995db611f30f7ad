// Where pulled content came from, as metrics: the parts of the hit ratio, by registry. It must never cost a pull more than a counter, nor
// change what a pull gets.

import type { Counter, Metrics } from '../lib/metrics.ts';
import { OciError } from '../oci/errors.ts';
import type { ContentOrigin } from './answers.ts';
import type { Pull } from './pull.ts';

/** `absent`: there is no such content; `error`: it could not be had. */
type PullOutcome = ContentOrigin | 'absent' | 'error';
type PullKind = 'manifest' | 'blob';

/** The same pulls, counted. HEADs of blobs are not: they move nothing. */
export function countPulls(pull: Pull, metrics: Metrics): Pull {
  const pulls = metrics.counter({
    name: 'breakwater_pulls_total',
    help: 'Manifests and blobs that were asked for, by where they came from: hit (was here), revalidated (was here, a source confirmed it), stale (was here, no source could confirm it), miss (fetched), absent, error. For local projects the registry is empty.',
    labels: ['registry', 'kind', 'outcome'],
  });
  // Every pull comes here: a child is found without making a key of several parts.
  const tables = { manifest: new Map<string, Map<PullOutcome, Counter>>(), blob: new Map<string, Map<PullOutcome, Counter>>() };
  const count = (registry: string, kind: PullKind, outcome: PullOutcome): void => {
    const table = tables[kind];
    let children = table.get(registry);
    if (children === undefined) {
      children = new Map();
      table.set(registry, children);
    }
    let child = children.get(outcome);
    if (child === undefined) {
      child = pulls.at(registry, kind, outcome);
      children.set(outcome, child);
    }
    child.add();
  };
  const failed = (error: unknown): PullOutcome =>
    error instanceof OciError && (error.code === 'MANIFEST_UNKNOWN' || error.code === 'BLOB_UNKNOWN') ? 'absent' : 'error';
  return {
    manifest: async (access, reference, signal) => {
      const registry = access.target.project.registry ?? '';
      try {
        const answer = await pull.manifest(access, reference, signal);
        // Without an origin it is local content, also of an overlay.
        count(answer.from === undefined ? '' : registry, 'manifest', answer.from ?? 'hit');
        return answer;
      } catch (error) {
        if (!signal.aborted) count(registry, 'manifest', failed(error));
        throw error;
      }
    },
    blob: async (access, digest, request, signal) => {
      if (request.head) return pull.blob(access, digest, request, signal);
      const registry = access.target.project.registry ?? '';
      try {
        const answer = await pull.blob(access, digest, request, signal);
        count(answer.from === undefined ? '' : registry, 'blob', answer.from ?? 'hit');
        return answer;
      } catch (error) {
        if (!signal.aborted) count(registry, 'blob', failed(error));
        throw error;
      }
    },
  };
}
