// Rows of attacks between tenants (SEC-A): what an administrator or robot of one project tries on the other's. Over HTTP, on a real server.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { bytesOf, codeOf, failuresIn, imageOf, imageType, type Login, sha256, startRegistry } from '../http/registry.ts';
import { startTenants, type Tenants } from './tenants.ts';

let tenants: Tenants;
beforeAll(async () => {
  tenants = await startTenants();
});
afterAll(async () => {
  expect(failuresIn(tenants.registry)).toEqual([]);
  await tenants?.stop();
});

const put = (as: Login, path: string, body: Uint8Array): Promise<Response> =>
  tenants.registry.call(path, { method: 'PUT', as, body, headers: { 'content-type': imageType } });

describe('content', () => {
  test('SEC-A02: a digest that lives in the other project is not there, by GET, HEAD, range, mount and in a manifest', async () => {
    const { registry, one, other } = tenants;
    const { layerDigest, configDigest, digest } = other.image;
    for (const as of [one.admin, one.robot]) {
      for (const path of [`/v2/one/app/blobs/${layerDigest}`, `/v2/one/app/blobs/${configDigest}`, `/v2/one/app/manifests/${digest}`]) {
        for (const method of ['GET', 'HEAD']) {
          expect((await registry.call(path, { method, as })).status).toBe(404);
          expect((await registry.call(path, { method, as, headers: { range: 'bytes=0-3' } })).status).toBe(404);
        }
      }
      const referring = imageOf(bytesOf('x'), bytesOf('y'));
      const text = new TextDecoder()
        .decode(referring.bytes)
        .replace(referring.layerDigest, layerDigest)
        .replace(referring.configDigest, configDigest);
      const answer = await put(as, '/v2/one/app/manifests/stolen', bytesOf(text));
      expect([answer.status, await codeOf(answer)]).toEqual([400, 'MANIFEST_BLOB_UNKNOWN']);
    }
  });

  test('SEC-A03: a mount from the other project is a new upload, as if it were not there, and links nothing', async () => {
    const { registry, one, other } = tenants;
    for (const as of [one.admin, one.robot]) {
      for (const [digest, from] of [
        [other.image.layerDigest, 'other/app'],
        [sha256(bytesOf('nowhere')), 'other/app'],
        [other.image.layerDigest, 'absent/app'],
      ]) {
        const answer = await registry.call(`/v2/one/app/blobs/uploads/?mount=${digest}&from=${from}`, { method: 'POST', as });
        expect([answer.status, answer.headers.has('docker-content-digest')]).toEqual([202, false]);
      }
      expect((await registry.call(`/v2/one/app/blobs/${other.image.layerDigest}`, { as })).status).toBe(404);
    }
    const token = await registry.token(['repository:one/app:pull,push', 'repository:other/app:pull'], one.robot);
    const answer = await registry.call(`/v2/one/app/blobs/uploads/?mount=${other.image.layerDigest}&from=other/app`, {
      method: 'POST',
      as: { token },
    });
    expect(answer.status).toBe(202);
  });

  test("SEC-A05: another principal's upload is not there, in this project and in others; a finished one neither", async () => {
    const { registry, one, other } = tenants;
    const begin = await registry.call('/v2/one/app/blobs/uploads/', { method: 'POST', as: one.robot });
    const upload = (begin.headers.get('location') ?? '').split('/').at(-1) ?? '';
    expect(upload.length).toBeGreaterThanOrEqual(22);
    const bytes = bytesOf('mine');
    const attempts: readonly (readonly [as: Login, repository: string])[] = [
      [one.admin, 'one/app'],
      [one.robot, 'one/second'],
      [other.admin, 'other/app'],
      [registry.admin, 'one/app'],
    ];
    for (const [as, repository] of attempts) {
      const path = `/v2/${repository}/blobs/uploads/${upload}`;
      for (const method of ['GET', 'PATCH', 'DELETE', 'PUT']) {
        const answer = await registry.call(method === 'PUT' ? `${path}?digest=${sha256(bytes)}` : path, {
          method,
          as,
          ...(method === 'PATCH' || method === 'PUT' ? { body: bytes } : {}),
        });
        expect([as.name, repository, method, answer.status]).toEqual([as.name, repository, method, 404]);
      }
    }
    const path = `/v2/one/app/blobs/uploads/${upload}`;
    expect((await registry.call(`${path}?digest=${sha256(bytes)}`, { method: 'PUT', as: one.robot, body: bytes })).status).toBe(201);
    expect((await registry.call(`${path}?digest=${sha256(bytes)}`, { method: 'PUT', as: one.robot, body: bytes })).status).toBe(404);
  });

  test('SEC-A07: without the right to delete nothing is deleted, in whatever way it is tried', async () => {
    const { registry, one } = tenants;
    const { digest, layerDigest } = one.image;
    for (const path of [`/v2/one/app/manifests/${digest}`, '/v2/one/app/manifests/v1', `/v2/one/app/blobs/${layerDigest}`]) {
      expect((await registry.call(path, { method: 'DELETE', as: one.robot })).status).toBe(403);
    }
    for (const path of [
      '/projects/one/repositories/app/artifacts/v1',
      '/projects/one/repositories/app/artifacts/v1/tags/v1',
      '/projects/one/repositories/app',
      '/projects/one',
    ]) {
      expect([path, [403, 404].includes((await tenants.api(one.robot, 'DELETE', path)).status)]).toEqual([path, true]);
    }
    expect((await registry.call('/v2/one/app/manifests/v1', { as: one.robot })).status).toBe(200);
  });

  test('SEC-A08: what was deleted in one repository stays deleted there while others have it', async () => {
    const { registry, one, other } = tenants;
    const layer = bytesOf('a layer that two have');
    await registry.pushImage('one/shared', 'v1', layer);
    await registry.pushImage('other/shared', 'v1', layer);
    expect((await registry.call('/v2/one/shared/manifests/v1', { as: one.admin })).status).toBe(200);
    const digest = (await registry.call('/v2/one/shared/manifests/v1', { as: one.admin })).headers.get('docker-content-digest');
    expect((await registry.call(`/v2/one/shared/manifests/${digest}`, { method: 'DELETE', as: one.admin })).status).toBe(202);
    expect((await registry.call(`/v2/one/shared/blobs/${sha256(layer)}`, { method: 'DELETE', as: one.admin })).status).toBe(202);
    expect((await registry.call(`/v2/other/shared/blobs/${sha256(layer)}`, { as: other.admin })).status).toBe(200);
    for (const path of [`/v2/one/shared/manifests/${digest}`, '/v2/one/shared/manifests/v1', `/v2/one/shared/blobs/${sha256(layer)}`])
      expect((await registry.call(path, { as: one.admin })).status).toBe(404);
  });

  test('SEC-A19: a referrer needs the right to push where it is attached, and is listed only there', async () => {
    const { registry, one, other } = tenants;
    const config = bytesOf('{}');
    const referrer = bytesOf(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: imageType,
        artifactType: 'application/x-note',
        config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(config), size: config.byteLength },
        layers: [],
        subject: { mediaType: imageType, digest: other.image.digest, size: other.image.bytes.byteLength },
      }),
    );
    await registry.pushBlob('one/app', config);
    expect((await put(one.admin, `/v2/other/app/manifests/${sha256(referrer)}`, referrer)).status).toBe(403);
    expect((await put(one.admin, `/v2/one/app/manifests/${sha256(referrer)}`, referrer)).status).toBe(201);
    const listed = await registry.call(`/v2/other/app/referrers/${other.image.digest}`, { as: other.admin });
    expect(((await listed.json()) as { manifests: unknown[] }).manifests).toEqual([]);
  });
});

