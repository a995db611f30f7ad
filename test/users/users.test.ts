// Users over HTTP: Harbor's shapes, who may see and change whom, what a password must be, and what ends when one is changed.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { z } from 'zod';
import { userSchema } from '../../src/api/user-schemas.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { type Caller, callerOf, goodPassword, makeUser } from './callers.ts';

let server: RunningBreakwater;
let admin: Caller;
let adminPassword: string;
const user = z.strictObject(userSchema.shape);

beforeAll(async () => {
  server = await startBreakwater({ config: JSON.stringify({ presets: false }) });
  adminPassword = server.adminPassword;
  admin = callerOf(server, 'admin', adminPassword);
});
afterAll(async () => {
  await server?.stop();
});

describe('a user', () => {
  test("is created, read, listed, changed and deleted in Harbor's shapes", async () => {
    const wish = { username: 'Shape', email: 'shape@example.org', realname: 'Shape S.', comment: 'c', password: goodPassword };
    const made = await admin.post('/users', wish);
    expect(made.status).toBe(201);
    const body = user.parse(made.json());
    expect(body).toMatchObject({
      username: 'Shape',
      email: 'shape@example.org',
      realname: 'Shape S.',
      sysadmin_flag: false,
      provider: 'local',
    });
    expect(made.headers.get('location')).toBe(`/api/v2.0/users/${body.user_id}`);
    expect((await admin.get(`/users/${body.user_id}`)).json<unknown>()).toEqual(body);
    expect((await admin.get('/users?q=username=SHAPE')).json<unknown>()).toEqual([body]);
    expect((await admin.get('/users?q=username=~hap,sysadmin_flag=false&sort=-creation_time')).json<unknown>()).toEqual([body]);
    const page = await admin.get('/users?page=1&page_size=1');
    expect(Number(page.headers.get('x-total-count'))).toBeGreaterThanOrEqual(2);
    expect(page.headers.get('link')).toContain('rel="next"');
    expect((await admin.put(`/users/${body.user_id}`, { email: '', realname: 'New', comment: 'd' })).status).toBe(200);
    expect(user.parse((await admin.get(`/users/${body.user_id}`)).json())).toMatchObject({ email: '', realname: 'New', comment: 'd' });
    expect((await admin.delete(`/users/${body.user_id}`)).status).toBe(200);
    expect((await admin.get(`/users/${body.user_id}`)).status).toBe(404);
    expect((await callerOf(server, 'Shape', goodPassword).get('/users/current')).status).toBe(401);
  });

  test("is taken as Harbor's Terraform provider sends it: the whole user with each change", async () => {
    const whole = {
      username: 'terraform',
      password: goodPassword,
      new_password: goodPassword,
      realname: 'T',
      email: 't@example.org',
      sysadmin_flag: true,
    };
    const { user_id: id } = (await admin.post('/users', whole)).json<{ user_id: number }>();
    const after = { ...whole, realname: 'U', new_password: 'another good one', password: 'another good one' };
    expect((await admin.put(`/users/${id}`, after)).status).toBe(200);
    const { sysadmin_flag: _flag, ...withoutFlag } = after;
    expect((await admin.put(`/users/${id}/sysadmin`, withoutFlag)).status).toBe(200);
    expect((await admin.put(`/users/${id}/password`, withoutFlag)).status).toBe(200);
    const self = await callerOf(server, 'terraform', 'another good one').get('/users/current');
    expect(user.parse(self.json())).toMatchObject({ realname: 'U', sysadmin_flag: false });
  });

  test('has a name that is one in any case and form, and is refused when it would be another one', async () => {
    await makeUser(server, admin, 'Zoë');
    expect((await admin.post('/users', { username: 'ZOE\u0308', password: goodPassword })).code).toBe('CONFLICT');
    expect((await callerOf(server, 'zoë', goodPassword).get('/users/current')).json<{ username: string }>().username).toBe('Zoë');
    expect((await admin.post('/users', { username: 'ADMIN', password: goodPassword })).code).toBe('CONFLICT');
    for (const username of ['system', 'anonymous', 'robot$ci', 'a:b', ' a', 'a\u200bb', 'workload+x', ''])
      expect([username, (await admin.post('/users', { username, password: goodPassword })).code]).toEqual([username, 'BAD_REQUEST']);
  });

  test('has a password that is good enough, which no answer and no log shows', async () => {
    for (const password of ['short', 'password1!', 'Harbor12345', 'aaaaaaaa', 'x'.repeat(1025), 'weak-name']) {
      const refused = await admin.post('/users', { username: 'weak-name', password });
      expect(refused.code).toBe('BAD_REQUEST');
      if (password.length > 5) expect(refused.text).not.toContain(password);
    }
    expect((await admin.post('/users', { username: 'extra', password: goodPassword, role: 'x' })).code).toBe('BAD_REQUEST');
    await makeUser(server, admin, 'canary-user', { password: 'canary-9f2c1-password' });
    expect((await admin.get('/users?q=username=canary-user')).text).not.toContain('argon2');
    expect(server.logs()).not.toContain('canary-9f2c1-password');
  });
});

