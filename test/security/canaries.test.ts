// SEC-I01: every secret that the server is given or makes is one of its own, everything is done with them that can go well or wrong, and then they
// are looked for: in the log, the audit log, every answer of the API, metrics, status pages and every file of the data folder.
// A secret member of a request that is not planted here fails the test, so that a new one cannot be forgotten.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { type ApiAnswer, send } from '../api/client.ts';
import { entries, pushImage } from '../audit/server.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { createCanaries } from './canaries.ts';

const canaries = createCanaries();
const adminPassword = canaries.plant('admin password');
let dataDir: string;
let outside: string;
let server: RunningBreakwater;
let closed: { readonly url: string };
/** Answers that may tell a secret, once: those that made it. */
const answers: { readonly what: string; readonly text: string }[] = [];

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'breakwater-canaries-'));
  outside = mkdtempSync(join(tmpdir(), 'breakwater-outside-'));
  // A port that takes no connection.
  const taken = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } });
  closed = { url: `http://127.0.0.1:${taken.port}` };
  taken.stop(true);
  writeFileSync(join(outside, 'password'), canaries.plant('config: password_file of a source'));
  const config = {
    presets: false,
    probes: { enabled: true, interval: '5s' },
    metrics: { token: canaries.plant('config: metrics.token') },
    audit: { webhook: { url: `${closed.url}/hook`, secret: canaries.plant('config: secret of a webhook') } },
    registries: {
      'file.test': {
        sources: [
          { url: closed.url, credentials: { username: 'u', password: canaries.plant('config: password of a source') } },
          { url: `${closed.url}/b`, credentials: { username: 'u', password_file: join(outside, 'password') } },
          { url: `${closed.url}/c`, credentials: { username: 'u', password_env: 'CANARY_SOURCE' } },
        ],
      },
    },
    identity: {
      providers: [
        {
          name: 'directory',
          secret: canaries.plant('config: secret of a directory'),
          ldap: {
            urls: [closed.url.replace('http:', 'ldap:')],
            base_dn: 'dc=test',
            bind_dn: 'cn=reader,dc=test',
            allow_plaintext: true,
            timeout: '500ms',
          },
        },
      ],
    },
  };
  writeFileSync(join(outside, 'config.yaml'), JSON.stringify(config));
  server = await startBreakwater({
    dataDir,
    args: ['--config', join(outside, 'config.yaml')],
    env: {
      BREAKWATER_ADMIN_PASSWORD: adminPassword,
      BREAKWATER_MASTER_KEY_FILE: join(outside, 'master.key'),
      CANARY_SOURCE: canaries.plant('environment: password of a source'),
    },
  });
  canaries.adopt('master key', readFileSync(join(outside, 'master.key'), 'utf8').trim());
}, 60_000);
afterAll(async () => {
  await server.stop();
  for (const folder of [dataDir, outside]) rmSync(folder, { recursive: true, force: true });
});

