// Registries that are mirrored: listing, adding with their sources, who may pull, the order of their sources, removing.

import { createRoute, z } from '@hono/zod-openapi';
import { principalName } from '../auth/principal.ts';
import { configOf } from '../registry/source-values.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { presentRegistry } from './source-bodies.ts';
import { newRegistrySchema, registryChangeSchema, registrySchema, sourceOrderSchema } from './source-schemas.ts';

const byName = { params: z.object({ name: z.string().max(255).meta({ description: 'such as docker.io' }) }) };
const bodyCodes = ['BODY_TOO_LARGE', 'BODY_TOO_SLOW'] as const;
const oneRegistry = (description: string) => ({ description, content: { 'application/json': { schema: registrySchema } } });

const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/registries`,
  summary: 'Registries that are mirrored',
  responses: { 200: { description: 'by name', content: { 'application/json': { schema: z.array(registrySchema).readonly() } } } },
});
const add = createRoute({
  method: 'post',
  path: `${apiPrefix}/registries`,
  summary: 'Mirror another registry',
  description: 'Its mirror project is made too, so that it can be pulled through at once.',
  request: { body: { required: true, content: { 'application/json': { schema: newRegistrySchema } } } },
  responses: { 201: oneRegistry('added') },
  [errorCodesKey]: ['CONFLICT', ...bodyCodes],
});
const change = createRoute({
  method: 'patch',
  path: `${apiPrefix}/registries/{name}`,
  summary: 'Say who may pull through its mirror',
  request: { ...byName, body: { required: true, content: { 'application/json': { schema: registryChangeSchema } } } },
  responses: { 200: oneRegistry('the changed registry') },
  [errorCodesKey]: ['NOT_FOUND', ...bodyCodes],
});
const remove = createRoute({
  method: 'delete',
  path: `${apiPrefix}/registries/{name}`,
  summary: 'Stop mirroring a registry',
  description: 'Its mirror project goes too when it is empty.',
  request: {
    ...byName,
    query: z.object({
      force: z
        .enum(['true', 'false'])
        .default('false')
        .meta({ description: 'also while its mirror holds content, which stays and is served' }),
    }),
  },
  responses: { 200: { description: 'removed' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT'],
});
const order = createRoute({
  method: 'put',
  path: `${apiPrefix}/registries/{name}/order`,
  summary: 'Order the sources of a registry',
  description: 'Gives the priorities 10, 20, 30 and so on: first to those named, then to the others as they stood.',
  request: { ...byName, body: { required: true, content: { 'application/json': { schema: sourceOrderSchema } } } },
  responses: { 200: oneRegistry('the registry') },
  [errorCodesKey]: ['NOT_FOUND', ...bodyCodes],
});

export const sourceRegistryRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/registries`]: { system: 'registry:list' },
    [`POST ${apiPrefix}/registries`]: { system: 'registry:create' },
    [`PATCH ${apiPrefix}/registries/{name}`]: { system: 'registry:update' },
    [`DELETE ${apiPrefix}/registries/{name}`]: { system: 'registry:delete' },
    [`PUT ${apiPrefix}/registries/{name}/order`]: { system: 'registry:update' },
  },
  register: (router, { sources, log }) => {
    router.openapi(list, (c) => c.json(sources.list().map(presentRegistry), 200));

    router.openapi(add, async (c) => {
      const { name, public: isPublic, sources: entries } = c.req.valid('json');
      const wish = { name, sources: entries.map((entry) => configOf(name, entry)), ...(isPublic === undefined ? {} : { isPublic }) };
      const registry = await sources.addRegistry(wish);
      log.info('registry.added', { registry: name, sources: entries.length, by: principalName(c.env.caller.principal) });
      return c.json(presentRegistry(registry), 201);
    });

    router.openapi(change, async (c) => {
      const { public: isPublic } = c.req.valid('json');
      const registry = await sources.changeRegistry(c.req.valid('param').name, isPublic ?? undefined);
      log.info('registry.changed', { registry: registry.name, public: isPublic, by: principalName(c.env.caller.principal) });
      return c.json(presentRegistry(registry), 200);
    });

    router.openapi(remove, async (c) => {
      const { name } = c.req.valid('param');
      const isForced = c.req.valid('query').force === 'true';
      await sources.removeRegistry(name, isForced);
      log.info('registry.removed', { registry: name, forced: isForced, by: principalName(c.env.caller.principal) });
      return c.body(null, 200);
    });

    router.openapi(order, async (c) => {
      const registry = await sources.order(c.req.valid('param').name, c.req.valid('json').ids);
      log.info('registry.ordered', { registry: registry.name, by: principalName(c.env.caller.principal) });
      return c.json(presentRegistry(registry), 200);
    });
  },
};