test('SEC-H03: a blob that is a page is a download without rights, whatever a browser makes of it', async () => {
  const { registry, one } = tenants;
  for (const text of ['<html><script>alert(1)</script>', '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>']) {
    const digest = await registry.pushBlob('one/app', bytesOf(text));
    const { headers } = await registry.call(`/v2/one/app/blobs/${digest}`, { as: one.admin, headers: { accept: 'text/html' } });
    expect(
      ['content-type', 'x-content-type-options', 'content-disposition', 'content-security-policy'].map((name) => headers.get(name)),
    ).toEqual(['application/octet-stream', 'nosniff', 'attachment', 'sandbox']);
  }
});

describe('a mirror', () => {
  test('SEC-A12: who pulls through it first may do nothing more for that', async () => {
    const { registry, one } = tenants;
    await registry.createProject('upstream', { public: true });
    await registry.pushImage('upstream/app', 'v1');
    const registries = `registries: { up.example: { public: true, sources: [ { url: '${registry.url}', trust: authority, allow_private: true } ] } }`;
    const mirror = await startRegistry({ config: `presets: false\nmirror: { root: false }\n${registries}\n` });
    try {
      const wish = { username: one.admin.name, email: 'a@example.com', realname: 'a', password: one.admin.password };
      const made = await mirror.call('/api/v2.0/users', {
        method: 'POST',
        body: JSON.stringify(wish),
        headers: { 'content-type': 'application/json' },
      });
      expect(made.status).toBe(201);
      const as = one.admin;
      const path = '/v2/up.example/upstream/app/manifests/v1';
      const pulled = await mirror.call(path, { as });
      expect(pulled.status).toBe(200);
      const bytes = new Uint8Array(await pulled.arrayBuffer());
      expect((await mirror.call(path, { method: 'PUT', as, body: bytes, headers: { 'content-type': imageType } })).status).toBe(405);
      expect((await mirror.call('/v2/up.example/upstream/app/blobs/uploads/', { method: 'POST', as })).status).toBe(405);
      expect((await mirror.call(path, { method: 'DELETE', as })).status).toBe(403);
      const change = { method: 'PUT', as, body: '{"description":"mine"}', headers: { 'content-type': 'application/json' } };
      expect((await mirror.call('/api/v2.0/projects/up.example/repositories/upstream%252Fapp', change)).status).toBe(403);
      const invite = { ...change, method: 'POST', body: `{"role_id":1,"member_user":{"username":"${as.name}"}}` };
      expect((await mirror.call('/api/v2.0/projects/up.example/members', invite)).status).toBe(403);
    } finally {
      await mirror.stop();
    }
  });
});

