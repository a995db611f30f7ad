// `breakwater user ...`: users of a running server, through its admin API. A password that is made here is printed once, on standard output.

import { userSchema } from '../api/user-schemas.ts';
import type { Secret } from '../lib/secret.ts';
import { type ApiClient, ApiFailure, createApiClient } from './client.ts';
import { type Connection, type ConnectionOptions, resolveConnection } from './connection.ts';
import { findUser, readPages } from './directory.ts';
import { CommandFailure } from './failure.ts';
import { askSecret, makePassword, readSecretInput } from './secret-input.ts';
import { readStoredLogins, writeStoredLogins } from './stored-logins.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

export interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface CreateOptions extends OutputOptions {
  readonly newPasswordFile?: string;
  readonly email?: string;
  readonly realName?: string;
  readonly comment?: string;
  readonly admin?: boolean;
  readonly auditor?: boolean;
  readonly mustChange?: boolean;
  readonly ifAbsent?: boolean;
}
export interface ListOptions extends OutputOptions {
  readonly search?: string;
}
export interface SetOptions extends OutputOptions {
  readonly email?: string;
  readonly realName?: string;
  readonly comment?: string;
  readonly admin?: boolean;
  readonly auditor?: boolean;
}
export interface PasswordOptions extends OutputOptions {
  readonly newPasswordFile?: string;
  readonly mustChange?: boolean;
}
export interface DeleteOptions extends OutputOptions {
  readonly ifExists?: boolean;
}

/** JSON: `{created, user, password}`; `password` only when it was made here. */
export async function createUser(name: string, options: CreateOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const given = options.newPasswordFile === undefined ? undefined : await readSecretInput(options.newPasswordFile, '--new-password-file');
  const password = given ?? makePassword();
  const body = {
    username: name,
    password: password.reveal(),
    ...profileOf(options),
    ...(options.admin === true ? { sysadmin_flag: true } : {}),
    ...(options.auditor === true ? { auditor_flag: true } : {}),
    ...(options.mustChange === true ? { must_change_password: true } : {}),
  };
  try {
    const { raw } = await client.read(userSchema, { method: 'POST', path: '/users', body });
    const made = given === undefined ? { password: password.reveal() } : {};
    const words = `created the user ${plain(name)}\n${given === undefined ? `password: ${password.reveal()}\n` : ''}`;
    await terminal.write(options.json === true ? toJson({ created: true, user: raw, ...made }) : words);
  } catch (error) {
    if (!(error instanceof ApiFailure && error.code === 'CONFLICT' && options.ifAbsent === true)) throw error;
    const user = await findUser(client, name);
    await terminal.write(
      options.json === true ? toJson({ created: false, user }) : `the user ${plain(name)} exists already; nothing was changed\n`,
    );
  }
}

/** JSON: the list as the API gives it. */
export async function listUsers(options: ListOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const query: Record<string, string> = options.search === undefined ? {} : { username: options.search };
  const { value, raw } = await readPages(client, userSchema, { path: '/users', query });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((user) => [
    String(user.user_id),
    user.username,
    user.sysadmin_flag ? 'admin' : user.auditor_flag ? 'auditor' : 'user',
    user.disabled ? 'off' : user.must_change_password ? 'must change password' : 'on',
    user.provider,
    user.email === '' ? '-' : user.email,
    user.last_login_time?.slice(0, 10) ?? '-',
  ]);
  await terminal.write(formatTable([['ID', 'NAME', 'KIND', 'STATE', 'PROVIDER', 'EMAIL', 'LAST LOGIN'], ...rows]));
}

/** JSON: the user as the API gives it. */
export async function setUser(name: string, options: SetOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const user = await findUser(client, name);
  const path = `/users/${user.user_id}`;
  const profile = profileOf(options);
  const changes = [profile, options.admin, options.auditor].filter(
    (change) => change !== undefined && Object.keys(Object(change)).length !== 0,
  );
  if (changes.length === 0 && options.admin === undefined && options.auditor === undefined)
    throw new CommandFailure('nothing is to be changed', { hint: 'name a setting; --help lists them', exitCode: 2 });
  if (Object.keys(profile).length > 0) await client.send({ method: 'PUT', path, body: profile });
  if (options.admin !== undefined) await client.send({ method: 'PUT', path: `${path}/sysadmin`, body: { sysadmin_flag: options.admin } });
  if (options.auditor !== undefined) await client.send({ method: 'PUT', path: `${path}/auditor`, body: { auditor_flag: options.auditor } });
  await tellUser(client, name, 'changed', options, terminal);
}

