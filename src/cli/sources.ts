// `breakwater sources`: the sources of each registry and how they do, as the running server sees them.

import { z } from 'zod';
import { type RegistrySources, registrySourcesSchema, type SourceBody } from '../api/source-schemas.ts';
import { createApiClient } from './client.ts';
import { resolveConnection } from './connection.ts';
import type { OutputOptions } from './project.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatBytes, formatDuration, formatTable } from './text.ts';

export interface ListOptions extends OutputOptions {
  readonly all?: boolean;
}

/** JSON: the list of registries with all their sources as the API gives it. */
export async function showSources(options: ListOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(z.array(registrySourcesSchema), { method: 'GET', path: '/sources' });
  await terminal.write(options.json === true ? toJson(raw) : formatSources(value, Date.now(), options.all));
}

/** A table in the order in which sources would be asked now. Public mirrors that nobody has turned on are counted only, unless `all`. */
export function formatSources(registries: readonly RegistrySources[], nowMs: number, all = false): string {
  if (registries.length === 0) return 'no registry is configured\n';
  const everything = registries.flatMap(({ registry, sources }) => sources.map((source) => ({ registry, source })));
  const shown = everything.filter(({ source }) => all || source.enabled || source.origin !== 'preset');
  const rows = shown.map(({ registry, source }) => [String(source.id), registry, ...cells(source, nowMs)]);
  const hidden = everything.length - shown.length;
  const heads = ['ID', 'REGISTRY', 'SOURCE', 'TRUST', 'PRIORITY', 'STATE', 'LAST', 'OK', 'FAILED', 'AVERAGE', 'RECEIVED', 'QUOTA LEFT'];
  const more = hidden === 0 ? '' : `${hidden} public mirrors that come with the program are switched off; --all shows them\n`;
  return `${formatTable([heads, ...rows])}${more}`;
}

function cells(source: SourceBody, nowMs: number): string[] {
  const last = source.lastVerdict === undefined ? 'never asked' : `${source.lastVerdict}${ago(source.lastAt, nowMs)}`;
  return [
    source.url,
    source.trust,
    String(source.priority),
    stateText(source),
    last,
    String(source.succeeded),
    String(source.failed),
    source.averageMs === undefined ? '-' : formatDuration(source.averageMs),
    formatBytes(source.bytes),
    source.quota === undefined ? '-' : `${source.quota.remaining} of ${source.quota.limit}`,
  ];
}

/** With how long it lasts, and what of it is not asked for although it is up. */
function stateText(source: SourceBody): string {
  if (!source.enabled) return 'disabled';
  const notes = [
    ...(source.blockedForMs > 0 ? [formatDuration(source.blockedForMs)] : []),
    ...(source.spentForMs === undefined ? [] : [`no manifests: quota spent, ${formatDuration(source.spentForMs)}`]),
    ...(source.hosts ?? []).map((host) => `${host.origin} ${host.state}`),
  ];
  return notes.length === 0 ? source.state : `${source.state} (${notes.join('; ')})`;
}

function ago(time: string | undefined, nowMs: number): string {
  return time === undefined ? '' : `, ${formatDuration(nowMs - Date.parse(time))} ago`;
}
