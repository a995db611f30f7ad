// Which client a configuration file belongs to: by its content, and by its name where the content leaves it open.

import { basename, dirname } from 'node:path';
import { readBuildkitdToml } from './buildkitd-toml.ts';
import { readContainerdConfig } from './containerd-config.ts';
import { readDaemonJson } from './daemon-json.ts';
import { asTable, ClientFileError, type Found } from './found.ts';
import { readHostsToml } from './hosts-toml.ts';
import { readRegistriesConf } from './registries-conf.ts';
import { readRegistriesYaml } from './registries-yaml.ts';
import { readToml } from './toml.ts';
import { readYaml } from './yaml-values.ts';

export const fileKinds = ['daemon.json', 'registries.conf', 'hosts.toml', 'config.toml', 'registries.yaml', 'buildkitd.toml'] as const;
export type FileKind = (typeof fileKinds)[number];

/** Reads a file of the given kind. Throws ClientFileError when it is not of that syntax. */
export function readClientFile(kind: FileKind, text: string, file: string): Found {
  switch (kind) {
    case 'daemon.json':
      return readDaemonJson(text, file);
    case 'registries.conf':
      return readRegistriesConf(text, file);
    case 'hosts.toml':
      return readHostsToml(text, file, folderOf(file));
    case 'config.toml':
      return readContainerdConfig(text, file);
    case 'registries.yaml':
      return readRegistriesYaml(text, file);
    case 'buildkitd.toml':
      return readBuildkitdToml(text, file);
  }
}

/** The kind of a file, or undefined when neither content nor name tells. Throws ClientFileError for broken syntax. */
export function detectKind(text: string, file: string): FileKind | undefined {
  const name = basename(file).toLowerCase();
  const named = fileKinds.find((kind) => kind === name);
  if (/^\s*(?:\uFEFF)?\s*\{/.test(text) || name.endsWith('.json')) return 'daemon.json';
  if (/\.ya?ml$/.test(name)) return 'registries.yaml';
  if (/\.(toml|conf)$/.test(name)) return kindOfToml(readToml(text)) ?? named;
  return kindOfAny(text) ?? named;
}

function kindOfAny(text: string): FileKind | undefined {
  try {
    const kind = kindOfToml(readToml(text));
    if (kind !== undefined) return kind;
  } catch (error) {
    if (!(error instanceof ClientFileError)) throw error;
  }
  const root = asTable(yamlOrNothing(text));
  return root !== undefined && (root['mirrors'] !== undefined || root['configs'] !== undefined) ? 'registries.yaml' : undefined;
}

function yamlOrNothing(text: string): unknown {
  try {
    return readYaml(text);
  } catch (error) {
    if (error instanceof ClientFileError) return undefined;
    throw error;
  }
}

function kindOfToml(root: Readonly<Record<string, unknown>>): FileKind | undefined {
  if (asTable(root['host']) !== undefined || typeof root['server'] === 'string') return 'hosts.toml';
  if (asTable(root['plugins']) !== undefined) return 'config.toml';
  if (Array.isArray(root['registry']) || root['unqualified-search-registries'] !== undefined || asTable(root['registries']) !== undefined)
    return 'registries.conf';
  return asTable(root['registry']) === undefined ? undefined : 'buildkitd.toml';
}

/** The name of the folder of a hosts.toml, unless it is an ordinary folder. */
function folderOf(file: string): string | undefined {
  const folder = basename(dirname(file));
  if (folder.endsWith('.d')) return undefined;
  return folder === '_default' || /^[A-Za-z0-9-]+([.:_][A-Za-z0-9_:.-]+)$/.test(folder) || folder === 'localhost' ? folder : undefined;
}
