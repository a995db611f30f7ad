// Rows of the threat list that concern logins on the wire: who is slowed down by guessing and who is not, live rights of tokens, carriers of a
// token, what a client may claim about itself, and who may pull without a login.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { runCli } from '../cli/run.ts';
import { exchange } from '../http/raw-socket.ts';
import { basicOf, bytesOf, codeOf, type Login, type Registry, startRegistry } from '../http/registry.ts';

const isolated = 'presets: false\nmirror: { root: false }\n';
const proxied = `${isolated}trusted_proxies: [127.0.0.1]\n`;
const from = (address: string) => ({ 'x-forwarded-for': address });

async function logIn(registry: Registry, login: Login, address: string): Promise<number> {
  const headers = { authorization: basicOf(login), ...from(address) };
  return (await fetch(`${registry.url}/service/token?service=here`, { headers })).status;
}

async function makeRobot(registry: Registry, project: string): Promise<Login & { readonly id: number }> {
  const access = ['pull', 'push'].map((action) => ({ resource: 'repository', action }));
  const body = JSON.stringify({
    name: 'ci',
    level: 'project',
    duration: -1,
    permissions: [{ kind: 'project', namespace: project, access }],
  });
  const made = await registry.call('/api/v2.0/robots', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  if (made.status !== 201) throw new Error(`no robot: ${made.status} ${await made.text()}`);
  const { id, name, secret } = (await made.json()) as { id: number; name: string; secret: string };
  return { id, name, password: secret };
}

describe('guessing of passwords', () => {
  let registry: Registry;
  beforeAll(async () => {
    registry = await startRegistry({ config: proxied });
  }, 60_000);
  afterAll(() => registry?.stop());

  test('SEC-A17, SEC-G07: is answered 429 after a while with the time to wait, for names that exist and for others alike', async () => {
    for (const name of ['admin', 'nobody']) {
      const statuses: number[] = [];
      const guess = (index: number): Promise<number> => logIn(registry, { name, password: `guess ${index}` }, '192.0.2.1');
      for (let index = 0; index < 5; index++) statuses.push(await guess(index));
      // At once: the answer is held back for a moment, and the time to wait would go by.
      const headers = { authorization: basicOf({ name, password: 'x' }), ...from('192.0.2.1') };
      const [refused, ...others] = await Promise.all([fetch(`${registry.url}/service/token`, { headers }), guess(5), guess(6), guess(7)]);
      expect([name, [...statuses, ...others]]).toEqual([name, [401, 401, 401, 401, 401, 429, 429, 429]]);
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await codeOf(refused)).toBe('TOOMANYREQUESTS');
    }
  });

  test('does not lock the account out elsewhere, nor who had logged in there before', async () => {
    expect(await logIn(registry, registry.admin, '198.51.100.7')).toBe(200);
    const guess = (index: number): Promise<number> => logIn(registry, { name: 'admin', password: `guess ${index}` }, '198.51.100.7');
    for (let index = 0; index < 50; index++) expect([index, await guess(index)]).toEqual([index, 401]);
    expect(await Promise.all([guess(50), guess(51), guess(52)])).toEqual([429, 429, 429]);
    expect(await logIn(registry, registry.admin, '198.51.100.7')).toBe(200);
    expect(await logIn(registry, registry.admin, '203.0.113.9')).toBe(200);
  }, 60_000);

  test('is slowed down on the registry API and the admin API, too, by the same count', async () => {
    for (let index = 0; index < 5; index++) {
      const headers = { authorization: basicOf({ name: 'shared', password: `guess ${index}` }), ...from('192.0.2.77') };
      const path = ['/v2/', '/api/v2.0/sources'][index % 2] ?? '';
      expect((await fetch(`${registry.url}${path}`, { headers })).status).toBe(401);
    }
    expect(await logIn(registry, { name: 'shared', password: 'x' }, '192.0.2.78')).toBe(429);
  });

  test('SEC-B14: whose address is forged by X-Forwarded-For, X-Real-IP or Forwarded counts for the peer', async () => {
    const plain = await startRegistry({ config: isolated });
    try {
      const statuses: number[] = [];
      for (let index = 0; index < 7; index++) {
        const claimed = { 'x-forwarded-for': `192.0.2.${index}`, 'x-real-ip': `192.0.2.${index}`, forwarded: `for=192.0.2.${index}` };
        const headers = { authorization: basicOf({ name: 'admin', password: `guess ${index}` }), ...claimed, 'x-webauth-user': 'admin' };
        statuses.push((await fetch(`${plain.url}/service/token`, { headers })).status);
      }
      expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429]);
    } finally {
      await plain.stop();
    }
  }, 30_000);
});

