// Pulls are counted where they came from, and outlive a restart; of a mirror its cached content is listed and can be deleted.

import { expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { artifactSchema, repositorySchema, tagSchema } from '../../src/api/artifact-schemas.ts';
import { postJson, send } from '../api/client.ts';
import { startFakeSource } from '../mirror/fake-source.ts';
import { imageOf } from '../mirror/images.ts';
import { startBreakwater } from '../support/breakwater.ts';
import { pushImage } from './images.ts';

test('pulls of a mirror and an overlay are counted, and what is cached is listed and deleted', async () => {
  const source = await startFakeSource();
  const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-pulls-'));
  const config = JSON.stringify({
    presets: false,
    probes: { enabled: false },
    registries: { 'docker.io': { sources: [{ url: source.url, trust: 'authority' }] } },
  });
  let server = await startBreakwater({ config, dataDir });
  try {
    source.add('library/cached', imageOf([100]), 'v1');
    await pushImage(server, 'library/own', { note: 'own', tags: ['1'] });
    const headers = { authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` };
    const pull = async (path: string, method = 'GET') => {
      const answer = await fetch(`${server.url}/v2/${path}`, { method, headers });
      await answer.arrayBuffer();
      expect([path, answer.status]).toEqual([path, 200]);
    };
    for (let times = 0; times < 3; times++) await pull('library/cached/manifests/v1');
    await pull('library/own/manifests/1');
    await pull('library/own/manifests/1', 'HEAD');
    await server.stop();
    server = await startBreakwater({ config, dataDir });
    const read = async <T>(path: string, schema: z.ZodType<T>): Promise<T> => schema.parse((await send(server, path)).json());
    const cachedPath = '/projects/docker.io/repositories/library%252Fcached';
    expect((await read('/projects/library/repositories/own', repositorySchema)).pull_count).toBe(1);
    expect(await read(cachedPath, repositorySchema)).toMatchObject({ pull_count: 3, artifact_count: 1 });
    const [cached] = await read(`${cachedPath}/artifacts`, z.array(artifactSchema));
    expect(Math.abs(Date.parse(cached?.pull_time ?? '') - Date.now())).toBeLessThan(300_000);
    const [tag] = await read(`${cachedPath}/artifacts/v1/tags`, z.array(tagSchema));
    expect([tag?.name, Math.abs(Date.parse(tag?.pull_time ?? '') - Date.now()) < 300_000]).toEqual(['v1', true]);
    // The config was not pulled: nothing is told of it, and nothing is fetched to tell it.
    const requests = source.requests.length;
    expect((await read(`${cachedPath}/artifacts/v1`, artifactSchema)).extra_attrs).toBeUndefined();
    expect(source.requests.length).toBe(requests);
    expect((await postJson(server, `${cachedPath}/artifacts/v1/tags`, { name: 'mine' })).status).toBe(403);
    const copied = await send(server, `/projects/library/repositories/copied/artifacts?from=docker.io/library/cached:v1`, {
      method: 'POST',
    });
    expect(copied.status).toBe(409);
    expect((await send(server, `${cachedPath}/artifacts/v1`, { method: 'DELETE' })).status).toBe(200);
    expect((await read(cachedPath, repositorySchema)).artifact_count).toBe(0);
  } finally {
    await server.stop();
    await source.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}, 60_000);
