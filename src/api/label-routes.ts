// Labels as Harbor has them: global ones (`scope` g) that administrators make and everybody logged in sees, and those of a project (`scope` p).

import { createRoute, z } from '@hono/zod-openapi';
import { decide, decideSystem } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import type { Label } from '../db/labels.ts';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { type ApiParts, errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';

const tags = ['label'];
const bodyCodes = ['BODY_TOO_LARGE', 'BODY_TOO_SLOW'] as const;
const time = z.string().meta({ description: 'RFC 3339, UTC' });
const labelSchema = z
  .object({
    id: z.number().int(),
    name: z.string(),
    description: z.string(),
    color: z.string(),
    scope: z.enum(['g', 'p']).meta({ description: 'g: global, p: of a project' }),
    project_id: z.number().int().meta({ description: '0: global' }),
    creation_time: time,
    update_time: time,
  })
  .meta({ id: 'Label' });
export type LabelBody = z.infer<typeof labelSchema>;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
const plain = z.string().regex(/^[^\u0000-\u001f\u007f]*$/, 'has no control characters');
/** What Harbor's clients send; they send back what they read, so its other members are taken and mean nothing. */
const sentLabelSchema = z
  .strictObject({
    name: plain.min(1).max(128).meta({ example: 'stable' }),
    description: plain.max(512).nullish(),
    color: z
      .string()
      .regex(/^(#[0-9a-fA-F]{3}([0-9a-fA-F]{3})?)?$/, 'is a colour such as #0065ab')
      .nullish(),
    scope: z.enum(['g', 'p']).nullish().meta({ description: 'g without it' }),
    project_id: z.number().int().min(0).nullish().meta({ description: 'needed with scope p' }),
    id: z.number().int().nullish(),
    creation_time: z.string().max(64).nullish(),
    update_time: z.string().max(64).nullish(),
  })
  .meta({ id: 'SentLabel' });
const fields = {
  id: { type: 'integer', sortable: true },
  name: { type: 'text', sortable: true },
  creation_time: { type: 'time', sortable: true },
  update_time: { type: 'time', sortable: true },
} as const;

const byId = {
  params: z.object({
    label_id: z
      .string()
      .regex(/^\d{1,15}$/, 'is a number')
      .meta({ description: 'its id' }),
  }),
};
const oneLabel = (description: string) => ({ description, content: { 'application/json': { schema: labelSchema } } });
const body = { required: true, content: { 'application/json': { schema: sentLabelSchema } } } as const;

const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/labels`,
  tags,
  summary: 'Labels: the global ones, or those of a project',
  request: {
    query: z.strictObject({
      ...listingQuery,
      name: z.string().min(1).max(128).optional().meta({ description: 'part of the name' }),
      scope: z.enum(['g', 'p']).default('g'),
      project_id: z
        .string()
        .regex(/^\d{1,15}$/, 'is a number')
        .optional()
        .meta({ description: 'needed with scope p' }),
    }),
  },
  responses: { 200: { description: 'one page', content: { 'application/json': { schema: z.array(labelSchema).readonly() } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const create = createRoute({
  method: 'post',
  path: `${apiPrefix}/labels`,
  tags,
  summary: 'Make a label',
  request: { body },
  responses: { 201: { description: 'made; `Location` names it' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', ...bodyCodes],
});
const read = createRoute({
  method: 'get',
  path: `${apiPrefix}/labels/{label_id}`,
  tags,
  summary: 'One label',
  request: byId,
  responses: { 200: oneLabel('the label') },
  [errorCodesKey]: ['NOT_FOUND'],
});
const change = createRoute({
  method: 'put',
  path: `${apiPrefix}/labels/{label_id}`,
  tags,
  summary: 'Change a label',
  description: 'Where it belongs cannot be changed.',
  request: { ...byId, body },
  responses: { 200: { description: 'changed' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', ...bodyCodes],
});
const remove = createRoute({
  method: 'delete',
  path: `${apiPrefix}/labels/{label_id}`,
  tags,
  summary: 'Delete a label',
  description: 'It goes from every artifact that has it.',
  request: byId,
  responses: { 200: { description: 'deleted' } },
  [errorCodesKey]: ['NOT_FOUND'],
});

export const labelRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/labels`]: { filtered: 'label:list', login: true },
    [`POST ${apiPrefix}/labels`]: { filtered: 'label:create', login: true },
    [`GET ${apiPrefix}/labels/{label_id}`]: { filtered: 'label:read', login: true },
    [`PUT ${apiPrefix}/labels/{label_id}`]: { object: 'label', action: 'label:update' },
    [`DELETE ${apiPrefix}/labels/{label_id}`]: { object: 'label', action: 'label:delete' },
  },
  objects: {
    label: (parts) => async (id) => {
      const label = await findLabel(parts, id);
      if (label === undefined) return undefined;
      const project = await projectOf(parts, label.projectId);
      return { value: label, ...(project === undefined ? {} : { project }) };
    },
  },
  register: (router, parts) => {
    const { labels, access } = parts;

    router.openapi(list, async (c) => {
      const { name, scope, project_id: projectId, ...sent } = c.req.valid('query');
      const listing = parseListing(sent, fields);
      const project = scope === 'g' ? undefined : await requireProject(c.env.caller.principal, Number(projectId ?? 0), 'label:list');
      const { labels: found, count } = await labels.page(project?.id, {
        ...listing,
        conditions: [...listing.conditions, ...(name === undefined ? [] : [{ field: 'name', kind: 'part', value: name } as const])],
      });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(found.map(presentLabel), 200);
    });

    router.openapi(create, async (c) => {
      const { principal } = c.env.caller;
      const sent = c.req.valid('json');
      const project = sent.scope === 'p' ? await requireProject(principal, sent.project_id ?? 0, 'label:create') : undefined;
      if (project === undefined && !decideSystem(principal, 'label:create'))
        throw new OciError('DENIED', 'you may not make global labels (label:create)');
      const label = await labels.create(wordsOf(sent), project?.id);
      c.set('change', {
        resourceType: 'label',
        resource: label.name,
        after: wordsOf(sent),
        ...(project === undefined ? {} : { projectId: project.id }),
      });
      c.header('location', `${apiPrefix}/labels/${label.id}`);
      return c.body(null, 201);
    });

    router.openapi(read, async (c) => {
      const { label_id: id } = c.req.valid('param');
      const label = await findLabel(parts, id);
      const project = await projectOf(parts, label?.projectId);
      const isSeen = project === undefined || decide(access, c.env.caller.principal, 'label:read', { kind: 'project', project });
      if (label === undefined || !isSeen) throw new OciError('NOT_FOUND', `there is no label ${id}`);
      return c.json(presentLabel(label), 200);
    });

    router.openapi(change, async (c) => {
      const before = c.get('object') as Label;
      const words = wordsOf(c.req.valid('json'));
      await labels.change(before.id, words);
      c.set('change', {
        resourceType: 'label',
        resource: before.name,
        before: { name: before.name, description: before.description, color: before.color },
        after: words,
        ...(before.projectId === undefined ? {} : { projectId: before.projectId }),
      });
      return c.body(null, 200);
    });

    router.openapi(remove, async (c) => {
      const label = c.get('object') as Label;
      await labels.remove(label.id);
      c.set('change', {
        resourceType: 'label',
        resource: label.name,
        before: { name: label.name },
        ...(label.projectId === undefined ? {} : { projectId: label.projectId }),
      });
      return c.body(null, 200);
    });

    /** NOT_FOUND for a project that is not there or may not be seen, DENIED for one that may. */
    async function requireProject(principal: Principal, id: number, action: 'label:list' | 'label:create'): Promise<Project> {
      if (id === 0) throw new OciError('BAD_REQUEST', 'project_id: is needed with scope p');
      const project = await projectOf(parts, id);
      const may = (right: typeof action | 'project:read') =>
        project !== undefined && decide(access, principal, right, { kind: 'project', project });
      if (project !== undefined && may(action)) return project;
      if (may('project:read')) throw new OciError('DENIED', `you may not do this (${action})`);
      throw new OciError('NOT_FOUND', `there is no project ${id}`);
    }
  },
};

function presentLabel(label: Label): LabelBody {
  return {
    id: label.id,
    name: label.name,
    description: label.description,
    color: label.color,
    scope: label.projectId === undefined ? 'g' : 'p',
    project_id: label.projectId ?? 0,
    creation_time: new Date(label.createdAtMs).toISOString(),
    update_time: new Date(label.updatedAtMs).toISOString(),
  };
}

async function findLabel({ labels }: Pick<ApiParts, 'labels'>, id: string): Promise<Label | undefined> {
  return /^\d{1,15}$/.test(id) ? labels.find(Number(id)) : undefined;
}

async function projectOf({ projects }: Pick<ApiParts, 'projects'>, id: number | undefined): Promise<Project | undefined> {
  return id === undefined ? undefined : projects.find(String(id), { isName: false });
}

function wordsOf(sent: z.infer<typeof sentLabelSchema>) {
  return { name: sent.name, description: sent.description ?? '', color: sent.color ?? '' };
}
