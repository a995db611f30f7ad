// `breakwater group ...`: groups of users, and who is in those that are made by hand.

import { foundUserSchema, groupSchema } from '../api/user-schemas.ts';
import { createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { findGroup, findUser, readPages } from './directory.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

export interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface CreateOptions extends OutputOptions {
  readonly dn?: string;
  readonly oidc?: boolean;
  readonly provider?: string;
}

const typeNames: Readonly<Record<number, string>> = { 1: 'ldap', 2: 'local', 3: 'oidc' };

/** JSON: the list as the API gives it. */
export async function listGroups(options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await readPages(client, groupSchema, { path: '/usergroups' });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((group) => [
    String(group.id),
    group.group_name,
    typeNames[group.group_type] ?? String(group.group_type),
    group.provider,
    group.ldap_group_dn ?? '-',
  ]);
  await terminal.write(formatTable([['ID', 'NAME', 'TYPE', 'PROVIDER', 'DN'], ...rows]));
}

/** JSON: the group as the API gives it. */
export async function createGroup(name: string, options: CreateOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const body = {
    group_name: name,
    group_type: options.dn !== undefined ? 1 : options.oidc === true ? 3 : 2,
    ...(options.dn === undefined ? {} : { ldap_group_dn: options.dn }),
    ...(options.provider === undefined ? {} : { provider: options.provider }),
  };
  const { raw } = await client.read(groupSchema, { method: 'POST', path: '/usergroups', body });
  await terminal.write(options.json === true ? toJson(raw) : `created the group ${plain(name)}\n`);
}

/** JSON: `{deleted: true, name}`. */
export async function deleteGroup(name: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const group = await findGroup(client, name);
  await client.send({ method: 'DELETE', path: `/usergroups/${group.id}` });
  await terminal.write(options.json === true ? toJson({ deleted: true, name: group.group_name }) : `deleted the group ${plain(name)}\n`);
}

/** JSON: the list as the API gives it. */
export async function listGroupMembers(name: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const group = await findGroup(client, name);
  const { value, raw } = await readPages(client, foundUserSchema, { path: `/usergroups/${group.id}/members` });
  if (options.json === true) return terminal.write(toJson(raw));
  await terminal.write(formatTable([['ID', 'NAME'], ...value.map((user) => [String(user.user_id), user.username])]));
}

/** JSON: `{group, user, isIn}`. */
export async function setGroupMember(
  { group: groupName, user: userName, isIn }: { group: string; user: string; isIn: boolean },
  options: OutputOptions,
  terminal: Terminal,
): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const group = await findGroup(client, groupName);
  const user = await findUser(client, userName);
  const path = `/usergroups/${group.id}/members`;
  if (isIn) await client.send({ method: 'POST', path, body: { user_id: user.user_id } });
  else await client.send({ method: 'DELETE', path: `${path}/${user.user_id}` });
  const words = `${plain(user.username)} is ${isIn ? 'in' : 'no longer in'} ${plain(group.group_name)}\n`;
  await terminal.write(options.json === true ? toJson({ group: group.group_name, user: user.username, isIn }) : words);
}
