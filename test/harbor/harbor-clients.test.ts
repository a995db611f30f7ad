// Clients that were written for Harbor, unmodified, against the admin API: @hapic/harbor, and a generic OpenAPI client (openapi-client-axios) that is given
// Harbor's operations. What they call is counted: each operation must have been answered as Harbor would.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { buildRobotPermissionForAllResources, HarborClient as HapicClient } from '@hapic/harbor';
import { bytesOf, failuresIn, type Image, imageOf, imageType, type Registry, startRegistry } from '../http/registry.ts';
import { createHarborClient, type HarborAnswer, type HarborClient } from './client.ts';
import { operations } from './operations.ts';

const password = 'Correct-horse-7-battery';
const done = new Set<string>();
let registry: Registry;
let harbor: HarborClient;
let hapic: HapicClient;
let image: Image;

beforeAll(async () => {
  registry = await startRegistry();
  harbor = await createHarborClient(registry.url, { username: 'admin', password: registry.adminPassword });
  hapic = new HapicClient({ connectionOptions: { host: `${registry.url}/api/v2.0/`, user: 'admin', password: registry.adminPassword } });
  await registry.createProject('kept');
  image = await pushBuiltImage('kept/deep/app', 'v1');
});
afterAll(async () => {
  expect(failuresIn(registry)).toEqual([]);
  await registry?.stop();
});

