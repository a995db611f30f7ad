// Who may push and who may read, seen from outside: a private project made with `breakwater project create` refuses what it must,
// and a digest is never readable or referable through a repository that does not hold it. Uses the command line, skopeo and raw requests.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { imageTools, type TestImages, testImages } from '../images/test-images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { breakwater, createProject } from './breakwater-cli.ts';
import { blobFile, graphOf, type ManifestNode, taggedManifest } from './layout-content.ts';
import { offlineConfig } from './mirror-config.ts';
import { type Credentials, createRawClient, getManifest, pushBlob, putManifest, type RawClient } from './raw-client.ts';
import { createSkopeo, type Skopeo } from './skopeo.ts';

const ready = requireTools(...imageTools) && requireRoot();
const unknownDigest = `sha256:${'0'.repeat(64)}`;

describe.skipIf(!ready)('access', () => {
  let images: TestImages;
  let server: RunningBreakwater;
  let skopeo: Skopeo;
  let client: RawClient;
  let admin: Credentials;
  let image: ManifestNode;
  let layer: { readonly digest: string; readonly bytes: Uint8Array };

  beforeAll(async () => {
    images = await testImages();
    server = await startBreakwater({ config: offlineConfig });
    skopeo = createSkopeo(images);
    client = createRawClient(server.url);
    admin = { username: 'admin', password: server.adminPassword };
    const layout = images.layout('artifacts');
    const [node] = graphOf(layout, taggedManifest(layout, 'oras'));
    const digest = node?.json.layers?.[0]?.digest;
    if (node === undefined || digest === undefined) throw new Error('the oras artifact has no layer');
    image = node;
    layer = { digest, bytes: readFileSync(blobFile(layout, digest)) };
    for (const name of ['secret', 'other']) await createProject(server, name, '--kind', 'local');
    await createProject(server, 'open', '--kind', 'local', '--public');
    const to = remote('secret/app:1');
    await skopeo.copy({ from: images.oci('artifacts', 'oras'), to, toCredentials: `admin:${admin.password}` });
  }, 300_000);

  afterAll(async () => {
    skopeo?.close();
    await server?.stop();
  });

  const remote = (name: string): string => `docker://127.0.0.1:${server.port}/${name}`;
  const pushToken = (...repositories: readonly string[]): Promise<string> =>
    client.token(
      repositories.map((name) => `repository:${name}:pull,push`),
      admin,
    );
  const blobStatus = async (repository: string, digest: string, token?: string): Promise<number> => {
    const answer = await client.send(`/v2/${repository}/blobs/${digest}`, { method: 'HEAD', ...(token === undefined ? {} : { token }) });
    return answer.status;
  };

  test('lists the created projects with their kinds, and deletes one', async () => {
    await createProject(server, 'passing', '--kind', 'local');
    const before = await breakwater(server, 'project', 'list', '--json');
    expect(before.code).toBe(0);
    for (const name of ['library', 'docker.io', 'secret', 'other', 'open', 'passing']) expect(before.stdout).toContain(`"${name}"`);
    const deleted = await breakwater(server, 'project', 'delete', 'passing');
    expect(deleted.stderr).toBe('');
    expect(deleted.code).toBe(0);
    expect((await breakwater(server, 'project', 'list', '--json')).stdout).not.toContain('"passing"');
  });

  test('a push to a private project without a login is refused, with one it is taken', async () => {
    const from = images.oci('artifacts', 'helm');
    const refused = await skopeo.tryCopy({ from, to: remote('secret/helm:1') });
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/unauthorized|denied|authentication required/i);
    await skopeo.copy({ from, to: remote('secret/helm:1'), toCredentials: `admin:${admin.password}` });
  });

  test('a push to a public project without a login is refused as well', async () => {
    const refused = await skopeo.tryCopy({ from: images.oci('artifacts', 'helm'), to: remote('open/helm:1') });
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/unauthorized|denied|authentication required/i);
  });

  test('a private project is not pulled without a login, and is with one', async () => {
    const refused = await skopeo.tryCopy({ from: remote('secret/app:1'), to: `dir:${server.dataDir}/refused` });
    expect(refused.code).not.toBe(0);
    const pulled = await client.token(['repository:secret/app:pull'], admin);
    expect((await getManifest(client, { repository: 'secret/app', reference: '1' }, pulled)).status).toBe(200);
  });

  test('what exists in a private project and what does not answer an anonymous client alike', async () => {
    const anonymous = await client.token(['repository:secret/app:pull', 'repository:secret/absent:pull']);
    for (const token of [undefined, anonymous]) {
      const answers: unknown[] = [];
      const paths = [
        ['secret/app', 'manifests/1'],
        ['secret/app', 'manifests/absent'],
        ['secret/app', `blobs/${layer.digest}`],
        ['secret/app', `blobs/${unknownDigest}`],
        ['secret/app', 'tags/list'],
        ['secret/absent', 'manifests/1'],
        ['secret/absent', 'tags/list'],
      ];
      for (const [repository = '', rest = ''] of paths) {
        const answer = await client.send(`/v2/${repository}/${rest}`, token === undefined ? {} : { token });
        const body = (await answer.text()).replaceAll(repository, 'REPOSITORY');
        answers.push([answer.status, answer.headers.get('www-authenticate')?.replaceAll(repository, 'REPOSITORY'), body]);
        expect(answer.status).toBe(401);
      }
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    }
  });

  test('a manifest that names blobs of another private repository is refused, and nothing becomes readable', async () => {
    for (const repository of ['other/app', 'secret/second', 'library/borrowed', 'open/borrowed']) {
      const token = await pushToken(repository);
      const put = await putManifest(client, {
        repository,
        reference: 'stolen',
        bytes: image.bytes,
        mediaType: image.descriptor.mediaType,
        token,
      });
      expect(put.status).toBeGreaterThanOrEqual(400);
      expect(put.status).toBeLessThan(500);
      expect(await put.text()).toContain('MANIFEST_BLOB_UNKNOWN');
      expect(await blobStatus(repository, layer.digest, token)).toBe(404);
      expect([404, 503]).toContain((await getManifest(client, { repository, reference: 'stolen' }, token)).status);
    }
  });

  test('a mount with a token that cannot read the source opens an upload and gives no membership', async () => {
    const token = await pushToken('other/mounted');
    const path = `/v2/other/mounted/blobs/uploads/?mount=${layer.digest}`;
    for (const query of ['&from=secret/app', '&from=secret/absent', '']) {
      const answer = await client.send(`${path}${query}`, { method: 'POST', token });
      expect(answer.status).toBe(202);
      expect(answer.headers.get('location')).toContain('/v2/other/mounted/blobs/uploads/');
      expect(await blobStatus('other/mounted', layer.digest, token)).toBe(404);
    }
  });

  test('a mount without a login is refused', async () => {
    const answer = await client.send(`/v2/open/mounted/blobs/uploads/?mount=${layer.digest}&from=secret/app`, { method: 'POST' });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer /);
  });

  test('a mount with the right to read the source gives the blob', async () => {
    const token = await pushToken('other/allowed', 'secret/app');
    const answer = await client.send(`/v2/other/allowed/blobs/uploads/?mount=${layer.digest}&from=secret/app`, { method: 'POST', token });
    expect(answer.status).toBe(201);
    expect(await blobStatus('other/allowed', layer.digest, token)).toBe(200);
  });

  test('a blob pushed twice is readable only through the repositories it was pushed to', async () => {
    const token = await pushToken('open/own');
    expect(await pushBlob(client, 'open/own', layer, token)).toBe(201);
    expect(await blobStatus('open/own', layer.digest)).toBe(200);
    expect(await blobStatus('open/elsewhere', layer.digest)).toBe(404);
    expect(await blobStatus('library/elsewhere', layer.digest)).not.toBe(200);
    expect(await blobStatus('secret/app', layer.digest)).toBe(401);
  });

  test('a wrong password gets no token and no Basic access', async () => {
    const wrong = { username: 'admin', password: 'wrong' };
    await expect(client.token(['repository:secret/app:pull'], wrong)).rejects.toThrow('401');
    const basic = await client.send('/v2/', { headers: { authorization: `Basic ${btoa('admin:wrong')}` } });
    expect(basic.status).toBe(401);
    const right = await client.send('/v2/', { headers: { authorization: `Basic ${btoa(`admin:${admin.password}`)}` } });
    expect(right.status).toBe(200);
  });

  test('the password never appears in the log', () => {
    expect(server.logs()).not.toContain(admin.password);
  });
});
