// Who calls the admin API: by Authorization, or as the session of a browser. What a browser's cookie speaks for is checked to be meant by its
// user (csrf.ts). The registry API and the token service never come here, so they never read a cookie. security.md HRD-08, HRD-09, SEC-B16.

import { randomBytes } from 'node:crypto';
import { type Caller, principalKey } from '../auth/principal.ts';
import type { Sessions } from '../auth/sessions.ts';
import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import type { Authentication } from './authentication.ts';
import { type CookiePlace, readCookie, writeCookie } from './cookies.ts';
import { csrfHeader, csrfTokenOf, isCsrfCookie, isCsrfToken, isForeign, isUnsafe } from './csrf.ts';
import type { Clients } from './origin.ts';

export interface Visit {
  readonly caller: Caller;
  /** Puts what the browser has to keep into the answer. */
  leave(response: Response): Response;
}

export interface ApiDoor {
  /** DENIED (detail `cross-site` or `csrf`) for what a browser was made to send; BAD_REQUEST for two callers at once; what `identify` throws. */
  enter(request: Request, peer: () => string | undefined): Promise<Visit>;
}

export function createApiDoor(parts: {
  authentication: Pick<Authentication, 'identify'>;
  sessions: Pick<Sessions, 'find'>;
  clients: Pick<Clients, 'originOf' | 'addressOf' | 'cookiePath'>;
}): ApiDoor {
  const { authentication, sessions, clients } = parts;

  return {
    enter: async (request, peer) => {
      const { headers, method } = request;
      const authorization = headers.get('authorization');
      const cookies = headers.get('cookie');
      const place = placeOf(clients, headers, peer());
      const hosts = hostsOf(clients, headers, peer());
      if (isUnsafe(method) && isForeign(headers, hosts)) throw crossSite();
      const secret = readCookie(cookies, 'session', place);
      const session = secret === undefined ? undefined : await sessions.find(secret);
      if (authorization !== null || session === undefined) {
        const caller = await authentication.identify(authorization, () => clients.addressOf(headers, peer()));
        if (caller.claims !== undefined)
          // A registry token stands for a few rights in a few repositories, whoever asked for it.
          throw new OciError('UNAUTHORIZED', 'a registry token does not open the admin API; use Basic authorization');
        if (session !== undefined && principalKey(session.principal) !== principalKey(caller.principal))
          throw new OciError('BAD_REQUEST', 'the Authorization header and the session cookie name two callers; send one of them');
        const isBrowser = authorization === null;
        return { caller, leave: (response) => (isBrowser ? asBrowserAnswer(request, giveToken(response, cookies, place)) : response) };
      }
      const csrfCookie = readCookie(cookies, 'csrf', place);
      if (isUnsafe(method) && !isCsrfToken(headers.get(csrfHeader), csrfCookie)) throw withoutToken();
      const address = clients.addressOf(headers, peer());
      let renewed: Secret | undefined;
      const caller: Caller = {
        principal: session.principal,
        method: 'session',
        ...(address === undefined ? {} : { address }),
        session: {
          id: session.id,
          provedAtMs: session.provedAtMs,
          renew: (next) => {
            renewed = next;
          },
        },
      };
      return {
        caller,
        leave: (response) => {
          if (renewed !== undefined) response.headers.append('set-cookie', writeCookie('session', renewed.reveal(), place));
          return asBrowserAnswer(request, giveToken(response, cookies, place));
        },
      };
    },
  };
}

/** Where the client's cookies hold. */
export function placeOf(clients: Pick<Clients, 'originOf' | 'cookiePath'>, headers: Headers, peer: string | undefined): CookiePlace {
  return { isSecure: clients.originOf(headers, peer).startsWith('https:'), path: clients.cookiePath };
}

/** The names, with port, this server goes by for this request. */
export function hostsOf(clients: Pick<Clients, 'originOf'>, headers: Headers, peer: string | undefined): readonly string[] {
  const own = URL.parse(clients.originOf(headers, peer))?.host;
  const asked = headers.get('host');
  return [...(own === undefined ? [] : [own]), ...(asked === null ? [] : [asked])];
}

/** Hands out the token that goes with the browser's CSRF cookie, and the cookie where there is none. */
export function giveToken(response: Response, cookies: string | null, place: CookiePlace): Response {
  const known = readCookie(cookies, 'csrf', place);
  const cookie = isCsrfCookie(known) ? known : randomBytes(32).toString('base64url');
  if (cookie !== known) response.headers.append('set-cookie', writeCookie('csrf', cookie, place));
  response.headers.set(csrfHeader, csrfTokenOf(cookie));
  return response;
}

export function crossSite(): OciError {
  return new OciError('DENIED', 'another site made this request', { detail: { reason: 'cross-site' } });
}

function withoutToken(): OciError {
  return new OciError(
    'DENIED',
    'a change by a session needs the header X-Harbor-CSRF-Token, with the value that any GET answers under this name',
    {
      detail: { reason: 'csrf' },
    },
  );
}

/** A page's own request that gets a Basic challenge makes the browser ask for a password in a window of its own. */
function asBrowserAnswer(request: Request, response: Response): Response {
  const mode = request.headers.get('sec-fetch-mode');
  if (response.status === 401 && mode !== null && mode !== 'navigate') response.headers.delete('www-authenticate');
  return response;
}