/** An image whose config tells how it was built. */
async function pushBuiltImage(repository: string, tag: string): Promise<Image> {
  const config = bytesOf(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      history: [{ created: '2026-01-01T00:00:00Z', created_by: 'RUN a step' }],
      rootfs: { type: 'layers' },
    }),
  );
  const layer = bytesOf('a built layer');
  const built = imageOf(config, layer);
  for (const bytes of [config, layer]) await registry.pushBlob(repository, bytes);
  const pushed = await registry.call(`/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': imageType },
    body: built.bytes,
  });
  expect(pushed.status).toBe(201);
  return built;
}

/** Calls an operation, which must be answered with one of these statuses. */
async function ask(
  id: string,
  parameters?: Readonly<Record<string, string | number | boolean>>,
  body?: unknown,
  statuses: readonly number[] = [200],
): Promise<HarborAnswer> {
  const answer = await harbor.call(id, parameters, body);
  expect([id, answer.status, statuses.includes(answer.status) ? '' : answer.data]).toEqual([id, answer.status, '']);
  done.add(id);
  return answer;
}

/** The number at the end of `Location`, as Harbor's clients take it. */
function idOf(answer: HarborAnswer): number {
  const id = Number(/\/(\d+)$/.exec(answer.headers['location'] ?? '')?.[1]);
  expect(id).toBeGreaterThan(0);
  return id;
}

describe('@hapic/harbor', () => {
  const did = (...ids: readonly string[]): void => {
    for (const id of ids) done.add(id);
  };

  test('projects', async () => {
    const { id } = await hapic.project.create({ project_name: 'hapic', public: false, storage_limit: -1 });
    expect(id).toBeGreaterThan(0);
    await hapic.project.update(id ?? 0, { project_name: 'hapic', public: true });
    expect(await hapic.project.getOne('hapic', true)).toMatchObject({ name: 'hapic', project_id: id, metadata: { public: 'true' } });
    const listed = await hapic.project.getMany({ query: { name: 'hapic' } });
    expect(listed.meta.total).toBe(1);
    expect((await hapic.project.getAll()).data.map((one) => one.name)).toEqual(expect.arrayContaining(['hapic', 'kept', 'library']));
    await hapic.project.delete('hapic', true);
    await expect(hapic.project.getOne('hapic', true)).rejects.toThrow();
    did('createProject', 'updateProject', 'getProject', 'listProjects', 'deleteProject');
  });

  test('robots, with every permission it knows', async () => {
    const created = await hapic.robot.create({ name: 'hapic', permissions: [buildRobotPermissionForAllResources('kept')] });
    expect(created.secret).toBeString();
    const one = await hapic.robot.getOne(created.id);
    expect(one).toMatchObject({ name: 'robot$hapic', level: 'system', disable: false, duration: -1 });
    expect((await registry.call('/v2/kept/deep/app/manifests/v1', { as: { name: one.name, password: created.secret ?? '' } })).status).toBe(
      200,
    );
    const { secret } = await hapic.robot.updateSecret(created.id);
    expect((await registry.call('/v2/', { as: { name: one.name, password: created.secret ?? '' } })).status).toBe(401);
    expect((await registry.call('/v2/', { as: { name: one.name, password: secret } })).status).toBe(200);
    await hapic.robot.update(created.id, { ...one, description: 'told', disable: true });
    expect((await registry.call('/v2/', { as: { name: one.name, password: secret } })).status).toBe(401);
    const listed = await hapic.robot.getMany({ query: {} });
    expect(listed.data.map((robot) => [robot.name, robot.description])).toContainEqual(['robot$hapic', 'told']);
    await hapic.robot.delete(created.id);
    did('createRobot', 'getRobot', 'updateRobot', 'refreshSecret', 'listRobots', 'deleteRobot');
  });

  test('repositories and artifacts', async () => {
    await registry.createProject('copies');
    await registry.pushImage('copies/app', 'v1');
    expect(await hapic.projectRepository.getOne('copies/app')).toMatchObject({ name: 'copies/app', artifact_count: 1 });
    await hapic.projectRepository.update({ projectName: 'copies', repositoryName: 'app', data: { description: 'told' } as never });
    expect(await hapic.projectRepository.findOne('copies/app')).toMatchObject({ name: 'copies/app', description: 'told' });
    expect((await hapic.projectRepository.getAll({ projectName: 'copies' })).data).toHaveLength(1);
    const artifacts = hapic.projectRepositoryArtifact;
    await artifacts.copy({ projectName: 'copies', repositoryName: 'other' }, 'copies/app:v1');
    const copied = await artifacts.getMany({ projectName: 'copies', repositoryName: 'other' } as never);
    expect(copied).toHaveLength(1);
    await artifacts.delete({ projectName: 'copies', repositoryName: 'other', tagOrDigest: 'v1' });
    await hapic.projectRepository.delete('copies/app');
    expect((await hapic.projectRepository.getAll({ projectName: 'copies' })).data.map((one) => one.name)).not.toContain('copies/app');
    expect(await hapic.search('kept')).toMatchObject({ project: [{ name: 'kept' }] });
    did(
      'getRepository',
      'updateRepository',
      'listRepositories',
      'copyArtifact',
      'listArtifacts',
      'deleteArtifact',
      'deleteRepository',
      'search',
    );
  });
});

describe("a generic client with Harbor's operations", () => {
  test('what the server is', async () => {
    expect((await ask('getPing')).data).toBe('Pong');
    expect((await ask('getHealth')).data).toMatchObject({ status: 'healthy' });
    expect((await ask('getSystemInfo')).data).toMatchObject({ auth_mode: 'db_auth', harbor_version: expect.any(String) });
    expect((await ask('getVolumes')).data).toMatchObject({ storage: [{ total: expect.any(Number), free: expect.any(Number) }] });
    expect((await ask('getStatistic')).data).toMatchObject({
      total_project_count: expect.any(Number),
      total_repo_count: expect.any(Number),
    });
    expect((await ask('search', { q: 'deep' })).data.repository).toMatchObject([
      { repository_name: 'kept/deep/app', project_name: 'kept' },
    ]);
    expect((await ask('getPermissions')).data).toMatchObject({ system: expect.any(Array), project: expect.any(Array) });
    const settings = (await ask('getConfigurations')).data;
    expect(settings.project_creation_restriction).toEqual({ value: 'adminonly', editable: true });
    await ask('updateConfigurations', {}, { robot_token_duration: 45 });
    expect((await ask('getConfigurations')).data.robot_token_duration.value).toBe(45);
  });

  test('projects and their metadata', async () => {
    const created = await ask('createProject', {}, { project_name: 'generic', metadata: { public: 'false' }, storage_limit: -1 }, [201]);
    const id = idOf(created);
    await ask('headProject', { project_name: 'generic' });
    expect((await harbor.call('headProject', { project_name: 'absent' })).status).toBe(404);
    const project = (await ask('getProject', { project_name_or_id: id })).data;
    expect(project).toMatchObject({ name: 'generic', project_id: id, owner_name: 'admin', repo_count: 0, current_user_role_id: 1 });
    await ask('updateProject', { project_name_or_id: id }, { metadata: { ...project.metadata, auto_scan: 'true' } });
    const listed = await ask('listProjects', { q: 'name=~gener', sort: '-creation_time', page: 1, page_size: 5, with_detail: true });
    expect([listed.headers['x-total-count'], listed.data[0].name]).toEqual(['1', 'generic']);
    expect((await ask('getProjectSummary', { project_name_or_id: 'generic' })).data).toMatchObject({
      repo_count: 0,
      project_admin_count: 1,
    });
    expect((await ask('getProjectDeletable', { project_name_or_id: id })).data).toMatchObject({ deletable: true });
    await ask('addProjectMetadatas', { project_name_or_id: id }, { severity: 'high' });
    expect((await ask('getProjectMetadata', { project_name_or_id: id, meta_name: 'severity' })).data).toEqual({ severity: 'high' });
    await ask('updateProjectMetadata', { project_name_or_id: id, meta_name: 'severity' }, { severity: 'low' });
    expect((await ask('listProjectMetadatas', { project_name_or_id: id })).data).toMatchObject({ severity: 'low', auto_scan: 'true' });
    await ask('deleteProjectMetadata', { project_name_or_id: id, meta_name: 'severity' });
    await ask('deleteProject', { project_name_or_id: id });
  });

  test('users, groups and members', async () => {
    const wish = { username: 'lena', email: 'lena@example.com', realname: 'Lena', password, comment: 'new' };
    const user = idOf(await ask('createUser', {}, wish, [201]));
    expect((await ask('getUser', { user_id: user })).data).toMatchObject({
      user_id: user,
      username: 'lena',
      email: 'lena@example.com',
      sysadmin_flag: false,
    });
    expect((await ask('listUsers', { q: 'username=~len' })).data).toMatchObject([{ username: 'lena' }]);
    expect((await ask('searchUsers', { username: 'len' })).data).toMatchObject([{ user_id: user, username: 'lena' }]);
    await ask('updateUserProfile', { user_id: user }, { email: 'l@example.com', realname: 'Lena L', comment: '' });
    await ask('setUserSysAdmin', { user_id: user }, { sysadmin_flag: true });
    await ask('setUserSysAdmin', { user_id: user }, { sysadmin_flag: false });
    await ask('updateUserPassword', { user_id: user }, { new_password: `${password}-2` });
    const own = await createHarborClient(registry.url, { username: 'lena', password: `${password}-2` });
    expect((await own.call('getCurrentUserInfo')).data).toMatchObject({ username: 'lena', user_id: user });
    done.add('getCurrentUserInfo');
    expect((await own.call('setCliSecret', { user_id: user }, { secret: 'Cli-secret-0123456789' })).status).toBe(200);
    done.add('setCliSecret');

    const member = idOf(
      await ask('createProjectMember', { project_name_or_id: 'kept' }, { role_id: 2, member_user: { username: 'lena' } }, [201]),
    );
    expect((await ask('listProjectMembers', { project_name_or_id: 'kept', entityname: 'lena' })).data).toMatchObject([
      { id: member, entity_name: 'lena', role_id: 2, role_name: 'developer', entity_type: 'u' },
    ]);
    await ask('updateProjectMember', { project_name_or_id: 'kept', mid: member }, { role_id: 3 });
    expect((await ask('getProjectMember', { project_name_or_id: 'kept', mid: member })).data).toMatchObject({
      role_id: 3,
      role_name: 'guest',
    });
    const rights = await own.call('getCurrentUserPermissions', { scope: '/project/kept', relative: true });
    expect([rights.status, rights.data.length > 5]).toEqual([200, true]);
    done.add('getCurrentUserPermissions');
    await ask('deleteProjectMember', { project_name_or_id: 'kept', mid: member });

    const group = idOf(await ask('createUserGroup', {}, { group_name: 'builders', group_type: 2 }, [201]));
    expect((await ask('getUserGroup', { group_id: group })).data).toMatchObject({ id: group, group_name: 'builders' });
    await ask('updateUserGroup', { group_id: group }, { group_name: 'makers' });
    expect((await ask('searchUserGroups', { groupname: 'make' })).data).toMatchObject([{ id: group, group_name: 'makers' }]);
    expect((await ask('listUserGroups')).data.map((one: { group_name: string }) => one.group_name)).toContain('makers');
    await ask('deleteUserGroup', { group_id: group });
    await ask('deleteUser', { user_id: user });
  });

  test('labels', async () => {
    const label = idOf(await ask('createLabel', {}, { name: 'good', color: '#00FF00', scope: 'g', description: '' }, [201]));
    expect((await ask('getLabel', { label_id: label })).data).toMatchObject({ id: label, name: 'good', scope: 'g' });
    await ask('updateLabel', { label_id: label }, { name: 'better', color: '#00FF00', scope: 'g' });
    expect((await ask('listLabels', { scope: 'g', name: 'bett' })).data).toMatchObject([{ id: label, name: 'better' }]);
    const place = { project_name: 'kept', repository_name: 'deep%2Fapp', reference: 'v1' };
    await ask('addLabel', place, { id: label });
    expect((await ask('getArtifact', { ...place, with_label: true })).data.labels).toMatchObject([{ id: label, name: 'better' }]);
    await ask('removeLabel', { ...place, label_id: label });
    await ask('deleteLabel', { label_id: label });
  });

  test('repositories, artifacts and tags', async () => {
    const place = { project_name: 'kept', repository_name: 'deep%2Fapp' };
    expect((await ask('listAllRepositories', { q: 'name=~deep' })).data).toMatchObject([{ name: 'kept/deep/app', artifact_count: 1 }]);
    expect((await ask('getRepository', place)).data).toMatchObject({ name: 'kept/deep/app' });
    const [artifact] = (await ask('listArtifacts', { ...place, with_tag: true, page_size: 10, q: 'tags=v1' })).data;
    expect(artifact).toMatchObject({
      digest: image.digest,
      type: 'IMAGE',
      manifest_media_type: 'application/vnd.oci.image.manifest.v1+json',
      tags: [{ name: 'v1' }],
      size: expect.any(Number),
    });
    await ask('createTag', { ...place, reference: image.digest }, { name: 'v2' }, [201]);
    expect((await ask('listTags', { ...place, reference: 'v1' })).data.map((tag: { name: string }) => tag.name).sort()).toEqual([
      'v1',
      'v2',
    ]);
    await ask('deleteTag', { ...place, reference: 'v1', tag_name: 'v2' });
    expect((await ask('listAccessories', { ...place, reference: 'v1' })).data).toEqual([]);
    expect((await ask('getAddition', { ...place, reference: 'v1', addition: 'build_history' })).data).toMatchObject([
      { created_by: 'RUN a step' },
    ]);
  });

  test('quotas, registries, audit', async () => {
    const [quota] = (await ask('listQuotas', { reference: 'project' })).data;
    expect((await ask('getQuota', { id: quota.id })).data).toMatchObject({
      id: quota.id,
      hard: { storage: -1 },
      used: { storage: expect.any(Number) },
    });
    const wish = {
      name: 'hub',
      url: 'https://registry-1.docker.io',
      type: 'docker-hub',
      insecure: false,
      credential: { access_key: 'me', access_secret: 'a-secret' },
    };
    const id = idOf(await ask('createRegistry', {}, wish, [201]));
    const read = (await ask('getRegistry', { id })).data;
    expect(read).toMatchObject({ id, name: 'hub', url: 'https://registry-1.docker.io' });
    expect(JSON.stringify(read)).not.toContain('a-secret');
    expect((await ask('listRegistries', { q: 'name=hub' })).data).toMatchObject([{ id, name: 'hub' }]);
    await ask('updateRegistry', { id }, { description: 'told' });
    await ask('getRegistryInfo', { id });
    await ask('pingRegistry', {}, { url: 'http://127.0.0.1:9', type: 'docker-registry' }, [400]);
    await ask('deleteRegistry', { id });
    expect((await ask('listRegistryProviderTypes')).data).toContain('docker-hub');

    const logs = await ask('listAuditLogs', { page_size: 5, sort: '-op_time' });
    expect(Number(logs.headers['x-total-count'])).toBeGreaterThan(5);
    expect(logs.data[0]).toMatchObject({
      id: expect.any(Number),
      username: expect.any(String),
      resource: expect.any(String),
      operation: expect.any(String),
    });
    await ask('listAuditLogExts', { page_size: 5 });
    await ask('listAuditLogEventTypes');
    await ask('getLogs', { project_name: 'kept' });
    await ask('getLogExts', { project_name: 'kept' });
  });

  test('all of them were answered', () => {
    expect(operations.map(({ id }) => id).filter((id) => !done.has(id))).toEqual([]);
    expect(done.size).toBeGreaterThanOrEqual(60);
  });
});
