// The registries.yaml of k3s and RKE2. docs.k3s.io "Private Registry Configuration".

import { dirname, resolve } from 'node:path';
import { asTable, ClientFileError, type Found } from './found.ts';
import { readMirrorTable } from './mirror-table.ts';
import { readYaml } from './yaml-values.ts';

/** Throws ClientFileError for what is no YAML mapping. */
export function readRegistriesYaml(text: string, file: string): Found {
  const root = asTable(readYaml(text));
  if (root === undefined) throw new ClientFileError('it is no YAML mapping');
  return readMirrorTable(root, { file, key: '', folder: dirname(resolve(file)) });
}
