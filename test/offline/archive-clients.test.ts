// Archives and the programs others have: skopeo reads what is exported and writes what is imported; what `docker save` writes is imported too.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packTar } from 'modern-tar';
import { type CliResult, runCli, runProgram } from '../cli/run.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { basic, pull, startServer } from '../mirror/harness.ts';
import { contentOf, type Image, imageOf, indexOf, indexType } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { requireTools } from '../support/requirements.ts';

const registry = 'clients.test';
let source: FakeSource;
let server: RunningBreakwater;
const folder = mkdtempSync(join(tmpdir(), 'breakwater-archive-clients-'));
beforeAll(async () => {
  source = await startFakeSource();
  server = await startServer({ registries: { [registry]: [{ source }] } });
  expect((await cli('project', 'create', 'team')).code).toBe(0);
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await source?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const cli = (...words: string[]): Promise<CliResult> =>
  runCli([...words, '--url', server.url], { env: { BREAKWATER_PASSWORD: server.adminPassword } });
const digestAt = async (name: string, reference: string): Promise<string> =>
  (await pull(server, `/v2/${name}/manifests/${reference}`, { headers: basic(server) })).digest;
async function skopeo(...words: string[]): Promise<void> {
  const login = `admin:${server.adminPassword}`;
  const common = ['--src-tls-verify=false', '--dest-tls-verify=false', '--preserve-digests', '--tmpdir', folder];
  const target = words.at(-1)?.startsWith('docker://') === true ? ['--dest-creds', login] : ['--src-creds', login];
  const result = await runProgram(['skopeo', '--insecure-policy', 'copy', ...common.slice(0, 3), ...target, ...words], {
    env: { TMPDIR: folder },
  });
  expect([result.stderr, result.code]).toEqual([expect.any(String), 0]);
}
function added(name: string): Image {
  const image = imageOf([1000, 200_000]);
  source.add(`c/${name}`, image, '1');
  return image;
}

describe.skipIf(!requireTools('skopeo'))('skopeo', () => {
  test('reads an exported archive, one image and one of several by its name, and pushes it elsewhere unchanged', async () => {
    const [one, two] = [added('one'), added('two')];
    const names = [`${registry}/c/one:1`, `${registry}/c/two:1`];
    const bundle = join(folder, 'bundle.tar');
    const single = join(folder, 'single.tar');
    expect((await cli('warm', ...names)).code).toBe(0);
    expect((await cli('export', ...names, '-o', bundle)).code).toBe(0);
    expect((await cli('export', names[0] ?? '', '-o', single)).code).toBe(0);
    const host = new URL(server.url).host;
    await skopeo(`oci-archive:${single}`, `docker://${host}/team/one:copied`);
    expect(await digestAt('team/one', 'copied')).toBe(one.manifest.digest);
    await skopeo(`oci-archive:${bundle}:${names[1]}`, `docker://${host}/team/two:copied`);
    expect(await digestAt('team/two', 'copied')).toBe(two.manifest.digest);
  }, 120_000);

  test('writes an archive, of an index too, that is imported unchanged', async () => {
    const [first, second] = [added('amd64'), added('arm64')];
    const index = indexOf([first.manifest, second.manifest]);
    for (const item of [first, second]) source.add('c/index', item);
    source.add('c/index', index, '1');
    const host = new URL(server.url).host;
    const file = join(folder, 'skopeo.tar');
    await skopeo('--all', `docker://${host}/${registry}/c/index:1`, `oci-archive:${file}:1`);
    const result = await cli('import', file, '--as', 'team/index');
    expect([result.stderr, result.code]).toEqual(['', 0]);
    expect(await digestAt('team/index', '1')).toBe(index.digest);
    expect(await digestAt('team/index', second.manifest.digest)).toBe(second.manifest.digest);
  }, 120_000);
});

test('the form of `docker save` is imported: folders, manifest.json and repositories beside the layout', async () => {
  const image = imageOf([1000, 3000]);
  const blobs = [image.manifest, image.config, ...image.layers];
  const index = {
    schemaVersion: 2,
    mediaType: indexType,
    manifests: [
      {
        mediaType: image.manifest.mediaType,
        digest: image.manifest.digest,
        size: image.manifest.bytes.length,
        annotations: { 'io.containerd.image.name': `${registry}/c/saved:7`, 'org.opencontainers.image.ref.name': '7' },
      },
    ],
  };
  const files = [
    ...blobs.map((content) => ({ name: `blobs/sha256/${content.digest.slice(7)}`, bytes: content.bytes })),
    { name: 'index.json', bytes: contentOf(Buffer.from(JSON.stringify(index))).bytes },
    { name: 'manifest.json', bytes: Buffer.from(JSON.stringify([{ Config: 'x', RepoTags: ['saved:7'], Layers: [] }])) },
    { name: 'oci-layout', bytes: Buffer.from('{"imageLayoutVersion": "1.0.0"}') },
    { name: 'repositories', bytes: Buffer.from('{}') },
  ];
  const folders = ['blobs/', 'blobs/sha256/'].map((name) => ({ header: { name, size: 0, type: 'directory' as const } }));
  const file = join(folder, 'saved.tar');
  writeFileSync(
    file,
    await packTar([
      ...folders,
      ...files.map(({ name, bytes }) => ({ header: { name, size: bytes.length, type: 'file' as const }, body: bytes })),
    ]),
  );
  const result = await cli('import', file);
  expect([result.stderr, result.code]).toEqual(['', 0]);
  expect(await digestAt(`${registry}/c/saved`, '7')).toBe(image.manifest.digest);
}, 60_000);
