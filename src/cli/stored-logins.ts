// Logins that `breakwater login` keeps: `breakwater/logins.json` below the person's configuration folder (XDG Base Directory Specification 0.8),
// mode 0600. A file that others can read is not used, so that nobody keeps a login in one unknowingly.

import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { writeSecretFile } from '../auth/secret-file.ts';
import { Secret } from '../lib/secret.ts';
import { CommandFailure } from './failure.ts';
import type { Terminal } from './terminal.ts';

export interface StoredLogin {
  readonly user: string;
  readonly password: Secret;
  readonly caFile?: string;
  readonly insecure?: boolean;
  /** The secret was made at the login for this: where it is listed on the server. */
  readonly tokenId?: number;
}
export interface StoredLogins {
  /** Of the last login: spoken to when nothing else is said. */
  readonly current: string | undefined;
  readonly logins: ReadonlyMap<string, StoredLogin>;
}

const entrySchema = z.strictObject({
  user: z.string(),
  password: z.string(),
  ca_file: z.string().optional(),
  insecure: z.boolean().optional(),
  token_id: z.number().optional(),
});
const fileSchema = z.strictObject({ current: z.string().optional(), logins: z.record(z.string(), entrySchema) });

/** Nothing when there is no file. CommandFailure for a file that others can read, or that is not one of ours. */
export function readStoredLogins(env: Terminal['env']): StoredLogins {
  const file = storedLoginsFile(env);
  if (!existsSync(file)) return { current: undefined, logins: new Map() };
  if ((statSync(file).mode & 0o077) !== 0)
    throw new CommandFailure(`${file} can be read by others`, { hint: `chmod 600 ${file}, or log in again after removing it` });
  const parsed = fileSchema.safeParse(parseJson(readFileSync(file, 'utf8')));
  if (!parsed.success) throw new CommandFailure(`${file} is not understood`, { hint: 'remove it and log in again' });
  const logins = Object.entries(parsed.data.logins).map(([url, entry]): [string, StoredLogin] => [
    url,
    {
      user: entry.user,
      password: new Secret(entry.password),
      ...(entry.ca_file === undefined ? {} : { caFile: entry.ca_file }),
      ...(entry.insecure === undefined ? {} : { insecure: entry.insecure }),
      ...(entry.token_id === undefined ? {} : { tokenId: entry.token_id }),
    },
  ]);
  return { current: parsed.data.current, logins: new Map(logins) };
}

/** Keeps these and no others. */
export function writeStoredLogins(env: Terminal['env'], { current, logins }: StoredLogins): void {
  const file = storedLoginsFile(env);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const entries = [...logins].map(([url, login]) => [
    url,
    {
      user: login.user,
      password: login.password.reveal(),
      ...(login.caFile === undefined ? {} : { ca_file: login.caFile }),
      ...(login.insecure === undefined ? {} : { insecure: login.insecure }),
      ...(login.tokenId === undefined ? {} : { token_id: login.tokenId }),
    },
  ]);
  const kept = { ...(current === undefined ? {} : { current }), logins: Object.fromEntries(entries) };
  writeSecretFile(file, JSON.stringify(kept, null, 2));
}

export function storedLoginsFile(env: Terminal['env']): string {
  const base = env['XDG_CONFIG_HOME'];
  // The specification: a path that is not absolute does not count.
  return join(base?.startsWith('/') === true ? base : join(env['HOME'] || homedir(), '.config'), 'breakwater', 'logins.json');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
