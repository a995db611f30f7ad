// Testing a source without the pool: what a person wants to know before relying on it. It touches no health record.

import type { Clock } from '../lib/clock.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError, type Verdict } from '../upstream/verdict.ts';

export interface SourceTestStep {
  /** Short name of what was tried, such as `manifest`. */
  readonly name: string;
  readonly ok: boolean;
  readonly verdict?: string;
  readonly detail?: string;
  readonly ms: number;
}

export interface SourceTestReport {
  /** All steps that count went well. */
  readonly ok: boolean;
  /** In the order they were tried; the ladder ends at the first failure that makes the rest pointless. */
  readonly steps: readonly SourceTestStep[];
}

const timeoutMs = 10_000;
/** An image nobody has: a registry says that it is not there, or that this login may not know. */
const nowhere = { repository: 'breakwater/source-test', tag: 'none' };
const registryVerdicts: ReadonlySet<Verdict | 'ok'> = new Set<Verdict | 'ok'>(['ok', 'not-found', 'denied']);

/** Whether a source answers, as a registry does, through its proxy and with its login: one request for an image that nobody has. */
export function createSourceTest(options: {
  client: Pick<UpstreamClient, 'headManifest'>;
  clock: Clock;
}): (source: Source) => Promise<SourceTestReport> {
  const { client, clock } = options;
  return async (source) => {
    const startMs = clock.monotonicMs();
    const step = (verdict: Verdict | 'ok', detail?: string): SourceTestReport => {
      const ok = registryVerdicts.has(verdict) || (verdict === 'unauthorized' && source.credentials === undefined);
      const ms = Math.round(clock.monotonicMs() - startMs);
      return { ok, steps: [{ name: 'answers', ok, verdict, ms, ...(detail === undefined ? {} : { detail }) }] };
    };
    try {
      await client.headManifest(source, nowhere.repository, nowhere.tag, { timeoutMs });
      return step('ok');
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      return step(error.verdict, error.detail);
    }
  };
}
