// `breakwater sources add|set|enable|disable|remove|order`: changes of a running server, through its admin API.

import { registrySchema } from '../api/registry-schemas.ts';
import { changedSourceSchema, type SourceDetail, sourceDetailSchema, sourceTestSchema } from '../api/source-schemas.ts';
import { type ApiClient, ApiFailure, createApiClient } from './client.ts';
import { resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import type { OutputOptions } from './project.ts';
import { type AddOptions, type SettingOptions, settingsOf } from './source-options.ts';
import { type PickedSource, pickSources, readSources } from './source-pick.ts';
import { formatTest, testTimeoutMs } from './source-tests.ts';
import { type Terminal, toJson } from './terminal.ts';
import { plain } from './text.ts';

export interface PickOptions extends OutputOptions {
  readonly registry?: string;
}
export interface ChangeOptions extends SettingOptions {
  readonly registry?: string;
  readonly moveTo?: string;
  readonly unset?: string;
}
export interface RemoveOptions extends PickOptions {
  readonly force?: boolean;
}

const removable: ReadonlySet<string> = new Set(['proxy', 'credentials', 'tls', 'limits', 'scope', 'operator']);

/** JSON: `{source, test}`; `test` is null when none was made. A test that fails is a warning. */
export async function addSource(url: string, options: AddOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal), { timeoutMs: testTimeoutMs });
  const entry = { url, ...settingsOf(options), ...(options.disabled === true ? { enabled: false } : {}) };
  const source = await addEntry(client, entry, options);
  await warnAll(source.warnings, terminal);
  const test = options.test
    ? (await client.read(sourceTestSchema, { method: 'POST', path: `/sources/${source.id}/test`, body: {} })).value
    : undefined;
  if (test?.ok === false) await terminal.warn(`warning: ${plain(source.url)} was added, but did not pass its test\n`);
  const { warnings: _, ...shown } = source;
  if (options.json === true) await terminal.write(toJson({ source: shown, test: test ?? null }));
  else await terminal.write(`added the source ${describe(source)}\n${test === undefined ? '' : formatTest(test)}`);
}

async function addEntry(
  client: ApiClient,
  entry: object,
  options: AddOptions,
): Promise<SourceDetail & { readonly warnings: readonly string[] }> {
  const { registry } = options;
  if (options.newRegistry === true) {
    const { value } = await client.read(registrySchema, {
      method: 'POST',
      path: '/registries',
      body: { name: registry, sources: [entry] },
    });
    const [made] = value.sources;
    if (made === undefined) throw new CommandFailure(`the server made the registry ${registry} without its source`);
    return { ...(await client.read(sourceDetailSchema, { method: 'GET', path: `/sources/${made.id}` })).value, warnings: [] };
  }
  try {
    return (await client.read(changedSourceSchema, { method: 'POST', path: '/sources', body: { registry, ...entry } })).value;
  } catch (error) {
    if (!(error instanceof ApiFailure && error.code === 'NOT_FOUND')) throw error;
    throw new CommandFailure(error.message, { hint: 'to mirror another registry, add --new-registry', cause: error });
  }
}

/** JSON: the source. */
export async function changeSource(word: string, options: ChangeOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const [source] = pickSources([word], await readSources(client, options.registry));
  if (source === undefined) return;
  const { value: before } = await client.read(sourceDetailSchema, { method: 'GET', path: `/sources/${source.id}` });
  const body = {
    ...settingsOf(options, before.settings),
    ...(options.moveTo === undefined ? {} : { url: options.moveTo }),
    ...Object.fromEntries(namesOf(options.unset).map((name) => [name, null])),
  };
  if (Object.keys(body).length === 0)
    throw new CommandFailure('nothing is to be changed', { hint: 'name a setting, see --help', exitCode: 2 });
  const { warnings, ...after } = await patch(client, source.id, body);
  await warnAll(warnings, terminal);
  await terminal.write(options.json === true ? toJson(after) : `changed the source ${describe(after)}\n`);
}

/** JSON: the list of the sources. */
export async function setEnabled(words: readonly string[], enabled: boolean, options: PickOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const sources: SourceDetail[] = [];
  for (const { id } of pickSources(words, await readSources(client, options.registry))) {
    const { warnings, ...source } = await patch(client, id, { enabled });
    await warnAll(warnings, terminal);
    sources.push(source);
  }
  const word = enabled ? 'enabled' : 'disabled';
  await terminal.write(
    options.json === true ? toJson(sources) : sources.map((source) => `${word} the source ${describe(source)}\n`).join(''),
  );
}

/** JSON: `{removed: [{id, registry, url}]}`, or `{removedRegistry}` for a whole one. */
export async function removeSources(words: readonly string[], options: RemoveOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { registry } = options;
  if (words.length === 0) {
    if (registry === undefined)
      throw new CommandFailure('nothing is to be removed', { hint: 'name a source, or --registry for all of one', exitCode: 2 });
    const path = `/registries/${encodeURIComponent(registry)}`;
    await client.send({ method: 'DELETE', path, query: { force: options.force === true ? 'true' : 'false' } });
    await terminal.write(options.json === true ? toJson({ removedRegistry: registry }) : `removed the registry ${plain(registry)}\n`);
    return;
  }
  const picked = pickSources(words, await readSources(client, registry));
  for (const { id } of picked) await client.send({ method: 'DELETE', path: `/sources/${id}` });
  const removed = picked.map(({ id, registry: of, url }) => ({ id, registry: of, url }));
  await terminal.write(
    options.json === true ? toJson({ removed }) : picked.map((source) => `removed the source ${describe(source)}\n`).join(''),
  );
}

/** JSON: the registry. */
export async function orderSources(registry: string, words: readonly string[], options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const ids = pickSources(words, await readSources(client, registry)).map((source) => source.id);
  const path = `/registries/${encodeURIComponent(registry)}/order`;
  const { value, raw } = await client.read(registrySchema, { method: 'PUT', path, body: { ids } });
  const lines = value.sources
    .toSorted((one, other) => one.priority - other.priority)
    .map((source) => `${source.priority}  ${plain(source.url)}\n`);
  await terminal.write(options.json === true ? toJson(raw) : lines.join(''));
}

/** JSON: the registry. */
export async function setPublic(registry: string, who: 'yes' | 'no' | 'auto', options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const body = { public: who === 'auto' ? null : who === 'yes' };
  const path = `/registries/${encodeURIComponent(registry)}`;
  const { value, raw } = await client.read(registrySchema, { method: 'PATCH', path, body });
  const isPublic = value.public ?? !value.restricted;
  const text = `the mirror of ${value.name} is ${isPublic ? 'public' : 'private: a pull needs a login'}`;
  await terminal.write(options.json === true ? toJson(raw) : `${plain(text)}\n`);
}

async function patch(client: ApiClient, id: number, body: object) {
  return (await client.read(changedSourceSchema, { method: 'PATCH', path: `/sources/${id}`, body })).value;
}

function namesOf(text: string | undefined): readonly string[] {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  const wrong = names.find((name) => !removable.has(name));
  if (wrong !== undefined)
    throw new CommandFailure(`--unset: "${plain(wrong)}" cannot be taken away`, {
      hint: `expected ${[...removable].join(', ')}`,
      exitCode: 2,
    });
  return names;
}

async function warnAll(warnings: readonly string[], terminal: Terminal): Promise<void> {
  for (const warning of warnings) await terminal.warn(`warning: ${plain(warning)}\n`);
}

function describe(source: Pick<PickedSource, 'id' | 'registry' | 'url'>): string {
  return plain(`${source.id} of ${source.registry}: ${source.url}`);
}
