// `breakwater identity ...`: where people come from, through the admin API of a running server.

import { z } from 'zod';
import { type ProviderBody, providerSchema, providerTestSchema, syncReportSchema } from '../api/identity-schemas.ts';
import { createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

export interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}

/** JSON: the list of providers as the API gives it. */
export async function listProviders(options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(z.array(providerSchema), { method: 'GET', path: '/identity-providers' });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((provider) => [
    provider.name,
    provider.kind,
    provider.enabled ? 'on' : 'off',
    provider.origin === 'config' ? 'config file' : 'here',
    placeOf(provider),
  ]);
  await terminal.write(formatTable([['NAME', 'KIND', 'STATE', 'MADE IN', 'SERVERS'], ...rows]));
}

/** JSON: `{provider, ok, failure?}`. Exit code 1 when it cannot be used. */
export async function testProvider(name: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const path = `/identity-providers/${encodeURIComponent(name)}/test`;
  const { value, raw } = await client.read(providerTestSchema, { method: 'POST', path, body: {} });
  if (options.json === true) await terminal.write(toJson({ provider: name, ...(raw as object) }));
  else if (value.ok) await terminal.write(`${plain(name)} can be used\n`);
  if (!value.ok) throw new CommandFailure(`${name} cannot be used: ${describe(value.failure)}`);
}

/** JSON: the reports as the API gives them. */
export async function syncDirectories(options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(z.array(syncReportSchema), { method: 'POST', path: '/identity-providers/sync', body: {} });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((report) => [report.provider, ...[report.looked, report.changed, report.suspended, report.spared].map(String)]);
  await terminal.write(formatTable([['DIRECTORY', 'LOOKED UP', 'CHANGED', 'SWITCHED OFF', 'SPARED'], ...rows]));
}

function placeOf({ settings }: ProviderBody): string {
  const { urls, issuer } = settings;
  return Array.isArray(urls) ? urls.map(String).join(' ') : String(issuer ?? '-');
}

function describe(failure: z.infer<typeof providerTestSchema>['failure']): string {
  switch (failure) {
    case 'login':
      return 'it refuses the bind DN or its password';
    case 'search':
      return 'it refuses the search; check base_dn and the filters';
    case 'connection':
    case undefined:
      return "no answer that could be trusted; the server's log says why (identity.test-failed)";
  }
}
