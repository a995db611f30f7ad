// Harbor's words about a project, one by one: `public` is its visibility, the others are kept for clients. And the summary of a project.

import { createRoute, z } from '@hono/zod-openapi';
import { decide } from '../auth/access.ts';
import { OciError } from '../oci/errors.ts';
import { checkMetadata, metadataNames } from '../registry/project-metadata.ts';
import { type ApiParts, errorCodesKey, type RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { presentMetadata } from './project-bodies.ts';
import { projectParameters } from './project-parameters.ts';
import { presentHarborRegistry } from './registry-bodies.ts';
import { harborRegistrySchema } from './registry-schemas.ts';

const onProject = `${apiPrefix}/projects/{project_name_or_id}`;
const tags = ['projectMetadata'];
const bodyCodes = ['BODY_TOO_LARGE', 'BODY_TOO_SLOW'] as const;
const wordsSchema = z
  .record(z.string().max(64), z.string().max(512))
  .meta({ description: `one of ${metadataNames.join(', ')}`, example: { auto_scan: 'true' } });
const oneWord = {
  ...projectParameters,
  params: projectParameters.params.extend({ meta_name: z.string().max(64).meta({ description: 'such as public' }) }),
};
const answer = (description: string) => ({ description, content: { 'application/json': { schema: wordsSchema } } });
const body = { required: true, content: { 'application/json': { schema: wordsSchema } } } as const;

/** Harbor has this path with a slash at its end, its clients send it with and without. */
const listPaths = [`${onProject}/metadatas`, `${onProject}/metadatas/`] as const;
const lists = listPaths.map((path) =>
  createRoute({
    method: 'get',
    path,
    tags,
    summary: 'What is said about a project',
    request: projectParameters,
    responses: { 200: answer('all of it') },
    [errorCodesKey]: ['NOT_FOUND'],
  }),
);
const adds = listPaths.map((path) =>
  createRoute({
    method: 'post',
    path,
    tags,
    summary: 'Say one thing more about a project',
    request: { ...projectParameters, body },
    responses: { 200: { description: 'kept' } },
    [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', ...bodyCodes],
  }),
);
const read = createRoute({
  method: 'get',
  path: `${onProject}/metadatas/{meta_name}`,
  tags,
  summary: 'One thing said about a project',
  request: oneWord,
  responses: { 200: answer('under its name') },
  [errorCodesKey]: ['NOT_FOUND'],
});
const change = createRoute({
  method: 'put',
  path: `${onProject}/metadatas/{meta_name}`,
  tags,
  summary: 'Change one thing said about a project',
  request: { ...oneWord, body },
  responses: { 200: { description: 'changed' } },
  [errorCodesKey]: ['NOT_FOUND', ...bodyCodes],
});
const remove = createRoute({
  method: 'delete',
  path: `${onProject}/metadatas/{meta_name}`,
  tags,
  summary: 'Take back one thing said about a project',
  request: oneWord,
  responses: { 200: { description: 'gone' } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const count = z.number().int();
const summary = createRoute({
  method: 'get',
  path: `${onProject}/summary`,
  tags: ['project'],
  summary: 'A project in numbers',
  description: 'Members are counted for those who may list them, bytes for those who may read the quota.',
  request: projectParameters,
  responses: {
    200: {
      description: 'the numbers',
      content: {
        'application/json': {
          schema: z
            .object({
              repo_count: count,
              project_admin_count: count.optional(),
              maintainer_count: count.optional(),
              developer_count: count.optional(),
              guest_count: count.optional(),
              limited_guest_count: count.optional(),
              quota: z
                .object({
                  hard: z.object({ storage: count }),
                  used: z.object({ storage: count.meta({ description: 'bytes of its blobs' }) }),
                })
                .optional(),
              registry: harborRegistrySchema.optional().meta({ description: 'of a mirror' }),
            })
            .meta({ id: 'ProjectSummary' }),
        },
      },
    },
  },
  [errorCodesKey]: ['NOT_FOUND'],
});

export const metadataRoutes: RouteGroup = {
  policy: {
    ...Object.fromEntries(
      listPaths.flatMap((path) => [
        [`GET ${path}`, { project: 'metadata:list' } as const],
        [`POST ${path}`, { project: 'metadata:create' } as const],
      ]),
    ),
    [`GET ${onProject}/metadatas/{meta_name}`]: { project: 'metadata:read' },
    [`PUT ${onProject}/metadatas/{meta_name}`]: { project: 'metadata:update' },
    [`DELETE ${onProject}/metadatas/{meta_name}`]: { project: 'metadata:delete' },
    [`GET ${onProject}/summary`]: { project: 'project:read' },
  },
  register: (router, parts) => {
    const { projects, overview, sources, access } = parts;

    for (const list of lists) {
      router.openapi(list, async (c) => {
        const project = c.get('project');
        return c.json(presentMetadata(project, (await projects.details([project.id])).get(project.id)), 200);
      });
    }
    for (const add of adds) {
      router.openapi(add, async (c) => {
        const project = c.get('project');
        const [word, ...more] = Object.entries(c.req.valid('json'));
        if (word === undefined || more.length > 0) throw new OciError('BAD_REQUEST', 'body: exactly one key with its value is needed');
        const [name, value] = word;
        checkMetadata(name, value);
        if (name === 'public' || (await kept(parts, project.id)).has(name))
          throw new OciError('CONFLICT', `${name} is said already; change it with PUT`);
        await projects.change(project, { metadata: [{ name, value }] });
        c.set('change', { resourceType: 'project', resource: project.name, projectId: project.id, after: { [name]: value } });
        return c.body(null, 200);
      });
    }

    router.openapi(read, async (c) => {
      const project = c.get('project');
      const { meta_name: name } = c.req.valid('param');
      const value = name === 'public' ? String(project.isPublic) : (await kept(parts, project.id)).get(name);
      if (value === undefined) throw absent(name);
      return c.json({ [name]: value }, 200);
    });

    router.openapi(change, async (c) => {
      const project = c.get('project');
      const { meta_name: name } = c.req.valid('param');
      const sent = Object.entries(c.req.valid('json'));
      const value = sent.length === 1 && sent[0]?.[0] === name ? sent[0][1] : undefined;
      if (value === undefined) throw new OciError('BAD_REQUEST', `body: {"${name.slice(0, 60)}": "..."} is needed`);
      checkMetadata(name, value);
      const before = name === 'public' ? String(project.isPublic) : (await kept(parts, project.id)).get(name);
      if (before === undefined) throw absent(name);
      await projects.change(project, name === 'public' ? { isPublic: value === 'true' } : { metadata: [{ name, value }] });
      c.set('change', {
        resourceType: 'project',
        resource: project.name,
        projectId: project.id,
        before: { [name]: before },
        after: { [name]: value },
      });
      return c.body(null, 200);
    });

    router.openapi(remove, async (c) => {
      const project = c.get('project');
      const { meta_name: name } = c.req.valid('param');
      if (name === 'public') throw new OciError('BAD_REQUEST', 'a project is public or it is not; change it with PUT');
      const before = (await kept(parts, project.id)).get(name);
      if (before === undefined) throw absent(name);
      await projects.change(project, { removedMetadata: [name] });
      c.set('change', { resourceType: 'project', resource: project.name, projectId: project.id, before: { [name]: before } });
      return c.body(null, 200);
    });

    router.openapi(summary, async (c) => {
      const project = c.get('project');
      const may = (action: 'member:list' | 'quota:read') => decide(access, c.env.caller.principal, action, { kind: 'project', project });
      const details = (await projects.details([project.id])).get(project.id);
      const members = may('member:list') ? await projects.memberCounts(project) : undefined;
      const registry = project.kind === 'mirror' ? sources.list().find(({ name }) => name === project.registry) : undefined;
      return c.json(
        {
          repo_count: details?.repositoryCount ?? 0,
          ...(members === undefined
            ? {}
            : {
                project_admin_count: members.get(1) ?? 0,
                maintainer_count: members.get(4) ?? 0,
                developer_count: members.get(2) ?? 0,
                guest_count: members.get(3) ?? 0,
                limited_guest_count: members.get(5) ?? 0,
              }),
          ...(may('quota:read')
            ? { quota: { hard: { storage: -1 }, used: { storage: (await overview.usage()).byProject.get(project.id) ?? 0 } } }
            : {}),
          ...(registry === undefined ? {} : { registry: presentHarborRegistry(registry) }),
        },
        200,
      );
    });
  },
};

async function kept({ projects }: Pick<ApiParts, 'projects'>, id: number): Promise<ReadonlyMap<string, string>> {
  return (await projects.details([id])).get(id)?.metadata ?? new Map();
}

function absent(name: string): OciError {
  return new OciError('NOT_FOUND', `nothing is said about ${name.slice(0, 60)}`);
}
