// `breakwater export` and `import`: images as one file, for sites that nothing but a file reaches.

import { once } from 'node:events';
import { createWriteStream, renameSync, rmSync, statSync } from 'node:fs';
import { importedSchema } from '../api/offline-schemas.ts';
import { type ApiClient, createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { type ImageInput, readImages } from './image-input.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatBytes, plain } from './text.ts';

interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface ExportOptions extends OutputOptions, ImageInput {
  readonly output: string;
  readonly platform?: string;
  readonly pins?: string;
}
export interface ImportOptions extends OutputOptions {
  readonly project?: string;
  readonly as?: string;
}

const liveEveryMs = 500;
/** They go into one address. */
const imagesMax = 100;

/** JSON: `{file, images, pins, sizeBytes}`. The file has its name only when it is whole; `-` is standard output. */
export async function exportArchive(words: readonly string[], options: ExportOptions, terminal: Terminal): Promise<void> {
  const images = await readImages(words, options, terminal);
  if (images.length === 0 && options.pins === undefined)
    throw new CommandFailure('no image is named', { hint: 'name images, --file FILE or --pins SET', exitCode: 2 });
  if (images.length > imagesMax)
    throw new CommandFailure(`more than ${imagesMax} images are named`, {
      hint: 'pin them, then name the set: breakwater pins add SET --file FILE',
    });
  const client = createApiClient(await resolveConnection(options, terminal));
  const isPipe = options.output === '-';
  if (isPipe && options.json === true) throw new CommandFailure('--json and -o - both want standard output', { exitCode: 2 });
  const part = `${options.output}.part`;
  const query = {
    image: images,
    ...(options.pins === undefined ? {} : { pins: options.pins }),
    ...(options.platform === undefined ? {} : { platform: options.platform }),
  };
  const chunks = client.readBytes({ method: 'GET', path: '/archive', query });
  const sizeBytes = isPipe ? await pipe(chunks, process.stdout, terminal) : await toFile(chunks, part, terminal);
  if (isPipe) return;
  renameSync(part, options.output);
  await terminal.write(
    options.json === true
      ? toJson({ file: options.output, images, ...(options.pins === undefined ? {} : { pins: options.pins }), sizeBytes })
      : `wrote ${formatBytes(sizeBytes)} to ${plain(options.output)}\n`,
  );
}

/** JSON: what the API answers. `-` is standard input. */
export async function importArchive(file: string, options: ImportOptions, terminal: Terminal): Promise<void> {
  const client: ApiClient = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.upload(importedSchema, {
    path: '/archive',
    query: {
      ...(options.project === undefined ? {} : { project: options.project }),
      ...(options.as === undefined ? {} : { as: options.as }),
    },
    contentType: 'application/x-tar',
    body: file === '-' ? Bun.stdin.stream() : fileStream(file, terminal, options.json === true),
  });
  if (options.json === true) return terminal.write(toJson(raw));
  for (const image of value.images)
    await terminal.write(
      plain(`imported ${image.repository}${image.tag === undefined ? `@${image.digest}` : `:${image.tag}  ${image.digest}`}`).concat('\n'),
    );
  await terminal.write(
    `${value.manifests} manifests, ${value.blobsStored} blobs stored, ${value.blobsPresent} were here, ${formatBytes(value.sizeBytes)} checked\n`,
  );
}

async function toFile(chunks: AsyncGenerator<Uint8Array>, part: string, terminal: Terminal): Promise<number> {
  const file = createWriteStream(part, { mode: 0o644 });
  const failed = once(file, 'error').then(([error]) => {
    throw new CommandFailure(`${part} cannot be written: ${error instanceof Error ? error.message : String(error)}`);
  });
  failed.catch(() => undefined);
  try {
    const sizeBytes = await Promise.race([failed, pipe(chunks, file, terminal)]);
    await Promise.race([failed, new Promise<void>((resolve) => file.end(() => resolve()))]);
    return sizeBytes;
  } catch (error) {
    file.destroy();
    rmSync(part, { force: true });
    throw error;
  }
}

async function pipe(chunks: AsyncGenerator<Uint8Array>, to: NodeJS.WritableStream, terminal: Terminal): Promise<number> {
  const live = createLive(terminal, 'written');
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    sizeBytes += chunk.byteLength;
    if (!to.write(chunk)) await once(to, 'drain');
    await live.show(sizeBytes);
  }
  await live.end();
  return sizeBytes;
}

function fileStream(file: string, terminal: Terminal, isQuiet: boolean): ReadableStream<Uint8Array> {
  let totalBytes = 0;
  try {
    totalBytes = statSync(file).size;
  } catch (cause) {
    throw new CommandFailure(`${file} cannot be read (${cause instanceof Error ? cause.message : String(cause)})`, { cause });
  }
  const live = createLive(isQuiet ? { ...terminal, isInteractive: false } : terminal, `of ${formatBytes(totalBytes)} sent`);
  let sentBytes = 0;
  return Bun.file(file)
    .stream()
    .pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform: async (chunk, controller) => {
          sentBytes += chunk.byteLength;
          await live.show(sentBytes);
          controller.enqueue(chunk);
        },
        flush: () => live.end(),
      }),
    );
}

function createLive(terminal: Terminal, word: string): { show(bytes: number): Promise<void>; end(): Promise<void> } {
  let saidAtMs = 0;
  return {
    show: async (bytes) => {
      if (terminal.isInteractive !== true || performance.now() - saidAtMs < liveEveryMs) return;
      saidAtMs = performance.now();
      await terminal.warn(`\r${formatBytes(bytes)} ${word}\u001b[K`);
    },
    end: async () => {
      if (saidAtMs > 0) await terminal.warn('\r\u001b[K');
    },
  };
}
