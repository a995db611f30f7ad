// Users' own secrets for programs over HTTP: named tokens, and Harbor's one CLI secret. `{user_id}` is a number, or `current`. Making one needs the
// password or a session: with a token nobody gets another, longer or wider one.

import { createRoute, z } from '@hono/zod-openapi';
import type { Caller } from '../auth/principal.ts';
import type { AccountSecretRecord } from '../db/account-secrets.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { cliSecretSchema, createdTokenSchema, deletedTokensSchema, newTokenSchema, type TokenBody, tokenSchema } from './token-schemas.ts';

const userId = z
  .string()
  .regex(/^(?:current|\d{1,15})$/, 'must be a number, or current')
  .meta({ description: 'a number, or `current`' });
const ofUser = { params: z.object({ user_id: userId }) };
const path = `${apiPrefix}/users/{user_id}/tokens`;

const list = createRoute({
  method: 'get',
  path,
  summary: 'Tokens of a user: your own, or as an administrator of anybody',
  request: ofUser,
  responses: { 200: { description: 'all of them', content: { 'application/json': { schema: z.array(tokenSchema).readonly() } } } },
  [errorCodesKey]: ['DENIED'],
});
const create = createRoute({
  method: 'post',
  path,
  summary: 'Make a token of your own',
  request: { ...ofUser, body: { required: true, content: { 'application/json': { schema: newTokenSchema } } } },
  responses: {
    201: { description: 'made; the secret is told this once', content: { 'application/json': { schema: createdTokenSchema } } },
  },
  [errorCodesKey]: ['CONFLICT', 'DENIED'],
});
const remove = createRoute({
  method: 'delete',
  path: `${path}/{token_id}`,
  summary: 'Delete a token: your own, or as an administrator of anybody',
  request: { params: ofUser.params.extend({ token_id: z.string().regex(/^\d{1,15}$/, 'must be a number') }) },
  responses: { 200: { description: 'deleted' } },
  [errorCodesKey]: ['DENIED', 'NOT_FOUND'],
});
const removeAll = createRoute({
  method: 'delete',
  path,
  summary: "Delete all tokens of a user, Harbor's CLI secret too: your own, or as an administrator of anybody",
  request: ofUser,
  responses: { 200: { description: 'how many went', content: { 'application/json': { schema: deletedTokensSchema } } } },
  [errorCodesKey]: ['DENIED'],
});
const setCliSecret = createRoute({
  method: 'put',
  path: `${apiPrefix}/users/{user_id}/cli_secret`,
  summary: "Set a user's CLI secret, a password for the registry alone: your own, or as an administrator of anybody",
  request: { ...ofUser, body: { required: true, content: { 'application/json': { schema: cliSecretSchema } } } },
  responses: { 200: { description: 'set' } },
  [errorCodesKey]: ['DENIED', 'NOT_FOUND'],
});

export const tokenRoutes: RouteGroup = {
  policy: {
    [`GET ${path}`]: 'login',
    [`POST ${path}`]: 'login',
    [`DELETE ${path}`]: 'login',
    [`DELETE ${path}/{token_id}`]: 'login',
    [`PUT ${apiPrefix}/users/{user_id}/cli_secret`]: 'login',
  },
  register: (router, { cliSecrets }) => {
    router.openapi(list, async (c) => {
      const { accountId } = requireOwner(c.env.caller, c.req.valid('param').user_id);
      return c.json((await cliSecrets.list(accountId)).map(present), 200);
    });
    router.openapi(create, async (c) => {
      const { accountId, isOwn } = requireOwner(c.env.caller, c.req.valid('param').user_id);
      if (!isOwn) throw new OciError('DENIED', 'a token is made by its own user');
      requirePresence(c.env.caller);
      const { name, reach, duration } = c.req.valid('json');
      const { token, secret } = await cliSecrets.create(accountId, { name, reach, durationDays: duration });
      c.set('change', { resourceType: 'token', resource: `${accountId}/${name}`, after: present(token) });
      c.header('location', `${apiPrefix}/users/${accountId}/tokens/${token.id}`);
      return c.json({ ...present(token), secret: secret.reveal() }, 201);
    });
    router.openapi(remove, async (c) => {
      const { user_id: user, token_id: id } = c.req.valid('param');
      const { accountId } = requireOwner(c.env.caller, user);
      await cliSecrets.delete(accountId, Number(id));
      c.set('change', { resourceType: 'token', resource: `${accountId}/${id}` });
      return c.body(null, 200);
    });
    router.openapi(removeAll, async (c) => {
      const { accountId } = requireOwner(c.env.caller, c.req.valid('param').user_id);
      const deleted = await cliSecrets.deleteAll(accountId);
      c.set('change', { resourceType: 'token', resource: `${accountId}/*`, before: { count: deleted } });
      return c.json({ deleted }, 200);
    });
    router.openapi(setCliSecret, async (c) => {
      const { accountId } = requireOwner(c.env.caller, c.req.valid('param').user_id);
      requirePresence(c.env.caller);
      await cliSecrets.setCliSecret(accountId, c.req.valid('json').secret);
      c.set('change', { resourceType: 'token', resource: `${accountId}/cli`, after: { secret: 'set' } });
      return c.body(null, 200);
    });
  },
};

/** Whose tokens the path names. DENIED, alike for users that exist and that do not, to everybody but themselves and administrators. */
function requireOwner({ principal }: Caller, text: string): { readonly accountId: number; readonly isOwn: boolean } {
  if (principal.kind !== 'user') throw new OciError('DENIED', 'only users have tokens');
  const accountId = text === 'current' ? principal.id : Number(text);
  if (accountId !== principal.id && !principal.isAdmin) throw new OciError('DENIED', 'these are the tokens of somebody else');
  return { accountId, isOwn: accountId === principal.id };
}

function requirePresence({ method }: Caller): void {
  if (method !== 'password' && method !== 'session')
    throw new OciError('DENIED', 'log in with your password, or in the browser, to make a secret: a token makes none');
}

function present(token: AccountSecretRecord): TokenBody {
  const time = (atMs: number | undefined): string | null => (atMs === undefined ? null : new Date(atMs).toISOString());
  return {
    id: token.id,
    name: token.name,
    reach: token.reach,
    created_at: new Date(token.createdAtMs).toISOString(),
    expires_at: time(token.expiresAtMs),
    last_used_at: time(token.lastUsedAtMs),
    last_used_from: token.lastUsedFrom ?? null,
  };
}
