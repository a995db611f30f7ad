// Tokens of users and Harbor's CLI secret over HTTP: what they open, and what they do not.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { basic, type Login, openSite, type Site } from './site.ts';

let site: Site;
let annaId = 0;
beforeAll(async () => {
  site = await openSite();
  const { body } = await site.api(site.anna, 'POST', '/users/current/tokens', { name: 'first' });
  annaId =
    (await site.api(site.anna, 'GET', '/users/current/tokens')).body.length === 1
      ? Number(/users\/(\d+)/.exec(await locationOf())?.[1])
      : 0;
  expect(body.secret).toMatch(/^bwu_[0-9A-Za-z]{49}$/);
}, 60_000);
afterAll(async () => {
  await site?.stop();
});

async function locationOf(): Promise<string> {
  const made = await site.api(site.anna, 'POST', '/users/current/tokens', { name: 'second' });
  return made.headers.get('location') ?? '';
}

const tokenOf = async (login: Login, more: Record<string, unknown>): Promise<Login & { readonly id: number }> => {
  const made = await site.api(login, 'POST', '/users/current/tokens', more);
  expect([made.status, made.text]).toEqual([201, expect.any(String)]);
  return { name: login.name, password: made.body.secret, id: made.body.id };
};

describe('a token', () => {
  test('is a password for the registry with the rights of its user, and nothing for the admin API', async () => {
    const token = await tokenOf(site.anna, { name: 'laptop', duration: 7 });
    expect(await site.ping(token)).toBe(200);
    expect(await site.scope(token, 'team-a/app', 'pull,push')).toEqual(['pull', 'push']);
    expect(await site.scope(token, 'team-b/app', 'pull')).toEqual([]);
    for (const path of ['/users/current/tokens', '/projects', '/robots'])
      expect([path, (await site.api(token, 'GET', path)).status]).toEqual([path, 403]);
    expect(await site.ping({ ...token, name: 'ben' })).toBe(401);
    expect(await site.ping(site.anna)).toBe(200);
  });

  test('made for it opens the admin API, but makes no other', async () => {
    const token = await tokenOf(site.anna, { name: 'script', reach: 'api' });
    expect((await site.api(token, 'GET', '/users/current/tokens')).status).toBe(200);
    for (const reach of ['registry', 'api'])
      expect((await site.api(token, 'POST', '/users/current/tokens', { name: `more-${reach}`, reach })).status).toBe(403);
    expect((await site.api(token, 'PUT', '/users/current/cli_secret', { secret: 'kF83hd9Qm2xZ' })).status).toBe(403);
  });

  test('ends when it is deleted, and then alone', async () => {
    const [one, other] = [await tokenOf(site.anna, { name: 'one' }), await tokenOf(site.anna, { name: 'other' })];
    expect((await site.api(site.anna, 'DELETE', `/users/current/tokens/${one.id}`)).status).toBe(200);
    expect([await site.ping(one), await site.ping(other)]).toEqual([401, 200]);
    expect((await site.api(site.anna, 'DELETE', `/users/current/tokens/${one.id}`)).status).toBe(404);
  });

  test.each<[string, Record<string, unknown>, number]>([
    ['a name twice', { name: 'first' }, 409],
    ["the name of Harbor's", { name: 'cli' }, 400],
    ['a name with a slash', { name: 'a/b' }, 400],
    ['no name', {}, 400],
    ['a life of no length', { name: 'x', duration: 0 }, 400],
    ['another reach', { name: 'x', reach: 'everything' }, 400],
    ['a secret of its own', { name: 'x', secret: 'bwu_mine' }, 400],
    ['another owner', { name: 'x', account_id: 1 }, 400],
  ])('is refused with %s', async (_what, body, status) => {
    expect((await site.api(site.anna, 'POST', '/users/current/tokens', body)).status).toBe(status);
  });

  test('SEC-A11 is taken as Basic password alone: not as Bearer, in the query, in a cookie, or twice', async () => {
    const token = await tokenOf(site.anna, { name: 'carrier', reach: 'api' });
    const { url } = site.server;
    const statusOf = async (path: string, headers: Record<string, string>): Promise<number> => {
      const response = await fetch(`${url}${path}`, { headers });
      await response.text();
      return response.status;
    };
    for (const path of ['/v2/', '/api/v2.0/users/current/tokens']) {
      expect(await statusOf(path, { authorization: basic(token) })).toBe(200);
      expect(await statusOf(path, { authorization: `Bearer ${token.password}` })).toBe(401);
      expect(await statusOf(`${path}?access_token=${token.password}&token=${token.password}`, {})).toBe(401);
      expect(await statusOf(path, { cookie: `sid=${token.password}; token=${token.password}` })).toBe(401);
      expect(await statusOf(path, { authorization: `${basic(token)}, ${basic(token)}` })).toBe(400);
    }
  });

  test('SEC-A14 of another user is seen and deleted by administrators only, who make none for others', async () => {
    const token = await tokenOf(site.anna, { name: 'hers' });
    const path = `/users/${annaId}/tokens`;
    expect((await site.api(site.admin, 'GET', path)).body).toContainEqual(expect.objectContaining({ id: token.id, name: 'hers' }));
    const [foreign, absent] = [await site.api(site.ben, 'GET', path), await site.api(site.ben, 'GET', '/users/1000000/tokens')];
    expect([foreign.status, foreign.text]).toEqual([403, absent.text]);
    expect((await site.api(site.ben, 'DELETE', `${path}/${token.id}`)).status).toBe(403);
    expect((await site.api(site.ben, 'DELETE', `/users/current/tokens/${token.id}`)).status).toBe(404);
    expect((await site.api(site.admin, 'POST', path, { name: 'for-her' })).status).toBe(403);
    expect((await site.api(undefined, 'GET', path)).status).toBe(401);
    expect(await site.ping(token)).toBe(200);
    expect((await site.api(site.admin, 'DELETE', `${path}/${token.id}`)).status).toBe(200);
    expect(await site.ping(token)).toBe(401);
  });

  test('all of a user go at once, after a leak', async () => {
    const [hers, his] = [await tokenOf(site.anna, { name: 'leaked' }), await tokenOf(site.ben, { name: 'his' })];
    expect((await site.api(site.ben, 'DELETE', `/users/${annaId}/tokens`)).status).toBe(403);
    expect((await site.api(site.admin, 'DELETE', `/users/${annaId}/tokens`)).body.deleted).toBeGreaterThan(0);
    expect([await site.ping(hers), await site.ping(his)]).toEqual([401, 200]);
    expect((await site.api(site.ben, 'DELETE', '/users/current/tokens')).body).toEqual({ deleted: 1 });
    expect(await site.ping(site.anna)).toBe(200);
  });

  test('opens nothing while its user is switched off, and nothing more once the user is deleted', async () => {
    const made = await site.api(site.admin, 'POST', '/users', {
      username: 'carla',
      realname: 'Carla',
      email: 'c@example.org',
      password: 'Long-enough-7-words',
    });
    expect([made.status, made.text]).toEqual([201, expect.any(String)]);
    const id = Number(/users\/(\d+)/.exec(made.headers.get('location') ?? '')?.[1]);
    const token = await tokenOf({ name: 'carla', password: 'Long-enough-7-words' }, { name: 'hers', reach: 'api' });
    expect([await site.ping(token), (await site.api(token, 'GET', '/users/current')).status]).toEqual([200, 200]);
    expect((await site.api(site.admin, 'PUT', `/users/${id}/disabled`, { disabled: true })).status).toBe(200);
    expect([await site.ping(token), (await site.api(token, 'GET', '/users/current')).status]).toEqual([401, 401]);
    await site.api(site.admin, 'PUT', `/users/${id}/disabled`, { disabled: false });
    expect(await site.ping(token)).toBe(200);
    expect((await site.api(site.admin, 'DELETE', `/users/${id}`)).status).toBe(200);
    expect(await site.ping(token)).toBe(401);
  });

  test('SEC-A16 is never told again', async () => {
    const token = await tokenOf(site.anna, { name: 'once' });
    for (const login of [site.anna, site.admin])
      expect((await site.api(login, 'GET', `/users/${annaId}/tokens`)).text).not.toContain(token.password.slice(4));
    expect(site.server.logs()).not.toContain(token.password);
  });
});

