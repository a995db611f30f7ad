// The real image of the set: a Debian root made from packages by mmdebstrap, and three versions of it layered by umoci,
// which shares no code with Breakwater or with layout-writer.ts. Needs the Debian mirror the machine is set up for.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Layer, mediaTypes, packLayer } from './layout-writer.ts';
import { randomBytesOf } from './random-bytes.ts';
import { writeTar } from './tar.ts';

const suite = 'bookworm';
const leftOut = ['/usr/share/man/*', '/usr/share/doc/*', '/usr/share/locale/*'];

/** Writes the layout `debian` with the tags v1, v2 and v3 (2 to 3 layers, the first shared) and gives the shared layer. */
export async function buildDebian(directory: string, workDirectory: string): Promise<Layer> {
  const baseTar = join(workDirectory, 'base.tar');
  const mmdebstrap = [
    'mmdebstrap',
    '--quiet',
    '--mode=root',
    '--variant=minbase',
    '--format=tar',
    '--aptopt=APT::Install-Recommends "false"',
    ...leftOut.map((path) => `--dpkgopt=path-exclude=${path}`),
    suite,
    baseTar,
  ];
  await command(mmdebstrap, { SOURCE_DATE_EPOCH: '1735689600' });
  const image = (tag: string): string => `${directory}:${tag}`;
  await command(['umoci', 'init', '--layout', directory]);
  await command(['umoci', 'new', '--image', image('base')]);
  await addLayer(image('base'), baseTar, `mmdebstrap ${suite}`);
  await command([
    ...['umoci', 'config', '--image', image('base'), '--os', 'linux', '--architecture', 'amd64', '--config.cmd', 'bash'],
    ...['--config.env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
  ]);
  for (const version of [1, 2, 3]) {
    await command(['umoci', 'tag', '--image', image('base'), `v${version}`]);
    for (const [index, tar] of versionLayers(version).entries()) {
      const file = join(workDirectory, `v${version}-${index}.tar`);
      writeFileSync(file, tar);
      await addLayer(image(`v${version}`), file, `version ${version}, layer ${index}`);
    }
    await command([
      'umoci',
      'config',
      '--image',
      image(`v${version}`),
      '--config.label',
      `version=${version}`,
      '--config.workingdir',
      '/opt/app',
    ]);
  }
  await command(['umoci', 'rm', '--image', image('base')]);
  await command(['umoci', 'gc', '--layout', directory]);
  const tar = await Bun.file(baseTar).bytes();
  rmSync(baseTar);
  return { ...packLayer(tar, 'none'), ...(await firstLayer(directory)), mediaType: mediaTypes.tarGzip };
}

function versionLayers(version: number): Uint8Array[] {
  const data = Buffer.from(randomBytesOf(`debian v${version}`, version * 700_000)).toString('base64');
  const layers = [
    writeTar([
      { name: 'etc/app.conf', data: `version=${version}\n` },
      { name: 'opt/app', type: 'directory' },
      { name: 'opt/app/data.txt', data },
    ]),
  ];
  if (version >= 2) {
    layers.push(
      writeTar([
        { name: 'etc/debug.conf', data: `debug=${version}\n` },
        { name: 'etc/debug.link', type: 'symlink', target: 'debug.conf' },
      ]),
    );
  }
  return layers;
}

/** The shared first layer as umoci stored it. */
async function firstLayer(directory: string): Promise<{ bytes: Uint8Array }> {
  const read = async (digest: string): Promise<Uint8Array> => Bun.file(join(directory, 'blobs', ...digest.split(':'))).bytes();
  const parse = (bytes: Uint8Array): { manifests?: { digest: string }[]; layers?: { digest: string }[] } =>
    JSON.parse(Buffer.from(bytes).toString());
  const index = parse(await Bun.file(join(directory, 'index.json')).bytes());
  const manifest = parse(await read(index.manifests?.[0]?.digest ?? 'sha256:absent'));
  return { bytes: await read(manifest.layers?.[0]?.digest ?? 'sha256:absent') };
}

async function addLayer(image: string, tar: string, createdBy: string): Promise<void> {
  await command(['umoci', 'raw', 'add-layer', '--image', image, '--history.created_by', createdBy, tar]);
}

/** Runs a program of the builder and throws with its output when it fails. */
export async function command(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<void> {
  const child = Bun.spawn([...words], { env: { ...process.env, ...env }, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  const [out, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${words.join(' ')} ended with code ${code}\n${out}${errors}`);
}
