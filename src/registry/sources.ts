// Registries and their sources while the server runs: reading them, changing them in the database, and giving them to the pool. Changes run one
// after the other, so that the pool never falls behind the rows. Rights were decided by the caller (the API's policy table).

import type { Secrets } from '../auth/master-key.ts';
import type { ApiCredentialsConfig, SourceConfig } from '../config/config.ts';
import type { SourceChange } from '../config/source-entry.ts';
import type { Database } from '../db/database.ts';
import type { RegistryWords } from '../db/source-commands.ts';
import type { SeedRegistry, SeedReport } from '../db/source-seeds.ts';
import { findSource, listSourceRegistries, listSources, type RegistryRecord, type SourceRecord } from '../db/sources.ts';
import type { Sealer } from '../lib/seal.ts';
import { OciError } from '../oci/errors.ts';
import type { CredentialSource } from '../upstream/credentials.ts';
import type { SourceSnapshot } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { requirePermitted } from './credential-permission.ts';
import { canonicalRegistry } from './names.ts';
import type { SourcePool } from './source-pool.ts';
import type { SourceTestReport } from './source-test.ts';
import { changedValues, createCredentials, sourceKey, toSource, toValues } from './source-values.ts';

export interface SourceView {
  readonly record: SourceRecord;
  /** How it does; of a disabled one: nothing yet. */
  readonly snapshot: SourceSnapshot;
}
export interface RegistryView extends RegistryRecord {
  /** Those that may be asked in the order in which they would be asked now, then the disabled ones. */
  readonly sources: readonly SourceView[];
}
export interface ChangedSource extends SourceView {
  /** What the administrator should know, e.g. that the mirror is no longer public. */
  readonly warnings: readonly string[];
}

/** All of them throw OciError: NOT_FOUND, CONFLICT (with `detail.id` for a source that exists), BAD_REQUEST. */
export interface Sources {
  /** By name of the registry. From memory: asks no database. */
  list(): readonly RegistryView[];
  get(id: number): SourceView;
  add(registry: string, source: SourceConfig): Promise<ChangedSource>;
  /** What `change` names of it. */
  change(id: number, change: SourceChange): Promise<ChangedSource>;
  remove(id: number): Promise<void>;
  /** Priorities in the order of the ids; the other sources of the registry follow as they stood. */
  order(registry: string, ids: readonly number[]): Promise<RegistryView>;
  addRegistry(wish: { name: string; isPublic?: boolean; sources: readonly SourceConfig[]; words?: RegistryWords }): Promise<RegistryView>;
  /** What it is called and what it is. */
  describeRegistry(name: string, words: RegistryWords): Promise<RegistryView>;
  /** Undefined: public unless a source has, or had, credentials. */
  changeRegistry(name: string, isPublic: boolean | undefined): Promise<RegistryView>;
  /** CONFLICT while its mirror holds content, unless forced; then that content stays and is served. */
  removeRegistry(name: string, force: boolean): Promise<void>;
  /** Brings the rows in line with what the configuration and the presets say now; all of it, what is left out goes. */
  reseed(registries: readonly SeedRegistry[]): Promise<SeedReport>;
  test(id: number): Promise<SourceTestReport>;
  /** Of a source that is kept nowhere. */
  testUnsaved(registry: string, source: SourceConfig): Promise<SourceTestReport>;
}

export interface SourcesOptions {
  readonly database: Database;
  readonly pool: SourcePool;
  /** Projects were changed. */
  readonly forgetProjects: () => void;
  readonly test: (source: Source) => Promise<SourceTestReport>;
  readonly apiCredentials: ApiCredentialsConfig;
  readonly secrets: Secrets;
}

interface Held {
  readonly record: SourceRecord;
  readonly credentials: readonly CredentialSource[];
}

