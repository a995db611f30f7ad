// Repositories, artifacts and tags over the admin API of a real server, with content pushed over the registry API.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { z } from 'zod';
import { accessorySchema, artifactSchema, repositorySchema, tagSchema } from '../../src/api/artifact-schemas.ts';
import { codeOf, postJson, type SendOptions, send } from '../api/client.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { configOf, configType, imageType, indexType, type Pushed, pushImage, pushIndex } from './images.ts';

let server: RunningBreakwater;
const never = '0001-01-01T00:00:00.000Z';

beforeAll(async () => {
  const config = { presets: false, registries: { 'docker.io': { sources: [{ url: 'http://127.0.0.1:1', trust: 'authority' }] } } };
  server = await startBreakwater({ config: JSON.stringify(config) });
  for (const [name, isPublic] of [
    ['team', false],
    ['other', false],
    ['open', true],
  ] as const)
    expect((await postJson(server, '/projects', { name, public: isPublic })).status).toBe(201);
}, 60_000);
afterAll(async () => {
  await server?.stop();
});

const at = (repository: string): string => {
  const [project, ...rest] = repository.split('/');
  return `/projects/${project}/repositories/${encodeURIComponent(encodeURIComponent(rest.join('/')))}`;
};
const read = async <T>(path: string, schema: z.ZodType<T>, options: SendOptions = {}): Promise<T> => {
  const answer = await send(server, path, options);
  if (answer.status !== 200) throw new Error(`${path} was answered ${answer.status}: ${answer.text}`);
  return schema.parse(answer.json());
};
const artifacts = (repository: string, query = '') =>
  read(`${at(repository)}/artifacts${query}`, z.array(z.strictObject(artifactSchema.shape)));
const artifact = (repository: string, reference: string, query = '') =>
  read(`${at(repository)}/artifacts/${reference}${query}`, z.strictObject(artifactSchema.shape));
const repository = (name: string) => read(at(name), z.strictObject(repositorySchema.shape));
const refusal = async (path: string, options: SendOptions = {}) => {
  const answer = await send(server, path, options);
  return [answer.status, codeOf(answer)];
};
const remove = async (path: string) => (await send(server, path, { method: 'DELETE' })).status;
const count = async (path: string) => (await send(server, path)).headers.get('x-total-count');

