// The server itself: whether it is well, what it is, and the description of this API. Public, so it must never tell anything of the content,
// the users or the machine; the version is told after a login.

import { createRoute, z } from '@hono/zod-openapi';
import { withDeadline } from '../lib/limits.ts';
import type { RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { healthSchema, systemInfoSchema } from './schemas.ts';

const databaseTimeoutMs = 2_000;

const ping = createRoute({
  method: 'get',
  path: `${apiPrefix}/ping`,
  summary: 'Whether the server answers',
  responses: { 200: { description: 'it does', content: { 'text/plain': { schema: z.literal('Pong') } } } },
});
const health = createRoute({
  method: 'get',
  path: `${apiPrefix}/health`,
  summary: 'Whether the server can do its work',
  responses: { 200: { description: 'also when it is unhealthy, as in Harbor', content: { 'application/json': { schema: healthSchema } } } },
});
const systemInfo = createRoute({
  method: 'get',
  path: `${apiPrefix}/systeminfo`,
  summary: 'What server this is',
  responses: { 200: { description: 'the version after a login only', content: { 'application/json': { schema: systemInfoSchema } } } },
});

export const systemRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/ping`]: 'public',
    [`GET ${apiPrefix}/health`]: 'public',
    [`GET ${apiPrefix}/systeminfo`]: 'public',
  },
  register: (router, parts) => {
    router.openapi(ping, (c) => c.text('Pong' as const, 200));

    router.openapi(health, async (c) => {
      const status = (await isDatabaseWell()) ? 'healthy' : 'unhealthy';
      return c.json({ status, components: [{ name: 'database', status }] } as const, 200);
    });

    router.openapi(systemInfo, (c) => {
      const isKnown = c.env.caller.principal.kind !== 'anonymous';
      return c.json(
        { auth_mode: 'db_auth', self_registration: false, ...(isKnown ? { breakwater_version: parts.version } : {}) } as const,
        200,
      );
    });

    async function isDatabaseWell(): Promise<boolean> {
      try {
        await withDeadline(databaseTimeoutMs, parts.checkDatabase);
        return true;
      } catch (error) {
        parts.log.error('health.database-failed', { error });
        return false;
      }
    }
  },
};
