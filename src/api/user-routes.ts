// Users over HTTP, as Harbor's v2.0: administrators' lists and changes, and what a user may do with its own. Who asks for a user without the right to
// see it is told what is said of one that is not there.

import { createRoute, z } from '@hono/zod-openapi';
import { decideSystem } from '../auth/access.ts';
import type { SystemAction } from '../auth/actions.ts';
import type { Caller } from '../auth/principal.ts';
import type { AccountRecord } from '../db/accounts.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';
import {
  auditorSchema,
  disabledSchema,
  foundUserSchema,
  idText,
  keptText,
  newPasswordSchema,
  newUserSchema,
  sysadminSchema,
  type UserBody,
  userProfileSchema,
  userSchema,
} from './user-schemas.ts';

const listFields = {
  user_id: { type: 'integer', sortable: true },
  username: { type: 'text', sortable: true },
  email: { type: 'text' },
  realname: { type: 'text' },
  provider: { type: 'text' },
  sysadmin_flag: { type: 'boolean' },
  auditor_flag: { type: 'boolean' },
  disabled: { type: 'boolean' },
  creation_time: { type: 'time', sortable: true },
  update_time: { type: 'time', sortable: true },
} as const;
const { q: _q, sort: _sort, ...pagingQuery } = listingQuery;
const params = z.object({ user_id: idText });
const json = <T extends z.ZodType>(schema: T) => ({ 'application/json': { schema } });
const oneUser = json(userSchema);
const done = { 200: { description: 'done' } };

