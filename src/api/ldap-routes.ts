// Harbor's routes about its one directory: a test of settings, people and groups by name, accounts made before the first login.

import { createRoute, z } from '@hono/zod-openapi';
import { tryHarborLdap } from '../auth/harbor-ldap.ts';
import type { ProviderTestResult } from '../auth/provider-tests.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import {
  ldapConfSchema,
  ldapGroupSchema,
  ldapImportFailureSchema,
  ldapImportSchema,
  ldapPingSchema,
  ldapUserSchema,
} from './identity-schemas.ts';
import { apiPrefix } from './policy.ts';

const bodyCodes = ['BODY_TOO_LARGE', 'BODY_TOO_SLOW'] as const;
const body = <T extends z.ZodType>(schema: T) => ({ required: true, content: { 'application/json': { schema } } });
const answer = <T extends z.ZodType>(description: string, schema: T) => ({ description, content: { 'application/json': { schema } } });
/** Harbor's number for groups of a directory. */
const ldapGroupType = 1;

const ping = createRoute({
  method: 'post',
  path: `${apiPrefix}/ldap/ping`,
  summary: 'Test settings of a directory',
  description: 'What is left out is as it is kept. The kept password is used only for the servers it was given for.',
  request: { body: body(ldapConfSchema) },
  responses: { 200: answer('what came of it', ldapPingSchema) },
  [errorCodesKey]: ['TOOMANYREQUESTS', ...bodyCodes],
});
const searchUsers = createRoute({
  method: 'get',
  path: `${apiPrefix}/ldap/users/search`,
  summary: 'People of the directory',
  request: {
    query: z.object({ username: z.string().max(255).optional().meta({ description: 'the exact name; without it up to 500 people' }) }),
  },
  responses: { 200: answer('those found', z.array(ldapUserSchema).readonly()) },
  [errorCodesKey]: ['NOT_FOUND', 'UNAVAILABLE'],
});
const importUsers = createRoute({
  method: 'post',
  path: `${apiPrefix}/ldap/users/import`,
  summary: 'Make accounts of people of the directory',
  request: { body: body(ldapImportSchema) },
  responses: {
    200: { description: 'all of them were made' },
    404: answer('those that were not made; the others were', z.array(ldapImportFailureSchema).readonly()),
  },
  [errorCodesKey]: ['UNAVAILABLE', ...bodyCodes],
});
const searchGroups = createRoute({
  method: 'get',
  path: `${apiPrefix}/ldap/groups/search`,
  summary: 'Groups of the directory',
  request: {
    query: z.object({
      groupname: z.string().max(255).optional().meta({ description: 'the exact name' }),
      groupdn: z.string().max(1024).optional().meta({ description: 'the distinguished name' }),
    }),
  },
  responses: { 200: answer('those found', z.array(ldapGroupSchema).readonly()) },
  [errorCodesKey]: ['NOT_FOUND', 'UNAVAILABLE'],
});

export const ldapRoutes: RouteGroup = {
  policy: {
    [`POST ${apiPrefix}/ldap/ping`]: { system: 'identity-provider:test' },
    [`GET ${apiPrefix}/ldap/users/search`]: { system: 'ldap-user:list' },
    [`POST ${apiPrefix}/ldap/users/import`]: { system: 'ldap-user:create' },
    [`GET ${apiPrefix}/ldap/groups/search`]: { system: 'ldap-user:list' },
  },
  register: (router, { identity }) => {
    const { providers, tests, directoryPeople: people } = identity;

    router.openapi(ping, async (c) => {
      const { ldap_search_password: password, ldap_connection_timeout: timeout, ...values } = c.req.valid('json');
      const given = Object.entries(values).filter(([, value]) => value !== undefined);
      const sent = { ...Object.fromEntries(given), ...(timeout === undefined ? {} : { ldap_timeout: timeout }) };
      const result = await tests.test(await tryHarborLdap(providers, sent, password));
      return c.json(result.ok ? { success: true } : { success: false, message: describeFailure(result) }, 200);
    });

    router.openapi(searchUsers, async (c) => {
      const found = await people.listPeople(c.req.valid('query').username || undefined);
      const users = found.map(({ name, displayName, email }) => ({
        ldap_username: name,
        ldap_realname: displayName ?? '',
        ldap_email: email ?? '',
      }));
      return c.json(users, 200);
    });

    router.openapi(importUsers, async (c) => {
      const { ldap_uid_list: names } = c.req.valid('json');
      const failures = await people.importPeople([...new Set(names)]);
      c.set('change', {
        resourceType: 'user',
        resource: names.join(',').slice(0, 1000),
        after: { imported: names.length - failures.length },
      });
      if (failures.length === 0) return c.body(null, 200);
      return c.json(
        failures.map(({ name, reason }) => ({ uid: name, error: reason })),
        404,
      );
    });

    router.openapi(searchGroups, async (c) => {
      const { groupname, groupdn } = c.req.valid('query');
      const groups = await people.listGroups({ ...(groupname ? { name: groupname } : {}), ...(groupdn ? { dn: groupdn } : {}) });
      return c.json(
        groups.map(({ name, dn }) => ({ group_name: name, group_type: ldapGroupType, ldap_group_dn: dn })),
        200,
      );
    });
  },
};

function describeFailure({ failure }: Extract<ProviderTestResult, { ok: false }>): string {
  switch (failure) {
    case 'connection':
      return 'no trusted answer from the directory; the log of the server says why';
    case 'login':
      return 'the directory refuses the search DN or its password';
    case 'search':
      return 'the directory refuses the search: check base DN, filter and uid';
  }
}
