// `breakwater project ...`: projects of a running server, through its admin API.

import { z } from 'zod';
import { createdProjectSchema, type ProjectBody, projectSchema } from '../api/schemas.ts';
import { type ApiClient, ApiFailure, createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

export interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface CreateOptions extends OutputOptions {
  readonly kind: ProjectBody['kind'];
  readonly public?: boolean;
  readonly registry?: string;
  readonly allowSparse?: boolean;
  readonly ifAbsent?: boolean;
}
export interface SetOptions extends OutputOptions {
  readonly public?: 'yes' | 'no';
  readonly allowSparse?: 'yes' | 'no';
}
export interface DeleteOptions extends OutputOptions {
  readonly ifExists?: boolean;
}

const pageSize = 100;
const pagesMax = 1000;

/** JSON: `{created, project, warnings}`. With `ifAbsent` an existing project is fine when it is what was asked for. */
export async function createProject(name: string, options: CreateOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const wish = {
    name,
    kind: options.kind,
    public: options.public === true,
    allows_sparse: options.allowSparse === true,
    ...(options.registry === undefined ? {} : { registry: options.registry }),
  };
  try {
    const { value, raw } = await client.read(createdProjectSchema, { method: 'POST', path: '/projects', body: wish });
    const { warnings, ...project } = raw as z.infer<typeof createdProjectSchema>;
    for (const warning of warnings) await terminal.warn(`warning: ${plain(warning)}\n`);
    await terminal.write(
      options.json === true ? toJson({ created: true, project, warnings }) : `created the project ${name}: ${describe(value)}\n`,
    );
  } catch (error) {
    if (!(error instanceof ApiFailure && error.code === 'CONFLICT' && options.ifAbsent === true)) throw error;
    const { value, raw } = await client.read(projectSchema, { method: 'GET', path: `/projects/${encodeURIComponent(name)}` });
    checkSame(value, options);
    await terminal.write(
      options.json === true
        ? toJson({ created: false, project: raw, warnings: [] })
        : `the project ${name} exists already: ${describe(value)}\n`,
    );
  }
}

/** JSON: the list of projects as the API gives it. */
export async function listProjects(options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { projects, raw } = await readAll(client);
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = projects.map((project) => [
    project.name,
    project.kind,
    project.metadata.public === 'true' ? 'public' : 'private',
    project.registry ?? '-',
    project.allows_sparse ? 'yes' : 'no',
    project.creation_time.slice(0, 10),
  ]);
  await terminal.write(formatTable([['NAME', 'KIND', 'VISIBILITY', 'REGISTRY', 'SPARSE', 'CREATED'], ...rows]));
}

/** JSON: the project as the API gives it. */
export async function showProject(name: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await readOne(client, name);
  if (options.json === true) return terminal.write(toJson(raw));
  const words = Object.entries(value.metadata).filter(([key]) => key !== 'public');
  const lines = [
    `${value.name}: ${describe(value)}`,
    `id ${value.project_id}, made ${value.creation_time.slice(0, 10)}${value.owner_name === '' ? '' : ` by ${value.owner_name}`}`,
    `repositories: ${value.repo_count ?? 0}`,
    ...words.map(([key, word]) => `${key}: ${word}`),
  ];
  await terminal.write(lines.map((line) => `${plain(line)}\n`).join(''));
}

/** JSON: the changed project. */
export async function changeProject(name: string, options: SetOptions, terminal: Terminal): Promise<void> {
  const body = {
    ...(options.public === undefined ? {} : { public: options.public === 'yes' }),
    ...(options.allowSparse === undefined ? {} : { allows_sparse: options.allowSparse === 'yes' }),
  };
  if (Object.keys(body).length === 0) throw new CommandFailure('nothing is to be changed', { hint: 'see --help', exitCode: 2 });
  const client = createApiClient(await resolveConnection(options, terminal));
  await client.send({ method: 'PUT', path: pathOf(name), body });
  const { value, raw } = await readOne(client, name);
  await terminal.write(options.json === true ? toJson(raw) : `changed the project ${plain(name)}: ${describe(value)}\n`);
}

/** JSON: `{deleted, name}`. With `ifExists` an absent project is fine. */
export async function deleteProject(name: string, options: DeleteOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  let deleted = true;
  try {
    await client.send({ method: 'DELETE', path: `/projects/${encodeURIComponent(name)}` });
  } catch (error) {
    if (!(error instanceof ApiFailure && (error.code === 'NOT_FOUND' || error.code === 'NAME_UNKNOWN') && options.ifExists === true))
      throw error;
    deleted = false;
  }
  const words = deleted ? `deleted the project ${name}` : `there is no project ${name}`;
  await terminal.write(options.json === true ? toJson({ deleted, name }) : `${plain(words)}\n`);
}

function pathOf(name: string): string {
  return `/projects/${encodeURIComponent(name)}`;
}

async function readOne(client: ApiClient, name: string) {
  return client.read(projectSchema, { method: 'GET', path: pathOf(name) });
}

async function readAll(client: ApiClient): Promise<{ projects: ProjectBody[]; raw: unknown[] }> {
  const projects: ProjectBody[] = [];
  const raw: unknown[] = [];
  for (let page = 1; page <= pagesMax; page++) {
    const query = { page: String(page), page_size: String(pageSize) };
    const answer = await client.read(z.array(projectSchema), { method: 'GET', path: '/projects', query });
    projects.push(...answer.value);
    raw.push(...(answer.raw as unknown[]));
    if (answer.value.length < pageSize) break;
  }
  return { projects, raw };
}

/** A script that asked for a private project must not go on with a public one. */
function checkSame(project: ProjectBody, options: CreateOptions): void {
  const isPublic = options.public === true;
  const isSame =
    project.kind === options.kind &&
    (project.metadata.public === 'true') === isPublic &&
    (options.registry === undefined || project.registry === options.registry) &&
    project.allows_sparse === (options.allowSparse === true);
  if (isSame) return;
  const wanted = describe({
    kind: options.kind,
    metadata: { public: isPublic ? 'true' : 'false' },
    allows_sparse: options.allowSparse === true,
    ...(options.registry === undefined ? {} : { registry: options.registry }),
  });
  throw new CommandFailure(`the project ${project.name} exists already and is another one: ${describe(project)}, not ${wanted}`);
}

function describe(project: Pick<ProjectBody, 'kind' | 'metadata' | 'registry' | 'allows_sparse'>): string {
  const visibility = project.metadata.public === 'true' ? 'public' : 'private';
  const from = project.registry === undefined ? '' : ` of ${project.registry}`;
  return plain(`${visibility} ${project.kind}${from}${project.allows_sparse ? ', sparse indexes allowed' : ''}`);
}
