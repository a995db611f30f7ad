// Real clients log in as everybody who can: a user, a user's CLI secret, somebody of an LDAP directory, a robot. And what each project role may do with them.
// Needs root and Debian's docker.io, podman, skopeo and slapd.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Login } from '../http/registry.ts';
import { personLdif } from '../ldap/people.ts';
import { base, type Slapd, startSlapd } from '../ldap/slapd.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { writeLayout } from '../support/oci-layout.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { type CommandResult, runCommand } from './command.ts';
import { type DockerEngine, startDockerEngine } from './docker-engine.ts';

const ready = requireTools('dockerd', 'docker', 'podman', 'skopeo', 'slapd', 'slapadd', 'ldapadd', 'openssl') && requireRoot();
const password = 'Correct-horse-7-battery';
const cliSecret = 'Cli-secret-0123456789-abc';
const access = ['pull', 'push'].map((action) => ({ resource: 'repository', action }));
const roles = { projectAdmin: 1, developer: 2, guest: 3, maintainer: 4, limitedGuest: 5 } as const;

describe.skipIf(!ready)('real clients', () => {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-logins-'));
  let slapd: Slapd;
  let server: RunningBreakwater;
  let engine: DockerEngine;
  let robot: Login;

  beforeAll(async () => {
    slapd = await startSlapd(personLdif({ uid: 'dora', password: 'of the directory' }));
    const ldap = { urls: [slapd.tlsUrl], ca: slapd.ca, bind_dn: slapd.bindDn, base_dn: base, timeout: '10s' };
    const identity = { providers: [{ name: 'directory', secret_env: 'READER_PASSWORD', ldap }] };
    const config = JSON.stringify({ presets: false, mirror: { root: false }, identity });
    server = await startBreakwater({ config, env: { READER_PASSWORD: slapd.bindPassword } });
    engine = await startDockerEngine({});
    writeFileSync(join(folder, 'auth.json'), '{}');
    writeLayout(join(folder, 'layout'));
    await api('POST', '/projects', { project_name: 'team' });
    await api('POST', '/projects', { project_name: 'closed' });
    const user = (username: string) => ({ username, email: `${username}@example.com`, realname: username, password });
    for (const name of ['lena', ...Object.keys(roles).map((role) => role.toLowerCase())]) await api('POST', '/users', user(name));
    for (const [role, id] of Object.entries(roles))
      await api('POST', '/projects/team/members', { role_id: id, member_user: { username: role.toLowerCase() } });
    const { user_id: lena } = (await api('GET', '/users/current', undefined, { name: 'lena', password })) as { user_id: number };
    await api('PUT', `/users/${lena}/cli_secret`, { secret: cliSecret });
    const permissions = [{ kind: 'project', namespace: 'team', access }];
    const made = (await api('POST', '/robots', { name: 'ci', level: 'project', duration: 1, permissions })) as {
      name: string;
      secret: string;
    };
    robot = { name: made.name, password: made.secret };
  }, 120_000);
  afterAll(async () => {
    await engine?.stop();
    await server?.stop();
    await slapd?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  async function api(method: string, path: string, body?: unknown, as: Login = { name: 'admin', password: server.adminPassword }) {
    const response = await fetch(`${server.url}/api/v2.0${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${as.name}:${as.password}`).toString('base64')}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? {} : (JSON.parse(text) as unknown);
  }

  const host = (): string => `127.0.0.1:${server.port}`;
  const env = { REGISTRY_AUTH_FILE: join(folder, 'auth.json') };
  const clients: Readonly<Record<string, (login: Login) => Promise<CommandResult>>> = {
    docker: ({ name, password: secret }) => engine.tryDocker(['login', '--username', name, '--password-stdin', host()], secret),
    podman: ({ name, password: secret }) =>
      runCommand(['podman', 'login', '--tls-verify=false', '--username', name, '--password-stdin', host()], { env, input: secret }),
    skopeo: ({ name, password: secret }) =>
      runCommand(['skopeo', 'login', '--tls-verify=false', '--username', name, '--password-stdin', host()], { env, input: secret }),
  };
  const people: readonly (readonly [who: string, login: () => Login])[] = [
    ['a user', () => ({ name: 'lena', password })],
    ["a user's CLI secret", () => ({ name: 'lena', password: cliSecret })],
    ['somebody of a directory', () => ({ name: 'dora', password: 'of the directory' })],
    ['a robot', () => robot],
  ];

  test.each(Object.keys(clients).flatMap((client) => people.map(([who, login]) => [client, who, login] as const)))(
    '%s logs in as %s, and not with another secret',
    async (client, _who, login) => {
      const run = clients[client];
      const right = await run?.(login());
      expect([right?.code, right?.stdout]).toEqual([0, expect.stringContaining('Login Succeeded')]);
      const wrong = await run?.({ ...login(), password: `${login().password}x` });
      expect([(wrong?.code ?? 0) > 0, `${wrong?.stdout}${wrong?.stderr}`]).toEqual([
        true,
        expect.stringMatching(/unauthorized|unknown user|invalid username/i),
      ]);
    },
    120_000,
  );

  const skopeo = (words: readonly string[]): Promise<CommandResult> =>
    runCommand(['skopeo', '--insecure-policy', '--tmpdir', folder, ...words], { env });
  const push = (name: string, repository: string): Promise<CommandResult> =>
    skopeo([
      ...['copy', '--quiet', '--dest-tls-verify=false', '--dest-creds', `${name}:${password}`],
      ...[`oci:${join(folder, 'layout')}:1`, `docker://${host()}/${repository}:1`],
    ]);
  const pull = (name: string, repository: string): Promise<CommandResult> =>
    skopeo(['inspect', '--raw', '--tls-verify=false', '--creds', `${name}:${password}`, `docker://${host()}/${repository}:1`]);

  test.each(Object.keys(roles))(
    'a %s pulls, and pushes when its role says so, in its project alone',
    async (role) => {
      const name = role.toLowerCase();
      expect((await push('projectadmin', 'team/shared')).code).toBe(0);
      const mayPush = role !== 'guest' && role !== 'limitedGuest';
      expect([role, (await push(name, `team/of-${name}`)).code]).toEqual([role, mayPush ? 0 : 1]);
      expect([role, (await pull(name, 'team/shared')).code]).toEqual([role, 0]);
      for (const refused of [await push(name, 'closed/app'), await pull(name, 'closed/app')])
        expect([role, refused.code, refused.stderr]).toEqual([role, 1, expect.stringMatching(/denied|unauthorized|may not/i)]);
      const removed = await skopeo(['delete', '--tls-verify=false', '--creds', `${name}:${password}`, `docker://${host()}/team/shared:1`]);
      expect([role, removed.code]).toEqual([role, role === 'projectAdmin' || role === 'maintainer' ? 0 : 1]);
    },
    120_000,
  );
});
