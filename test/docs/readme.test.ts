// The README's mirror part is true: its blocks of configuration are given to the clients they are for, its shell lines are run, against a
// server whose docker.io and ghcr.io are sources on loopback. Only the port and the folders of files are put in place of those written there.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { readClientFile } from '../../src/config/client-files/kind.ts';
import { loadConfig } from '../../src/config/load.ts';
import { runCommand } from '../clients/command.ts';
import { startContainerd } from '../clients/containerd.ts';
import { startDockerEngine, unmountBelow } from '../clients/docker-engine.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { bunBinary, mainFile, type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { type Block, blockFor, blocksOf, sectionOf } from './blocks.ts';
import { smallImage } from './small-image.ts';

const root = join(import.meta.dir, '../..');
const page = (name: string): string => readFileSync(join(root, name), 'utf8');
const blocks = blocksOf(sectionOf(page('README.md'), 'Use it as a mirror'));
const folder = mkdtempSync(join(tmpdir(), 'readme-'));
const [debian, app] = [smallImage('debian'), smallImage('app')];

let server: RunningBreakwater;
let hub: FakeSource;
let ghcr: FakeSource;

beforeAll(async () => {
  [hub, ghcr] = await Promise.all([startFakeSource(), startFakeSource()]);
  hub.add('library/debian', debian, '12');
  ghcr.add('owner/app', app, '1');
  const source = (url: string) => ({ sources: [{ url, trust: 'authority' }] });
  server = await startBreakwater({
    config: JSON.stringify({ presets: false, registries: { 'docker.io': source(hub.url), 'ghcr.io': source(ghcr.url) } }),
  });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await Promise.all([hub?.stop(), ghcr?.stop()]);
  unmountBelow(folder);
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** The block as it would be for this server on this machine. */
const ours = (what: string): string =>
  blockFor(blocks, what)
    .replaceAll('127.0.0.1:5000', `127.0.0.1:${server.port}`)
    .replaceAll(/(?<![\w.])\/etc\//g, `${folder}/etc/`);

/** Writes a block of configuration to the place it is for, below the test's folder. */
const place = (what: string): string => {
  const file = join(folder, what);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, ours(what));
  return file;
};

/** Runs the lines of a shell block with a program in place of the one on PATH; throws with all output when one fails. */
async function run(what: string, options: { name: string; script: string; env?: Readonly<Record<string, string>> }): Promise<string> {
  const bin = join(folder, `bin-${what}`);
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, options.name), `#!/bin/sh\n${options.script}\n`);
  chmodSync(join(bin, options.name), 0o755);
  const result = await runCommand(['sh', '-eu', '-c', ours(what)], {
    cwd: folder,
    env: { ...options.env, PATH: `${bin}:${process.env['PATH'] ?? ''}` },
  });
  if (result.code !== 0)
    throw new Error(`the block for ${what} ended with ${result.code}\n${result.stdout}${result.stderr}\n${server.logs().slice(-2000)}`);
  return result.stdout;
}

/** What was asked of the sources since, and that all of it came through this server. */
const asked = (): number => hub.requests.length + ghcr.requests.length;

