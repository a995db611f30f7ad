// How the mirror does: why an image is answered as it is.

import { createRoute, z } from '@hono/zod-openapi';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { explanationSchema } from './schemas.ts';

const explain = createRoute({
  method: 'get',
  path: `${apiPrefix}/explain`,
  summary: 'Where an image comes from',
  description:
    'What this server has of an image, which sources it asked for it, and which bytes of every blob came from where. Asks nobody.',
  request: { query: z.object({ image: z.string().min(1).max(600).meta({ description: 'as one would pull it', example: 'debian:12' }) }) },
  responses: { 200: { description: 'the explanation', content: { 'application/json': { schema: explanationSchema } } } },
  [errorCodesKey]: ['NAME_INVALID', 'NAME_UNKNOWN', 'TAG_INVALID', 'DIGEST_INVALID'],
});

export const mirrorRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/explain`]: { system: 'explain:read' },
  },
  register: (router, parts) => {
    router.openapi(explain, async (c) => {
      const host = c.req.header('host')?.toLowerCase();
      return c.json(await parts.explain.explain(c.req.valid('query').image, host === undefined ? [] : [host]), 200);
    });
  },
};
