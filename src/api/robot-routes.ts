// Robots over HTTP, as Harbor v2.0 has them: of the server and of projects below /robots, and once more below a project for older clients.

import { createRoute, z } from '@hono/zod-openapi';
import { decide, decideSystem } from '../auth/access.ts';
import { namesOf, type Robots, type RobotUpdate, type RobotView } from '../auth/robots.ts';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { type ApiParts, errorCodesKey, type ObjectResolver, type RouteGroup } from './environment.ts';
import { type Listing, listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';
import {
  createdRobotSchema,
  newProjectRobotSchema,
  newRobotSchema,
  type RobotBody,
  robotSchema,
  robotSecretSchema,
  robotUpdateSchema,
} from './robot-schemas.ts';

const dayMs = 24 * 60 * 60 * 1000;
const robotId = z.string().regex(/^\d{1,15}$/, 'must be a number');
const projectName = z.string().max(255).meta({ description: 'the name, or the project_id' });
const robotList = { 200: { description: 'one page', content: { 'application/json': { schema: z.array(robotSchema).readonly() } } } };
const oneRobot = { 200: { description: 'the robot', content: { 'application/json': { schema: robotSchema } } } };
const madeRobot = {
  201: { description: 'made; the secret is told this once', content: { 'application/json': { schema: createdRobotSchema } } },
};
const json = <T extends z.ZodType>(schema: T) => ({ required: true, content: { 'application/json': { schema } } });

const listFields = {
  level: { type: ['system', 'project'], filter: ['exact'] },
  Level: { type: ['system', 'project'], filter: ['exact'] },
  project_id: { type: 'integer', filter: ['exact'] },
  ProjectID: { type: 'integer', filter: ['exact'] },
  name: { type: 'text', filter: ['exact', 'part'], sortable: true },
  id: { type: 'integer', filter: 'none', sortable: true },
  creation_time: { type: 'time', filter: 'none', sortable: true },
  expires_at: { type: 'time', filter: 'none', sortable: true },
} as const;
type RobotListing = Listing<keyof typeof listFields>;

const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/robots`,
  summary: 'List robots of the server, or with `q=Level=project,ProjectID=1` of a project',
  request: { query: z.strictObject(listingQuery) },
  responses: robotList,
});
const create = createRoute({
  method: 'post',
  path: `${apiPrefix}/robots`,
  summary: 'Make a robot',
  description: 'Who makes one must hold every right that it gets. A robot of the level project has rights in that project alone.',
  request: { body: json(newRobotSchema) },
  responses: madeRobot,
  [errorCodesKey]: ['CONFLICT', 'NAME_UNKNOWN', 'NOT_FOUND', 'DENIED'],
});
const byId = { params: z.object({ robot_id: robotId }) };
const read = createRoute({
  method: 'get',
  path: `${apiPrefix}/robots/{robot_id}`,
  summary: 'Read a robot',
  request: byId,
  responses: oneRobot,
});
const update = createRoute({
  method: 'put',
  path: `${apiPrefix}/robots/{robot_id}`,
  summary: 'Change a robot: description, rights, end, networks, on or off',
  request: { ...byId, body: json(robotUpdateSchema) },
  responses: { 200: { description: 'changed' } },
  [errorCodesKey]: ['NAME_UNKNOWN'],
});
const refresh = createRoute({
  method: 'patch',
  path: `${apiPrefix}/robots/{robot_id}`,
  summary: 'Give a robot another secret',
  description: 'A secret of your own has 12 to 128 printable characters with an upper case letter, a lower case letter and a digit.',
  request: { ...byId, body: json(robotSecretSchema) },
  responses: {
    200: {
      description: 'the secret, told this once when it was made here',
      content: { 'application/json': { schema: robotSecretSchema } },
    },
  },
});
const remove = createRoute({
  method: 'delete',
  path: `${apiPrefix}/robots/{robot_id}`,
  summary: 'Delete a robot',
  request: byId,
  responses: { 200: { description: 'deleted' } },
});

const ofProject = { params: z.object({ project_name_or_id: projectName }) };
const ofProjectById = { params: z.object({ project_name_or_id: projectName, robot_id: robotId }) };
const listOfProject = createRoute({
  method: 'get',
  path: `${apiPrefix}/projects/{project_name_or_id}/robots`,
  summary: 'List robots of a project',
  request: { ...ofProject, query: z.strictObject(listingQuery) },
  responses: robotList,
});
const createInProject = createRoute({
  method: 'post',
  path: `${apiPrefix}/projects/{project_name_or_id}/robots`,
  summary: "Make a robot of a project, Harbor's older way",
  request: { ...ofProject, body: json(newProjectRobotSchema) },
  responses: madeRobot,
  [errorCodesKey]: ['CONFLICT', 'NAME_UNKNOWN'],
});
const readOfProject = createRoute({
  method: 'get',
  path: `${apiPrefix}/projects/{project_name_or_id}/robots/{robot_id}`,
  summary: 'Read a robot of a project',
  request: ofProjectById,
  responses: oneRobot,
});
const updateOfProject = createRoute({
  method: 'put',
  path: `${apiPrefix}/projects/{project_name_or_id}/robots/{robot_id}`,
  summary: 'Change a robot of a project',
  request: { ...ofProjectById, body: json(robotUpdateSchema) },
  responses: { 200: { description: 'changed' } },
  [errorCodesKey]: ['NAME_UNKNOWN'],
});
const removeOfProject = createRoute({
  method: 'delete',
  path: `${apiPrefix}/projects/{project_name_or_id}/robots/{robot_id}`,
  summary: 'Delete a robot of a project',
  request: ofProjectById,
  responses: { 200: { description: 'deleted' } },
});

export const robotRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/robots`]: { filtered: 'robot:list', login: true },
    [`POST ${apiPrefix}/robots`]: 'login',
    [`GET ${apiPrefix}/robots/{robot_id}`]: { object: 'robot', action: 'robot:read' },
    [`PUT ${apiPrefix}/robots/{robot_id}`]: { object: 'robot', action: 'robot:update' },
    [`PATCH ${apiPrefix}/robots/{robot_id}`]: { object: 'robot', action: 'robot:update' },
    [`DELETE ${apiPrefix}/robots/{robot_id}`]: { object: 'robot', action: 'robot:delete' },
    [`GET ${apiPrefix}/projects/{project_name_or_id}/robots`]: { project: 'robot:list' },
    [`POST ${apiPrefix}/projects/{project_name_or_id}/robots`]: { project: 'robot:create' },
    [`GET ${apiPrefix}/projects/{project_name_or_id}/robots/{robot_id}`]: { project: 'robot:read' },
    [`PUT ${apiPrefix}/projects/{project_name_or_id}/robots/{robot_id}`]: { project: 'robot:update' },
    [`DELETE ${apiPrefix}/projects/{project_name_or_id}/robots/{robot_id}`]: { project: 'robot:delete' },
  },
  objects: { robot: ({ robots }) => resolveRobot(robots) },
  bodyLimits: {
    [`POST ${apiPrefix}/robots`]: 1024 * 1024,
    [`PUT ${apiPrefix}/robots/{robot_id}`]: 1024 * 1024,
  },
  register: (router, parts) => {
    const { robots } = parts;
    router.openapi(list, async (c) => {
      const listing = parseListing(c.req.valid('query'), listFields);
      const projectId = placeAsked(listing);
      const views = await listAllowed(parts, c.env.caller.principal, projectId);
      const { rows, count } = pageOf(views, listing);
      for (const [name, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(name, value);
      return c.json(rows.map(present), 200);
    });
    router.openapi(create, async (c) => {
      const { name, description, level, duration, disable, secret, permissions, networks } = c.req.valid('json');
      const made = await robots.create(c.env.caller.principal, {
        name,
        description: description ?? '',
        level,
        isDisabled: disable === true,
        durationDays: duration ?? undefined,
        permissions,
        networks: networks ?? [],
        secret: secret ?? undefined,
      });
      c.set('change', changeOf(made.robot, { after: present(made.robot) }));
      c.header('location', `${apiPrefix}/robots/${made.robot.record.id}`);
      return c.json(presentCreated(made), 201);
    });
    router.openapi(read, (c) => c.json(present(c.get('object') as RobotView), 200));
    router.openapi(update, async (c) => {
      const view = c.get('object') as RobotView;
      const changed = await robots.update(c.env.caller.principal, view, readUpdate(view, c.req.valid('json')));
      c.set('change', changeOf(changed, { before: present(view), after: present(changed) }));
      return c.body(null, 200);
    });
    router.openapi(refresh, async (c) => {
      const view = c.get('object') as RobotView;
      const { secret: chosen } = c.req.valid('json');
      const secret = await robots.refresh(c.env.caller.principal, view, chosen);
      c.set('change', changeOf(view, { after: { secret: 'refreshed' } }));
      return c.json({ secret: secret.reveal() }, 200);
    });
    router.openapi(remove, async (c) => {
      const view = c.get('object') as RobotView;
      await robots.delete(view);
      c.set('change', changeOf(view, { before: present(view) }));
      return c.body(null, 200);
    });

    router.openapi(listOfProject, async (c) => {
      const listing = parseListing(c.req.valid('query'), listFields);
      const { rows, count } = pageOf(await robots.list(c.get('project').id), listing);
      for (const [name, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(name, value);
      return c.json(rows.map(present), 200);
    });
    router.openapi(createInProject, async (c) => {
      const { name, description, expires_at: expiresAtS, access } = c.req.valid('json');
      const project = c.get('project');
      const made = await robots.create(c.env.caller.principal, {
        name,
        description: description ?? '',
        level: 'project',
        isDisabled: false,
        durationDays: daysUntil(expiresAtS ?? undefined),
        permissions: [
          {
            kind: 'project',
            namespace: project.name,
            access: access.map((word) => ({ ...word, resource: bareResource(word.resource, project) })),
          },
        ],
        networks: [],
        secret: undefined,
      });
      c.set('change', changeOf(made.robot, { after: present(made.robot) }));
      c.header('location', `${apiPrefix}/projects/${project.id}/robots/${made.robot.record.id}`);
      return c.json(presentCreated(made), 201);
    });
    router.openapi(readOfProject, async (c) =>
      c.json(present(await requireInProject(robots, c.req.valid('param').robot_id, c.get('project'))), 200),
    );
    router.openapi(updateOfProject, async (c) => {
      const view = await requireInProject(robots, c.req.valid('param').robot_id, c.get('project'));
      const changed = await robots.update(c.env.caller.principal, view, readUpdate(view, c.req.valid('json')));
      c.set('change', changeOf(changed, { before: present(view), after: present(changed) }));
      return c.body(null, 200);
    });
    router.openapi(removeOfProject, async (c) => {
      const view = await requireInProject(robots, c.req.valid('param').robot_id, c.get('project'));
      await robots.delete(view);
      c.set('change', changeOf(view, { before: present(view) }));
      return c.body(null, 200);
    });
  },
};

function resolveRobot(robots: Robots): ObjectResolver {
  return async (id) => {
    const found = /^\d{1,15}$/.test(id) ? await robots.find(Number(id)) : undefined;
    return found === undefined ? undefined : { value: found.view, ...(found.project === undefined ? {} : { project: found.project }) };
  };
}

/** A robot of another project is as absent as one that never was. */
async function requireInProject(robots: Robots, id: string, project: Project): Promise<RobotView> {
  const found = await robots.find(Number(id));
  if (found?.project?.id !== project.id) throw new OciError('NOT_FOUND', `there is no robot ${id}`);
  return found.view;
}

/** The project whose robots are wanted; undefined for those of the server. BAD_REQUEST for a level that does not fit. */
function placeAsked(listing: RobotListing): number | undefined {
  const askedFor = (...fields: readonly string[]): unknown => {
    const found = listing.conditions.find((condition) => fields.includes(condition.field));
    return found?.kind === 'exact' ? found.value : undefined;
  };
  const level = askedFor('level', 'Level');
  const projectId = askedFor('project_id', 'ProjectID');
  if (level === 'project' && typeof projectId !== 'number')
    throw new OciError('BAD_REQUEST', 'query: q: robots of the level project are those of one: add ProjectID=...');
  if (level === 'system' && typeof projectId === 'number' && projectId !== 0)
    throw new OciError('BAD_REQUEST', 'query: q: robots of the level system belong to no project');
  return typeof projectId === 'number' && projectId !== 0 ? projectId : undefined;
}

/** Nothing of a project that the caller may not know of, and nothing of the server without the right. */
async function listAllowed(
  { robots, projects, access }: Pick<ApiParts, 'robots' | 'projects' | 'access'>,
  principal: Parameters<typeof decideSystem>[0],
  projectId: number | undefined,
): Promise<readonly RobotView[]> {
  if (projectId === undefined) {
    if (!decideSystem(principal, 'robot:list')) throw new OciError('DENIED', 'you may not do this (robot:list)');
    return robots.list(undefined);
  }
  const project = await projects.find(String(projectId), { isName: false });
  const resource = project === undefined ? undefined : ({ kind: 'project', project } as const);
  if (resource !== undefined && decide(access, principal, 'robot:list', resource)) return robots.list(projectId);
  if (resource !== undefined && decide(access, principal, 'project:read', resource))
    throw new OciError('DENIED', 'you may not do this (robot:list)');
  throw new OciError('NOT_FOUND', `there is no project ${projectId}`);
}

function pageOf(views: readonly RobotView[], listing: RobotListing): { rows: readonly RobotView[]; count: number } {
  const wanted = views.filter((view) =>
    listing.conditions.every((condition) => {
      if (condition.field !== 'name') return true;
      if (condition.kind === 'exact') return namesOf(view).includes(String(condition.value));
      return condition.kind !== 'part' || view.name.includes(condition.value);
    }),
  );
  for (const { field, descending } of [...listing.order].reverse()) {
    const key = sortKeys[field as keyof typeof sortKeys];
    wanted.sort((a, b) => {
      const [one, other] = descending ? [key(b), key(a)] : [key(a), key(b)];
      return one < other ? -1 : one > other ? 1 : 0;
    });
  }
  return { rows: wanted.slice(listing.offset, listing.offset + listing.limit), count: wanted.length };
}

const sortKeys = {
  name: (view: RobotView): string | number => view.name,
  id: (view: RobotView): string | number => view.record.id,
  creation_time: (view: RobotView): string | number => view.record.createdAtMs,
  expires_at: (view: RobotView): string | number => view.record.expiresAtMs ?? Number.MAX_SAFE_INTEGER,
} as const;

function readUpdate(view: RobotView, sent: z.infer<typeof robotUpdateSchema>): RobotUpdate {
  if (sent.name !== undefined && sent.name !== null && sent.name !== '' && !namesOf(view).includes(sent.name))
    throw new OciError('BAD_REQUEST', `name: a robot keeps its name (${view.name})`);
  if (sent.level !== undefined && sent.level !== null && sent.level !== view.level)
    throw new OciError('BAD_REQUEST', `level: a robot keeps its level (${view.level})`);
  if (sent.id !== undefined && sent.id !== null && sent.id !== 0 && sent.id !== view.record.id)
    throw new OciError('BAD_REQUEST', 'id: it is another one than in the path');
  return {
    description: sent.description ?? undefined,
    isDisabled: sent.disable ?? undefined,
    durationDays: sent.duration ?? undefined,
    permissions: sent.permissions ?? undefined,
    networks: sent.networks ?? undefined,
  };
}

/** Whole days from now, at least one; undefined for the default. */
function daysUntil(expiresAtS: number | undefined): number | undefined {
  if (expiresAtS === undefined || expiresAtS === 0) return undefined;
  if (expiresAtS < 0) return -1;
  return Math.max(1, Math.ceil((expiresAtS * 1000 - Date.now()) / dayMs));
}

/** `/project/1/repository` and `/project/team-a/repository` are `repository`. */
function bareResource(resource: string, project: Project): string {
  if (!resource.startsWith('/')) return resource;
  const [, place, id, rest, ...more] = resource.split('/');
  if (place !== 'project' || (id !== String(project.id) && id !== project.name) || rest === undefined || more.length > 0)
    throw new OciError(
      'BAD_REQUEST',
      `access: the resource "${resource}" is not one of this project, such as /project/${project.id}/repository`,
    );
  return rest;
}

function changeOf(view: RobotView, values: { before?: unknown; after?: unknown }) {
  const { projectId } = view.record;
  return { resourceType: 'robot', resource: view.name, ...(projectId === undefined ? {} : { projectId }), ...values };
}

function expiryOf(view: RobotView): number {
  return view.record.expiresAtMs === undefined ? -1 : Math.floor(view.record.expiresAtMs / 1000);
}

function presentCreated({ robot, secret }: Awaited<ReturnType<Robots['create']>>): z.infer<typeof createdRobotSchema> {
  return {
    id: robot.record.id,
    name: robot.name,
    secret: secret.reveal(),
    creation_time: new Date(robot.record.createdAtMs).toISOString(),
    expires_at: expiryOf(robot),
  };
}

/** In Harbor's words. */
function creatorOf(key: string): Pick<RobotBody, 'creator_type' | 'creator_ref'> {
  const [, kind, id] = /^(user|robot):(\d+)$/.exec(key) ?? [];
  if (kind === undefined) return { creator_type: 'other', creator_ref: 0 };
  return { creator_type: kind === 'user' ? 'local' : 'robot', creator_ref: Number(id) };
}

function present(view: RobotView): RobotBody {
  const { record } = view;
  return {
    id: record.id,
    name: view.name,
    description: record.description,
    level: view.level,
    duration: record.durationDays,
    expires_at: expiryOf(view),
    editable: true,
    disable: record.isDisabled,
    permissions: view.permissions.map(({ kind, namespace, access }) => ({
      kind,
      namespace,
      access: access.map(({ resource, action }) => ({ resource, action, effect: 'allow' })),
    })),
    creation_time: new Date(record.createdAtMs).toISOString(),
    update_time: new Date(record.updatedAtMs).toISOString(),
    networks: record.networks,
    creator: record.creator,
    ...creatorOf(record.creator),
    ...(record.lastUsedAtMs === undefined ? {} : { last_used_at: new Date(record.lastUsedAtMs).toISOString() }),
    ...(record.lastUsedFrom === undefined ? {} : { last_used_from: record.lastUsedFrom }),
  };
}
