// `breakwater role ...`: custom roles, and rules that give a role beyond one project.

import { z } from 'zod';
import { grantSchema, permissionsSchema, roleSchema } from '../api/user-schemas.ts';
import { createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { findGroup, findRole, findUser, readPages } from './directory.ts';
import { CommandFailure } from './failure.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

export interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface RoleOptions extends OutputOptions {
  readonly description?: string;
}
export interface GrantOptions extends OutputOptions {
  readonly group?: boolean;
  readonly projects?: string;
  readonly repositories?: string;
  readonly allProjects?: boolean;
  readonly system?: boolean;
  readonly everywhere?: boolean;
}

/** JSON: the list as the API gives it. */
export async function listRoles(options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(z.array(roleSchema), { method: 'GET', path: '/roles' });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((role) => [
    String(role.role_id),
    role.role_name,
    role.builtin ? 'comes with the server' : 'custom',
    String(role.actions.length),
    role.description === '' ? '-' : role.description,
  ]);
  await terminal.write(formatTable([['ID', 'NAME', 'ORIGIN', 'ACTIONS', 'DESCRIPTION'], ...rows]));
}

/** JSON: the role as the API gives it. */
export async function showRole(name: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const role = await findRole(createApiClient(await resolveConnection(options, terminal)), name);
  await terminal.write(options.json === true ? toJson(role) : `${role.actions.join('\n')}\n`);
}

/** JSON: what can be allowed, as the API gives it. */
export async function listActions(options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(permissionsSchema, { method: 'GET', path: '/permissions' });
  if (options.json === true) return terminal.write(toJson(raw));
  const lines = (title: string, list: typeof value.project) => [title, ...list.map(({ resource, action }) => `  ${resource}:${action}`)];
  await terminal.write(`${[...lines('in a project', value.project), ...lines('on the server', value.system)].map(plain).join('\n')}\n`);
}

/** JSON: the role as the API gives it. */
export async function createRole(name: string, actions: readonly string[], options: RoleOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const body = { role_name: name, actions, ...(options.description === undefined ? {} : { description: options.description }) };
  const { raw } = await client.read(roleSchema, { method: 'POST', path: '/roles', body });
  await terminal.write(options.json === true ? toJson(raw) : `created the role ${plain(name)}\n`);
}

/** JSON: the role as it is now. */
export async function setRole(name: string, actions: readonly string[], options: RoleOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const role = await findRole(client, name);
  const body = { role_name: role.role_name, actions, description: options.description ?? role.description };
  await client.send({ method: 'PUT', path: `/roles/${role.role_id}`, body });
  await terminal.write(
    options.json === true ? toJson(await findRole(client, String(role.role_id))) : `changed the role ${plain(role.role_name)}\n`,
  );
}

/** JSON: `{deleted: true, name}`. */
export async function deleteRole(name: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const role = await findRole(client, name);
  await client.send({ method: 'DELETE', path: `/roles/${role.role_id}` });
  await terminal.write(options.json === true ? toJson({ deleted: true, name: role.role_name }) : `deleted the role ${plain(name)}\n`);
}

/** JSON: the rule as the API gives it. */
export async function grantRole(
  { role: roleName, holder }: { role: string; holder: string },
  options: GrantOptions,
  terminal: Terminal,
): Promise<void> {
  const places: readonly (readonly [kind: string, pattern: string])[] = [
    ...(options.projects === undefined ? [] : [['projects', options.projects] as const]),
    ...(options.repositories === undefined ? [] : [['repositories', options.repositories] as const]),
    ...(options.allProjects === true ? [['all-projects', ''] as const] : []),
    ...(options.system === true ? [['system', ''] as const] : []),
    ...(options.everywhere === true ? [['everywhere', ''] as const] : []),
  ];
  const [place, ...more] = places;
  if (place === undefined || more.length > 0)
    throw new CommandFailure('say where the role holds, in one way', {
      hint: 'one of --projects, --repositories, --all-projects, --system, --everywhere',
      exitCode: 2,
    });
  const client = createApiClient(await resolveConnection(options, terminal));
  const { role_id } = await findRole(client, roleName);
  const who =
    options.group === true ? { group_id: (await findGroup(client, holder)).id } : { user_id: (await findUser(client, holder)).user_id };
  const [kind, pattern] = place;
  const body = { ...who, role_id, kind, ...(pattern === '' ? {} : { pattern }) };
  const { raw } = await client.read(grantSchema, { method: 'POST', path: '/grants', body });
  await terminal.write(
    options.json === true ? toJson(raw) : `${plain(holder)} is ${plain(roleName)} of ${kind} ${plain(pattern)}`.trimEnd().concat('\n'),
  );
}

/** JSON: the list as the API gives it. */
export async function listGrants(options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await readPages(client, grantSchema, { path: '/grants' });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((rule) => [
    String(rule.id),
    rule.holder_type,
    rule.holder_name,
    rule.role_name,
    rule.kind,
    rule.pattern === '' ? '-' : rule.pattern,
  ]);
  await terminal.write(formatTable([['ID', 'KIND', 'NAME', 'ROLE', 'WHERE', 'PATTERN'], ...rows]));
}

/** JSON: `{revoked: true, id}`. */
export async function revokeGrant(id: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  if (!/^\d+$/.test(id))
    throw new CommandFailure(`${id} is no number of a rule`, { hint: '`breakwater role grants` shows them', exitCode: 2 });
  const client = createApiClient(await resolveConnection(options, terminal));
  await client.send({ method: 'DELETE', path: `/grants/${id}` });
  await terminal.write(options.json === true ? toJson({ revoked: true, id: Number(id) }) : `the rule ${id} holds no longer\n`);
}
