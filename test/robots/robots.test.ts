// Robots over HTTP: Harbor's shapes, what their rights open, and that nobody gains by making one.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { basic, type Login, openSite, type Site } from './site.ts';

let site: Site;
beforeAll(async () => {
  site = await openSite();
}, 60_000);
afterAll(async () => {
  await site?.stop();
});

const pull = { resource: 'repository', action: 'pull' };
const push = { resource: 'repository', action: 'push' };
const inProject = (namespace: string, ...access: readonly object[]) => [{ kind: 'project', namespace, access }];
let number = 0;

/** Makes a robot of team-a, by its project admin unless somebody else does it. */
async function makeRobot(more: Record<string, unknown> = {}, by: Login = site.anna): Promise<Login & { readonly id: number }> {
  const body = { name: `r${number++}`, level: 'project', duration: 30, permissions: inProject('team-a', pull, push), ...more };
  const made = await site.api(by, 'POST', '/robots', body);
  expect([made.status, made.text]).toEqual([201, expect.any(String)]);
  return { id: made.body.id, name: made.body.name, password: made.body.secret };
}

describe('making a robot', () => {
  test('answers as Harbor does, and tells the secret once', async () => {
    const made = await site.api(site.anna, 'POST', '/robots', {
      name: 'ci',
      description: 'builds',
      duration: 7,
      level: 'project',
      disable: false,
      permissions: inProject('team-a', pull, push),
    });
    expect(made.status).toBe(201);
    expect(made.body).toEqual({
      id: expect.any(Number),
      name: 'robot$team-a+ci',
      secret: expect.stringMatching(/^bwr_[0-9A-Za-z]{49}$/),
      creation_time: expect.any(String),
      expires_at: Math.floor((Date.parse(made.body.creation_time) + 7 * 86_400_000) / 1000),
    });
    expect(made.headers.get('location')).toBe(`/api/v2.0/robots/${made.body.id}`);
    const read = await site.api(site.anna, 'GET', `/robots/${made.body.id}`);
    expect(read.body).toMatchObject({
      id: made.body.id,
      name: 'robot$team-a+ci',
      description: 'builds',
      level: 'project',
      duration: 7,
      editable: true,
      disable: false,
      permissions: [
        {
          kind: 'project',
          namespace: 'team-a',
          access: [
            { resource: 'repository', action: 'pull', effect: 'allow' },
            { resource: 'repository', action: 'push', effect: 'allow' },
          ],
        },
      ],
      networks: [],
    });
    expect(read.text).not.toContain(made.body.secret);
    const twice = await site.api(site.anna, 'POST', '/robots', { name: 'ci', level: 'project', permissions: inProject('team-a', pull) });
    expect([twice.status, twice.body.errors[0].code]).toEqual([409, 'CONFLICT']);
  });

  test('takes what the clients of Harbor send besides', async () => {
    const made = await site.api(site.admin, 'POST', '/robots', {
      name: `r${number++}`,
      description: '',
      secret: '',
      level: 'system',
      disable: false,
      duration: -1,
      permissions: [
        {
          kind: 'project',
          namespace: '*',
          access: [
            { ...pull, effect: 'allow' },
            { ...push, effect: '' },
          ],
        },
        { kind: 'system', namespace: '/', access: [{ resource: 'project', action: 'list' }] },
      ],
    });
    expect(made.body).toMatchObject({ expires_at: -1, name: expect.stringMatching(/^robot\$r\d+$/) });
    const { body } = await site.api(site.admin, 'GET', `/robots/${made.body.id}`);
    expect((await site.api(site.admin, 'PUT', `/robots/${made.body.id}`, { ...body, description: 'changed' })).status).toBe(200);
    expect((await site.api(site.admin, 'GET', `/robots/${made.body.id}`)).body).toMatchObject({ description: 'changed', duration: -1 });
  });

  test.each<[string, Record<string, unknown>, number]>([
    ['a name with a capital letter', { name: 'Ci' }, 400],
    ['a name with the prefix', { name: 'robot$ci' }, 400],
    ['a name with another project', { name: 'team-b+ci' }, 400],
    ['a name of lookalike letters', { name: 'sсanner' }, 400],
    ['no permissions', { permissions: [] }, 400],
    ['a right that there is not', { permissions: inProject('team-a', { resource: 'repository', action: 'own' }) }, 400],
    ['a project that there is not', { permissions: inProject('no-such', pull) }, 404],
    ['another project than its own beside it', { permissions: [...inProject('team-a', pull), ...inProject('team-b', pull)] }, 404],
    ['a life of no length', { duration: -2 }, 400],
    ['a network that is none', { networks: ['somewhere'] }, 400],
    ['a weak secret', { secret: 'Harbor12345' }, 400],
    ['an unknown member', { is_admin: true }, 400],
    ['a member of the prototype', { ['__proto__x']: {} }, 400],
    ['the level of the server', { level: 'system', permissions: inProject('team-a', pull) }, 403],
  ])('is refused with %s', async (_what, more, status) => {
    const body = { name: `r${number++}`, level: 'project', permissions: inProject('team-a', pull), ...more };
    const answer = await site.api(site.anna, 'POST', '/robots', body);
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining('errors')]);
  });

  test('a robot of a project has rights in no other, also when an administrator makes it', async () => {
    const permissions = [...inProject('team-a', pull), ...inProject('team-b', pull)];
    const answer = await site.api(site.admin, 'POST', '/robots', { name: 'both', level: 'project', permissions });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('in its own project')]);
  });
});

