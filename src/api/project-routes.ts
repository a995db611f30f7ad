// Projects over HTTP, shaped as Harbor's v2.0 so that its clients can read them, with what a project of ours has besides.

import { createRoute, z } from '@hono/zod-openapi';
import { decide } from '../auth/access.ts';
import { principalName } from '../auth/principal.ts';
import { projectScope } from '../auth/project-scope.ts';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';
import { createdProjectSchema, newProjectSchema, type ProjectBody, projectSchema } from './schemas.ts';

const listFields = {
  name: { type: 'text', sortable: true },
  public: { type: 'boolean' },
  kind: { type: ['local', 'mirror', 'overlay'] },
  registry: { type: 'text' },
  project_id: { type: 'integer', sortable: true },
  creation_time: { type: 'time', sortable: true },
  update_time: { type: 'time', sortable: true },
} as const;
const listQuery = z.object({
  ...listingQuery,
  name: z.string().min(1).max(255).optional().meta({ description: 'part of the name' }),
  public: z.enum(['true', 'false']).optional(),
  project_name: z.string().max(255).optional().meta({ description: 'with HEAD: whether a project of this name exists' }),
});
const byName = {
  params: z.object({ project_name_or_id: z.string().max(255).meta({ description: 'the name, or the project_id' }) }),
  headers: z.object({
    'x-is-resource-name': z
      .enum(['true', 'false'])
      .default('false')
      .meta({ description: 'true: a name of digits alone is a name, not an id' }),
  }),
};

const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/projects`,
  summary: 'List projects by name',
  description: '`X-Total-Count` has the number of all, `Link` the next page.',
  request: { query: listQuery },
  responses: { 200: { description: 'one page', content: { 'application/json': { schema: z.array(projectSchema).readonly() } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const create = createRoute({
  method: 'post',
  path: `${apiPrefix}/projects`,
  summary: 'Create a project',
  request: { body: { required: true, content: { 'application/json': { schema: newProjectSchema } } } },
  responses: {
    201: { description: 'created; `Location` names it by its id', content: { 'application/json': { schema: createdProjectSchema } } },
  },
  [errorCodesKey]: ['NAME_INVALID', 'CONFLICT', 'BODY_TOO_LARGE', 'BODY_TOO_SLOW'],
});
const read = createRoute({
  method: 'get',
  path: `${apiPrefix}/projects/{project_name_or_id}`,
  summary: 'Read a project',
  request: byName,
  responses: { 200: { description: 'the project', content: { 'application/json': { schema: projectSchema } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const remove = createRoute({
  method: 'delete',
  path: `${apiPrefix}/projects/{project_name_or_id}`,
  summary: 'Delete an empty project',
  request: byName,
  responses: { 200: { description: 'deleted' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT'],
});

export const projectRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/projects`]: { filtered: 'project:read' },
    [`POST ${apiPrefix}/projects`]: { system: 'project:create' },
    [`GET ${apiPrefix}/projects/{project_name_or_id}`]: { project: 'project:read' },
    [`DELETE ${apiPrefix}/projects/{project_name_or_id}`]: { project: 'project:delete' },
  },
  register: (router, { projects, log, access }) => {
    router.openapi(list, async (c) => {
      const { principal } = c.env.caller;
      const { name, public: isPublic, project_name: exact, ...sent } = c.req.valid('query');
      if (c.req.raw.method === 'HEAD' && exact !== undefined) {
        const project = await projects.find(exact, { isName: true });
        if (project === undefined || !decide(access, principal, 'project:read', { kind: 'project', project })) throw unknownProject(exact);
      }
      const listing = parseListing(sent, listFields);
      const scope = await projectScope(access, principal, 'project:read', projects.list);
      const { projects: found, count } = await projects.page(scope, {
        ...listing,
        conditions: [
          ...listing.conditions,
          ...(name === undefined ? [] : [{ field: 'name', kind: 'part', value: name } as const]),
          ...(isPublic === undefined ? [] : [{ field: 'public', kind: 'exact', value: isPublic === 'true' } as const]),
        ],
      });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(found.map(present), 200);
    });

    router.openapi(create, async (c) => {
      const { principal } = c.env.caller;
      const wish = c.req.valid('json');
      const { project, warnings } = await projects.create({
        name: wish.name ?? wish.project_name ?? '',
        kind: wish.kind,
        isPublic: wish.public ?? wish.metadata?.public === 'true',
        allowsSparse: wish.allows_sparse,
        ...(principal.kind === 'user' ? { ownerId: principal.id } : {}),
        ...(wish.registry === undefined ? {} : { registry: wish.registry }),
      });
      log.info('project.created', {
        project: project.name,
        kind: project.kind,
        isPublic: project.isPublic,
        by: principalName(c.env.caller.principal),
      });
      c.header('location', `${apiPrefix}/projects/${project.id}`);
      return c.json({ ...present(project), warnings }, 201);
    });

    router.openapi(read, async (c) => {
      const project = c.get('project');
      return c.json(present(project), 200);
    });

    router.openapi(remove, async (c) => {
      const project = c.get('project');
      await projects.delete(project.name);
      log.info('project.deleted', { project: project.name, by: principalName(c.env.caller.principal) });
      return c.body(null, 200);
    });
  },
};

function unknownProject(name: string): OciError {
  return new OciError('NOT_FOUND', `there is no project named ${name}`);
}

function present(project: Project): ProjectBody {
  return {
    project_id: project.id,
    name: project.name,
    metadata: { public: project.isPublic ? 'true' : 'false' },
    creation_time: new Date(project.createdAtMs).toISOString(),
    kind: project.kind,
    ...(project.registry === undefined ? {} : { registry: project.registry }),
    allows_sparse: project.allowsSparse,
  };
}
