// The API to look at and to try, in a browser: Swagger UI over the OpenAPI document. Its files come from the package `swagger-ui-dist`, read from the
// disk when they are asked for; nothing comes from elsewhere, and the page's content policy would not let it. It tells nothing that the
// document does not tell, and a request tried there needs a login like any other.

import { fileURLToPath } from 'node:url';
import { createRoute, z } from '@hono/zod-openapi';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';

/** Under which the page is found; its files are addressed relative to it, so that a path prefix in front does no harm. */
const referencePath = '/api/docs';
const contentPolicy = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const packaged: ReadonlyMap<string, { readonly path: string; readonly type: string }> = new Map([
  ['swagger-ui.css', { path: 'swagger-ui-dist/swagger-ui.css', type: 'text/css; charset=utf-8' }],
  ['swagger-ui-bundle.js', { path: 'swagger-ui-dist/swagger-ui-bundle.js', type: 'text/javascript; charset=utf-8' }],
]);

const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Breakwater API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="api">The API is described in <a href="v2.0/openapi.json">openapi.json</a>.</div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`;
/** Requests that change something carry the token of the session, as Harbor's page does it. */
const startScript = `const base = location.pathname.replace(/\\/api\\/docs\\/?$/, '');
let token;
SwaggerUIBundle({
  url: base + '/api/v2.0/openapi.json',
  dom_id: '#api',
  deepLinking: true,
  docExpansion: 'none',
  filter: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (base !== '') {
      const url = new URL(request.url, location.href);
      if (!url.pathname.startsWith(base + '/')) url.pathname = base + url.pathname;
      request.url = url.href;
    }
    if (token && request.method && request.method !== 'GET') request.headers['X-Harbor-CSRF-Token'] = token;
    return request;
  },
  responseInterceptor: (response) => {
    token = response.headers['x-harbor-csrf-token'] || token;
    return response;
  },
});
`;

const page = createRoute({
  method: 'get',
  path: referencePath,
  tags: ['openapi'],
  summary: 'This API to look at in a browser',
  responses: { 200: { description: 'a page', content: { 'text/html': { schema: z.string() } } } },
});
const asset = createRoute({
  method: 'get',
  path: `${referencePath}/{file}`,
  tags: ['openapi'],
  summary: 'A file of that page',
  request: { params: z.object({ file: z.string().max(64) }) },
  responses: {
    200: { description: 'the file', content: { 'text/javascript': { schema: z.string() }, 'text/css': { schema: z.string() } } },
  },
  [errorCodesKey]: ['NOT_FOUND'],
});

export const referenceRoutes: RouteGroup = {
  policy: { [`GET ${referencePath}`]: 'public', [`GET ${referencePath}/{file}`]: 'public' },
  register: (router) => {
    router.openapi(page, () => answer(html, 'text/html; charset=utf-8'));
    router.openapi(asset, (c) => {
      const { file } = c.req.valid('param');
      if (file === 'start.js') return answer(startScript, 'text/javascript; charset=utf-8');
      const found = packaged.get(file);
      if (found === undefined) throw new OciError('NOT_FOUND', 'the page has no such file');
      return answer(Bun.file(fileURLToPath(import.meta.resolve(found.path))), found.type);
    });
  },
};

function answer(body: string | Blob, type: string) {
  return new Response(body, { headers: { 'content-type': type, 'content-security-policy': contentPolicy } });
}
