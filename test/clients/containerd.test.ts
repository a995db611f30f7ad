// containerd pulls docker.io through Breakwater in each form a hosts.toml can give: plain root (it adds `?ns=docker.io`), a host with a
// path (`/docker.io/v2/…`), and `override_path` (`/v2/docker.io/…`); then it pushes. Needs Debian's containerd and docker-registry.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { imageTools, type TestImages, testImages } from '../images/test-images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { type Containerd, startContainerd } from './containerd.ts';
import { type DockerHub, startDockerHub } from './docker-hub.ts';
import { expectedIdentity } from './expected-identity.ts';
import { mirrorConfig } from './mirror-config.ts';
import { createRawClient, getManifest } from './raw-client.ts';

const ready = requireTools(...imageTools, 'containerd', 'ctr', 'docker-registry') && requireRoot();

describe.skipIf(!ready)('containerd', () => {
  let images: TestImages;
  let hub: DockerHub;
  let server: RunningBreakwater;
  let containerd: Containerd;

  beforeAll(async () => {
    images = await testImages();
    hub = await startDockerHub(images, [
      ['debian', 'v1'],
      ['multiarch', 'latest'],
      ['zstd', 'mixed'],
      ['manylayers', '100'],
    ]);
    server = await startBreakwater({ config: mirrorConfig({ registries: { 'docker.io': hub.sources } }) });
    containerd = await startContainerd();
  }, 300_000);

  afterAll(async () => {
    await containerd?.stop();
    await server?.stop();
    await hub?.stop();
  }, 60_000);

  /** A hosts.toml that knows one host and no fallback but the same one. */
  const hostsToml = (host: string, ...extra: readonly string[]): string =>
    [`server = "${host}"`, `[host."${host}"]`, 'capabilities = ["pull", "resolve"]', ...extra, ''].join('\n');

  const pull = async (hostsDir: string, name: string): Promise<string> => {
    const reference = `docker.io/library/${name}`;
    await containerd.ctr('images', 'pull', '--hosts-dir', hostsDir, reference);
    return containerd.digestOf(reference);
  };

  test('pulls through the plain root with ?ns=docker.io', async () => {
    const hostsDir = containerd.hostsDir('docker.io', hostsToml(server.url));
    expect(await pull(hostsDir, 'debian:v1')).toBe(expectedIdentity(images, 'debian', 'v1').digest);
  }, 60_000);

  test('pulls an index through a host with a path', async () => {
    const hostsDir = containerd.hostsDir('docker.io', hostsToml(`${server.url}/docker.io`));
    expect(await pull(hostsDir, 'multiarch:latest')).toBe(expectedIdentity(images, 'multiarch', 'latest').digest);
  }, 60_000);

  test('pulls zstd layers through override_path', async () => {
    const hostsDir = containerd.hostsDir('docker.io', hostsToml(`${server.url}/v2/docker.io`, 'override_path = true'));
    expect(await pull(hostsDir, 'zstd:mixed')).toBe(expectedIdentity(images, 'zstd', 'mixed').digest);
  }, 60_000);

  test('pulls the prefixed name without any hosts.toml', async () => {
    const reference = `127.0.0.1:${server.port}/docker.io/library/manylayers:100`;
    await containerd.ctr('images', 'pull', '--plain-http', reference);
    expect(await containerd.digestOf(reference)).toBe(expectedIdentity(images, 'manylayers', '100').digest);
  }, 60_000);

  test('pushes an image whose tag then names the same digest', async () => {
    const reference = `127.0.0.1:${server.port}/library/from-containerd:1`;
    const credentials = `admin:${server.adminPassword}`;
    await containerd.ctr('images', 'push', '--plain-http', '--user', credentials, reference, 'docker.io/library/debian:v1');
    const served = await getManifest(createRawClient(server.url), { repository: 'library/from-containerd', reference: '1' });
    expect(served.headers.get('docker-content-digest')).toBe(expectedIdentity(images, 'debian', 'v1').digest);
  }, 60_000);

  test('is refused a push with a wrong password', async () => {
    const reference = `127.0.0.1:${server.port}/library/refused:1`;
    const push = containerd.ctr('images', 'push', '--plain-http', '--user', 'admin:wrong', reference, 'docker.io/library/debian:v1');
    await expect(push).rejects.toThrow(/401|unauthorized|failed/i);
  }, 60_000);
});