describe('what a robot may', () => {
  test('is what it was given, in its project, and nothing else', async () => {
    const robot = await makeRobot();
    expect(await site.ping(robot)).toBe(200);
    expect(await site.scope(robot, 'team-a/app', 'pull,push,delete')).toEqual(['pull', 'push']);
    expect(await site.scope(robot, 'team-b/app', 'pull,push')).toEqual([]);
    expect((await site.api(robot, 'GET', '/robots')).status).toBe(403);
    expect((await site.api(robot, 'GET', `/robots/${robot.id}`)).status).toBe(404);
    expect((await site.api(robot, 'POST', '/projects', { project_name: 'mine' })).status).toBe(403);
  });

  test('is in all projects, or in those of a glob, for one of the server', async () => {
    const everywhere = await makeRobot({ level: 'system', permissions: inProject('*', pull) }, site.admin);
    expect(await site.scope(everywhere, 'team-a/app', 'pull,push')).toEqual(['pull']);
    expect(await site.scope(everywhere, 'team-b/app', 'pull')).toEqual(['pull']);
    const some = await makeRobot({ level: 'system', permissions: inProject('*-b', pull, push) }, site.admin);
    expect(await site.scope(some, 'team-a/app', 'pull')).toEqual([]);
    expect(await site.scope(some, 'team-b/app', 'pull,push')).toEqual(['pull', 'push']);
    const repositories = await makeRobot({ permissions: inProject('team-a/ci/**', pull, push) });
    expect(await site.scope(repositories, 'team-a/ci/app', 'pull,push')).toEqual(['pull', 'push']);
    expect(await site.scope(repositories, 'team-a/app', 'pull,push')).toEqual([]);
  });

  test('SEC-A13 its name gives it nothing: a robot called admin, or like a scanner, is a robot', async () => {
    for (const name of ['admin', 'scanner', 'trivy', 'system', '0']) {
      const robot = await makeRobot({ name });
      expect((await site.api(robot, 'GET', '/sources')).status).toBe(403);
      expect(await site.scope(robot, 'team-b/app', 'push')).toEqual([]);
      expect(await site.ping({ name, password: robot.password })).toBe(401);
    }
  });

  test('rights bind to the project, not to its name: one made anew under the name is not opened', async () => {
    await site.api(site.admin, 'POST', '/projects', { project_name: 'passing' });
    const robot = await makeRobot(
      { level: 'system', permissions: [...inProject('passing', pull), ...inProject('team-b', pull)] },
      site.admin,
    );
    expect(await site.scope(robot, 'passing/app', 'pull')).toEqual(['pull']);
    await site.api(site.admin, 'DELETE', '/projects/passing');
    await site.api(site.admin, 'POST', '/projects', { project_name: 'passing' });
    expect(await site.scope(robot, 'passing/app', 'pull')).toEqual([]);
    const { body } = await site.api(site.admin, 'GET', `/robots/${robot.id}`);
    expect(body.permissions.map((one: { namespace: string }) => one.namespace)).toEqual(['team-b']);
  });

  test('ends when it is switched off, deleted, refreshed, or calls from elsewhere', async () => {
    const off = await makeRobot();
    expect((await site.api(site.anna, 'PUT', `/robots/${off.id}`, { disable: true })).status).toBe(200);
    expect(await site.ping(off)).toBe(401);
    await site.api(site.anna, 'PUT', `/robots/${off.id}`, { disable: false });
    expect(await site.ping(off)).toBe(200);
    const gone = await makeRobot();
    expect((await site.api(site.anna, 'DELETE', `/robots/${gone.id}`)).status).toBe(200);
    expect(await site.ping(gone)).toBe(401);
    expect((await site.api(site.anna, 'GET', `/robots/${gone.id}`)).status).toBe(404);
    const refreshed = await makeRobot();
    const { body } = await site.api(site.anna, 'PATCH', `/robots/${refreshed.id}`, {});
    expect(body.secret).toMatch(/^bwr_/);
    expect(await site.ping(refreshed)).toBe(401);
    expect(await site.ping({ ...refreshed, password: body.secret })).toBe(200);
    const chosen = await site.api(site.anna, 'PATCH', `/robots/${refreshed.id}`, { secret: 'kF83hd9Qm2xZ' });
    expect(chosen.body).toEqual({ secret: 'kF83hd9Qm2xZ' });
    expect(await site.ping({ ...refreshed, password: 'kF83hd9Qm2xZ' })).toBe(200);
    const far = await makeRobot({ networks: ['192.0.2.0/24'] });
    expect(await site.ping(far)).toBe(401);
    await site.api(site.anna, 'PUT', `/robots/${far.id}`, { networks: ['192.0.2.0/24', '127.0.0.0/8'] });
    expect(await site.ping(far)).toBe(200);
  });

  test('SEC-A10 a token it has already opens nothing once it is switched off', async () => {
    const robot = await makeRobot();
    const query = new URLSearchParams({ service: 'breakwater', scope: 'repository:team-a/app:pull,push' });
    const issued = await fetch(`${site.server.url}/service/token?${query}`, { headers: { authorization: basic(robot) } });
    const { token } = (await issued.json()) as { token: string };
    const startUpload = async (): Promise<number> => {
      const answer = await fetch(`${site.server.url}/v2/team-a/app/blobs/uploads/`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
      });
      await answer.text();
      return answer.status;
    };
    expect(await startUpload()).toBe(202);
    await site.api(site.anna, 'PUT', `/robots/${robot.id}`, { disable: true });
    expect(await startUpload()).toBe(401);
  });
});

