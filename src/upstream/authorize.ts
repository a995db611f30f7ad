// The challenge flow: asks, answers a 401 with a token or Basic, and gives up after one refresh. It must never send more than three requests
// for one answer with one login (fault F17), never act on a challenge that another origin sent, and never send a secret where realm.ts does
// not allow it. A login whose quota is spent or that is refused rests, and the next one is used (logins.ts).
// wire.md 2.2, 2.3; distribution "Token Authentication Specification"; faults F17, F18, F20, F27-F29.

import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { readError } from './body.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { classifyStatus, isAbuseLimit } from './classify.ts';
import type { Login } from './credential-helper.ts';
import type { CredentialSource } from './credentials.ts';
import type { HostGate } from './host-gate.ts';
import { type AskKind, anonymousId, type LoginBook } from './logins.ts';
import { type Quota, readQuota } from './quota.ts';
import { judgeRealm } from './realm.ts';
import { follow } from './redirect.ts';
import { locateRepository, type RepositoryTarget, type Source } from './source.ts';
import { basicAuthorization, type HeldToken, type TokenRequest, type TokenStore } from './token.ts';
import type { Hop, Transport } from './transport.ts';
import type { UpstreamLimits } from './upstream-limits.ts';
import { UpstreamError } from './verdict.ts';

