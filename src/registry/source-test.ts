// Testing a source without the pool: what a person wants to know before relying on it. It touches no health record.

import type { Clock } from '../lib/clock.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError } from '../upstream/verdict.ts';
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

const timeoutMs = 10_000;
/** An image nobody has: a registry that takes the login says that it is not there, or that this login may not know. */
const nowhere = { repository: 'breakwater/source-test', tag: 'none' };

/**
 * Climbs the whole ladder of probes, through the source's proxy and with its login. Where no image is known to ask for, a login is tried with one that
 * nobody has. Throws nothing that the source does.
 */
export function createSourceTest(parts: {
  probes: Probes;
  client: Pick<UpstreamClient, 'headManifest'>;
  clock: Clock;
}): (source: Source) => Promise<SourceTestReport> {
  const { probes, client, clock } = parts;
  return async (source) => {
    const probed = await probes.probe(source, { depth: 'deep', isApart: true });
    const steps = probed.steps.map(({ name, verdict, detail, ms }): SourceTestStep => stepOf(name, verdict, ms, detail));
    const isUp = probed.state === 'up' || probed.state === 'whitelist';
    const isLoginSeen = probed.steps.some(({ name, verdict }) => (name === 'manifest' || name === 'token') && verdict !== 'skipped');
    if (!isUp || source.credentials === undefined || isLoginSeen) return { ok: isUp, steps };
    const login = await tryLogin(source);
    return { ok: login.ok, steps: [...steps, login] };
  };

  async function tryLogin(source: Source): Promise<SourceTestStep> {
    const startMs = clock.monotonicMs();
    const elapsed = (): number => Math.round(clock.monotonicMs() - startMs);
    try {
      await client.headManifest(source, nowhere.repository, nowhere.tag, { timeoutMs });
      return stepOf('login', 'ok', elapsed());
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      const isTaken = error.verdict === 'not-found' || error.verdict === 'denied';
      return isTaken ? stepOf('login', 'ok', elapsed()) : stepOf('login', error.verdict, elapsed(), error.detail);
    }
  }
}

function stepOf(name: string, verdict: string, ms: number, detail?: string): SourceTestStep {
  return { name, ok: verdict === 'ok' || verdict === 'skipped', verdict, ms, ...(detail === undefined ? {} : { detail }) };
}
