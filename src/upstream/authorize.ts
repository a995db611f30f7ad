// The challenge flow: asks, answers a 401 with a token or Basic, and gives up after one refresh. It must never send more than three requests
// for one answer (fault F17), never act on a challenge that another origin sent, and never send a secret where realm.ts does not allow it.
// wire.md 2.2; distribution "Token Authentication Specification".

import { createLru } from '../lib/lru.ts';
import { readError } from './body.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { judgeRealm } from './realm.ts';
import { follow } from './redirect.ts';
import { locateRepository, type Source } from './source.ts';
import { basicAuthorization, type HeldToken, type TokenRequest, type TokenStore } from './token.ts';
import type { Hop, Transport } from './transport.ts';
import type { UpstreamLimits } from './upstream-limits.ts';
import { UpstreamError } from './verdict.ts';

export interface PullRequest {
  readonly source: Source;
  readonly repository: string;
  /** Behind the repository's URL, e.g. `/manifests/latest`; may hold a query. */
  readonly path: string;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface Authorizer {
  /** The answer, of any status but an own-origin 401 that can be answered. Throws UpstreamError. */
  send(request: PullRequest): Promise<Hop>;
}

/** How a source wants to be asked. */
type Way =
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer'; readonly realm: URL; readonly service: string | undefined; readonly isPinned: boolean };

interface Pass {
  readonly authorization: string;
  /** Present when it came from the token store. */
  readonly token?: { readonly request: TokenRequest; readonly held: HeldToken };
}

const requestsMax = 3;

export function createAuthorizer(parts: { transport: Transport; limits: UpstreamLimits; tokens: TokenStore }): Authorizer {
  const { tokens } = parts;
  // The last challenge of each source, so that the next request need not fail first.
  const ways = createLru<string, Way>({ maxEntries: 1_000 });

  const passFor = async (request: PullRequest, way: Way, scopeName: string): Promise<Pass | undefined> => {
    const [credential] = request.source.credentials ?? [];
    if (way.kind === 'basic') {
      return credential === undefined ? undefined : { authorization: basicAuthorization(await credential.get(request.signal)) };
    }
    const tokenRequest: TokenRequest = {
      source: request.source,
      realm: way.realm,
      service: way.service,
      scope: `repository:${scopeName}:pull`,
      login: way.isPinned ? await credential?.get(request.signal) : undefined,
    };
    const held = await tokens.get(tokenRequest, request.signal);
    return { authorization: `Bearer ${held.value.reveal()}`, token: { request: tokenRequest, held } };
  };

  const send = async (request: PullRequest): Promise<Hop> => {
    const { source, signal } = request;
    const target = locateRepository(source, request.repository);
    const url = new URL(`${target.base}${request.path}`);
    const wayKey = `${source.id} ${source.url}`;
    const learned = ways.get(wayKey);
    // Without a token the source may still answer, so a failing token service does not stop the first try.
    let pass =
      learned === undefined
        ? undefined
        : await passFor(request, learned, target.scopeName).catch((error: unknown) => keepAbort(error, signal));
    for (let count = 1; ; count++) {
      const hop = await follow(parts, {
        source,
        url,
        method: request.method,
        headers: request.headers,
        signal,
        authorization: pass?.authorization,
      });
      if (hop.status !== 401 || hop.url.origin !== url.origin) return hop;
      const challenges = parseChallenges(hop.headers.get('www-authenticate') ?? '');
      await readError(hop, { maxBytes: parts.limits.errorMaxBytes, signal });
      if (pass?.token !== undefined) tokens.drop(pass.token.request, pass.token.held);
      const isScopeRefused =
        pass !== undefined && challenges.some((challenge) => challenge.parameters.get('error') === 'insufficient_scope');
      const isBasicRefused = pass !== undefined && pass.token === undefined;
      if (count >= requestsMax || isScopeRefused || isBasicRefused) {
        throw new UpstreamError('unauthorized', {
          detail: pass === undefined ? 'asks for a login' : 'refuses the login it was given',
          status: 401,
          origin: url.origin,
        });
      }
      const way = chooseWay(source, challenges);
      ways.set(wayKey, way);
      pass = await passFor(request, way, target.scopeName);
      if (pass === undefined)
        throw new UpstreamError('unauthorized', { detail: 'asks for a login and has none configured', status: 401, origin: url.origin });
    }
  };

  return { send };
}

/** Bearer before Basic. Throws `unauthorized` when nothing usable is asked for, `foreign-realm` when the realm may not be asked. */
function chooseWay(source: Source, challenges: readonly Challenge[]): Way {
  const origin = new URL(source.url).origin;
  const bearer = challenges.find((challenge) => challenge.scheme === 'bearer' && challenge.parameters.has('realm'));
  if (bearer !== undefined) {
    const judged = judgeRealm(source, bearer.parameters.get('realm') ?? '');
    if (judged.kind === 'refused') throw new UpstreamError('foreign-realm', { detail: judged.reason, status: 401, origin });
    return { kind: 'bearer', realm: judged.url, service: bearer.parameters.get('service'), isPinned: judged.kind === 'credentials' };
  }
  if (challenges.some((challenge) => challenge.scheme === 'basic')) return { kind: 'basic' };
  throw new UpstreamError('unauthorized', { detail: 'answered 401 without a usable challenge', status: 401, origin });
}

function keepAbort(error: unknown, signal: AbortSignal): undefined {
  if (signal.aborted) throw signal.reason;
  if (!(error instanceof UpstreamError)) throw error;
  return undefined;
}
