// What there is in numbers and by search, as far as the caller may see it; quotas, which no project has yet; and the disk.

import { createRoute, z } from '@hono/zod-openapi';
import { projectScope } from '../auth/project-scope.ts';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';
import { presentProjects } from './project-bodies.ts';
import { projectSchema } from './schemas.ts';

const count = z.number().int();
const statisticSchema = z
  .object({
    private_project_count: count,
    private_repo_count: count,
    public_project_count: count,
    public_repo_count: count,
    total_project_count: count,
    total_repo_count: count,
    total_storage_consumption: count.meta({ description: 'bytes of blobs; told to those who see everything, 0 to others' }),
  })
  .meta({ id: 'Statistic' });
const searchSchema = z
  .object({
    project: z.array(projectSchema).readonly(),
    repository: z
      .array(
        z.object({
          repository_name: z.string(),
          project_id: count,
          project_name: z.string(),
          project_public: z.boolean(),
          artifact_count: count,
        }),
      )
      .readonly(),
  })
  .meta({ id: 'Search' });
const storage = z.object({ storage: count });
const quotaSchema = z
  .object({
    id: count,
    ref: z.object({ id: count, name: z.string(), owner_name: z.string() }).meta({ description: 'the project' }),
    creation_time: z.string(),
    update_time: z.string(),
    hard: storage.meta({ description: '-1: no limit' }),
    used: storage.meta({ description: 'bytes of its blobs; a blob counts once in a project' }),
  })
  .meta({ id: 'Quota' });
const quotaFields = {
  id: { type: 'integer', sortable: true },
  name: { type: 'text', sortable: true },
} as const;
const byId = {
  params: z.object({
    id: z
      .string()
      .regex(/^\d{1,15}$/, 'is a number')
      .meta({ description: 'of the project' }),
  }),
};

const statistics = createRoute({
  method: 'get',
  path: `${apiPrefix}/statistics`,
  tags: ['statistic'],
  summary: 'Projects and repositories in numbers',
  description: 'Of those that the caller may read.',
  responses: { 200: { description: 'the numbers', content: { 'application/json': { schema: statisticSchema } } } },
});
const search = createRoute({
  method: 'get',
  path: `${apiPrefix}/search`,
  tags: ['search'],
  summary: 'Search projects and repositories by a part of their names',
  description: 'At most 100 of each, by name, of those that the caller may read.',
  request: { query: z.strictObject({ q: z.string().min(1).max(255) }) },
  responses: { 200: { description: 'what was found', content: { 'application/json': { schema: searchSchema } } } },
});
const quotas = createRoute({
  method: 'get',
  path: `${apiPrefix}/quotas`,
  tags: ['quota'],
  summary: 'How much room projects take',
  request: {
    query: z.strictObject({
      ...listingQuery,
      reference: z.literal('project').optional(),
      reference_id: z
        .string()
        .regex(/^\d{1,15}$/, 'is a number')
        .optional(),
    }),
  },
  responses: { 200: { description: 'one page', content: { 'application/json': { schema: z.array(quotaSchema).readonly() } } } },
});
const quota = createRoute({
  method: 'get',
  path: `${apiPrefix}/quotas/{id}`,
  tags: ['quota'],
  summary: 'How much room a project takes',
  request: byId,
  responses: { 200: { description: 'its quota', content: { 'application/json': { schema: quotaSchema } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const volumes = createRoute({
  method: 'get',
  path: `${apiPrefix}/systeminfo/volumes`,
  tags: ['systeminfo'],
  summary: 'The disk that content is kept on',
  responses: {
    200: {
      description: 'in bytes',
      content: {
        'application/json': {
          schema: z.object({ storage: z.array(z.object({ total: count, free: count })).readonly() }).meta({ id: 'Volumes' }),
        },
      },
    },
  },
});

export const overviewRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/statistics`]: { filtered: 'project:read', login: true },
    [`GET ${apiPrefix}/search`]: { filtered: 'project:read' },
    [`GET ${apiPrefix}/quotas`]: { system: 'quota:list' },
    [`GET ${apiPrefix}/quotas/{id}`]: { system: 'quota:read' },
    [`GET ${apiPrefix}/systeminfo/volumes`]: { system: 'system-volumes:read' },
  },
  register: (router, parts) => {
    const { projects, overview, access } = parts;

    router.openapi(statistics, async (c) => {
      const scope = await projectScope(access, c.env.caller.principal, 'project:read', projects.list);
      const found = await overview.count(scope);
      return c.json(
        {
          private_project_count: found.privateProjects,
          private_repo_count: found.privateRepositories,
          public_project_count: found.publicProjects,
          public_repo_count: found.publicRepositories,
          total_project_count: found.privateProjects + found.publicProjects,
          total_repo_count: found.privateRepositories + found.publicRepositories,
          total_storage_consumption: scope === 'all' ? (await overview.usage()).totalBytes : 0,
        },
        200,
      );
    });

    router.openapi(search, async (c) => {
      const { principal } = c.env.caller;
      const scope = await projectScope(access, principal, 'project:read', projects.list);
      const found = await overview.search(scope, c.req.valid('query').q);
      return c.json(
        {
          project: await presentProjects(parts, principal, { projects: found.projects, isDetailed: true }),
          repository: found.repositories.map((repository) => ({
            repository_name: repository.name,
            project_id: repository.projectId,
            project_name: repository.projectName,
            project_public: repository.isPublic,
            artifact_count: repository.artifactCount,
          })),
        },
        200,
      );
    });

    router.openapi(quotas, async (c) => {
      const { reference: _, reference_id: only, ...sent } = c.req.valid('query');
      const { conditions, order, ...listing } = parseListing(sent, quotaFields);
      const { projects: found, count: total } = await projects.page('all', {
        ...listing,
        conditions: [
          ...conditions.map((condition) => ({ ...condition, field: fieldOf(condition.field) })),
          ...(only === undefined ? [] : [{ field: 'project_id', kind: 'exact', value: Number(only) } as const]),
        ],
        order: order.map((one) => ({ ...one, field: fieldOf(one.field) })),
      });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, total))) c.header(header, value);
      return c.json(await presentQuotas(found), 200);
    });

    router.openapi(quota, async (c) => {
      const { id } = c.req.valid('param');
      const project = await projects.find(id, { isName: false });
      const [body] = project === undefined ? [] : await presentQuotas([project]);
      if (body === undefined) throw new OciError('NOT_FOUND', `there is no quota ${id}`);
      return c.json(body, 200);
    });

    router.openapi(volumes, async (c) => {
      const { totalBytes, freeBytes } = await overview.volume();
      return c.json({ storage: [{ total: totalBytes, free: freeBytes }] }, 200);
    });

    async function presentQuotas(found: readonly Project[]): Promise<z.infer<typeof quotaSchema>[]> {
      const details = await projects.details(found.map((project) => project.id));
      const { byProject } = await overview.usage();
      return found.map((project) => ({
        id: project.id,
        ref: { id: project.id, name: project.name, owner_name: details.get(project.id)?.ownerName ?? '' },
        creation_time: new Date(project.createdAtMs).toISOString(),
        update_time: new Date(project.updatedAtMs).toISOString(),
        hard: { storage: -1 },
        used: { storage: byProject.get(project.id) ?? 0 },
      }));
    }
  },
};

function fieldOf(field: keyof typeof quotaFields): 'project_id' | 'name' {
  return field === 'id' ? 'project_id' : 'name';
}
