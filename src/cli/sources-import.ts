// `breakwater sources import FILE...`: sources from the files that container clients already have. Without --yes nothing is changed anywhere: it
// tells what it would add, what it would not, and why. It reads files; only --yes and --test speak to a server.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { registrySourcesSchema } from '../api/source-schemas.ts';
import { ClientFileError, type Found } from '../config/client-files/found.ts';
import { detectKind, type FileKind, fileKinds, readClientFile } from '../config/client-files/kind.ts';
import { hostAndPort, type ImportPlan, type PlannedSource, planImport } from '../config/client-files/plan.ts';
import { ConfigError } from '../config/error.ts';
import { loadConfig } from '../config/load.ts';
import type { Presets } from '../config/preset-data.ts';
import { shippedPresets } from '../config/presets.ts';
import { ApiFailure, createApiClient } from './client.ts';
import { type Connection, type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { type Terminal, toJson } from './terminal.ts';

export interface ImportOptions extends ConnectionOptions {
  readonly kind?: FileKind;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly printConfig?: boolean;
  readonly test?: boolean;
  readonly withCredentials?: boolean;
  readonly dangerous?: boolean;
  readonly json?: boolean;
}

type Client = ReturnType<typeof createApiClient>;

/** What became of one source of the plan. */
interface Result {
  readonly source: PlannedSource;
  readonly outcome: 'added' | 'turned on' | 'there already' | 'failed';
  readonly detail?: string;
}

const fileMaxBytes = 1_048_576;
const filesMax = 500;

/** JSON: `{files, sources, remarks}`, and `results` with --yes, `tests` with --test. Throws a CommandFailure for files that cannot be read. */
export async function importSources(paths: readonly string[], options: ImportOptions, terminal: Terminal): Promise<void> {
  const chosen = ['yes', 'dryRun', 'printConfig'].filter((key) => options[key as 'yes'] === true);
  if (chosen.length > 1) throw new CommandFailure('--yes, --dry-run and --print-config exclude each other', { exitCode: 2 });
  const files = paths.flatMap(listFiles).map((file) => readFile(file, options.kind));
  const connection = await connect(options, terminal);
  const presets = presetsOf(options, terminal);
  const plan = planImport(
    files.map((one) => one.found),
    {
      presets,
      self: ownAddresses(connection),
      registries: new Set(presets.registries.map((one) => one.name)),
      withCredentials: options.withCredentials === true,
      dangerous: options.dangerous === true,
    },
  );
  if (options.printConfig === true) {
    await terminal.write(configOf(plan, presets));
    return;
  }
  const client = options.yes === true || options.test === true ? createApiClient(requireConnection(connection)) : undefined;
  const tests = client !== undefined && options.test === true ? await testAll(plan, client) : undefined;
  const results = client !== undefined && options.yes === true ? await addAll(plan, client) : undefined;
  await terminal.write(options.json === true ? toJson(documentOf({ files, plan, tests, results })) : formatPlan({ plan, tests, results }));
  const failed = results?.filter((one) => one.outcome === 'failed').length ?? 0;
  if (failed > 0) throw new CommandFailure(`${failed} of ${results?.length ?? 0} sources could not be added`);
}

interface ReadFile {
  readonly file: string;
  readonly kind: FileKind;
  readonly found: Found;
}

/** A folder stands for the files in it: certs.d/HOST/hosts.toml, or *.conf as in registries.conf.d. */
function listFiles(path: string): readonly string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).toSorted();
    const files = names.filter((name) => /(^|\/)hosts\.toml$|^[^/]+\.conf$|^registries\.yaml$|^daemon\.json$/.test(name));
    if (files.length === 0) throw new CommandFailure(`${path} holds no hosts.toml, *.conf, registries.yaml or daemon.json`);
    if (files.length > filesMax) throw new CommandFailure(`${path} holds more than ${filesMax} files`);
    return files.map((name) => join(path, name));
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    throw new CommandFailure(`${path} cannot be read (${codeOf(cause)})`, { cause });
  }
}

function readFile(file: string, wanted: FileKind | undefined): ReadFile {
  try {
    if (statSync(file).size > fileMaxBytes) throw new CommandFailure(`${file} is larger than 1 MiB`);
    const text = readFileSync(file, 'utf8');
    const kind = wanted ?? detectKind(text, file);
    if (kind === undefined) {
      throw new CommandFailure(`${file}: this is the file of no client known here`, {
        hint: `say what it is with --kind ${fileKinds.join('|')}`,
      });
    }
    return { file, kind, found: readClientFile(kind, text, file) };
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    if (cause instanceof ClientFileError) throw new CommandFailure(`${file}: ${cause.message}`, { cause });
    throw new CommandFailure(`${file} cannot be read (${codeOf(cause)})`, { cause });
  }
}

