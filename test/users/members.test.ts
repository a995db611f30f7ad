// Members, groups, roles and rules over HTTP: Harbor's shapes, and that nobody gives what they do not have.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { z } from 'zod';
import { grantSchema, groupSchema, memberSchema, roleSchema } from '../../src/api/user-schemas.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { type Caller, callerOf, goodPassword, makeUser } from './callers.ts';

let server: RunningBreakwater;
let admin: Caller;
const member = z.strictObject(memberSchema.shape);

beforeAll(async () => {
  server = await startBreakwater({ config: JSON.stringify({ presets: false }) });
  admin = callerOf(server, 'admin', server.adminPassword);
});
afterAll(async () => {
  await server?.stop();
});

async function makeProject(name: string): Promise<number> {
  return (await admin.post('/projects', { project_name: name })).json<{ project_id: number }>().project_id;
}

/** What a push of a small blob is answered with. */
async function pushStatus(user: string, repository: string): Promise<number> {
  const bytes = new TextEncoder().encode(`content of ${repository}`);
  const digest = `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`;
  const headers = { authorization: `Basic ${btoa(`${user}:${goodPassword}`)}` };
  return (await fetch(`${server.url}/v2/${repository}/blobs/uploads/?digest=${digest}`, { method: 'POST', body: bytes, headers })).status;
}

