// Whether clients can log in through the address they use: the server's own check, and how a request reached it, for a check from outside.

import { createRoute } from '@hono/zod-openapi';
import { OciError } from '../oci/errors.ts';
import { type ApiParts, type ApiRouter, errorCodesKey, type RouteGroup } from './environment.ts';
import { arrivalSchema, loginReportSchema } from './login-check-schemas.ts';
import { apiPrefix } from './policy.ts';

const noConnection = { isTrusted: false, forwarded: {}, hasAuthorization: false, origin: '' };
const arrival = createRoute({
  method: 'get',
  path: `${apiPrefix}/system/arrival`,
  summary: 'How this request reached the server',
  description: 'Whose connection it came on, and what a proxy forwarded. Sent through the address of clients it shows what the proxy does.',
  responses: { 200: { description: 'as it was seen', content: { 'application/json': { schema: arrivalSchema } } } },
});
const check = createRoute({
  method: 'post',
  path: `${apiPrefix}/system/login-check`,
  summary: 'Perform a login through external_url and tell what is wrong',
  description:
    'The server goes the way of a container client: /v2/, challenge, token service, /v2/ again, and a large body that is refused. It asks nobody but `external_url`. `breakwater check-login URL` does the same from another machine.',
  responses: { 200: { description: 'also when something is wrong', content: { 'application/json': { schema: loginReportSchema } } } },
  [errorCodesKey]: ['CONFLICT'],
});

export const loginCheckRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/system/arrival`]: { system: 'configuration:read' },
    [`POST ${apiPrefix}/system/login-check`]: { system: 'configuration:read' },
  },
  register,
};

function register(router: ApiRouter, parts: ApiParts): void {
  router.openapi(arrival, (c) => c.json(c.env.arrival?.() ?? noConnection, 200));

  router.openapi(check, async (c) => {
    const report = await parts.checkLogin();
    if (report === undefined)
      throw new OciError('CONFLICT', 'external_url is not configured; run breakwater check-login URL on a machine of a client instead');
    return c.json({ ...report, findings: [...report.findings] }, 200);
  });
}
