// The values of a YAML file of a client. It must never run on what the text wants: aliases are few, and one that leads nowhere is an error of the file.

import { parseDocument } from 'yaml';
import { ClientFileError } from './found.ts';

const aliasesMax = 100;

/** Throws ClientFileError for what is no YAML. */
export function readYaml(text: string): unknown {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) throw noYaml(error);
  try {
    return document.toJS({ maxAliasCount: aliasesMax });
  } catch (cause) {
    throw noYaml(cause);
  }
}

function noYaml(cause: unknown): ClientFileError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new ClientFileError(`it is no YAML: ${message.split('\n')[0] ?? ''}`);
}
