// The keys that sign registry tokens: which there are, and a new one at once. Private parts never leave the server.

import { createRoute, z } from '@hono/zod-openapi';
import type { ApiParts, ApiRouter, RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { tokenKeysSchema } from './token-key-schemas.ts';

const path = `${apiPrefix}/system/token-keys`;
const list = createRoute({
  method: 'get',
  path,
  summary: 'The keys that sign registry tokens',
  responses: { 200: { description: 'the one that signs first', content: { 'application/json': { schema: tokenKeysSchema } } } },
});
const rotate = createRoute({
  method: 'post',
  path,
  summary: 'Sign with a new key from now on',
  description:
    'The key before is believed until its last token has ended; with `revoke` no longer, so that every token there is becomes worthless.',
  request: {
    body: { required: true, content: { 'application/json': { schema: z.strictObject({ revoke: z.boolean().default(false) }) } } },
  },
  responses: { 200: { description: 'the keys there are now', content: { 'application/json': { schema: tokenKeysSchema } } } },
});

export const tokenKeyRoutes: RouteGroup = {
  policy: { [`GET ${path}`]: { system: 'configuration:read' }, [`POST ${path}`]: { system: 'configuration:update' } },
  register,
};

function register(router: ApiRouter, parts: ApiParts): void {
  const present = (): z.input<typeof tokenKeysSchema> =>
    parts.tokenKeys.list().map((key) => ({
      id: key.id,
      algorithm: 'Ed25519' as const,
      signs: key.retiresAtMs === undefined,
      creation_time: new Date(key.createdAtMs).toISOString(),
      ...(key.retiresAtMs === undefined ? {} : { retires_at: new Date(key.retiresAtMs).toISOString() }),
    }));

  router.openapi(list, (c) => c.json(present(), 200));

  router.openapi(rotate, async (c) => {
    const before = parts.tokenKeys.list().map((key) => key.id);
    const id = await parts.tokenKeys.rotate(c.req.valid('json'));
    c.set('change', { resourceType: 'token-key', resource: id, before: { active: before }, after: c.req.valid('json') });
    return c.json(present(), 200);
  });
}
