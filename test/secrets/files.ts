// Looks for a text in every file of a folder.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Files below the folder that hold the text, as it is or in base64; paths below the folder. */
export function filesHolding(folder: string, text: string): string[] {
  const forms = [text, Buffer.from(text).toString('base64').replace(/=+$/, '')].map((form) => Buffer.from(form));
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const path = join(folder, name);
    if (!statSync(path).isFile()) return false;
    const bytes = readFileSync(path);
    return forms.some((form) => bytes.includes(form));
  });
}
