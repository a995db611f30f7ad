// `breakwater workload ...`: whose CI tokens open what.

import { z } from 'zod';
import { tokenVerdictSchema, type WorkloadRuleBody, workloadRuleSchema } from '../api/workload-schemas.ts';
import { type ApiClient, ApiFailure, createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { describePermissions, type PermissionOptions, readPermissions } from './permission-options.ts';
import { readSecret } from './robots.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface RuleOptions extends OutputOptions, PermissionOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly claim?: readonly string[];
  readonly claimLike?: readonly string[];
  readonly description?: string;
  readonly minutes: string;
  readonly singleUse?: boolean;
  readonly jwksUrl?: string;
  readonly jwksFile?: string;
  readonly issuerCa?: string;
  readonly allowPrivate?: boolean;
}

/** JSON: the list of rules as the API gives it. */
export async function listRules(options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(z.array(workloadRuleSchema), { method: 'GET', path: '/workload-rules' });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((rule) => [
    rule.name,
    rule.disable ? 'off' : 'on',
    rule.issuer,
    describeClaims(rule),
    describePermissions(rule.permissions),
    rule.last_used_at?.slice(0, 16).replace('T', ' ') ?? '-',
  ]);
  await terminal.write(formatTable([['NAME', 'STATE', 'ISSUER', 'WHOSE', 'MAY', 'LAST USED'], ...rows]));
}

/** JSON: the rule as the API gives it. */
export async function createRule(name: string, options: RuleOptions, terminal: Terminal): Promise<void> {
  const permissions = readPermissions(options, undefined);
  if (permissions === undefined)
    throw new CommandFailure('what do the tokens open?', { hint: 'name rights with --pull, --push or --allow', exitCode: 2 });
  const minutes = /^\d{1,2}$/.test(options.minutes) ? Number(options.minutes) : 0;
  if (minutes < 1 || minutes > 60) throw new CommandFailure('--minutes: expected 1 to 60', { exitCode: 2 });
  const client = createApiClient(await resolveConnection(options, terminal));
  const body = {
    name,
    description: options.description ?? '',
    issuer: options.issuer,
    audience: options.audience,
    claims: [
      ...(options.claim ?? []).map((text) => readClaim(text, 'equals')),
      ...(options.claimLike ?? []).map((text) => readClaim(text, 'glob')),
    ],
    permissions,
    lifetime_minutes: minutes,
    single_use: options.singleUse === true,
    allow_private: options.allowPrivate === true,
    ...(options.jwksUrl === undefined ? {} : { jwks_url: options.jwksUrl }),
    ...(options.jwksFile === undefined ? {} : { jwks: parseJson(readSecret(options.jwksFile), options.jwksFile) }),
    ...(options.issuerCa === undefined ? {} : { ca: readSecret(options.issuerCa) }),
  };
  const { value, raw } = await client.read(workloadRuleSchema, { method: 'POST', path: '/workload-rules', body });
  await terminal.write(
    options.json === true ? toJson(raw) : `made the rule ${plain(value.name)}: ${plain(describePermissions(value.permissions))}\n`,
  );
}

/** JSON: the rule as the API gives it. */
export async function showRule(name: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { rule, raw } = await findRule(client, name);
  if (options.json === true) return terminal.write(toJson(raw));
  await terminal.write(
    formatTable([
      ['id', String(rule.id)],
      ['name', rule.name],
      ['description', rule.description],
      ['state', rule.disable ? 'off' : 'on'],
      ['issuer', rule.issuer],
      ['audience', rule.audience],
      ['whose', describeClaims(rule)],
      ['minutes', `${rule.lifetime_minutes}${rule.single_use ? ', each token once' : ''}`],
      ['keys', rule.jwks === undefined ? (rule.jwks_url ?? 'as the issuer says') : 'in the rule'],
      ['last used', rule.last_used_at === null ? 'never' : `${rule.last_used_at} from ${rule.last_used_from ?? 'an unknown address'}`],
      ...rule.permissions.map((permission) => ['may', describePermissions([permission])]),
    ]),
  );
}

/** JSON: the rule as it is then. */
export async function switchRule(name: string, isOn: boolean, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { rule } = await findRule(client, name);
  const { id, creator: _creator, created_at: _created, updated_at: _updated, last_used_at: _at, last_used_from: _from, ...values } = rule;
  const body = { ...values, disable: !isOn };
  const { raw } = await client.read(workloadRuleSchema, { method: 'PUT', path: `/workload-rules/${id}`, body });
  await terminal.write(options.json === true ? toJson(raw) : `switched the rule ${plain(name)} ${isOn ? 'on' : 'off'}\n`);
}

/** JSON: `{deleted, name}`. */
export async function deleteRule(name: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { rule } = await findRule(client, name);
  await client.send({ method: 'DELETE', path: `/workload-rules/${rule.id}` });
  await terminal.write(options.json === true ? toJson({ deleted: true, name: rule.name }) : `deleted the rule ${plain(rule.name)}\n`);
}

/** JSON: the API's verdict. Exit code 1 when no rule lets the token in. */
export async function checkToken(file: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const token = readSecret(file === '-' ? '/dev/stdin' : file).trim();
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(tokenVerdictSchema, { method: 'POST', path: '/workload-rules/check', body: { token } });
  if (options.json === true) await terminal.write(toJson(raw));
  else if (value.rule !== null) await terminal.write(`the rule ${plain(value.rule)} lets it in as ${plain(value.subject ?? '')}\n`);
  else for (const { rule, reason } of value.refusals) await terminal.write(`${rule === null ? '' : `${plain(rule)}: `}${plain(reason)}\n`);
  if (value.rule === null) throw new CommandFailure('no rule lets this token in');
}

async function findRule(client: ApiClient, name: string): Promise<{ rule: WorkloadRuleBody; raw: unknown }> {
  const { value, raw } = await client.read(z.array(workloadRuleSchema), { method: 'GET', path: '/workload-rules' });
  const at = value.findIndex((rule) => rule.name === name);
  const rule = value[at];
  if (rule === undefined) throw new ApiFailure('NOT_FOUND', `there is no workload rule ${plain(name)}`, {});
  return { rule, raw: (raw as unknown[])[at] };
}

function readClaim(text: string, kind: 'equals' | 'glob'): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1)
    throw new CommandFailure(`"${plain(text)}" is not understood`, {
      hint: 'expected CLAIM=VALUE, such as repository=team/app',
      exitCode: 2,
    });
  return { claim: text.slice(0, at), [kind]: text.slice(at + 1) };
}

function describeClaims({ claims }: WorkloadRuleBody): string {
  return claims.map(({ claim, equals, glob }) => `${claim}${equals === undefined ? `~${glob ?? ''}` : `=${equals}`}`).join(', ');
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CommandFailure(`${file} is no JSON`, { cause, exitCode: 2 });
  }
}
