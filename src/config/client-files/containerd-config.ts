// The mirrors in containerd's own config.toml, as it was before certs.d (`registry.mirrors`, `registry.configs`). containerd docs/cri/registry.md.

import { dirname, resolve } from 'node:path';
import { asTable, asText, type Found } from './found.ts';
import { readMirrorTable } from './mirror-table.ts';
import { readToml } from './toml.ts';

const plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images', 'cri'];

export function readContainerdConfig(text: string, file: string): Found {
  const root = readToml(text);
  const all = asTable(root['plugins']) ?? {};
  for (const plugin of plugins) {
    const registry = asTable(asTable(all[plugin])?.['registry']);
    if (registry === undefined) continue;
    const key = `plugins."${plugin}".registry`;
    const found = readMirrorTable(registry, { file, key, folder: dirname(resolve(file)) });
    const path = asText(registry['config_path']);
    if (path === undefined) return found;
    const text = `the hosts are in ${path}; import that folder`;
    return { ...found, remarks: [...found.remarks, { place: `${file}: ${key}.config_path`, text }] };
  }
  return { endpoints: [], skipped: [], remarks: [{ place: file, text: 'configures no registry' }] };
}
