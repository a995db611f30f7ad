// A token-guarded, rate-limited upstream like Docker Hub behind the mirror: a private repository is reached with the source's own
// credentials only and never through a source without them, and a used-up pull limit does not reach the client.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { imageTools, type TestImages, testImages } from '../images/test-images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { type DockerHub, startDockerHub } from './docker-hub.ts';
import { type HubLike, startHubLike } from './hub-like.ts';
import { graphOf, taggedManifest } from './layout-content.ts';
import { mirrorConfig } from './mirror-config.ts';
import { type Credentials, createRawClient, type FetchedManifest, getManifest } from './raw-client.ts';
import { createSkopeo, type Skopeo } from './skopeo.ts';

const ready = requireTools(...imageTools, 'docker-registry', 'openssl') && requireRoot();

describe.skipIf(!ready)('a source like Docker Hub', () => {
  let images: TestImages;
  let skopeo: Skopeo;
  let hubLike: HubLike;
  let plain: DockerHub;
  let server: RunningBreakwater;

  beforeAll(async () => {
    images = await testImages();
    skopeo = createSkopeo(images);
    hubLike = await startHubLike();
    const host = new URL(hubLike.url).host;
    const toCredentials = `${hubLike.account.username}:${hubLike.account.password}`;
    for (const [from, name] of [
      [images.oci('artifacts', 'oras'), 'private/files:1'],
      [images.oci('debian', 'v1'), 'library/debian:v1'],
      [images.oci('debian', 'v2'), 'library/debian:v2'],
      [images.oci('debian', 'v3'), 'library/debian:v3'],
    ] as const) {
      await skopeo.copy({ from, to: `docker://${host}/${name}`, toCredentials });
    }
    plain = await startDockerHub(images, [
      ['debian', 'v1'],
      ['debian', 'v2'],
      ['debian', 'v3'],
    ]);
    const guarded = { url: hubLike.url, trust: 'authority', priority: 10, realms: [hubLike.tokenOrigin] } as const;
    server = await startBreakwater({
      config: mirrorConfig({
        registries: {
          'docker.io': [guarded, { url: plain.second.url, trust: 'digest-only', priority: 20 }],
          'account.example': [{ ...guarded, credentials: hubLike.account }],
          'anonymous.example': [guarded],
          'unpinned.example': [{ url: hubLike.url, trust: 'authority', priority: 10, credentials: hubLike.account }],
        },
        tagTtl: '1s',
      }),
    });
  }, 300_000);

  afterAll(async () => {
    await server?.stop();
    await plain?.stop();
    await hubLike?.stop();
    skopeo?.close();
  }, 60_000);

  const manifest = async (repository: string, reference: string, credentials?: Credentials): Promise<FetchedManifest> => {
    const client = createRawClient(server.url);
    const token = await client.token([`repository:${repository}:pull`], credentials);
    return getManifest(client, { repository, reference }, token);
  };
  const admin = (): Credentials => ({ username: 'admin', password: server.adminPassword });

  test('gives a private repository through the registry that has the credentials', async () => {
    const top = taggedManifest(images.layout('artifacts'), 'oras');
    const target = `${server.dataDir}/private`;
    const from = `docker://127.0.0.1:${server.port}/account.example/private/files:1`;
    await skopeo.copy({ from, to: `oci:${target}:1`, fromCredentials: `admin:${server.adminPassword}` });
    expect(taggedManifest(target, '1').digest).toBe(top.digest);
    expect(hubLike.tokenRequests.some((request) => request.user === hubLike.account.username)).toBe(true);
  }, 60_000);

  test('gives neither its manifest nor its blobs through a registry without credentials, although both are stored here', async () => {
    const before = hubLike.tokenRequests.length;
    const [node] = graphOf(images.layout('artifacts'), taggedManifest(images.layout('artifacts'), 'oras'));
    const byTag = await manifest('anonymous.example/private/files', '1');
    expect([401, 403, 404, 503]).toContain(byTag.status);
    const byDigest = await manifest('anonymous.example/private/files', node?.descriptor.digest ?? '');
    expect([401, 403, 404, 503]).toContain(byDigest.status);
    for (const layer of node?.json.layers ?? []) {
      for (const repository of ['anonymous.example/private/files', 'docker.io/private/files', 'library/files']) {
        const answer = await createRawClient(server.url).send(`/v2/${repository}/blobs/${layer.digest}`);
        expect([401, 403, 404, 503]).toContain(answer.status);
        await answer.body?.cancel();
      }
    }
    const later = hubLike.tokenRequests.slice(before);
    expect(later.length).toBeGreaterThan(0);
    expect(later.every((request) => request.user === 'anonymous')).toBe(true);
  }, 60_000);

  test('keeps a registry with credentials to those who log in, unless the config opens it', async () => {
    expect((await manifest('account.example/private/files', '1')).status).toBe(401);
    expect((await manifest('account.example/library/debian', 'v1')).status).toBe(401);
  });

  test('never passes the upstream challenge on', async () => {
    const answer = await manifest('anonymous.example/private/files', '1');
    expect(answer.headers.get('www-authenticate') ?? '').not.toContain(hubLike.tokenOrigin);
  }, 60_000);

  test('sends the credentials to no realm that was not named in the config', async () => {
    const before = hubLike.tokenRequests.length;
    const answer = await manifest('unpinned.example/private/files', '1', admin());
    expect([401, 403, 404, 503]).toContain(answer.status);
    expect(hubLike.tokenRequests.slice(before).filter((request) => request.user !== 'anonymous')).toEqual([]);
  }, 60_000);

  test('serves every tag although the pull limit is used up, from the other source by digest', async () => {
    hubLike.limitManifestGets(1);
    for (const tag of ['v1', 'v2', 'v3']) {
      const target = `${server.dataDir}/limited-${tag}`;
      await skopeo.copy({ from: `docker://127.0.0.1:${server.port}/docker.io/library/debian:${tag}`, to: `oci:${target}:${tag}` });
      expect(taggedManifest(target, tag).digest).toBe(taggedManifest(images.layout('debian'), tag).digest);
    }
    expect(hubLike.manifestGets()).toBeLessThanOrEqual(1);
  }, 120_000);

  test('revalidates an unchanged tag without a counted request', async () => {
    hubLike.limitManifestGets(undefined);
    await manifest('account.example/library/debian', 'v1', admin());
    hubLike.limitManifestGets(100);
    for (let pull = 0; pull < 3; pull++) {
      await Bun.sleep(1100);
      expect((await manifest('account.example/library/debian', 'v1', admin())).status).toBe(200);
    }
    expect(hubLike.manifestGets()).toBe(0);
    expect(hubLike.requests.slice(-3).every((line) => line.startsWith('HEAD '))).toBe(true);
  }, 60_000);
});
