// Projects over HTTP, shaped as Harbor's v2.0 so that its clients can read them, with what a project of ours has besides.

import { createRoute, z } from '@hono/zod-openapi';
import { decide, decideSystem } from '../auth/access.ts';
import { principalName } from '../auth/principal.ts';
import { projectScope } from '../auth/project-scope.ts';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';
import { presentProjects } from './project-bodies.ts';
import { readProjectWords } from './project-input.ts';
import { projectParameters } from './project-parameters.ts';
import { createdProjectSchema, newProjectSchema, projectChangeSchema, projectSchema } from './schemas.ts';

const listFields = {
  name: { type: 'text', sortable: true },
  public: { type: 'boolean' },
  owner: { type: 'text' },
  kind: { type: ['local', 'mirror', 'overlay'] },
  registry: { type: 'text' },
  project_id: { type: 'integer', sortable: true },
  creation_time: { type: 'time', sortable: true },
  update_time: { type: 'time', sortable: true },
} as const;
const listQuery = z.strictObject({
  ...listingQuery,
  name: z.string().min(1).max(255).optional().meta({ description: 'part of the name' }),
  public: z.enum(['true', 'false']).optional(),
  owner: z.string().min(1).max(255).optional().meta({ description: 'the name of who made it' }),
  with_detail: z.enum(['true', 'false']).default('true').meta({ description: 'false: without repo_count and cve_allowlist' }),
  project_name: z.string().max(255).optional().meta({ description: 'with HEAD: whether a project of this name exists' }),
});
const tags = ['project'];

