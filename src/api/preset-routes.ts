// Presets: which hold, whether newer ones are looked for and how that went, and looking now.

import { createRoute, z } from '@hono/zod-openapi';
import type { PresetUpdates } from '../registry/preset-updates.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { type PresetStatus, presetStatusSchema } from './preset-schemas.ts';

const read = createRoute({
  method: 'get',
  path: `${apiPrefix}/presets`,
  summary: 'The presets that hold, and the last look for newer ones',
  responses: { 200: { description: 'their state', content: { 'application/json': { schema: presetStatusSchema } } } },
});
const update = createRoute({
  method: 'post',
  path: `${apiPrefix}/presets/update`,
  summary: 'Look for newer presets now',
  description: 'Where the configuration says. A bad or older file is refused and told as `lastCheck`. The body is an empty object.',
  request: { body: { required: true, content: { 'application/json': { schema: z.strictObject({}) } } } },
  responses: { 200: { description: 'their state after it', content: { 'application/json': { schema: presetStatusSchema } } } },
  [errorCodesKey]: ['CONFLICT', 'BODY_TOO_LARGE', 'BODY_TOO_SLOW'],
});

export const presetRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/presets`]: { system: 'source:list' },
    [`POST ${apiPrefix}/presets/update`]: { system: 'source:update' },
  },
  register: (router, { presets }) => {
    router.openapi(read, (c) => c.json(present(presets), 200));

    router.openapi(update, async (c) => {
      await presets.check();
      return c.json(present(presets), 200);
    });
  },
};

function present(updates: PresetUpdates): PresetStatus {
  const { presets, origin } = updates.current();
  const check = updates.lastCheck();
  const from = updates.settings?.url ?? updates.settings?.file;
  return {
    serial: presets.serial,
    date: presets.date,
    origin,
    registries: presets.registries.length,
    mirrors: presets.operators.reduce((sum, operator) => sum + operator.mirrors.length, 0),
    dead: presets.dead.length,
    ...(from === undefined ? {} : { from }),
    ...(check === undefined ? {} : { lastCheck: { outcome: check.outcome, detail: check.detail, at: new Date(check.atMs).toISOString() } }),
  };
}
