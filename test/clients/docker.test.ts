// The main job, literally: a Docker engine whose daemon.json names Breakwater as a registry mirror pulls by short name and runs the image;
// then login, tag, push to Breakwater's own library, and pull again. Needs root and Debian's docker.io and docker-registry.
// Docker stores no manifest it pulled, so identity is proved by image id (the config's digest) and by repository digest.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { imageTools, type TestImages, testImages } from '../images/test-images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { type DockerEngine, runWords, startDockerEngine } from './docker-engine.ts';
import { type DockerHub, startDockerHub } from './docker-hub.ts';
import { expectedIdentity } from './expected-identity.ts';
import { mirrorConfig } from './mirror-config.ts';
import { createRawClient, getManifest } from './raw-client.ts';
import { createSkopeo, type Skopeo } from './skopeo.ts';

const ready = requireTools(...imageTools, 'docker', 'dockerd', 'prlimit', 'docker-registry') && requireRoot();

/** The kinds Docker 20.10 reads, beside debian:v1. */
const kinds: readonly (readonly [layout: string, tag: string])[] = [
  ['app', '1.0'],
  ['multiarch', 'latest'],
  ['manylayers', '100'],
  ['zstd', 'gzip'],
  ['zstd', 'uncompressed'],
];

describe.skipIf(!ready)('a Docker engine', () => {
  let images: TestImages;
  let skopeo: Skopeo;
  let hub: DockerHub;
  let server: RunningBreakwater;
  let engine: DockerEngine;

  beforeAll(async () => {
    images = await testImages();
    skopeo = createSkopeo(images);
    hub = await startDockerHub(images, [['debian', 'v1'], ['debian', 'v2'], ...kinds]);
    server = await startBreakwater({ config: mirrorConfig({ registries: { 'docker.io': hub.sources } }) });
    engine = await startDockerEngine({ 'registry-mirrors': [server.url] });
  }, 300_000);

  afterAll(async () => {
    await engine?.stop();
    await server?.stop();
    await hub?.stop();
    skopeo?.close();
  }, 60_000);

  const registry = (): string => `127.0.0.1:${server.port}`;
  const login = (password: string): ReturnType<DockerEngine['tryDocker']> =>
    engine.tryDocker(['login', '--username', 'admin', '--password-stdin', registry()], password);

  test('pulls debian:v1 by its short name through the mirror and runs it', async () => {
    const output = await engine.docker('pull', 'debian:v1');
    const expected = expectedIdentity(images, 'debian', 'v1');
    expect(output).toContain(`Digest: ${expected.digest}`);
    const image = await engine.image('debian:v1');
    expect(image.id).toBe(expected.id);
    expect(image.repoDigests).toEqual([`debian@${expected.digest}`]);
    expect(await engine.docker(...runWords, 'debian:v1', 'cat', '/etc/app.conf')).toBe('version=1');
    expect(hub.bodyBytes()).toBeGreaterThan(30_000_000);
  }, 120_000);

  test.each(kinds)(
    'pulls %s:%s with the same image id and repository digest as the upstream has',
    async (layout, tag) => {
      await engine.docker('pull', '--quiet', `${layout}:${tag}`);
      const expected = expectedIdentity(images, layout, tag);
      const image = await engine.image(`${layout}:${tag}`);
      expect(image.id).toBe(expected.id);
      expect(image.repoDigests).toContain(`${layout}@${expected.digest}`);
    },
    120_000,
  );

  test('pulls by digest, and by the long name of Docker Hub', async () => {
    const { digest, id } = expectedIdentity(images, 'debian', 'v1');
    await engine.docker('pull', '--quiet', `docker.io/library/debian@${digest}`);
    expect((await engine.image(`debian@${digest}`)).id).toBe(id);
  }, 60_000);

  test('pulls through the mirror although it holds a Docker Hub login that Breakwater does not know', async () => {
    const auth = btoa('hub-user:hub-password');
    const configFile = join(engine.configDir, 'config.json');
    writeFileSync(configFile, JSON.stringify({ auths: { 'https://index.docker.io/v1/': { auth } } }));
    await engine.docker('pull', '--quiet', 'debian:v2');
    expect((await engine.image('debian:v2')).id).toBe(expectedIdentity(images, 'debian', 'v2').id);
    expect(server.logs()).not.toContain('hub-password');
    writeFileSync(configFile, '{}');
  }, 60_000);

  test('is refused a login with a wrong password, and a push without a login', async () => {
    const wrong = await login('not-the-password');
    expect(wrong.code).not.toBe(0);
    expect(wrong.stderr).toMatch(/unauthorized|incorrect|denied/i);
    const target = `${registry()}/library/refused:1`;
    await engine.docker('tag', 'debian:v1', target);
    const push = await engine.tryDocker(['push', target]);
    expect(push.code).not.toBe(0);
    expect(push.stderr).toMatch(/unauthorized|denied|authentication required|no basic auth/i);
    await engine.docker('rmi', target);
  }, 60_000);

  test('logs in, pushes to library, pulls again with the same id and digest, and runs the result', async () => {
    const right = await login(server.adminPassword);
    expect(right.stdout).toContain('Login Succeeded');
    const target = `${registry()}/library/x:1`;
    await engine.docker('tag', 'debian:v1', target);
    const pushed = /digest: (sha256:[0-9a-f]{64})/.exec(await engine.docker('push', target))?.[1];
    const before = await engine.image(target);
    expect(before.repoDigests).toContain(`${registry()}/library/x@${pushed}`);
    await engine.docker('rmi', '--force', before.id);
    await engine.docker('logout', registry());
    await engine.docker('pull', '--quiet', target);
    const after = await engine.image(target);
    expect(after.id).toBe(before.id);
    expect(after.repoDigests).toEqual([`${registry()}/library/x@${pushed}`]);
    expect(await engine.docker(...runWords, target, 'cat', '/etc/app.conf')).toBe('version=1');
    const served = await getManifest(createRawClient(server.url), { repository: 'library/x', reference: '1' });
    expect(served.headers.get('docker-content-digest')).toBe(pushed ?? '');
  }, 120_000);

  test.each([
    ['schema2', 'schema2'],
    ['schema2-list', 'schema2-list'],
  ] as const)(
    'pulls the Docker format %s that skopeo pushed',
    async (name) => {
      const repository = `library/${name}`;
      const to = `docker://${registry()}/${repository}:1`;
      await skopeo.copy({ from: images.dir(name), to, toCredentials: `admin:${server.adminPassword}` });
      await engine.docker('pull', '--quiet', `${registry()}/${repository}:1`);
      const served = await getManifest(createRawClient(server.url), { repository, reference: '1' });
      const image = await engine.image(`${registry()}/${repository}:1`);
      expect(image.repoDigests).toContain(`${registry()}/${repository}@${served.headers.get('docker-content-digest')}`);
    },
    60_000,
  );

  test('prefers the tag pushed here over the upstream one when it pulls by short name', async () => {
    expect((await login(server.adminPassword)).code).toBe(0);
    const target = `${registry()}/library/debian:mine`;
    await engine.docker('tag', 'debian:v2', target);
    await engine.docker('push', target);
    await engine.docker('pull', '--quiet', 'debian:mine');
    expect((await engine.image('debian:mine')).id).toBe(expectedIdentity(images, 'debian', 'v2').id);
  }, 60_000);

  test('is told in one line why an image that no source has cannot be had', async () => {
    const result = await engine.tryDocker(['pull', `${registry()}/docker.io/library/absent:1`]);
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(/not found|manifest unknown/i);
  }, 60_000);

  test('with every source dead pulls the cached image and runs it, and gets a 503 for one never seen', async () => {
    for (const source of [hub.first, hub.second]) await source.kill();
    const { id } = expectedIdentity(images, 'debian', 'v1');
    await engine.docker('image', 'prune', '--all', '--force');
    await engine.docker('pull', '--quiet', 'debian:v1');
    expect((await engine.image('debian:v1')).id).toBe(id);
    expect(await engine.docker(...runWords, 'debian:v1', 'cat', '/etc/app.conf')).toBe('version=1');
    const never = await engine.tryDocker(['pull', `${registry()}/docker.io/library/never-seen:1`]);
    expect(never.code).not.toBe(0);
    expect(never.stderr).toContain('503');
  }, 60_000);
});
