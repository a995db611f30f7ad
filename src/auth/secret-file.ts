// Secrets the server makes for itself and keeps in the data folder: all of it or nothing is there after a crash or a power cut, and only the
// server's user can read it. It must never replace a secret that somebody may know already.

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** The text of the file; undefined when it is absent or holds nothing, as after a crash of a program that did not write it whole. */
export function readSecretFile(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, 'utf8').trim();
  return text === '' ? undefined : text;
}

/** Writes one line, mode 0600: durable when this returns. */
export function writeSecretFile(file: string, text: string): void {
  const unfinished = `${file}.new`;
  const handle = openSync(unfinished, 'w', 0o600);
  try {
    writeSync(handle, `${text}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(unfinished, file);
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
