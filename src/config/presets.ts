// The presets this program ships, as the registries of a fresh install and as what is known about hosts. The data is presets/presets.json.
// `realms` lists token services that live on another host than the registry; a realm elsewhere is refused (credentials would leak).

import shipped from '../../presets/presets.json' with { type: 'json' };
import type { RegistryConfig, SourceConfig } from './config.ts';
import { type PresetMirror, type PresetOperator, type Presets, parsePresets } from './preset-data.ts';

/** The place of a source that names none. */
export const defaultPriority = 100;

/** Those in the program itself. */
export const shippedPresets: Presets = readShipped();

/** Behind the registry itself, in the order of the file. */
const mirrorPriority = 200;

/**
 * The official endpoint of each registry as its authority, and the public mirrors of it as sources that are off until somebody turns them on:
 * nobody has probed them from here.
 */
export function registriesOf(presets: Presets): ReadonlyMap<string, RegistryConfig> {
  return new Map(
    presets.registries.map(({ name, url, realms }) => {
      const own: SourceConfig = { url, trust: 'authority', priority: defaultPriority, realms, allowPrivate: false };
      const mirrors = presets.operators.flatMap((operator) =>
        operator.mirrors.filter((one) => one.registry === name).map((mirror) => mirrorSource(operator, mirror)),
      );
      return [name, { origin: 'preset', sources: [own, ...mirrors] }];
    }),
  );
}

function mirrorSource({ id, limits }: PresetOperator, { url, repositories }: PresetMirror): SourceConfig {
  return {
    url,
    trust: 'digest-only',
    priority: mirrorPriority,
    enabled: false,
    realms: [],
    allowPrivate: false,
    operator: id,
    ...(repositories === undefined ? {} : { scope: { allow: repositories, deny: [] } }),
    ...(limits === undefined ? {} : { limits: readLimits(limits) }),
  };
}

/** Limits as the presets write them. */
export function readLimits(limits: NonNullable<PresetOperator['limits']>): NonNullable<SourceConfig['limits']> {
  return {
    ...(limits.connections === undefined ? {} : { connections: limits.connections }),
    ...(limits.requests_per_minute === undefined ? {} : { requestsPerMinute: limits.requests_per_minute }),
  };
}

export type KnownHost =
  | { readonly kind: 'official'; readonly registry: string; readonly url: string; readonly realms: readonly string[] }
  | { readonly kind: 'mirror'; readonly operator: PresetOperator; readonly mirror?: PresetMirror }
  | { readonly kind: 'dead'; readonly since: string; readonly reason: string };

/** What the presets say of a host (lower case, no port); undefined for one they do not know. */
export function findHost(presets: Presets, host: string): KnownHost | undefined {
  const dead = presets.dead.find((one) => one.host === host);
  if (dead !== undefined) return { kind: 'dead', since: dead.since, reason: dead.reason };
  for (const operator of presets.operators) {
    const mirror = operator.mirrors.find((one) => new URL(one.url).hostname === host && one.path_style !== 'prefix');
    if (mirror !== undefined) return { kind: 'mirror', operator, mirror };
  }
  const official = presets.registries.find((one) => new URL(one.url).hostname === host || one.name === host);
  if (official !== undefined) return { kind: 'official', registry: official.name, url: official.url, realms: official.realms };
  const operator = presets.operators.find(
    (one) => one.hosts.some((pattern) => matchesHost(pattern, host)) || one.mirrors.some((mirror) => new URL(mirror.url).hostname === host),
  );
  return operator === undefined ? undefined : { kind: 'mirror', operator };
}

/** `*` stands for any number of characters, dots included. */
function matchesHost(pattern: string, host: string): boolean {
  const escaped = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${escaped}$`).test(host);
}

function readShipped(): Presets {
  const read = parsePresets(JSON.stringify(shipped));
  if ('problem' in read) throw new Error(`presets/presets.json: ${read.problem}`);
  return read.presets;
}
