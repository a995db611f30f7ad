// A source in its three forms: as it was configured, as it is kept in a row, and as it is asked. Rows hold passwords sealed; everywhere else
// they are `Secret`.

import type { Secrets } from '../auth/master-key.ts';
import type { Config, CredentialConfig, SourceConfig } from '../config/config.ts';
import {
  addressOf,
  readCredentials,
  readLimits,
  readSource,
  readTls,
  type SourceChange,
  type SourceEntry,
} from '../config/source-entry.ts';
import type { SeedRegistry } from '../db/source-seeds.ts';
import type { SourceRecord, SourceValues, StoredCredential } from '../db/sources.ts';
import { fingerprint, type Sealer } from '../lib/seal.ts';
import { OciError } from '../oci/errors.ts';
import { type CredentialSource, environmentCredential, fileCredential, helperCredential } from '../upstream/credentials.ts';
import type { Source } from '../upstream/source.ts';
import { canonicalRegistry } from './names.ts';
import { hiddenPassword, openCredentials, type SourcePlace, sealCredentials, sealedCredential } from './source-secrets.ts';

/** As a row keeps it. The file of certificates is not kept, its text is. */
export function toValues(registry: string, source: SourceConfig, sealer: Pick<Sealer, 'seal'>): SourceValues {
  return {
    ...plainValues(source),
    credentials: sealCredentials(source.credentials ?? [], { registry, url: source.url }, sealer),
  };
}

/** Back from a row, for showing it: passwords are `***`. */
export function toConfig(values: SourceValues): SourceConfig {
  return configWith(
    values,
    values.credentials.map(({ sealed, ...rest }) => ({ ...rest, ...(sealed === undefined ? {} : { password: hiddenPassword }) })),
  );
}

/** All but the logins. */
function plainValues(source: SourceConfig): Omit<SourceValues, 'credentials'> {
  const { proxy, tls, limits, scope, operator } = source;
  return {
    url: source.url,
    trust: source.trust,
    priority: source.priority,
    isEnabled: source.enabled ?? true,
    details: {
      realms: source.realms,
      allowPrivate: source.allowPrivate,
      ...(proxy === undefined ? {} : { proxy }),
      ...(tls === undefined ? {} : { tls: { insecure: tls.insecure, ...(tls.ca === undefined ? {} : { ca: tls.ca }) } }),
      ...(limits === undefined ? {} : { limits }),
      ...(scope === undefined ? {} : { scope }),
      ...(operator === undefined ? {} : { operator }),
    },
  };
}

function configWith(values: Omit<SourceValues, 'credentials'>, credentials: readonly CredentialConfig[]): SourceConfig {
  return {
    url: values.url,
    trust: values.trust,
    priority: values.priority,
    ...(values.isEnabled ? {} : { enabled: false }),
    ...values.details,
    ...(credentials.length === 0 ? {} : { credentials }),
  };
}

/** What the admin API was sent, as configuration. BAD_REQUEST for a path style that does not fit and for a file of this machine. */
export function configOf(registry: string, entry: SourceEntry): SourceConfig {
  return readSource(entry, { url: requireAddress(canonicalRegistry(registry), entry), ...requireInlineCa(entry.tls) });
}

/**
 * What a change sent to the admin API makes of a source: only what it names. BAD_REQUEST as above. Passwords are sealed for a URL, so a new one
 * seals those that stay anew; SealError when they cannot be opened.
 */
export function changedValues(before: SourceRecord, change: SourceChange, sealer: Sealer): Partial<SourceValues> {
  const { url, path_style: style, trust, priority, enabled, proxy, credentials, realms, tls, limits, scope, operator } = change;
  if (style !== undefined && url === undefined) throw new OciError('BAD_REQUEST', 'path_style is about a url: give both');
  requireInlineCa(tls);
  const old = toConfig(before);
  const config: SourceConfig = {
    url: url === undefined ? old.url : requireAddress(before.registry, { url, ...(style === undefined ? {} : { path_style: style }) }),
    trust: trust ?? old.trust,
    priority: priority ?? old.priority,
    enabled: enabled ?? old.enabled ?? true,
    realms: realms ?? old.realms,
    allowPrivate: change.allow_private ?? old.allowPrivate,
    ...member('proxy', proxy, old.proxy),
    ...member('credentials', credentials && readCredentials(credentials), old.credentials),
    ...member('tls', tls && readTls(tls), old.tls),
    ...member('limits', limits && readLimits(limits), old.limits),
    ...member('scope', scope, old.scope),
    ...member('operator', operator, old.operator),
  };
  if (old.credentials !== undefined && credentials === undefined) requireSameReach(old, config);
  const values = plainValues(config);
  const { registry } = before;
  if (credentials !== undefined)
    return { ...values, credentials: sealCredentials(config.credentials ?? [], { registry, url: config.url }, sealer) };
  if (config.url === before.url) return values;
  return {
    ...values,
    credentials: sealCredentials(openCredentials(before.credentials, before, sealer), { registry, url: config.url }, sealer),
  };
}