describe('who may', () => {
  test('without a login nothing is said, and a plain user sees itself alone', async () => {
    const nobody = callerOf(server, '');
    const anna = await makeUser(server, admin, 'anna');
    for (const path of [
      '/users',
      '/users/current',
      '/users/search?username=a',
      `/users/${anna.id}`,
      '/permissions',
      '/roles',
      '/grants',
      '/usergroups',
    ])
      expect([path, (await nobody.get(path)).status]).toEqual([path, 401]);
    expect((await anna.get(`/users/${anna.id}`)).json<{ username: string }>().username).toBe('anna');
    for (const path of ['/users', '/grants', '/usergroups']) expect([path, (await anna.get(path)).code]).toEqual([path, 'DENIED']);
    const other = await anna.get('/users/1');
    const absent = await anna.get('/users/987654');
    expect([other.status, other.text]).toEqual([404, absent.text]);
    const changed = await anna.put('/users/1', { comment: 'x' });
    expect([changed.status, changed.text]).toEqual([404, (await anna.put('/users/987654', { comment: 'x' })).text]);
    expect((await anna.put('/users/1/password', { new_password: 'another good one' })).status).toBe(404);
    for (const path of ['sysadmin', 'auditor', 'disabled'])
      expect(
        (
          await anna.put(
            `/users/${anna.id}/${path}`,
            path === 'sysadmin' ? { sysadmin_flag: true } : path === 'auditor' ? { auditor_flag: true } : { disabled: false },
          )
        ).code,
      ).toBe('DENIED');
    expect((await anna.delete(`/users/${anna.id}`)).code).toBe('DENIED');
    expect((await anna.post('/users', { username: 'made-by-anna', password: goodPassword })).code).toBe('DENIED');
    expect((await anna.put(`/users/${anna.id}`, { realname: 'Anna A.' })).status).toBe(200);
  });

  test('any user searches enabled names, and gets names and ids alone', async () => {
    const searcher = await makeUser(server, admin, 'searcher');
    const hidden = await makeUser(server, admin, 'search-hidden', { email: 'hidden@example.org' });
    const found = await searcher.get('/users/search?username=SEARCH');
    expect(found.json<unknown>()).toEqual([
      { user_id: hidden.id, username: 'search-hidden' },
      { user_id: searcher.id, username: 'searcher' },
    ]);
    expect(found.headers.get('x-total-count')).toBe('2');
    await admin.put(`/users/${hidden.id}/disabled`, { disabled: true });
    expect((await searcher.get('/users/search?username=search-hidden')).json<unknown>()).toEqual([]);
  });

  test('nobody changes their own rights or deletes themselves, and the first user stays', async () => {
    const second = await makeUser(server, admin, 'second-admin', { sysadmin_flag: true });
    for (const [path, body] of [
      ['sysadmin', { sysadmin_flag: false }],
      ['disabled', { disabled: true }],
      ['auditor', { auditor_flag: true }],
    ] as const)
      expect([path, (await second.put(`/users/${second.id}/${path}`, body)).code]).toEqual([path, 'DENIED']);
    expect((await second.put(`/users/${second.id}/sysadmin`, { sysadmin_flag: true })).status).toBe(200);
    expect((await second.delete(`/users/${second.id}`)).code).toBe('DENIED');
    expect((await second.delete('/users/1')).code).toBe('CONFLICT');
    expect((await admin.put(`/users/${second.id}/sysadmin`, { sysadmin_flag: false })).status).toBe(200);
    expect((await second.get('/users')).code).toBe('DENIED');
  });

  test('who may change users may not become one with more rights by setting its password', async () => {
    const { role_id: roleId } = (
      await admin.post('/roles', {
        role_name: 'user desk',
        actions: ['user:list', 'user:read', 'user:update', 'user:create', 'user:delete'],
      })
    ).json<{
      role_id: number;
    }>();
    const desk = await makeUser(server, admin, 'desk');
    const target = await makeUser(server, admin, 'desk-target');
    const member = await makeUser(server, admin, 'desk-member');
    await admin.post('/grants', { user_id: desk.id, kind: 'system', role_id: roleId });
    await admin.post('/projects', { project_name: 'desk-project' });
    await admin.post('/projects/desk-project/members', { role_id: 1, member_user: { username: 'desk-member' } });
    const body = { new_password: 'another good one' };
    expect((await desk.put(`/users/${target.id}/password`, body)).status).toBe(200);
    for (const id of [1, member.id]) {
      expect((await desk.put(`/users/${id}/password`, body)).code).toBe('DENIED');
      expect((await desk.put(`/users/${id}/disabled`, { disabled: true })).code).toBe('DENIED');
      expect((await desk.delete(`/users/${id}`)).code).toBeOneOf(['DENIED', 'CONFLICT']);
    }
    expect((await desk.put(`/users/${target.id}/sysadmin`, { sysadmin_flag: true })).code).toBe('DENIED');
    expect((await desk.put(`/users/${desk.id}/auditor`, { auditor_flag: true })).code).toBe('DENIED');
    expect((await desk.post('/users', { username: 'too-much', password: goodPassword, sysadmin_flag: true })).code).toBe('DENIED');
    expect((await desk.post('/users', { username: 'as-much', password: goodPassword })).status).toBe(201);
    expect((await member.get('/users/current')).status).toBe(200);
  });
});

