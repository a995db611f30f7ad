// The server itself: whether it is well, what it is, and the description of this API. Public, so it must never tell anything of the content,
// the users or the machine; the version is told after a login.

import { createRoute, z } from '@hono/zod-openapi';
import { withDeadline } from '../lib/limits.ts';
import type { RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { healthSchema, systemInfoSchema } from './schemas.ts';

const databaseTimeoutMs = 2_000;
/** Clients decide by it what they may ask for. */
const harborVersion = 'v2.13.0';
const tags = ['systeminfo'];

const ping = createRoute({
  method: 'get',
  path: `${apiPrefix}/ping`,
  tags: ['ping'],
  summary: 'Whether the server answers',
  responses: { 200: { description: 'it does', content: { 'text/plain': { schema: z.literal('Pong') } } } },
});
const health = createRoute({
  method: 'get',
  path: `${apiPrefix}/health`,
  tags: ['health'],
  summary: 'Whether the server can do its work',
  responses: { 200: { description: 'also when it is unhealthy, as in Harbor', content: { 'application/json': { schema: healthSchema } } } },
});
const systemInfo = createRoute({
  method: 'get',
  path: `${apiPrefix}/systeminfo`,
  tags,
  summary: 'What server this is',
  responses: { 200: { description: 'most of it after a login only', content: { 'application/json': { schema: systemInfoSchema } } } },
});

const apiVersion = createRoute({
  method: 'get',
  path: '/api/version',
  tags,
  summary: 'Which version of the API there is',
  responses: {
    200: { description: 'always v2.0', content: { 'application/json': { schema: z.object({ version: z.literal('v2.0') }) } } },
  },
});

export const systemRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/ping`]: 'public',
    [`GET ${apiPrefix}/health`]: 'public',
    [`GET ${apiPrefix}/systeminfo`]: 'public',
    'GET /api/version': 'public',
  },
  register: (router, parts) => {
    router.openapi(ping, (c) => c.text('Pong' as const, 200));

    router.openapi(health, async (c) => {
      const status = (await isDatabaseWell()) ? 'healthy' : 'unhealthy';
      return c.json({ status, components: [{ name: 'database', status }] } as const, 200);
    });

    router.openapi(systemInfo, async (c) => {
      const { banner_message, project_creation_restriction } = await parts.settings.read();
      const basics = { auth_mode: 'db_auth', primary_auth_mode: false, self_registration: false, banner_message } as const;
      if (c.env.caller.principal.kind === 'anonymous') return c.json(basics, 200);
      const externalUrl = parts.externalUrl ?? new URL(c.req.url).origin;
      return c.json(
        {
          ...basics,
          breakwater_version: parts.version,
          harbor_version: harborVersion,
          registry_url: new URL(externalUrl).host,
          external_url: externalUrl,
          project_creation_restriction: project_creation_restriction === 'everyone' ? 'everyone' : 'adminonly',
          read_only: false,
          notification_enable: false,
          has_ca_root: false,
          registry_storage_provider_name: 'filesystem',
          with_chartmuseum: false,
          with_notary: false,
          current_time: new Date().toISOString(),
        } as const,
        200,
      );
    });

    router.openapi(apiVersion, (c) => c.json({ version: 'v2.0' } as const, 200));

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
