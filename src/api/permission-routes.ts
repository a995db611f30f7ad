// What can be allowed at all, and what the caller may do in one place, in Harbor's words: `{resource, action}`.

import { createRoute, z } from '@hono/zod-openapi';
import { type AccessPolicy, decide, decideSystem } from '../auth/access.ts';
import { type Action, projectActions, systemActions } from '../auth/actions.ts';
import type { Principal } from '../auth/principal.ts';
import type { Project } from '../db/projects.ts';
import type { RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';
import { permissionSchema, permissionsSchema } from './user-schemas.ts';

type Permission = z.infer<typeof permissionSchema>;

const all = createRoute({
  method: 'get',
  path: `${apiPrefix}/permissions`,
  summary: 'Everything that a role or a robot can be allowed',
  responses: { 200: { description: 'on the server, and in a project', content: { 'application/json': { schema: permissionsSchema } } } },
});
const own = createRoute({
  method: 'get',
  path: `${apiPrefix}/users/current/permissions`,
  summary: 'What the caller may do in a project, or on the server',
  request: {
    query: z.object({
      scope: z
        .string()
        .max(300)
        .optional()
        .meta({ description: '/project/{id}, or /system; without one the list is empty, as in Harbor', example: '/project/1' }),
      relative: z.enum(['true', 'false']).default('false').meta({ description: 'true: resources without the scope before them' }),
    }),
  },
  responses: {
    200: { description: 'the permissions', content: { 'application/json': { schema: z.array(permissionSchema).readonly() } } },
  },
});

export const permissionRoutes: RouteGroup = {
  policy: { [`GET ${apiPrefix}/permissions`]: 'login', [`GET ${apiPrefix}/users/current/permissions`]: 'login' },
  register: (router, { access, projects }) => {
    router.openapi(all, (c) => c.json({ system: systemActions.map(toPermission), project: projectActions.map(toPermission) }, 200));
    router.openapi(own, async (c) => {
      const { scope = '', relative } = c.req.valid('query');
      const { principal } = c.env.caller;
      const [, kind = '', id = ''] = /^\/(project|system)(?:\/([^/]{1,255}))?\/?$/.exec(scope) ?? [];
      const project = kind === 'project' && id !== '' ? await projects.find(id, { isName: false }) : undefined;
      const allowed =
        project !== undefined ? allowedIn(access, principal, project) : kind === 'system' && id === '' ? allowedOnSystem(principal) : [];
      const shown = allowed.map(toPermission).map((permission) => {
        if (project === undefined) return relative === 'true' ? permission : { ...permission, resource: `/system/${permission.resource}` };
        const isProject = permission.resource === 'project';
        if (relative === 'true') return isProject ? { ...permission, resource: '.' } : permission;
        return { ...permission, resource: `/project/${project.id}${isProject ? '' : `/${permission.resource}`}` };
      });
      return c.json(shown, 200);
    });
  },
};

function allowedIn(access: AccessPolicy, principal: Principal, project: Project): readonly Action[] {
  return projectActions.filter((action) => decide(access, principal, action, { kind: 'project', project }));
}

function allowedOnSystem(principal: Principal): readonly Action[] {
  return systemActions.filter((action) => decideSystem(principal, action));
}

function toPermission(action: Action): Permission {
  const at = action.indexOf(':');
  return { resource: action.slice(0, at), action: action.slice(at + 1) };
}
