// Groups of users over HTTP, as Harbor's v2.0, and who is in a local one, which Harbor has not.

import { createRoute, z } from '@hono/zod-openapi';
import { decideSystem } from '../auth/access.ts';
import type { Group, GroupKind, GroupReference, GroupWish } from '../auth/groups.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';
import {
  foundGroupSchema,
  foundUserSchema,
  type GroupBody,
  groupSchema,
  groupTypes,
  idText,
  keptText,
  newGroupMemberSchema,
  newGroupSchema,
} from './user-schemas.ts';

type SentGroup = z.infer<typeof newGroupSchema>;

const { q: _q, sort: _sort, ...pagingQuery } = listingQuery;
const params = z.object({ group_id: idText });
const json = <T extends z.ZodType>(schema: T) => ({ 'application/json': { schema } });
const groups = `${apiPrefix}/usergroups`;

const list = createRoute({
  method: 'get',
  path: groups,
  summary: 'List groups',
  request: {
    query: z.object({
      ...pagingQuery,
      ldap_group_dn: keptText(1024).optional().meta({ description: 'exactly this DN' }),
      group_name: keptText(255).optional().meta({ description: 'part of the name' }),
    }),
  },
  responses: { 200: { description: 'one page', content: json(z.array(groupSchema).readonly()) } },
});
const create = createRoute({
  method: 'post',
  path: groups,
  summary: 'Create a local group, or make one of an identity provider known before anybody of it logged in',
  request: { body: { required: true, content: json(newGroupSchema) } },
  responses: { 201: { description: 'created; `Location` names it', content: json(groupSchema) } },
  [errorCodesKey]: ['CONFLICT'],
});
const search = createRoute({
  method: 'get',
  path: `${groups}/search`,
  summary: 'Search groups by a part of their name',
  request: { query: z.object({ ...pagingQuery, groupname: keptText(255) }) },
  responses: { 200: { description: 'one page', content: json(z.array(foundGroupSchema).readonly()) } },
  [errorCodesKey]: ['DENIED'],
});
const read = createRoute({
  method: 'get',
  path: `${groups}/{group_id}`,
  summary: 'Read a group; needs user-group:read',
  request: { params },
  responses: { 200: { description: 'the group', content: json(groupSchema) } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const rename = createRoute({
  method: 'put',
  path: `${groups}/{group_id}`,
  summary: 'Rename a group',
  description: 'Its type, provider and DN stay; they may be sent along.',
  request: { params, body: { required: true, content: json(newGroupSchema) } },
  responses: { 200: { description: 'done' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT'],
});
const remove = createRoute({
  method: 'delete',
  path: `${groups}/{group_id}`,
  summary: 'Delete a group with the rights that it gives',
  request: { params },
  responses: { 200: { description: 'deleted' } },
  [errorCodesKey]: ['NOT_FOUND', 'DENIED'],
});
const listMembers = createRoute({
  method: 'get',
  path: `${groups}/{group_id}/members`,
  summary: 'List who is in a group',
  request: { params, query: z.object(pagingQuery) },
  responses: { 200: { description: 'one page', content: json(z.array(foundUserSchema).readonly()) } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const addMember = createRoute({
  method: 'post',
  path: `${groups}/{group_id}/members`,
  summary: 'Put a user into a local group',
  request: { params, body: { required: true, content: json(newGroupMemberSchema) } },
  responses: { 201: { description: 'done' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', 'DENIED'],
});
const removeMember = createRoute({
  method: 'delete',
  path: `${groups}/{group_id}/members/{user_id}`,
  summary: 'Take a user out of a local group',
  request: { params: z.object({ group_id: idText, user_id: idText }) },
  responses: { 200: { description: 'done' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', 'DENIED'],
});

export const groupRoutes: RouteGroup = {
  policy: {
    [`GET ${groups}`]: { system: 'user-group:list' },
    [`POST ${groups}`]: { system: 'user-group:create' },
    [`GET ${groups}/search`]: 'login',
    [`GET ${groups}/{group_id}`]: 'login',
    [`PUT ${groups}/{group_id}`]: { system: 'user-group:update' },
    [`DELETE ${groups}/{group_id}`]: { system: 'user-group:delete' },
    [`GET ${groups}/{group_id}/members`]: { system: 'user-group:read' },
    [`POST ${groups}/{group_id}/members`]: { system: 'user-group:update' },
    [`DELETE ${groups}/{group_id}/members/{user_id}`]: { system: 'user-group:update' },
  },
  register: (router, parts) => {
    const need = async (id: number): Promise<Group> => {
      const group = await parts.groups.read(id);
      if (group === undefined) throw unknownGroup();
      return group;
    };

    router.openapi(list, async (c) => {
      const { ldap_group_dn: dn, group_name: namePart, ...sent } = c.req.valid('query');
      const listing = parseListing(sent, {});
      const { groups: found, count } = await parts.groups.list({
        limit: listing.limit,
        offset: listing.offset,
        ...(dn === undefined ? {} : { dn }),
        ...(namePart === undefined ? {} : { namePart }),
      });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(found.map(present), 200);
    });

    router.openapi(create, async (c) => {
      const group = await parts.groups.create(wishOf(c.req.valid('json')));
      c.set('change', { resourceType: 'user-group', resource: group.name, after: present(group) });
      c.header('location', `${groups}/${group.id}`);
      return c.json(present(group), 201);
    });

    router.openapi(search, async (c) => {
      const { principal } = c.env.caller;
      if (principal.kind !== 'user' && !decideSystem(principal, 'user-group:list'))
        throw new OciError('DENIED', 'you may not do this (user-group:list)');
      const { groupname, ...sent } = c.req.valid('query');
      const listing = parseListing(sent, {});
      const { groups: found, count } = await parts.groups.list({ namePart: groupname, limit: listing.limit, offset: listing.offset });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(
        found.map(({ id, name, kind }) => ({ id, group_name: name, group_type: groupTypes[kind] })),
        200,
      );
    });

    router.openapi(read, async (c) => {
      if (!decideSystem(c.env.caller.principal, 'user-group:read')) throw unknownGroup();
      return c.json(present(await need(c.req.valid('param').group_id)), 200);
    });

    router.openapi(rename, async (c) => {
      const { group_id: id } = c.req.valid('param');
      const before = await need(id);
      const { group_name: name = '' } = c.req.valid('json');
      const after = name === '' ? before : await parts.groups.rename(id, name);
      c.set('change', { resourceType: 'user-group', resource: after.name, before: present(before), after: present(after) });
      return c.body(null, 200);
    });

    router.openapi(remove, async (c) => {
      const { group_id: id } = c.req.valid('param');
      const before = await need(id);
      await parts.groups.remove(c.env.caller.principal, id);
      c.set('change', { resourceType: 'user-group', resource: before.name, before: present(before) });
      return c.body(null, 200);
    });

    router.openapi(listMembers, async (c) => {
      const { group_id: groupId } = c.req.valid('param');
      await need(groupId);
      const listing = parseListing(c.req.valid('query'), {});
      const { accounts, count } = await parts.groups.members({ groupId, limit: listing.limit, offset: listing.offset });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(
        accounts.map(({ id, name }) => ({ user_id: id, username: name })),
        200,
      );
    });

    router.openapi(addMember, async (c) => {
      const group = await need(c.req.valid('param').group_id);
      const { user_id: userId, username } = c.req.valid('json');
      const account = userId === undefined ? await parts.accounts.find(username ?? '') : await parts.accounts.read(userId);
      if (account === undefined) throw new OciError('NOT_FOUND', 'there is no such user');
      await parts.groups.addMember(c.env.caller.principal, group.id, account.id);
      c.set('change', { resourceType: 'user-group', resource: group.name, after: { added: account.name } });
      return c.body(null, 201);
    });

    router.openapi(removeMember, async (c) => {
      const { group_id: groupId, user_id: userId } = c.req.valid('param');
      const group = await need(groupId);
      const account = await parts.accounts.read(userId);
      await parts.groups.removeMember(c.env.caller.principal, groupId, userId);
      c.set('change', { resourceType: 'user-group', resource: group.name, before: { removed: account?.name ?? userId } });
      return c.body(null, 200);
    });
  },
};

/** The group that was named, by its id or as its provider names it; undefined when none was. */
export function groupReference(sent: SentGroup): GroupReference | undefined {
  if (sent.id !== undefined && sent.id !== 0) return { id: sent.id };
  const named = (sent.group_name ?? '') !== '' || (sent.ldap_group_dn ?? '') !== '';
  return named ? wishOf(sent) : undefined;
}

function wishOf({ group_name: name = '', group_type: type = 0, ldap_group_dn: dn = '', provider = '' }: SentGroup): GroupWish {
  return {
    kind: kindOf(type, dn),
    ...(name === '' ? {} : { name }),
    ...(dn === '' ? {} : { dn }),
    ...(provider === '' ? {} : { provider }),
  };
}

function kindOf(type: number, dn: string): GroupKind {
  if (type === 0) return dn === '' ? 'local' : 'ldap';
  return type === groupTypes.ldap ? 'ldap' : type === groupTypes.oidc ? 'oidc' : 'local';
}

function unknownGroup(): OciError {
  return new OciError('NOT_FOUND', 'there is no such group');
}

function present(group: Group): GroupBody {
  return {
    id: group.id,
    group_name: group.name,
    group_type: groupTypes[group.kind],
    ...(group.kind === 'ldap' ? { ldap_group_dn: group.externalName } : {}),
    provider: group.provider,
  };
}