describe('members', () => {
  test("are added, read, listed, changed and removed in Harbor's shapes, empty objects of its clients included", async () => {
    const id = await makeProject('shapes');
    const dev = await makeUser(server, admin, 'dev');
    const added = await admin.post('/projects/shapes/members', { role_id: 2, member_user: { username: 'DEV' }, member_group: {} });
    expect(added.status).toBe(201);
    const location = added.headers.get('location') ?? '';
    const body = member.parse(added.json());
    expect(location).toBe(`/api/v2.0/projects/${id}/members/${body.id}`);
    expect(body).toEqual({
      id: body.id,
      project_id: id,
      entity_name: 'dev',
      role_name: 'developer',
      role_id: 2,
      entity_id: dev.id,
      entity_type: 'u',
    });
    const path = location.replace('/api/v2.0', '');
    expect((await admin.get(path)).json<unknown>()).toEqual(body);
    expect((await admin.get('/projects/shapes/members?entityname=DE')).json<unknown>()).toEqual([body]);
    expect((await admin.get('/projects/shapes/members?entityname=x')).json<unknown>()).toEqual([]);
    expect((await admin.put(path, { role_id: 3, member_user: { username: 'dev' }, member_group: {} })).status).toBe(200);
    expect(member.parse((await admin.get(path)).json())).toMatchObject({ role_id: 3, role_name: 'guest' });
    expect((await admin.post('/projects/shapes/members', { role_id: 2, member_user: { user_id: dev.id } })).code).toBe('CONFLICT');
    expect((await admin.delete(path)).status).toBe(200);
    expect((await admin.get(path)).status).toBe(404);
    expect((await admin.delete(path)).status).toBe(404);
  });

  test('what cannot be one is refused with words', async () => {
    await makeProject('refusals');
    const post = async (body: unknown) => (await admin.post('/projects/refusals/members', body)).code;
    expect(await post({ role_id: 2 })).toBe('BAD_REQUEST');
    expect(await post({ role_id: 2, member_user: { username: 'admin' }, member_group: { id: 1 } })).toBe('BAD_REQUEST');
    expect(await post({ member_user: { username: 'admin' } })).toBe('BAD_REQUEST');
    expect(await post({ role_id: 2, member_user: { username: 'never-made' } })).toBe('NOT_FOUND');
    expect(await post({ role_id: 99, member_user: { username: 'admin' } })).toBe('NOT_FOUND');
    expect(await post({ role_id: 2, member_group: { id: 987_654 } })).toBe('NOT_FOUND');
    expect(await post({ role_id: 2, member_group: { group_type: 1, ldap_group_dn: 'cn=a,dc=b' } })).toBe('BAD_REQUEST');
    expect((await admin.post('/projects/never-made/members', { role_id: 2, member_user: { username: 'admin' } })).code).toBe('NOT_FOUND');
  });

  test('a project is hidden from those outside, and its members from those who may not list them', async () => {
    await makeProject('hidden');
    const outside = await makeUser(server, admin, 'outside');
    const limited = await makeUser(server, admin, 'limited');
    await admin.post('/projects/hidden/members', { role_id: 5, member_user: { username: 'limited' } });
    const hidden = await outside.get('/projects/hidden/members');
    const absent = await outside.get('/projects/absent/members');
    expect([hidden.status, hidden.text]).toEqual([404, absent.text.replace('absent', 'hidden')]);
    expect((await limited.get('/projects/hidden/members')).code).toBe('DENIED');
  });

  test('a project admin adds up to its own role, a role with member rights no more than it has itself', async () => {
    await makeProject('powers');
    const lead = await makeUser(server, admin, 'lead');
    const desk = await makeUser(server, admin, 'member-desk');
    const other = await makeUser(server, admin, 'other-member');
    await admin.post('/projects/powers/members', { role_id: 1, member_user: { username: 'lead' } });
    expect((await lead.post('/projects/powers/members', { role_id: 1, member_user: { username: 'other-member' } })).status).toBe(201);
    const role = await admin.post('/roles', {
      role_name: 'member desk',
      actions: ['project:read', 'member:create', 'member:update', 'member:delete', 'member:list', 'member:read', 'repository:pull'],
    });
    const { role_id: deskRole } = role.json<{ role_id: number }>();
    expect((await lead.post('/projects/powers/members', { role_id: deskRole, member_user: { username: 'member-desk' } })).status).toBe(201);
    const listed = (await desk.get('/projects/powers/members')).json<{ id: number; entity_name: string }[]>();
    const idOf = (name: string) => listed.find((row) => row.entity_name === name)?.id ?? 0;
    for (const roleId of [1, 2, 3, 4]) {
      expect((await desk.post('/projects/powers/members', { role_id: roleId, member_user: { username: 'outside' } })).code).toBe('DENIED');
      expect((await desk.put(`/projects/powers/members/${idOf('member-desk')}`, { role_id: roleId })).code).toBe('DENIED');
    }
    expect((await desk.delete(`/projects/powers/members/${idOf('lead')}`)).code).toBe('DENIED');
    expect((await desk.put(`/projects/powers/members/${idOf('other-member')}`, { role_id: deskRole })).code).toBe('DENIED');
    expect((await desk.post('/projects/powers/members', { role_id: deskRole, member_user: { username: 'outside' } })).status).toBe(201);
    expect((await other.get('/projects/powers/members')).status).toBe(200);
  });

  test('a member of another project is none here, whoever asks', async () => {
    await makeProject('mine');
    await makeProject('theirs');
    const mine = await makeUser(server, admin, 'mine-admin');
    await admin.post('/projects/mine/members', { role_id: 1, member_user: { username: 'mine-admin' } });
    const theirs = (await admin.post('/projects/theirs/members', { role_id: 1, member_user: { username: 'outside' } })).json<{
      id: number;
    }>();
    for (const answer of [
      await mine.get(`/projects/mine/members/${theirs.id}`),
      await mine.put(`/projects/mine/members/${theirs.id}`, { role_id: 3 }),
      await mine.delete(`/projects/mine/members/${theirs.id}`),
      await mine.delete(`/projects/theirs/members/${theirs.id}`),
    ])
      expect(answer.status).toBe(404);
    expect((await admin.get(`/projects/theirs/members/${theirs.id}`)).json<{ role_id: number }>().role_id).toBe(1);
  });

  test('a role lets its member push, and no longer when it is taken', async () => {
    await makeProject('pushed');
    await makeUser(server, admin, 'pusher');
    expect(await pushStatus('pusher', 'pushed/app')).toBe(403);
    const { id } = (await admin.post('/projects/pushed/members', { role_id: 2, member_user: { username: 'pusher' } })).json<{
      id: number;
    }>();
    expect(await pushStatus('pusher', 'pushed/app')).toBe(201);
    await admin.delete(`/projects/pushed/members/${id}`);
    expect(await pushStatus('pusher', 'pushed/other')).toBe(403);
  });
});

