// Testing a source without the pool: what a person wants to know before relying on it. It touches no health record.

import type { Source } from '../upstream/source.ts';
import type { Probes } from './probes.ts';

export interface SourceTestStep {
  /** Short name of what was tried, such as `manifest`. */
  readonly name: string;
  readonly ok: boolean;
  readonly verdict?: string;
  readonly detail?: string;
  readonly ms: number;
}

export interface SourceTestReport {
  /** It has content for us: everything, or with a whitelist some of it. */
  readonly ok: boolean;
  /** In the order they were tried; the ladder ends at the first failure that makes the rest pointless. */
  readonly steps: readonly SourceTestStep[];
}

/** Climbs the whole ladder of probes, through the source's proxy and with its login. */
export function createSourceTest(probes: Probes): (source: Source) => Promise<SourceTestReport> {
  return async (source) => {
    const { state, steps } = await probes.probe(source, { depth: 'deep', isApart: true });
    return {
      ok: state === 'up' || state === 'whitelist',
      steps: steps.map(({ name, verdict, detail, ms }) => ({
        name,
        ok: verdict === 'ok' || verdict === 'skipped',
        verdict,
        ms,
        ...(detail === undefined ? {} : { detail }),
      })),
    };
  };
}