const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/projects`,
  tags,
  summary: 'List projects by name',
  description: 'Those the caller may read. `X-Total-Count` has the number of all, `Link` the pages beside this one.',
  request: { query: listQuery },
  responses: { 200: { description: 'one page', content: { 'application/json': { schema: z.array(projectSchema).readonly() } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const create = createRoute({
  method: 'post',
  path: `${apiPrefix}/projects`,
  tags,
  summary: 'Create a project',
  description:
    'Who creates it becomes its project admin. Users without a right on the server may where `project_creation_restriction` is `everyone`, but no mirror or overlay.',
  request: {
    headers: z.object({
      'x-resource-name-in-location': z.enum(['true', 'false']).default('false').meta({ description: 'true: `Location` has the name' }),
    }),
    body: { required: true, content: { 'application/json': { schema: newProjectSchema } } },
  },
  responses: {
    201: { description: 'created; `Location` names it by its id', content: { 'application/json': { schema: createdProjectSchema } } },
  },
  [errorCodesKey]: ['NAME_INVALID', 'CONFLICT', 'BODY_TOO_LARGE', 'BODY_TOO_SLOW'],
});
const read = createRoute({
  method: 'get',
  path: `${apiPrefix}/projects/{project_name_or_id}`,
  tags,
  summary: 'Read a project',
  request: projectParameters,
  responses: { 200: { description: 'the project', content: { 'application/json': { schema: projectSchema } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const change = createRoute({
  method: 'put',
  path: `${apiPrefix}/projects/{project_name_or_id}`,
  tags,
  summary: 'Change a project',
  description: 'What is left out stays. Name, kind and registry cannot be changed.',
  request: { ...projectParameters, body: { required: true, content: { 'application/json': { schema: projectChangeSchema } } } },
  responses: { 200: { description: 'changed' } },
  [errorCodesKey]: ['NOT_FOUND', 'BODY_TOO_LARGE', 'BODY_TOO_SLOW'],
});
const remove = createRoute({
  method: 'delete',
  path: `${apiPrefix}/projects/{project_name_or_id}`,
  tags,
  summary: 'Delete an empty project',
  request: projectParameters,
  responses: { 200: { description: 'deleted' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT'],
});
const deletable = createRoute({
  method: 'get',
  path: `${apiPrefix}/projects/{project_name_or_id}/_deletable`,
  tags,
  summary: 'Whether a project can be deleted',
  request: projectParameters,
  responses: {
    200: {
      description: 'and why not',
      content: {
        'application/json': {
          schema: z.object({ deletable: z.boolean(), message: z.string().optional() }).meta({ id: 'ProjectDeletable' }),
        },
      },
    },
  },
  [errorCodesKey]: ['NOT_FOUND'],
});

const onProject = `${apiPrefix}/projects/{project_name_or_id}`;

export const projectRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/projects`]: { filtered: 'project:read' },
    [`POST ${apiPrefix}/projects`]: { filtered: 'project:create', login: true },
    [`GET ${onProject}`]: { project: 'project:read' },
    [`PUT ${onProject}`]: { project: 'project:update' },
    [`DELETE ${onProject}`]: { project: 'project:delete' },
    [`GET ${onProject}/_deletable`]: { project: 'project:delete' },
  },
  register: (router, parts) => {
    const { projects, log, access, settings, sources } = parts;

    router.openapi(list, async (c) => {
      const { principal } = c.env.caller;
      const { name, public: isPublic, owner, with_detail: withDetail, project_name: exact, ...sent } = c.req.valid('query');
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
          ...(owner === undefined ? [] : [{ field: 'owner', kind: 'exact', value: owner } as const]),
        ],
      });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(await presentProjects(parts, principal, { projects: found, isDetailed: withDetail === 'true' }), 200);
    });

    router.openapi(create, async (c) => {
      const { principal } = c.env.caller;
      const wish = c.req.valid('json');
      const registry = wish.registry_id ? registryOf(wish.registry_id) : wish.registry;
      const kind = wish.kind ?? (wish.registry_id ? 'mirror' : 'local');
      if (!decideSystem(principal, 'project:create')) {
        const isOpen = principal.kind === 'user' && (await settings.read()).project_creation_restriction === 'everyone';
        if (!isOpen || kind !== 'local') throw new OciError('DENIED', 'you may not do this (project:create)');
      }
      const { isPublic = false, metadata, cveAllowlist } = readProjectWords(wish);
      const { project, warnings } = await projects.create({
        name: wish.name ?? wish.project_name ?? '',
        kind,
        isPublic,
        metadata,
        allowsSparse: wish.allows_sparse,
        ...(principal.kind === 'user' ? { ownerId: principal.id } : {}),
        ...(registry === undefined ? {} : { registry }),
        ...(cveAllowlist === undefined ? {} : { cveAllowlist }),
      });
      log.info('project.created', { project: project.name, kind: project.kind, isPublic: project.isPublic, by: principalName(principal) });
      c.set('change', {
        resourceType: 'project',
        resource: project.name,
        projectId: project.id,
        after: { kind: project.kind, public: project.isPublic, ...(registry === undefined ? {} : { registry }) },
      });
      const inLocation = c.req.valid('header')['x-resource-name-in-location'] === 'true' ? encodeURIComponent(project.name) : project.id;
      c.header('location', `${apiPrefix}/projects/${inLocation}`);
      const [body] = await presentProjects(parts, principal, { projects: [project], isDetailed: true });
      if (body === undefined) throw new Error('one project is presented as one');
      return c.json({ ...body, warnings }, 201);
    });

    router.openapi(read, async (c) => {
      const [body] = await presentProjects(parts, c.env.caller.principal, { projects: [c.get('project')], isDetailed: true });
      if (body === undefined) throw new Error('one project is presented as one');
      return c.json(body, 200);
    });

    router.openapi(change, async (c) => {
      const project = c.get('project');
      const wish = c.req.valid('json');
      requireUnchanged(project, wish);
      const words = readProjectWords(wish);
      await projects.change(project, { ...words, ...(wish.allows_sparse === undefined ? {} : { allowsSparse: wish.allows_sparse }) });
      log.info('project.changed', { project: project.name, by: principalName(c.env.caller.principal) });
      c.set('change', {
        resourceType: 'project',
        resource: project.name,
        projectId: project.id,
        before: { public: project.isPublic, allows_sparse: project.allowsSparse },
        after: {
          public: words.isPublic ?? project.isPublic,
          allows_sparse: wish.allows_sparse ?? project.allowsSparse,
          metadata: Object.fromEntries(words.metadata.map(({ name, value }) => [name, value])),
        },
      });
      return c.body(null, 200);
    });

    router.openapi(remove, async (c) => {
      const project = c.get('project');
      await projects.delete(project.name);
      log.info('project.deleted', { project: project.name, by: principalName(c.env.caller.principal) });
      c.set('change', { resourceType: 'project', resource: project.name, projectId: project.id, before: { public: project.isPublic } });
      return c.body(null, 200);
    });

    router.openapi(deletable, async (c) => {
      const content = await projects.contentOf(c.get('project'));
      const message = `it still holds ${content}; delete its repositories' content first`;
      return c.json(content === undefined ? { deletable: true } : { deletable: false, message }, 200);
    });

    function registryOf(id: number): string {
      const found = sources.list().find((registry) => registry.id === id);
      if (found === undefined)
        throw new OciError('BAD_REQUEST', `body: registry_id: there is no registry ${id}; GET /registries lists them`);
      return found.name;
    }

    function requireUnchanged(
      project: Project,
      wish: { project_name?: string | null | undefined; registry_id?: number | null | undefined },
    ): void {
      if (wish.project_name && wish.project_name !== project.name) throw new OciError('BAD_REQUEST', 'body: a project cannot be renamed');
      if (wish.registry_id && registryOf(wish.registry_id) !== project.registry)
        throw new OciError('BAD_REQUEST', 'body: the registry of a project cannot be changed; make another project');
    }
  },
};

function unknownProject(name: string): OciError {
  return new OciError('NOT_FOUND', `there is no project named ${name}`);
}