/** Those of the server's configuration, when it is on this machine and can be read. */
function presetsOf(options: ImportOptions, { env }: Terminal): Presets {
  try {
    return loadConfig({ file: options.config, env, overrides: { data: options.data } }).presets.chosen.presets;
  } catch (error) {
    if (error instanceof ConfigError) return shippedPresets;
    throw error;
  }
}

/** The server, when something says where it is; a plan can be made without one. */
async function connect(options: ImportOptions, terminal: Terminal): Promise<Connection | CommandFailure> {
  try {
    return await resolveConnection(options, terminal);
  } catch (error) {
    if (error instanceof CommandFailure) return error;
    throw error;
  }
}

function requireConnection(connection: Connection | CommandFailure): Connection {
  if (connection instanceof CommandFailure) throw connection;
  return connection;
}

/** A server on this machine has all its names and addresses. */
function ownAddresses(connection: Connection | CommandFailure): ReadonlySet<string> {
  if (connection instanceof CommandFailure) return new Set();
  const place = hostAndPort(connection.url);
  const own = new Set([place]);
  if (!/^(localhost|127\.[\d.]+|\[::1\]):/.test(place)) return own;
  const port = place.slice(place.lastIndexOf(':') + 1);
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list?.map((one) => one.address) ?? []);
  for (const host of ['localhost', '127.0.0.1', '[::1]', ...addresses.map((one) => (one.includes(':') ? `[${one}]` : one))])
    own.add(`${host}:${port}`);
  return own;
}

/** One source as the API and the config file take it. */
function entryOf(source: PlannedSource, tls: { readonly ca_file?: string; readonly ca?: string }) {
  const { limits, repositories, credentials, operator, proxy } = source;
  const hasTls = source.insecure || Object.keys(tls).length > 0;
  return {
    url: source.url,
    trust: source.trust,
    priority: source.priority,
    ...(source.realms.length === 0 ? {} : { realms: source.realms }),
    ...(proxy === undefined ? {} : { proxy }),
    ...(credentials === undefined ? {} : { credentials: { username: credentials.username, password: credentials.password.reveal() } }),
    ...(hasTls ? { tls: { ...tls, ...(source.insecure ? { insecure: true } : {}) } } : {}),
    ...(limits === undefined ? {} : { limits: { connections: limits.connections, requests_per_minute: limits.requestsPerMinute } }),
    ...(repositories === undefined ? {} : { scope: { allow: repositories } }),
    ...(operator === undefined ? {} : { operator }),
  };
}

/** For the API, which does not see this machine's files. */
function bodyOf(source: PlannedSource) {
  const ca = source.caFile === undefined ? {} : { ca: readFileSync(source.caFile, 'utf8') };
  return { registry: source.registry, ...entryOf(source, ca) };
}

async function addAll(plan: ImportPlan, client: Client): Promise<readonly Result[]> {
  const results: Result[] = [];
  const { value } = await client.read(z.array(registrySourcesSchema), { method: 'GET', path: '/sources' });
  const registries = new Set(value.map((one) => one.registry));
  const known = new Map(value.flatMap((one) => one.sources.map((source) => [`${one.registry} ${source.url}`, source])));
  for (const source of plan.sources.filter((one) => one.action === 'add')) {
    try {
      if (!registries.has(source.registry)) {
        await client.read(z.unknown(), { method: 'POST', path: '/registries', body: { name: source.registry } });
        registries.add(source.registry);
      }
      const there = known.get(`${source.registry} ${source.url}`);
      if (there === undefined) {
        await client.read(z.unknown(), { method: 'POST', path: '/sources', body: bodyOf(source) });
        results.push({ source, outcome: 'added' });
      } else if (there.enabled) results.push({ source, outcome: 'there already' });
      else {
        // A preset that was off: it goes to the place the file gives it.
        const { registry: _, trust: __, ...change } = bodyOf(source);
        await client.read(z.unknown(), { method: 'PATCH', path: `/sources/${there.id}`, body: { ...change, enabled: true } });
        results.push({ source, outcome: 'turned on' });
      }
    } catch (error) {
      if (error instanceof ApiFailure && error.code === 'CONFLICT') results.push({ source, outcome: 'there already' });
      else if (error instanceof ApiFailure || isFileError(error)) results.push({ source, outcome: 'failed', detail: messageOf(error) });
      else throw error;
    }
  }
  return results;
}

const testSchema = z.object({
  ok: z.boolean(),
  steps: z.array(
    z.object({ name: z.string(), ok: z.boolean(), verdict: z.string().optional(), detail: z.string().optional(), ms: z.number() }),
  ),
});

