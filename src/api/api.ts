// The admin API: routes below /api/v2.0, each behind its line of the policy table. It must never hold logic of its own: it checks who asks and
// what was sent, calls one use-case, and shapes the answer. Failures are coded errors, answered in one place (`handle`).

import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi';
import { HTTPException } from 'hono/http-exception';
import type { Caller } from '../auth/principal.ts';
import { OciError } from '../oci/errors.ts';
import type { Arrival } from '../upstream/login-problems.ts';
import { artifactPartRoutes } from './artifact-part-routes.ts';
import { artifactRoutes } from './artifact-routes.ts';
import { createAuditHook } from './audit-hook.ts';
import { auditRoutes } from './audit-routes.ts';
import { configurationRoutes } from './configuration-routes.ts';
import type { ApiEnvironment, ApiParts, ApiRouter, RouteGroup } from './environment.ts';
import { groupRoutes } from './group-routes.ts';
import { createGuard } from './guard.ts';
import { historyRoutes } from './history-routes.ts';
import { identityRoutes } from './identity-routes.ts';
import { labelRoutes } from './label-routes.ts';
import { ldapRoutes } from './ldap-routes.ts';
import { loginCheckRoutes } from './login-check-routes.ts';
import { memberRoutes } from './member-routes.ts';
import { metadataRoutes } from './metadata-routes.ts';
import { mirrorRoutes } from './mirror-routes.ts';
import { offlineGroups } from './offline-routes.ts';
import { oidcRoutes } from './oidc-routes.ts';
import { describeApi } from './openapi.ts';
import { overviewRoutes } from './overview-routes.ts';
import { permissionRoutes } from './permission-routes.ts';
import { apiPrefix, checkPolicy, joinPolicies, methodsOf, type PolicyTable } from './policy.ts';
import { presetRoutes } from './preset-routes.ts';
import { projectRoutes } from './project-routes.ts';
import { referenceRoutes } from './reference-routes.ts';
import { registryRoutes } from './registry-routes.ts';
import { repositoryRoutes } from './repository-routes.ts';
import { robotRoutes } from './robot-routes.ts';
import { roleRoutes } from './role-routes.ts';
import { sessionRoutes } from './session-routes.ts';
import { sourceRoutes } from './source-routes.ts';
import { systemRoutes } from './system-routes.ts';
import { tokenKeyRoutes } from './token-key-routes.ts';
import { tokenRoutes } from './token-routes.ts';
import { userRoutes } from './user-routes.ts';
import { workloadRoutes } from './workload-routes.ts';

export interface Api {
  /** The answer for an authenticated caller; coded errors are answers, any other failure is thrown. */
  handle(request: Request, caller: Caller, arrival?: () => Arrival): Promise<Response>;
}

/** Browsers ask for a login with this; other clients send theirs anyhow. RFC 7617. */
const loginChallenge = 'Basic realm="breakwater"';
export const standardGroups: readonly RouteGroup[] = [
  systemRoutes,
  referenceRoutes,
  projectRoutes,
  metadataRoutes,
  labelRoutes,
  overviewRoutes,
  configurationRoutes,
  repositoryRoutes,
  artifactRoutes,
  artifactPartRoutes,
  sourceRoutes,
  registryRoutes,
  presetRoutes,
  mirrorRoutes,
  ...offlineGroups,
  historyRoutes,
  identityRoutes,
  ldapRoutes,
  loginCheckRoutes,
  tokenKeyRoutes,
  robotRoutes,
  tokenRoutes,
  workloadRoutes,
  auditRoutes,
  sessionRoutes,
  oidcRoutes,
  permissionRoutes,
  userRoutes,
  memberRoutes,
  groupRoutes,
  roleRoutes,
];

/** Throws when a route lacks its line in the policy table: such a server must not start. */
export function createApi(parts: ApiParts, groups: readonly RouteGroup[] = standardGroups): Api {
  const table = policyOf(groups);
  const router: ApiRouter = new OpenAPIHono<ApiEnvironment>({
    defaultHook: (result) => {
      if (!result.success) throw invalidInput(result.target, result.error.issues);
    },
  });
  const audit = createAuditHook({ audit: parts.audit, log: parts.log, table });
  const guard = createGuard({ parts, table, groups, before: [audit] });
  router.use('*', audit);
  router.use('*', guard);
  router.onError((error) => {
    throw error;
  });
  router.notFound((c) => {
    const allowed = methodsOf(table, c.req.path);
    if (allowed.length === 0) throw new OciError('NOT_FOUND', `nothing is here; ${apiPrefix}/openapi.json lists what there is`);
    throw new OciError('METHOD_NOT_ALLOWED', `this path allows ${allowed.join(', ')}`, { detail: { allow: allowed } });
  });
  for (const group of groups) group.register(router, parts);
  registerDocument(router, () => {
    // Made when somebody asks: most servers are never asked, and it is large.
    document ??= JSON.stringify(describeApi(router, table, parts.errors));
    return document;
  });
  checkPolicy(
    table,
    router.routes.filter((route) => route.handler !== guard && route.handler !== audit),
  );
  let document: string | undefined;

  return {
    handle: async (request, caller, arrival) => {
      try {
        const response = await router.fetch(request, { caller, ...(arrival === undefined ? {} : { arrival }) });
        response.headers.set('cache-control', 'no-store');
        response.headers.set('x-content-type-options', 'nosniff');
        return response;
      } catch (error) {
        const coded = error instanceof HTTPException ? new OciError('BAD_REQUEST', error.message) : error;
        if (!(coded instanceof OciError)) throw error;
        return parts.errors.errorResponse(coded, {
          head: request.method === 'HEAD',
          headers: { 'cache-control': 'no-store', ...extraHeaders(coded) },
        });
      }
    },
  };
}

/** What every route of the groups asks, as one table. */
export function policyOf(groups: readonly RouteGroup[] = standardGroups): PolicyTable {
  return joinPolicies([documentPolicy, ...groups.map((group) => group.policy)]);
}

const documentPolicy: PolicyTable = { [`GET ${apiPrefix}/openapi.json`]: 'public' };

function registerDocument(router: ApiRouter, document: () => string): void {
  const route = createRoute({
    method: 'get',
    path: `${apiPrefix}/openapi.json`,
    summary: 'This document',
    responses: { 200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: z.looseObject({}) } } } },
  });
  router.openapi(route, (c) => c.body(document(), 200, { 'content-type': 'application/json' }) as never);
}

function invalidInput(place: string, issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[]): OciError {
  const words = issues
    .slice(0, 10)
    .map((issue) => `${issue.path.length === 0 ? '' : `${issue.path.map(String).join('.')}: `}${issue.message}`);
  return new OciError('BAD_REQUEST', `${place === 'json' ? 'body' : place}: ${words.join('; ')}`);
}

function extraHeaders(error: OciError): Record<string, string> {
  if (error.code === 'UNAUTHORIZED') return { 'www-authenticate': loginChallenge };
  if (error.code !== 'METHOD_NOT_ALLOWED') return {};
  const { detail } = error;
  const allow = typeof detail === 'object' && detail !== null && 'allow' in detail && Array.isArray(detail.allow) ? detail.allow : [];
  return { allow: allow.join(', ') };
}
