// `breakwater robot ...`: accounts of programs, through the admin API of a running server.

import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { createdRobotSchema, type RobotBody, robotSchema, robotSecretSchema } from '../api/robot-schemas.ts';
import { projectSchema } from '../api/schemas.ts';
import { type ApiClient, ApiFailure, createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { describePermissions, type PermissionOptions, readPermissions } from './permission-options.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface ListOptions extends OutputOptions {
  readonly project?: string;
}
export interface RobotOptions extends OutputOptions, PermissionOptions {
  readonly project?: string;
  readonly description?: string;
  readonly days?: string;
  readonly never?: boolean;
  readonly network?: readonly string[];
  readonly secretFile?: string;
}
export interface UpdateOptions extends Omit<RobotOptions, 'secretFile' | 'project'> {
  readonly anyNetwork?: boolean;
  readonly enable?: boolean;
  readonly disable?: boolean;
}

const pageSize = 100;
const pagesMax = 100;

/** JSON: the list of robots as the API gives it. */
export async function listRobots(options: ListOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { robots, raw } = await readAll(client, options.project === undefined ? '' : await queryOf(client, options.project));
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = robots.map((robot) => [
    String(robot.id),
    robot.name,
    robot.disable ? 'off' : isExpired(robot) ? 'expired' : 'on',
    robot.expires_at === -1 ? 'never' : new Date(robot.expires_at * 1000).toISOString().slice(0, 10),
    robot.last_used_at?.slice(0, 16).replace('T', ' ') ?? '-',
    describePermissions(robot.permissions),
  ]);
  await terminal.write(formatTable([['ID', 'NAME', 'STATE', 'EXPIRES', 'LAST USED', 'MAY'], ...rows]));
}

/** JSON: what the API answers, with the secret. */
export async function createRobot(name: string, options: RobotOptions, terminal: Terminal): Promise<void> {
  const permissions = readPermissions(options, options.project);
  if (permissions === undefined)
    throw new CommandFailure('what may the robot do?', { hint: 'name rights with --pull, --push or --allow', exitCode: 2 });
  const duration = readDays(options);
  const client = createApiClient(await resolveConnection(options, terminal));
  const body = {
    name,
    level: options.project === undefined ? 'system' : 'project',
    description: options.description ?? '',
    permissions,
    ...(duration === undefined ? {} : { duration }),
    ...(options.network === undefined ? {} : { networks: options.network }),
    ...(options.secretFile === undefined ? {} : { secret: readSecret(options.secretFile) }),
  };
  const { value, raw } = await client.read(createdRobotSchema, { method: 'POST', path: '/robots', body });
  if (options.json === true) return terminal.write(toJson(raw));
  const until = value.expires_at === -1 ? 'for ever' : `until ${new Date(value.expires_at * 1000).toISOString().slice(0, 10)}`;
  await terminal.warn(`made ${plain(value.name)} (id ${value.id}), ${until}; its secret is told this once:\n`);
  await terminal.write(`${plain(value.secret)}\n`);
}

/** JSON: the robot as the API gives it. */
export async function showRobot(which: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { robot, raw } = await findRobot(client, which);
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = [
    ['id', String(robot.id)],
    ['name', robot.name],
    ['description', robot.description],
    ['state', robot.disable ? 'off' : isExpired(robot) ? 'expired' : 'on'],
    ['expires', robot.expires_at === -1 ? 'never' : new Date(robot.expires_at * 1000).toISOString()],
    ['from', robot.networks.length === 0 ? 'everywhere' : robot.networks.join(', ')],
    ['made', `${robot.creation_time} by ${robot.creator}`],
    [
      'last used',
      robot.last_used_at === undefined ? 'never' : `${robot.last_used_at} from ${robot.last_used_from ?? 'an unknown address'}`,
    ],
    ...robot.permissions.map((permission) => ['may', describePermissions([permission])]),
  ];
  await terminal.write(formatTable(rows));
}

/** JSON: the robot as it is then. */
export async function updateRobot(which: string, options: UpdateOptions, terminal: Terminal): Promise<void> {
  if (options.enable === true && options.disable === true)
    throw new CommandFailure('--enable and --disable say the opposite', { exitCode: 2 });
  const duration = readDays(options);
  const client = createApiClient(await resolveConnection(options, terminal));
  const { robot } = await findRobot(client, which);
  const [, project] = /^[^$]*\$([^+]+)\+/.exec(robot.name) ?? [];
  const permissions = readPermissions(options, project);
  const networks = options.anyNetwork === true ? [] : options.network;
  const body = {
    ...(options.description === undefined ? {} : { description: options.description }),
    ...(duration === undefined ? {} : { duration }),
    ...(options.enable === true ? { disable: false } : options.disable === true ? { disable: true } : {}),
    ...(permissions === undefined ? {} : { permissions }),
    ...(networks === undefined ? {} : { networks }),
  };
  if (Object.keys(body).length === 0)
    throw new CommandFailure('nothing is to be changed', { hint: '--help tells what can be', exitCode: 2 });
  await client.send({ method: 'PUT', path: `/robots/${robot.id}`, body });
  const { raw } = await client.read(robotSchema, { method: 'GET', path: `/robots/${robot.id}` });
  await terminal.write(options.json === true ? toJson(raw) : `changed ${plain(robot.name)}\n`);
}

