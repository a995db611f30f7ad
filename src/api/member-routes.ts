// Members of a project over HTTP, as Harbor's v2.0: users and groups, each with one role.

import { createRoute, z } from '@hono/zod-openapi';
import type { GroupReference } from '../auth/groups.ts';
import type { Member, MemberReference } from '../auth/members.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { groupReference } from './group-routes.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';
import { idText, keptText, type MemberBody, memberRoleSchema, memberSchema, newMemberSchema } from './user-schemas.ts';

const { q: _q, sort: _sort, ...pagingQuery } = listingQuery;
const project = z.string().max(255).meta({ description: 'the name, or the project_id' });
const headers = z.object({
  'x-is-resource-name': z
    .enum(['true', 'false'])
    .default('false')
    .meta({ description: 'true: a name of digits alone is a name, not an id' }),
});
const ofProject = { params: z.object({ project_name_or_id: project }), headers };
const ofMember = { params: z.object({ project_name_or_id: project, mid: idText }), headers };
const members = `${apiPrefix}/projects/{project_name_or_id}/members`;
const oneMember = { 'application/json': { schema: memberSchema } };

const list = createRoute({
  method: 'get',
  path: members,
  summary: 'List the members of a project',
  request: {
    ...ofProject,
    query: z.object({ ...pagingQuery, entityname: keptText(255).optional().meta({ description: 'part of the name' }) }),
  },
  responses: { 200: { description: 'one page', content: { 'application/json': { schema: z.array(memberSchema).readonly() } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const add = createRoute({
  method: 'post',
  path: members,
  summary: 'Make a user or a group a member',
  description:
    'Nobody gives a role with rights that they lack in the project. A group of an identity provider may be named before anybody of it logged in.',
  request: { ...ofProject, body: { required: true, content: { 'application/json': { schema: newMemberSchema } } } },
  responses: { 201: { description: 'added; `Location` names the member', content: oneMember } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', 'DENIED'],
});
const read = createRoute({
  method: 'get',
  path: `${members}/{mid}`,
  summary: 'Read a member',
  request: ofMember,
  responses: { 200: { description: 'the member', content: oneMember } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const change = createRoute({
  method: 'put',
  path: `${members}/{mid}`,
  summary: 'Give a member another role',
  request: { ...ofMember, body: { required: true, content: { 'application/json': { schema: memberRoleSchema } } } },
  responses: { 200: { description: 'done' } },
  [errorCodesKey]: ['NOT_FOUND', 'DENIED'],
});
const remove = createRoute({
  method: 'delete',
  path: `${members}/{mid}`,
  summary: 'Remove a member',
  request: ofMember,
  responses: { 200: { description: 'removed' } },
  [errorCodesKey]: ['NOT_FOUND', 'DENIED'],
});

export const memberRoutes: RouteGroup = {
  policy: {
    [`GET ${members}`]: { project: 'member:list' },
    [`POST ${members}`]: { project: 'member:create' },
    [`GET ${members}/{mid}`]: { project: 'member:read' },
    [`PUT ${members}/{mid}`]: { project: 'member:update' },
    [`DELETE ${members}/{mid}`]: { project: 'member:delete' },
  },
  register: (router, parts) => {
    router.openapi(list, async (c) => {
      const { entityname, ...sent } = c.req.valid('query');
      const listing = parseListing(sent, {});
      const { members: found, count } = await parts.members.list(c.get('project'), {
        limit: listing.limit,
        offset: listing.offset,
        ...(entityname === undefined ? {} : { namePart: entityname }),
      });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(found.map(present), 200);
    });

    router.openapi(add, async (c) => {
      const body = c.req.valid('json');
      const member = await parts.members.add(c.env.caller.principal, c.get('project'), { who: referenceOf(body), roleId: body.role_id });
      c.set('change', { resourceType: 'member', resource: member.name, projectId: member.projectId, after: present(member) });
      c.header('location', `${apiPrefix}/projects/${member.projectId}/members/${member.id}`);
      return c.json(present(member), 201);
    });

    router.openapi(read, async (c) => {
      const member = await parts.members.read(c.get('project'), c.req.valid('param').mid);
      if (member === undefined) throw new OciError('NOT_FOUND', 'the project has no such member');
      return c.json(present(member), 200);
    });

    router.openapi(change, async (c) => {
      const wish = { memberId: c.req.valid('param').mid, roleId: c.req.valid('json').role_id };
      const { before, after } = await parts.members.change(c.env.caller.principal, c.get('project'), wish);
      c.set('change', {
        resourceType: 'member',
        resource: after.name,
        projectId: after.projectId,
        before: present(before),
        after: present(after),
      });
      return c.body(null, 200);
    });

    router.openapi(remove, async (c) => {
      const before = await parts.members.remove(c.env.caller.principal, c.get('project'), c.req.valid('param').mid);
      c.set('change', { resourceType: 'member', resource: before.name, projectId: before.projectId, before: present(before) });
      return c.body(null, 200);
    });
  },
};

/** Empty objects and an id of 0 are what clients written in Go send for "not this". */
function referenceOf({ member_user: user, member_group: group }: z.infer<typeof newMemberSchema>): MemberReference {
  const userId = user?.user_id ?? 0;
  const username = user?.username ?? '';
  const reference: GroupReference | undefined = group === undefined ? undefined : groupReference(group);
  const namesUser = userId !== 0 || username !== '';
  if (namesUser === (reference !== undefined))
    throw new OciError('BAD_REQUEST', 'body: name one user (member_user: user_id or username) or one group (member_group)');
  if (reference !== undefined) return { kind: 'group', group: reference };
  return userId !== 0 ? { kind: 'user', id: userId } : { kind: 'user', name: username };
}

function present(member: Member): MemberBody {
  return {
    id: member.id,
    project_id: member.projectId,
    entity_name: member.name,
    role_name: member.roleName,
    role_id: member.roleId,
    entity_id: member.holder.id,
    entity_type: member.holder.kind === 'user' ? 'u' : 'g',
  };
}
