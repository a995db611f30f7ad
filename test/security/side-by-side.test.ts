// Every way in at once on one server: local users, a directory, two OpenID providers, robots. And how soon somebody who is switched off is out, by each of
// them: pushes within five seconds, pulls at the latest when the token ends.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { bytesOf, type Login, sha256 } from '../http/registry.ts';
import { personLdif } from '../ldap/people.ts';
import { base, type Slapd, startSlapd } from '../ldap/slapd.ts';
import { startTwoIssuers, type TwoIssuers } from '../oidc/two-issuers.ts';
import { asLoggedIn } from '../sessions/browser.ts';
import { requireTools } from '../support/requirements.ts';
import { Visitor } from '../support/visitor.ts';

const ready = requireTools('slapd', 'slapadd', 'ldapadd', 'openssl');
const password = 'Correct-horse-7-battery';

describe.skipIf(!ready)('every way in, side by side', () => {
  let slapd: Slapd;
  let running: TwoIssuers;
  beforeAll(async () => {
    slapd = await startSlapd(personLdif({ uid: 'dora', password: 'of-the-directory' }));
    const directory = { urls: [slapd.tlsUrl], ca: slapd.ca, bind_dn: slapd.bindDn, base_dn: base, timeout: '10s' };
    running = await startTwoIssuers([{ name: 'directory', secret_env: 'READER_PASSWORD', ldap: directory }], {
      READER_PASSWORD: slapd.bindPassword,
    });
    expect((await api('POST', '/projects', { project_name: 'team' })).status).toBe(201);
    expect((await api('POST', '/users', { username: 'lena', email: 'l@example.com', realname: 'Lena', password })).status).toBe(201);
  }, 120_000);
  afterAll(async () => {
    await running?.stop();
    await slapd?.stop();
  }, 30_000);

  const basic = ({ name, password: secret }: Login): string => `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`;
  const admin = (): Login => ({ name: 'admin', password: running.server.adminPassword });
  const api = (method: string, path: string, body?: unknown, as: Login = admin()): Promise<Response> =>
    fetch(`${running.server.url}/api/v2.0${path}`, {
      method,
      headers: { authorization: basic(as), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const wire = (method: string, path: string, authorization: string, body?: Uint8Array): Promise<Response> =>
    fetch(`${running.server.url}${path}`, {
      method,
      headers: { authorization },
      ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
    });
  const tokenOf = async (as: Login): Promise<string> => {
    const scope = 'scope=repository:team/app:pull,push';
    const response = await wire('GET', `/service/token?service=breakwater&${scope}`, basic(as));
    expect([as.name, response.status]).toEqual([as.name, 200]);
    return `Bearer ${((await response.json()) as { token: string }).token}`;
  };
  const idOf = async (name: string): Promise<number> => {
    const users = (await (await api('GET', `/users?q=username=${name}`)).json()) as { user_id: number; username: string }[];
    return users.find((user) => user.username === name)?.user_id ?? 0;
  };

  /** A secret for Docker of somebody who logs in with a browser. */
  async function secretOfOidc(provider: string, subject: string): Promise<Login> {
    const visitor = new Visitor();
    await visitor.travel(`${running.server.url}/c/oidc/login?provider=${provider}`, { subject });
    const id = await idOf(subject);
    expect(id).toBeGreaterThan(0);
    const session = asLoggedIn(running.server, visitor, '');
    // Tells the token that goes with changes.
    await session.api('/users/current');
    const secret = 'Cli-secret-0123456789-abc';
    const set = await session.api(`/users/${id}/cli_secret`, { method: 'PUT', body: { secret } });
    expect([provider, set.status, set.text]).toEqual([provider, 200, set.text]);
    return { name: subject, password: secret };
  }

  async function everybody(): Promise<{ readonly logins: readonly Login[]; readonly robotId: number }> {
    const robot = await api('POST', '/robots', {
      name: 'ci',
      level: 'project',
      duration: 1,
      permissions: [{ kind: 'project', namespace: 'team', access: ['pull', 'push'].map((action) => ({ resource: 'repository', action })) }],
    });
    const made = (await robot.json()) as { id: number; name: string; secret: string };
    const people: Login[] = [
      { name: 'lena', password },
      { name: 'dora', password: 'of-the-directory' },
      await secretOfOidc('corp', 'alice'),
    ];
    for (const person of people) {
      await wire('GET', '/service/token?service=breakwater', basic(person));
      const member = await api('POST', '/projects/team/members', { role_id: 2, member_user: { username: person.name } });
      expect([person.name, member.status]).toEqual([person.name, 201]);
    }
    return { logins: [...people, { name: made.name, password: made.secret }], robotId: made.id };
  }

  test('all of them push and pull at once; one who is switched off pushes no more within five seconds', async () => {
    const { logins, robotId } = await everybody();
    const tokens = await Promise.all(logins.map(tokenOf));
    for (const [index, token] of tokens.entries()) {
      const bytes = bytesOf(`of ${logins[index]?.name}`);
      const pushed = await wire('POST', `/v2/team/app/blobs/uploads/?digest=${sha256(bytes)}`, token, bytes);
      expect([logins[index]?.name, pushed.status]).toEqual([logins[index]?.name, 201]);
      expect((await wire('GET', `/v2/team/app/blobs/${sha256(bytes)}`, token)).status).toBe(200);
    }
    for (const [index, login] of logins.entries()) {
      const token = tokens[index] ?? '';
      if (login.name.startsWith('robot$')) {
        expect((await api('DELETE', `/robots/${robotId}`)).status).toBe(200);
      } else expect((await api('PUT', `/users/${await idOf(login.name)}/disabled`, { disabled: true })).status).toBe(200);
      const sinceMs = performance.now();
      let pushed = 202;
      while (pushed === 202 && performance.now() - sinceMs < 30_000) {
        pushed = (await wire('POST', '/v2/team/app/blobs/uploads/', token)).status;
        if (pushed === 202) await Bun.sleep(50);
      }
      expect([login.name, [401, 403].includes(pushed), performance.now() - sinceMs < 5000]).toEqual([login.name, true, true]);
      // Its token opens nothing to pull either, long before it ends.
      expect([401, 403]).toContain((await wire('GET', `/v2/team/app/blobs/${sha256(bytesOf(`of ${login.name}`))}`, token)).status);
      expect([login.name, (await wire('GET', '/service/token?service=breakwater', basic(login))).status]).toEqual([login.name, 401]);
    }
  }, 120_000);

  test('the second provider lets its own people in beside the others, under names of their own', async () => {
    const visitor = new Visitor();
    const page = await visitor.travel(`${running.server.url}/c/oidc/login?provider=partner`, { subject: 'carol' });
    expect(page.text).toContain('value="carol"');
  });
});