/** JSON: `{id, name, secret}`. */
export async function refreshRobot(which: string, options: OutputOptions & { secretFile?: string }, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { robot } = await findRobot(client, which);
  const body = options.secretFile === undefined ? {} : { secret: readSecret(options.secretFile) };
  const { value } = await client.read(robotSecretSchema, { method: 'PATCH', path: `/robots/${robot.id}`, body });
  const secret = value.secret ?? '';
  if (options.json === true) return terminal.write(toJson({ id: robot.id, name: robot.name, secret }));
  await terminal.warn(`the secret of ${plain(robot.name)} was before; the new one is told this once:\n`);
  await terminal.write(`${plain(secret)}\n`);
}

/** JSON: `{deleted, name}`. With `ifExists` an absent robot is fine. */
export async function deleteRobot(which: string, options: OutputOptions & { ifExists?: boolean }, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  let name = which;
  let deleted = true;
  try {
    const { robot } = await findRobot(client, which);
    name = robot.name;
    await client.send({ method: 'DELETE', path: `/robots/${robot.id}` });
  } catch (error) {
    if (!(error instanceof ApiFailure && error.code === 'NOT_FOUND' && options.ifExists === true)) throw error;
    deleted = false;
  }
  const words = deleted ? `deleted ${name}` : `there is no robot ${name}`;
  await terminal.write(options.json === true ? toJson({ deleted, name }) : `${plain(words)}\n`);
}

/** By id, or by a name such as `robot$ci`, `ci`, `team-a+ci`. Throws ApiFailure NOT_FOUND. */
async function findRobot(client: ApiClient, which: string): Promise<{ robot: RobotBody; raw: unknown }> {
  if (/^\d+$/.test(which)) {
    const { value, raw } = await client.read(robotSchema, { method: 'GET', path: `/robots/${which}` });
    return { robot: value, raw };
  }
  const name = which.slice(which.indexOf('$') + 1);
  const [project] = name.includes('+') ? name.split('+', 1) : [];
  const query = project === undefined ? '' : await queryOf(client, project);
  const { robots, raw } = await readAll(client, `${query}${query === '' ? '' : ','}name=${name}`);
  const [robot] = robots;
  if (robot === undefined)
    throw new ApiFailure('NOT_FOUND', `there is no robot ${plain(which)}`, { hint: 'breakwater robot list tells which there are' });
  return { robot, raw: raw[0] };
}

async function queryOf(client: ApiClient, project: string): Promise<string> {
  const { value } = await client.read(projectSchema, { method: 'GET', path: `/projects/${encodeURIComponent(project)}` });
  return `Level=project,ProjectID=${value.project_id}`;
}

async function readAll(client: ApiClient, q: string): Promise<{ robots: RobotBody[]; raw: unknown[] }> {
  const robots: RobotBody[] = [];
  const raw: unknown[] = [];
  for (let page = 1; page <= pagesMax; page++) {
    const query = { page: String(page), page_size: String(pageSize), ...(q === '' ? {} : { q }) };
    const answer = await client.read(z.array(robotSchema), { method: 'GET', path: '/robots', query });
    robots.push(...answer.value);
    raw.push(...(answer.raw as unknown[]));
    if (answer.value.length < pageSize) break;
  }
  return { robots, raw };
}

export function readDays({ days, never }: { readonly days?: string; readonly never?: boolean }): number | undefined {
  if (never === true && days !== undefined) throw new CommandFailure('--days and --never say the opposite', { exitCode: 2 });
  if (never === true) return -1;
  if (days === undefined) return undefined;
  if (!/^[1-9]\d{0,4}$/.test(days)) throw new CommandFailure(`--days: "${plain(days)}" is no number of days`, { exitCode: 2 });
  return Number(days);
}

export function readSecret(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new CommandFailure(`${file} cannot be read`, { cause });
  }
}

function isExpired(robot: RobotBody): boolean {
  return robot.expires_at !== -1 && robot.expires_at * 1000 <= Date.now();
}
