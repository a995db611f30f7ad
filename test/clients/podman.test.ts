// podman pulls docker.io through Breakwater as registries.conf tells it, in the two forms of a mirror's location, and pushes to
// Breakwater's own library. Identity is proved by image id (the config's digest) and by repository digest. Needs Debian's podman.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { imageTools, type TestImages, testImages } from '../images/test-images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { explain } from './breakwater-cli.ts';
import { type DockerHub, startDockerHub } from './docker-hub.ts';
import { expectedIdentity } from './expected-identity.ts';
import { graphOf, taggedManifest } from './layout-content.ts';
import { mirrorConfig } from './mirror-config.ts';
import { createPodman, dockerHubMirrorConfig, type Podman } from './podman.ts';
import { createRawClient, getManifest } from './raw-client.ts';
import { createSkopeo, type Skopeo } from './skopeo.ts';

const ready = requireTools(...imageTools, 'podman', 'docker-registry') && requireRoot();

const kinds: readonly (readonly [layout: string, tag: string])[] = [
  ['debian', 'v1'],
  ['debian', 'v2'],
  ['multiarch', 'latest'],
  ['manylayers', '100'],
  ['zstd', 'zstd'],
  ['zstd', 'mixed'],
  ['zstd', 'uncompressed'],
  ['artifacts', 'image'],
];

