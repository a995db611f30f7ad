// The sources of the configuration as seeds of the rows. Each entry is known by a hash of what was written; at each boot
//   an entry that was not there before         -> its row is made, or taken over when it exists
//   an entry with another hash                 -> the file wins over what was changed since
//   an entry with the same hash                -> nothing: what was changed or deleted while running stays so
//   an entry that is gone from the file        -> its row goes, unless it was made while running
//   of a preset with another hash, only what a person does not decide is taken over
// A registry itself is such an entry too, with the URL ''.

import type { CommandContext } from './context.ts';
import type { SourceOrigin } from './schema.ts';
import { applyVisibility, insertRegistry, insertSource } from './source-commands.ts';
import { findSourceByUrl, type SourceDetails, type SourceRecord, type SourceValues, sourceColumns } from './sources.ts';

export interface SeedRegistry {
  readonly name: string;
  readonly isPublic?: boolean;
  readonly origin: Exclude<SourceOrigin, 'api'>;
  /** Of the registry's own settings, without its sources. */
  readonly hash: string;
  /** How the same entry was hashed before: it counts as unchanged. */
  readonly formerHash?: string;
  readonly sources: readonly (SourceValues & { readonly hash: string; readonly formerHash?: string })[];
}

/** `REGISTRY URL` of each row that was touched. */
export interface SeedReport {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

interface Work {
  readonly context: CommandContext;
  readonly known: Map<string, string>;
  readonly added: string[];
  readonly changed: string[];
  readonly removed: string[];
}

/** Brings the rows in line with the configuration, by the rules above. */
export async function reconcileSources(context: CommandContext, args: { registries: readonly SeedRegistry[] }): Promise<SeedReport> {
  const seeds = await context.trx.selectFrom('source_seed').selectAll().execute();
  const work: Work = {
    context,
    known: new Map(seeds.map((seed) => [keyOf(seed.registry, seed.url), seed.hash])),
    added: [],
    changed: [],
    removed: [],
  };
  for (const registry of args.registries) {
    await renewHash(work, { registry: registry.name, url: '', hash: registry.hash, formerHash: registry.formerHash });
    for (const { url, hash, formerHash } of registry.sources) await renewHash(work, { registry: registry.name, url, hash, formerHash });
  }
  for (const registry of args.registries) await plantRegistry(work, registry);
  await removeGone(work, args.registries, seeds);
  return { added: work.added, changed: work.changed, removed: work.removed };
}

async function plantRegistry(work: Work, registry: SeedRegistry): Promise<void> {
  const { context, known } = work;
  const { trx, nowMs } = context;
  const isOwnNew = known.get(keyOf(registry.name, '')) !== registry.hash;
  const fresh = registry.sources.filter((source) => known.get(keyOf(registry.name, source.url)) !== source.hash);
  const before = await trx.selectFrom('source_registry').select('name').where('name', '=', registry.name).executeTakeFirst();
  if (!isOwnNew && fresh.length === 0) {
    if (before !== undefined) await applyVisibility(context, registry.name);
    return;
  }
  const { name, origin } = registry;
  if (before === undefined)
    await insertRegistry(context, { name, origin, ...(registry.isPublic === undefined ? {} : { isPublic: registry.isPublic }) });
  const isPublic = registry.isPublic === undefined ? null : registry.isPublic ? 1 : 0;
  // The file was changed: whether its sources have credentials is decided anew below.
  await trx
    .updateTable('source_registry')
    .set({ origin, is_restricted: 0, updated_at_ms: nowMs, ...(isOwnNew ? { is_public: isPublic } : {}) })
    .where('name', '=', name)
    .execute();
  if (isOwnNew) await keepSeed(context, { registry: name, url: '', hash: registry.hash });
  for (const { hash, formerHash: _former, ...values } of fresh) {
    const found = await findSourceByUrl(trx, name, values.url);
    if (found === undefined) await insertSource(context, { registry: name, origin, values });
    else {
      await trx
        .updateTable('source')
        .set({
          ...(origin === 'preset' && found.origin === 'preset' ? refreshedPreset(found, values) : sourceColumns(values)),
          origin,
          updated_at_ms: nowMs,
        })
        .where('id', '=', found.id)
        .execute();
    }
    await keepSeed(context, { registry: name, url: values.url, hash });
    (found === undefined ? work.added : work.changed).push(keyOf(name, values.url));
  }
  await applyVisibility(context, name);
}

/** Newer presets say where a source's token service is and who runs it; what a person set (on or off, place, trust, login, limits) stays. */
function refreshedPreset(found: SourceRecord, values: SourceValues) {
  const { realms, scope, operator, limits } = values.details;
  const details: SourceDetails = {
    ...found.details,
    // A login goes where a person let it go, and nowhere else.
    ...(found.credentials.length > 0 ? {} : { realms }),
    ...(scope === undefined ? {} : { scope }),
    ...(operator === undefined ? {} : { operator }),
    ...(limits === undefined || found.details.limits !== undefined ? {} : { limits }),
  };
  return { details: JSON.stringify(details) };
}

async function removeGone(
  work: Work,
  registries: readonly SeedRegistry[],
  seeds: readonly { readonly registry: string; readonly url: string }[],
): Promise<void> {
  const { trx } = work.context;
  const there = new Set(registries.flatMap(({ name, sources }) => [keyOf(name, ''), ...sources.map((source) => keyOf(name, source.url))]));
  const gone = seeds.filter((seed) => !there.has(keyOf(seed.registry, seed.url)));
  for (const { registry, url } of gone) {
    await trx.deleteFrom('source_seed').where('registry', '=', registry).where('url', '=', url).execute();
    if (url === '') continue;
    const found = await findSourceByUrl(trx, registry, url);
    if (found === undefined || found.origin === 'api') continue;
    await trx.deleteFrom('source').where('id', '=', found.id).execute();
    work.removed.push(keyOf(registry, url));
  }
  for (const { registry } of gone.filter((seed) => seed.url === '')) await leaveRegistry(work.context, registry);
  // A mirror that lost its last source with credentials in the file is judged anew.
  for (const name of new Set(gone.map((seed) => seed.registry))) {
    if (!registries.some((registry) => registry.name === name)) continue;
    await trx.updateTable('source_registry').set({ is_restricted: 0 }).where('name', '=', name).execute();
    const isThere = await trx.selectFrom('source_registry').select('name').where('name', '=', name).executeTakeFirst();
    if (isThere !== undefined) await applyVisibility(work.context, name);
  }
}

/** A registry that the file no longer has goes with its last source; one that was given others while running is kept as made there. */
async function leaveRegistry({ trx, nowMs }: CommandContext, name: string): Promise<void> {
  const left = await trx.selectFrom('source').select('id').where('registry', '=', name).limit(1).executeTakeFirst();
  if (left === undefined) {
    await trx.deleteFrom('source_registry').where('name', '=', name).where('origin', '<>', 'api').execute();
    return;
  }
  await trx.updateTable('source_registry').set({ origin: 'api', updated_at_ms: nowMs }).where('name', '=', name).execute();
}

async function renewHash(
  { context, known }: Work,
  seed: { registry: string; url: string; hash: string; formerHash?: string | undefined },
): Promise<void> {
  const { registry, url, hash, formerHash } = seed;
  if (formerHash === undefined || known.get(keyOf(registry, url)) !== formerHash) return;
  await keepSeed(context, { registry, url, hash });
  known.set(keyOf(registry, url), hash);
}

async function keepSeed({ trx }: CommandContext, seed: { registry: string; url: string; hash: string }): Promise<void> {
  await trx
    .insertInto('source_seed')
    .values(seed)
    .onConflict((conflict) => conflict.columns(['registry', 'url']).doUpdateSet({ hash: seed.hash }))
    .execute();
}

function keyOf(registry: string, url: string): string {
  return `${registry} ${url}`;
}
