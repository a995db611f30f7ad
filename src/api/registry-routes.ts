// Registries that are mirrored. Harbor's operations with Harbor's members: a name, one address, one login; and ours on the same resource: who may
// pull through its mirror, and the order of its sources.

import { createRoute, z } from '@hono/zod-openapi';
import { principalName } from '../auth/principal.ts';
import { OciError } from '../oci/errors.ts';
import { authorityEntry, mainSource, readAddress, readChange, readLogin } from '../registry/registry-entry.ts';
import type { SourceTestReport } from '../registry/source-test.ts';
import { configOf } from '../registry/source-values.ts';
import type { RegistryView } from '../registry/sources.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listInMemory, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';
import { presentRegistry } from './registry-bodies.ts';
import {
  type NewRegistryBody,
  newRegistrySchema,
  type RegistryUpdateBody,
  registryChangeSchema,
  registryInfoSchema,
  registryPingSchema,
  registrySchema,
  registryTypes,
  registryUpdateSchema,
  sourceOrderSchema,
} from './registry-schemas.ts';

const tags = ['registry'];
const named = { params: z.object({ registry: z.string().max(255).meta({ description: 'its id, or its identity such as docker.io' }) }) };
const bodyCodes = ['BODY_TOO_LARGE', 'BODY_TOO_SLOW'] as const;
const oneRegistry = (description: string) => ({ description, content: { 'application/json': { schema: registrySchema } } });
const bodyOf = <S extends z.ZodType>(schema: S) => ({ required: true, content: { 'application/json': { schema } } }) as const;
const onRegistries = `${apiPrefix}/registries`;
const fields = {
  name: { type: 'text', sortable: true },
  registry: { type: 'text', sortable: true },
  type: { type: registryTypes },
  id: { type: 'integer', sortable: true },
  creation_time: { type: 'time', sortable: true },
  update_time: { type: 'time', sortable: true },
} as const;

