// OpenID Connect: the way to a provider and back. The protocol is openid-client's (code flow, PKCE, nonce, state, issuer of the answer, ID tokens
// by their signature); every request it makes goes through the outbound call, so that a provider is no way into the network behind this server.
// It must never log or tell a token. OpenID Connect Core 1.0, RFC 6749, RFC 7636, RFC 9207; security.md SEC-B13, HRD-12.

import type * as OpenIdClient from 'openid-client';
import type { OidcSettings } from '../config/oidc-settings.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { createLru } from '../lib/lru.ts';
import type { Secret } from '../lib/secret.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import { OciError } from '../oci/errors.ts';
import type { OutboundCall } from '../upstream/outbound-call.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import type { IdentityProvider } from './identity-providers.ts';
import type { AttemptSecrets } from './login-attempts.ts';
import { type Claims, type OidcIdentity, readIdentity, wantedClaims } from './oidc-claims.ts';

export interface OidcProvider {
  /** Of the provider here, e.g. `corp`. */
  readonly name: string;
  readonly settings: OidcSettings;
  readonly secret?: Secret;
  /** Another text after every change. */
  readonly version: string;
}

/** The provider as it is asked; undefined for a directory. */
export function toOidcProvider(provider: IdentityProvider): OidcProvider | undefined {
  if (provider.kind !== 'oidc') return undefined;
  const { name, settings, secret, version } = provider;
  return { name, settings, version, ...(secret === undefined ? {} : { secret }) };
}

export interface Oidc {
  /** Where the browser goes to log in; `isAgain` asks for a password even of somebody who is logged in there. */
  begin(provider: OidcProvider, options: { redirectUri: string; secrets: AttemptSecrets; isAgain: boolean }): Promise<URL>;
  /** Who came back, from the query of the redirect. */
  finish(
    provider: OidcProvider,
    options: { redirectUri: string; query: string; secrets: AttemptSecrets; isAgain: boolean },
  ): Promise<OidcIdentity>;
  /** Where the browser goes to log out there; undefined when the provider has no such place. */
  endSession(provider: OidcProvider, options: { returnTo: string }): Promise<URL | undefined>;
  /** Reads the discovery document and the keys. */
  ping(provider: OidcProvider): Promise<void>;
}

const callTimeoutMs = 10_000;
const answerMaxBytes = 1024 * 1024;
const configurationLifeMs = 60 * 60 * 1000;
const providersMax = 100;
/** A login confirms who it is only when it was made within this time. */
const againMaxAgeS = 10 * 60;

/** All methods throw UNAVAILABLE when the provider cannot be reached, UNAUTHORIZED when it, or a check of its answer, refuses. */
export function createOidc(options: { call: OutboundCall; clock: Clock; log: Log }): Oidc {
  const { call, clock, log } = options;
  type Known = { readonly client: OpenIdClient.Configuration; readonly untilMs: number };
  const known = createLru<string, Known>({ maxEntries: providersMax });
  const flights = createSingleFlight<OpenIdClient.Configuration>();

  const configurationOf = async (library: typeof OpenIdClient, provider: OidcProvider): Promise<OpenIdClient.Configuration> => {
    const key = `${provider.name} ${provider.version}`;
    const found = known.get(key);
    if (found !== undefined && found.untilMs > clock.monotonicMs()) return found.client;
    return flights.run(key, async () => {
      const client = await discover(library, provider, call);
      known.set(key, { client, untilMs: clock.monotonicMs() + configurationLifeMs });
      return client;
    });
  };

  /** Runs a step of the protocol; its failures become coded ones and a line in the log, without what the provider wrote. */
  const step = async <T>(
    provider: OidcProvider,
    name: string,
    work: (library: typeof OpenIdClient, client: OpenIdClient.Configuration) => Promise<T>,
  ): Promise<T> => {
    const library = await import('openid-client');
    try {
      return await work(library, await configurationOf(library, provider));
    } catch (error) {
      const { coded, reason } = explain(provider, error);
      log.warn('oidc.failed', { provider: provider.name, step: name, reason });
      throw coded;
    }
  };

  const identityOf = async (
    library: typeof OpenIdClient,
    client: OpenIdClient.Configuration,
    provider: OidcProvider,
    tokens: { readonly access_token: string; readonly claims: () => OpenIdClient.IDToken | undefined },
  ): Promise<OidcIdentity> => {
    const token = tokens.claims();
    if (token === undefined) throw new OciError('UNAUTHORIZED', `${provider.name} did not say who it is`);
    const subject = token.sub;
    let claims: Claims = token;
    const isWhole = wantedClaims(provider.settings).every((claim) => claims[claim] !== undefined);
    if (!isWhole && client.serverMetadata().userinfo_endpoint !== undefined)
      claims = { ...(await library.fetchUserInfo(client, tokens.access_token, subject)), ...claims };
    return readIdentity(provider.settings, { issuer: client.serverMetadata().issuer, subject }, claims);
  };

  return {
    begin: (provider, { redirectUri, secrets, isAgain }) =>
      step(provider, 'begin', async (library, client) =>
        library.buildAuthorizationUrl(client, {
          ...provider.settings.extra_redirect_params,
          redirect_uri: redirectUri,
          scope: [...new Set(['openid', ...provider.settings.scopes])].join(' '),
          state: secrets.state,
          nonce: secrets.nonce,
          code_challenge: await library.calculatePKCECodeChallenge(secrets.verifier),
          code_challenge_method: 'S256',
          ...(isAgain ? { prompt: 'login', max_age: '0' } : {}),
        }),
      ),

    finish: (provider, { redirectUri, query, secrets, isAgain }) =>
      step(provider, 'finish', async (library, client) => {
        const tokens = await library.authorizationCodeGrant(client, new URL(`${redirectUri}?${query}`), {
          expectedState: secrets.state,
          expectedNonce: secrets.nonce,
          pkceCodeVerifier: secrets.verifier,
          idTokenExpected: true,
          ...(isAgain ? { maxAge: againMaxAgeS } : {}),
        });
        return identityOf(library, client, provider, tokens);
      }),

    endSession: (provider, { returnTo }) =>
      step(provider, 'end-session', async (library, client) => {
        if (client.serverMetadata().end_session_endpoint === undefined) return undefined;
        return library.buildEndSessionUrl(client, { post_logout_redirect_uri: returnTo });
      }),

    ping: (provider) =>
      step({ ...provider, version: `ping ${clock.monotonicMs()}` }, 'ping', async (_, client) => {
        const keys = client.serverMetadata().jwks_uri;
        if (keys === undefined) throw new OciError('UNAUTHORIZED', 'its discovery document names no keys (jwks_uri)');
        const answer = await call(targetOf(provider), { url: keys, method: 'GET', timeoutMs: callTimeoutMs, maxBytes: answerMaxBytes });
        if (answer.status !== 200) throw new OciError('UNAVAILABLE', `its keys were answered with status ${answer.status}`);
      }),
  };
}

