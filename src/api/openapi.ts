// The OpenAPI 3.1 document of the admin API, made from the routes as they are registered: requests and answers from their schemas, rights from
// the policy table, errors from the codes each route names.

import { z } from '@hono/zod-openapi';
import type { OciErrorCode } from '../oci/errors.ts';
import { type ApiParts, type ApiRouter, errorCodesKey } from './environment.ts';
import { apiPrefix, describeRequirement, type PolicyTable, policyKey } from './policy.ts';
import { errorSchema } from './schemas.ts';

type Document = ReturnType<ApiRouter['getOpenAPI31Document']>;
type Responses = Record<string, { description: string; content?: unknown }>;

const loginName = 'basic';
const errorComponent = 'Errors';
const methods = ['get', 'post', 'put', 'patch', 'delete'] as const;

/** The document. Call it when all routes are registered. */
export function describeApi(router: ApiRouter, table: PolicyTable, errors: ApiParts['errors']): Document {
  router.openAPIRegistry.registerComponent('securitySchemes', loginName, { type: 'http', scheme: 'basic' });
  const { $schema: _, ...errorBody } = z.toJSONSchema(errorSchema, { io: 'input' });
  router.openAPIRegistry.registerComponent('schemas', errorComponent, errorBody as object);
  const document = router.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Breakwater admin API', version: '2.0', description: "Paths and error bodies follow Harbor's v2.0." },
  });
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of methods) {
      const operation = item[method];
      if (operation === undefined) continue;
      const required = table[policyKey({ method: method.toUpperCase(), path })];
      const hasInput = operation.requestBody !== undefined || (operation.parameters?.length ?? 0) > 0;
      const codes: OciErrorCode[] = [
        ...(hasInput ? (['BAD_REQUEST'] as const) : []),
        ...(required === 'public' ? [] : (['UNAUTHORIZED', 'DENIED'] as const)),
        ...((operation[errorCodesKey] as OciErrorCode[] | undefined) ?? []),
        'INTERNAL',
      ];
      operation.tags ??= [path.replace(`${apiPrefix}/`, '').split('/')[0] ?? 'server'];
      operation.responses = { ...operation.responses, ...errorResponses(codes, errors.statusOf) };
      operation.security = required === 'public' ? [] : [{ [loginName]: [] }];
      operation['x-required-action'] = required === undefined ? 'public' : describeRequirement(required);
    }
  }
  return document;
}

function errorResponses(codes: readonly OciErrorCode[], statusOf: (code: OciErrorCode) => number): Responses {
  const responses: Responses = {};
  for (const [status, ofStatus] of Map.groupBy(new Set(codes), statusOf)) {
    responses[String(status)] = {
      description: ofStatus.join(', '),
      content: { 'application/json': { schema: { $ref: `#/components/schemas/${errorComponent}` } } },
    };
  }
  return responses;
}
