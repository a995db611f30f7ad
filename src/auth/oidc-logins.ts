// A login through an OpenID provider as a whole: begun in a browser, ended in the same one with an account, a confirmed session, or the question
// for a name. The provider that is asked is the one of the attempt, and the answer must come back at that provider's own address, so that one
// provider cannot pass on what it got from another (mix-up). Whoever is switched off here stays so, whatever a provider says. security.md SEC-B13.

import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import type { LoginAttempts } from './login-attempts.ts';
import type { Oidc, OidcProvider } from './oidc.ts';
import type { OidcIdentity } from './oidc-claims.ts';
import type { UserPrincipal } from './principal.ts';

/** Harbor has one provider; its callback has no name in it. */
export const harborProvider = 'harbor-oidc';

export interface BeginOptions {
  readonly provider: string;
  /** Where the answer comes back to. */
  readonly redirectUri: string;
  readonly returnTo: string;
  /** The session that is to be confirmed. */
  readonly sessionId?: number;
}

export type OidcOutcome =
  | { readonly kind: 'login'; readonly principal: UserPrincipal; readonly provider: string; readonly returnTo: string }
  | { readonly kind: 'confirmed'; readonly principal: UserPrincipal; readonly sessionId: number; readonly returnTo: string }
  | {
      readonly kind: 'name-wanted';
      readonly state: string;
      readonly browser: Secret;
      readonly suggestion: string;
      readonly problem?: string;
    };

export interface OidcLogins {
  /** Throws NOT_FOUND for an unknown provider, and what `Oidc.begin` throws. */
  begin(options: BeginOptions): Promise<{ readonly to: URL; readonly browser: Secret }>;
  /** Throws UNAUTHORIZED when the answer does not belong to a login of this browser or is refused, DENIED for an account that is switched off. */
  finish(options: { provider: string; redirectUri: string; query: string; browser: string | undefined }): Promise<OidcOutcome>;
  /** The name that was asked for. */
  choose(options: { state: string; browser: string | undefined; name: string }): Promise<OidcOutcome>;
}

/** `chosen` by the person: then no account may have it, not even one that an administrator made for somebody of this provider. */
export interface OnboardingName {
  readonly name: string;
  readonly isChosen: boolean;
}

/** Makes or finds the account of somebody a provider knows. */
export interface Onboarding {
  /** The account of this identity; undefined when it has none yet. */
  find(provider: string, externalId: string): Promise<number | undefined>;
  /** Takes over what the provider says now, and makes the account where there is none. CONFLICT when the name is somebody else's, BAD_REQUEST for no name. */
  onboard(provider: string, identity: OidcIdentity, name: OnboardingName): Promise<number>;
  /** The account as it is now; undefined when it is switched off. */
  principal(accountId: number): Promise<UserPrincipal | undefined>;
}

export function createOidcLogins(parts: {
  oidc: Oidc;
  attempts: LoginAttempts;
  onboarding: Onboarding;
  findProvider: (name: string) => Promise<OidcProvider | undefined>;
}): OidcLogins {
  const { oidc, attempts, onboarding } = parts;

  const providerOf = async (name: string): Promise<OidcProvider> => {
    const provider = await parts.findProvider(name);
    if (provider === undefined) throw new OciError('NOT_FOUND', 'there is no such identity provider');
    return provider;
  };

  const enter = async (provider: string, accountId: number): Promise<UserPrincipal> => {
    const principal = await onboarding.principal(accountId);
    if (principal === undefined) throw new OciError('DENIED', 'this account is switched off', { detail: { reason: 'disabled' } });
    if (principal.id !== accountId) throw new Error(`${provider}: another account was read than the one asked for`);
    return principal;
  };

  const askName = async (
    provider: string,
    identity: OidcIdentity,
    options: { returnTo: string; suggestion: string; problem?: string },
  ): Promise<OidcOutcome> => {
    const { suggestion, problem, returnTo } = options;
    const { secrets, browser } = await attempts.start({ provider, purpose: 'onboard', returnTo, identity: JSON.stringify(identity) });
    return { kind: 'name-wanted', state: secrets.state, browser, suggestion, ...(problem === undefined ? {} : { problem }) };
  };

  /** An account for somebody new under this name, or the question for another one. */
  const tryName = async (provider: string, identity: OidcIdentity, name: OnboardingName, returnTo: string): Promise<OidcOutcome> => {
    try {
      const accountId = await onboarding.onboard(provider, identity, name);
      return { kind: 'login', principal: await enter(provider, accountId), provider, returnTo };
    } catch (error) {
      if (!(error instanceof OciError) || (error.code !== 'CONFLICT' && error.code !== 'BAD_REQUEST')) throw error;
      return askName(provider, identity, { returnTo, suggestion: name.name, problem: error.message });
    }
  };

  return {
    begin: async ({ provider: name, redirectUri, returnTo, sessionId }) => {
      const provider = await providerOf(name);
      const isAgain = sessionId !== undefined;
      const { secrets, browser } = await attempts.start({
        provider: name,
        purpose: isAgain ? 'step-up' : 'login',
        returnTo,
        ...(isAgain ? { sessionId } : {}),
      });
      return { to: await oidc.begin(provider, { redirectUri, secrets, isAgain }), browser };
    },

    finish: async ({ provider: name, redirectUri, query, browser }) => {
      const state = new URLSearchParams(query).get('state') ?? '';
      const { attempt, secrets } = await attempts.take(state, browser, ['login', 'step-up']);
      if (attempt.provider !== name)
        throw new OciError('UNAUTHORIZED', 'the answer came from another provider than the one that was asked');
      const provider = await providerOf(name);
      const isAgain = attempt.purpose === 'step-up';
      const identity = await oidc.finish(provider, { redirectUri, query, secrets, isAgain });
      const known = await onboarding.find(name, identity.externalId);
      if (known === undefined) {
        if (isAgain) throw new OciError('DENIED', 'this is another person than the one who is logged in');
        const suggestion = identity.name ?? '';
        if (!provider.settings.auto_onboard || identity.name === undefined)
          return askName(name, identity, { returnTo: attempt.returnTo, suggestion });
        return tryName(name, identity, { name: identity.name, isChosen: false }, attempt.returnTo);
      }
      // Disabled is looked at first: nothing is taken over for whoever may not enter.
      const { name: accountName } = await enter(name, known);
      await onboarding.onboard(name, identity, { name: accountName, isChosen: false });
      const principal = await enter(name, known);
      if (!isAgain) return { kind: 'login', principal, provider: name, returnTo: attempt.returnTo };
      return { kind: 'confirmed', principal, sessionId: attempt.sessionId ?? -1, returnTo: attempt.returnTo };
    },

    choose: async ({ state, browser, name }) => {
      const { attempt } = await attempts.take(state, browser, ['onboard']);
      await providerOf(attempt.provider);
      const identity = JSON.parse(attempt.identity ?? '{}') as OidcIdentity;
      return tryName(attempt.provider, identity, { name, isChosen: true }, attempt.returnTo);
    },
  };
}
