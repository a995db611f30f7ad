// Makes the `Config` from the config file, the environment and the command line; the later of these wins.
// Every problem is collected into one ConfigError before anything starts. It reads files, and creates or changes nothing.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { z } from 'zod';
import { Secret } from '../lib/secret.ts';
import { buildAudit } from './audit-schema.ts';
import type {
  Config,
  CredentialConfig,
  IdentityConfig,
  LimitsConfig,
  MirrorConfig,
  PresetsConfig,
  ProviderConfig,
  RegistryConfig,
  SourceConfig,
} from './config.ts';
import { ConfigError, type ConfigProblem, formatKey } from './error.ts';
import { describeIssue } from './issue.ts';
import { choosePresets } from './kept-presets.ts';
import { registriesOf } from './presets.ts';
import { type ConfigFile, configSchema, dataSetting, listenSetting, masterKeySetting } from './schema.ts';
import { addressOf, readCredentials, readSource, type SourceEntry } from './source-entry.ts';
import { buildWarm } from './warm-schema.ts';
import { parseYaml, type YamlFile } from './yaml-file.ts';

export interface LoadOptions {
  /** Path of the config file (`--config`, or BREAKWATER_CONFIG in `env` when absent). Without either there is none. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--data` and `--listen`. */
  readonly overrides?: { readonly data?: string | undefined; readonly listen?: string | undefined };
}

/** Reads the configuration. Throws a ConfigError that names every problem with its file, line, key and what was expected. */
export function loadConfig(options: LoadOptions): Config {
  const { env, overrides = {} } = options;
  const origin = options.file ?? (env['BREAKWATER_CONFIG'] || undefined);
  const file = origin === undefined ? undefined : parseYaml(readConfigFile(origin), origin);
  const place = createPlace(origin ?? 'configuration', file);
  const parsed = configSchema.safeParse(file?.value ?? {});
  const problems = parsed.error?.issues.flatMap((issue) => describeIssue(issue, configSchema).map(place)) ?? [];

  const override = <T>(schema: z.ZodType<T>, given: readonly (readonly [string, string | undefined])[]): T | undefined => {
    for (const [name, text] of given) {
      if (text === undefined || (text === '' && !name.startsWith('--'))) continue;
      const result = schema.safeParse(text);
      if (result.success) return result.data;
      problems.push({ origin: name, key: '', text: result.error.issues[0]?.message ?? 'is not understood' });
    }
    return undefined;
  };
  const listen = override(listenSetting, [
    ['--listen', overrides.listen],
    ['BREAKWATER_LISTEN', env['BREAKWATER_LISTEN']],
  ]);
  const data = override(dataSetting, [
    ['--data', overrides.data],
    ['BREAKWATER_DATA', env['BREAKWATER_DATA']],
  ]);
  const masterKey = override(masterKeySetting, [['BREAKWATER_MASTER_KEY_FILE', env['BREAKWATER_MASTER_KEY_FILE']]]);

  if (!parsed.success) throw new ConfigError(problems);
  const report = (path: readonly PropertyKey[], text: string): void => {
    problems.push(place({ path, text }));
  };
  const settings = { ...parsed.data, listen: listen ?? parsed.data.listen, data: data ?? parsed.data.data };
  const config = buildConfig({ ...settings, master_key_file: masterKey ?? settings.master_key_file }, { env, report });
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  report(path: readonly PropertyKey[], text: string): void;
}

const maxFileLength = 1_048_576;

function buildConfig(file: ConfigFile, surroundings: Surroundings): Config {
  const { report } = surroundings;
  const presets = buildPresets(file);
  const registries = new Map<string, RegistryConfig>(presets.isMirrored ? registriesOf(presets.chosen.presets) : []);
  for (const [name, { sources, public: isPublic }] of Object.entries(file.registries)) {
    registries.set(name, {
      sources: buildSources(name, sources, surroundings),
      ...(isPublic === undefined ? {} : { isPublic }),
    });
  }
  const { root } = file.mirror;
  if (typeof root === 'string' && !registries.has(root)) {
    report(
      ['mirror', 'root'],
      `"${root}" is not a configured registry; expected ${[...registries.keys()].join(', ') || 'a name under registries'}, or false`,
    );
  }
  const rootRegistry = root === false ? undefined : (root ?? (registries.has('docker.io') ? 'docker.io' : undefined));
  for (const key of ['certificate', 'private_key'] as const) {
    if (file.tls !== undefined) readPem(file.tls[key], ['tls', key], report);
  }
  return {
    listen: file.listen,
    dataDir: resolve(file.data),
    ...(file.master_key_file === undefined ? {} : { masterKeyFile: resolve(file.master_key_file) }),
    ...(file.external_url === undefined ? {} : { externalUrl: file.external_url }),
    trustedProxies: file.trusted_proxies,
    anonymousPull: file.anonymous_pull,
    anonymousNetworks: file.anonymous_networks,
    logins: { sharedNetworks: file.logins.shared_networks },
    ...(file.tls === undefined
      ? {}
      : { tls: { certificateFile: resolve(file.tls.certificate), privateKeyFile: resolve(file.tls.private_key) } }),
    mirror: {
      ...(rootRegistry === undefined ? {} : { rootRegistry }),
      ...buildTagRules(file.mirror),
      revalidateTimeoutMs: file.mirror.revalidate_timeout,
      equivalents: file.mirror.equivalents,
      foreignLayers: file.mirror.foreign_layers,
    },
    registries,
    egress: file.egress,
    presets,
    warm: buildWarm(file.warm),
    ...buildObserved(file, surroundings),
    audit: buildAudit(file.audit, {
      secret: (given) =>
        readSecret(
          { value: given.secret, file: given.secret_file, variable: given.secret_env },
          { path: ['audit', 'webhook'], key: 'secret', word: 'secret' },
          surroundings,
        ),
      certificates: (place, path) => {
        const caFile = resolve(place);
        const ca = readPem(caFile, ['audit', ...path], report);
        return { caFile, ...(ca === undefined ? {} : { ca }) };
      },
    }),
    apiCredentials: { ...file.api_credentials, folders: file.api_credentials.folders.map((folder) => resolve(folder)) },
    limits: buildLimits(file.limits),
    identity: buildIdentity(file.identity, surroundings),
  };
}