describe('a password', () => {
  test('is changed by its owner, who shows the old one, and ends what the old one opened', async () => {
    const owner = await makeUser(server, admin, 'owner');
    const token = async () => {
      const response = await fetch(`${server.url}/service/token?service=breakwater`, {
        headers: { authorization: `Basic ${btoa(`owner:${goodPassword}`)}` },
      });
      return { status: response.status, body: (await response.json()) as { token?: string } };
    };
    const before = await token();
    expect(before.status).toBe(200);
    expect(
      (await owner.put(`/users/${owner.id}/password`, { old_password: 'wrong one here', new_password: 'another good one' })).code,
    ).toBe('DENIED');
    expect((await owner.put(`/users/${owner.id}/password`, { old_password: goodPassword, new_password: goodPassword })).code).toBe(
      'BAD_REQUEST',
    );
    expect((await owner.put(`/users/${owner.id}/password`, { old_password: goodPassword, new_password: 'short' })).code).toBe(
      'BAD_REQUEST',
    );
    expect((await owner.put(`/users/${owner.id}/password`, { old_password: goodPassword, new_password: 'another good one' })).status).toBe(
      200,
    );
    expect((await owner.get('/users/current')).status).toBe(401);
    const opened = await fetch(`${server.url}/v2/`, { headers: { authorization: `Bearer ${before.body.token}` } });
    expect(opened.status).toBe(401);
    expect((await token()).status).toBe(401);
    expect((await callerOf(server, 'owner', 'another good one').get('/users/current')).status).toBe(200);
  });

  test('that must be changed opens nothing else', async () => {
    const fresh = await makeUser(server, admin, 'fresh', { must_change_password: true });
    expect((await fresh.get('/users/current')).json<{ must_change_password: boolean }>().must_change_password).toBe(true);
    for (const path of ['/projects', '/users/search?username=a', '/permissions', '/roles']) {
      const refused = await fresh.get(path);
      expect([path, refused.code]).toEqual([path, 'DENIED']);
      expect(refused.message).toContain(`/users/${fresh.id}/password`);
    }
    expect((await fresh.get('/ping')).status).toBe(200);
    expect((await fresh.put(`/users/${fresh.id}`, { comment: 'x' })).code).toBe('DENIED');
    expect((await fresh.put(`/users/${fresh.id}/password`, { old_password: goodPassword, new_password: 'another good one' })).status).toBe(
      200,
    );
    expect((await callerOf(server, 'fresh', 'another good one').get('/projects')).status).toBe(200);
  });
});

describe('hostile input', () => {
  test('text that no database can keep is 400, in bodies and in queries', async () => {
    const nul = 'a\u0000b';
    const target = await makeUser(server, admin, 'hostile-target');
    for (const body of [{ realname: nul }, { comment: nul }, { email: nul }, { comment: 'half \ud800' }])
      expect([body, (await admin.put(`/users/${target.id}`, body)).code]).toEqual([body, 'BAD_REQUEST']);
    for (const path of [
      '/users?username=%00',
      '/users/search?username=a%00',
      '/usergroups?group_name=%00',
      '/usergroups/search?groupname=%00',
      '/users?q=username=~%00',
    ])
      expect([path, (await admin.get(path)).status]).toEqual([path, 400]);
    for (const [path, body] of [
      ['/usergroups', { group_name: nul }],
      ['/roles', { role_name: nul, actions: ['repository:pull'] }],
      ['/grants', { user_id: target.id, kind: 'projects', pattern: nul, role_id: 2 }],
    ] as const)
      expect([path, (await admin.post(path, body)).code]).toEqual([path, 'BAD_REQUEST']);
  });

  test('ids that are none, wildcards and quotes find nothing and break nothing', async () => {
    for (const path of ['/users/0', '/users/-1', '/users/1e3', '/users/999999999999999999', '/usergroups/x', '/roles/0x1', '/grants/1.5'])
      expect((await admin.get(path)).status).toBeOneOf([400, 404]);
    for (const part of ['%25', '_', "' or 1=1 --", '"; drop table account', '\\'])
      expect((await admin.get(`/users/search?username=${part === '%25' ? part : encodeURIComponent(part)}`)).json<unknown>()).toEqual([]);
    for (const name of ['__proto__', 'constructor', 'toString'])
      expect((await admin.put('/users/1', JSON.parse(`{"${name}": 1}`))).code).toBe('BAD_REQUEST');
  });
});

