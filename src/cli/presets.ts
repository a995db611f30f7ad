// `breakwater presets show|check|update`: what is known about registries, mirrors and dead hosts; a file of presets before it is published; newer
// ones for a running server. `show` and `check` need no server.

import { readFileSync, statSync } from 'node:fs';
import { type PresetStatus, presetStatusSchema } from '../api/preset-schemas.ts';
import { verifyPresets } from '../config/kept-presets.ts';
import { loadConfig } from '../config/load.ts';
import { type Presets, parsePresets } from '../config/preset-data.ts';
import { findHost, type KnownHost } from '../config/presets.ts';
import { parsePublicKey } from '../config/ssh-signature.ts';
import { createApiClient } from './client.ts';
import { resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import type { OutputOptions } from './project.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable } from './text.ts';

export interface ShowOptions {
  readonly config?: string;
  readonly data?: string;
  readonly json?: boolean;
}

/** JSON: the whole data, or `{host, known}` for one host, where `known` is null for one nothing is known of. */
export async function showPresets(host: string | undefined, options: ShowOptions, terminal: Terminal): Promise<void> {
  const { chosen } = loadConfig({ file: options.config, env: terminal.env, overrides: { data: options.data } }).presets;
  if (chosen.problem !== undefined) await terminal.warn(`warning: ${chosen.problem}; the shipped presets hold\n`);
  const { presets, origin } = chosen;
  if (host === undefined) {
    await terminal.write(options.json === true ? toJson({ origin, ...presets }) : formatPresets(presets, origin));
    return;
  }
  const name = hostOf(host);
  const known = findHost(presets, name);
  await terminal.write(options.json === true ? toJson({ host: name, known: known ?? null }) : `${name}: ${describeHost(known)}\n`);
}

export interface CheckOptions {
  readonly signature?: string;
  readonly publicKey?: string;
  readonly json?: boolean;
}

/** Whether a server would take the file. JSON: `{valid: true, serial, date, registries, mirrors, dead, signed}`. */
export async function checkPresets(file: string, options: CheckOptions, terminal: Terminal): Promise<void> {
  const text = readText(file);
  const isSigned = options.publicKey !== undefined;
  const read = isSigned ? verify(file, text, options) : parsePresets(text);
  if ('problem' in read) throw new CommandFailure(`${file}: ${read.problem}`);
  const { presets } = read;
  const counts = { registries: presets.registries.length, mirrors: mirrorsOf(presets), dead: presets.dead.length };
  await terminal.write(
    options.json === true
      ? toJson({ valid: true, serial: presets.serial, date: presets.date, ...counts, signed: isSigned })
      : `${file} can be used: serial ${presets.serial}, ${presets.date}, ${describeCounts(counts)}${isSigned ? ', the signature is good' : '; its signature was not checked (--public-key)'}\n`,
  );
}

/** JSON: `Presets` of the admin API. */
export async function updatePresets(options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(presetStatusSchema, { method: 'POST', path: '/presets/update', body: {} });
  await terminal.write(options.json === true ? toJson(raw) : formatStatus(value));
  const outcome = value.lastCheck?.outcome;
  if (outcome !== 'updated' && outcome !== 'unchanged')
    throw new CommandFailure('there are no newer presets to be used; those before hold');
}

function verify(file: string, text: string, options: CheckOptions) {
  const key = options.publicKey ?? '';
  const publicKey = parsePublicKey(key) ?? parsePublicKey(readText(key));
  if (publicKey === undefined)
    throw new CommandFailure('--public-key: expected ssh-ed25519 AAAA..., or a file that holds it', { exitCode: 2 });
  return verifyPresets({ text, signature: readText(options.signature ?? `${file}.sig`) }, publicKey);
}

function formatStatus({ serial, date, registries, mirrors, dead, lastCheck }: PresetStatus): string {
  const check = lastCheck === undefined ? '' : `${lastCheck.outcome}: ${lastCheck.detail}\n`;
  return `${check}serial ${serial}, ${date}, ${describeCounts({ registries, mirrors, dead })}\n`;
}

function formatPresets(presets: Presets, origin: string): string {
  const counts = { registries: presets.registries.length, mirrors: mirrorsOf(presets), dead: presets.dead.length };
  const rows = presets.operators.flatMap((operator) =>
    operator.mirrors.map((mirror) => [
      mirror.registry,
      mirror.url,
      operator.id,
      mirror.login ?? operator.login,
      operator.network,
      operator.state,
      operator.last_seen,
    ]),
  );
  const order = presets.registries.map((one) => one.name);
  const sorted = rows.toSorted((one, other) => order.indexOf(one[0] ?? '') - order.indexOf(other[0] ?? ''));
  return [
    `serial ${presets.serial}, ${presets.date} (${origin}): ${describeCounts(counts)}\n\n`,
    formatTable([['REGISTRY', 'ENDPOINT', 'LOGIN'], ...presets.registries.map((one) => [one.name, one.url, one.login])]),
    '\n',
    formatTable([['REGISTRY', 'MIRROR', 'OPERATOR', 'LOGIN', 'FROM', 'STATE', 'LAST LISTED'], ...sorted]),
    '\n',
    formatTable([['DEAD HOST', 'SINCE', 'REASON'], ...presets.dead.map((one) => [one.host, one.since, one.reason])]),
  ].join('');
}

function describeHost(known: KnownHost | undefined): string {
  switch (known?.kind) {
    case undefined:
      return 'nothing is known of it';
    case 'dead':
      return `dead since ${known.since}: ${known.reason}`;
    case 'official':
      return `the endpoint of ${known.registry} (${known.url})`;
    case 'mirror': {
      const { operator, mirror } = known;
      const what = mirror === undefined ? 'a host' : `a mirror of ${mirror.registry}`;
      return `${what} of ${operator.name}, ${operator.state}, last listed ${operator.last_seen}${operator.note === undefined ? '' : `. ${operator.note}`}`;
    }
  }
}

function describeCounts({ registries, mirrors, dead }: { registries: number; mirrors: number; dead: number }): string {
  return `${registries} registries, ${mirrors} public mirrors, ${dead} dead hosts`;
}

function mirrorsOf(presets: Presets): number {
  return presets.operators.reduce((sum, operator) => sum + operator.mirrors.length, 0);
}

/** Of a URL, of HOST:PORT, or as it is. */
function hostOf(text: string): string {
  const url = URL.parse(text.includes('://') ? text : `https://${text}`);
  if (url === null) throw new CommandFailure(`"${text.slice(0, 100)}" is no host`, { exitCode: 2 });
  return url.hostname.toLowerCase();
}

function readText(file: string): string {
  try {
    if (statSync(file).size > 1_048_576) throw new CommandFailure(`${file} is larger than 1 MiB`);
    return readFileSync(file, 'utf8');
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new CommandFailure(`${file} cannot be read (${code})`, { cause });
  }
}
