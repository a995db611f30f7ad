// `breakwater pins`: sets of images that stay here and complete.

import { z } from 'zod';
import { pinSchema, removedPinsSchema } from '../api/offline-schemas.ts';
import { createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { type ImageInput, readImages } from './image-input.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatTable, plain } from './text.ts';

interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}

/** JSON: the set as it is now. */
export async function addPins(
  set: string,
  words: readonly string[],
  options: OutputOptions & ImageInput & { readonly platform: string },
  terminal: Terminal,
): Promise<void> {
  const images = await readImages(words, options, terminal);
  if (images.length === 0) throw new CommandFailure('no image is named', { hint: 'name images, or --file FILE', exitCode: 2 });
  const client = createApiClient(await resolveConnection(options, terminal));
  const body = { images, platforms: options.platform };
  const { value, raw } = await client.read(z.array(pinSchema), { method: 'POST', path: `/pins/${encodeURIComponent(set)}`, body });
  await terminal.write(options.json === true ? toJson(raw) : `the set ${plain(set)} has ${value.length} images\n`);
}

/** JSON: `{removed}`. */
export async function removePins(
  set: string,
  images: readonly string[],
  options: OutputOptions & { readonly all?: boolean },
  terminal: Terminal,
): Promise<void> {
  if ((images.length === 0) !== (options.all === true))
    throw new CommandFailure('say what goes', { hint: 'name images, or pass --all for the whole set', exitCode: 2 });
  const client = createApiClient(await resolveConnection(options, terminal));
  let removed = 0;
  // A few at a time: they go into the address.
  const lists = images.length === 0 ? [[]] : chunksOf(images);
  for (const image of lists) {
    const query: Record<string, readonly string[]> = image.length === 0 ? {} : { image };
    const answer = await client.read(removedPinsSchema, { method: 'DELETE', path: `/pins/${encodeURIComponent(set)}`, query });
    removed += answer.value.removed;
  }
  await terminal.write(options.json === true ? toJson({ removed }) : `${removed} images are no longer pinned in ${plain(set)}\n`);
}

/** JSON: the list as the API gives it. */
export async function listPins(set: string | undefined, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const query: Record<string, string> = set === undefined ? {} : { set };
  const { value, raw } = await client.read(z.array(pinSchema), { method: 'GET', path: '/pins', query });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((pin) => [pin.set, pin.image, pin.platforms, `${pin.repository} ${pin.reference}`, pin.createdAt.slice(0, 10)]);
  await terminal.write(formatTable([['SET', 'IMAGE', 'PLATFORMS', 'MEANS', 'SINCE'], ...rows]));
}

function chunksOf(images: readonly string[]): string[][] {
  const chunks: string[][] = [];
  for (let at = 0; at < images.length; at += 20) chunks.push(images.slice(at, at + 20));
  return chunks;
}