function buildPresets(file: ConfigFile): PresetsConfig {
  const { enabled, file: place, url, public_key: publicKey, interval } = file.presets;
  return {
    isMirrored: enabled,
    chosen: choosePresets(resolve(file.data), publicKey),
    ...(publicKey === undefined
      ? {}
      : {
          updates: {
            ...(place === undefined ? {} : { file: resolve(place) }),
            ...(url === undefined ? {} : { url }),
            publicKey,
            intervalMs: interval,
          },
        }),
  };
}

function buildTagRules(
  file: ConfigFile['mirror'],
): Omit<MirrorConfig, 'rootRegistry' | 'revalidateTimeoutMs' | 'equivalents' | 'foreignLayers'> {
  return {
    tagTtlMs: file.tag_ttl,
    staleWhileRevalidateMs: file.stale_while_revalidate,
    staleIfErrorMs: file.stale_if_error,
    onUpstreamDelete: file.on_upstream_delete,
    withoutAuthority: file.without_authority,
    notFoundTtlMs: file.not_found_ttl,
    rules: file.rules.map(({ match, tag_ttl, stale_while_revalidate, stale_if_error, on_upstream_delete, without_authority }) => ({
      match,
      ...(tag_ttl === undefined ? {} : { tagTtlMs: tag_ttl }),
      ...(stale_while_revalidate === undefined ? {} : { staleWhileRevalidateMs: stale_while_revalidate }),
      ...(stale_if_error === undefined ? {} : { staleIfErrorMs: stale_if_error }),
      ...(on_upstream_delete === undefined ? {} : { onUpstreamDelete: on_upstream_delete }),
      ...(without_authority === undefined ? {} : { withoutAuthority: without_authority }),
    })),
  };
}

function buildSources(name: string, entries: readonly SourceEntry[], surroundings: Surroundings): SourceConfig[] {
  const urls = new Set<string>();
  return entries.map((entry, index) => {
    const path = ['registries', name, 'sources', index];
    const url = addressOf(entry, name);
    if (url === undefined)
      surroundings.report([...path, 'path_style'], `is ${entry.path_style}, which ${entry.url} leaves no place for; expected root`);
    else if (urls.has(url)) surroundings.report([...path, 'url'], 'is listed twice; expected each source once');
    else urls.add(url);
    const caFile = entry.tls?.ca_file === undefined ? undefined : resolve(entry.tls.ca_file);
    const ca = caFile === undefined ? undefined : readPem(caFile, [...path, 'tls', 'ca_file'], surroundings.report);
    for (const [place, credential] of readCredentials(entry.credentials).entries()) {
      const isOne = entry.credentials?.length === 1;
      checkCredential(credential, [...path, 'credentials', ...(isOne ? [] : [place])], surroundings);
    }
    const source = readSource(entry, { url: url ?? entry.url, ...(ca === undefined ? {} : { ca }) });
    return caFile === undefined || source.tls === undefined ? source : { ...source, tls: { ...source.tls, caFile } };
  });
}

function buildIdentity(file: ConfigFile['identity'], surroundings: Surroundings): IdentityConfig {
  return {
    syncIntervalMs: file.sync_interval,
    providers: file.providers.flatMap((entry, index): ProviderConfig[] => {
      const path = ['identity', 'providers', index];
      const given = { value: entry.secret, file: entry.secret_file, variable: entry.secret_env };
      const secret = readSecret(given, { path, key: 'secret', word: 'secret' }, surroundings);
      const base = { name: entry.name, isEnabled: entry.enabled, ...(secret === undefined ? {} : { secret }) };
      const withAuthority = <T extends { readonly ca_file?: string | undefined }>(
        kind: string,
        settings: T,
      ): T & { readonly ca?: string } => {
        if (settings.ca_file === undefined) return settings;
        const ca = readPem(resolve(settings.ca_file), [...path, kind, 'ca_file'], surroundings.report);
        return { ...settings, ...(ca === undefined ? {} : { ca }) };
      };
      if (entry.ldap !== undefined) return [{ ...base, kind: 'ldap', settings: withAuthority('ldap', entry.ldap) }];
      if (entry.oidc !== undefined) return [{ ...base, kind: 'oidc', settings: withAuthority('oidc', entry.oidc) }];
      return [];
    }),
  };
}

