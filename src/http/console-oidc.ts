// The browser's way through an OpenID provider: /c/oidc/login, the callback, the choice of a name. Harbor has one provider, whose callback is
// /c/oidc/callback; every other one has an address of its own, so that no provider can answer for another.

import { harborProvider, type OidcLogins, type OidcOutcome } from '../auth/oidc-logins.ts';
import type { UserPrincipal } from '../auth/principal.ts';
import type { LiveSession, Sessions } from '../auth/sessions.ts';
import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { crossSite } from './api-door.ts';
import { namePage } from './console-pages.ts';
import { type Handler, type Handlers, isFromOwnForm, readForm, redirect, show, type Visitor, withSession } from './console-visitor.ts';
import { clearCookie, writeCookie } from './cookies.ts';
import { readReturnPath } from './return-path.ts';

export interface OidcConsole {
  readonly logins: OidcLogins;
  /** The OpenID providers that are switched on. */
  readonly listProviders: () => Promise<readonly { readonly name: string; readonly title: string }[]>;
  /** Where to log out at the provider of a session; undefined when nowhere. */
  readonly endSession: (provider: string, returnTo: string) => Promise<URL | undefined>;
}

export interface OidcAudit {
  loggedIn(principal: UserPrincipal, address: string | undefined): void;
  /** Somebody came back from this provider and was not let in. */
  refused(provider: string, address: string | undefined): void;
}

const loginCookieAgeS = 10 * 60;

/** The handlers of its paths; undefined for any other path. */
export function createOidcPages(parts: {
  oidc: OidcConsole;
  sessions: Pick<Sessions, 'renew'>;
  sessionOf: (visitor: Visitor) => Promise<LiveSession | undefined>;
  begin: (visitor: Visitor, principal: UserPrincipal) => Promise<Secret>;
  audit: OidcAudit;
}): (path: string) => Handlers | undefined {
  const { oidc, sessions, sessionOf, begin, audit } = parts;
  const oidcLogins = oidc.logins;

  const beginOidc: Handler = async (visitor) => {
    const wanted = visitor.query.get('provider') ?? (await onlyProvider());
    const isAgain = visitor.query.get('step_up') === '1';
    const session = isAgain ? await sessionOf(visitor) : undefined;
    if (isAgain && session === undefined) throw new OciError('UNAUTHORIZED', 'there is no session to confirm; log in');
    if (session !== undefined && session.provider !== wanted)
      throw new OciError('BAD_REQUEST', `this session was begun at ${session.provider}; confirm it there`);
    const { to, browser } = await oidcLogins.begin({
      provider: wanted,
      redirectUri: callbackOf(visitor, wanted),
      returnTo: readReturnPath(visitor.query.get('return_to')),
      ...(session === undefined ? {} : { sessionId: session.id }),
    });
    const response = new Response(null, { status: 302, headers: { location: to.href } });
    response.headers.append('set-cookie', writeCookie('login', browser.reveal(), visitor.place, loginCookieAgeS));
    return response;
  };

  const onlyProvider = async (): Promise<string> => {
    const [first] = await oidc.listProviders();
    if (first === undefined) throw new OciError('NOT_FOUND', 'no identity provider is set up');
    return first.name;
  };

  const finishOidc = async (visitor: Visitor, provider: string): Promise<Response> => {
    try {
      const outcome = await oidcLogins.finish({
        provider,
        redirectUri: callbackOf(visitor, provider),
        query: visitor.rawQuery,
        browser: visitor.cookie('login'),
      });
      return await settle(visitor, outcome);
    } catch (error) {
      if (error instanceof OciError && (error.code === 'UNAUTHORIZED' || error.code === 'DENIED')) audit.refused(provider, visitor.address);
      throw error;
    }
  };

  const chooseName: Handler = async (visitor) => {
    const form = await readForm(visitor);
    if (!isFromOwnForm(visitor, form)) throw crossSite();
    const name = (form.get('username') ?? '').trim();
    return settle(visitor, await oidcLogins.choose({ state: form.get('state') ?? '', browser: visitor.cookie('login'), name }));
  };

  const settle = async (visitor: Visitor, outcome: OidcOutcome): Promise<Response> => {
    if (outcome.kind === 'name-wanted') {
      const { state, suggestion, problem, browser } = outcome;
      const response = await show(visitor, 200, (context, csrfToken) =>
        namePage(context, { state, suggestion, csrfToken, ...(problem === undefined ? {} : { problem }) }),
      );
      response.headers.append('set-cookie', writeCookie('login', browser.reveal(), visitor.place, loginCookieAgeS));
      return response;
    }
    const secret = outcome.kind === 'login' ? await begin(visitor, outcome.principal) : await confirm(visitor, outcome);
    audit.loggedIn(outcome.principal, visitor.address);
    const response = withSession(redirect(outcome.returnTo), secret, visitor);
    response.headers.append('set-cookie', clearCookie('login', visitor.place));
    return response;
  };

  const confirm = async (visitor: Visitor, outcome: Extract<OidcOutcome, { kind: 'confirmed' }>): Promise<Secret> => {
    const session = await sessionOf(visitor);
    if (session === undefined || session.id !== outcome.sessionId || session.principal.id !== outcome.principal.id)
      throw new OciError('DENIED', 'this is another person than the one who is logged in');
    const secret = await sessions.renew(session.id);
    if (secret === undefined) throw new OciError('UNAUTHORIZED', 'the session has ended; log in');
    return secret;
  };

  const routes: Readonly<Record<string, Handlers>> = {
    '/c/oidc/login': { GET: beginOidc },
    '/c/oidc/callback': { GET: (visitor) => finishOidc(visitor, harborProvider) },
    '/c/oidc/onboard': { POST: chooseName },
  };
  return (path) => {
    if (Object.hasOwn(routes, path)) return routes[path];
    const named = /^\/c\/oidc\/callback\/([a-z][a-z0-9-]{0,62})$/.exec(path)?.[1];
    return named === undefined ? undefined : { GET: (visitor) => finishOidc(visitor, named) };
  };
}

function callbackOf({ origin }: Visitor, provider: string): string {
  return `${origin}/c/oidc/callback${provider === harborProvider ? '' : `/${provider}`}`;
}