describe('rights that end', () => {
  test('SEC-A10, SEC-A21: a robot that is switched off in mid-upload cannot finish it; a deleted member cannot push', async () => {
    const { registry, one } = tenants;
    const access = [
      { resource: 'repository', action: 'pull' },
      { resource: 'repository', action: 'push' },
    ];
    const wish = { name: 'brief', level: 'project', duration: 1, permissions: [{ kind: 'project', namespace: 'one', access }] };
    const robot = (await (await tenants.api(one.admin, 'POST', '/robots', wish)).json()) as { id: number; name: string; secret: string };
    const token = await registry.token(['repository:one/app:pull,push'], { name: robot.name, password: robot.secret });
    const begin = await registry.call('/v2/one/app/blobs/uploads/', { method: 'POST', as: { token } });
    expect(begin.status).toBe(202);
    const path = begin.headers.get('location') ?? '';
    expect((await registry.call(path, { method: 'PATCH', as: { token }, body: bytesOf('half') })).status).toBe(202);
    expect((await tenants.api(one.admin, 'DELETE', `/robots/${robot.id}`)).status).toBe(200);
    const denied = async (): Promise<boolean> => {
      const finish = await registry.call(`${path}?digest=${sha256(bytesOf('half'))}`, { method: 'PUT', as: { token } });
      return finish.status === 401 || finish.status === 403;
    };
    expect(await denied()).toBe(true);
    expect((await registry.call('/v2/one/app/manifests/v1', { as: { token } })).status).toBe(401);
  });

  test('SEC-A09: a token for a project that is gone opens nothing in one made anew under its name', async () => {
    const { registry } = tenants;
    await registry.createProject('again');
    const token = await registry.token(['repository:again/app:pull,push']);
    await registry.deleteProject('again');
    await registry.createProject('again');
    expect((await registry.call('/v2/again/app/blobs/uploads/', { method: 'POST', as: { token } })).status).toBe(401);
    expect((await registry.call('/v2/again/app/tags/list', { as: { token } })).status).toBe(401);
  });
});

