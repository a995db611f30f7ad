// The settings that are changed while the server runs, in the shape Harbor's clients know: each with its value and whether it can be changed.

import { createRoute, z } from '@hono/zod-openapi';
import { changeableSettings, fixedSettings } from '../config/server-settings.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';

const value = z.union([z.string(), z.number(), z.boolean()]);
const configurationsSchema = z
  .record(z.string(), z.object({ value, editable: z.boolean() }))
  .meta({ id: 'Configurations', example: { project_creation_restriction: { value: 'adminonly', editable: true } } });
const changesSchema = z.record(z.string().max(64), value.nullable()).meta({
  id: 'ConfigurationChanges',
  description: 'what is left out, or null, stays',
  example: { project_creation_restriction: 'everyone' },
});

const read = createRoute({
  method: 'get',
  path: `${apiPrefix}/configurations`,
  tags: ['configure'],
  summary: 'Settings of the server',
  responses: { 200: { description: 'by name', content: { 'application/json': { schema: configurationsSchema } } } },
});
const change = createRoute({
  method: 'put',
  path: `${apiPrefix}/configurations`,
  tags: ['configure'],
  summary: 'Change settings of the server',
  description: 'All that is given, or nothing. Secrets are never shown, and stay where they are left out.',
  request: { body: { required: true, content: { 'application/json': { schema: changesSchema } } } },
  responses: { 200: { description: 'changed' } },
  [errorCodesKey]: ['CONFLICT', 'BODY_TOO_LARGE', 'BODY_TOO_SLOW'],
});

export const configurationRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/configurations`]: { system: 'configuration:read' },
    [`PUT ${apiPrefix}/configurations`]: { system: 'configuration:update' },
  },
  register: (router, { settings, configurationParts }) => {
    router.openapi(read, async (c) => {
      const own = await settings.read();
      const others = await Promise.all(configurationParts.map((part) => part.read()));
      const items = [
        ...Object.entries(fixedSettings).map(([name, fixed]) => [name, { value: fixed, editable: false }] as const),
        ...Object.keys(changeableSettings).map(
          (name) => [name, { value: own[name as keyof typeof changeableSettings], editable: true }] as const,
        ),
        ...others.flatMap((part) => Object.entries(part).map(([name, of]) => [name, { value: of, editable: true }] as const)),
      ];
      return c.json(Object.fromEntries(items), 200);
    });

    router.openapi(change, async (c) => {
      const sent = Object.entries(c.req.valid('json')).filter(([, of]) => of !== null);
      const partOf = (name: string) => configurationParts.find((part) => part.keys.has(name));
      // Our own are checked first: a mistake there leaves the others as they are too.
      const changed = await settings.change(Object.fromEntries(sent.filter(([name]) => partOf(name) === undefined)));
      for (const part of configurationParts) {
        const values = Object.fromEntries(sent.filter(([name]) => part.keys.has(name)));
        if (Object.keys(values).length > 0) await part.change(values);
      }
      c.set('change', {
        resourceType: 'configuration',
        resource: sent.map(([name]) => name).join(', '),
        before: Object.fromEntries(changed.map(({ name, before }) => [name, before])),
        after: Object.fromEntries(changed.map(({ name, after }) => [name, after])),
      });
      return c.body(null, 200);
    });
  },
};
