// Images as one file, out of one real server and into another: whole, checked, in any order of entries, and nothing of what is not right.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packTar, unpackTar } from 'modern-tar';
import { type CliResult, runCli } from '../cli/run.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { basic, type Pulled, pull, startServer } from '../mirror/harness.ts';
import { contentOf, type Image, imageOf, imageType, indexOf, indexType } from '../mirror/images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';

const registry = 'archive.test';
let source: FakeSource;
let outside: RunningBreakwater;
let inside: RunningBreakwater;
const folder = mkdtempSync(join(tmpdir(), 'breakwater-archive-'));

beforeAll(async () => {
  source = await startFakeSource();
  outside = await startServer({ registries: { [registry]: [{ source }] } });
  // Its one source is nowhere.
  inside = await startBreakwater({
    config: JSON.stringify({
      presets: false,
      mirror: { root: registry },
      registries: { [registry]: { sources: [{ url: 'http://127.0.0.1:1', trust: 'authority' }] } },
    }),
  });
  expect((await cli(inside, 'project', 'create', 'team')).code).toBe(0);
}, 60_000);
afterAll(async () => {
  await inside?.stop();
  await outside?.stop();
  await source?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const cli = (at: RunningBreakwater, ...words: string[]): Promise<CliResult> =>
  runCli([...words, '--url', at.url], { env: { BREAKWATER_PASSWORD: at.adminPassword } });
const manifestOf = (name: string, reference: string): Promise<Pulled> =>
  pull(inside, `/v2/${name}/manifests/${reference}`, { headers: basic(inside) });
const blobOf = (name: string, digest: string): Promise<Pulled> => pull(inside, `/v2/${name}/blobs/${digest}`, { headers: basic(inside) });
const layersOf = (image: Image): readonly string[] => [image.config.digest, ...image.layers.map((layer) => layer.digest)];

async function exported(name: string, image: Image, ...more: string[]): Promise<string> {
  source.add(`a/${name}`, image, '1');
  const file = join(folder, `${name}.tar`);
  expect((await cli(outside, 'warm', `${registry}/a/${name}:1`)).code).toBe(0);
  const result = await cli(outside, 'export', `${registry}/a/${name}:1`, ...more, '-o', file);
  expect([result.stderr, result.code]).toEqual(['', 0]);
  return file;
}

interface Entry {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly type?: 'file' | 'symlink';
}
async function entriesOf(file: string): Promise<Entry[]> {
  const entries = await unpackTar(new Uint8Array(readFileSync(file)));
  return entries.map((entry) => ({ name: entry.header.name, bytes: entry.data ?? new Uint8Array() }));
}
async function writeEntries(name: string, entries: readonly Entry[]): Promise<string> {
  const file = join(folder, name);
  const tar = await packTar(
    entries.map(({ name: path, bytes, type = 'file' }) => ({
      header: {
        name: path,
        size: type === 'file' ? bytes.byteLength : 0,
        type,
        ...(type === 'symlink' ? { linkname: '/etc/passwd' } : {}),
      },
      ...(type === 'file' ? { body: bytes } : {}),
    })),
  );
  writeFileSync(file, tar);
  return file;
}
const isBlob = (entry: Entry): boolean => entry.name.startsWith('blobs/');

describe('export', () => {
  test('writes a layout whose every blob has its name, with full names and who vouched for the tag', async () => {
    const file = await exported('layout', imageOf([1000, 300_000]));
    const entries = await entriesOf(file);
    expect(entries.map((entry) => entry.name).slice(0, 2)).toEqual(['oci-layout', 'index.json']);
    for (const { name, bytes } of entries.filter(isBlob))
      expect(name).toBe(`blobs/sha256/${createHash('sha256').update(bytes).digest('hex')}`);
    expect(entries.filter(isBlob)).toHaveLength(4);
    const index = JSON.parse(Buffer.from(entries[1]?.bytes ?? []).toString());
    expect(index.manifests).toHaveLength(1);
    expect(index.manifests[0].annotations).toMatchObject({
      'org.opencontainers.image.ref.name': `${registry}/a/layout:1`,
      'io.containerd.image.name': `${registry}/a/layout:1`,
      'breakwater.tag.trust': 'confirmed',
      'breakwater.tag.verified-by': source.url,
    });
  }, 60_000);

  test('what is not here whole is refused before anything is written, saying what is missing', async () => {
    const image = imageOf([1000]);
    source.add('a/part', image, '1');
    await pull(outside, `/v2/${registry}/a/part/manifests/1`);
    const file = join(folder, 'part.tar');
    const result = await cli(outside, 'export', `${registry}/a/part:1`, '-o', file);
    expect([result.code, result.stderr.includes('not here whole (2 parts are missing)')]).toEqual([1, true]);
    expect((await cli(outside, 'export', `${registry}/a/never:1`, '-o', file)).stderr).toContain('is not here');
    expect(readdirSync(folder).filter((name) => name.startsWith('part'))).toEqual([]);
  }, 60_000);

  test('a pinned set goes into one archive, what images share once', async () => {
    const shared = imageOf([100_000]);
    const other = imageOf([...shared.layers, 2000]);
    source.add('a/set1', shared, '1');
    source.add('a/set2', other, '1');
    const names = [`${registry}/a/set1:1`, `${registry}/a/set2:1`];
    expect((await cli(outside, 'pins', 'add', 'set', ...names)).code).toBe(0);
    expect((await cli(outside, 'warm', '--pins', 'set')).code).toBe(0);
    const file = join(folder, 'set.tar');
    expect((await cli(outside, 'export', '--pins', 'set', '-o', file)).code).toBe(0);
    expect((await entriesOf(file)).filter(isBlob)).toHaveLength(6);
    expect((await cli(inside, 'import', file)).code).toBe(0);
    expect((await cli(inside, 'verify', '--offline', ...names)).code).toBe(0);
    expect((await cli(outside, 'export', '--pins', 'none', '-o', file)).stderr).toContain('no pinned set named none');
    expect((await cli(outside, 'export', '-o', file)).code).toBe(2);
  }, 60_000);

  test('a blob that is damaged on the disk never leaves as a whole archive', async () => {
    const image = imageOf([2_500_000]);
    source.add('a/damaged', image, '1');
    await cli(outside, 'warm', `${registry}/a/damaged:1`);
    const hex = image.layers[0]?.digest.slice(7) ?? '';
    const shard = join(outside.dataDir, 'blobs', 'sha256', hex.slice(0, 2));
    const stored = readdirSync(shard).find((name) => name.startsWith(hex)) ?? '';
    writeFileSync(join(shard, stored), Buffer.alloc(2_500_000, 7));
    const file = join(folder, 'damaged.tar');
    expect((await cli(outside, 'export', `${registry}/a/damaged:1`, '-o', file)).code).toBe(1);
    expect(readdirSync(folder).filter((name) => name.startsWith('damaged'))).toEqual([]);
  }, 60_000);
});

describe('import', () => {
  test('an image comes back under its own name, is pulled with no source, and its story is told', async () => {
    const image = imageOf([1000, 5_000_000]);
    const file = await exported('back', image);
    const result = await cli(inside, 'import', file, '--json');
    expect([result.stderr, result.code]).toEqual(['', 0]);
    expect(JSON.parse(result.stdout)).toMatchObject({
      images: [{ repository: `${registry}/a/back`, tag: '1', digest: image.manifest.digest }],
      blobsStored: 3,
      blobsPresent: 0,
    });
    expect((await manifestOf(`${registry}/a/back`, '1')).digest).toBe(image.manifest.digest);
    for (const digest of layersOf(image)) expect((await blobOf(`${registry}/a/back`, digest)).digest).toBe(digest);
    expect((await cli(inside, 'verify', '--offline', `${registry}/a/back:1`, '--deep')).code).toBe(0);
    const told = await cli(inside, 'explain', `${registry}/a/back:1`, '--json');
    expect(told.stdout).toContain('imported from an archive by the administrator; there it was last verified at');
    const again = JSON.parse((await cli(inside, 'import', file, '--json')).stdout);
    expect([again.blobsStored, again.blobsPresent]).toEqual([0, 3]);
  }, 60_000);

  test('an index comes with the platforms that were exported', async () => {
    const [first, second] = [imageOf([1000]), imageOf([2000])];
    const index = indexOf([first.manifest, second.manifest]);
    for (const image of [first, second]) source.add('a/multi', image);
    source.add('a/multi', index, '1');
    await cli(outside, 'warm', `${registry}/a/multi:1`);
    const file = join(folder, 'multi.tar');
    await cli(outside, 'export', `${registry}/a/multi:1`, '-o', file);
    expect((await cli(inside, 'import', file)).code).toBe(0);
    expect((await manifestOf(`${registry}/a/multi`, '1')).digest).toBe(index.digest);
    expect((await manifestOf(`${registry}/a/multi`, first.manifest.digest)).status).toBe(200);
    expect((await manifestOf(`${registry}/a/multi`, second.manifest.digest)).status).toBe(503);
    expect((await cli(inside, 'import', file, '--project', 'team')).stderr).toContain(second.manifest.digest);
    expect((await manifestOf('team/a/multi', '1')).status).toBe(404);
  }, 60_000);

  test('the order of entries does not matter', async () => {
    const image = imageOf([1000, 200_000]);
    const entries = await entriesOf(await exported('order', image));
    const orders = {
      reversed: [...entries].reverse(),
      'blobs-first': [...entries.filter(isBlob), ...entries.filter((entry) => !isBlob(entry))],
    };
    for (const [name, order] of Object.entries(orders)) {
      const dotted = order.map((entry) => ({ ...entry, name: `./${entry.name}` }));
      const result = await cli(inside, 'import', await writeEntries(`${name}.tar`, dotted), '--as', `team/${name}:2`);
      expect([result.stderr, result.code]).toEqual(['', 0]);
      expect((await manifestOf(`team/${name}`, '2')).digest).toBe(image.manifest.digest);
      for (const digest of layersOf(image)) expect((await blobOf(`team/${name}`, digest)).digest).toBe(digest);
    }
  }, 60_000);

  test('a project takes all images, below their names', async () => {
    const image = imageOf([1000]);
    const file = await exported('placed', image);
    expect((await cli(inside, 'import', file, '--project', 'team')).code).toBe(0);
    expect((await manifestOf('team/a/placed', '1')).digest).toBe(image.manifest.digest);
    expect((await cli(inside, 'import', file, '--project', 'nowhere')).code).toBe(1);
  }, 60_000);

  test('archives that are damaged, cut, or not whole are refused, and nothing of them is visible', async () => {
    const image = imageOf([1000, 400_000]);
    const file = await exported('bad', image);
    const whole = readFileSync(file);
    const entries = await entriesOf(file);
    const layer = `blobs/sha256/${image.layers[1]?.digest.slice(7)}`;
    const changed = entries.map((entry) => (entry.name === layer ? { ...entry, bytes: Buffer.alloc(entry.bytes.byteLength, 3) } : entry));
    const cases: Record<string, { readonly file: string; readonly says: string }> = {
      flipped: { file: await writeEntries('flipped.tar', changed), says: 'another digest' },
      'without-layer': {
        file: await writeEntries(
          'lack.tar',
          entries.filter((entry) => entry.name !== layer),
        ),
        says: 'lacks blob',
      },
      'without-index': {
        file: await writeEntries(
          'noindex.tar',
          entries.filter((entry) => entry.name !== 'index.json'),
        ),
        says: 'no index.json',
      },
      'without-layout': {
        file: await writeEntries(
          'nolayout.tar',
          entries.filter((entry) => entry.name !== 'oci-layout'),
        ),
        says: 'no oci-layout',
      },
      'leads-out': {
        file: await writeEntries('out.tar', [...entries, { name: 'blobs/../../etc/x', bytes: Buffer.from('x') }]),
        says: 'leads out',
      },
      absolute: { file: await writeEntries('abs.tar', [{ name: '/etc/x', bytes: Buffer.from('x') }, ...entries]), says: 'leads out' },
      link: { file: await writeEntries('link.tar', [{ name: layer, bytes: Buffer.alloc(0), type: 'symlink' }]), says: 'no plain file' },
    };
    for (const [name, bytes] of [
      ['cut', whole.subarray(0, 250_000)],
      ['cut-between', whole.subarray(0, 1024)],
      ['no-tar', Buffer.from('hello '.repeat(500))],
      ['empty', Buffer.alloc(0)],
    ] as const) {
      const path = join(folder, `${name}.tar`);
      writeFileSync(path, bytes);
      cases[name] = { file: path, says: name.startsWith('cut') || name === 'no-tar' ? 'no whole tar' : '' };
    }
    for (const [name, { file: bad, says }] of Object.entries(cases)) {
      const result = await cli(inside, 'import', bad, '--as', 'team/bad:1');
      expect([name, result.code]).toEqual([name, 1]);
      expect([name, result.stderr]).toEqual([name, expect.stringContaining(says)]);
      expect([name, result.stderr.includes('internal error')]).toEqual([name, false]);
    }
    expect((await manifestOf('team/bad', '1')).status).toBe(404);
    expect((await manifestOf('team/bad', image.manifest.digest)).status).toBe(404);
    expect(readdirSync(join(inside.dataDir, 'blobs', 'uploads'))).toEqual([]);
  }, 60_000);

  test('an import that broke off goes on where it was', async () => {
    const image = imageOf([5_000_000, 5_000_001, 5_000_002]);
    const file = await exported('broken', image);
    const whole = readFileSync(file);
    const cut = join(folder, 'broken-cut.tar');
    writeFileSync(cut, whole.subarray(0, 12_000_000));
    expect((await cli(inside, 'import', cut)).code).toBe(1);
    expect((await manifestOf(`${registry}/a/broken`, image.manifest.digest)).status).toBe(503);
    const { blobsStored, blobsPresent } = JSON.parse((await cli(inside, 'import', file, '--json')).stdout);
    expect(blobsPresent).toBeGreaterThanOrEqual(2);
    expect(blobsStored + blobsPresent).toBe(4);
  }, 60_000);

  test('a layout with a tag alone needs a name, several images cannot share one', async () => {
    const image = imageOf([1000]);
    const describeImage = (name: string): object => ({
      mediaType: imageType,
      digest: image.manifest.digest,
      size: image.manifest.bytes.length,
      annotations: { 'org.opencontainers.image.ref.name': name },
    });
    const layout = (names: readonly string[]): Entry[] => [
      ...[image.manifest, image.config, ...image.layers].map((content) => ({
        name: `blobs/sha256/${content.digest.slice(7)}`,
        bytes: content.bytes,
      })),
      {
        name: 'index.json',
        bytes: contentOf(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: names.map(describeImage) })))
          .bytes,
      },
      { name: 'oci-layout', bytes: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
    ];
    const one = await writeEntries('one.tar', layout(['3.1']));
    expect((await cli(inside, 'import', one)).stderr).toContain('--as NAME');
    expect((await cli(inside, 'import', one, '--as', 'team/named')).code).toBe(0);
    expect((await manifestOf('team/named', '3.1')).digest).toBe(image.manifest.digest);
    const two = await writeEntries('two.tar', layout(['team/x:1', 'team/y:1']));
    expect((await cli(inside, 'import', two, '--as', 'team/z')).stderr).toContain('has 2 images');
    expect((await cli(inside, 'import', two)).code).toBe(0);
    expect((await manifestOf('team/y', '1')).digest).toBe(image.manifest.digest);
  }, 60_000);

  test('only an administrator may', async () => {
    const url = `${inside.url}/api/v2.0/archive`;
    expect((await fetch(`${url}?image=x`)).status).toBe(401);
    expect((await fetch(url, { method: 'POST', body: 'x' })).status).toBe(401);
  }, 60_000);
});