const list = createRoute({
  method: 'get',
  path: onRegistries,
  tags,
  summary: 'Registries that are mirrored',
  request: {
    query: z.strictObject({ ...listingQuery, name: z.string().min(1).max(255).optional().meta({ description: 'part of the name' }) }),
  },
  responses: { 200: { description: 'one page', content: { 'application/json': { schema: z.array(registrySchema).readonly() } } } },
});
const add = createRoute({
  method: 'post',
  path: onRegistries,
  tags,
  summary: 'Mirror another registry',
  description:
    'Its mirror project is made too, so that it can be pulled through at once. With `url` the address becomes its authority. A registry that ships with the program and was not added yet is taken over.',
  request: { body: bodyOf(newRegistrySchema) },
  responses: { 201: oneRegistry('added; `Location` names it') },
  [errorCodesKey]: ['CONFLICT', ...bodyCodes],
});
const read = createRoute({
  method: 'get',
  path: `${onRegistries}/{registry}`,
  tags,
  summary: 'One registry',
  request: named,
  responses: { 200: oneRegistry('the registry with its sources') },
  [errorCodesKey]: ['NOT_FOUND'],
});
const update = createRoute({
  method: 'put',
  path: `${onRegistries}/{registry}`,
  tags,
  summary: 'Change what a registry is called, and its authority',
  request: { ...named, body: bodyOf(registryUpdateSchema) },
  responses: { 200: { description: 'changed' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT', ...bodyCodes],
});
const change = createRoute({
  method: 'patch',
  path: `${onRegistries}/{registry}`,
  tags,
  summary: 'Say who may pull through its mirror',
  request: { ...named, body: bodyOf(registryChangeSchema) },
  responses: { 200: oneRegistry('the changed registry') },
  [errorCodesKey]: ['NOT_FOUND', ...bodyCodes],
});
const remove = createRoute({
  method: 'delete',
  path: `${onRegistries}/{registry}`,
  tags,
  summary: 'Stop mirroring a registry',
  description: 'Its mirror project goes too when it is empty. One that ships with the program and was taken over goes back to what it was.',
  request: {
    ...named,
    query: z.object({
      force: z
        .enum(['true', 'false'])
        .default('false')
        .meta({ description: 'also while its mirror holds content, which stays and is served' }),
    }),
  },
  responses: { 200: { description: 'removed' } },
  [errorCodesKey]: ['NOT_FOUND', 'CONFLICT'],
});
const order = createRoute({
  method: 'put',
  path: `${onRegistries}/{registry}/order`,
  tags,
  summary: 'Order the sources of a registry',
  description: 'Gives the priorities 10, 20, 30 and so on: first to those named, then to the others as they stood.',
  request: { ...named, body: bodyOf(sourceOrderSchema) },
  responses: { 200: oneRegistry('the registry') },
  [errorCodesKey]: ['NOT_FOUND', ...bodyCodes],
});
const ping = createRoute({
  method: 'post',
  path: `${onRegistries}/ping`,
  tags,
  summary: 'Whether a registry answers, with its login',
  description: 'One that is kept (`id`), or an address. 400 says which step failed.',
  request: { body: bodyOf(registryPingSchema) },
  responses: { 200: { description: 'it answers' } },
  [errorCodesKey]: ['NOT_FOUND', ...bodyCodes],
});
const info = createRoute({
  method: 'get',
  path: `${onRegistries}/{registry}/info`,
  tags,
  summary: 'What replication could do with a registry',
  request: named,
  responses: { 200: { description: 'nothing yet', content: { 'application/json': { schema: registryInfoSchema } } } },
  [errorCodesKey]: ['NOT_FOUND'],
});
const adapters = createRoute({
  method: 'get',
  path: `${apiPrefix}/replication/adapters`,
  tags: ['replication'],
  summary: 'What a registry can be said to be',
  responses: { 200: { description: 'the types', content: { 'application/json': { schema: z.array(z.string()).readonly() } } } },
});

export const registryRoutes: RouteGroup = {
  policy: {
    [`GET ${onRegistries}`]: { system: 'registry:list' },
    [`POST ${onRegistries}`]: { system: 'registry:create' },
    [`POST ${onRegistries}/ping`]: { system: 'registry:read' },
    [`GET ${onRegistries}/{registry}`]: { system: 'registry:read' },
    [`PUT ${onRegistries}/{registry}`]: { system: 'registry:update' },
    [`PATCH ${onRegistries}/{registry}`]: { system: 'registry:update' },
    [`DELETE ${onRegistries}/{registry}`]: { system: 'registry:delete' },
    [`PUT ${onRegistries}/{registry}/order`]: { system: 'registry:update' },
    [`GET ${onRegistries}/{registry}/info`]: { system: 'registry:read' },
    [`GET ${apiPrefix}/replication/adapters`]: { system: 'replication-adapter:list' },
  },
  register: (router, { sources, log }) => {
    const find = (text: string): RegistryView => {
      const found = sources.list().find((registry) => (/^\d{1,15}$/.test(text) ? registry.id === Number(text) : registry.name === text));
      if (found === undefined) throw new OciError('NOT_FOUND', `there is no registry ${text}; GET /registries lists them`);
      return found;
    };

    router.openapi(list, (c) => {
      const { name, ...sent } = c.req.valid('query');
      const listing = parseListing(sent, fields);
      const all = sources.list().filter((registry) => name === undefined || (registry.title ?? registry.name).includes(name));
      const { items, count } = listInMemory(all, listing, {
        name: (registry) => registry.title ?? registry.name,
        registry: (registry) => registry.name,
        type: (registry) => registry.type,
        id: (registry) => registry.id,
        creation_time: (registry) => registry.createdAtMs,
        update_time: (registry) => registry.updatedAtMs,
      });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(items.map(presentRegistry), 200);
    });

    router.openapi(add, async (c) => {
      const body = c.req.valid('json');
      const registry = body.url ? await addAddress(body, body.url) : await addNamed(body);
      log.info('registry.added', { registry: registry.name, sources: registry.sources.length, by: principalName(c.env.caller.principal) });
      c.set('change', { resourceType: 'registry', resource: registry.name, after: shown(registry) });
      c.header('location', `${onRegistries}/${registry.id}`);
      return c.json(presentRegistry(registry), 201);
    });

    router.openapi(ping, async (c) => {
      const body = c.req.valid('json');
      requirePassed(await testOf(body));
      return c.body(null, 200);
    });

    router.openapi(read, (c) => c.json(presentRegistry(find(c.req.valid('param').registry)), 200));

    router.openapi(update, async (c) => {
      const registry = find(c.req.valid('param').registry);
      const body = c.req.valid('json');
      await changeAuthority(registry, body);
      const title = body.name ?? undefined;
      const description = body.description ?? undefined;
      if (title !== undefined || description !== undefined)
        await sources.describeRegistry(registry.name, {
          ...(title === undefined ? {} : { title: title === registry.name && registry.origin !== 'preset' ? null : title }),
          ...(description === undefined ? {} : { description }),
        });
      log.info('registry.changed', { registry: registry.name, by: principalName(c.env.caller.principal) });
      c.set('change', {
        resourceType: 'registry',
        resource: registry.name,
        before: shown(registry),
        after: shown(find(registry.name)),
      });
      return c.body(null, 200);
    });

    router.openapi(change, async (c) => {
      const { public: isPublic } = c.req.valid('json');
      const before = find(c.req.valid('param').registry);
      const registry = await sources.changeRegistry(before.name, isPublic ?? undefined);
      log.info('registry.changed', { registry: registry.name, public: isPublic, by: principalName(c.env.caller.principal) });
      c.set('change', {
        resourceType: 'registry',
        resource: registry.name,
        before: { public: before.isPublic ?? null },
        after: { public: isPublic },
      });
      return c.json(presentRegistry(registry), 200);
    });

    router.openapi(remove, async (c) => {
      const registry = find(c.req.valid('param').registry);
      const isForced = c.req.valid('query').force === 'true';
      if (registry.origin === 'preset' && registry.title !== undefined) await giveBack(registry);
      else await sources.removeRegistry(registry.name, isForced);
      log.info('registry.removed', { registry: registry.name, forced: isForced, by: principalName(c.env.caller.principal) });
      c.set('change', { resourceType: 'registry', resource: registry.name, before: shown(registry) });
      return c.body(null, 200);
    });

    router.openapi(order, async (c) => {
      const registry = await sources.order(find(c.req.valid('param').registry).name, c.req.valid('json').ids);
      log.info('registry.ordered', { registry: registry.name, by: principalName(c.env.caller.principal) });
      c.set('change', { resourceType: 'registry', resource: registry.name, after: { order: c.req.valid('json').ids } });
      return c.json(presentRegistry(registry), 200);
    });

    router.openapi(info, (c) => {
      const registry = find(c.req.valid('param').registry);
      return c.json({ type: registry.type, description: '', supported_resource_filters: [], supported_triggers: [] }, 200);
    });

    router.openapi(adapters, (c) => c.json([...registryTypes], 200));

    /** In our words. */
    async function addNamed(body: NewRegistryBody): Promise<RegistryView> {
      const { name: given, registry: name = given, public: isPublic, sources: entries } = body;
      return sources.addRegistry({
        name,
        sources: entries.map((entry) => configOf(name, entry)),
        ...(isPublic === undefined ? {} : { isPublic }),
        words: wordsOf(body, name),
      });
    }

    /** In Harbor's words: a free name and an address. */
    async function addAddress(body: NewRegistryBody, url: string): Promise<RegistryView> {
      const read = readAddress(url);
      const address = { ...read, registry: body.registry ?? read.registry };
      const { credential } = body;
      const login = readLogin({ type: credential?.type, key: credential?.access_key, secret: credential?.access_secret });
      const entry = authorityEntry(address, { login, insecure: body.insecure === true });
      const known = sources.list().find((registry) => registry.name === address.registry);
      if (known === undefined)
        return sources.addRegistry({
          name: address.registry,
          sources: [configOf(address.registry, entry), ...body.sources.map((one) => configOf(address.registry, one))],
          ...(body.public === undefined ? {} : { isPublic: body.public }),
          words: wordsOf(body, address.registry),
        });
      if (known.origin !== 'preset' || known.title !== undefined)
        throw new OciError(
          'CONFLICT',
          `${known.name} is mirrored already, as ${known.title ?? known.name} with the id ${known.id}; change that one`,
          {
            detail: { id: known.id },
          },
        );
      // With a title, also where that is its own name, it counts as added.
      await sources.describeRegistry(known.name, wordsOf(body, ''));
      const same = known.sources.find(({ record }) => record.url === entry.url);
      if (same === undefined) await sources.add(known.name, configOf(known.name, entry));
      else if (login !== undefined) await sources.change(same.record.id, readChange({ credentials: login }));
      return find(known.name);
    }

    async function changeAuthority(registry: RegistryView, body: RegistryUpdateBody): Promise<void> {
      const main = mainSource(registry);
      const url = body.url ? readAddress(body.url).url : undefined;
      const login = readLogin({
        type: body.credential_type ?? body.credential?.type,
        key: body.access_key ?? body.credential?.access_key,
        secret: body.access_secret ?? body.credential?.access_secret,
      });
      if (main === undefined) {
        if (url !== undefined)
          await sources.add(
            registry.name,
            configOf(registry.name, authorityEntry({ registry: registry.name, url }, { login, insecure: body.insecure === true })),
          );
        return;
      }
      const { tls } = main.record.details;
      const isInsecure = typeof body.insecure === 'boolean' && body.insecure !== (tls?.insecure ?? false);
      if (isInsecure && tls?.ca !== undefined)
        throw new OciError('BAD_REQUEST', 'body: insecure: its source has its own authorities; change it with PATCH /sources/{id}');
      const wish = {
        ...(url === undefined || url === main.record.url ? {} : { url }),
        ...(login === undefined ? {} : { credentials: login }),
        ...(isInsecure ? { tls: body.insecure === true ? { insecure: true } : null } : {}),
      };
      if (Object.keys(wish).length > 0) await sources.change(main.record.id, readChange(wish));
    }

    /** One that ships with the program: what was said about it is forgotten, and its login. */
    async function giveBack(registry: RegistryView): Promise<void> {
      await sources.describeRegistry(registry.name, { title: null, description: '' });
      const main = mainSource(registry);
      if (main !== undefined && main.record.credentials.length > 0) await sources.change(main.record.id, readChange({ credentials: null }));
    }

    async function testOf(body: z.infer<typeof registryPingSchema>): Promise<SourceTestReport> {
      const login = readLogin({
        type: body.credential_type ?? body.credential?.type,
        key: body.access_key ?? body.credential?.access_key,
        secret: body.access_secret ?? body.credential?.access_secret,
      });
      if (body.id && !body.url && login === undefined) {
        const main = mainSource(find(String(body.id)));
        if (main === undefined) throw new OciError('BAD_REQUEST', 'it has no source that could be asked');
        return sources.test(main.record.id);
      }
      const known = body.id ? find(String(body.id)) : undefined;
      const url = body.url ?? (known === undefined ? undefined : mainSource(known)?.record.url);
      if (url === undefined) throw new OciError('BAD_REQUEST', 'body: url or id is needed');
      const address = readAddress(url);
      return sources.testUnsaved(
        address.registry,
        configOf(address.registry, authorityEntry(address, { login, insecure: body.insecure === true })),
      );
    }
  },
};

function wordsOf(body: Pick<NewRegistryBody, 'name' | 'type' | 'description'>, identity: string) {
  return {
    title: body.name === identity ? null : body.name,
    ...(body.type ? { type: body.type } : {}),
    ...(body.description ? { description: body.description } : {}),
  };
}

/** For the audit. */
function shown(registry: RegistryView): object {
  const main = mainSource(registry);
  return {
    name: registry.title ?? registry.name,
    description: registry.description,
    url: main?.record.url ?? '',
    has_login: (main?.record.credentials.length ?? 0) > 0,
    insecure: main?.record.details.tls?.insecure ?? false,
  };
}

function requirePassed(report: SourceTestReport): void {
  if (report.ok) return;
  const failed = report.steps.find((step) => !step.ok);
  throw new OciError(
    'BAD_REQUEST',
    `the registry did not pass: ${failed?.name ?? 'test'}${failed?.detail === undefined ? '' : `: ${failed.detail}`}`,
  );
}