/** Sends JSON; the answer is looked at later, unless it is the one that tells what was made. */
async function call(
  method: string,
  path: string,
  body: unknown,
  options: { tells?: (body: never) => readonly [string, string] } = {},
): Promise<ApiAnswer> {
  const answer = await send(server, path, { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  if (options.tells !== undefined) {
    expect([method, path, answer.status, answer.text.slice(0, 200)]).toEqual([method, path, 201, expect.any(String)]);
    canaries.adopt(...options.tells(answer.json() as never));
  } else answers.push({ what: `${method} ${path}`, text: `${answer.text}\n${JSON.stringify([...answer.headers])}` });
  return answer;
}

/** Members of request bodies that hold a secret, as `METHOD PATH member`. */
const planted = new Map<string, () => Promise<void>>();
const secretMember = /password|secret|token|credential|private_?key|passphrase/i;
const plant = (where: string, act: (canary: string) => Promise<unknown>): void => {
  planted.set(where, async () => {
    await act(canaries.plant(where));
  });
};

const source = (canary: string, path: string) => ({ url: `${closed.url}/${path}`, credentials: { username: 'u', password: canary } });
plant('POST /sources credentials', async (canary) => {
  expect((await call('POST', '/sources', { registry: 'file.test', ...source(canary, 'api') })).status).toBe(201);
  await call('POST', '/sources', { registry: 'file.test', ...source(canary, 'api') });
  await call('POST', '/sources', { registry: 'file.test', ...source(canary, 'api'), unknown: 1 });
  await call('POST', '/sources', { registry: 'none.test', ...source(canary, 'api') });
  await call('POST', '/sources', { registry: 'file.test', ...source(canary, 'x'), credentials: { username: 1, password: canary } });
  await fetch(`${server.url}/v2/file.test/team/app/manifests/1`);
});
plant('POST /sources/test credentials', async (canary) => {
  await call('POST', '/sources/test', { registry: 'file.test', ...source(canary, 'tried') });
});
plant('PATCH /sources/{id} credentials', async (canary) => {
  const [first] = (await send(server, '/sources')).json() as { sources: { id: number }[] }[];
  const id = first?.sources[0]?.id ?? 0;
  expect((await call('PATCH', `/sources/${id}`, { credentials: { username: 'u', password: canary } })).status).toBe(200);
  await call('POST', `/sources/${id}/test`, {});
  await call('PATCH', `/sources/${id}`, { url: 'http://127.0.0.1:1' });
});
plant('POST /registries credentials', async (canary) => {
  expect((await call('POST', '/registries', { name: 'made.test', sources: [source(canary, 'made')] })).status).toBe(201);
  await call('POST', '/registries', { name: 'made.test', sources: [source(canary, 'made')] });
});
const authority = (canary: string, name: string) => ({
  name,
  url: `${closed.url}/${name}`,
  registry: `${name}.test`,
  credential: { type: 'basic', access_key: 'u', access_secret: canary },
});
plant('POST /registries credential', async (canary) => {
  expect((await call('POST', '/registries', authority(canary, 'harbor-like'))).status).toBe(201);
  await call('POST', '/registries', authority(canary, 'harbor-like'));
  await call('POST', '/registries', {
    ...authority(canary, 'other'),
    credential: { type: 'oauth', access_key: 'u', access_secret: canary },
  });
  await send(server, '/registries/harbor-like.test');
});
plant('PUT /registries/{registry} access_secret', async (canary) => {
  await call('POST', '/registries', authority('first', 'put-secret'));
  expect((await call('PUT', '/registries/put-secret.test', { access_key: 'u', access_secret: canary })).status).toBe(200);
  await call('PUT', '/registries/put-secret.test', { access_secret: canary });
});
plant('PUT /registries/{registry} credential', async (canary) => {
  await call('POST', '/registries', authority('first', 'put-credential'));
  const { credential } = authority(canary, '');
  expect((await call('PUT', '/registries/put-credential.test', { credential })).status).toBe(200);
  await call('PUT', '/registries/put-credential.test', { credential, unknown: 1 });
});
plant('POST /registries/ping access_secret', async (canary) => {
  await call('POST', '/registries/ping', { url: `${closed.url}/ping`, access_key: 'u', access_secret: canary });
});
plant('POST /registries/ping credential', async (canary) => {
  const { url, credential } = authority(canary, 'ping');
  await call('POST', '/registries/ping', { url, credential });
});
const permissions = [{ kind: 'project', namespace: 'team-a', access: [{ resource: 'repository', action: 'pull' }] }];
const makeRobot = async (name: string): Promise<{ id: number; name: string; secret: string }> => {
  const robot = { name, level: 'project', duration: 30, permissions };
  const answer = await call('POST', '/robots', robot, { tells: (made: { secret: string }) => ['secret of a robot', made.secret] });
  return answer.json() as { id: number; name: string; secret: string };
};
plant('PATCH /robots/{robot_id} secret', async (canary) => {
  const robot = await makeRobot('patched');
  const changed = await send(server, `/robots/${robot.id}`, {
    method: 'PATCH',
    body: JSON.stringify({ secret: canary }),
    headers: { 'content-type': 'application/json' },
  });
  expect(changed.status).toBe(200);
  await login(robot.name, canary);
  await login(robot.name, robot.secret);
});
plant('POST /robots secret', async (canary) => {
  // What is made is told once, also when the client chose it.
  const tells = (made: { secret: string }) => ['secret of a robot', made.secret] as const;
  await call('POST', '/robots', { name: 'chosen', level: 'project', duration: 30, permissions, secret: canary }, { tells });
});
plant('PUT /robots/{robot_id} secret', async (canary) => {
  const robot = await makeRobot('put');
  await call('PUT', `/robots/${robot.id}`, { name: 'put', level: 'project', duration: 20, disable: false, permissions, secret: canary });
});
plant('PUT /projects/{project_name_or_id}/robots/{robot_id} secret', async (canary) => {
  const robot = await makeRobot('legacy');
  await call('PUT', `/projects/team-a/robots/${robot.id}`, {
    name: 'legacy',
    level: 'project',
    duration: 20,
    disable: false,
    permissions,
    secret: canary,
  });
});
plant('POST /workload-rules/check token', async (canary) => {
  await call('POST', '/workload-rules/check', { token: `e30.e30.${canary}` });
});
plant('PUT /users/{user_id}/cli_secret secret', async (canary) => {
  expect((await call('PUT', '/users/1/cli_secret', { secret: canary })).status).toBe(200);
  await login('admin', canary);
  await call('PUT', '/users/1/cli_secret', { secret: canary, unknown: 1 });
});

const makeAccount = async (name: string, password: string): Promise<number> => {
  const made = await call('POST', '/users', { username: name, password, new_password: password });
  expect([made.status, made.text.slice(0, 200)]).toEqual([201, expect.any(String)]);
  await login(name, password);
  return (made.json() as { user_id: number }).user_id;
};
plant('POST /users password', async (canary) => {
  await makeAccount('made-with-canary', canary);
  await call('POST', '/users', { username: 'made-with-canary', password: canary });
  await call('POST', '/users', { username: canary, password: 'short' });
});
plant('POST /users new_password', async (canary) => {
  await call('POST', '/users', { username: 'made-with-another', password: canaries.plant('password of a user'), new_password: canary });
});
for (const [route, member] of [
  ['PUT /users/{user_id}', 'password'],
  ['PUT /users/{user_id}', 'new_password'],
  ['PUT /users/{user_id}/sysadmin', 'password'],
  ['PUT /users/{user_id}/sysadmin', 'new_password'],
  ['PUT /users/{user_id}/password', 'password'],
] as const)
  plant(`${route} ${member}`, async (canary) => {
    const id = await makeAccount(`changed-${planted.size}-${Math.random().toString(36).slice(2)}`, canaries.plant('password of a user'));
    const own = route.endsWith('/password') ? { new_password: canaries.plant('new password of a user') } : {};
    const path = route.slice(4).replace('{user_id}', String(id));
    expect((await call('PUT', path, { ...own, [member]: canary })).status).toBe(200);
    await call('PUT', path, { ...own, [member]: canary, unknown: 1 });
  });
plant('PUT /users/{user_id}/password new_password', async (canary) => {
  const id = await makeAccount('new-password', canaries.plant('password of a user'));
  expect((await call('PUT', `/users/${id}/password`, { new_password: canary })).status).toBe(200);
  await login('new-password', canary);
  await call('PUT', '/users/987654/password', { new_password: canary });
});
plant('POST /sessions/current/step-up password', async (canary) => {
  await makeAccount('seth', canary);
  const form = new URLSearchParams({ principal: 'seth', password: canary });
  const page = await fetch(`${server.url}/c/login`, { method: 'POST', body: form, redirect: 'manual' });
  answers.push({ what: 'POST /c/login', text: await page.text() });
  const cookies = page.headers.getSetCookie().map((cookie) => cookie.split(';')[0] ?? '');
  const adoptCookie = (cookie: string): void => {
    const value = cookie.split(';')[0]?.split('=')[1] ?? '';
    // One that is taken away is empty; the one for CSRF is answered on purpose, in a header of its own.
    if (value !== '' && !/csrf/i.test(cookie.split('=')[0] ?? '')) canaries.adopt('cookie of a session', value);
  };
  for (const cookie of cookies) adoptCookie(cookie);
  expect(cookies.length).toBeGreaterThan(0);
  const headers = { 'content-type': 'application/json', cookie: cookies.join('; ') };
  const csrf = (await send(server, '/users/current/sessions', { password: false, headers })).headers.get('x-harbor-csrf-token') ?? '';
  for (const password of [canary, canaries.plant('wrong password of a step-up')]) {
    const body = JSON.stringify({ password });
    const answer = await send(server, '/sessions/current/step-up', {
      method: 'POST',
      body,
      password: false,
      headers: { ...headers, 'x-harbor-csrf-token': csrf },
    });
    answers.push({ what: 'POST /sessions/current/step-up', text: answer.text });
    for (const cookie of answer.headers.getSetCookie()) adoptCookie(cookie);
  }
  await fetch(`${server.url}/c/login`, { method: 'POST', body: new URLSearchParams({ principal: 'seth', password: `${canary}x` }) });
});
plant('PUT /users/{user_id}/password old_password', async (canary) => {
  expect((await call('PUT', '/users/1/password', { old_password: canary, new_password: `${canary}-after` })).status).toBe(403);
});

const directory = (canary: string) => ({
  kind: 'ldap',
  settings: {
    urls: [closed.url.replace('http:', 'ldap:')],
    base_dn: 'dc=test',
    bind_dn: 'cn=reader,dc=test',
    allow_plaintext: true,
    timeout: '200ms',
  },
  secret: canary,
});
plant('POST /identity-providers secret', async (canary) => {
  expect((await call('POST', '/identity-providers', { name: 'canary', ...directory(canary) })).status).toBe(201);
  await call('POST', '/identity-providers', { name: 'canary', ...directory(canary) });
  await call('POST', '/identity-providers', { name: 'other', ...directory(canary), unknown: 1 });
  await call('POST', '/identity-providers/canary/test', {});
  await send(server, '/identity-providers/canary');
});
plant('PATCH /identity-providers/{name} secret', async (canary) => {
  await call('POST', '/identity-providers', { name: 'patched', ...directory('first') });
  const { secret } = directory(canary);
  expect((await call('PATCH', '/identity-providers/patched', { secret })).status).toBe(200);
  await call('PATCH', '/identity-providers/patched', { secret, settings: {} });
  await login('somebody', 'else');
});
plant('POST /identity-providers/test secret', async (canary) => {
  expect((await call('POST', '/identity-providers/test', directory(canary))).status).toBe(200);
});
plant('POST /ldap/ping ldap_search_password', async (canary) => {
  const url = closed.url.replace('http:', 'ldap:');
  const conf = { ldap_url: url, ldap_base_dn: 'dc=test', ldap_search_dn: 'cn=a,dc=test', ldap_connection_timeout: 1 };
  expect((await call('POST', '/ldap/ping', { ...conf, ldap_search_password: canary })).status).toBe(200);
  await call('POST', '/ldap/ping', { ...conf, ldap_base_dn: '', ldap_search_password: canary });
});

/** A login at the token service; the token it gives is a secret, too. */
async function login(name: string, password: string): Promise<void> {
  const url = `${server.url}/service/token?service=x&scope=repository:team-a/app:pull,push&account=${encodeURIComponent(name)}`;
  const response = await fetch(url, { headers: { authorization: `Basic ${btoa(`${name}:${password}`)}` } });
  const text = await response.text();
  if (response.status !== 200) {
    answers.push({ what: `token for ${name}`, text });
    return;
  }
  const { token } = z.object({ token: z.string() }).parse(JSON.parse(text));
  canaries.adopt('registry token', token.split('.')[2] ?? '');
  for (const path of ['/v2/', '/v2/team-a/app/manifests/1', '/api/v2.0/projects', '/api/v2.0/users/current'])
    await (await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${token}` } })).arrayBuffer();
}

test('a secret is found as it is, percent-encoded, and in base64 wherever it begins', () => {
  const own = createCanaries();
  const secret = own.plant('field');
  for (const text of [
    secret,
    `a${secret}b`,
    encodeURIComponent(secret),
    ...['', 'x', 'xy', 'admin:'].map((before) => btoa(`${before}${secret}`)),
  ])
    expect(own.found('here', text)).toEqual(['field in here']);
  expect(own.found('here', `${secret.slice(1)} ${btoa(secret.slice(1, 8))}`)).toEqual([]);
});

test('every secret member of a request is planted', async () => {
  const document = (await send(server, '/openapi.json')).json() as { paths: Record<string, Record<string, unknown>>; components: unknown };
  const resolve = (schema: unknown): unknown => {
    const reference = (schema as { $ref?: string }).$ref;
    if (reference === undefined) return schema;
    return reference
      .slice(2)
      .split('/')
      .reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], document);
  };
  const members = (schema: unknown, depth: number): string[] => {
    const found = resolve(schema);
    if (typeof found !== 'object' || found === null || depth > 6) return [];
    const { properties = {}, items, anyOf = [], oneOf = [], allOf = [] } = found as Record<string, never> & { properties?: object };
    const own = Object.entries(properties).flatMap(([name, inner]) =>
      isSecret(name, resolve(inner)) ? [name] : members(inner, depth + 1),
    );
    return [
      ...own,
      ...(items === undefined ? [] : members(items, depth + 1)),
      ...[...anyOf, ...oneOf, ...allOf].flatMap((inner) => members(inner, depth + 1)),
    ];
  };
  const wanted = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, operation]) => {
      const schema = (operation as { requestBody?: { content?: { 'application/json'?: { schema?: unknown } } } }).requestBody?.content?.[
        'application/json'
      ]?.schema;
      const names = schema === undefined ? [] : [...new Set(members(schema, 0))];
      return names.map((name) => `${method.toUpperCase()} ${path.replace('/api/v2.0', '')} ${name}`);
    }),
  );
  expect(wanted.length).toBeGreaterThan(4);
  expect(wanted.filter((where) => !planted.has(where)).toSorted()).toEqual([]);
  expect([...planted.keys()].filter((where) => !wanted.includes(where)).toSorted()).toEqual([]);
});

/** Yes, no, a number or one of a list is none. */
function isSecret(name: string, schema: unknown): boolean {
  const { type, enum: choices } = schema as { type?: string; enum?: unknown };
  return secretMember.test(name) && type !== 'boolean' && type !== 'integer' && type !== 'number' && choices === undefined;
}

test('SEC-I01: no secret is in the log, the audit log, an answer, a metric, a status page or a file', async () => {
  await call('POST', '/projects', { name: 'team-a', public: false });
  await pushImage(server, 'team-a/app', '1', 'content');
  for (const act of planted.values()) await act();
  const robot = await makeRobot('ci');
  await login(robot.name, robot.secret);
  await call(
    'POST',
    '/users/current/tokens',
    { name: 'own', duration: 30, reach: 'api' },
    { tells: (made: { secret: string }) => ['own token', made.secret] },
  );
  await login('admin', adminPassword);
  for (const name of ['admin', robot.name, 'nobody', 'someone@directory']) await login(name, canaries.plant(`wrong password of ${name}`));
  const exchanged = await fetch(`${server.url}/service/exchange`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ rule: 'none', token: `e30.e30.${canaries.plant('token of a CI')}` }),
  });
  answers.push({ what: 'exchange', text: await exchanged.text() });

  const found: string[] = [];
  for (const { what, text } of answers) found.push(...canaries.found(`the answer of ${what}`, text));
  const document = (await send(server, '/openapi.json')).json() as { paths: Record<string, Record<string, unknown>> };
  let read = 0;
  for (const [path, methods] of Object.entries(document.paths)) {
    if (methods['get'] === undefined) continue;
    const filled = path
      .replace('/api/v2.0', '')
      .replace(/\{project_name(_or_id)?\}/, 'team-a')
      .replace('{repository_name}', 'app')
      .replace('{reference}', '1')
      .replace('{name}', 'file.test')
      .replace(/\{[a-z_]*id\}/g, '1')
      .replace(/\{\w+\}/g, 'x');
    const answer = await send(server, filled);
    if (answer.status === 200) read++;
    found.push(...canaries.found(`GET ${path}`, `${answer.text}\n${JSON.stringify([...answer.headers])}`));
  }
  expect(read).toBeGreaterThan(15);
  for (const path of ['/metrics', '/status.json', '/healthz', '/readyz', '/']) {
    const response = await fetch(`${server.url}${path}`, { headers: { authorization: `Basic ${btoa(`admin:${adminPassword}`)}` } });
    found.push(...canaries.found(path, await response.text()));
  }
  const log = await entries(server, '', (all) => all.some((entry) => entry.outcome === 'failed'));
  expect(log.length).toBeGreaterThan(20);
  found.push(...canaries.found('the audit log', JSON.stringify(log)));
  await server.stop();
  const logged = server.logs();
  expect(logged.length).toBeGreaterThan(100);
  found.push(...canaries.found('the log', logged));
  const files = readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(dataDir, name)).isFile());
  expect(files.length).toBeGreaterThan(3);
  for (const name of files) found.push(...canaries.found(`the file ${name}`, readFileSync(join(dataDir, name))));
  expect(found).toEqual([]);
  expect(canaries.fields.length).toBeGreaterThan(15);
}, 120_000);
