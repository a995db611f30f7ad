// `breakwater signing-keys list` and `rotate`: the keys of registry tokens.

import type { z } from 'zod';
import { tokenKeysSchema } from '../api/token-key-schemas.ts';
import { createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, formatTime } from './text.ts';

export interface SigningKeysOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface RotateOptions extends SigningKeysOptions {
  readonly revoke?: boolean;
}

const path = '/system/token-keys';

export async function listSigningKeys(options: SigningKeysOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(tokenKeysSchema, { method: 'GET', path });
  await terminal.write(options.json === true ? toJson(raw) : formatKeys(value));
}

export async function rotateSigningKeys(options: RotateOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const body = { revoke: options.revoke === true };
  const { value, raw } = await client.read(tokenKeysSchema, { method: 'POST', path, body });
  await terminal.write(options.json === true ? toJson(raw) : formatKeys(value));
}

function formatKeys(keys: z.output<typeof tokenKeysSchema>): string {
  const nowMs = Date.now();
  const rows = keys.map((key) => [
    key.id,
    key.signs ? 'signs' : 'believed',
    formatTime(key.creation_time, nowMs),
    key.retires_at === undefined ? '' : key.retires_at,
  ]);
  return formatTable([['KEY', 'STATE', 'MADE', 'BELIEVED UNTIL'], ...rows]);
}
