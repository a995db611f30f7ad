// The audit log, shaped as Harbor's: `/audit-logs` with its six members, `/auditlog-exts` with all of an entry. What is shown and counted is what the
// caller may see: an administrator or auditor everything, others the entries of projects whose log they may read.

import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { decideSystem } from '../auth/access.ts';
import { auditEntryOf } from '../auth/audit-entry.ts';
import { type AuditPageWish, auditCountMax } from '../auth/audit-log.ts';
import { projectScope } from '../auth/project-scope.ts';
import type { AuditScope } from '../db/audit.ts';
import type { AuditRow } from '../db/audit-chain.ts';
import { OciError } from '../oci/errors.ts';
import { auditEntryExtSchema, auditEntrySchema, auditEventTypeSchema, auditReportSchema } from './audit-schemas.ts';
import { type ApiEnvironment, type ApiParts, errorCodesKey, type RouteGroup } from './environment.ts';
import { type Listing, listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';

const fields = {
  id: { type: 'integer' },
  op_time: { type: 'time', sortable: true },
  username: { type: 'text' },
  operation: { type: 'text' },
  resource_type: { type: 'text' },
  resource: { type: 'text' },
  project_id: { type: 'integer' },
  operation_result: { type: 'boolean' },
  outcome: { type: ['success', 'denied', 'failed'] },
} as const;
const cursorForm = /^(\d{1,15})\.(\d{1,15})$/;

const query = z.strictObject({
  ...listingQuery,
  cursor: z.string().regex(cursorForm).optional().meta({
    description:
      'where the page begins, from the `X-Next-Cursor` of the one before: pages then neither overlap nor skip, however much is added',
  }),
});
const description = `The latest first, unless \`sort=op_time\`. \`q\` can ask for ${Object.keys(fields).join(', ')}. \`X-Total-Count\` counts no further than ${auditCountMax}.`;
const answers = (schema: z.ZodType) => ({
  200: {
    description: 'one page; `X-Next-Cursor` says where the next begins',
    content: { 'application/json': { schema: z.array(schema).readonly() } },
  },
});
const ofProject = { params: z.object({ project_name: z.string().max(255).meta({ description: 'its name, or its id' }) }), query };

const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/audit-logs`,
  summary: 'Entries of the audit log, in brief',
  description,
  request: { query },
  responses: answers(auditEntrySchema),
});
const listExt = createRoute({
  method: 'get',
  path: `${apiPrefix}/auditlog-exts`,
  summary: 'Entries of the audit log',
  description,
  request: { query },
  responses: answers(auditEntryExtSchema),
});
const listOfProject = createRoute({
  method: 'get',
  path: `${apiPrefix}/projects/{project_name}/logs`,
  summary: 'Entries of the audit log of a project, in brief',
  description,
  request: ofProject,
  responses: answers(auditEntrySchema),
  [errorCodesKey]: ['NOT_FOUND'],
});
const listExtOfProject = createRoute({
  method: 'get',
  path: `${apiPrefix}/projects/{project_name}/auditlog-exts`,
  summary: 'Entries of the audit log of a project',
  description,
  request: ofProject,
  responses: answers(auditEntryExtSchema),
  [errorCodesKey]: ['NOT_FOUND'],
});
const events = createRoute({
  method: 'get',
  path: `${apiPrefix}/auditlog-exts/events`,
  summary: 'Kinds of entries',
  responses: { 200: { description: 'all of them', content: { 'application/json': { schema: z.array(auditEventTypeSchema).readonly() } } } },
});
const verify = createRoute({
  method: 'get',
  path: `${apiPrefix}/audit/verify`,
  summary: 'Whether the audit log is whole',
  description: 'Reads every entry and follows the chain of hashes from the oldest to the latest.',
  responses: { 200: { description: 'what was found', content: { 'application/json': { schema: auditReportSchema } } } },
});

/** Of what Harbor's clients know by name. */
const eventTypes = [
  ...['artifact', 'project', 'user', 'robot', 'member', 'tag', 'label', 'registry', 'user-group'].flatMap((type) => [
    `create_${type}`,
    `delete_${type}`,
  ]),
  ...['user', 'robot', 'project', 'configuration', 'member', 'tag', 'label', 'registry', 'user-group'].map((type) => `update_${type}`),
  'pull_artifact',
  'delete_repository',
  'login_user',
  'logout_user',
] as const;

export const auditRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/audit-logs`]: { filtered: 'log:list', login: true },
    [`GET ${apiPrefix}/auditlog-exts`]: { filtered: 'log:list', login: true },
    [`GET ${apiPrefix}/auditlog-exts/events`]: 'login',
    [`GET ${apiPrefix}/projects/{project_name}/logs`]: { project: 'log:list' },
    [`GET ${apiPrefix}/projects/{project_name}/auditlog-exts`]: { project: 'log:list' },
    [`GET ${apiPrefix}/audit/verify`]: { system: 'audit-log:read' },
  },
  register: (router, parts) => {
    const page = async (c: Context<ApiEnvironment>, sent: z.infer<typeof query>, scope: AuditScope): Promise<readonly AuditRow[]> => {
      const { cursor, ...rest } = sent;
      const listing = parseListing(rest, fields);
      const { rows, count, next } = await parts.auditLog.page({ ...wishOf(listing, cursor), scope });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      if (next !== undefined) c.header('x-next-cursor', `${next.atMs}.${next.id}`);
      return rows;
    };
    const ownProject = (c: Context<ApiEnvironment>): AuditScope => [c.get('project').id];
    router.openapi(list, async (c) => c.json((await page(c, c.req.valid('query'), await scopeOf(c, parts))).map(brief), 200));
    router.openapi(listExt, async (c) => c.json((await page(c, c.req.valid('query'), await scopeOf(c, parts))).map(auditEntryOf), 200));
    router.openapi(listOfProject, async (c) => c.json((await page(c, c.req.valid('query'), ownProject(c))).map(brief), 200));
    router.openapi(listExtOfProject, async (c) => c.json((await page(c, c.req.valid('query'), ownProject(c))).map(auditEntryOf), 200));
    router.openapi(events, (c) =>
      c.json(
        eventTypes.map((type) => ({ event_type: type })),
        200,
      ),
    );
    router.openapi(verify, async (c) => {
      const { isWhole, rows, firstId, lastId, broken } = await parts.auditLog.verify();
      return c.json(
        {
          whole: isWhole,
          rows,
          ...(firstId === undefined ? {} : { first_id: firstId }),
          ...(lastId === undefined ? {} : { last_id: lastId }),
          ...(broken === undefined ? {} : { broken }),
        },
        200,
      );
    });
  },
};

