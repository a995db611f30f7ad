// Whether an image is here whole: asked of a real server whose content is damaged in every way that counts.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CliResult, runCli } from '../cli/run.ts';
import { type FakeSource, on, startFakeSource, status } from '../mirror/fake-source.ts';
import { pull, startServer } from '../mirror/harness.ts';
import { type Image, imageOf, indexOf } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';

const registry = 'verify.test';
let source: FakeSource;
let server: RunningBreakwater;
beforeAll(async () => {
  source = await startFakeSource();
  server = await startServer({ registries: { [registry]: [{ source }] } });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await source?.stop();
}, 60_000);

const cli = (...words: string[]): Promise<CliResult> =>
  runCli([...words, '--url', server.url], { env: { BREAKWATER_PASSWORD: server.adminPassword } });
const verify = (...words: string[]): Promise<CliResult> => cli('verify', '--offline', ...words);

async function warmed(name: string): Promise<Image> {
  const image = imageOf([1000, 50_000]);
  source.add(`v/${name}`, image, '1');
  expect((await cli('warm', `${registry}/v/${name}:1`)).code).toBe(0);
  return image;
}
function fileOf(digest: string): string {
  const hex = digest.slice(7);
  const folder = join(server.dataDir, 'blobs', 'sha256', hex.slice(0, 2));
  const name = readdirSync(folder).find((file) => file.startsWith(hex));
  if (name === undefined) throw new Error(`no file of ${digest}`);
  return join(folder, name);
}
const layerOf = (image: Image): string => image.layers[1]?.digest ?? '';

describe('verify --offline', () => {
  test('a warmed image is complete, asks no source, and says until when its tag is served', async () => {
    await warmed('whole');
    const before = source.requests.length;
    const result = await verify(`${registry}/v/whole:1`, '--deep', '--json');
    expect(result.code).toBe(0);
    const line = JSON.parse(result.stdout);
    expect(line).toMatchObject({ complete: true, manifests: 1, blobs: 3, missing: [] });
    expect(Date.parse(line.servedUntil)).toBeGreaterThan(Date.now());
    expect(source.requests.length).toBe(before);
  }, 60_000);

  test('what was pulled in part is incomplete, and each missing part is named', async () => {
    const image = imageOf([1000, 2000]);
    source.add('v/part', image, '1');
    await pull(server, `/v2/${registry}/v/part/manifests/1`);
    await pull(server, `/v2/${registry}/v/part/blobs/${image.layers[0]?.digest}`);
    const result = await verify(`${registry}/v/part:1`);
    expect(result.code).toBe(1);
    expect(result.stdout).toContain(`blob ${image.config.digest}: is not here`);
    expect(result.stdout).toContain(`blob ${layerOf(image)}: is not here`);
    expect(result.stdout).not.toContain(image.layers[0]?.digest ?? '');
  }, 60_000);

  test('an index is complete for the platforms that are here, and not for others', async () => {
    const [first, second] = [imageOf([1000]), imageOf([1000])];
    for (const image of [first, second]) source.add('v/multi', image);
    source.add('v/multi', indexOf([first.manifest, second.manifest]), '1');
    await cli('warm', `${registry}/v/multi:1`);
    expect((await verify(`${registry}/v/multi:1`)).code).toBe(0);
    const arm = await verify(`${registry}/v/multi:1`, '--platform', 'linux/amd64,linux/arm64');
    expect([arm.code, arm.stdout.includes(`manifest ${second.manifest.digest}: is not here`)]).toEqual([1, true]);
    const other = await verify(`${registry}/v/multi:1`, '--platform', 'linux/s390x');
    expect([other.code, other.stdout.includes('nothing for linux/s390x')]).toEqual([1, true]);
  }, 60_000);

  test('a file that is gone, cut or changed is told; a change only by reading it', async () => {
    const [gone, cut, changed] = [await warmed('gone'), await warmed('cut'), await warmed('changed')];
    rmSync(fileOf(layerOf(gone)));
    truncateSync(fileOf(layerOf(cut)), 7);
    writeFileSync(fileOf(layerOf(changed)), Buffer.alloc(50_000, 1));
    const shallow = await verify(`${registry}/v/gone:1`, `${registry}/v/cut:1`, `${registry}/v/changed:1`, '--json');
    const states = shallow.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(states.map((state) => state.missing[0]?.reason)).toEqual([
      'the file is gone',
      'the file has 7 bytes instead of 50000',
      undefined,
    ]);
    const deep = await verify(`${registry}/v/changed:1`, '--deep');
    expect([deep.code, deep.stdout.includes('another digest')]).toEqual([1, true]);
  }, 60_000);

  test('names that mean nothing, and images that were never here, are answers and no failures of the check', async () => {
    const result = await verify('nowhere.invalid/a:1', `${registry}/v/never:1`, '--json');
    const lines = result.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => line.missing[0].what)).toEqual(['name', 'tag']);
    expect(result.code).toBe(1);
  }, 60_000);

  test('a tag that may no longer be served, or that its registry removed, is told', async () => {
    const own = await startServer({
      registries: { 'rules.test': [{ source }] },
      mirror: { tag_ttl: '0s', not_found_ttl: '0s', rules: [{ match: 'rules.test/v/short:*', stale_if_error: '0s' }] },
    });
    try {
      const ask = async (...words: string[]): Promise<CliResult> =>
        runCli([...words, '--url', own.url], { env: { BREAKWATER_PASSWORD: own.adminPassword } });
      for (const name of ['short', 'removed']) source.add(`v/${name}`, imageOf([1000]), '1');
      expect((await ask('warm', 'rules.test/v/short:1', 'rules.test/v/removed:1')).code).toBe(0);
      source.rule(on('/v/removed/manifests/1', status(404, {}, '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')));
      expect((await pull(own, '/v2/rules.test/v/removed/manifests/1')).status).toBe(404);
      const result = await ask('verify', '--offline', 'rules.test/v/short:1', 'rules.test/v/removed:1');
      expect(result.code).toBe(1);
      expect(result.stdout).toContain('longer ago than mirror.stale_if_error allows');
      expect(result.stdout).toContain('its registry has removed it');
    } finally {
      source.clearRules();
      await own.stop();
    }
  }, 60_000);

  test('everything, and a pinned set, can be verified at once', async () => {
    await warmed('all');
    await cli('pins', 'add', 'site', `${registry}/v/all:1`);
    expect((await verify('--pins', 'site')).stdout).toContain('1 of 1 images can be pulled');
    const all = await verify('--all', '--json');
    const byImage = new Map(
      all.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .map((line) => [line.image, line.complete]),
    );
    expect(byImage.get(`${registry}/v/all:1`)).toBe(true);
    expect(byImage.get(`${registry}/v/part:1`)).toBe(false);
    expect(byImage.get(`${registry}/v/multi:1`)).toBe(true);
    expect((await verify()).code).toBe(2);
    expect((await cli('verify', 'x')).code).toBe(2);
  }, 60_000);
});