describe('switched off', () => {
  test('a user is let in nowhere, and is back as it was when it is switched on', async () => {
    const off = await makeUser(server, admin, 'off');
    expect((await admin.put(`/users/${off.id}/disabled`, { disabled: true })).status).toBe(200);
    const refused = await off.get('/users/current');
    const unknown = await callerOf(server, 'never-made', goodPassword).get('/users/current');
    expect([refused.status, refused.text]).toEqual([401, unknown.text]);
    expect((await admin.put(`/users/${off.id}/disabled`, { disabled: false })).status).toBe(200);
    expect((await off.get('/users/current')).status).toBe(200);
  });
});

describe('a user with a token to push', () => {
  const digestOf = (text: string) => `sha256:${new Bun.CryptoHasher('sha256').update(text).digest('hex')}`;
  const pushWith = async (token: string, text: string): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    const path = `${server.url}/v2/live/app/blobs/uploads/?digest=${digestOf(text)}`;
    return (await fetch(path, { method: 'POST', body: text, headers })).status;
  };
  const tokenOf = async (name: string): Promise<string> => {
    const response = await fetch(`${server.url}/service/token?service=breakwater&scope=repository:live/app:pull,push`, {
      headers: { authorization: `Basic ${btoa(`${name}:${goodPassword}`)}` },
    });
    return ((await response.json()) as { token: string }).token;
  };

  test('loses push at once when it is switched off, demoted or no member any more', async () => {
    await admin.post('/projects', { project_name: 'live' });
    const pusher = await makeUser(server, admin, 'live-pusher');
    const added = await admin.post('/projects/live/members', { role_id: 2, member_user: { user_id: pusher.id } });
    const { id: memberId } = added.json<{ id: number }>();
    const token = await tokenOf('live-pusher');
    expect(await pushWith(token, 'one')).toBe(201);
    await admin.put(`/projects/live/members/${memberId}`, { role_id: 3 });
    expect(await pushWith(token, 'two')).toBeOneOf([401, 403]);
    await admin.put(`/projects/live/members/${memberId}`, { role_id: 2 });
    expect(await pushWith(token, 'three')).toBe(201);
    await admin.put(`/users/${pusher.id}/disabled`, { disabled: true });
    expect(await pushWith(token, 'four')).toBe(401);
    await admin.put(`/users/${pusher.id}/disabled`, { disabled: false });
    expect(await pushWith(token, 'five')).toBe(401);
    expect(await pushWith(await tokenOf('live-pusher'), 'six')).toBe(201);
    await admin.delete(`/projects/live/members/${memberId}`);
    expect(await pushWith(await tokenOf('live-pusher'), 'seven')).toBeOneOf([401, 403]);
  });
});

describe('permissions', () => {
  test('all there are, and those of the caller in a project or on the server', async () => {
    const permissions = (await admin.get('/permissions')).json<{ system: unknown[]; project: unknown[] }>();
    expect(permissions.project).toContainEqual({ resource: 'repository', action: 'pull' });
    expect(permissions.system).toContainEqual({ resource: 'user', action: 'create' });
    const guest = await makeUser(server, admin, 'guest');
    const { project_id: id } = (await admin.post('/projects', { project_name: 'seen' })).json<{ project_id: number }>();
    const own = async (query: string) =>
      (await guest.get(`/users/current/permissions${query}`)).json<{ resource: string; action: string }[]>();
    expect(await own(`?scope=/project/${id}`)).toEqual([]);
    await admin.post(`/projects/${id}/members`, { role_id: 3, member_user: { user_id: guest.id } });
    const absolute = await own(`?scope=/project/${id}`);
    expect(absolute).toContainEqual({ resource: `/project/${id}/repository`, action: 'pull' });
    expect(absolute).toContainEqual({ resource: `/project/${id}`, action: 'read' });
    const relative = await own(`?scope=/project/${id}&relative=true`);
    expect(relative).toContainEqual({ resource: 'repository', action: 'pull' });
    expect(relative).toContainEqual({ resource: '.', action: 'read' });
    expect(relative).not.toContainEqual({ resource: 'repository', action: 'push' });
    expect(await own('')).toEqual([]);
    expect(await own('?scope=/system')).toEqual([]);
    expect((await admin.get('/users/current/permissions?scope=/system&relative=true')).json<unknown[]>()).toContainEqual({
      resource: 'project',
      action: 'create',
    });
  });
});
