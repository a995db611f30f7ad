// The registries.yaml of k3s and RKE2. docs.k3s.io "Private Registry Configuration".

import { dirname, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { asTable, ClientFileError, type Found } from './found.ts';
import { readMirrorTable } from './mirror-table.ts';

/** Throws ClientFileError for what is no YAML mapping. */
export function readRegistriesYaml(text: string, file: string): Found {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) throw new ClientFileError(`it is no YAML: ${error.message.split('\n')[0] ?? ''}`);
  const root = asTable(document.toJS({ maxAliasCount: 100 }));
  if (root === undefined) throw new ClientFileError('it is no YAML mapping');
  return readMirrorTable(root, { file, key: '', folder: dirname(resolve(file)) });
}