describe.skipIf(!ready)('podman', () => {
  let images: TestImages;
  let hub: DockerHub;
  let server: RunningBreakwater;
  let podman: Podman;
  let skopeo: Skopeo;

  beforeAll(async () => {
    images = await testImages();
    skopeo = createSkopeo(images);
    hub = await startDockerHub(images, [...kinds, ['debian', 'v3']]);
    server = await startBreakwater({ config: mirrorConfig({ registries: { 'docker.io': hub.sources } }) });
    podman = createPodman(images, dockerHubMirrorConfig(`${registry()}/docker.io`));
  }, 300_000);

  afterAll(async () => {
    podman?.close();
    skopeo?.close();
    await server?.stop();
    await hub?.stop();
  }, 60_000);

  const registry = (): string => `127.0.0.1:${server.port}`;
  const login = (password: string): ReturnType<Podman['tryPodman']> =>
    podman.tryPodman(['login', '--tls-verify=false', '--username', 'admin', '--password-stdin', registry()], password);

  test.each(kinds)(
    'pulls %s:%s through the mirror location REGISTRY/docker.io with the upstream image id and digest',
    async (layout, tag) => {
      await podman.podman('pull', '--quiet', `docker.io/library/${layout}:${tag}`);
      const expected = expectedIdentity(images, layout, tag);
      const image = await podman.image(`docker.io/library/${layout}:${tag}`);
      expect(image.id).toBe(expected.id);
      expect(image.repoDigests).toContain(`docker.io/library/${layout}@${expected.digest}`);
    },
    120_000,
  );

  test('leaves a trail: explain lists the pulled platform of an index with its layers, and no layer of the others', async () => {
    const top = taggedManifest(images.layout('multiarch'), 'latest');
    const [amd64] = graphOf(images.layout('multiarch'), top).filter((node) => node.json.layers !== undefined);
    const explanation = await explain(server, 'docker.io/library/multiarch:latest');
    expect(explanation.digest).toBe(top.digest);
    const here = explanation.blobs.filter((blob) => blob.cached).map((blob) => blob.digest);
    const own = [amd64?.descriptor.digest, amd64?.json.config?.digest, amd64?.json.layers?.at(-1)?.digest].map((digest) => digest ?? '');
    expect(here).toEqual(expect.arrayContaining(own));
    // The first layer is debian's, which podman has already and may not ask for again.
    const platform = [...own, amd64?.json.layers?.[0]?.digest];
    expect(here.filter((digest) => !platform.includes(digest))).toEqual([]);
  });

  test('pulls a short name through the plain root as the mirror location', async () => {
    const plain = createPodman(images, dockerHubMirrorConfig(registry()));
    try {
      await plain.podman('pull', '--quiet', 'debian:v3');
      expect((await plain.image('docker.io/library/debian:v3')).id).toBe(expectedIdentity(images, 'debian', 'v3').id);
    } finally {
      plain.close();
    }
  }, 60_000);

  test('pulls by digest', async () => {
    const { digest, id } = expectedIdentity(images, 'artifacts', 'image');
    await podman.podman('pull', '--quiet', '--tls-verify=false', `${registry()}/docker.io/library/artifacts@${digest}`);
    expect((await podman.image(`${registry()}/docker.io/library/artifacts@${digest}`)).id).toBe(id);
  });

  test('is refused a login with a wrong password, and a push without a login', async () => {
    const wrong = await login('not-the-password');
    expect(wrong.code).not.toBe(0);
    expect(wrong.stderr).toMatch(/unauthorized|invalid username\/password|authentication/i);
    const push = await podman.tryPodman(['push', '--tls-verify=false', 'docker.io/library/debian:v1', `${registry()}/library/refused:1`]);
    expect(push.code).not.toBe(0);
    expect(push.stderr).toMatch(/unauthorized|denied|authentication required/i);
  }, 60_000);

  test.each(['oci', 'v2s2'])(
    'logs in, pushes in the format %s, and pulls the same id and digest again without a login',
    async (format) => {
      expect((await login(server.adminPassword)).code).toBe(0);
      const target = `${registry()}/library/from-podman:${format}`;
      const digestFile = join(podman.folder, `digest-${format}`);
      await podman.podman(
        'push',
        '--tls-verify=false',
        '--format',
        format,
        '--digestfile',
        digestFile,
        'docker.io/library/debian:v2',
        target,
      );
      await podman.podman('logout', registry());
      const digest = readFileSync(digestFile, 'utf8').trim();
      const served = await getManifest(createRawClient(server.url), { repository: 'library/from-podman', reference: format });
      expect(served.headers.get('docker-content-digest')).toBe(digest);
      const config: { config: { digest: string } } = JSON.parse(Buffer.from(served.bytes).toString('utf8'));
      await podman.clear();
      await podman.podman('pull', '--quiet', '--tls-verify=false', target);
      const image = await podman.image(target);
      expect(image.id).toBe(config.config.digest);
      expect(image.repoDigests).toEqual([`${registry()}/library/from-podman@${digest}`]);
      await podman.podman('pull', '--quiet', 'docker.io/library/debian:v2');
    },
    120_000,
  );

  test.each(['schema2', 'schema2-list'] as const)(
    'pulls the Docker format %s that skopeo pushed',
    async (name) => {
      const to = `docker://${registry()}/library/${name}:1`;
      await skopeo.copy({ from: images.dir(name), to, toCredentials: `admin:${server.adminPassword}` });
      await podman.podman('pull', '--quiet', '--tls-verify=false', `${registry()}/library/${name}:1`);
      const served = await getManifest(createRawClient(server.url), { repository: `library/${name}`, reference: '1' });
      const digest = served.headers.get('docker-content-digest');
      expect((await podman.image(`${registry()}/library/${name}:1`)).repoDigests).toContain(`${registry()}/library/${name}@${digest}`);
    },
    60_000,
  );

  test('a push to the mirror project docker.io is refused', async () => {
    expect((await login(server.adminPassword)).code).toBe(0);
    const target = `${registry()}/docker.io/library/mine:1`;
    const push = await podman.tryPodman(['push', '--tls-verify=false', 'docker.io/library/debian:v2', target]);
    expect(push.code).not.toBe(0);
    const served = await getManifest(createRawClient(server.url), { repository: 'docker.io/library/mine', reference: '1' });
    expect(served.status).toBe(404);
  }, 60_000);
});
