// Repositories over HTTP, as in Harbor's v2.0. In a path the name comes without its project, its slashes encoded twice (`a%252Fb`).

import { createRoute, z } from '@hono/zod-openapi';
import { repositoryChangeSchema, repositorySchema } from './artifact-schemas.ts';
import { presentRepository } from './artifact-view.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';

const fields = {
  id: { type: 'integer', sortable: true },
  name: { type: 'text', sortable: true },
  project_id: { type: 'integer' },
  description: { type: 'text' },
  creation_time: { type: 'time', sortable: true },
  update_time: { type: 'time', sortable: true },
  pull_count: { type: 'integer', sortable: true },
  artifact_count: { type: 'integer', sortable: true },
} as const;

export const repositoryParams = z.object({
  project_name: z.string().max(255),
  repository_name: z.string().max(1000).meta({ description: 'without the project; slashes encoded twice', example: 'web%252Fapp' }),
});
const path = `${apiPrefix}/projects/{project_name}/repositories/{repository_name}`;
const page = {
  description: 'one page, the newest first',
  content: { 'application/json': { schema: z.array(repositorySchema).readonly() } },
};

const listAll = createRoute({
  method: 'get',
  path: `${apiPrefix}/repositories`,
  summary: 'List repositories of all projects',
  description: 'Those that the caller may list. `X-Total-Count` has the number of all, `Link` the next page.',
  request: { query: z.strictObject(listingQuery) },
  responses: { 200: page },
});
const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/projects/{project_name}/repositories`,
  summary: 'List repositories of a project',
  request: { params: repositoryParams.pick({ project_name: true }), query: z.strictObject(listingQuery) },
  responses: { 200: page },
  [errorCodesKey]: ['NOT_FOUND'],
});
const read = createRoute({
  method: 'get',
  path,
  summary: 'Read a repository',
  request: { params: repositoryParams },
  responses: { 200: { description: 'the repository', content: { 'application/json': { schema: repositorySchema } } } },
  [errorCodesKey]: ['NOT_FOUND', 'NAME_INVALID'],
});
const change = createRoute({
  method: 'put',
  path,
  summary: 'Describe a repository',
  request: { params: repositoryParams, body: { required: true, content: { 'application/json': { schema: repositoryChangeSchema } } } },
  responses: { 200: { description: 'changed' } },
  [errorCodesKey]: ['NOT_FOUND', 'NAME_INVALID', 'BODY_TOO_LARGE', 'BODY_TOO_SLOW'],
});
const remove = createRoute({
  method: 'delete',
  path,
  summary: 'Delete a repository with all it holds',
  request: { params: repositoryParams },
  responses: { 200: { description: 'deleted' } },
  [errorCodesKey]: ['NOT_FOUND', 'NAME_INVALID', 'CONFLICT'],
});

export const repositoryRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/repositories`]: { filtered: 'repository:list' },
    [`GET ${apiPrefix}/projects/{project_name}/repositories`]: { project: 'repository:list' },
    [`GET ${path}`]: { project: 'repository:read' },
    [`PUT ${path}`]: { project: 'repository:update' },
    [`DELETE ${path}`]: { project: 'repository:delete' },
  },
  register: (router, { repositories }) => {
    router.openapi(listAll, async (c) => {
      const listing = parseListing(c.req.valid('query'), fields);
      const { repositories: found, count } = await repositories.page(c.env.caller.principal, 'repository:list', listing);
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(found.map(presentRepository), 200);
    });

    router.openapi(list, async (c) => {
      const listing = parseListing(c.req.valid('query'), fields);
      const { repositories: found, count } = await repositories.pageOfProject(c.get('project').id, listing);
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(found.map(presentRepository), 200);
    });

    router.openapi(read, async (c) => c.json(presentRepository(await repositories.find(c.get('repository'))), 200));

    router.openapi(change, async (c) => {
      const name = c.get('repository');
      const { description } = c.req.valid('json');
      const before = await repositories.find(name);
      await repositories.describe(name, description);
      c.set('change', {
        resourceType: 'repository',
        resource: name,
        projectId: c.get('project').id,
        before: { description: before.description },
        after: { description },
      });
      return c.body(null, 200);
    });

    router.openapi(remove, async (c) => {
      const name = c.get('repository');
      const { artifactCount } = await repositories.find(name);
      c.set('change', { resourceType: 'repository', resource: name, projectId: c.get('project').id, before: { artifactCount } });
      await repositories.remove(name);
      return c.body(null, 200);
    });
  },
};