describe('rights that are taken away', () => {
  let registry: Registry;
  beforeAll(async () => {
    registry = await startRegistry({ config: isolated });
  }, 60_000);
  afterAll(() => registry?.stop());

  test('SEC-A10: a right that is gone is gone from tokens already made, for push within 5 s and for pull within their life', async () => {
    await registry.createProject('team');
    await registry.pushImage('team/app', '1');
    const robot = await makeRobot(registry, 'team');
    const token = await registry.token(['repository:team/app:pull,push'], robot);
    const start = () => registry.call('/v2/team/app/blobs/uploads/', { method: 'POST', as: { token } });
    const begun = await start();
    expect(begun.status).toBe(202);
    expect((await registry.call(`/api/v2.0/robots/${robot.id}`, { method: 'DELETE' })).status).toBe(200);
    const deadlineMs = performance.now() + 5000;
    let status = 202;
    while (status === 202 && performance.now() < deadlineMs) {
      status = (await start()).status;
      await Bun.sleep(100);
    }
    expect([401, 403]).toContain(status);
    // SEC-A21: the session that was open is decided anew, too.
    const location = begun.headers.get('location') ?? '';
    const finish = await registry.call(`${location}?digest=sha256:${'0'.repeat(64)}`, { method: 'PUT', as: { token }, body: bytesOf('x') });
    expect([401, 403, 404]).toContain(finish.status);
    expect((await registry.call('/v2/team/app/manifests/1', { as: { token } })).status).not.toBe(200);
  }, 60_000);

  test('SEC-A10: a user who is switched off loses push within 5 s, and pull within the life of the token', async () => {
    await registry.createProject('dora', { public: true });
    const login = { name: 'dora', password: 'A long enough 1 for dora' };
    const json = (method: string, body: unknown) => ({
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const user = { username: 'dora', email: 'dora@example.com', realname: 'Dora', password: login.password };
    expect((await registry.call('/api/v2.0/users', json('POST', user))).status).toBe(201);
    const found = (await (await registry.call('/api/v2.0/users/search?username=dora')).json()) as { user_id: number }[];
    const id = found[0]?.user_id ?? 0;
    const member = { role_id: 2, member_user: { username: 'dora' } };
    expect((await registry.call('/api/v2.0/projects/dora/members', json('POST', member))).status).toBe(201);
    const token = await registry.token(['repository:dora/app:pull,push'], login);
    const push = async () => (await registry.call('/v2/dora/app/blobs/uploads/', { method: 'POST', as: { token } })).status;
    expect(await push()).toBe(202);
    expect((await registry.call(`/api/v2.0/users/${id}/disabled`, json('PUT', { disabled: true }))).status).toBe(200);
    const sinceMs = performance.now();
    while ((await push()) === 202 && performance.now() - sinceMs < 5000) await Bun.sleep(100);
    expect(performance.now() - sinceMs).toBeLessThan(5000);
    expect((await registry.call('/v2/dora/app/tags/list', { as: { token } })).status).toBe(401);
    expect((await registry.call('/v2/', { as: login })).status).toBe(401);
    expect((await registry.call('/service/token?service=here', { as: login })).status).toBe(401);
    // Switched on again, the old token is still worth nothing.
    expect((await registry.call(`/api/v2.0/users/${id}/disabled`, json('PUT', { disabled: false }))).status).toBe(200);
    await Bun.sleep(1500);
    expect(await push()).toBe(401);
    expect((await registry.call('/v2/', { as: login })).status).toBe(200);
  }, 60_000);

  test('SEC-A09: a token for a project that is gone opens none made anew under its name', async () => {
    await registry.createProject('passing');
    const token = await registry.token(['repository:passing/app:pull,push']);
    await registry.deleteProject('passing');
    await registry.createProject('passing');
    expect((await registry.call('/v2/passing/app/blobs/uploads/', { method: 'POST', as: { token } })).status).toBe(401);
  });

  test('SEC-B06: a new key by API or command: tokens before it hold until they end, or not at all when it revokes', async () => {
    await registry.createProject('keys');
    const push = (token: string) => registry.call('/v2/keys/app/blobs/uploads/', { method: 'POST', as: { token } });
    const before = await registry.token(['repository:keys/app:pull,push']);
    const upload = (await push(before)).headers.get('location') ?? '';
    const rotate = async (revoke: boolean): Promise<unknown> => {
      const body = JSON.stringify({ revoke });
      const headers = { 'content-type': 'application/json' };
      return (await registry.call('/api/v2.0/system/token-keys', { method: 'POST', headers, body })).json();
    };
    expect(await rotate(false)).toMatchObject([{ signs: true }, { signs: false }]);
    const after = await registry.token(['repository:keys/app:pull,push']);
    expect(decodeProtectedHeader(after).kid).not.toBe(decodeProtectedHeader(before).kid);
    // A push in progress goes on, with either.
    for (const token of [before, after])
      expect((await registry.call(upload, { method: 'PATCH', as: { token }, body: bytesOf('part') })).status).toBe(202);
    const env = { BREAKWATER_PASSWORD: registry.adminPassword };
    const told = await runCli(['signing-keys', 'rotate', '--revoke', '--url', registry.url, '--json'], { env });
    expect([told.code, told.stderr]).toEqual([0, '']);
    expect(JSON.parse(told.stdout)).toMatchObject([{ algorithm: 'Ed25519', signs: true }]);
    for (const token of [before, after]) expect((await push(token)).status).toBe(401);
    const again = await registry.token(['repository:keys/app:pull,push']);
    expect((await registry.call(upload, { method: 'PATCH', as: { token: again }, body: bytesOf('part') })).status).toBe(202);
    expect((await runCli(['signing-keys', 'list', '--url', registry.url], { env })).stdout).toContain('signs');
    expect((await registry.call('/api/v2.0/system/token-keys', { as: 'anonymous' })).status).toBe(401);
  }, 60_000);

  test('SEC-A11: a registry token is a Bearer of the registry API and nothing else, and mints no other token', async () => {
    const token = await registry.token(['repository:team/app:pull']);
    const asPassword = { name: 'admin', password: token };
    expect((await registry.call('/v2/', { as: { token } })).status).toBe(200);
    for (const path of ['/v2/', '/service/token', '/api/v2.0/sources']) {
      expect([path, (await registry.call(path, { as: asPassword })).status]).toEqual([path, 401]);
      for (const parameter of ['token', 'access_token', 'authorization']) {
        const inQuery = await registry.call(`${path}?${parameter}=${token}`, { as: 'anonymous' });
        if (path !== '/service/token') expect([path, inQuery.status]).toEqual([path, 401]);
        else expect(decodeJwt(((await inQuery.json()) as { token: string }).token).sub).toBe('anonymous');
      }
      const cookie = await registry.call(path, { as: 'anonymous', headers: { cookie: `token=${token}; sid=${token}` } });
      if (path !== '/service/token') expect([path, cookie.status]).toEqual([path, 401]);
    }
    expect((await registry.call('/service/token?scope=repository:team/app:push', { as: { token } })).status).toBe(401);
    expect((await registry.call('/api/v2.0/sources', { as: { token } })).status).toBe(401);
  }, 30_000);

  test('SEC-B16: two Authorization headers are refused, whichever comes first', async () => {
    const right = `Authorization: ${basicOf(registry.admin)}`;
    const wrong = 'Authorization: Basic eDp5';
    for (const path of ['/v2/', '/service/token', '/api/v2.0/sources'])
      for (const pair of [`${right}\r\n${wrong}`, `${wrong}\r\n${right}`, `${right}\r\n${right}`]) {
        const answer = await exchange(registry.port, `GET ${path} HTTP/1.1\r\nHost: a\r\n${pair}\r\nConnection: close\r\n\r\n`);
        expect([path, answer.statuses]).toEqual([path, [400]]);
      }
  }, 30_000);
});

describe('what a client says of the server', () => {
  let registry: Registry;
  beforeAll(async () => {
    registry = await startRegistry({ config: isolated });
  }, 60_000);
  afterAll(() => registry?.stop());

  const challengeFor = async (headers: string): Promise<string> => {
    const { text } = await exchange(registry.port, `GET /v2/ HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`);
    return /www-authenticate: ([^\r]*)/i.exec(text)?.[1] ?? text.split('\r\n')[0] ?? '';
  };

  test('SEC-E06: several Hosts, an empty one, or one with a path are refused', async () => {
    for (const headers of ['Host: a\r\nHost: b', 'Host:', 'Host: a/b', 'Host: a@b', 'Host: a b', 'Host: a"b'])
      expect([headers, await challengeFor(headers)]).toEqual([headers, expect.stringContaining(' 400 ')]);
  });

  test('SEC-E07: the realm is the Host of the same request, or external_url; what others forward does not count', async () => {
    const poisoned = 'X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nForwarded: host=evil.example\r\nX-Host: evil.example';
    expect(await challengeFor(`Host: mine.example\r\n${poisoned}`)).toContain('realm="http://mine.example/service/token"');
    const fixed = await startRegistry({ config: `${isolated}external_url: https://outer.example\n` });
    try {
      const answer = await fixed.call('/v2/', { as: 'anonymous', headers: { host: 'evil.example', 'x-forwarded-host': 'evil.example' } });
      expect(answer.headers.get('www-authenticate')).toContain('realm="https://outer.example/service/token"');
    } finally {
      await fixed.stop();
    }
    const begun = await registry.call('/v2/library/app/blobs/uploads/', {
      method: 'POST',
      headers: { 'x-forwarded-host': 'evil.example' },
    });
    expect(begun.headers.get('location')).toStartWith('/v2/');
  });

  test('SEC-E08: line breaks and NUL reach no header of an answer', async () => {
    for (const name of ['a%0d%0aset-cookie:x', 'a%00b', 'a%0ab', 'a%22b']) {
      const answer = await registry.call(`/v2/library/${name}/manifests/1`, { as: 'anonymous' });
      expect([400, 401, 404]).toContain(answer.status);
      expect(answer.headers.get('set-cookie')).toBeNull();
      expect(answer.headers.get('www-authenticate') ?? '').not.toMatch(/[\r\n\0]|set-cookie/);
    }
    const scope = await registry.call(`/service/token?scope=${encodeURIComponent('repository:a\r\nx:pull')}`, { as: 'anonymous' });
    expect(scope.status).toBe(200);
  });
});

describe('pulls without a login', () => {
  const pull = async (registry: Registry, address: string): Promise<number[]> => {
    const headers = from(address);
    const asked = await fetch(`${registry.url}/service/token?scope=repository:library/app:pull`, { headers });
    const { token } = (await asked.json()) as { token: string };
    const withToken = { authorization: `Bearer ${token}`, ...headers };
    const paths = ['/v2/library/app/manifests/1', '/v2/library/app/tags/list'];
    const answers = paths.flatMap((path) => [
      fetch(`${registry.url}${path}`, { headers }),
      fetch(`${registry.url}${path}`, { headers: withToken }),
    ]);
    return (await Promise.all(answers)).map((answer) => answer.status);
  };

  test('are open from the networks of the configuration only; a token taken along opens nothing elsewhere', async () => {
    const registry = await startRegistry({ config: `${proxied}anonymous_networks: [10.0.0.0/8, "fd00::/8"]\n` });
    try {
      await registry.pushImage('library/app', '1');
      for (const inside of ['10.1.2.3', 'fd12::1']) expect([inside, await pull(registry, inside)]).toEqual([inside, [200, 200, 200, 200]]);
      expect(await pull(registry, '192.0.2.1')).toEqual([401, 401, 401, 401]);
      const inner = await registry.call('/service/token?scope=repository:library/app:pull', { as: 'anonymous', headers: from('10.1.2.3') });
      const { token } = (await inner.json()) as { token: string };
      const outside = await registry.call('/v2/library/app/manifests/1', { as: { token }, headers: from('192.0.2.1') });
      expect(outside.status).toBe(401);
      expect((await registry.call('/v2/library/app/manifests/1', { headers: from('192.0.2.1') })).status).toBe(200);
    } finally {
      await registry.stop();
    }
  }, 60_000);

  test('are closed by one switch', async () => {
    const registry = await startRegistry({ config: `${proxied}anonymous_pull: false\n` });
    try {
      await registry.pushImage('library/app', '1');
      expect(await pull(registry, '10.1.2.3')).toEqual([401, 401, 401, 401]);
    } finally {
      await registry.stop();
    }
  }, 60_000);

  test('SEC-C06: a mirror whose source has a login is not open, unless the configuration says so', async () => {
    const source = '{ url: "http://127.0.0.1:1", credentials: { username: u, password: p } }';
    const config = `presets: false\nmirror: { root: false }\nregistries:\n  private.test: { sources: [${source}] }\n  shown.test: { public: true, sources: [${source}] }\n`;
    const registry = await startRegistry({ config });
    try {
      expect((await registry.call('/v2/private.test/app/manifests/1', { as: 'anonymous' })).status).toBe(401);
      expect((await registry.call('/v2/shown.test/app/manifests/1', { as: 'anonymous' })).status).not.toBe(401);
    } finally {
      await registry.stop();
    }
  }, 60_000);
});
