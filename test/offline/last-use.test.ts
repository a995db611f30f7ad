// When tags and blobs were last pulled, as a real server notes it.

import { Database } from 'bun:sqlite';
import { afterAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFakeSource } from '../mirror/fake-source.ts';
import { pull, startServer } from '../mirror/harness.ts';
import { imageOf } from '../mirror/images.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-last-use-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

test('what was pulled is noted at the latest when the server stops; what was not is not', async () => {
  const source = await startFakeSource();
  const image = imageOf([1000, 2000]);
  source.add('u/app', image, 'pulled', 'other');
  const server = await startServer({ registries: { 'use.test': [{ source }] }, dataDir });
  const beganMs = Date.now();
  for (let pulls = 0; pulls < 3; pulls++) await pull(server, '/v2/use.test/u/app/manifests/pulled');
  for (const layer of image.layers) await pull(server, `/v2/use.test/u/app/blobs/${layer.digest}`);
  expect((await pull(server, '/v2/use.test/u/app/manifests/absent')).status).toBe(404);
  expect(await server.stop()).toBe(0);
  await source.stop();
  const file = new Database(join(dataDir, 'db', 'breakwater.sqlite'), { readonly: true });
  const tags = file.query('select name, pulled_at_ms from tag').all() as { name: string; pulled_at_ms: number | null }[];
  const blobs = file.query('select used_at_ms from blob').all() as { used_at_ms: number | null }[];
  file.close();
  expect(tags.map((tag) => tag.name)).toEqual(['pulled']);
  expect(tags[0]?.pulled_at_ms).toBeGreaterThanOrEqual(beganMs);
  expect(blobs).toHaveLength(2);
  for (const blob of blobs) expect(blob.used_at_ms).toBeGreaterThanOrEqual(beganMs);
}, 60_000);