describe('artifacts', () => {
  test('a pushed image is listed as Harbor would, with its tags, and its config when somebody looks', async () => {
    const name = 'team/web/app';
    const image = await pushImage(server, name, { note: 'one', tags: ['1.0', 'latest'] });
    const [listed, ...others] = await artifacts(name);
    expect(others).toEqual([]);
    expect(listed).toMatchObject({
      type: 'IMAGE',
      media_type: configType,
      manifest_media_type: imageType,
      artifact_type: configType,
      repository_name: name,
      digest: image.digest,
      size: image.size + image.blobBytes,
      pull_time: never,
      extra_attrs: { architecture: 'amd64', os: 'linux', author: 'who made one', created: '2026-11-24T08:00:00Z', config: { Cmd: ['sh'] } },
      annotations: { note: 'one' },
      tag_count: 2,
    });
    expect(listed?.tags?.map((tag) => [tag.name, tag.artifact_id])).toEqual([
      ['latest', listed?.id ?? 0],
      ['1.0', listed?.id ?? 0],
    ]);
    expect(await artifact(name, '1.0')).toEqual(await artifact(name, image.digest));
    const history = await send(server, `${listed?.addition_links['build_history']?.href.replace('/api/v2.0', '')}`);
    expect([history.status, history.json()]).toEqual([200, (configOf({ note: 'one' }) as { history: unknown }).history]);
    expect(await repository(name)).toMatchObject({ name, artifact_count: 1, pull_count: 0, description: '' });
    expect(await artifacts(name, '?with_tag=false')).not.toContainKey('tags');
  });

  test('the children of an index and accessories are not listed; the index shows both', async () => {
    const name = 'team/multi';
    const amd = await pushImage(server, name, { note: 'amd' });
    const arm = await pushImage(server, name, { note: 'arm', architecture: 'arm64' });
    const children = [
      { image: amd, architecture: 'amd64' },
      { image: arm, architecture: 'arm64' },
    ];
    const index = await pushIndex(server, name, { children, tags: ['m'] });
    const sbom = await pushImage(server, name, { note: 'sbom', subject: index, artifactType: 'application/spdx+json' });
    const signature = await pushImage(server, name, { note: 'signature', tags: [`${index.digest.replace(':', '-')}.sig`] });
    const [listed, ...others] = await artifacts(name, '?with_accessory=true');
    expect(others).toEqual([]);
    expect(await count(`${at(name)}/artifacts`)).toBe('1');
    expect(listed).toMatchObject({ digest: index.digest, media_type: indexType, type: 'IMAGE', addition_links: {} });
    expect(listed?.size).toBe(index.size + amd.size + amd.blobBytes + arm.size + arm.blobBytes);
    expect(listed?.references?.map(({ child_digest, platform }) => [child_digest, platform])).toEqual([
      [amd.digest, { architecture: 'amd64', os: 'linux' }],
      [arm.digest, { architecture: 'arm64', os: 'linux', variant: 'v8' }],
    ]);
    const child = await artifact(name, arm.digest);
    expect(listed?.references?.[1]?.child_id).toBe(child.id);
    const accessories = await read(`${at(name)}/artifacts/m/accessories`, z.array(z.strictObject(accessorySchema.shape)));
    expect(accessories.map(({ digest, type, subject_artifact_id }) => [digest, type, subject_artifact_id])).toEqual([
      [sbom.digest, 'subject.accessory', listed?.id ?? 0],
      [signature.digest, 'signature.cosign', listed?.id ?? 0],
    ]);
    expect(listed?.accessories).toEqual(accessories);
    expect(await refusal(`${at(name)}/artifacts/m/additions/build_history`)).toEqual([400, 'BAD_REQUEST']);
    expect(await refusal(`${at(name)}/artifacts/m/additions/vulnerabilities`)).toEqual([404, 'NOT_FOUND']);
    // What an index holds stays; the index goes with what is nobody else's.
    expect(await refusal(`${at(name)}/artifacts/${amd.digest}`, { method: 'DELETE' })).toEqual([409, 'CONFLICT']);
    expect(await remove(`${at(name)}/artifacts/m`)).toBe(200);
    for (const { digest } of [index, amd, arm, sbom, signature])
      expect(await refusal(`${at(name)}/artifacts/${digest}`)).toEqual([404, 'NOT_FOUND']);
    expect((await repository(name)).artifact_count).toBe(0);
  });

  test('lists are searched by tag, label, type and digest, sorted and paged', async () => {
    const name = 'team/search';
    const pushed: Pushed[] = [];
    for (const index of [0, 1, 2, 3])
      pushed.push(await pushImage(server, name, { note: `search ${index}`, tags: index === 3 ? [] : [`v${index}`, `x${index}`] }));
    const chart = { configMediaType: 'application/vnd.cncf.helm.config.v1+json', config: { name: 'chart', version: '1.2.3' } };
    pushed.push(await pushImage(server, name, { note: 'chart', tags: ['chart'], ...chart }));
    const digests = async (query: string) =>
      (await artifacts(name, `?${query}`)).map((found) => pushed.findIndex(({ digest }) => digest === found.digest));
    expect(await digests('')).toEqual([4, 3, 2, 1, 0]);
    expect(await digests('sort=push_time')).toEqual([0, 1, 2, 3, 4]);
    expect(await digests('sort=push_time&page_size=2&page=2')).toEqual([2, 3]);
    expect(await digests('q=tags%3D*')).toEqual([4, 2, 1, 0]);
    expect(await digests('q=tags%3Dnil')).toEqual([3]);
    expect(await digests('q=tags%3Dv1')).toEqual([1]);
    expect(await digests('q=tags%3D~x')).toEqual([2, 1, 0]);
    expect(await digests('q=tags%3D{v0 x2}')).toEqual([2, 0]);
    expect(await digests('q=type%3DCHART')).toEqual([4]);
    expect(await digests(`q=digest%3D${pushed[1]?.digest}`)).toEqual([1]);
    expect(await digests(`q=tags%3D~x,type%3DCHART`)).toEqual([]);
    expect(await count(`${at(name)}/artifacts?q=tags%3D~x&page_size=1`)).toBe('3');
    expect(await count(`${at(name)}/artifacts?q=tags%3D~x&page_size=2&page=9`)).toBe('3');
    expect((await send(server, `${at(name)}/artifacts?page_size=2&page=2`)).headers.get('link')).toContain('page=3');
    expect((await artifact(name, 'chart')).extra_attrs).toEqual({ name: 'chart', version: '1.2.3' });
    expect(await refusal(`${at(name)}/artifacts?q=colour%3Dblue`)).toEqual([400, 'BAD_REQUEST']);
    expect(await refusal(`${at(name)}/artifacts?colour=blue`)).toEqual([400, 'BAD_REQUEST']);
    const label = await postJson(server, '/labels', { name: 'stable', scope: 'g' });
    expect(label.status).toBe(201);
    const id = Number(label.headers.get('location')?.split('/').at(-1));
    expect((await postJson(server, `${at(name)}/artifacts/v2/labels`, { id })).status).toBe(200);
    expect((await postJson(server, `${at(name)}/artifacts/v2/labels`, { id })).status).toBe(409);
    expect((await artifact(name, 'v2', '?with_label=true')).labels?.map((found) => found.name)).toEqual(['stable']);
    expect(await digests(`q=labels%3D(${id})`)).toEqual([2]);
    expect(await remove(`${at(name)}/artifacts/v2/labels/${id}`)).toBe(200);
    expect(await remove(`${at(name)}/artifacts/v2/labels/${id}`)).toBe(404);
    expect((await postJson(server, `${at(name)}/artifacts/v2/labels`, { id: 999 })).status).toBe(404);
    const ofProject = await read(
      '/projects/team/artifacts?latest_in_repository=true&q=type%3DCHART',
      z.array(z.strictObject(artifactSchema.shape)),
    );
    expect(ofProject.map(({ repository_name, digest }) => [repository_name, digest])).toEqual([[name, pushed[4]?.digest ?? '']]);
  });

  test('tags are listed, made and removed; the artifact stays', async () => {
    const name = 'team/tags';
    const one = await pushImage(server, name, { note: 'tags one', tags: ['a', 'b'] });
    await pushImage(server, name, { note: 'tags two', tags: ['c'] });
    const path = `${at(name)}/artifacts/${one.digest}/tags`;
    const made = await postJson(server, path, { name: 'New.1', immutable: false });
    expect([made.status, made.headers.get('location')]).toEqual([201, `/api/v2.0${at(name)}/artifacts/${one.digest}/tags/New.1`]);
    expect([(await postJson(server, path, { name: 'c' })).status, (await postJson(server, path, { name: '.x' })).status]).toEqual([
      409, 400,
    ]);
    expect((await postJson(server, path, { name: 'd', colour: 'blue' })).status).toBe(400);
    const tags = async (query: string) => (await read(`${path}${query}`, z.array(z.strictObject(tagSchema.shape)))).map((tag) => tag.name);
    expect(await tags('')).toEqual(['New.1', 'b', 'a']);
    expect(await tags('?sort=name')).toEqual(['New.1', 'a', 'b']);
    expect(await tags('?q=name%3D~new')).toEqual(['New.1']);
    expect(await count(`${path}?page_size=1`)).toBe('3');
    expect(await remove(`${path}/c`)).toBe(404);
    for (const tag of ['a', 'b', 'New.1']) expect(await remove(`${path}/${tag}`)).toBe(200);
    expect(
      (
        await fetch(`${server.url}/v2/${name}/manifests/a`, {
          headers: { authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` },
        })
      ).status,
    ).toBe(404);
    expect(await artifact(name, one.digest)).toMatchObject({ tag_count: 0, tags: null });
  });

  test('a copy can be pulled where it was copied to, and only what may be pulled is copied', async () => {
    const name = 'team/source';
    const image = await pushImage(server, name, { note: 'copied', tags: ['1', '2'] });
    await pushImage(server, name, { note: 'signature of the copied', subject: image });
    const copied = await send(server, `${at('other/deep/copy')}/artifacts?from=${name}:1`, { method: 'POST' });
    expect([copied.status, copied.headers.get('location')]).toEqual([201, `/api/v2.0${at('other/deep/copy')}/artifacts/${image.digest}`]);
    const found = await artifact('other/deep/copy', '2', '?with_accessory=true');
    expect([found.digest, found.tag_count, found.accessories?.length]).toEqual([image.digest, 2, 1]);
    expect(await remove(at(name))).toBe(200);
    const authorization = { authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` };
    const manifest = await fetch(`${server.url}/v2/other/deep/copy/manifests/1`, { headers: authorization });
    const { layers } = (await manifest.json()) as { layers: { digest: string }[] };
    const layer = await fetch(`${server.url}/v2/other/deep/copy/blobs/${layers[0]?.digest}`, { headers: authorization });
    expect(await layer.text()).toBe('layer of copied');
    const copy = (from: string, to = 'other/copy') => refusal(`${at(to)}/artifacts?from=${encodeURIComponent(from)}`, { method: 'POST' });
    expect(await copy('team/absent:1')).toEqual([404, 'NOT_FOUND']);
    expect(await copy('nowhere/app:1')).toEqual([404, 'NOT_FOUND']);
    expect(await copy('no-tag')).toEqual([400, 'BAD_REQUEST']);
    expect(await copy(`other/deep/copy@${image.digest}`, 'docker.io/library/x')).toEqual([403, 'DENIED']);
  });
});

describe('repositories', () => {
  test('are listed in a project and over all of them, searched and sorted', async () => {
    for (const name of ['open/b', 'open/a', 'open/nested/c']) await pushImage(server, name, { note: name, tags: ['1'] });
    const names = async (path: string, options: SendOptions = {}) =>
      (await read(path, z.array(z.strictObject(repositorySchema.shape)), options)).map(({ name }) => name);
    expect(await names('/projects/open/repositories')).toEqual(['open/nested/c', 'open/a', 'open/b']);
    expect(await names('/projects/open/repositories?sort=name&page_size=2')).toEqual(['open/a', 'open/b']);
    expect(await names('/projects/open/repositories?q=name%3D~ESTED')).toEqual(['open/nested/c']);
    expect(await count('/projects/open/repositories?page_size=1')).toBe('3');
    expect((await names('/repositories?page_size=100')).length).toBeGreaterThan(5);
    // Without a login only what everybody may see, in the list and in its number.
    expect(await names('/repositories?sort=name', { password: false })).toEqual(['open/a', 'open/b', 'open/nested/c']);
    expect((await send(server, '/repositories', { password: false })).headers.get('x-total-count')).toBe('3');
    expect(await refusal('/projects/team/repositories', { password: false })).toEqual([401, 'UNAUTHORIZED']);
  });

  test('are described, and deleted with all they hold', async () => {
    const name = 'team/described/deep';
    await pushImage(server, name, { note: 'described', tags: ['1'] });
    const put = (body: object) =>
      send(server, at(name), { method: 'PUT', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    const before = await repository(name);
    expect((await put({ ...before, description: '# what it is for' })).status).toBe(200);
    expect(await repository(name)).toMatchObject({ description: '# what it is for', artifact_count: 1 });
    expect((await put({ colour: 'blue' })).status).toBe(400);
    // Its slashes may also come encoded once.
    expect((await send(server, '/projects/team/repositories/described%2Fdeep')).status).toBe(200);
    expect(await remove(at(name))).toBe(200);
    expect(await refusal(at(name))).toEqual([404, 'NOT_FOUND']);
    expect(await refusal(`${at(name)}/artifacts`)).toEqual([404, 'NOT_FOUND']);
    expect(await remove(at(name))).toBe(404);
  });

  test('what was begun and never finished is in no list', async () => {
    const headers = { authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` };
    expect((await fetch(`${server.url}/v2/team/begun/blobs/uploads/`, { method: 'POST', headers })).status).toBe(202);
    expect(await refusal(at('team/begun'))).toEqual([404, 'NOT_FOUND']);
  });
});