/** Reads all rows and gives them to the pool. */
export async function openSources(options: SourcesOptions): Promise<Sources> {
  const { database, pool, apiCredentials } = options;
  const { sealer } = options.secrets;
  let registries: readonly RegistryRecord[] = [];
  let held = new Map<number, Held>();
  let turn: Promise<unknown> = Promise.resolve();

  const refresh = async (): Promise<void> => {
    registries = await listSourceRegistries(database.read);
    const next = new Map<number, Held>();
    for (const record of await listSources(database.read)) next.set(record.id, hold(record, held.get(record.id), sealer));
    held = next;
    for (const { name, isRestricted } of registries) {
      const enabled = [...held.values()].filter(({ record }) => record.registry === name && record.isEnabled);
      const sources = enabled.map(({ record, credentials }) => toSource(name, record, credentials));
      if (!isSame(pool.sourcesOf(name), sources) || !pool.names.has(name)) pool.replace(name, sources, { isRestricted });
    }
    for (const name of pool.registries()) if (!registries.some((registry) => registry.name === name)) pool.remove(name);
    options.forgetProjects();
  };
  /** Runs a change when those before it are in the pool, and brings it there; also after a failure, which may have come after the commit. */
  const changing = <T>(run: () => Promise<T>): Promise<T> => {
    const mine = turn.then(async () => {
      try {
        return await run();
      } finally {
        await refresh();
      }
    });
    turn = mine.catch(() => undefined);
    return mine;
  };

  const view = (record: SourceRecord): SourceView => ({ record, snapshot: pool.health.snapshot(sourceKey(record.registry, record.url)) });
  const viewRegistry = (registry: RegistryRecord): RegistryView => {
    const own = [...held.values()].filter(({ record }) => record.registry === registry.name);
    const ranks = new Map(pool.health.rank(pool.sourcesOf(registry.name)).map((source, index) => [source.id, index]));
    const rank = ({ record }: Held): number => ranks.get(sourceKey(record.registry, record.url)) ?? ranks.size;
    return { ...registry, sources: own.toSorted((one, other) => rank(one) - rank(other)).map(({ record }) => view(record)) };
  };
  const requireHeld = (id: number): Held => {
    const found = held.get(id);
    if (found === undefined) throw new OciError('NOT_FOUND', `there is no source with the id ${id}`);
    return found;
  };
  const requireRegistry = (name: string): RegistryRecord => {
    const found = registries.find((registry) => registry.name === name);
    if (found === undefined) throw new OciError('NOT_FOUND', `there is no registry named ${name}; make it first`);
    return found;
  };
  /** What became of the mirror's visibility. */
  const withWarnings = async (registry: string, run: () => Promise<SourceRecord>): Promise<ChangedSource> => {
    const wasRestricted = registries.find(({ name }) => name === registry)?.isRestricted ?? false;
    const record = await changing(run);
    const after = registries.find(({ name }) => name === registry);
    const warnings =
      !wasRestricted && after?.isRestricted === true && after.isPublic === undefined
        ? [
            `the mirror of ${registry} can no longer be pulled from without a login, because what credentials open is not for everybody; to make it public all the same: breakwater sources public ${registry} yes`,
          ]
        : [];
    return { ...view(record), warnings };
  };

  /** Under a name of its own: what a wrong password or a source that is off does in a test says nothing of the source that is asked by pulls. */
  const testApart = async (source: Source): Promise<SourceTestReport> => {
    const apart: Source = { ...source, id: `test ${source.id}` };
    try {
      return await options.test(apart);
    } finally {
      pool.health.forget(apart.id);
    }
  };

  await refresh();
  return {
    list: () => registries.map(viewRegistry),
    get: (id) => view(requireHeld(id).record),
    add: async (name, source) => {
      const registry = canonicalRegistry(name);
      const values = toValues(registry, source, sealer);
      requirePermitted(values.credentials, apiCredentials);
      return withWarnings(registry, () => database.run('addSource', { registry, origin: 'api', values }));
    },
    change: async (id, change) => {
      const { registry } = requireHeld(id).record;
      return withWarnings(registry, async () => {
        const before = await findSource(database.read, id);
        if (before === undefined) throw new OciError('NOT_FOUND', `there is no source with the id ${id}`);
        const values = changedValues(before, change, sealer);
        if (values.credentials !== undefined) requirePermitted(values.credentials, apiCredentials);
        return database.run('changeSource', { id, values });
      });
    },
    remove: async (id) => {
      await changing(() => database.run('removeSource', { id }));
    },
    order: async (given, ids) => {
      const registry = canonicalRegistry(given);
      await changing(() => database.run('orderSources', { registry, ids }));
      return viewRegistry(requireRegistry(registry));
    },
    addRegistry: async ({ name, isPublic, sources, words }) => {
      if (canonicalRegistry(name) !== name) throw new OciError('BAD_REQUEST', `${name} is another name of ${canonicalRegistry(name)}`);
      const values = sources.map((source) => toValues(name, source, sealer));
      for (const { credentials } of values) requirePermitted(credentials, apiCredentials);
      await changing(() =>
        database.run('addRegistry', {
          name,
          origin: 'api',
          sources: values,
          ...(isPublic === undefined ? {} : { isPublic }),
          ...(words === undefined ? {} : { words }),
        }),
      );
      return viewRegistry(requireRegistry(name));
    },
    describeRegistry: async (name, words) => {
      await changing(() => database.run('describeRegistry', { name, words }));
      return viewRegistry(requireRegistry(name));
    },
    changeRegistry: async (given, isPublic) => {
      const name = canonicalRegistry(given);
      await changing(() => database.run('changeRegistry', { name, ...(isPublic === undefined ? {} : { isPublic }) }));
      return viewRegistry(requireRegistry(name));
    },
    removeRegistry: (name, force) => changing(() => database.run('removeRegistry', { name: canonicalRegistry(name), force })),
    reseed: (wanted) => changing(() => database.run('reconcileSources', { registries: wanted })),
    test: async (id) => {
      const { record, credentials } = requireHeld(id);
      return testApart(toSource(record.registry, record, credentials));
    },
    testUnsaved: async (name, source) => {
      const registry = canonicalRegistry(name);
      const values = toValues(registry, source, sealer);
      requirePermitted(values.credentials, apiCredentials);
      return testApart(toSource(registry, values, createCredentials({ registry, url: values.url }, values.credentials, sealer)));
    },
  };
}

/** The logins stay the same objects, with what they cache, while nothing of them changed. */
function hold(record: SourceRecord, before: Held | undefined, sealer: Sealer): Held {
  const isSameLogin =
    before !== undefined &&
    before.record.url === record.url &&
    JSON.stringify(before.record.credentials) === JSON.stringify(record.credentials);
  return { record, credentials: isSameLogin ? before.credentials : createCredentials(record, record.credentials, sealer) };
}

function isSame(before: readonly Source[], after: readonly Source[]): boolean {
  return (
    before.length === after.length &&
    before.every((source, index) => {
      const other = after[index];
      // Logins are compared as objects, the rest as values.
      return (
        other !== undefined &&
        source.credentials === other.credentials &&
        JSON.stringify({ ...source, credentials: 0 }) === JSON.stringify({ ...other, credentials: 0 })
      );
    })
  );
}
