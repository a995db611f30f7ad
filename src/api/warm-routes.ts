// Warm-up runs over HTTP: begin one, watch it, end it.

import { createRoute, z } from '@hono/zod-openapi';
import { OciError } from '../oci/errors.ts';
import type { Warmup, WarmupSpec } from '../registry/warmups.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { newWarmupSchema, type WarmupBody, warmupSchema } from './offline-schemas.ts';
import { platformsDefault, requirePlatforms } from './platforms-input.ts';
import { apiPrefix } from './policy.ts';

const params = z.object({ id: z.string().max(64) });
const answer = { 'application/json': { schema: warmupSchema } };

const start = createRoute({
  method: 'post',
  path: `${apiPrefix}/warmups`,
  summary: 'Fetch images before somebody needs them',
  description: "The run is the server's: it goes on when the client leaves and after a restart. What is here already is not fetched again.",
  request: { body: { required: true, content: { 'application/json': { schema: newWarmupSchema } } } },
  responses: { 201: { description: 'it was begun', content: answer } },
  [errorCodesKey]: ['CONFLICT', 'NOT_FOUND', 'TOOMANYREQUESTS'],
});
const list = createRoute({
  method: 'get',
  path: `${apiPrefix}/warmups`,
  summary: 'The active warm-ups and the last 50 that ended',
  responses: { 200: { description: 'the youngest first', content: { 'application/json': { schema: z.array(warmupSchema).readonly() } } } },
});
const show = createRoute({
  method: 'get',
  path: `${apiPrefix}/warmups/{id}`,
  summary: 'How a warm-up does',
  request: { params },
  responses: { 200: { description: 'with all its images', content: answer } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const cancel = createRoute({
  method: 'delete',
  path: `${apiPrefix}/warmups/{id}`,
  summary: 'End a warm-up; what it has fetched stays',
  request: { params },
  responses: { 200: { description: 'it has ended', content: answer } },
  [errorCodesKey]: ['NOT_FOUND'],
});

export const warmRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/warmups`]: { system: 'warmup:list' },
    [`POST ${apiPrefix}/warmups`]: { system: 'warmup:create' },
    [`GET ${apiPrefix}/warmups/{id}`]: { system: 'warmup:read' },
    [`DELETE ${apiPrefix}/warmups/{id}`]: { system: 'warmup:delete' },
  },
  bodyLimits: { [`POST ${apiPrefix}/warmups`]: 4 * 1024 * 1024 },
  register: (router, parts) => {
    router.openapi(start, async (c) => {
      const wish = c.req.valid('json');
      const pinned = wish.pins === undefined ? [] : await parts.offline.pins.list(wish.pins);
      if (wish.pins !== undefined && pinned.length === 0) throw new OciError('NOT_FOUND', `there is no pinned set named ${wish.pins}`);
      const platforms = requirePlatforms(wish.platforms ?? platformsDefault);
      const spec: WarmupSpec = {
        images: [
          ...wish.images.map((image) => ({ image, platforms })),
          ...pinned.map((pin) => ({
            image: pin.image,
            platforms: wish.platforms === undefined ? requirePlatforms(pin.platforms) : platforms,
          })),
        ],
        concurrency: wish.concurrency,
        ...(wish.bandwidthBytes === undefined ? {} : { bandwidthBytes: wish.bandwidthBytes }),
      };
      return c.json(presentWarmup(await parts.offline.warmups.start(spec)), 201);
    });
    router.openapi(list, async (c) => c.json((await parts.offline.warmups.list()).map(presentWarmup), 200));
    router.openapi(show, async (c) => c.json(presentWarmup(await parts.offline.warmups.get(c.req.valid('param').id)), 200));
    router.openapi(cancel, async (c) => c.json(presentWarmup(await parts.offline.warmups.cancel(c.req.valid('param').id)), 200));
  },
};

function presentWarmup({ id, state, spec, createdAtMs, endedAtMs, images }: Warmup): WarmupBody {
  return {
    id,
    ...(spec.name === undefined ? {} : { name: spec.name }),
    state,
    ...(spec.bandwidthBytes === undefined ? {} : { bandwidthBytes: spec.bandwidthBytes }),
    concurrency: spec.concurrency,
    createdAt: new Date(createdAtMs).toISOString(),
    ...(endedAtMs === undefined ? {} : { endedAt: new Date(endedAtMs).toISOString() }),
    imagesTotal: spec.images.length,
    images: [...images],
  };
}