const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/users`,
  summary: 'List users',
  description: '`X-Total-Count` has the number of all, `Link` the next page.',
  request: {
    query: z.object({
      ...listingQuery,
      username: keptText(255).min(1).optional().meta({ description: 'part of the name' }),
      email: keptText(255).min(1).optional().meta({ description: 'part of the address' }),
    }),
  },
  responses: { 200: { description: 'one page, by name', content: json(z.array(userSchema).readonly()) } },
});
const create = createRoute({
  method: 'post',
  path: `${apiPrefix}/users`,
  summary: 'Create a local user',
  request: { body: { required: true, content: json(newUserSchema) } },
  responses: { 201: { description: 'created; `Location` names it', content: oneUser } },
  [errorCodesKey]: ['CONFLICT', 'DENIED'],
});
const current = createRoute({
  method: 'get',
  path: `${apiPrefix}/users/current`,
  summary: 'Who is logged in',
  responses: { 200: { description: 'the user', content: oneUser } },
  [errorCodesKey]: ['DENIED', 'NOT_FOUND'],
});
const search = createRoute({
  method: 'get',
  path: `${apiPrefix}/users/search`,
  summary: 'Search enabled users by a part of their name',
  request: { query: z.object({ ...pagingQuery, username: keptText(255) }) },
  responses: { 200: { description: 'one page, by name', content: json(z.array(foundUserSchema).readonly()) } },
  [errorCodesKey]: ['DENIED'],
});
const read = createRoute({
  method: 'get',
  path: `${apiPrefix}/users/{user_id}`,
  summary: 'Read a user: oneself, or with user:read anybody',
  request: { params },
  responses: { 200: { description: 'the user', content: oneUser } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const describe = createRoute({
  method: 'put',
  path: `${apiPrefix}/users/{user_id}`,
  summary: 'Change e-mail, real name and comment: of oneself, or with user:update of anybody',
  request: { params, body: { required: true, content: json(userProfileSchema) } },
  responses: done,
  [errorCodesKey]: ['NOT_FOUND'],
});
const setPassword = createRoute({
  method: 'put',
  path: `${apiPrefix}/users/{user_id}/password`,
  summary: 'Change a password: of oneself, or with user:update of anybody who has no more rights',
  description: "Ends the user's sessions and tokens.",
  request: { params, body: { required: true, content: json(newPasswordSchema) } },
  responses: done,
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', 'DENIED', 'TOOMANYREQUESTS'],
});
const setSysadmin = createRoute({
  method: 'put',
  path: `${apiPrefix}/users/{user_id}/sysadmin`,
  summary: 'Make a user an administrator, or no longer',
  request: { params, body: { required: true, content: json(sysadminSchema) } },
  responses: done,
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', 'DENIED'],
});
const setAuditor = createRoute({
  method: 'put',
  path: `${apiPrefix}/users/{user_id}/auditor`,
  summary: 'Let a user read everything, or no longer',
  request: { params, body: { required: true, content: json(auditorSchema) } },
  responses: done,
  [errorCodesKey]: ['NOT_FOUND', 'DENIED'],
});
const setDisabled = createRoute({
  method: 'put',
  path: `${apiPrefix}/users/{user_id}/disabled`,
  summary: 'Switch a user off, or on again',
  description: 'Off ends its sessions and tokens; nothing of it is deleted.',
  request: { params, body: { required: true, content: json(disabledSchema) } },
  responses: done,
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', 'DENIED'],
});
const remove = createRoute({
  method: 'delete',
  path: `${apiPrefix}/users/{user_id}`,
  summary: 'Delete a user with its memberships and secrets',
  request: { params },
  responses: done,
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', 'DENIED'],
});

export const userRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/users`]: { system: 'user:list' },
    [`POST ${apiPrefix}/users`]: { system: 'user:create' },
    [`GET ${apiPrefix}/users/current`]: 'login',
    [`GET ${apiPrefix}/users/search`]: 'login',
    [`GET ${apiPrefix}/users/{user_id}`]: 'login',
    [`PUT ${apiPrefix}/users/{user_id}`]: 'login',
    [`PUT ${apiPrefix}/users/{user_id}/password`]: 'login',
    [`PUT ${apiPrefix}/users/{user_id}/sysadmin`]: { system: 'user:update' },
    [`PUT ${apiPrefix}/users/{user_id}/auditor`]: { system: 'user:update' },
    [`PUT ${apiPrefix}/users/{user_id}/disabled`]: { system: 'user:update' },
    [`DELETE ${apiPrefix}/users/{user_id}`]: { system: 'user:delete' },
  },
  register: (router, { accounts }) => {
    router.openapi(list, async (c) => {
      const { username, email, ...sent } = c.req.valid('query');
      const listing = parseListing(sent, listFields);
      const { accounts: found, count } = await accounts.list({
        ...listing,
        conditions: [
          ...listing.conditions,
          ...(username === undefined ? [] : [{ field: 'username', kind: 'part', value: username } as const]),
          ...(email === undefined ? [] : [{ field: 'email', kind: 'part', value: email } as const]),
        ],
      });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(found.map(present), 200);
    });

    router.openapi(create, async (c) => {
      const { username, password, email, realname, comment, ...flags } = c.req.valid('json');
      const account = await accounts.create(c.env.caller.principal, {
        name: username,
        password,
        isAdmin: flags.sysadmin_flag === true,
        isAuditor: flags.auditor_flag === true,
        mustChangePassword: flags.must_change_password === true,
        ...(email === undefined || email === '' ? {} : { email }),
        ...(realname === undefined ? {} : { displayName: realname }),
        ...(comment === undefined ? {} : { comment }),
      });
      c.set('change', { resourceType: 'user', resource: account.name, after: present(account) });
      c.header('location', `${apiPrefix}/users/${account.id}`);
      return c.json(present(account), 201);
    });

    router.openapi(current, async (c) => {
      const { principal } = c.env.caller;
      if (principal.kind !== 'user') throw new OciError('DENIED', `a ${principal.kind} is not a user`);
      const account = await accounts.read(principal.id);
      if (account === undefined) throw unknownUser();
      return c.json(present(account), 200);
    });

    router.openapi(search, async (c) => {
      const { caller } = c.env;
      if (caller.principal.kind !== 'user' && !decideSystem(caller.principal, 'user:list'))
        throw new OciError('DENIED', 'you may not do this (user:list)');
      const { username, ...sent } = c.req.valid('query');
      const listing = parseListing(sent, {});
      const { accounts: found, count } = await accounts.search({ namePart: username, limit: listing.limit, offset: listing.offset });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(
        found.map(({ id, name }) => ({ user_id: id, username: name })),
        200,
      );
    });

    router.openapi(read, async (c) => {
      const { user_id: id } = c.req.valid('param');
      requireSelfOr(c.env.caller, id, 'user:read');
      const account = await accounts.read(id);
      if (account === undefined) throw unknownUser();
      return c.json(present(account), 200);
    });

    router.openapi(describe, async (c) => {
      const { user_id: id } = c.req.valid('param');
      requireSelfOr(c.env.caller, id, 'user:update');
      const before = await accounts.read(id);
      const { email, realname, comment } = c.req.valid('json');
      const after = await accounts.describe(id, {
        ...(email === undefined ? {} : { email: email === '' ? null : email }),
        ...(realname === undefined ? {} : { displayName: realname }),
        ...(comment === undefined ? {} : { comment }),
      });
      c.set('change', changeOf(before, after));
      return c.body(null, 200);
    });

    router.openapi(setPassword, async (c) => {
      const { user_id: id } = c.req.valid('param');
      requireSelfOr(c.env.caller, id, 'user:update');
      const wish = c.req.valid('json');
      await accounts.setPassword(c.env.caller, id, {
        newPassword: wish.new_password,
        mustChangePassword: wish.must_change_password === true,
        ...(wish.old_password === undefined || wish.old_password === '' ? {} : { oldPassword: wish.old_password }),
      });
      const account = await accounts.read(id);
      c.set('change', { resourceType: 'user', resource: account?.name ?? String(id), after: { password: 'changed' } });
      return c.body(null, 200);
    });

    const setFlags = async (
      caller: Caller,
      id: number,
      flags: { isAdmin?: boolean; isAuditor?: boolean; isDisabled?: boolean },
    ): Promise<ReturnType<typeof changeOf>> => {
      const before = await accounts.read(id);
      return changeOf(before, await accounts.setFlags(caller.principal, id, flags));
    };
    router.openapi(setSysadmin, async (c) => {
      const flags = { isAdmin: c.req.valid('json').sysadmin_flag };
      c.set('change', await setFlags(c.env.caller, c.req.valid('param').user_id, flags));
      return c.body(null, 200);
    });
    router.openapi(setAuditor, async (c) => {
      const flags = { isAuditor: c.req.valid('json').auditor_flag };
      c.set('change', await setFlags(c.env.caller, c.req.valid('param').user_id, flags));
      return c.body(null, 200);
    });
    router.openapi(setDisabled, async (c) => {
      const flags = { isDisabled: c.req.valid('json').disabled };
      c.set('change', await setFlags(c.env.caller, c.req.valid('param').user_id, flags));
      return c.body(null, 200);
    });

    router.openapi(remove, async (c) => {
      const { user_id: id } = c.req.valid('param');
      const before = await accounts.read(id);
      await accounts.remove(c.env.caller.principal, id);
      if (before !== undefined) c.set('change', { resourceType: 'user', resource: before.name, before: present(before) });
      return c.body(null, 200);
    });
  },
};

