// Identity providers: the directories and issuers that people come from. Reading, making, changing, removing, testing, and a look at the people of
// all directories now.

import { createRoute, z } from '@hono/zod-openapi';
import type { IdentityProvider } from '../auth/identity-providers.ts';
import { principalName } from '../auth/principal.ts';
import { writeProviderSettings } from '../config/identity-schema.ts';
import { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import {
  newProviderSchema,
  type ProviderBody,
  providerChangeSchema,
  providerSchema,
  providerTestSchema,
  providerTrialSchema,
  syncReportSchema,
} from './identity-schemas.ts';
import { apiPrefix } from './policy.ts';

const base = `${apiPrefix}/identity-providers`;
const byName = { params: z.object({ name: z.string().max(63).meta({ description: 'of the provider' }) }) };
const bodyCodes = ['BODY_TOO_LARGE', 'BODY_TOO_SLOW'] as const;
const body = <T extends z.ZodType>(schema: T) => ({ required: true, content: { 'application/json': { schema } } });
const answer = <T extends z.ZodType>(description: string, schema: T) => ({ description, content: { 'application/json': { schema } } });

const list = createRoute({
  method: 'get',
  path: base,
  summary: 'Where people come from',
  responses: { 200: answer('first asked first', z.array(providerSchema).readonly()) },
});
const create = createRoute({
  method: 'post',
  path: base,
  summary: 'Add a directory or an issuer',
  description: 'People can log in through it at once. Its name stays: accounts belong to it by that name.',
  request: { body: body(newProviderSchema) },
  responses: { 201: answer('added; `Location` names it', providerSchema) },
  [errorCodesKey]: ['CONFLICT', ...bodyCodes],
});
const read = createRoute({
  method: 'get',
  path: `${base}/{name}`,
  summary: 'Read a provider',
  request: byName,
  responses: { 200: answer('the provider', providerSchema) },
  [errorCodesKey]: ['NOT_FOUND'],
});
const change = createRoute({
  method: 'patch',
  path: `${base}/{name}`,
  summary: 'Change a provider',
  description: 'What is given replaces what was, `settings` as a whole.',
  request: { ...byName, body: body(providerChangeSchema) },
  responses: { 200: answer('the changed provider', providerSchema) },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', ...bodyCodes],
});
const remove = createRoute({
  method: 'delete',
  path: `${base}/{name}`,
  summary: 'Remove a provider',
  description: 'Not while accounts belong to it: turn it off instead, or delete them first.',
  request: byName,
  responses: { 200: { description: 'removed' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT'],
});
const testUnsaved = createRoute({
  method: 'post',
  path: `${base}/test`,
  summary: 'Test settings that are not kept',
  description: 'Connects, logs in and searches one entry. Why a connection fails stands in the log of the server alone.',
  request: { body: body(providerTrialSchema) },
  responses: { 200: answer('what came of it', providerTestSchema) },
  [errorCodesKey]: ['NOT_FOUND', 'UNSUPPORTED', 'TOOMANYREQUESTS', ...bodyCodes],
});
const testSaved = createRoute({
  method: 'post',
  path: `${base}/{name}/test`,
  summary: 'Test a provider',
  description: 'As for settings that are not kept. The body is an empty object.',
  request: { ...byName, body: body(z.strictObject({})) },
  responses: { 200: answer('what came of it', providerTestSchema) },
  [errorCodesKey]: ['NOT_FOUND', 'UNSUPPORTED', 'TOOMANYREQUESTS', ...bodyCodes],
});
const sync = createRoute({
  method: 'post',
  path: `${base}/sync`,
  summary: 'Look the people of all directories up now',
  description: 'As it happens every `identity.sync_interval`. Directories that give no answer are left out. The body is an empty object.',
  request: { body: body(z.strictObject({})) },
  responses: { 200: answer('by directory', z.array(syncReportSchema).readonly()) },
  [errorCodesKey]: [...bodyCodes],
});

export const identityRoutes: RouteGroup = {
  policy: {
    [`GET ${base}`]: { system: 'identity-provider:list' },
    [`POST ${base}`]: { system: 'identity-provider:create' },
    [`POST ${base}/test`]: { system: 'identity-provider:test' },
    [`POST ${base}/sync`]: { system: 'identity-provider:update' },
    [`GET ${base}/{name}`]: { system: 'identity-provider:read' },
    [`PATCH ${base}/{name}`]: { system: 'identity-provider:update' },
    [`DELETE ${base}/{name}`]: { system: 'identity-provider:delete' },
    [`POST ${base}/{name}/test`]: { system: 'identity-provider:test' },
  },
  register: (router, { identity, log }) => {
    const { providers, tests, directorySync } = identity;
    const requireProvider = async (name: string): Promise<IdentityProvider> => {
      const provider = await providers.find(name);
      if (provider === undefined) throw new OciError('NOT_FOUND', `there is no identity provider named ${name}`);
      return provider;
    };

    router.openapi(list, async (c) => c.json((await providers.list()).map(present), 200));

    // Before `{name}`, which would match them.
    router.openapi(testUnsaved, async (c) => {
      const { kind, settings, secret, like } = c.req.valid('json');
      const provider = await providers.tryOut({ kind, settings, ...withSecret(secret), ...(like === undefined ? {} : { like }) });
      return c.json(await tests.test(provider), 200);
    });
    router.openapi(sync, async (c) => c.json(await directorySync.run(), 200));

    router.openapi(create, async (c) => {
      const { name, kind, enabled, position, settings, secret } = c.req.valid('json');
      const wish = { name, kind, isEnabled: enabled, settings, ...withSecret(secret), ...(position === undefined ? {} : { position }) };
      const provider = present(await providers.create(wish));
      log.info('identity.provider-added', { provider: name, kind, by: principalName(c.env.caller.principal) });
      c.set('change', { resourceType: 'identity-provider', resource: name, after: provider });
      c.header('location', `${base}/${name}`);
      return c.json(provider, 201);
    });

    router.openapi(read, async (c) => c.json(present(await requireProvider(c.req.valid('param').name)), 200));

    router.openapi(change, async (c) => {
      const { name } = c.req.valid('param');
      const { enabled, position, settings, secret } = c.req.valid('json');
      const before = present(await requireProvider(name));
      const provider = present(
        await providers.change(name, {
          ...(enabled === undefined ? {} : { isEnabled: enabled }),
          ...(position === undefined ? {} : { position }),
          ...(settings === undefined ? {} : { settings }),
          ...(secret === null ? { secret } : withSecret(secret)),
        }),
      );
      log.info('identity.provider-changed', { provider: name, by: principalName(c.env.caller.principal) });
      c.set('change', {
        resourceType: 'identity-provider',
        resource: name,
        before,
        after: { ...provider, secret_changed: secret !== undefined },
      });
      return c.json(provider, 200);
    });

    router.openapi(remove, async (c) => {
      const { name } = c.req.valid('param');
      const before = present(await requireProvider(name));
      await providers.remove(name);
      log.info('identity.provider-removed', { provider: name, by: principalName(c.env.caller.principal) });
      c.set('change', { resourceType: 'identity-provider', resource: name, before });
      return c.body(null, 200);
    });

    router.openapi(testSaved, async (c) => c.json(await tests.test(await requireProvider(c.req.valid('param').name)), 200));
  },
};

function present(provider: IdentityProvider): ProviderBody {
  return {
    name: provider.name,
    kind: provider.kind,
    enabled: provider.isEnabled,
    position: provider.position ?? null,
    origin: provider.origin,
    settings: writeProviderSettings(provider),
    has_secret: provider.secret !== undefined,
  };
}

function withSecret(secret: string | undefined): { readonly secret?: Secret } {
  return secret === undefined ? {} : { secret: new Secret(secret) };
}