/** Reads the discovery document; openid-client checks that it is the issuer's own (OpenID Connect Discovery 4.3). */
function discover(library: typeof OpenIdClient, provider: OidcProvider, call: OutboundCall): Promise<OpenIdClient.Configuration> {
  const { settings, secret } = provider;
  return library.discovery(new URL(settings.issuer), settings.client_id, {}, authenticationOf(library, secret), {
    // The ID token counts by its signature, not by the connection it came through.
    execute: [library.enableNonRepudiationChecks, ...(settings.issuer.startsWith('http:') ? [library.allowInsecureRequests] : [])],
    timeout: callTimeoutMs / 1000,
    [library.customFetch]: async (url, { method, headers, body, signal }) => {
      if (method !== 'GET' && method !== 'POST') throw new TypeError(`a ${method} was not expected`);
      const answer = await call(targetOf(provider), {
        url,
        method,
        headers,
        ...(typeof body === 'string' || body instanceof URLSearchParams ? { body: String(body) } : {}),
        timeoutMs: callTimeoutMs,
        maxBytes: answerMaxBytes,
        ...(signal === undefined ? {} : { signal }),
      });
      return new Response(answer.status === 204 || answer.status === 304 ? null : Buffer.from(answer.bytes), {
        status: answer.status,
        headers: answer.headers,
      });
    },
  });
}

function targetOf({ name, settings }: OidcProvider) {
  const { ca, verify_certificate } = settings;
  return {
    id: `oidc ${name}`,
    url: settings.issuer,
    allowPrivate: settings.allow_private,
    ...(ca === undefined && verify_certificate ? {} : { tls: { ...(ca === undefined ? {} : { ca }), insecure: !verify_certificate } }),
  };
}

/** How this server shows who it is: by Basic, unless the provider takes the secret in the body only; without a secret not at all. */
function authenticationOf(library: typeof OpenIdClient, secret: Secret | undefined): OpenIdClient.ClientAuth {
  if (secret === undefined) return library.None();
  return (server, client, body, headers) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const isPostOnly = methods.includes('client_secret_post') && !methods.includes('client_secret_basic');
    const authenticate = isPostOnly ? library.ClientSecretPost(secret.reveal()) : library.ClientSecretBasic(secret.reveal());
    return authenticate(server, client, body, headers);
  };
}

/** A failure in our words: for the person, and for the log. Both without texts of the provider, which may hold what we sent. */
function explain(provider: OidcProvider, error: unknown): { readonly coded: OciError; readonly reason: string } {
  if (error instanceof OciError) return { coded: error, reason: error.message };
  const chain: Error[] = [];
  for (let one: unknown = error; one instanceof Error && chain.length < 5; one = one.cause) chain.push(one);
  const upstream = chain.find((one) => one instanceof UpstreamError);
  if (upstream !== undefined) {
    const message = `${provider.name} cannot be reached: ${upstream.detail}`;
    return { coded: new OciError('UNAVAILABLE', message, { cause: error }), reason: upstream.message };
  }
  const words = chain.map((one) => ('code' in one && typeof one.code === 'string' ? one.code : one.name));
  const answer = chain.flatMap((one) =>
    'error' in one && typeof one.error === 'string' && /^[a-z_]{1,60}$/.test(one.error) ? [one.error] : [],
  );
  const reason = [...words, ...answer].join(' ');
  const message = answer.includes('access_denied')
    ? `${provider.name} refused the login`
    : `the answer of ${provider.name} was not accepted (${reason})`;
  return { coded: new OciError('UNAUTHORIZED', message, { cause: error, detail: { reason: 'provider-refused' } }), reason };
}