export interface PullRequest {
  readonly source: Source;
  readonly repository: string;
  /** Behind the repository's URL, e.g. `/manifests/latest`; may hold a query. */
  readonly path: string;
  /** Asked in place of the repository's URL and the path. */
  readonly at?: string;
  readonly method: 'GET' | 'HEAD';
  readonly kind: AskKind;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface AuthorizedHop {
  readonly hop: Hop;
  /** The login that was used, or `anonymous`. */
  readonly credentialId: string;
  readonly quota?: Quota;
}

export interface Authorizer {
  /** The answer, of any status but an own-origin 401 that can be answered and an own-origin 429. Throws UpstreamError. */
  send(request: PullRequest): Promise<AuthorizedHop>;
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

/** One call and what it has used up. */
interface Errand {
  readonly request: PullRequest;
  readonly target: RepositoryTarget;
  readonly url: URL;
  readonly wayKey: string;
  requestsLeft: number;
}

/** The end of one login's try: the answer, or why there is none and whether another login may help. */
type Tried = AuthorizedHop | { readonly error: UpstreamError; readonly mayOtherHelp: boolean };

const requestsMax = 3;
const requestsPerFurtherLogin = 2;

export function createAuthorizer(parts: {
  transport: Transport;
  limits: UpstreamLimits;
  tokens: TokenStore;
  logins: LoginBook;
  gate: HostGate;
  clock: Clock;
}): Authorizer {
  const { tokens, logins } = parts;
  // The last challenge of each source, so that the next request need not fail first.
  const ways = createLru<string, Way>({ maxEntries: 1_000 });

  const passFor = async (errand: Errand, way: Way, login: Login | undefined): Promise<Pass | undefined> => {
    const { source, signal } = errand.request;
    if (way.kind === 'basic') return login === undefined ? undefined : { authorization: basicAuthorization(login) };
    const scope = `repository:${errand.target.scopeName}:pull`;
    const request: TokenRequest = { source, realm: way.realm, service: way.service, scope, login };
    const held = await tokens.get(request, signal);
    return { authorization: `Bearer ${held.value.reveal()}`, token: { request, held } };
  };

  const exchange = (errand: Errand, pass: Pass | undefined): Promise<Hop> => {
    errand.requestsLeft--;
    const { source, method, headers, signal } = errand.request;
    return follow(parts, { source, url: errand.url, method, headers, signal, authorization: pass?.authorization });
  };

  /** The source's 429, charged to whom it concerns: the host when it looks like a flood guard, else the login. */
  const limitedBy = async (errand: Errand, hop: Hop, credentialId: string): Promise<UpstreamError> => {
    const { source, kind, signal } = errand.request;
    const body = await readError(hop, { maxBytes: parts.limits.errorMaxBytes, signal });
    const answer = { status: hop.status, headers: hop.headers, body, origin: hop.url.origin };
    const error = classifyStatus(answer, { trust: source.trust, nowMs: parts.clock.nowMs() });
    if (isAbuseLimit(answer)) {
      parts.gate.slowDown(hop.url.host);
      return error;
    }
    const quota = readQuota(hop.headers);
    if (quota !== undefined) logins.noteQuota(source.id, credentialId, quota);
    const verdict = logins.noteLimit(source.id, credentialId, { kind, retryAfterMs: error.retryAfterMs });
    if (verdict === error.verdict) return error;
    const { detail, retryAfterMs } = error;
    return new UpstreamError(verdict, {
      detail,
      status: hop.status,
      origin: hop.url.origin,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  };

  /** Answers from the source's own origin are judged; undefined for a 401, which the caller answers. */
  const judge = async (errand: Errand, hop: Hop, credentialId: string): Promise<Tried | undefined> => {
    const isOwn = hop.url.origin === errand.url.origin;
    if (isOwn && hop.status === 401) return undefined;
    if (isOwn && hop.status === 429) {
      const error = await limitedBy(errand, hop, credentialId);
      return { error, mayOtherHelp: !isFloodGuard(parts.gate, hop.url.host) };
    }
    const quota = isOwn ? readQuota(hop.headers) : undefined;
    if (quota === undefined) return { hop, credentialId };
    logins.noteQuota(errand.request.source.id, credentialId, quota);
    return { hop, credentialId, quota };
  };

  /** Reads the challenge of a 401 and remembers it. */
  const learn = async (errand: Errand, hop: Hop): Promise<{ way: Way; isScopeRefused: boolean }> => {
    const challenges = parseChallenges(hop.headers.get('www-authenticate') ?? '');
    await readError(hop, { maxBytes: parts.limits.errorMaxBytes, signal: errand.request.signal });
    const way = chooseWay(errand.request.source, challenges);
    ways.set(errand.wayKey, way);
    return { way, isScopeRefused: challenges.some((challenge) => challenge.parameters.get('error') === 'insufficient_scope') };
  };

  const tryLogin = async (
    errand: Errand,
    start: { way: Way; isNew: boolean; credential: CredentialSource | undefined },
  ): Promise<Tried> => {
    const { source, signal } = errand.request;
    let { way, isNew } = start;
    let mayRenew = true;
    const renew = async (login: Login | undefined): Promise<boolean> => {
      const isTried = !mayRenew;
      mayRenew = false;
      return !isTried && (await isRenewed(start.credential, login, signal));
    };
    for (;;) {
      const isUsed = start.credential !== undefined && (way.kind === 'basic' || way.isPinned);
      const credentialId = isUsed ? (start.credential?.id ?? anonymousId) : anonymousId;
      let login: Login | undefined;
      let pass: Pass | undefined;
      try {
        login = isUsed ? await start.credential?.get(signal) : undefined;
        pass = await passFor(errand, way, login);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (!(error instanceof UpstreamError)) throw error;
        if (isUsed && isRefusal(error)) {
          if (error.status === 401 && (await renew(login))) continue;
          if (error.status === 401) refuse(source, start.credential);
          return { error, mayOtherHelp: true };
        }
        // Without a token the source may still answer, so a failing token service does not stop the first try.
        if (isNew) return { error, mayOtherHelp: isUsed };
      }
      if (pass === undefined && isNew)
        return { error: unauthorized('asks for a login and has none configured', errand.url), mayOtherHelp: false };
      const hop = await exchange(errand, pass);
      const judged = await judge(errand, hop, pass === undefined ? anonymousId : credentialId);
      if (judged !== undefined) return judged;
      if (pass?.token !== undefined) tokens.drop(pass.token.request, pass.token.held);
      const learned = await learn(errand, hop);
      if (pass !== undefined && (learned.isScopeRefused || pass.token === undefined)) {
        if (pass.token === undefined) {
          if (errand.requestsLeft > 0 && (await renew(login))) {
            isNew = true;
            continue;
          }
          // A lone login is not set aside: it may be refused for want of rights on this repository.
          if ((source.credentials?.length ?? 0) > 1) refuse(source, start.credential);
        }
        return { error: unauthorized('refuses the login it was given', errand.url), mayOtherHelp: true };
      }
      if (errand.requestsLeft <= 0)
        return {
          error: unauthorized(pass === undefined ? 'asks for a login' : 'refuses the login it was given', errand.url),
          mayOtherHelp: false,
        };
      way = learned.way;
      isNew = true;
    }
  };

  const refuse = (source: Source, credential: CredentialSource | undefined): void => {
    if (credential === undefined) return;
    logins.noteRefused(source.id, credential.id);
    credential.forget?.();
  };

  const send = async (request: PullRequest): Promise<AuthorizedHop> => {
    const { source } = request;
    const target = locateRepository(source, request.repository);
    const wayKey = `${source.id} ${source.url}`;
    const errand: Errand = {
      request,
      target,
      url: new URL(request.at ?? `${target.base}${request.path}`),
      wayKey,
      requestsLeft: requestsMax,
    };
    let way = ways.get(wayKey);
    const isNew = way === undefined;
    if (way === undefined) {
      logins.usable(source, request.kind, true);
      const hop = await exchange(errand, undefined);
      const judged = await judge(errand, hop, anonymousId);
      if (judged !== undefined) return answerOf(judged);
      way = (await learn(errand, hop)).way;
    }
    let firstError: UpstreamError | undefined;
    for (const credential of logins.usable(source, request.kind, way.kind === 'bearer')) {
      if (firstError !== undefined) errand.requestsLeft = Math.max(errand.requestsLeft, requestsPerFurtherLogin);
      const tried = await tryLogin(errand, { way, isNew: isNew || firstError !== undefined, credential });
      if ('hop' in tried) return tried;
      firstError ??= tried.error;
      if (!tried.mayOtherHelp) break;
    }
    throw firstError ?? unauthorized('asks for a login and has none configured', errand.url);
  };

  return { send };
}

function answerOf(tried: Tried): AuthorizedHop {
  if ('hop' in tried) return tried;
  throw tried.error;
}

/** A login that was refused because it had expired, or was changed meanwhile, is there anew. */
async function isRenewed(credential: CredentialSource | undefined, refused: Login | undefined, signal: AbortSignal): Promise<boolean> {
  if (credential?.forget === undefined || refused === undefined) return false;
  credential.forget();
  const fresh = await credential.get(signal).catch((error: unknown) => keepAbort(error, signal));
  return fresh !== undefined && (fresh.username !== refused.username || fresh.password.reveal() !== refused.password.reveal());
}

function keepAbort(error: unknown, signal: AbortSignal): undefined {
  if (signal.aborted) throw signal.reason;
  if (!(error instanceof UpstreamError)) throw error;
  return undefined;
}

/** The token service's own refusal of a login: for good (401), for this repository (403), or for now (429). */
function isRefusal(error: UpstreamError): boolean {
  return error.verdict === 'token-error' && (error.status === 401 || error.status === 403 || error.status === 429);
}

function isFloodGuard(gate: HostGate, host: string): boolean {
  return gate.restMs(host) > 0;
}

function unauthorized(detail: string, url: URL): UpstreamError {
  return new UpstreamError('unauthorized', { detail, status: 401, origin: url.origin });
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
