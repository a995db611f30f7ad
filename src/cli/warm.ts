// `breakwater warm` and `warmups`: begin a warm-up on the server, watch it, tell what came of it. The run is the server's: whoever stops watching
// stops nothing, and when the connection breaks off, watching goes on as soon as the server answers again.

import { z } from 'zod';
import { type WarmedImageBody, type WarmupBody, warmupSchema } from '../api/offline-schemas.ts';
import { type ApiClient, ApiFailure, createApiClient } from './client.ts';
import { type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { type ImageInput, readImages } from './image-input.ts';
import { parseRate } from './rate.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatBytes, formatTable, plain } from './text.ts';

interface OutputOptions extends ConnectionOptions {
  readonly json?: boolean;
}
export interface WarmOptions extends OutputOptions, ImageInput {
  readonly pins?: string;
  readonly platform?: string;
  readonly bandwidth?: string;
  readonly concurrency: string;
  readonly detach?: boolean;
}

const pollMs = 300;
/** How long a server that does not answer is asked again. */
const patienceMs = 120_000;

/** JSON: NDJSON events (`started`, `image` at each change, `ended`). Exit code 1 when an image could not be had. */
export async function warm(words: readonly string[], options: WarmOptions, terminal: Terminal): Promise<void> {
  const images = await readImages(words, options, terminal);
  if (images.length === 0 && options.pins === undefined)
    throw new CommandFailure('no image is named', { hint: 'name images, --file FILE or --pins SET', exitCode: 2 });
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value: run } = await client.read(warmupSchema, {
    method: 'POST',
    path: '/warmups',
    body: {
      images,
      concurrency: parseCount(options.concurrency),
      ...(options.pins === undefined ? {} : { pins: options.pins }),
      ...(options.platform === undefined ? {} : { platforms: options.platform }),
      ...(options.bandwidth === undefined ? {} : { bandwidthBytes: parseRate(options.bandwidth) }),
    },
  });
  if (options.json === true) await terminal.write(`${JSON.stringify({ event: 'started', id: run.id, images: run.imagesTotal })}\n`);
  if (options.detach === true) {
    if (options.json !== true) await terminal.write(`began warm-up ${run.id}; watch it with: breakwater warmups watch ${run.id}\n`);
    return;
  }
  await watch(client, run, options, terminal);
}

/** JSON: as `warm`. */
export async function watchWarmup(id: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  await watch(client, await read(client, id), options, terminal);
}

/** JSON: the list as the API gives it. */
export async function listWarmups(options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(z.array(warmupSchema), { method: 'GET', path: '/warmups' });
  if (options.json === true) return terminal.write(toJson(raw));
  const rows = value.map((run) => [run.id, run.name ?? '-', run.state, String(run.imagesTotal), run.createdAt, run.endedAt ?? '-']);
  await terminal.write(formatTable([['ID', 'NAME', 'STATE', 'IMAGES', 'BEGAN', 'ENDED'], ...rows]));
}

/** JSON: the run as the API gives it. */
export async function cancelWarmup(id: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(warmupSchema, { method: 'DELETE', path: `/warmups/${encodeURIComponent(id)}` });
  await terminal.write(options.json === true ? toJson(raw) : `warm-up ${value.id} is ${value.state}; what it fetched stays\n`);
}

