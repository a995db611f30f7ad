// What a request to one of the plain pages brings, and the answers made from it: pages, redirects, the browser's cookies.

import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { giveToken, hostsOf, placeOf } from './api-door.ts';
import { readBody } from './body.ts';
import type { PageContext } from './console-pages.ts';
import { consoleWords } from './console-words.ts';
import { type CookieKind, type CookiePlace, readCookie, writeCookie } from './cookies.ts';
import { csrfHeader, isCsrfToken, isForeign } from './csrf.ts';
import type { Clients } from './origin.ts';

/** What came with a request, read once. */
export interface Visitor {
  readonly request: Request;
  readonly query: URLSearchParams;
  readonly rawQuery: string;
  readonly place: CookiePlace;
  /** Where the client reaches this server, with a path prefix, without a slash at the end. */
  readonly origin: string;
  readonly address: string | undefined;
  readonly isOwn: boolean;
  cookie(kind: CookieKind): string | undefined;
}

export type Handler = (visitor: Visitor) => Promise<Response>;
/** By method; a GET stands for HEAD, too. */
export type Handlers = Readonly<Record<string, Handler>>;

const formMaxBytes = 16 * 1024;

export function visitorOf(
  clients: Pick<Clients, 'originOf' | 'addressOf' | 'cookiePath'>,
  { request, query, peer }: { request: Request; query: string; peer: () => string | undefined },
): Visitor {
  const { headers } = request;
  const place = placeOf(clients, headers, peer());
  return {
    request,
    rawQuery: query,
    query: new URLSearchParams(query),
    place,
    origin: clients.originOf(headers, peer()),
    address: clients.addressOf(headers, peer()),
    isOwn: !isForeign(headers, hostsOf(clients, headers, peer())),
    cookie: (kind) => readCookie(headers.get('cookie'), kind, place),
  };
}

/** The form of one of our pages holds the token; a client of Harbor's sends it in the header. */
export function isFromOwnForm(visitor: Visitor, form: URLSearchParams): boolean {
  const cookie = visitor.cookie('csrf');
  return isCsrfToken(form.get('csrf'), cookie) || isCsrfToken(visitor.request.headers.get(csrfHeader), cookie);
}

export async function readForm({ request }: Visitor): Promise<URLSearchParams> {
  const contentType = request.headers.get('content-type') ?? '';
  if (request.body === null || contentType === '') return new URLSearchParams();
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(contentType))
    throw new OciError('BAD_REQUEST', 'the body must be a form: Content-Type application/x-www-form-urlencoded');
  const bytes = await readBody(
    request,
    formMaxBytes,
    () => new OciError('BODY_TOO_LARGE', `a form may have at most ${formMaxBytes} bytes`),
  );
  return new URLSearchParams(new TextDecoder().decode(bytes));
}

export async function show(visitor: Visitor, status: number, draw: (context: PageContext, csrfToken: string) => string): Promise<Response> {
  const { headers } = visitor.request;
  const { language, words } = consoleWords(headers.get('accept-language'));
  const response = giveToken(new Response(null, { status }), headers.get('cookie'), visitor.place);
  const text = draw(
    { language, words, root: `${new URL(visitor.origin).pathname.replace(/\/+$/, '')}/` },
    response.headers.get(csrfHeader) ?? '',
  );
  response.headers.set('content-type', 'text/html; charset=utf-8');
  response.headers.set('content-language', language);
  response.headers.set('vary', 'accept-language');
  return new Response(text, response);
}

/** The session's secret, and the token for what comes next. */
export function withSession(response: Response, secret: Secret, visitor: Visitor): Response {
  response.headers.append('set-cookie', writeCookie('session', secret.reveal(), visitor.place));
  return giveToken(response, visitor.request.headers.get('cookie'), visitor.place);
}

export function redirect(path: string): Response {
  return new Response(null, { status: 303, headers: { location: path } });
}
