// How a source did in the last 24 hours, minute by minute, or 90 days, hour by hour.

import { createRoute, z } from '@hono/zod-openapi';
import { sourceKey } from '../registry/source-values.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { sourceHistorySchema } from './history-schemas.ts';
import { apiPrefix } from './policy.ts';

const history = createRoute({
  method: 'get',
  path: `${apiPrefix}/sources/{id}/history`,
  summary: 'How a source did over time',
  description: 'From pulls and probes. It outlives restarts, and a source that is removed and added again.',
  request: {
    params: z.object({
      id: z
        .string()
        .regex(/^[1-9]\d{0,14}$/)
        .meta({ description: 'the id of a source' }),
    }),
    query: z.object({ range: z.enum(['24h', '90d']).default('24h') }),
  },
  responses: { 200: { description: 'the history', content: { 'application/json': { schema: sourceHistorySchema } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});

export const historyRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/sources/{id}/history`]: { system: 'source:read' },
  },
  register: (router, parts) => {
    router.openapi(history, async (c) => {
      const id = Number(c.req.valid('param').id);
      const { registry, url } = parts.sources.get(id).record;
      const { buckets, ...found } = await parts.history.read(sourceKey(registry, url), c.req.valid('query').range);
      const told = buckets.map(({ atMs, verdicts, ...bucket }) => ({
        at: new Date(atMs).toISOString(),
        ...bucket,
        verdicts: { ...verdicts },
      }));
      return c.json({ id, registry, url, ...found, total: { ...found.total, verdicts: { ...found.total.verdicts } }, buckets: told }, 200);
    });
  },
};