describe('groups', () => {
  test('a local group gives its members what it holds, while they are in it', async () => {
    const projectId = await makeProject('grouped');
    const grouped = await makeUser(server, admin, 'grouped');
    const made = await admin.post('/usergroups', { group_name: 'Ops', group_type: 2 });
    expect(made.status).toBe(201);
    const group = z.strictObject(groupSchema.shape).parse(made.json());
    expect(made.headers.get('location')).toBe(`/api/v2.0/usergroups/${group.id}`);
    expect((await admin.post('/usergroups', { group_name: 'ops' })).code).toBe('CONFLICT');
    expect((await admin.get(`/usergroups/${group.id}`)).json<unknown>()).toEqual(group);
    expect((await grouped.get('/usergroups/search?groupname=OP')).json<unknown>()).toEqual([
      { id: group.id, group_name: 'Ops', group_type: 2 },
    ]);
    expect((await grouped.get(`/usergroups/${group.id}`)).status).toBe(404);
    const added = await admin.post(`/projects/${projectId}/members`, { role_id: 2, member_group: { id: group.id }, member_user: {} });
    expect(member.parse(added.json())).toMatchObject({ entity_type: 'g', entity_name: 'Ops', entity_id: group.id });
    expect(await pushStatus('grouped', 'grouped/app')).toBe(403);
    expect((await admin.post(`/usergroups/${group.id}/members`, { username: 'GROUPED' })).status).toBe(201);
    expect((await admin.get(`/usergroups/${group.id}/members`)).json<unknown>()).toEqual([{ user_id: grouped.id, username: 'grouped' }]);
    expect(await pushStatus('grouped', 'grouped/app')).toBe(201);
    expect((await admin.put(`/usergroups/${group.id}`, { group_name: 'Operations', group_type: 2 })).status).toBe(200);
    expect((await admin.delete(`/usergroups/${group.id}/members/${grouped.id}`)).status).toBe(200);
    expect(await pushStatus('grouped', 'grouped/other')).toBe(403);
    expect((await admin.delete(`/usergroups/${group.id}`)).status).toBe(200);
    expect((await admin.get(`/projects/${projectId}/members?entityname=Operations`)).json<unknown>()).toEqual([]);
  });

  test('who may change groups puts nobody, oneself included, into one with more rights', async () => {
    const desk = await makeUser(server, admin, 'group-desk');
    const role = await admin.post('/roles', {
      role_name: 'group desk',
      actions: ['user-group:create', 'user-group:update', 'user-group:delete', 'user-group:read'],
    });
    await admin.post('/grants', { user_id: desk.id, kind: 'system', role_id: role.json<{ role_id: number }>().role_id });
    const strong = (await admin.post('/usergroups', { group_name: 'strong' })).json<{ id: number }>();
    await admin.post('/grants', { group_id: strong.id, kind: 'all-projects', role_id: 1 });
    const weak = (await desk.post('/usergroups', { group_name: 'weak' })).json<{ id: number }>();
    expect((await desk.post(`/usergroups/${strong.id}/members`, { user_id: desk.id })).code).toBe('DENIED');
    expect((await desk.delete(`/usergroups/${strong.id}`)).code).toBe('DENIED');
    expect((await desk.post(`/usergroups/${weak.id}/members`, { user_id: desk.id })).status).toBe(201);
    expect((await desk.delete(`/usergroups/${weak.id}`)).status).toBe(200);
  });
});