/** Who may change a source need not know its password, so they cannot send it somewhere else: it is given again with the new place. */
function requireSameReach(before: SourceConfig, after: SourceConfig): void {
  const isElsewhere =
    new URL(before.url).origin !== new URL(after.url).origin || after.realms.some((realm) => !before.realms.includes(realm));
  if (isElsewhere)
    throw new OciError(
      'BAD_REQUEST',
      'its credentials would be sent to another host: give them again (or null) together with the new url or realms',
    );
}

/** `null` takes a member away, undefined leaves it as it was. */
function member<K extends string, T>(key: K, given: T | null | undefined, before: T | undefined): { readonly [P in K]?: T } {
  const value = given === undefined ? before : (given ?? undefined);
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: T };
}

function requireAddress(registry: string, entry: Pick<SourceEntry, 'url'> & { readonly path_style?: SourceEntry['path_style'] }): string {
  const url = addressOf(entry, registry);
  if (url === undefined)
    throw new OciError('BAD_REQUEST', `path_style: ${entry.url} leaves no place for ${entry.path_style}; give the whole address`);
  return url;
}

function requireInlineCa(tls: SourceEntry['tls'] | null): { readonly ca?: string } {
  if (tls?.ca_file !== undefined) throw new OciError('BAD_REQUEST', 'tls.ca_file: give the PEM text itself as tls.ca');
  return tls?.ca === undefined ? {} : { ca: tls.ca };
}

/** The name of a source in logs, metrics and health: it outlives restarts and rows. */
export function sourceKey(registry: string, url: string): string {
  return `${registry} ${url}`;
}

/** As it is asked. `credentials` come from `createCredentials`, so that they and what they cache outlive changes of other settings. */
export function toSource(registry: string, values: SourceValues, credentials: readonly CredentialSource[]): Source {
  return {
    id: sourceKey(registry, values.url),
    registry,
    url: values.url,
    trust: values.trust,
    priority: values.priority,
    ...values.details,
    ...(credentials.length === 0 ? {} : { credentials }),
  };
}

/** One for each stored login, with ids that tell them apart. */
export function createCredentials(
  place: SourcePlace,
  credentials: readonly StoredCredential[],
  sealer: Pick<Sealer, 'open'>,
): readonly CredentialSource[] {
  const used = new Map<string, number>();
  return credentials.map((stored, index) => {
    const base = stored.username ?? `helper ${(stored.helper?.[0] ?? '').split('/').pop()}`;
    const count = (used.get(base) ?? 0) + 1;
    used.set(base, count);
    const id = count === 1 ? base : `${base} #${count}`;
    const { username = '', sealed, passwordFile, passwordEnv, helper } = stored;
    if (helper !== undefined) return helperCredential({ command: helper, serverUrl: new URL(place.url).host, id });
    if (passwordFile !== undefined) return fileCredential({ username, path: passwordFile, id });
    if (passwordEnv !== undefined) return environmentCredential({ username, variable: passwordEnv, id });
    return sealedCredential({ username, sealed: sealed ?? '', place, index, sealer, id });
  });
}

/** The registries of the configuration as seeds of the rows. */
export function seedsOf(config: Pick<Config, 'registries'>, { sealer, fingerprintKey }: Secrets): readonly SeedRegistry[] {
  const hashes = (value: object): { hash: string; formerHash: string } => {
    const text = JSON.stringify(value);
    return { hash: fingerprint(fingerprintKey, text), formerHash: Bun.CryptoHasher.hash('sha256', text, 'hex') };
  };
  return [...config.registries].map(
    ([name, { sources, isPublic, origin = 'config' as const }]): SeedRegistry => ({
      name,
      origin,
      ...hashes({ isPublic: isPublic ?? null, origin }),
      ...(isPublic === undefined ? {} : { isPublic }),
      sources: sources.map((source) => ({ ...toValues(name, source, sealer), ...hashes(writtenValues(source)) })),
    }),
  );
}

/**
 * What the hash of a seed is made of: what was written, passwords and the text of its certificates included, so that a replaced one is taken
 * up. In the order in which versions before sealing hashed it, without a key.
 */
function writtenValues(source: SourceConfig): object {
  const { url, trust, priority, isEnabled, details } = plainValues(source);
  const credentials = (source.credentials ?? []).map(({ password, ...rest }) => ({
    ...rest,
    ...(password === undefined ? {} : { password: password.reveal() }),
  }));
  return { url, trust, priority, isEnabled, credentials, details };
}