async function watch(client: ApiClient, first: WarmupBody, options: OutputOptions, terminal: Terminal): Promise<void> {
  const onInterrupt = (): void => {
    process.stderr.write(`\nthe server goes on; watch it again with: breakwater warmups watch ${first.id}, end it with: ... cancel\n`);
    process.exit(130);
  };
  process.on('SIGINT', onInterrupt);
  try {
    const report = createReport(options.json === true, terminal);
    let run = first;
    for (;;) {
      await report.show(run);
      if (run.state !== 'queued' && run.state !== 'running') break;
      await Bun.sleep(pollMs);
      run = await readPatiently(client, first.id);
    }
    await report.end(run);
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

/** A server that restarts goes on with the run. */
async function readPatiently(client: ApiClient, id: string): Promise<WarmupBody> {
  const untilMs = performance.now() + patienceMs;
  for (;;) {
    try {
      return await read(client, id);
    } catch (error) {
      const mayPass = error instanceof ApiFailure ? error.code === 'UNAVAILABLE' : error instanceof CommandFailure;
      if (!mayPass || performance.now() > untilMs) throw error;
      await Bun.sleep(1000);
    }
  }
}

async function read(client: ApiClient, id: string): Promise<WarmupBody> {
  return (await client.read(warmupSchema, { method: 'GET', path: `/warmups/${encodeURIComponent(id)}` })).value;
}

interface Report {
  show(run: WarmupBody): Promise<void>;
  /** Throws when images failed. */
  end(run: WarmupBody): Promise<void>;
}

/** One line as each image ends, and on a terminal a live line of what is under way. */
function createReport(isJson: boolean, terminal: Terminal): Report {
  const said = new Map<number, string>();
  let liveWidth = 0;
  const live = async (text: string): Promise<void> => {
    if (terminal.isInteractive !== true || isJson) return;
    await terminal.warn(`\r${text.padEnd(liveWidth)}\r`);
    liveWidth = text.length;
  };
  return {
    show: async (run) => {
      for (const [place, image] of run.images.entries()) {
        const state = isJson ? JSON.stringify(image) : image.state;
        if (said.get(place) === state || image.state === 'waiting') continue;
        said.set(place, state);
        if (isJson) await terminal.write(`${JSON.stringify({ event: 'image', ...image })}\n`);
        else if (image.state !== 'running') {
          await live('');
          await terminal.write(`${describe(image)}\n`);
        }
      }
      await live(describeRunning(run));
    },
    end: async (run) => {
      await live('');
      const failed = run.images.filter((image) => image.state === 'failed');
      const sum = (pick: (image: WarmedImageBody) => number): number => run.images.reduce((total, image) => total + pick(image), 0);
      const totals = {
        done: run.images.filter((image) => image.state === 'done').length,
        failed: failed.length,
        cancelled: run.images.filter((image) => image.state === 'cancelled').length,
        fetchedBytes: sum((image) => image.fetchedBytes),
        cachedBytes: sum((image) => image.cachedBytes),
      };
      if (isJson) await terminal.write(`${JSON.stringify({ event: 'ended', id: run.id, state: run.state, ...totals })}\n`);
      else {
        const bytes = `${formatBytes(totals.fetchedBytes)} fetched, ${formatBytes(totals.cachedBytes)} were here`;
        await terminal.write(`${run.state}: ${totals.done} of ${run.imagesTotal} images are here, ${totals.failed} failed; ${bytes}\n`);
      }
      if (run.state === 'done') return;
      const reasons = failed.slice(0, 20).map((image) => `${image.image}: ${image.error?.message ?? 'unknown'}`);
      throw new CommandFailure(plain(`warm-up ${run.id} ${run.state}${reasons.length === 0 ? '' : ` (${reasons.join('; ')})`}`));
    },
  };
}

function describe(image: WarmedImageBody): string {
  const name = `${image.state.padEnd(9)} ${image.image}`;
  if (image.error !== undefined) return plain(`${name}: ${image.error.message}`);
  const parts = `${image.manifests} manifests, ${image.blobs}/${image.blobsTotal} blobs`;
  const bytes = `${formatBytes(image.fetchedBytes)} fetched, ${formatBytes(image.cachedBytes)} were here`;
  return plain(`${name}  ${parts}, ${bytes}${image.warning === undefined ? '' : `  (${image.warning})`}`);
}

function describeRunning(run: WarmupBody): string {
  const running = run.images.filter((image) => image.state === 'running');
  const ended = run.images.filter((image) => image.state !== 'running' && image.state !== 'waiting').length;
  const [first] = running;
  if (first === undefined) return run.state === 'queued' ? 'waiting for other warm-ups' : '';
  const done = first.fetchedBytes + first.cachedBytes;
  const more = running.length === 1 ? '' : ` and ${running.length - 1} more`;
  return plain(`${ended}/${run.imagesTotal}  ${first.image}  ${formatBytes(done)} of ${formatBytes(first.totalBytes)}${more}`).slice(
    0,
    100,
  );
}

function parseCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 32)
    throw new CommandFailure(`--concurrency: "${plain(text)}" is not understood`, {
      hint: 'expected a whole number from 1 to 32',
      exitCode: 2,
    });
  return value;
}
