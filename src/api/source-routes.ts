// Sources: listing with their live state, adding, changing, removing, testing.

import { createRoute, z } from '@hono/zod-openapi';
import { principalName } from '../auth/principal.ts';
import { OciError } from '../oci/errors.ts';
import { configOf } from '../registry/source-values.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { presentDetail, presentSource } from './source-bodies.ts';
import {
  changedSourceSchema,
  newSourceSchema,
  registrySourcesSchema,
  sourceChangeSchema,
  sourceDetailSchema,
  sourceTestSchema,
} from './source-schemas.ts';

const byId = {
  params: z.object({
    id: z
      .string()
      .regex(/^[1-9]\d{0,14}$/)
      .meta({ description: 'the id of a source' }),
  }),
};
const bodyCodes = ['BODY_TOO_LARGE', 'BODY_TOO_SLOW'] as const;

const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/sources`,
  summary: 'The sources of each registry, with their live state',
  responses: {
    200: { description: 'by registry', content: { 'application/json': { schema: z.array(registrySourcesSchema).readonly() } } },
  },
});
const add = createRoute({
  method: 'post',
  path: `${apiPrefix}/sources`,
  summary: 'Add a source to a registry',
  description: 'It is asked from the next pull on.',
  request: { body: { required: true, content: { 'application/json': { schema: newSourceSchema } } } },
  responses: {
    201: { description: 'added; `Location` names it', content: { 'application/json': { schema: changedSourceSchema } } },
  },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', ...bodyCodes],
});
const read = createRoute({
  method: 'get',
  path: `${apiPrefix}/sources/{id}`,
  summary: 'Read a source with its settings',
  request: byId,
  responses: { 200: { description: 'the source', content: { 'application/json': { schema: sourceDetailSchema } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const change = createRoute({
  method: 'patch',
  path: `${apiPrefix}/sources/{id}`,
  summary: 'Change a source',
  description:
    'What is given replaces what was, `tls`, `limits`, `scope` and `credentials` as a whole; null takes it away. Its health is forgotten when url, credentials, proxy or tls change.',
  request: { ...byId, body: { required: true, content: { 'application/json': { schema: sourceChangeSchema } } } },
  responses: { 200: { description: 'the changed source', content: { 'application/json': { schema: changedSourceSchema } } } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', ...bodyCodes],
});
const remove = createRoute({
  method: 'delete',
  path: `${apiPrefix}/sources/{id}`,
  summary: 'Remove a source',
  description: 'One of the configuration stays away until its entry there changes.',
  request: byId,
  responses: { 200: { description: 'removed' } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const testSaved = createRoute({
  method: 'post',
  path: `${apiPrefix}/sources/{id}/test`,
  summary: 'Test a source',
  description: 'Asks it now, whatever its state. The body is an empty object.',
  request: { ...byId, body: { required: true, content: { 'application/json': { schema: z.strictObject({}) } } } },
  responses: { 200: { description: 'what it did', content: { 'application/json': { schema: sourceTestSchema } } } },
  [errorCodesKey]: ['NOT_FOUND', ...bodyCodes],
});
const testUnsaved = createRoute({
  method: 'post',
  path: `${apiPrefix}/sources/test`,
  summary: 'Test a source that is not kept',
  request: { body: { required: true, content: { 'application/json': { schema: newSourceSchema } } } },
  responses: { 200: { description: 'what it did', content: { 'application/json': { schema: sourceTestSchema } } } },
  [errorCodesKey]: [...bodyCodes],
});

export const sourceRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/sources`]: { system: 'source:list' },
    [`POST ${apiPrefix}/sources`]: { system: 'source:create' },
    [`POST ${apiPrefix}/sources/test`]: { system: 'source:test' },
    [`GET ${apiPrefix}/sources/{id}`]: { system: 'source:read' },
    [`PATCH ${apiPrefix}/sources/{id}`]: { system: 'source:update' },
    [`DELETE ${apiPrefix}/sources/{id}`]: { system: 'source:delete' },
    [`POST ${apiPrefix}/sources/{id}/test`]: { system: 'source:test' },
  },
  register: (router, { sources, log }) => {
    router.openapi(list, (c) =>
      c.json(
        sources.list().map((registry) => ({ registry: registry.name, sources: registry.sources.map(presentSource) })),
        200,
      ),
    );

    router.openapi(add, async (c) => {
      const { registry, ...entry } = c.req.valid('json');
      const { warnings, ...view } = await sources.add(registry, configOf(registry, entry));
      const { id, url } = view.record;
      log.info('source.added', { id, registry: view.record.registry, url, by: principalName(c.env.caller.principal) });
      c.header('location', `${apiPrefix}/sources/${id}`);
      return c.json({ ...presentDetail(view), warnings }, 201);
    });

    // Before `{id}`, which would match it.
    router.openapi(testUnsaved, async (c) => {
      const { registry, ...entry } = c.req.valid('json');
      const report = await sources.testUnsaved(registry, configOf(registry, entry));
      return c.json(report, 200);
    });

    router.openapi(read, (c) => c.json(presentDetail(sources.get(Number(c.req.valid('param').id))), 200));

    router.openapi(change, async (c) => {
      const wish = c.req.valid('json');
      const names = Object.keys(wish);
      if (names.length === 0) throw new OciError('BAD_REQUEST', 'nothing is to be changed: the body is empty');
      const { warnings, ...view } = await sources.change(Number(c.req.valid('param').id), wish);
      const { id, registry, url } = view.record;
      log.info('source.changed', { id, registry, url, changed: names, by: principalName(c.env.caller.principal) });
      return c.json({ ...presentDetail(view), warnings }, 200);
    });

    router.openapi(remove, async (c) => {
      const id = Number(c.req.valid('param').id);
      const { registry, url } = sources.get(id).record;
      await sources.remove(id);
      log.info('source.removed', { id, registry, url, by: principalName(c.env.caller.principal) });
      return c.body(null, 200);
    });

    router.openapi(testSaved, async (c) => c.json(await sources.test(Number(c.req.valid('param').id)), 200));
  },
};
