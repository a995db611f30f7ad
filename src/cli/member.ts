// `breakwater member ...`: who belongs to a project, and as what.

import { type MemberBody, memberSchema } from '../api/user-schemas.ts';
import { type ApiClient, createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { findGroup, findRole, readPages } from './directory.ts';
import { CommandFailure } from './failure.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

export interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface RoleOptions extends OutputOptions {
  readonly role: string;
  readonly group?: boolean;
}
export interface WhoOptions extends OutputOptions {
  readonly group?: boolean;
}

/** JSON: the list as the API gives it. */
export async function listMembers(project: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await readPages(client, memberSchema, { path: pathOf(project) });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((member) => [member.entity_type === 'u' ? 'user' : 'group', member.entity_name, member.role_name]);
  await terminal.write(formatTable([['KIND', 'NAME', 'ROLE'], ...rows]));
}

/** JSON: the member as the API gives it. */
export async function addMember(project: string, name: string, options: RoleOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { role_id, role_name } = await findRole(client, options.role);
  const who = options.group === true ? { member_group: { id: (await findGroup(client, name)).id } } : { member_user: { username: name } };
  const { raw } = await client.read(memberSchema, { method: 'POST', path: pathOf(project), body: { role_id, ...who } });
  await terminal.write(options.json === true ? toJson(raw) : `${plain(name)} is ${role_name} of ${plain(project)} now\n`);
}

/** JSON: the member as the API gives it. */
export async function changeMember(project: string, name: string, options: RoleOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { role_id, role_name } = await findRole(client, options.role);
  const member = await findMember(client, project, { name, isGroup: options.group === true });
  await client.send({ method: 'PUT', path: `${pathOf(project)}/${member.id}`, body: { role_id } });
  await terminal.write(
    options.json === true ? toJson({ ...member, role_id, role_name }) : `${plain(name)} is ${role_name} of ${plain(project)} now\n`,
  );
}

/** JSON: `{removed}`, the member as it was. */
export async function removeMember(project: string, name: string, options: WhoOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const member = await findMember(client, project, { name, isGroup: options.group === true });
  await client.send({ method: 'DELETE', path: `${pathOf(project)}/${member.id}` });
  await terminal.write(options.json === true ? toJson({ removed: member }) : `${plain(name)} is no member of ${plain(project)} any more\n`);
}

async function findMember(client: ApiClient, project: string, who: { name: string; isGroup: boolean }): Promise<MemberBody> {
  const { value } = await readPages(client, memberSchema, { path: pathOf(project), query: { entityname: who.name } });
  const member = value.find((one) => (one.entity_type === 'g') === who.isGroup && one.entity_name.toLowerCase() === who.name.toLowerCase());
  if (member === undefined)
    throw new CommandFailure(`${project} has no member ${who.name}`, { hint: `\`breakwater member list ${project}\` shows them` });
  return member;
}

function pathOf(project: string): string {
  return `/projects/${encodeURIComponent(project)}/members`;
}