/** NOT_FOUND for whoever may not know whether there is such a user. */
function requireSelfOr({ principal }: Caller, id: number, action: SystemAction): void {
  if (principal.kind === 'user' && principal.id === id) return;
  if (!decideSystem(principal, action)) throw unknownUser();
}

function unknownUser(): OciError {
  return new OciError('NOT_FOUND', 'there is no such user');
}

function changeOf(before: AccountRecord | undefined, after: AccountRecord) {
  return {
    resourceType: 'user',
    resource: after.name,
    ...(before === undefined ? {} : { before: present(before) }),
    after: present(after),
  };
}

function present(account: AccountRecord): UserBody {
  return {
    user_id: account.id,
    username: account.name,
    email: account.email ?? '',
    realname: account.displayName,
    comment: account.comment,
    sysadmin_flag: account.isAdmin,
    admin_role_in_auth: false,
    creation_time: new Date(account.createdAtMs).toISOString(),
    update_time: new Date(account.updatedAtMs).toISOString(),
    auditor_flag: account.isAuditor,
    disabled: account.isDisabled,
    provider: account.provider,
    must_change_password: account.mustChangePassword,
    ...(account.lastLoginAtMs === undefined ? {} : { last_login_time: new Date(account.lastLoginAtMs).toISOString() }),
  };
}