describe('nobody gains by a robot', () => {
  test('its maker holds every right that it gets', async () => {
    const maker = await makeRobot({
      permissions: inProject(
        'team-a',
        pull,
        ...['create', 'update', 'read', 'list', 'delete'].map((action) => ({ resource: 'robot', action })),
      ),
    });
    const wish = { name: `r${number++}`, level: 'project', permissions: inProject('team-a', pull) };
    expect((await site.api(maker, 'POST', '/robots', wish)).status).toBe(404);
    const seeing = await makeRobot({
      permissions: inProject(
        'team-a',
        pull,
        { resource: 'project', action: 'read' },
        ...['create', 'update', 'read', 'list'].map((action) => ({ resource: 'robot', action })),
      ),
    });
    expect((await site.api(seeing, 'POST', '/robots', wish)).status).toBe(201);
    const wider = { ...wish, name: `r${number++}`, permissions: inProject('team-a', pull, push) };
    const refused = await site.api(seeing, 'POST', '/robots', wider);
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('repository:push in team-a')]);
    expect((await site.api(seeing, 'POST', '/robots', { ...wider, level: 'system' })).status).toBe(403);
    // Nor does it get at those that may more: by their secret, by new rights, or by its own.
    const strong = await makeRobot();
    expect((await site.api(seeing, 'PATCH', `/robots/${strong.id}`, {})).status).toBe(403);
    expect((await site.api(seeing, 'PUT', `/robots/${seeing.id}`, { permissions: inProject('team-a', pull, push) })).status).toBe(403);
    expect(await site.ping(strong)).toBe(200);
    const own = await site.api(seeing, 'PATCH', `/robots/${seeing.id}`, {});
    expect(own.status).toBe(200);
  });

  test('who may not make robots is refused, and a project one may not know of is absent', async () => {
    const wish = (namespace: string) => ({ name: `r${number++}`, level: 'project', permissions: inProject(namespace, pull) });
    const hidden = await site.api(site.ben, 'POST', '/robots', wish('team-a'));
    const absent = await site.api(site.ben, 'POST', '/robots', wish('nothing'));
    expect([hidden.status, absent.status]).toEqual([404, 404]);
    expect(hidden.text.replaceAll('team-a', 'X')).toBe(absent.text.replaceAll('nothing', 'X'));
    expect((await site.api(site.ben, 'POST', '/robots', wish('library'))).status).toBe(403);
    expect((await site.api(site.anna, 'POST', '/robots', wish('team-b'))).status).toBe(404);
    expect((await site.api(undefined, 'POST', '/robots', wish('team-a'))).status).toBe(401);
  });
});