/** JSON: the user as the API gives it. */
export async function setUserDisabled(name: string, disabled: boolean, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const user = await findUser(client, name);
  await client.send({ method: 'PUT', path: `/users/${user.user_id}/disabled`, body: { disabled } });
  await tellUser(client, name, disabled ? 'switched off' : 'switched on', options, terminal);
}

/** JSON: `{changed, user, password}`; `password` only when it was made here. Without a name: of oneself. */
export async function changePassword(name: string | undefined, options: PasswordOptions, terminal: Terminal): Promise<void> {
  const connection = await resolveConnection(options, terminal);
  const client = createApiClient(connection);
  const { value: self } = await client.read(userSchema, { method: 'GET', path: '/users/current' });
  const user = name === undefined || name.toLowerCase() === self.username.toLowerCase() ? self : await findUser(client, name);
  const isOwn = user.user_id === self.user_id;
  const given = options.newPasswordFile === undefined ? undefined : await readSecretInput(options.newPasswordFile, '--new-password-file');
  const password = given ?? makePassword();
  await client.send({
    method: 'PUT',
    path: `/users/${user.user_id}/password`,
    body: {
      new_password: password.reveal(),
      ...(isOwn ? { old_password: (await currentPassword(connection, terminal)).reveal() } : {}),
      ...(options.mustChange === true && !isOwn ? { must_change_password: true } : {}),
    },
  });
  if (isOwn && connection.isKept === true) keepPassword(connection.url, password, terminal);
  const made = given === undefined ? { password: password.reveal() } : {};
  const words = `changed the password of ${plain(user.username)}\n${given === undefined ? `password: ${password.reveal()}\n` : ''}`;
  await terminal.write(options.json === true ? toJson({ changed: true, user: user.username, ...made }) : words);
}

/** What was given; a token that was kept instead of the password shows nobody's password, so it is asked for. */
async function currentPassword(connection: Connection, terminal: Terminal): Promise<Secret> {
  if (connection.password instanceof CommandFailure) throw connection.password;
  const kept = connection.isKept === true ? readStoredLogins(terminal.env).logins.get(connection.url) : undefined;
  if (kept?.tokenId === undefined) return connection.password;
  return askSecret('Current password: ', terminal, 'name a file with the current one with --password-file FILE');
}

/** The password that was kept opens nothing any more; a token goes on. */
function keepPassword(url: string, password: Secret, terminal: Terminal): void {
  const { current, logins } = readStoredLogins(terminal.env);
  const kept = logins.get(url);
  if (kept !== undefined && kept.tokenId === undefined)
    writeStoredLogins(terminal.env, { current, logins: new Map([...logins, [url, { ...kept, password }]]) });
}

/** JSON: `{deleted, name}`. With `ifExists` an absent user is fine. */
export async function deleteUser(name: string, options: DeleteOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  let deleted = true;
  try {
    const user = await findUser(client, name);
    await client.send({ method: 'DELETE', path: `/users/${user.user_id}` });
  } catch (error) {
    const isAbsent = error instanceof CommandFailure && error.message === `there is no user ${name}`;
    if (!isAbsent || options.ifExists !== true) throw error;
    deleted = false;
  }
  const words = deleted ? `deleted the user ${name}` : `there is no user ${name}`;
  await terminal.write(options.json === true ? toJson({ deleted, name }) : `${plain(words)}\n`);
}

async function tellUser(client: ApiClient, name: string, done: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const user = await findUser(client, name);
  await terminal.write(options.json === true ? toJson(user) : `${done} the user ${plain(user.username)}\n`);
}

function profileOf(options: Pick<SetOptions, 'email' | 'realName' | 'comment'>): Record<string, string> {
  return {
    ...(options.email === undefined ? {} : { email: options.email }),
    ...(options.realName === undefined ? {} : { realname: options.realName }),
    ...(options.comment === undefined ? {} : { comment: options.comment }),
  };
}
