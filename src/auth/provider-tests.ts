// Tests of identity providers on an administrator's word. They must not be a port scanner (SEC-D05): whatever keeps the server from speaking
// with the other side is one failure, told after one time; why stands in the log alone. One test runs at a time.

import type { Clock } from '../lib/clock.ts';
import { createSemaphore, LimitError } from '../lib/limits.ts';
import type { Log } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import type { IdentityProvider } from './identity-providers.ts';
import type { LdapDirectories } from './ldap-directories.ts';
import { LdapFailure } from './ldap-failure.ts';

/** `connection`: no answer that could be trusted; `login`: the bind DN or the client is refused; `search`: base, filter or attributes are. */
export type ProviderTestResult = { readonly ok: true } | { readonly ok: false; readonly failure: 'connection' | 'login' | 'search' };

export interface ProviderTests {
  /** TOOMANYREQUESTS while others wait already. */
  test(provider: IdentityProvider): Promise<ProviderTestResult>;
}

/** Looks whether an issuer can be used; what is wrong with it goes to the log. */
export interface IssuerTests {
  test(provider: Extract<IdentityProvider, { kind: 'oidc' }>): Promise<boolean>;
}

const waitingMax = 4;
/** No failure is told sooner, and none of one server later. */
const failureAfterMs = 1000;

export function createProviderTests(options: {
  readonly directories: LdapDirectories;
  readonly issuers?: IssuerTests;
  readonly clock: Clock;
  readonly log: Log;
}): ProviderTests {
  const { directories, issuers, clock, log } = options;
  const place = createSemaphore({ places: 1, queueMax: waitingMax });

  const run = async (provider: IdentityProvider): Promise<ProviderTestResult> => {
    if (provider.kind === 'oidc') {
      if (issuers === undefined) throw new OciError('UNSUPPORTED', 'issuers are tested by logging in through them');
      return (await issuers.test(provider)) ? { ok: true } : { ok: false, failure: 'connection' };
    }
    try {
      await directories.openApart(provider).test();
      return { ok: true };
    } catch (error) {
      if (!(error instanceof LdapFailure)) throw error;
      log.warn('identity.test-failed', { provider: provider.name, kind: error.kind, reason: error.message });
      return { ok: false, failure: error.kind === 'bind' ? 'login' : error.kind === 'settings' ? 'search' : 'connection' };
    }
  };

  return {
    test: async (provider) => {
      try {
        return await place.run(
          async () => {
            const startMs = clock.monotonicMs();
            const result = await run(provider);
            if (!result.ok && result.failure === 'connection') await clock.sleep(patienceOf(provider) - (clock.monotonicMs() - startMs));
            return result;
          },
          { timeoutMs: 60_000 },
        );
      } catch (error) {
        if (!(error instanceof LimitError)) throw error;
        throw new OciError('TOOMANYREQUESTS', 'other tests are running; try again shortly', { cause: error, retryAfterMs: 5000 });
      }
    },
  };
}

/** How long the slowest way to fail takes. */
function patienceOf(provider: IdentityProvider): number {
  return failureAfterMs + (provider.kind === 'ldap' ? provider.settings.timeout * Math.min(provider.settings.urls.length, 2) : 0);
}