describe('robots of others', () => {
  test('SEC-A14 an id of another project, of the server, or of nothing is alike to everybody who may not see it', async () => {
    const other = await makeRobot({ permissions: inProject('team-b', pull) }, site.admin);
    const ofServer = await makeRobot({ level: 'system', permissions: inProject('*', pull) }, site.admin);
    const texts = new Set<string>();
    for (const id of [other.id, ofServer.id, 1_000_000]) {
      for (const [method, body] of [
        ['GET', undefined],
        ['PUT', { description: 'mine' }],
        ['PATCH', {}],
        ['DELETE', undefined],
      ] as const) {
        const answer = await site.api(site.anna, method, `/robots/${id}`, body);
        texts.add(`${answer.status} ${answer.text.replaceAll(String(id), 'ID')}`);
        const inOwn = method === 'PATCH' ? undefined : await site.api(site.anna, method, `/projects/team-a/robots/${id}`, body);
        if (inOwn !== undefined) texts.add(`${inOwn.status} ${inOwn.text.replaceAll(String(id), 'ID')}`);
        expect((await site.api(undefined, method, `/robots/${id}`, body)).status).toBe(401);
      }
    }
    expect([...texts]).toEqual([expect.stringMatching(/^404 .*there is no robot ID/)]);
    expect(await site.ping(other)).toBe(200);
    for (const id of ['-1', '0x1', '1e3', '99999999999999999999', 'x', '%00'])
      expect([id, [400, 404]]).toEqual([id, expect.arrayContaining([(await site.api(site.admin, 'GET', `/robots/${id}`)).status])]);
  });

  test('lists hold the robots of one place, and only for who may see them', async () => {
    const list = (login: Login, q: string) => site.api(login, 'GET', `/robots?page_size=100&q=${encodeURIComponent(q)}`);
    const { teamA, teamB } = site.projects;
    await makeRobot({ name: 'listed' });
    const own = await list(site.anna, `Level=project,ProjectID=${teamA}`);
    expect(own.status).toBe(200);
    expect(own.body.every((robot: { name: string }) => robot.name.startsWith('robot$team-a+'))).toBe(true);
    expect(Number(own.headers.get('x-total-count'))).toBe(own.body.length);
    const named = await list(site.anna, `Level=project,ProjectID=${teamA},name=listed`);
    expect(named.body.map((robot: { name: string }) => robot.name)).toEqual(['robot$team-a+listed']);
    expect((await list(site.anna, `Level=project,ProjectID=${teamB}`)).status).toBe(404);
    expect((await list(site.anna, 'Level=project,ProjectID=1000000')).status).toBe(404);
    expect((await list(site.anna, '')).status).toBe(403);
    expect((await list(site.anna, 'Level=project')).status).toBe(400);
    expect((await list(site.admin, 'secret=x')).status).toBe(400);
    const server = await list(site.admin, '');
    expect(server.body.some((robot: { name: string }) => robot.name.includes('+'))).toBe(false);
    const page = await site.api(site.anna, 'GET', `/projects/${teamA}/robots?page_size=1&page=2&sort=-name`);
    expect([page.body.length, page.headers.get('link')]).toEqual([1, expect.stringContaining('rel="prev"')]);
  });

  test("Harbor's older way below a project makes, reads, changes and deletes them", async () => {
    const { teamA } = site.projects;
    const made = await site.api(site.anna, 'POST', `/projects/${teamA}/robots`, {
      name: 'older',
      description: '',
      expires_at: -1,
      access: [{ resource: `/project/${teamA}/repository`, action: 'push' }],
    });
    expect(made.body).toMatchObject({ name: 'robot$team-a+older', expires_at: -1 });
    const robot = { name: made.body.name, password: made.body.secret };
    expect(await site.scope(robot, 'team-a/app', 'push')).toEqual(['push']);
    const path = `/projects/team-a/robots/${made.body.id}`;
    expect((await site.api(site.anna, 'PUT', path, { disable: true, description: 'off' })).status).toBe(200);
    expect((await site.api(site.anna, 'GET', path)).body).toMatchObject({ disable: true, description: 'off' });
    expect((await site.api(site.anna, 'DELETE', path)).status).toBe(200);
    expect((await site.api(site.anna, 'GET', path)).status).toBe(404);
    const foreign = { name: 'x', access: [{ resource: `/project/${site.projects.teamB}/repository`, action: 'push' }] };
    expect((await site.api(site.anna, 'POST', `/projects/${teamA}/robots`, foreign)).status).toBe(400);
  });
});

test('no secret of a robot is in the log', () => {
  expect(site.server.logs()).not.toMatch(/bwr_/);
});
