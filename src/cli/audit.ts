// `breakwater audit list` and `verify`, through the admin API of a running server.

import { z } from 'zod';
import { type AuditEntryExt, auditEntryExtSchema, auditReportSchema } from '../api/audit-schemas.ts';
import { createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

export interface VerifyOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface ListOptions extends VerifyOptions {
  readonly project?: string;
  readonly by?: string;
  readonly operation?: string;
  readonly type?: string;
  readonly outcome?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit: number;
}

const pageSize = 100;
/** Reading a long log takes its time. */
const verifyTimeoutMs = 10 * 60 * 1000;

/** JSON: the list of entries as the API gives them. */
export async function listAuditLog(options: ListOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const path = options.project === undefined ? '/auditlog-exts' : `/projects/${encodeURIComponent(options.project)}/auditlog-exts`;
  const q = conditionsOf(options);
  const entries: AuditEntryExt[] = [];
  const raws: unknown[] = [];
  while (entries.length < options.limit) {
    const last = entries.at(-1);
    const size = Math.min(pageSize, options.limit - entries.length);
    const { value, raw } = await client.read(z.array(auditEntryExtSchema), {
      method: 'GET',
      path,
      query: {
        page_size: String(size),
        ...(q === '' ? {} : { q }),
        ...(last === undefined ? {} : { cursor: `${Date.parse(last.op_time)}.${last.id}` }),
      },
    });
    entries.push(...value);
    raws.push(...(raw as unknown[]));
    if (value.length < size) break;
  }
  if (options.json === true) return terminal.write(toJson(raws));
  const rows = entries.map((entry) => [
    String(entry.id),
    entry.op_time.slice(0, 19).replace('T', ' '),
    entry.username,
    entry.address ?? '-',
    entry.operation,
    entry.resource_type,
    entry.resource,
    `${entry.outcome}${entry.count > 1 ? ` x${entry.count}` : ''}`,
  ]);
  await terminal.write(formatTable([['ID', 'TIME (UTC)', 'WHO', 'FROM', 'DID', 'TYPE', 'WHAT', 'OUTCOME'], ...rows]));
}

/** JSON: the report as the API gives it. Exit code 1 when the chain is broken. */
export async function verifyAuditLog(options: VerifyOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal), { timeoutMs: verifyTimeoutMs });
  const { value, raw } = await client.read(auditReportSchema, { method: 'GET', path: '/audit/verify' });
  if (options.json === true) await terminal.write(toJson(raw));
  const { whole, rows, first_id: first, last_id: last, broken } = value;
  const span = first === undefined ? '' : `, ${first} to ${last}`;
  if (!whole) {
    throw new CommandFailure(`the audit log is broken at entry ${broken?.id ?? '?'}: ${plain(broken?.reason ?? 'unknown')}`, {
      hint: 'compare with what was forwarded, or with a backup; entries before it are as they were written',
    });
  }
  if (options.json !== true) await terminal.write(`the audit log is whole: ${rows} entries${span}\n`);
}

/** Values with a comma cannot be asked for. */
function conditionsOf(options: ListOptions): string {
  const exact = { username: options.by, operation: options.operation, resource_type: options.type, outcome: options.outcome };
  const terms = Object.entries(exact).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  if (options.since !== undefined || options.until !== undefined) terms.push(`op_time=[${timeOf(options.since)}~${timeOf(options.until)}]`);
  return terms.join(',');
}

function timeOf(text: string | undefined): string {
  if (text === undefined) return '';
  const atMs = Date.parse(text);
  if (Number.isNaN(atMs))
    throw new CommandFailure(`"${text.slice(0, 60)}" is no time`, { hint: 'expected one such as 2026-11-24T08:00:00Z', exitCode: 2 });
  return new Date(atMs).toISOString();
}
