// Workload rules over HTTP. Administrators make them; what a token comes to by them can be asked, so that a rule need not be guessed at.

import { createRoute, z } from '@hono/zod-openapi';
import type { WorkloadRuleView, WorkloadRuleWish } from '../auth/workloads.ts';
import { type ApiParts, errorCodesKey, type RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import {
  newWorkloadRuleSchema,
  tokenCheckSchema,
  tokenVerdictSchema,
  type WorkloadRuleBody,
  workloadRuleSchema,
} from './workload-schemas.ts';

const path = `${apiPrefix}/workload-rules`;
const byId = { params: z.object({ workload_rule_id: z.string().regex(/^\d{1,15}$/, 'must be a number') }) };
const body = { required: true, content: { 'application/json': { schema: newWorkloadRuleSchema } } };
const one = { description: 'the rule', content: { 'application/json': { schema: workloadRuleSchema } } };

const list = createRoute({
  method: 'get',
  path,
  summary: 'Workload rules by name',
  responses: { 200: { description: 'all of them', content: { 'application/json': { schema: z.array(workloadRuleSchema).readonly() } } } },
});
const create = createRoute({
  method: 'post',
  path,
  summary: "Let tokens of a CI's issuer in",
  request: { body },
  responses: { 201: one },
  [errorCodesKey]: ['CONFLICT', 'NAME_UNKNOWN', 'DENIED'],
});
const check = createRoute({
  method: 'post',
  path: `${path}/check`,
  summary: 'Tell which rule lets a token in, or why none does',
  request: { body: { required: true, content: { 'application/json': { schema: tokenCheckSchema } } } },
  responses: { 200: { description: 'what the token comes to', content: { 'application/json': { schema: tokenVerdictSchema } } } },
});
const read = createRoute({
  method: 'get',
  path: `${path}/{workload_rule_id}`,
  summary: 'Read a workload rule',
  request: byId,
  responses: { 200: one },
});
const update = createRoute({
  method: 'put',
  path: `${path}/{workload_rule_id}`,
  summary: 'Replace a workload rule; what was exchanged by it ends',
  request: { ...byId, body },
  responses: { 200: one },
  [errorCodesKey]: ['CONFLICT', 'NAME_UNKNOWN', 'DENIED'],
});
const remove = createRoute({
  method: 'delete',
  path: `${path}/{workload_rule_id}`,
  summary: 'Delete a workload rule; what was exchanged by it ends',
  request: byId,
  responses: { 200: { description: 'deleted' } },
});

export const workloadRoutes: RouteGroup = {
  policy: {
    [`GET ${path}`]: { system: 'workload-rule:list' },
    [`POST ${path}`]: { system: 'workload-rule:create' },
    [`POST ${path}/check`]: { system: 'workload-rule:read' },
    [`GET ${path}/{workload_rule_id}`]: { object: 'workload-rule', action: 'workload-rule:read' },
    [`PUT ${path}/{workload_rule_id}`]: { object: 'workload-rule', action: 'workload-rule:update' },
    [`DELETE ${path}/{workload_rule_id}`]: { object: 'workload-rule', action: 'workload-rule:delete' },
  },
  objects: {
    'workload-rule':
      ({ workloads }: ApiParts) =>
      async (id) => {
        const found = /^\d{1,15}$/.test(id) ? await workloads.find(Number(id)) : undefined;
        return found === undefined ? undefined : { value: found };
      },
  },
  bodyLimits: { [`POST ${path}`]: 256 * 1024, [`PUT ${path}/{workload_rule_id}`]: 256 * 1024 },
  register: (router, { workloads }) => {
    router.openapi(list, async (c) => c.json((await workloads.list()).map(present), 200));
    router.openapi(create, async (c) => {
      const made = await workloads.create(c.env.caller.principal, readWish(c.req.valid('json')));
      c.set('change', { resourceType: 'workload-rule', resource: made.record.name, after: present(made) });
      c.header('location', `${path}/${made.record.id}`);
      return c.json(present(made), 201);
    });
    router.openapi(check, async (c) => {
      const verdict = await workloads.explain(c.req.valid('json').token);
      if ('rule' in verdict) return c.json({ rule: verdict.rule.name, subject: verdict.facts.subject, refusals: [] }, 200);
      return c.json({ rule: null, refusals: verdict.refusals.map(({ rule, reason }) => ({ rule: rule ?? null, reason })) }, 200);
    });
    router.openapi(read, (c) => c.json(present(c.get('object') as WorkloadRuleView), 200));
    router.openapi(update, async (c) => {
      const before = c.get('object') as WorkloadRuleView;
      const changed = await workloads.update(c.env.caller.principal, before.record.id, readWish(c.req.valid('json')));
      c.set('change', {
        resourceType: 'workload-rule',
        resource: changed.record.name,
        before: present(before),
        after: present(changed),
      });
      return c.json(present(changed), 200);
    });
    router.openapi(remove, async (c) => {
      const before = c.get('object') as WorkloadRuleView;
      await workloads.delete(before.record.id);
      c.set('change', { resourceType: 'workload-rule', resource: before.record.name, before: present(before) });
      return c.body(null, 200);
    });
  },
};

function readWish(sent: z.infer<typeof newWorkloadRuleSchema>): WorkloadRuleWish {
  return {
    name: sent.name,
    description: sent.description,
    issuer: sent.issuer,
    audience: sent.audience,
    claims: sent.claims.map(({ claim, equals, glob }) => ({
      claim,
      ...(equals === undefined ? {} : { equals }),
      ...(glob === undefined ? {} : { glob }),
    })),
    permissions: sent.permissions,
    lifetimeMs: sent.lifetime_minutes * 60_000,
    isDisabled: sent.disable,
    isSingleUse: sent.single_use,
    keys: {
      allowPrivate: sent.allow_private,
      ...(sent.jwks_url === undefined ? {} : { jwksUrl: sent.jwks_url }),
      ...(sent.jwks === undefined ? {} : { jwks: JSON.stringify(sent.jwks) }),
      ...(sent.ca === undefined ? {} : { ca: sent.ca }),
    },
  };
}

function present({ record, permissions }: WorkloadRuleView): WorkloadRuleBody {
  const { keys } = record;
  return {
    id: record.id,
    name: record.name,
    description: record.description,
    issuer: record.issuer,
    audience: record.audience,
    claims: [...record.claims],
    permissions: permissions.map(({ kind, namespace, access }) => ({
      kind,
      namespace,
      access: access.map(({ resource, action }) => ({ resource, action, effect: 'allow' })),
    })),
    lifetime_minutes: record.lifetimeMs / 60_000,
    disable: record.isDisabled,
    single_use: record.isSingleUse,
    ...(keys.jwksUrl === undefined ? {} : { jwks_url: keys.jwksUrl }),
    ...(keys.jwks === undefined ? {} : { jwks: JSON.parse(keys.jwks) as NonNullable<WorkloadRuleBody['jwks']> }),
    allow_private: keys.allowPrivate,
    ...(keys.ca === undefined ? {} : { ca: keys.ca }),
    creator: record.creator,
    created_at: new Date(record.createdAtMs).toISOString(),
    updated_at: new Date(record.updatedAtMs).toISOString(),
    last_used_at: record.lastUsedAtMs === undefined ? null : new Date(record.lastUsedAtMs).toISOString(),
    last_used_from: record.lastUsedFrom ?? null,
  };
}
