// Sessions of browsers over HTTP: one's own and, for administrators, everybody's; and the proof that dangerous actions ask for.

import { createRoute, z } from '@hono/zod-openapi';
import type { Caller } from '../auth/principal.ts';
import type { ListedSession } from '../db/sessions.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, pagingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';

const sessionSchema = z
  .strictObject({
    id: z.int().meta({ description: 'to end it with' }),
    user_id: z.int(),
    username: z.string(),
    provider: z.string().meta({ description: '`local`, or the identity provider of the login' }),
    current: z.boolean().meta({ description: 'this request belongs to it' }),
    address: z.string().nullable(),
    user_agent: z.string(),
    creation_time: z.iso.datetime(),
    last_used_time: z.iso.datetime().meta({ description: 'to within a minute' }),
    proof_time: z.iso.datetime().meta({ description: 'when its person last showed who it is' }),
    expiration_time: z.iso.datetime().meta({ description: 'sooner when it is not used for an hour' }),
  })
  .openapi('Session');
type SessionBody = z.infer<typeof sessionSchema>;

const sessionList = { 'application/json': { schema: z.array(sessionSchema).readonly() } };
const query = z.strictObject(pagingQuery);
const params = z.object({ session_id: z.string().regex(/^\d{1,15}$/, 'must be a number') });

const listAll = createRoute({
  method: 'get',
  path: `${apiPrefix}/sessions`,
  summary: 'Sessions of everybody, the youngest first',
  request: { query },
  responses: { 200: { description: 'one page', content: sessionList } },
});
const endAny = createRoute({
  method: 'delete',
  path: `${apiPrefix}/sessions/{session_id}`,
  summary: 'End a session of anybody',
  request: { params },
  responses: { 200: { description: 'it has ended' } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const listOwn = createRoute({
  method: 'get',
  path: `${apiPrefix}/users/current/sessions`,
  summary: 'Your sessions, the youngest first',
  request: { query },
  responses: { 200: { description: 'one page', content: sessionList } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const endOwn = createRoute({
  method: 'delete',
  path: `${apiPrefix}/users/current/sessions/{session_id}`,
  summary: 'End one of your sessions',
  request: { params },
  responses: { 200: { description: 'it has ended' } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const endOthers = createRoute({
  method: 'delete',
  path: `${apiPrefix}/users/current/sessions`,
  summary: 'End all of your sessions but the one that asks',
  responses: { 200: { description: 'how many ended', content: { 'application/json': { schema: z.strictObject({ ended: z.int() }) } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const stepUp = createRoute({
  method: 'post',
  path: `${apiPrefix}/sessions/current/step-up`,
  summary: 'Show your password again, for dangerous actions',
  description:
    'Good for ten minutes. The session goes on under a new cookie. Who logged in at an OpenID provider opens `/c/oidc/login?step_up=1&provider=NAME` in the browser instead.',
  request: {
    body: {
      required: true,
      content: { 'application/json': { schema: z.strictObject({ password: z.string().min(1).max(1024) }) } },
    },
  },
  responses: { 200: { description: 'the proof counts from now' } },
  [errorCodesKey]: ['NOT_FOUND', 'TOOMANYREQUESTS'],
});

export const sessionRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/sessions`]: { system: 'session:list' },
    [`DELETE ${apiPrefix}/sessions/{session_id}`]: { system: 'session:delete' },
    [`POST ${apiPrefix}/sessions/current/step-up`]: 'login',
    [`GET ${apiPrefix}/users/current/sessions`]: 'login',
    [`DELETE ${apiPrefix}/users/current/sessions`]: 'login',
    [`DELETE ${apiPrefix}/users/current/sessions/{session_id}`]: 'login',
  },
  register: (router, { sessions, logins }) => {
    router.openapi(listAll, async (c) => {
      const listing = parseListing(c.req.valid('query'), {});
      const [found, count] = await Promise.all([sessions.list({ limit: listing.limit, offset: listing.offset }), sessions.count()]);
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(
        found.map((session) => present(session, c.env.caller)),
        200,
      );
    });

    router.openapi(endAny, async (c) => {
      const { session_id: id } = c.req.valid('param');
      if (!(await sessions.end(Number(id)))) throw unknown(id);
      c.set('change', { resourceType: 'session', resource: id });
      return c.body(null, 200);
    });

    router.openapi(listOwn, async (c) => {
      const { id: accountId } = requireUser(c.env.caller);
      const listing = parseListing(c.req.valid('query'), {});
      const [found, count] = await Promise.all([
        sessions.list({ accountId, limit: listing.limit, offset: listing.offset }),
        sessions.count(accountId),
      ]);
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(
        found.map((session) => present(session, c.env.caller)),
        200,
      );
    });

    router.openapi(endOwn, async (c) => {
      const { session_id: id } = c.req.valid('param');
      if (!(await sessions.end(Number(id), requireUser(c.env.caller).id))) throw unknown(id);
      c.set('change', { resourceType: 'session', resource: id });
      return c.body(null, 200);
    });

    router.openapi(endOthers, async (c) => {
      const { caller } = c.env;
      const ended = await sessions.endAll(requireUser(caller).id, caller.session?.id);
      c.set('change', { resourceType: 'session', resource: 'all others', after: { ended } });
      return c.json({ ended }, 200);
    });

    router.openapi(stepUp, async (c) => {
      const { caller } = c.env;
      const { session, address } = caller;
      const user = requireUser(caller);
      if (session === undefined)
        throw new OciError('BAD_REQUEST', 'this is for sessions of browsers; you showed who you are with this request');
      const { password } = c.req.valid('json');
      const found = await logins.login(user.name, password, address === undefined ? {} : { address });
      if (found?.principal.kind !== 'user' || found.principal.id !== user.id || found.method !== 'password')
        throw new OciError('DENIED', 'the password is wrong', { detail: { reason: 'wrong-password' } });
      const secret = await sessions.renew(session.id);
      if (secret === undefined) throw new OciError('NOT_FOUND', 'the session has ended; log in');
      session.renew(secret);
      c.set('change', { resourceType: 'session', resource: String(session.id) });
      return c.body(null, 200);
    });
  },
};

function requireUser(caller: Caller) {
  if (caller.principal.kind !== 'user') throw new OciError('NOT_FOUND', 'only people have sessions');
  return caller.principal;
}

function unknown(id: string): OciError {
  return new OciError('NOT_FOUND', `there is no session ${id}`);
}

function present(session: ListedSession, caller: Caller): SessionBody {
  return {
    id: session.id,
    user_id: session.accountId,
    username: session.accountName,
    provider: session.provider,
    current: caller.session?.id === session.id,
    address: session.address,
    user_agent: session.userAgent,
    creation_time: new Date(session.createdAtMs).toISOString(),
    last_used_time: new Date(session.seenAtMs).toISOString(),
    proof_time: new Date(session.provedAtMs).toISOString(),
    expiration_time: new Date(session.expiresAtMs).toISOString(),
  };
}
