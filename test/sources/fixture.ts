// A server whose registries are empty at first, and fake sources that hold one image: enough to see who is asked for what.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { registrySchema } from '../../src/api/registry-schemas.ts';
import { registrySourcesSchema, type SourceBody } from '../../src/api/source-schemas.ts';
import { type ApiAnswer, send } from '../api/client.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { type Image, imageOf } from '../mirror/images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';

export const repository = 'team/app';

export interface Holder extends FakeSource {
  readonly image: Image;
}

/** A source that has `team/app:1`; of the same image when given. */
export async function startHolder(image: Image = imageOf([2000])): Promise<Holder> {
  const source = await startFakeSource();
  source.add(repository, image, '1');
  return Object.assign(source, { image });
}

export interface ServerFolder {
  /** Ends the running server first. Without sources of a registry it is not in the file. */
  start(registries: Readonly<Record<string, readonly object[]>>, more?: object): Promise<RunningBreakwater>;
  end(): Promise<void>;
}

/** One data folder, served again and again with other config files. */
export function makeServerFolder(): ServerFolder {
  const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-sources-'));
  let running: RunningBreakwater | undefined;
  return {
    start: async (registries, more = {}) => {
      await running?.stop();
      const named = Object.entries(registries).map(([name, sources]) => [name, { sources }]);
      const config = { presets: false, probes: { enabled: false }, registries: Object.fromEntries(named), ...more };
      running = await startBreakwater({ config: JSON.stringify(config), dataDir });
      return running;
    },
    end: async () => {
      await running?.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export function sendJson(server: RunningBreakwater, method: string, path: string, body: unknown): Promise<ApiAnswer> {
  return send(server, path, { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
}

/** The sources of a registry as the server lists them. */
export async function sourcesOf(server: RunningBreakwater, registry: string): Promise<readonly SourceBody[]> {
  const listed = z.array(registrySourcesSchema).parse((await send(server, '/sources')).json());
  return listed.find((one) => one.registry === registry)?.sources ?? [];
}

export async function registryOf(server: RunningBreakwater, name: string) {
  return z
    .array(registrySchema)
    .parse((await send(server, '/registries')).json())
    .find((one) => one.name === name);
}

/** The status of a pull through the mirror of a registry; of the image's manifest by its digest unless a tag is named. */
export async function pullStatus(server: RunningBreakwater, registry: string, image: Image, reference?: string): Promise<number> {
  const url = `${server.url}/v2/${registry}/${repository}/manifests/${reference ?? image.manifest.digest}`;
  const response = await fetch(url, { headers: { accept: image.manifest.mediaType } });
  await response.arrayBuffer();
  return response.status;
}