describe('roles and rules', () => {
  test("those of the server have Harbor's ids and stay; a custom one is used, changed and goes when nobody holds it", async () => {
    const roles = z.array(z.strictObject(roleSchema.shape)).parse((await admin.get('/roles')).json());
    expect(roles.filter((role) => role.builtin).map(({ role_id, role_name }) => [role_id, role_name])).toEqual([
      [1, 'projectAdmin'],
      [4, 'maintainer'],
      [2, 'developer'],
      [3, 'guest'],
      [5, 'limitedGuest'],
    ]);
    const actions = ['project:read', 'repository:pull', 'repository:push'];
    expect((await admin.put('/roles/2', { role_name: 'developer', actions })).code).toBe('CONFLICT');
    expect((await admin.delete('/roles/1')).code).toBe('CONFLICT');
    expect((await admin.post('/roles', { role_name: 'Developer', actions })).code).toBe('CONFLICT');
    expect((await admin.post('/roles', { role_name: 'bad', actions: ['repository:fly'] })).code).toBe('BAD_REQUEST');
    const made = await admin.post('/roles', { role_name: 'pusher only', actions });
    const role = z.strictObject(roleSchema.shape).parse(made.json());
    expect(made.headers.get('location')).toBe(`/api/v2.0/roles/${role.role_id}`);
    expect(role).toMatchObject({ builtin: false, actions });
    await makeProject('custom');
    await makeUser(server, admin, 'custom-user');
    await admin.post('/projects/custom/members', { role_id: role.role_id, member_user: { username: 'custom-user' } });
    expect(await pushStatus('custom-user', 'custom/app')).toBe(201);
    expect((await admin.delete(`/roles/${role.role_id}`)).code).toBe('CONFLICT');
    await admin.put(`/roles/${role.role_id}`, { role_name: 'puller now', actions: ['project:read', 'repository:pull'] });
    expect(await pushStatus('custom-user', 'custom/other')).toBe(403);
    const [row] = (await admin.get('/projects/custom/members?entityname=custom-user')).json<{ id: number; role_name: string }[]>();
    expect(row?.role_name).toBe('puller now');
    await admin.delete(`/projects/custom/members/${row?.id}`);
    expect((await admin.delete(`/roles/${role.role_id}`)).status).toBe(200);
    expect((await admin.get(`/roles/${role.role_id}`)).status).toBe(404);
  });

  test('a rule by glob holds in the projects and repositories it names, those made later included', async () => {
    const ruled = await makeUser(server, admin, 'ruled');
    await makeProject('team-x');
    const made = await admin.post('/grants', { user_id: ruled.id, kind: 'projects', pattern: 'team-*', role_id: 2 });
    const rule = z.strictObject(grantSchema.shape).parse(made.json());
    expect(rule).toMatchObject({
      holder_type: 'user',
      holder_id: ruled.id,
      holder_name: 'ruled',
      kind: 'projects',
      pattern: 'team-*',
      role_name: 'developer',
    });
    await makeProject('team-later');
    await makeProject('elsewhere');
    expect(await pushStatus('ruled', 'team-x/app')).toBe(201);
    expect(await pushStatus('ruled', 'team-later/app')).toBe(201);
    expect(await pushStatus('ruled', 'elsewhere/app')).toBe(403);
    expect((await admin.get(`/grants?user_id=${ruled.id}`)).json<unknown>()).toEqual([rule]);
    expect((await admin.post('/grants', { user_id: ruled.id, kind: 'projects', pattern: 'team-*', role_id: 2 })).code).toBe('CONFLICT');
    expect((await admin.delete(`/grants/${rule.id}`)).status).toBe(200);
    expect(await pushStatus('ruled', 'team-x/other')).toBe(403);
    await admin.post('/grants', { user_id: ruled.id, kind: 'repositories', pattern: 'elsewhere/ci/**', role_id: 2 });
    expect(await pushStatus('ruled', 'elsewhere/ci/app')).toBe(201);
    expect(await pushStatus('ruled', 'elsewhere/app')).toBe(403);
    for (const body of [
      { user_id: ruled.id, kind: 'projects', role_id: 2 },
      { user_id: ruled.id, kind: 'projects', pattern: '{a', role_id: 2 },
      { user_id: ruled.id, kind: 'system', pattern: 'a', role_id: 2 },
      { user_id: ruled.id, group_id: 1, kind: 'system', role_id: 2 },
      { kind: 'system', role_id: 2 },
    ])
      expect((await admin.post('/grants', body)).code).toBe('BAD_REQUEST');
    expect((await admin.post('/grants', { user_id: 987_654, kind: 'system', role_id: 2 })).code).toBe('NOT_FOUND');
  });

  test('who may make roles and rules makes none with rights they lack', async () => {
    const maker = await makeUser(server, admin, 'maker');
    const role = await admin.post('/roles', {
      role_name: 'maker',
      actions: ['role:create', 'role:update', 'role:delete', 'grant:create', 'grant:delete', 'grant:list', 'grant:read'],
    });
    const { role_id: makerRole } = role.json<{ role_id: number }>();
    await admin.post('/grants', { user_id: maker.id, kind: 'system', role_id: makerRole });
    expect((await maker.post('/roles', { role_name: 'more', actions: ['user:create'] })).code).toBe('DENIED');
    expect((await maker.post('/roles', { role_name: 'more', actions: ['repository:pull'] })).code).toBe('DENIED');
    expect((await maker.put(`/roles/${makerRole}`, { role_name: 'maker', actions: ['role:create', 'user:update'] })).code).toBe('DENIED');
    expect((await maker.post('/roles', { role_name: 'as much', actions: ['role:create'] })).status).toBe(201);
    expect((await maker.post('/grants', { user_id: maker.id, kind: 'all-projects', role_id: 3 })).code).toBe('DENIED');
    expect((await maker.post('/grants', { user_id: maker.id, kind: 'everywhere', role_id: 1 })).code).toBe('DENIED');
    const strong = (await admin.get('/grants?page_size=100'))
      .json<{ id: number; holder_name: string }[]>()
      .find((rule) => rule.holder_name === 'strong');
    expect((await maker.delete(`/grants/${strong?.id}`)).code).toBe('DENIED');
  });
});