describe('the pages', () => {
  const shape = (list: readonly Block[]): readonly string[] => list.map((block) => `${block.what}\n${block.language}\n${block.text}`);

  test('every block of the mirror part is marked as tested, and has its test here', () => {
    expect(blocks.map((block) => block.what)).toEqual([
      '/etc/docker/daemon.json',
      'docker',
      '/etc/containerd/certs.d/docker.io/hosts.toml',
      '/etc/containerd/certs.d/ghcr.io/hosts.toml',
      '/etc/containerd/config.toml',
      'ctr',
      '/etc/containers/registries.conf.d/breakwater.conf',
      'podman',
      '/etc/buildkit/buildkitd.toml',
      '/etc/rancher/k3s/registries.yaml',
      'breakwater.yaml',
      'breakwater',
    ]);
  });

  test('the Chinese page has the same blocks', () => {
    expect(shape(blocksOf(sectionOf(page('README.zh-CN.md'), '作为镜像加速站')))).toEqual(shape(blocks));
  });

  test('the links of the mirror part lead somewhere', () => {
    for (const name of ['README.md', 'README.zh-CN.md']) {
      for (const [, target = ''] of page(name).matchAll(/\]\(([^)#:]+)[^)]*\)/g))
        expect([name, target, readFileSync(join(root, target)).length > 0]).toEqual([name, target, true]);
    }
  });
});

describe.skipIf(!(requireTools('docker', 'dockerd', 'prlimit') && requireRoot()))('Docker', () => {
  test('starts with the daemon.json and pulls with the lines below it', async () => {
    const engine = await startDockerEngine(JSON.parse(ours('/etc/docker/daemon.json')) as Record<string, unknown>);
    try {
      await run('docker', { name: 'docker', script: `exec ${Bun.which('docker')} --host ${engine.host} "$@"` });
      expect(await engine.image('debian:12')).toMatchObject({ id: debian.config.digest });
      expect(await engine.image(`127.0.0.1:${server.port}/ghcr.io/owner/app:1`)).toMatchObject({ id: app.config.digest });
    } finally {
      await engine.stop();
    }
    expect(asked()).toBeGreaterThan(0);
  }, 120_000);
});

describe.skipIf(!(requireTools('containerd', 'ctr') && requireRoot()))('containerd', () => {
  test('pulls with the hosts.toml files', async () => {
    place('/etc/containerd/certs.d/docker.io/hosts.toml');
    place('/etc/containerd/certs.d/ghcr.io/hosts.toml');
    const containerd = await startContainerd();
    try {
      await run('ctr', { name: 'ctr', script: `exec ${Bun.which('ctr')} --address ${containerd.socket} "$@"` });
      expect(await containerd.digestOf('docker.io/library/debian:12')).toBe(debian.manifest.digest);
      expect(await containerd.digestOf('ghcr.io/owner/app:1')).toBe(app.manifest.digest);
    } finally {
      await containerd.stop();
    }
  }, 120_000);

  test('reads the config.toml and looks for hosts in that folder', async () => {
    const file = place('/etc/containerd/config.toml');
    const { code, stdout, stderr } = await runCommand(['containerd', '--config', file, 'config', 'dump']);
    expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
    expect(stdout).toContain(`config_path = "${folder}/etc/containerd/certs.d"`);
  }, 60_000);
});

describe.skipIf(!(requireTools('podman') && requireRoot()))('podman', () => {
  test('pulls with the registries.conf', async () => {
    const config = place('/etc/containers/registries.conf.d/breakwater.conf');
    const policy = join(folder, 'policy.json');
    writeFileSync(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
    writeFileSync(join(folder, 'auth.json'), '{}');
    writeFileSync(join(folder, 'containers.conf'), '');
    const own = ['root', 'runroot', 'tmpdir'].map((name) => `--${name} ${join(folder, 'podman', name)}`).join(' ');
    const program = `${Bun.which('podman')} ${own} --storage-driver overlay --events-backend file --cgroup-manager cgroupfs`;
    const env = {
      CONTAINERS_REGISTRIES_CONF: config,
      CONTAINERS_CONF: join(folder, 'containers.conf'),
      REGISTRY_AUTH_FILE: join(folder, 'auth.json'),
    };
    const output = await run('podman', { name: 'podman', script: `shift\nexec ${program} pull --signature-policy ${policy} "$@"`, env });
    expect(output.trim().split('\n')).toEqual([debian.config.digest.slice(7), app.config.digest.slice(7)]);
  }, 120_000);
});

describe('clients that are not on this machine', () => {
  /** A mirror of these files leads to this server: the manifest is there under the path the client would ask. */
  const serves = async (path: string, digest: string): Promise<void> => {
    const response = await fetch(`${server.url}${path}`, { method: 'HEAD' });
    expect([path, response.status, response.headers.get('docker-content-digest')]).toEqual([path, 200, digest]);
  };

  test("BuildKit's keys are those of buildkitd.toml, and its paths are served", async () => {
    const text = ours('/etc/buildkit/buildkitd.toml');
    const { registry, ...rest } = parseToml(text) as { registry: Record<string, Record<string, unknown>> };
    expect(rest).toEqual({});
    for (const entry of Object.values(registry))
      for (const key of Object.keys(entry)) expect(['mirrors', 'http', 'insecure', 'ca']).toContain(key);
    expect(readClientFile('buildkitd.toml', text, 'buildkitd.toml').endpoints.map((one) => `${one.registry} ${one.url}`)).toEqual([
      `docker.io ${server.url}/v2/docker.io`,
      `ghcr.io ${server.url}/v2/ghcr.io`,
    ]);
    await serves('/v2/docker.io/library/debian/manifests/12', debian.manifest.digest);
    await serves('/v2/ghcr.io/owner/app/manifests/1', app.manifest.digest);
  });

  test("k3s's keys are those of registries.yaml, and its endpoints are served with ?ns=", async () => {
    const text = ours('/etc/rancher/k3s/registries.yaml');
    const { mirrors, ...rest } = parseYaml(text) as { mirrors: Record<string, { endpoint: string[] }> };
    expect(rest).toEqual({});
    expect(Object.entries(mirrors).map(([name, entry]) => [name, Object.keys(entry), entry.endpoint])).toEqual([
      ['docker.io', ['endpoint'], [server.url]],
      ['ghcr.io', ['endpoint'], [server.url]],
    ]);
    await serves('/v2/library/debian/manifests/12?ns=docker.io', debian.manifest.digest);
    await serves('/v2/owner/app/manifests/1?ns=ghcr.io', app.manifest.digest);
  });
});

describe('Breakwater', () => {
  test('the configuration is one', () => {
    const config = loadConfig({ file: place('breakwater.yaml'), env: {} });
    expect(config.registries.get('docker.io')?.sources.map((one) => [one.trust, one.priority])).toEqual([
      ['digest-only', 10],
      ['authority', 20],
    ]);
    expect(config.registries.size).toBe(21);
    expect(config.egress.hosts.deny).toEqual(['10.0.0.0/8']);
  });

  test('the commands work', async () => {
    place('/etc/docker/daemon.json');
    const output = await run('breakwater', {
      name: 'npx',
      script: `shift\nexec ${bunBinary} ${mainFile} "$@"`,
      env: { BREAKWATER_URL: server.url, BREAKWATER_PASSWORD: server.adminPassword },
    });
    expect(output).toContain(`http://127.0.0.1:${server.port} skipped: it is this server`);
    expect(output).toContain(debian.manifest.digest);
    expect(output).toContain(hub.url);
  }, 120_000);
});
