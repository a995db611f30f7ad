// `breakwater token ...`: secrets of one's own for programs, beside the password.

import { z } from 'zod';
import { createdTokenSchema, deletedTokensSchema, tokenSchema } from '../api/token-schemas.ts';
import { createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { readDays } from './robots.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface CreateOptions extends OutputOptions {
  readonly reach: 'registry' | 'api';
  readonly days?: string;
  readonly never?: boolean;
}

/** JSON: the list of tokens as the API gives it. */
export async function listTokens(options: OutputOptions & { readonly of: string }, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(z.array(tokenSchema), { method: 'GET', path: pathOf(options.of) });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((token) => [
    String(token.id),
    token.name,
    token.reach,
    token.expires_at?.slice(0, 10) ?? 'never',
    token.last_used_at === null ? '-' : `${token.last_used_at.slice(0, 16).replace('T', ' ')} from ${token.last_used_from ?? '?'}`,
  ]);
  await terminal.write(formatTable([['ID', 'NAME', 'OPENS', 'EXPIRES', 'LAST USED'], ...rows]));
}

/** JSON: the token as the API gives it, with its secret. */
export async function createToken(name: string, options: CreateOptions, terminal: Terminal): Promise<void> {
  const duration = readDays(options);
  const client = createApiClient(await resolveConnection(options, terminal));
  const body = { name, reach: options.reach, ...(duration === undefined ? {} : { duration }) };
  const { value, raw } = await client.read(createdTokenSchema, { method: 'POST', path: pathOf('current'), body });
  if (options.json === true) return terminal.write(toJson(raw));
  const until = value.expires_at === null ? 'for ever' : `until ${value.expires_at.slice(0, 10)}`;
  await terminal.warn(`made the token ${plain(value.name)} (id ${value.id}), ${until}; it is told this once:\n`);
  await terminal.write(`${plain(value.secret)}\n`);
}

export interface DeleteOptions extends OutputOptions {
  readonly of: string;
  readonly all?: boolean;
}

/** JSON: `{deleted, id}`, or `{deleted}` with the number of all that went. */
export async function deleteToken(id: string | undefined, options: DeleteOptions, terminal: Terminal): Promise<void> {
  if ((id === undefined) !== (options.all === true))
    throw new CommandFailure('say which goes', { hint: 'name an id, or pass --all for every token of the user', exitCode: 2 });
  if (id === undefined) {
    const client = createApiClient(await resolveConnection(options, terminal));
    const { value } = await client.read(deletedTokensSchema, { method: 'DELETE', path: pathOf(options.of) });
    return terminal.write(options.json === true ? toJson(value) : `deleted ${value.deleted} tokens\n`);
  }
  if (!/^\d+$/.test(id))
    throw new CommandFailure(`"${plain(id)}" is no id of a token`, { hint: 'breakwater token list tells them', exitCode: 2 });
  const client = createApiClient(await resolveConnection(options, terminal));
  await client.send({ method: 'DELETE', path: `${pathOf(options.of)}/${id}` });
  await terminal.write(options.json === true ? toJson({ deleted: true, id: Number(id) }) : `deleted the token ${id}\n`);
}

function pathOf(user: string): string {
  if (!/^(?:current|\d+)$/.test(user)) throw new CommandFailure('--of: expected the id of a user', { exitCode: 2 });
  return `/users/${user}/tokens`;
}
