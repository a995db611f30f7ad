// Images named on the command line, in files and on standard input.

import { readFileSync } from 'node:fs';
import { findImages, ImageListError } from '../registry/image-list.ts';
import { CommandFailure } from './failure.ts';
import type { Terminal } from './terminal.ts';
import { plain } from './text.ts';

export interface ImageInput {
  readonly file?: readonly string[];
}

/** Each once, in order; `-` as an image or a file is standard input. What was left out of a file is told on standard error. */
export async function readImages(words: readonly string[], { file = [] }: ImageInput, terminal: Terminal): Promise<string[]> {
  const images: string[] = [];
  for (const word of words) {
    if (word === '-') images.push(...(await readFound('-', terminal)));
    else images.push(word);
  }
  for (const name of file) images.push(...(await readFound(name, terminal)));
  return [...new Set(images)];
}

async function readFound(name: string, terminal: Terminal): Promise<readonly string[]> {
  const shown = name === '-' ? 'standard input' : name;
  const text = name === '-' ? await Bun.stdin.text() : readText(name);
  try {
    const { images, kind, notes } = findImages(text, terminal.env);
    await terminal.warn(`${shown}: ${images.length} image${images.length === 1 ? '' : 's'} (${kind})\n`);
    for (const note of notes) await terminal.warn(`${shown}: ${plain(note)}\n`);
    return images;
  } catch (error) {
    if (error instanceof ImageListError) throw new CommandFailure(`${shown}: ${plain(error.message)}`, { cause: error });
    throw error;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CommandFailure(`${file} cannot be read (${cause instanceof Error ? cause.message : String(cause)})`, { cause });
  }
}
