// Pinned sets over HTTP.

import { createRoute, z } from '@hono/zod-openapi';
import type { StoredPin } from '../db/pins.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { newPinsSchema, type PinBody, pinSchema, removedPinsSchema } from './offline-schemas.ts';
import { requirePlatforms } from './platforms-input.ts';
import { apiPrefix } from './policy.ts';

const params = z.object({ set: z.string().min(1).max(128) });
const pinList = { 'application/json': { schema: z.array(pinSchema).readonly() } };

const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/pins`,
  summary: 'Pinned images, by set',
  request: { query: z.object({ set: z.string().max(128).optional() }) },
  responses: { 200: { description: 'all of them, or those of one set', content: pinList } },
});
const add = createRoute({
  method: 'post',
  path: `${apiPrefix}/pins/{set}`,
  summary: 'Pin images in a set, which is made when it is new',
  request: { params, body: { required: true, content: { 'application/json': { schema: newPinsSchema } } } },
  responses: { 200: { description: 'the set as it is now', content: pinList } },
  [errorCodesKey]: ['CONFLICT', 'NAME_INVALID', 'NAME_UNKNOWN', 'TAG_INVALID', 'DIGEST_INVALID'],
});
const remove = createRoute({
  method: 'delete',
  path: `${apiPrefix}/pins/{set}`,
  summary: 'Take images out of a set, or the whole set when none is named',
  request: { params, query: z.object({ image: z.union([z.string(), z.array(z.string()).max(500)]).optional() }) },
  responses: { 200: { description: 'how many went', content: { 'application/json': { schema: removedPinsSchema } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});

export const pinRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/pins`]: { system: 'pin:read' },
    [`POST ${apiPrefix}/pins/{set}`]: { system: 'pin:update' },
    [`DELETE ${apiPrefix}/pins/{set}`]: { system: 'pin:update' },
  },
  bodyLimits: { [`POST ${apiPrefix}/pins/{set}`]: 4 * 1024 * 1024 },
  register: (router, parts) => {
    router.openapi(list, async (c) => c.json((await parts.offline.pins.list(c.req.valid('query').set)).map(presentPin), 200));
    router.openapi(add, async (c) => {
      const { images, platforms } = c.req.valid('json');
      return c.json((await parts.offline.pins.add(c.req.valid('param').set, images, requirePlatforms(platforms))).map(presentPin), 200);
    });
    router.openapi(remove, async (c) => {
      const { image } = c.req.valid('query');
      const images = image === undefined ? [] : typeof image === 'string' ? [image] : image;
      return c.json({ removed: await parts.offline.pins.remove(c.req.valid('param').set, images) }, 200);
    });
  },
};

function presentPin({ createdAtMs, ...pin }: StoredPin): PinBody {
  return { ...pin, createdAt: new Date(createdAtMs).toISOString() };
}