describe("Harbor's CLI secret", () => {
  test('is chosen by the client, is a password for the registry, and another one replaces it', async () => {
    const set = (secret: string) => site.api(site.anna, 'PUT', `/users/${annaId}/cli_secret`, { secret });
    expect((await set('kF83hd9Qm2xZ')).status).toBe(200);
    expect(await site.ping({ name: 'anna', password: 'kF83hd9Qm2xZ' })).toBe(200);
    expect((await site.api({ name: 'anna', password: 'kF83hd9Qm2xZ' }, 'GET', '/projects')).status).toBe(403);
    expect((await set('Other83hd9Qm2xZ')).status).toBe(200);
    expect(await site.ping({ name: 'anna', password: 'kF83hd9Qm2xZ' })).toBe(401);
    expect(await site.ping({ name: 'anna', password: 'Other83hd9Qm2xZ' })).toBe(200);
    expect((await set('weak')).status).toBe(400);
  });

  test('of somebody else is set by administrators only', async () => {
    const path = `/users/${annaId}/cli_secret`;
    expect((await site.api(site.ben, 'PUT', path, { secret: 'kF83hd9Qm2xZbb' })).status).toBe(403);
    expect((await site.api(site.admin, 'PUT', path, { secret: 'kF83hd9Qm2xZcc' })).status).toBe(200);
    expect(await site.ping({ name: 'anna', password: 'kF83hd9Qm2xZcc' })).toBe(200);
    expect((await site.api(site.admin, 'PUT', '/users/1000000/cli_secret', { secret: 'kF83hd9Qm2xZdd' })).status).toBe(404);
  });
});
