// The pages and forms of a browser: /login, /account and Harbor's /c/login, /c/log_out, /c/oidc/*. Every form that changes something is checked to
// come from our own page; a login always gives a new session. Coded errors of a page are a page with the same status.
// Harbor's portal routes; security.md HRD-08 to HRD-10, SEC-B15, SEC-E12, SEC-H02.

import type { Logins } from '../auth/logins.ts';
import type { LiveSession, Sessions } from '../auth/sessions.ts';
import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { crossSite } from './api-door.ts';
import { createOidcPages, type OidcAudit, type OidcConsole } from './console-oidc.ts';
import { accountPage, consoleStyle, leavePage, loginPage, problemPage } from './console-pages.ts';
import {
  type Handler,
  type Handlers,
  isFromOwnForm,
  readForm,
  redirect,
  show,
  type Visitor,
  visitorOf,
  withSession,
} from './console-visitor.ts';
import { consoleWords } from './console-words.ts';
import { clearCookie } from './cookies.ts';
import { errorResponse, statusOf } from './errors.ts';
import type { Clients } from './origin.ts';
import { accountPath, loginPath, readReturnPath } from './return-path.ts';

export interface Console {
  /** The answer to one of its paths; undefined for any other. */
  answer(request: Request, path: string, query: string, peer: () => string | undefined): Promise<Response> | undefined;
}

/** Hears what the logins by password do not tell. */
export interface ConsoleAudit extends OidcAudit {
  loggedOut(session: LiveSession, address: string | undefined): void;
}

/** Whether a path is answered here, if at all. */
export function isConsolePath(path: string): boolean {
  return path === loginPath || path === accountPath || path.startsWith('/c/');
}

const providersShownMax = 50;
const sessionsShownMax = 20;

export function createConsole(parts: {
  sessions: Sessions;
  logins: Pick<Logins, 'login'>;
  oidc: OidcConsole;
  clients: Pick<Clients, 'originOf' | 'addressOf' | 'cookiePath'>;
  audit: ConsoleAudit;
}): Console {
  const { sessions, logins, oidc, clients } = parts;

  const sessionOf = async (visitor: Visitor): Promise<LiveSession | undefined> => {
    const secret = visitor.cookie('session');
    return secret === undefined ? undefined : sessions.find(secret);
  };

  const showLogin = async (visitor: Visitor, problem?: string): Promise<Response> => {
    const providers = (await oidc.listProviders()).slice(0, providersShownMax);
    const returnTo = readReturnPath(visitor.query.get('return_to'));
    return show(visitor, problem === undefined ? 200 : 401, (context, csrfToken) =>
      loginPage(context, { providers, returnTo, csrfToken, ...(problem === undefined ? {} : { problem }) }),
    );
  };

  const showAccount: Handler = async (visitor) => {
    const session = await sessionOf(visitor);
    if (session === undefined) return redirect(loginPath);
    const { principal } = session;
    const listed = await sessions.list({ accountId: principal.id, limit: sessionsShownMax });
    return show(visitor, 200, (context, csrfToken) =>
      accountPage(context, {
        name: principal.name,
        isAdmin: principal.isAdmin,
        sessions: listed.map((one) => ({ ...one, isThis: one.id === session.id })),
        csrfToken,
        origin: visitor.origin,
      }),
    );
  };

  const begin = async (visitor: Visitor, principal: LiveSession['principal']): Promise<Secret> => {
    const { address, request } = visitor;
    const userAgent = request.headers.get('user-agent');
    const replaces = visitor.cookie('session');
    const { secret } = await sessions.start({
      principal,
      ...(address === undefined ? {} : { address }),
      ...(userAgent === null ? {} : { userAgent }),
      ...(replaces === undefined ? {} : { replaces }),
    });
    return secret;
  };

  /** Harbor's clients send `principal` and `password` and look at the status; our page wants to go on to a page. */
  const logIn: Handler = async (visitor) => {
    const form = await readForm(visitor);
    const isPage = form.has('return_to');
    if (isPage && !isFromOwnForm(visitor, form)) throw crossSite();
    const { address } = visitor;
    const found = await logins.login(form.get('principal') ?? '', form.get('password') ?? '', address === undefined ? {} : { address });
    // A secret of the command line opens no session, and robots have none.
    if (found === undefined || found.principal.kind !== 'user' || found.method !== 'password') {
      const { words } = consoleWords(visitor.request.headers.get('accept-language'));
      if (isPage) return showLogin(visitor, words.loginFailed);
      throw new OciError('UNAUTHORIZED', 'unknown user or wrong password');
    }
    const secret = await begin(visitor, found.principal);
    const response = isPage ? redirect(readReturnPath(form.get('return_to'))) : new Response(null, { status: 200 });
    return withSession(response, secret, visitor);
  };

  const logOut: Handler = async (visitor) => {
    const { method } = visitor.request;
    // By a link too, as in Harbor; by another site's page not.
    if (method === 'POST' && !isFromOwnForm(visitor, await readForm(visitor))) throw crossSite();
    const session = await sessionOf(visitor);
    const secret = visitor.cookie('session');
    if (secret !== undefined) await sessions.endBySecret(secret);
    if (session !== undefined) parts.audit.loggedOut(session, visitor.address);
    const elsewhere = session === undefined ? undefined : await oidc.endSession(session.provider, `${visitor.origin}${loginPath}`);
    const response = elsewhere === undefined ? redirect(loginPath) : await leaveTo(visitor, elsewhere);
    response.headers.append('set-cookie', clearCookie('session', visitor.place));
    response.headers.append('set-cookie', clearCookie('csrf', visitor.place));
    return response;
  };

  const routes: Readonly<Record<string, Handlers>> = {
    [loginPath]: { GET: (visitor) => showLogin(visitor) },
    [accountPath]: { GET: showAccount },
    '/c/style.css': {
      GET: async () =>
        new Response(consoleStyle, { headers: { 'content-type': 'text/css; charset=utf-8', 'cache-control': 'max-age=3600' } }),
    },
    '/c/login': { GET: async () => redirect(loginPath), POST: logIn },
    '/c/log_out': { GET: logOut, POST: logOut },
  };

  const leaveTo = (visitor: Visitor, { href }: URL): Promise<Response> | Response =>
    visitor.request.method === 'POST'
      ? show(visitor, 200, (context) => leavePage(context, href))
      : new Response(null, { status: 303, headers: { location: href } });

  const oidcPages = createOidcPages({ oidc, sessions, sessionOf, begin, audit: parts.audit });

  return {
    answer: (request, path, query, peer) => {
      const handlers = Object.hasOwn(routes, path) ? routes[path] : oidcPages(path);
      return handlers === undefined ? undefined : handle(handlers, visitorOf(clients, { request, query, peer }));
    },
  };
}

async function handle(handlers: Handlers, visitor: Visitor): Promise<Response> {
  const { request } = visitor;
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined;
  try {
    if (handler === undefined) {
      const allowed = Object.keys(handlers);
      throw new OciError('METHOD_NOT_ALLOWED', `this path allows ${allowed.join(', ')}`, { detail: { allowed } });
    }
    const isChange = method === 'POST' || handlers['POST'] === handler;
    if (isChange && !visitor.isOwn) throw crossSite();
    const response = await handler(visitor);
    return request.method === 'HEAD' ? new Response(null, response) : response;
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    if (request.headers.get('accept')?.includes('text/html') !== true) return errorResponse(error, { head: request.method === 'HEAD' });
    return show(visitor, statusOf(error.code), (context) => problemPage(context, error.message));
  }
}
