// Harbor's question whether an OpenID provider can be reached, before its settings are saved.

import { createRoute, z } from '@hono/zod-openapi';
import { tryHarborOidc } from '../auth/harbor-oidc.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { apiPrefix } from './policy.ts';

const ping = createRoute({
  method: 'post',
  path: `${apiPrefix}/system/oidc/ping`,
  tags: ['oidc'],
  summary: 'Try an OpenID provider',
  description:
    'Reads its discovery document and its keys. An address in a private network is asked only when the saved provider `harbor-oidc` has this issuer and `allow_private`.',
  request: {
    body: {
      required: true,
      content: {
        'application/json': {
          schema: z.strictObject({ url: z.string().min(1).max(500), verify_cert: z.boolean().default(true) }),
        },
      },
    },
  },
  responses: { 200: { description: 'it answers as one' } },
  [errorCodesKey]: ['TOOMANYREQUESTS', 'BODY_TOO_LARGE', 'BODY_TOO_SLOW'],
});

export const oidcRoutes: RouteGroup = {
  policy: { [`POST ${apiPrefix}/system/oidc/ping`]: { system: 'identity-provider:test' } },
  register: (router, { identity }) => {
    router.openapi(ping, async (c) => {
      const { url, verify_cert: verifiesCertificate } = c.req.valid('json');
      const { ok } = await identity.tests.test(await tryHarborOidc(identity.providers, { url, verifiesCertificate }));
      if (!ok) throw new OciError('BAD_REQUEST', 'no OpenID provider answers there as one; the log has the reason');
      return c.body(null, 200);
    });
  },
};