describe('lists', () => {
  test('SEC-A18: catalog, search, projects, repositories, statistics, logs and counts hold nothing of the other', async () => {
    const { registry, one, other } = tenants;
    const texts = [
      await (await registry.call('/v2/_catalog', { as: one.admin })).text(),
      ...(await Promise.all(
        [
          '/projects?page_size=100',
          '/repositories?page_size=100',
          '/search?q=other',
          '/audit-logs?page_size=100',
          '/auditlog-exts?page_size=100',
        ].map(async (path) => (await tenants.api(one.admin, 'GET', path)).text()),
      )),
    ];
    for (const text of texts) expect(text).not.toContain('other/app');
    const projects = await tenants.api(one.admin, 'GET', '/projects?page_size=100');
    const names = ((await projects.json()) as { name: string }[]).map(({ name }) => name);
    expect(names).toContain(one.project);
    expect(names).not.toContain(other.project);
    expect(Number(projects.headers.get('x-total-count'))).toBe(names.length);
    const none = await tenants.api(one.admin, 'GET', '/projects?q=name=~other');
    expect([await none.json(), none.headers.get('x-total-count')]).toEqual([[], '0']);
  });

  test('SEC-A17: a login with an unknown name and one with a wrong password are answered alike', async () => {
    const { registry, one } = tenants;
    const answers = await Promise.all(
      [
        { name: one.admin.name, password: 'wrong-password' },
        { name: 'nobody-of-that-name', password: 'wrong-password' },
        { name: one.robot.name, password: 'wrong-password' },
        { name: 'robot$one+absent', password: 'wrong-password' },
      ].map(async (as) => {
        const response = await registry.call('/service/token?service=breakwater', { as });
        return [response.status, response.headers.get('www-authenticate'), await response.text()];
      }),
    );
    for (const answer of answers) expect(answer).toEqual(answers[0] ?? []);
    expect(answers[0]?.[0]).toBe(401);
  });
});

describe('requests with more in them than they should have', () => {
  test('SEC-A15: unknown members are refused and change nothing', async () => {
    const { one, registry } = tenants;
    const tries: readonly (readonly [as: Login, method: string, path: string, body: object])[] = [
      [one.admin, 'PUT', `/projects/one`, { metadata: { public: 'false' }, owner_id: 1 }],
      [one.admin, 'PUT', `/users/${one.adminId}`, { email: 'a@example.com', realname: 'x', comment: '', is_admin: true }],
      [one.admin, 'POST', '/projects/one/members', { role_id: 3, member_user: { username: one.admin.name }, isAdmin: true }],
      [registry.admin, 'POST', '/projects', { project_name: 'extra', created_at_ms: 5 }],
      [
        registry.admin,
        'POST',
        '/users',
        { username: 'extra', email: 'e@example.com', realname: 'e', password: 'Correct-horse-7', epoch: 9 },
      ],
    ];
    for (const [as, method, path, body] of tries)
      expect([method, path, (await tenants.api(as, method, path, body)).status]).toEqual([method, path, 400]);
    const polluted = await registry.call('/api/v2.0/projects', {
      method: 'POST',
      body: '{"project_name":"extra","__proto__":{"public":true}}',
      headers: { 'content-type': 'application/json' },
    });
    expect(polluted.status).toBe(400);
  });

  test('SEC-A16: no secret is given again after it was made', async () => {
    const { one, registry } = tenants;
    const seen = await Promise.all(
      [
        `/robots/${one.robotId}`,
        '/robots',
        `/users/${one.adminId}`,
        '/users?page_size=100',
        '/sources',
        '/identity-providers',
        '/configurations',
      ].map(async (path) => (await tenants.api('admin', 'GET', path)).text()),
    );
    for (const text of seen)
      for (const secret of [one.robot.password, one.admin.password, registry.adminPassword]) expect(text).not.toContain(secret);
  });
});
