// Commands on registries and their sources. Every one that changes what a registry can be fetched with also brings its mirror project in line,
// in the same transaction: content that credentials open must not be public for a moment.

import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import { deleteProject, ensureMirrorProject } from './projects.ts';
import type { SourceOrigin } from './schema.ts';
import { findSource, findSourceByUrl, listSources, type SourceRecord, type SourceValues, sourceColumns } from './sources.ts';

const registriesMax = 1000;
export const sourcesPerRegistryMax = 64;
/** Distance of the priorities that an order gives, so that a source can be put between two others. */
const orderStep = 10;

export interface NewRegistry {
  readonly name: string;
  /** Undefined: public unless a source has credentials. */
  readonly isPublic?: boolean;
  readonly origin: SourceOrigin;
  readonly sources: readonly SourceValues[];
  readonly words?: RegistryWords;
}
/** What clients of Harbor's API say about a registry. A title is used once, and is no other registry's name. */
export interface RegistryWords {
  readonly title?: string | null;
  readonly type?: string;
  readonly description?: string;
}

/** Makes a registry, its sources and its mirror project. CONFLICT when it exists, or a project of its name that is not its mirror. */
export async function addRegistry(context: CommandContext, args: NewRegistry): Promise<void> {
  const { trx } = context;
  const known = await trx.selectFrom('source_registry').select('name').where('name', '=', args.name).executeTakeFirst();
  if (known !== undefined) throw new OciError('CONFLICT', `the registry ${args.name} exists already; add sources to it`);
  const project = await trx.selectFrom('project').select(['kind', 'registry']).where('name', '=', args.name).executeTakeFirst();
  if (project !== undefined && (project.kind !== 'mirror' || project.registry !== args.name)) {
    throw new OciError('CONFLICT', `there is a project named ${args.name} that is not the mirror of this registry; delete it first`);
  }
  await insertRegistry(context, args);
  if (args.words !== undefined) await describeRegistry(context, { name: args.name, words: args.words });
  for (const values of args.sources) await insertSource(context, { registry: args.name, origin: args.origin, values });
  await applyVisibility(context, args.name);
}

/** Says what a registry is called and what it is; NOT_FOUND, CONFLICT when another one is called so. */
export async function describeRegistry(context: CommandContext, { name, words }: { name: string; words: RegistryWords }): Promise<void> {
  const { trx, nowMs } = context;
  await lockRegistry(context, name);
  if (typeof words.title === 'string') {
    const { title } = words;
    const other = await trx
      .selectFrom('registry_entry')
      .select('registry')
      .where((where) => where.or([where('title', '=', title), where('registry', '=', title)]))
      .where('registry', '<>', name)
      .executeTakeFirst();
    if (other !== undefined) throw new OciError('CONFLICT', `another registry is called ${title} already: ${other.registry}`);
  }
  const { title, type, description } = words;
  await trx
    .updateTable('registry_entry')
    .set({
      registry: name,
      ...(title === undefined ? {} : { title }),
      ...(type === undefined ? {} : { type }),
      ...(description === undefined ? {} : { description }),
    })
    .where('registry', '=', name)
    .execute();
  await trx.updateTable('source_registry').set({ updated_at_ms: nowMs }).where('name', '=', name).execute();
}

/** Says who may pull through the mirror of a registry; NOT_FOUND. Undefined: everybody unless a source has, or had, credentials. */
export async function changeRegistry(context: CommandContext, args: { name: string; isPublic?: boolean }): Promise<void> {
  await lockRegistry(context, args.name);
  const isPublic = args.isPublic === undefined ? null : args.isPublic ? 1 : 0;
  await context.trx
    .updateTable('source_registry')
    .set({ is_public: isPublic, updated_at_ms: context.nowMs })
    .where('name', '=', args.name)
    .execute();
  await applyVisibility(context, args.name);
}

/**
 * Removes a registry with its sources, and its mirror project when that is empty. NOT_FOUND; CONFLICT while the project holds content, unless
 * `force`: then the project stays and what it holds is served.
 */
export async function removeRegistry(context: CommandContext, args: { name: string; force: boolean }): Promise<void> {
  const { trx } = context;
  await lockRegistry(context, args.name);
  const project = await trx
    .selectFrom('project')
    .select('id')
    .where('name', '=', args.name)
    .where('kind', '=', 'mirror')
    .where('registry', '=', args.name)
    .executeTakeFirst();
  if (project !== undefined) {
    try {
      await deleteProject(context, { name: args.name });
    } catch (error) {
      if (!(error instanceof OciError && error.code === 'CONFLICT')) throw error;
      if (!args.force) {
        throw new OciError(
          'CONFLICT',
          `the mirror of ${args.name} holds content; with force the registry goes and that content stays and is served`,
        );
      }
    }
  }
  await trx.deleteFrom('registry_entry').where('registry', '=', args.name).execute();
  await trx.deleteFrom('source').where('registry', '=', args.name).execute();
  await trx.deleteFrom('source_registry').where('name', '=', args.name).execute();
}

/** NOT_FOUND without its registry; CONFLICT, with `detail.id`, when the registry has a source of this URL. Gives the new source. */
export async function addSource(
  context: CommandContext,
  args: { registry: string; origin: SourceOrigin; values: SourceValues },
): Promise<SourceRecord> {
  await lockRegistry(context, args.registry);
  const id = await insertSource(context, args);
  await applyVisibility(context, args.registry);
  return requireSource(context, id);
}