interface Tested {
  readonly source: PlannedSource;
  readonly ok: boolean;
  readonly detail: string;
}

async function testAll(plan: ImportPlan, client: Client): Promise<readonly Tested[]> {
  const tests: Tested[] = [];
  for (const source of plan.sources.filter((one) => one.action === 'add')) {
    try {
      const { value } = await client.read(testSchema, { method: 'POST', path: '/sources/test', body: bodyOf(source) });
      const bad = value.steps.find((step) => !step.ok);
      const ms = value.steps.reduce((sum, step) => sum + step.ms, 0);
      const detail =
        bad === undefined
          ? `answers (${ms} ms)`
          : `${bad.name}: ${bad.verdict ?? 'failed'}${bad.detail === undefined ? '' : `, ${bad.detail}`}`;
      tests.push({ source, ok: value.ok, detail });
    } catch (error) {
      if (!(error instanceof ApiFailure) && !isFileError(error)) throw error;
      tests.push({ source, ok: false, detail: messageOf(error) });
    }
  }
  return tests;
}

/** `registries` of a config file. An entry there replaces the preset, so the registry's own endpoint is written, too. */
function configOf(plan: ImportPlan, presets: Presets): string {
  const added = plan.sources.filter((one) => one.action === 'add');
  const names = [...new Set(added.map((one) => one.registry))];
  const registries = Object.fromEntries(
    names.map((name) => {
      const own = presets.registries.find((one) => one.name === name);
      const mine = added.filter((one) => one.registry === name);
      const entries: object[] = mine.map((one) => entryOf(one, one.caFile === undefined ? {} : { ca_file: one.caFile }));
      if (own !== undefined && !mine.some((one) => one.url === own.url)) {
        entries.push({ url: own.url, trust: 'authority', priority: 100, ...(own.realms.length === 0 ? {} : { realms: own.realms }) });
      }
      return [name, { sources: entries }];
    }),
  );
  return stringify({ registries }, { lineWidth: 0, aliasDuplicateObjects: false });
}

interface Report {
  readonly plan: ImportPlan;
  readonly tests: readonly Tested[] | undefined;
  readonly results: readonly Result[] | undefined;
}

function documentOf({ files, plan, tests, results }: Report & { files: readonly ReadFile[] }): object {
  const nameOf = ({ registry, url }: PlannedSource) => ({ registry, url });
  return {
    files: files.map(({ file, kind }) => ({ file, kind })),
    sources: plan.sources.map(({ credentials, ...rest }) => ({ ...rest, hasCredentials: credentials !== undefined })),
    remarks: plan.remarks,
    ...(tests === undefined ? {} : { tests: tests.map(({ source, ...rest }) => ({ ...nameOf(source), ...rest })) }),
    ...(results === undefined ? {} : { results: results.map(({ source, ...rest }) => ({ ...nameOf(source), ...rest })) }),
  };
}

function formatPlan({ plan, tests, results }: Report): string {
  const lines: string[] = [];
  for (const name of new Set(plan.sources.map((one) => one.registry))) {
    lines.push(name === '*' ? 'every registry' : name);
    for (const source of plan.sources.filter((one) => one.registry === name)) lines.push(...formatSource(source, { tests, results }));
  }
  if (plan.remarks.length > 0) lines.push('not about mirrors');
  for (const { place, text } of plan.remarks) lines.push(`    ${place}: ${text}`);
  const adds = plan.sources.filter((one) => one.action === 'add').length;
  lines.push(`${adds} to add, ${plan.sources.length - adds} skipped`);
  if (results === undefined && adds > 0)
    lines.push('Nothing was changed. --yes adds them to the server, --print-config prints them for its config file.');
  return `${lines.join('\n')}\n`;
}

function formatSource(source: PlannedSource, { tests, results }: Omit<Report, 'plan'>): readonly string[] {
  const test = tests?.find((one) => one.source === source);
  const result = results?.find((one) => one.source === source);
  const words = [
    source.trust,
    `priority ${source.priority}`,
    source.operator,
    source.insecure ? 'certificate not checked' : undefined,
    source.credentials === undefined ? undefined : 'with its login',
  ];
  const head =
    source.action === 'skip'
      ? `  - ${source.url} skipped: ${source.reason ?? ''}`
      : `  + ${source.url} ${words.filter((word) => word !== undefined).join(', ')}${result === undefined ? '' : ` [${result.outcome}${result.detail === undefined ? '' : `: ${result.detail}`}]`}`;
  return [
    head,
    `      from ${source.place}`,
    ...(test === undefined ? [] : [`      test: ${test.ok ? 'ok' : 'failed'}, ${test.detail}`]),
    ...source.warnings.map((text) => `      note: ${text}`),
  ];
}

function isFileError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : messageOf(cause);
}
