// `breakwater repository|artifact|tag ...`: what the registry holds, through the admin API of a running server. An image is written as it is
// pulled, without the host: `team-a/web/app:1.0`, `team-a/web/app@sha256:...`.

import { z } from 'zod';
import { type ArtifactBody, artifactSchema, repositorySchema, tagSchema } from '../api/artifact-schemas.ts';
import { type ApiClient, createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatBytes, formatTable, plain } from './text.ts';

export interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface ListOptions extends OutputOptions {
  readonly limit: string;
  readonly search?: string;
}
export interface RepositoryListOptions extends ListOptions {
  readonly project?: string;
}

const pageSize = 100;
const limitMax = 100_000;

/** JSON: the list as the API gives it. */
export async function listRepositories(options: RepositoryListOptions, terminal: Terminal): Promise<void> {
  const path = options.project === undefined ? '/repositories' : `/projects/${encodeURIComponent(options.project)}/repositories`;
  const query = { sort: 'name', ...searchQuery('name', options.search) };
  const { items, raw, isCut } = await readList(await connect(options, terminal), repositorySchema, {
    path,
    query,
    limit: readLimit(options),
  });
  await warnOfMore(isCut, options, terminal);
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = items.map((item) => [
    item.name,
    String(item.artifact_count),
    String(item.pull_count),
    item.update_time.slice(0, 10),
    plain(item.description.split('\n')[0] ?? '').slice(0, 60),
  ]);
  await terminal.write(formatTable([['NAME', 'ARTIFACTS', 'PULLS', 'CHANGED', 'DESCRIPTION'], ...rows]));
}

/** JSON: the repository as the API gives it. */
export async function showRepository(name: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = await connect(options, terminal);
  const { value, raw } = await client.read(repositorySchema, { method: 'GET', path: repositoryPath(name) });
  if (options.json === true) return terminal.write(toJson(raw));
  await terminal.write(
    formatTable([
      ['name', value.name],
      ['id', String(value.id)],
      ['artifacts', String(value.artifact_count)],
      ['pulls', String(value.pull_count)],
      ['created', value.creation_time],
      ['changed', value.update_time],
      ['description', plain(value.description)],
    ]),
  );
}

/** JSON: `{deleted}`. */
export async function deleteRepository(name: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  // A large repository goes in many small steps.
  const client = createApiClient(await resolveConnection(options, terminal), { timeoutMs: 15 * 60_000 });
  await client.send({ method: 'DELETE', path: repositoryPath(name) });
  await terminal.write(options.json === true ? toJson({ deleted: name }) : `deleted ${name} with all it held\n`);
}

/** JSON: the list as the API gives it. */
export async function listArtifacts(name: string, options: ListOptions, terminal: Terminal): Promise<void> {
  const query = searchQuery('tags', options.search);
  const wish = { path: `${repositoryPath(name)}/artifacts`, query, limit: readLimit(options) };
  const { items, raw, isCut } = await readList(await connect(options, terminal), artifactSchema, wish);
  await warnOfMore(isCut, options, terminal);
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = items.map((item) => [
    item.digest.slice(0, 19),
    item.type,
    formatBytes(item.size),
    item.push_time.slice(0, 16).replace('T', ' '),
    tagsOf(item),
  ]);
  await terminal.write(formatTable([['DIGEST', 'TYPE', 'SIZE', 'PUSHED', 'TAGS'], ...rows]));
}

/** JSON: the artifact as the API gives it, with labels and accessories. */
export async function showArtifact(image: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = await connect(options, terminal);
  const query = { with_label: 'true', with_accessory: 'true' };
  const { value, raw } = await client.read(artifactSchema, { method: 'GET', path: artifactPath(image), query });
  if (options.json === true) return terminal.write(toJson(raw));
  const attributes = value.extra_attrs ?? {};
  const platform = [attributes['os'], attributes['architecture']].filter((part) => typeof part === 'string').join('/');
  await terminal.write(
    formatTable([
      ['repository', value.repository_name],
      ['digest', value.digest],
      ['type', value.type],
      ['media type', value.media_type],
      ['size', formatBytes(value.size)],
      ['pushed', value.push_time],
      ['pulled', value.pull_time.startsWith('0001-') ? 'never' : value.pull_time],
      ['tags', tagsOf(value)],
      ...(platform === '' ? [] : [['platform', plain(platform)]]),
      ...(value.references ?? []).map((reference) => [
        'child',
        `${reference.child_digest} ${plain([reference.platform?.os, reference.platform?.architecture, reference.platform?.variant].filter(Boolean).join('/'))}`,
      ]),
      ...(value.accessories ?? []).map((accessory) => ['accessory', `${accessory.digest} ${accessory.type}`]),
      ...(value.labels ?? []).map((label) => ['label', plain(label.name)]),
    ]),
  );
}

/** JSON: `{deleted}`. */
export async function deleteArtifact(image: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  await (await connect(options, terminal)).send({ method: 'DELETE', path: artifactPath(image) });
  await terminal.write(options.json === true ? toJson({ deleted: image }) : `deleted ${image}, with its tags and accessories\n`);
}

