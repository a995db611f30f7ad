// TOML through smol-toml, with its complaint in one line.

import { parse, TomlError } from 'smol-toml';
import { asTable, ClientFileError } from './found.ts';

/** The root table. Throws ClientFileError with the place of the mistake. */
export function readToml(text: string): Readonly<Record<string, unknown>> {
  try {
    return asTable(parse(text.replace(/^\uFEFF/, ''))) ?? {};
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    throw new ClientFileError(`it is no TOML: line ${cause.line}, column ${cause.column}: ${cause.message.split('\n')[0] ?? ''}`, {
      cause,
    });
  }
}