async function scopeOf(c: Context<ApiEnvironment>, { access, projects }: ApiParts): Promise<AuditScope> {
  const { principal } = c.env.caller;
  if (decideSystem(principal, 'audit-log:list')) return 'all';
  const scope = await projectScope(access, principal, 'log:list', projects.list);
  return scope === 'all' ? 'projects' : scope.ids;
}

function wishOf(listing: Listing<keyof typeof fields>, cursor: string | undefined): Omit<AuditPageWish, 'scope'> {
  const [order] = listing.order;
  const [, atMs, id] = cursor === undefined ? [] : (cursorForm.exec(cursor) ?? []);
  if (cursor !== undefined && listing.page > 1)
    throw new OciError('BAD_REQUEST', 'query: cursor: a page that begins at a cursor has no number');
  return {
    conditions: listing.conditions,
    descending: order?.descending ?? true,
    limit: listing.limit,
    offset: listing.offset,
    ...(atMs === undefined || id === undefined ? {} : { after: { atMs: Number(atMs), id: Number(id) } }),
  };
}

function brief(row: AuditRow): z.infer<typeof auditEntrySchema> {
  return {
    id: row.id,
    username: row.actorName,
    resource: row.resource,
    resource_type: row.resourceType,
    operation: row.operation,
    op_time: new Date(row.atMs).toISOString(),
  };
}