/** Replaces the given values; NOT_FOUND, CONFLICT when the registry has another source of the new URL. Gives the changed source. */
export async function changeSource(context: CommandContext, args: { id: number; values: Partial<SourceValues> }): Promise<SourceRecord> {
  const before = await requireSource(context, args.id);
  await lockRegistry(context, before.registry);
  const values: SourceValues = { ...before, ...args.values };
  if (values.url !== before.url) await requireFreeUrl(context, before.registry, values.url);
  await context.trx
    .updateTable('source')
    .set({ ...sourceColumns(values), updated_at_ms: context.nowMs })
    .where('id', '=', args.id)
    .execute();
  await applyVisibility(context, before.registry);
  return requireSource(context, args.id);
}

/** NOT_FOUND. Gives what was removed. */
export async function removeSource(context: CommandContext, args: { id: number }): Promise<SourceRecord> {
  const before = await requireSource(context, args.id);
  await context.trx.deleteFrom('source').where('id', '=', args.id).execute();
  return before;
}

/**
 * Gives the sources of a registry new priorities: first those named, in their order, then the others as they stood. NOT_FOUND; BAD_REQUEST for an id
 * that is named twice or is of no source of it.
 */
export async function orderSources(context: CommandContext, args: { registry: string; ids: readonly number[] }): Promise<void> {
  await lockRegistry(context, args.registry);
  const known = (await listSources(context.trx, args.registry)).map((source) => source.id);
  const named = new Set(args.ids);
  const strange = args.ids.find((id) => !known.includes(id));
  if (strange !== undefined) throw new OciError('BAD_REQUEST', `${args.registry} has no source with the id ${strange}`);
  if (named.size !== args.ids.length) throw new OciError('BAD_REQUEST', 'the order names a source twice');
  for (const [index, id] of [...args.ids, ...known.filter((id) => !named.has(id))].entries()) {
    await context.trx
      .updateTable('source')
      .set({ priority: (index + 1) * orderStep, updated_at_ms: context.nowMs })
      .where('id', '=', id)
      .execute();
  }
}

/** Without a check of its existence. */
export async function insertRegistry({ trx, nowMs }: CommandContext, registry: Omit<NewRegistry, 'sources'>): Promise<void> {
  const { count } = await trx
    .selectFrom('source_registry')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  if (Number(count) >= registriesMax) throw new OciError('BAD_REQUEST', `there are ${registriesMax} registries already; remove one first`);
  await trx
    .insertInto('source_registry')
    .values({
      name: registry.name,
      is_public: registry.isPublic === undefined ? null : registry.isPublic ? 1 : 0,
      is_restricted: 0,
      origin: registry.origin,
      created_at_ms: nowMs,
      updated_at_ms: nowMs,
    })
    .execute();
  const type = registry.name === 'docker.io' ? 'docker-hub' : 'docker-registry';
  await trx.insertInto('registry_entry').values({ registry: registry.name, title: null, type, description: '' }).execute();
}

/** Gives the id. The registry must exist and be locked. */
export async function insertSource(
  context: CommandContext,
  args: { registry: string; origin: SourceOrigin; values: SourceValues },
): Promise<number> {
  const { trx, nowMs } = context;
  await requireFreeUrl(context, args.registry, args.values.url);
  const { length } = await trx.selectFrom('source').select('id').where('registry', '=', args.registry).execute();
  if (length >= sourcesPerRegistryMax)
    throw new OciError('BAD_REQUEST', `${args.registry} has ${sourcesPerRegistryMax} sources already; remove one first`);
  const row = await trx
    .insertInto('source')
    .values({ registry: args.registry, ...sourceColumns(args.values), origin: args.origin, created_at_ms: nowMs, updated_at_ms: nowMs })
    .returning('id')
    .executeTakeFirstOrThrow();
  return row.id;
}

/**
 * The mirror project of a registry, made when absent, with the visibility that its sources allow. Credentials make a registry restricted and
 * taking them away does not undo that (the content they opened is still there): only the operator's word does.
 */
export async function applyVisibility(context: CommandContext, name: string): Promise<void> {
  const { trx } = context;
  const registry = await trx.selectFrom('source_registry').selectAll().where('name', '=', name).executeTakeFirstOrThrow();
  const hasCredentials = (await listSources(trx, name)).some((source) => source.credentials.length > 0);
  const isRestricted = hasCredentials || registry.is_restricted === 1;
  if (isRestricted !== (registry.is_restricted === 1))
    await trx.updateTable('source_registry').set({ is_restricted: 1 }).where('name', '=', name).execute();
  await ensureMirrorProject(context, { registry: name, isPublic: registry.is_public === null ? !isRestricted : registry.is_public === 1 });
}

/** NOT_FOUND. Two commands on one registry never run side by side. */
async function lockRegistry({ trx, dialect }: CommandContext, name: string): Promise<void> {
  let find = trx.selectFrom('source_registry').select('name').where('name', '=', name);
  if (dialect === 'postgres') find = find.forUpdate();
  if ((await find.executeTakeFirst()) === undefined)
    throw new OciError('NOT_FOUND', `there is no registry named ${name}; make it first, or see which there are with GET /registries`);
}

async function requireSource({ trx }: CommandContext, id: number): Promise<SourceRecord> {
  const found = await findSource(trx, id);
  if (found === undefined) throw new OciError('NOT_FOUND', `there is no source with the id ${id}`);
  return found;
}

async function requireFreeUrl({ trx }: CommandContext, registry: string, url: string): Promise<void> {
  const found = await findSourceByUrl(trx, registry, url);
  if (found !== undefined)
    throw new OciError('CONFLICT', `${registry} has the source ${url} already, with the id ${found.id}`, { detail: { id: found.id } });
}
