// How the mirror does: the sources of each registry with their live state, and why an image is answered as it is.

import { createRoute, z } from '@hono/zod-openapi';
import type { SourcePool } from '../registry/source-pool.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { explanationSchema, type RegistrySources, registrySourcesSchema } from './schemas.ts';

type SourceBody = RegistrySources['sources'][number];
type Source = ReturnType<SourcePool['sourcesOf']>[number];

const sources = createRoute({
  method: 'get',
  path: `${apiPrefix}/sources`,
  summary: 'The sources of each registry, with their live state',
  responses: {
    200: { description: 'by registry', content: { 'application/json': { schema: z.array(registrySourcesSchema).readonly() } } },
  },
});
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

export const mirrorRoutes: RouteGroup = (router, parts) => {
  router.openapi(sources, (c) => {
    const { pool } = parts;
    return c.json(
      pool.registries().map((registry) => ({
        registry,
        sources: pool.health.rank(pool.sourcesOf(registry)).map((source) => presentSource(pool, source)),
      })),
      200,
    );
  });

  router.openapi(explain, async (c) => c.json(await parts.explain.explain(c.req.valid('query').image), 200));
};

/** Without credentials and without the proxy's address, which may hold some. */
function presentSource(pool: SourcePool, source: Source): SourceBody {
  const { lastAtMs, averageMs, verdicts, blockedForMs, ...snapshot } = pool.snapshot(source);
  return {
    url: source.url,
    trust: source.trust,
    priority: source.priority,
    hasCredentials: source.credentials !== undefined,
    viaProxy: source.proxy !== undefined,
    ...snapshot,
    verdicts: { ...verdicts },
    blockedForMs: Math.ceil(blockedForMs),
    ...(averageMs === undefined ? {} : { averageMs: Math.round(averageMs) }),
    ...(lastAtMs === undefined ? {} : { lastAt: new Date(lastAtMs).toISOString() }),
  };
}
