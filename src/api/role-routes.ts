// Roles and the rules that give them beyond one project: resources of our own. Every user may see which roles there are; what is in them is no secret.

import { createRoute, z } from '@hono/zod-openapi';
import type { DescribedRole, Rule } from '../auth/custom-roles.ts';
import type { Holder } from '../db/member-commands.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';
import { type GrantBody, grantSchema, idText, newGrantSchema, newRoleSchema, type RoleBody, roleSchema } from './user-schemas.ts';

const { q: _q, sort: _sort, ...pagingQuery } = listingQuery;
const json = <T extends z.ZodType>(schema: T) => ({ 'application/json': { schema } });
const roleParams = z.object({ role_id: idText });
const grantParams = z.object({ grant_id: idText });
const done = { 200: { description: 'done' } };

const listRoles = createRoute({
  method: 'get',
  path: `${apiPrefix}/roles`,
  summary: 'Roles: those that come with the server, then custom ones',
  responses: { 200: { description: 'all of them', content: json(z.array(roleSchema).readonly()) } },
});
const createRole = createRoute({
  method: 'post',
  path: `${apiPrefix}/roles`,
  summary: 'Create a role from actions',
  request: { body: { required: true, content: json(newRoleSchema) } },
  responses: { 201: { description: 'created; `Location` names it', content: json(roleSchema) } },
  [errorCodesKey]: ['CONFLICT', 'DENIED'],
});
const readRole = createRoute({
  method: 'get',
  path: `${apiPrefix}/roles/{role_id}`,
  summary: 'Read a role',
  request: { params: roleParams },
  responses: { 200: { description: 'the role', content: json(roleSchema) } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const changeRole = createRoute({
  method: 'put',
  path: `${apiPrefix}/roles/{role_id}`,
  summary: 'Replace a custom role; whoever holds it has the new rights',
  request: { params: roleParams, body: { required: true, content: json(newRoleSchema) } },
  responses: done,
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', 'DENIED'],
});
const removeRole = createRoute({
  method: 'delete',
  path: `${apiPrefix}/roles/{role_id}`,
  summary: 'Delete a custom role that nobody holds',
  request: { params: roleParams },
  responses: done,
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT'],
});
const listGrants = createRoute({
  method: 'get',
  path: `${apiPrefix}/grants`,
  summary: 'Rules that give a role beyond one project',
  request: {
    query: z.object({
      ...pagingQuery,
      user_id: idText.optional().meta({ description: 'only those of this user, not of its groups' }),
      group_id: idText.optional(),
    }),
  },
  responses: { 200: { description: 'one page', content: json(z.array(grantSchema).readonly()) } },
});
const addGrant = createRoute({
  method: 'post',
  path: `${apiPrefix}/grants`,
  summary: 'Give a user or group a role on the server, in all projects, or by pattern',
  request: { body: { required: true, content: json(newGrantSchema) } },
  responses: { 201: { description: 'given; `Location` names the rule', content: json(grantSchema) } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', 'DENIED'],
});
const readGrant = createRoute({
  method: 'get',
  path: `${apiPrefix}/grants/{grant_id}`,
  summary: 'Read a rule',
  request: { params: grantParams },
  responses: { 200: { description: 'the rule', content: json(grantSchema) } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const removeGrant = createRoute({
  method: 'delete',
  path: `${apiPrefix}/grants/{grant_id}`,
  summary: 'Take a rule back',
  request: { params: grantParams },
  responses: done,
  [errorCodesKey]: ['NOT_FOUND', 'DENIED'],
});

export const roleRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/roles`]: 'login',
    [`POST ${apiPrefix}/roles`]: { system: 'role:create' },
    [`GET ${apiPrefix}/roles/{role_id}`]: 'login',
    [`PUT ${apiPrefix}/roles/{role_id}`]: { system: 'role:update' },
    [`DELETE ${apiPrefix}/roles/{role_id}`]: { system: 'role:delete' },
    [`GET ${apiPrefix}/grants`]: { system: 'grant:list' },
    [`POST ${apiPrefix}/grants`]: { system: 'grant:create' },
    [`GET ${apiPrefix}/grants/{grant_id}`]: { system: 'grant:read' },
    [`DELETE ${apiPrefix}/grants/{grant_id}`]: { system: 'grant:delete' },
  },
  register: (router, { roles }) => {
    router.openapi(listRoles, async (c) => c.json((await roles.list()).map(presentRole), 200));

    router.openapi(createRole, async (c) => {
      const role = await roles.create(c.env.caller.principal, wishOf(c.req.valid('json')));
      c.set('change', { resourceType: 'role', resource: role.name, after: presentRole(role) });
      c.header('location', `${apiPrefix}/roles/${role.id}`);
      return c.json(presentRole(role), 201);
    });

    router.openapi(readRole, async (c) => {
      const role = await roles.read(c.req.valid('param').role_id);
      if (role === undefined) throw new OciError('NOT_FOUND', 'there is no such role');
      return c.json(presentRole(role), 200);
    });

    router.openapi(changeRole, async (c) => {
      const { role_id: id } = c.req.valid('param');
      const before = await roles.read(id);
      const after = await roles.change(c.env.caller.principal, id, wishOf(c.req.valid('json')));
      c.set('change', {
        resourceType: 'role',
        resource: after.name,
        ...(before === undefined ? {} : { before: presentRole(before) }),
        after: presentRole(after),
      });
      return c.body(null, 200);
    });

    router.openapi(removeRole, async (c) => {
      const { role_id: id } = c.req.valid('param');
      const before = await roles.read(id);
      await roles.remove(id);
      if (before !== undefined) c.set('change', { resourceType: 'role', resource: before.name, before: presentRole(before) });
      return c.body(null, 200);
    });

    router.openapi(listGrants, async (c) => {
      const { user_id: userId, group_id: groupId, ...sent } = c.req.valid('query');
      if (userId !== undefined && groupId !== undefined) throw new OciError('BAD_REQUEST', 'query: name a user or a group, not both');
      const listing = parseListing(sent, {});
      const holder: Holder | undefined =
        userId !== undefined ? { kind: 'user', id: userId } : groupId === undefined ? undefined : { kind: 'group', id: groupId };
      const { rules, count } = await roles.rules({
        limit: listing.limit,
        offset: listing.offset,
        ...(holder === undefined ? {} : { holder }),
      });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(rules.map(presentRule), 200);
    });

    router.openapi(addGrant, async (c) => {
      const body = c.req.valid('json');
      const holder: Holder = body.user_id === undefined ? { kind: 'group', id: body.group_id ?? 0 } : { kind: 'user', id: body.user_id };
      const rule = await roles.addRule(c.env.caller.principal, {
        holder,
        kind: body.kind,
        roleId: body.role_id,
        ...(body.pattern === undefined ? {} : { pattern: body.pattern }),
      });
      c.set('change', { resourceType: 'grant', resource: rule.holderName, after: presentRule(rule) });
      c.header('location', `${apiPrefix}/grants/${rule.id}`);
      return c.json(presentRule(rule), 201);
    });

    router.openapi(readGrant, async (c) => {
      const rule = await roles.readRule(c.req.valid('param').grant_id);
      if (rule === undefined) throw new OciError('NOT_FOUND', 'there is no such rule');
      return c.json(presentRule(rule), 200);
    });

    router.openapi(removeGrant, async (c) => {
      const { grant_id: id } = c.req.valid('param');
      const before = await roles.readRule(id);
      await roles.removeRule(c.env.caller.principal, id);
      if (before !== undefined) c.set('change', { resourceType: 'grant', resource: before.holderName, before: presentRule(before) });
      return c.body(null, 200);
    });
  },
};

function wishOf(body: z.infer<typeof newRoleSchema>) {
  return { name: body.role_name, actions: body.actions, ...(body.description === undefined ? {} : { description: body.description }) };
}

function presentRole(role: DescribedRole): RoleBody {
  return {
    role_id: role.id,
    role_name: role.name,
    description: role.description,
    builtin: role.isBuiltin,
    actions: [...role.actions].sort(),
  };
}

function presentRule(rule: Rule): GrantBody {
  return {
    id: rule.id,
    holder_type: rule.holder.kind,
    holder_id: rule.holder.id,
    holder_name: rule.holderName,
    kind: rule.kind,
    pattern: rule.pattern,
    role_id: rule.roleId,
    role_name: rule.roleName,
    creation_time: new Date(rule.createdAtMs).toISOString(),
  };
}
