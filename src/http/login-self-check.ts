// The server's own login check: it goes out through `external_url` as a client would and sees its request come in again, so it can tell what
// the proxy did to it. It needs no login, and asks no address but the configured one.

import { createSingleFlight } from '../lib/single-flight.ts';
import { checkLogin, type LoginReport } from '../upstream/login-check.ts';
import type { Arrivals } from './arrivals.ts';

/** The report; undefined without an `external_url`. Checks asked for at once are one. */
export function createLoginSelfCheck({
  arrivals,
  externalUrl,
}: {
  arrivals: Arrivals;
  externalUrl: string | undefined;
}): () => Promise<LoginReport | undefined> {
  const checks = createSingleFlight<LoginReport>();
  return async () => {
    if (externalUrl === undefined) return undefined;
    return checks.run('check', async () => {
      const expected = arrivals.expect();
      try {
        return await checkLogin({
          url: externalUrl,
          userAgent: expected.userAgent,
          arrival: async () => expected.seen() ?? 'other-server',
        });
      } finally {
        expected.end();
      }
    });
  };
}
