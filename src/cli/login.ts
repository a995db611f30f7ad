// `breakwater login` and `logout`: keeps a login for the other commands, after the server has taken it.

import { z } from 'zod';
import { userSchema } from '../api/user-schemas.ts';
import { Secret } from '../lib/secret.ts';
import { ApiFailure, createApiClient } from './client.ts';
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

const passwordHint =
  'name a file with --password-file FILE (- is standard input), or put it into the environment variable BREAKWATER_PASSWORD';

/** JSON: `{url, user, admin, mustChangePassword, file}`. */
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
  const entry: StoredLogin = {
    user: self?.value.username ?? user,
    password,
    ...(options.caFile === undefined ? {} : { caFile: options.caFile }),
    ...(options.insecure === true ? { insecure: true } : {}),
  };
  const { logins } = readStoredLogins(terminal.env);
  writeStoredLogins(terminal.env, { current: url, logins: new Map([...logins, [url, entry]]) });
  const file = storedLoginsFile(terminal.env);
  const mustChangePassword = self?.value.must_change_password === true;
  if (options.json === true)
    return terminal.write(toJson({ url, user: entry.user, admin: self?.value.sysadmin_flag === true, mustChangePassword, file }));
  await terminal.write(`logged in to ${url} as ${plain(entry.user)}; kept in ${file}\n`);
  if (mustChangePassword) await terminal.warn('a new password is needed before anything else: `breakwater user password`\n');
}

/** JSON: `{loggedOut: [url]}`. */
export async function logout(address: string | undefined, options: LogoutOptions, terminal: Terminal): Promise<void> {
  const { current, logins } = readStoredLogins(terminal.env);
  const named = address === undefined ? current : parseUrl(address, 'address');
  const gone = options.all === true ? [...logins.keys()] : named === undefined || !logins.has(named) ? [] : [named];
  if (gone.length > 0) {
    const left = new Map([...logins].filter(([url]) => !gone.includes(url)));
    writeStoredLogins(terminal.env, {
      current: current !== undefined && left.has(current) ? current : [...left.keys()].at(-1),
      logins: left,
    });
  }
  const words = gone.length === 0 ? 'there was no login to forget\n' : `forgot the login for ${gone.map(plain).join(', ')}\n`;
  await terminal.write(options.json === true ? toJson({ loggedOut: z.array(z.string()).parse(gone) }) : words);
}

async function passwordFor(user: string, options: LoginOptions, terminal: Terminal): Promise<Secret> {
  if (options.passwordFile !== undefined) return readSecretInput(options.passwordFile, '--password-file');
  const fromEnv = terminal.env['BREAKWATER_PASSWORD'];
  if (fromEnv !== undefined && fromEnv !== '') return new Secret(fromEnv);
  return askSecret(`Password of ${plain(user)}: `, terminal, passwordHint);
}
