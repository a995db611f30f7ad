// `breakwater verify --offline`: whether images can be pulled with no network, told before the network is gone.

import { verifyLineSchema } from '../api/offline-schemas.ts';
import { createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { type ImageInput, readImages } from './image-input.ts';
import { parseRate } from './rate.ts';
import type { Terminal } from './terminal.ts';
import { formatBytes, plain } from './text.ts';

export interface VerifyOptions extends ConnectionOptions, ImageInput {
  readonly json?: boolean;
  readonly pins?: string;
  readonly all?: boolean;
  readonly platform?: string;
  readonly deep?: boolean;
  readonly bandwidth?: string;
}

/** Images that go into one address. */
const imagesPerRequest = 20;

/** JSON: NDJSON, one line per image as the API gives it. Exit code 1 when something is missing. */
export async function verifyOffline(words: readonly string[], options: VerifyOptions, terminal: Terminal): Promise<void> {
  const images = await readImages(words, options, terminal);
  const ways = [images.length > 0, options.pins !== undefined, options.all === true].filter(Boolean).length;
  if (ways !== 1)
    throw new CommandFailure('say what to verify', {
      hint: 'name images (or --file FILE), --pins SET, or --all: one of these',
      exitCode: 2,
    });
  const client = createApiClient(await resolveConnection(options, terminal));
  const query: Record<string, string> = {
    ...(options.pins === undefined ? {} : { pins: options.pins }),
    ...(options.all === true ? { all: 'true' } : {}),
    ...(options.platform === undefined ? {} : { platform: options.platform }),
    ...(options.deep === true ? { deep: 'true' } : {}),
    ...(options.bandwidth === undefined ? {} : { bandwidthBytes: String(parseRate(options.bandwidth)) }),
  };
  const totals = { complete: 0, incomplete: 0 };
  for (const image of images.length === 0 ? [undefined] : chunksOf(images)) {
    const lines = client.readLines(verifyLineSchema, {
      method: 'GET',
      path: '/verify',
      query: { ...query, ...(image === undefined ? {} : { image }) },
    });
    for await (const line of lines) {
      if (line.kind === 'progress') {
        if (terminal.isInteractive === true && options.json !== true)
          await terminal.warn(`\r${plain(line.image)}  ${formatBytes(line.checkedBytes)} read\u001b[K\r`);
        continue;
      }
      totals[line.complete ? 'complete' : 'incomplete']++;
      if (options.json === true) await terminal.write(`${JSON.stringify(line)}\n`);
      else {
        const words = `${line.manifests} manifests, ${line.blobs} blobs, ${formatBytes(line.sizeBytes)}`;
        const until = line.servedUntil === undefined ? '' : `, served offline until ${line.servedUntil.slice(0, 10)}`;
        await terminal.write(plain(`${line.complete ? 'complete  ' : 'INCOMPLETE'} ${line.image}  ${words}${until}`).concat('\n'));
        for (const item of line.missing)
          await terminal.write(plain(`    ${item.what}${item.digest === undefined ? '' : ` ${item.digest}`}: ${item.reason}`).concat('\n'));
      }
    }
  }
  const total = totals.complete + totals.incomplete;
  if (options.json !== true) await terminal.write(`${totals.complete} of ${total} images can be pulled with no network\n`);
  if (totals.incomplete > 0)
    throw new CommandFailure(`${totals.incomplete} of ${total} images are incomplete`, {
      hint: 'breakwater warm IMAGE fetches what is missing',
    });
}

function chunksOf(images: readonly string[]): string[][] {
  const chunks: string[][] = [];
  for (let at = 0; at < images.length; at += imagesPerRequest) chunks.push(images.slice(at, at + imagesPerRequest));
  return chunks;
}