/** JSON: `{copied, to}`. */
export async function copyArtifact(image: string, repository: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  parseImage(image);
  const client = await connect(options, terminal);
  await client.send({ method: 'POST', path: `${repositoryPath(repository)}/artifacts`, query: { from: image } });
  await terminal.write(options.json === true ? toJson({ copied: image, to: repository }) : `copied ${image} to ${repository}\n`);
}

/** JSON: the list as the API gives it. */
export async function listTags(image: string, options: ListOptions, terminal: Terminal): Promise<void> {
  const wish = { path: `${artifactPath(image)}/tags`, query: searchQuery('name', options.search), limit: readLimit(options) };
  const { items, raw, isCut } = await readList(await connect(options, terminal), tagSchema, wish);
  await warnOfMore(isCut, options, terminal);
  if (options.json === true) return terminal.write(toJson(raw));
  const time = (text: string): string => (text.startsWith('0001-') ? '-' : text.slice(0, 16).replace('T', ' '));
  const rows = items.map((item) => [item.name, time(item.push_time), time(item.pull_time)]);
  await terminal.write(formatTable([['TAG', 'PUSHED', 'PULLED'], ...rows]));
}

/** JSON: `{tagged, tag}`. */
export async function addTag(image: string, tag: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  await (await connect(options, terminal)).send({ method: 'POST', path: `${artifactPath(image)}/tags`, body: { name: tag } });
  await terminal.write(options.json === true ? toJson({ tagged: image, tag }) : `tagged ${image} as ${tag}\n`);
}

/** JSON: `{deleted}`. */
export async function deleteTag(image: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const { reference } = parseImage(image);
  if (reference.includes(':')) throw new CommandFailure('name a tag, not a digest: team-a/app:1.0', { exitCode: 2 });
  const path = `${artifactPath(image)}/tags/${encodeURIComponent(reference)}`;
  await (await connect(options, terminal)).send({ method: 'DELETE', path });
  await terminal.write(options.json === true ? toJson({ deleted: image }) : `removed the tag ${image}; what it pointed to stays\n`);
}

async function connect(options: ConnectionOptions, terminal: Terminal): Promise<ApiClient> {
  return createApiClient(await resolveConnection(options, terminal));
}

interface ListRequest {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly limit: number;
}

async function readList<T>(client: ApiClient, schema: z.ZodType<T>, { path, query, limit }: ListRequest) {
  const items: T[] = [];
  const raw: unknown[] = [];
  for (let page = 1; ; page++) {
    const request = { method: 'GET', path, query: { ...query, page: String(page), page_size: String(pageSize) } } as const;
    const answer = await client.read(z.array(schema), request);
    items.push(...answer.value);
    raw.push(...(answer.raw as unknown[]));
    const isLast = answer.value.length < pageSize;
    if (isLast || items.length >= limit)
      return { items: items.slice(0, limit), raw: raw.slice(0, limit), isCut: items.length > limit || !isLast };
  }
}

async function warnOfMore(isCut: boolean, options: ListOptions, terminal: Terminal): Promise<void> {
  if (isCut) await terminal.warn(`only the first ${options.limit}; --limit gives more\n`);
}

function readLimit({ limit }: ListOptions): number {
  const value = /^\d{1,6}$/.test(limit) ? Number(limit) : 0;
  if (value < 1 || value > limitMax) throw new CommandFailure(`--limit is a number from 1 to ${limitMax}`, { exitCode: 2 });
  return value;
}

/** A comma begins another condition in the API's grammar. */
function searchQuery(field: string, text: string | undefined): Record<string, string> {
  if (text === undefined) return {};
  if (text === '' || text.includes(',')) throw new CommandFailure('--search is a part of a name, without commas', { exitCode: 2 });
  return { q: `${field}=~${text}` };
}

/** `project/repository` -> the path below it, slashes encoded twice. */
function repositoryPath(name: string): string {
  const at = name.indexOf('/');
  if (at < 1 || at === name.length - 1)
    throw new CommandFailure(`${JSON.stringify(name)} is no repository`, { hint: 'name it with its project: team-a/web/app', exitCode: 2 });
  return `/projects/${encodeURIComponent(name.slice(0, at))}/repositories/${encodeURIComponent(encodeURIComponent(name.slice(at + 1)))}`;
}

function artifactPath(image: string): string {
  const { repository, reference } = parseImage(image);
  return `${repositoryPath(repository)}/artifacts/${encodeURIComponent(reference)}`;
}

function parseImage(image: string): { readonly repository: string; readonly reference: string } {
  const at = image.includes('@') ? image.indexOf('@') : image.lastIndexOf(':');
  if (at < 1 || at === image.length - 1 || image.indexOf('/') > at)
    throw new CommandFailure(`${JSON.stringify(image)} is no image`, { hint: 'team-a/web/app:1.0, or with @sha256:...', exitCode: 2 });
  return { repository: image.slice(0, at), reference: image.slice(at + 1) };
}

function tagsOf(item: ArtifactBody): string {
  const shown = (item.tags ?? []).slice(0, 5).map((tag) => tag.name);
  if (item.tag_count === 0) return '-';
  return item.tag_count > shown.length ? `${shown.join(', ')} and ${item.tag_count - shown.length} more` : shown.join(', ');
}