function buildObserved(file: ConfigFile, surroundings: Surroundings): Pick<Config, 'metrics' | 'status' | 'probes'> {
  const { metrics, status, probes } = file;
  const token = readSecret(
    { value: metrics.token, file: metrics.token_file, variable: metrics.token_env },
    { path: ['metrics'], key: 'token', word: 'token' },
    surroundings,
  );
  return {
    metrics: {
      isPublic: metrics.public,
      ...(metrics.listen === undefined ? {} : { listen: metrics.listen }),
      ...(token === undefined ? {} : { token }),
    },
    status: { isPublic: status.public },
    probes: {
      isEnabled: probes.enabled,
      intervalMs: probes.interval,
      deepIntervalMs: probes.deep_interval,
      canaries: new Map(
        Object.entries(probes.canaries).map(([registry, { popular, rare }]) => [
          registry,
          { ...(popular === undefined ? {} : { popular }), ...(rare === undefined ? {} : { rare }) },
        ]),
      ),
    },
  };
}

/** A login that cannot be had now is told before the server starts; the password itself is read when it is needed. */
function checkCredential(credential: CredentialConfig, path: readonly PropertyKey[], surroundings: Surroundings): void {
  const { password: value, passwordFile: file, passwordEnv: variable } = credential;
  readSecret({ value, file, variable }, { path, key: 'password', word: 'password' }, surroundings);
}

/** A secret given as itself, in a file or in an environment variable; problems are reported under KEY_file and KEY_env. */
function readSecret(
  given: { readonly value: Secret | undefined; readonly file: string | undefined; readonly variable: string | undefined },
  place: { readonly path: readonly PropertyKey[]; readonly key: string; readonly word: string },
  { env, report }: Surroundings,
): Secret | undefined {
  const { path, key, word } = place;
  if (given.value !== undefined) return given.value;
  if (given.variable !== undefined) {
    const value = env[given.variable];
    if (value !== undefined && value !== '') return new Secret(value);
    report([...path, `${key}_env`], `the environment variable ${given.variable} is not set; expected the ${word} in it`);
    return undefined;
  }
  if (given.file === undefined) return undefined;
  const text = readTextFile(given.file, [...path, `${key}_file`], report)?.replace(/\r?\n$/, '');
  if (text !== undefined && text !== '') return new Secret(text);
  if (text === '') report([...path, `${key}_file`], `${given.file} is empty; expected the ${word} in it`);
  return undefined;
}

function readPem(file: string, path: readonly PropertyKey[], report: Surroundings['report']): string | undefined {
  const text = readTextFile(file, path, report);
  if (text === undefined || text.includes('-----BEGIN ')) return text;
  report(path, `${file} holds no PEM block; expected -----BEGIN ... in it`);
  return undefined;
}

function readTextFile(file: string, path: readonly PropertyKey[], report: Surroundings['report']): string | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length <= maxFileLength) return text;
    report(path, `${file} is larger than 1 MiB; expected a small text file`);
  } catch (cause) {
    report(path, `${file} cannot be read (${errorCode(cause)}); expected a readable file`);
  }
  return undefined;
}

function readConfigFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError([{ origin: file, key: '', text: `cannot be read (${errorCode(cause)}); expected a readable YAML file` }], {
      cause,
    });
  }
}

function buildLimits(limits: ConfigFile['limits']): LimitsConfig {
  return {
    manifestBytes: limits.manifest_bytes,
    blobBytes: limits.blob_bytes,
    uploadsPerRepository: limits.uploads_per_repository,
    uploadsTotal: limits.uploads_total,
    uploadsPerPrincipal: limits.uploads_per_principal,
    uploadIdleExpiryMs: limits.upload_idle_expiry,
    uploadAbsoluteExpiryMs: limits.upload_absolute_expiry,
    pageSizeDefault: limits.page_size_default,
    pageSizeMax: limits.page_size_max,
    minimumFree: limits.minimum_free,
    upstream: { connectionsPerHost: limits.upstream.connections_per_host, fills: limits.upstream.fills },
  };
}

function createPlace(origin: string, file: YamlFile | undefined): (found: { path: readonly PropertyKey[]; text: string }) => ConfigProblem {
  return ({ path, text }) => ({ origin, key: formatKey(path), text, ...(file === undefined ? {} : { line: file.lineOf(path) }) });
}

function errorCode(cause: unknown): string {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : String(cause);
}
