// `breakwater login` and `logout`: keeps a login for the other commands, after the server has taken it.

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createdTokenSchema } from '../api/token-schemas.ts';
import { userSchema } from '../api/user-schemas.ts';
import { Secret } from '../lib/secret.ts';
import { type ApiClient, ApiFailure, createApiClient } from './client.ts';
import { parseUrl, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { askSecret, readSecretInput } from './secret-input.ts';
import { readStoredLogins, type StoredLogin, storedLoginsFile, writeStoredLogins } from './stored-logins.ts';
import { type Terminal, toJson } from './terminal.ts';
import { plain } from './text.ts';

export interface LoginOptions {
  readonly user?: string;
  readonly passwordFile?: string;
  readonly caFile?: string;
  readonly insecure?: boolean;
  readonly json?: boolean;
}
export interface LogoutOptions {
  readonly all?: boolean;
  readonly json?: boolean;
}

const tokenDays = 90;
const passwordHint =
  'name a file with --password-file FILE (- is standard input), or put it into the environment variable BREAKWATER_PASSWORD';

/** JSON: `{url, user, admin, mustChangePassword, kept, file}`; `kept` is `token` when a token was made to keep it instead of the password. */
export async function login(address: string, options: LoginOptions, terminal: Terminal): Promise<void> {
  const url = parseUrl(address, 'address');
  const user = options.user ?? (terminal.env['BREAKWATER_USER'] || undefined);
  if (user === undefined) throw new CommandFailure('as whom?', { hint: 'name a user, or a robot, with --user NAME', exitCode: 2 });
  const password = await passwordFor(user, options, terminal);
  const base = await resolveConnection(
    {
      url,
      user,
      ...(options.caFile === undefined ? {} : { caFile: options.caFile }),
      ...(options.insecure === undefined ? {} : { insecure: options.insecure }),
    },
    { ...terminal, env: { ...terminal.env, BREAKWATER_PASSWORD: password.reveal() } },
  );
  const client = createApiClient(base);
  const self = await client.read(userSchema, { method: 'GET', path: '/users/current' }).catch((error: unknown) => {
    // A robot or a CI job is let in and is no user.
    if (error instanceof ApiFailure && error.code === 'DENIED') return undefined;
    throw error;
  });
  const token = self === undefined ? undefined : await makeToken(client);
  const entry: StoredLogin = {
    user: self?.value.username ?? user,
    password: token?.secret ?? password,
    ...(token === undefined ? {} : { tokenId: token.id }),
    ...(options.caFile === undefined ? {} : { caFile: options.caFile }),
    ...(options.insecure === true ? { insecure: true } : {}),
  };
  const { logins } = readStoredLogins(terminal.env);
  writeStoredLogins(terminal.env, { current: url, logins: new Map([...logins, [url, entry]]) });
  const file = storedLoginsFile(terminal.env);
  const kept = token === undefined ? 'password' : 'token';
  const mustChangePassword = self?.value.must_change_password === true;
  if (options.json === true)
    return terminal.write(toJson({ url, user: entry.user, admin: self?.value.sysadmin_flag === true, mustChangePassword, kept, file }));
  const words = kept === 'token' ? `a token of ${tokenDays} days is` : 'the password is';
  await terminal.write(`logged in to ${url} as ${plain(entry.user)}; ${words} kept in ${file}\n`);
  if (mustChangePassword) await terminal.warn('a new password is needed before anything else: `breakwater user password`\n');
}

/** JSON: `{loggedOut: [url]}`. */
export async function logout(address: string | undefined, options: LogoutOptions, terminal: Terminal): Promise<void> {
  const { current, logins } = readStoredLogins(terminal.env);
  const named = address === undefined ? current : parseUrl(address, 'address');
  const gone = options.all === true ? [...logins.keys()] : named === undefined || !logins.has(named) ? [] : [named];
  for (const url of gone) await endToken(url, logins.get(url), terminal);
  if (gone.length > 0) {
    const left = new Map([...logins].filter(([url]) => !gone.includes(url)));
    writeStoredLogins(terminal.env, {
      current: current !== undefined && left.has(current) ? current : [...left.keys()].at(-1),
      logins: left,
    });
  }
  const words = gone.length === 0 ? 'there was no login to forget\n' : `forgot the login for ${gone.map(plain).join(', ')}\n`;
  await terminal.write(options.json === true ? toJson({ loggedOut: gone }) : words);
}

/** A token with the reach of the password: what is kept is not the password, ends by itself, and can be deleted alone. Undefined where none is given. */
async function makeToken(client: ApiClient): Promise<{ readonly id: number; readonly secret: Secret } | undefined> {
  const name = `cli ${hostname().slice(0, 40)} ${randomBytes(4).toString('hex')}`;
  try {
    const body = { name, reach: 'api', duration: tokenDays };
    const { value } = await client.read(createdTokenSchema, { method: 'POST', path: '/users/current/tokens', body });
    return { id: value.id, secret: new Secret(value.secret) };
  } catch (error) {
    // A token makes none, who must choose a password cannot yet, and there may be too many.
    if (error instanceof ApiFailure && (error.code === 'DENIED' || error.code === 'CONFLICT')) return undefined;
    throw error;
  }
}

/** Best done, not needed: it ends by itself. */
async function endToken(url: string, kept: StoredLogin | undefined, terminal: Terminal): Promise<void> {
  if (kept?.tokenId === undefined) return;
  try {
    const client = createApiClient(await resolveConnection({ url, user: kept.user }, terminal), { timeoutMs: 5000 });
    await client.send({ method: 'DELETE', path: `/users/current/tokens/${kept.tokenId}` });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    await terminal.warn(`the token on the server could not be deleted: ${plain(message)}\n`);
  }
}

async function passwordFor(user: string, options: LoginOptions, terminal: Terminal): Promise<Secret> {
  if (options.passwordFile !== undefined) return readSecretInput(options.passwordFile, '--password-file');
  const fromEnv = terminal.env['BREAKWATER_PASSWORD'];
  if (fromEnv !== undefined && fromEnv !== '') return new Secret(fromEnv);
  return askSecret(`Password of ${plain(user)}: `, terminal, passwordHint);
}
