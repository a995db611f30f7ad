// Directories as administrators see them: the admin API of identity providers, Harbor's routes about its directory, groups that carry rights into
// projects, and what becomes of people who leave.

import { Database } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { codeOf, postJson, send } from '../api/client.ts';
import { bunBinary, mainFile, type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireTools } from '../support/requirements.ts';
import { groupDn, groupLdif, personDn, personLdif } from './people.ts';
import { base, type Slapd, startSlapd } from './slapd.ts';

const ready = requireTools('slapd', 'slapadd', 'ldapadd', 'ldapmodify', 'ldapdelete', 'openssl');

describe.skipIf(!ready)('directories under administration', () => {
  let slapd: Slapd;
  let server: RunningBreakwater;
  beforeAll(async () => {
    slapd = await startSlapd(
      [
        personLdif({ uid: 'alice', password: 'alice-secret', mail: 'alice@example.org', cn: 'Alice Ä' }),
        personLdif({ uid: 'bob', password: 'bob-secret' }),
        personLdif({ uid: 'leaver', password: 'leaver-secret' }),
        ...Array.from({ length: 3 }, (_, index) => personLdif({ uid: `extra-${index}`, password: 'x' })),
        groupLdif('devs', [personDn('uid=alice'), personDn('uid=leaver')]),
      ].join(''),
    );
    server = await startBreakwater({ config: JSON.stringify({ presets: false, probes: { enabled: false } }) });
  }, 90_000);
  afterAll(async () => {
    await server?.stop();
    await slapd?.stop();
  });

  const settings = (more: Readonly<Record<string, unknown>> = {}) => ({
    urls: [slapd.url],
    allow_plaintext: true,
    bind_dn: slapd.bindDn,
    base_dn: base,
    timeout: '10s',
    groups: {},
    ...more,
  });
  const patch = (path: string, body: unknown) =>
    send(server, path, { method: 'PATCH', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  const basic = (name: string, password: string) => ({ authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` });
  const login = async (name: string, password: string): Promise<number> => {
    const response = await fetch(`${server.url}/service/token?service=breakwater`, { headers: basic(name, password) });
    await response.arrayBuffer();
    return response.status;
  };
  /** What a token of this login allows in a repository. */
  const actionsOf = async (name: string, password: string, repository: string): Promise<readonly string[]> => {
    const response = await fetch(`${server.url}/service/token?service=breakwater&scope=repository:${repository}:pull,push`, {
      headers: basic(name, password),
    });
    const { token } = (await response.json()) as { token: string };
    const [, payload = ''] = token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { access?: { actions: string[] }[] };
    return claims.access?.flatMap((entry) => entry.actions) ?? [];
  };
  const database = <T>(task: (file: Database) => T): T => {
    const file = new Database(join(server.dataDir, 'db', 'breakwater.sqlite'));
    try {
      file.run('pragma busy_timeout = 5000');
      return task(file);
    } finally {
      file.close();
    }
  };

  test('a provider is made, read, changed and never shows its secret', async () => {
    const wish = { name: 'corp', kind: 'ldap', settings: settings(), secret: slapd.bindPassword };
    const made = await postJson(server, '/identity-providers', wish);
    expect(made.status).toBe(201);
    expect(made.headers.get('location')).toBe('/api/v2.0/identity-providers/corp');
    expect(made.json()).toMatchObject({
      name: 'corp',
      enabled: true,
      origin: 'api',
      has_secret: true,
      settings: { user_attribute: 'uid' },
    });
    expect((await postJson(server, '/identity-providers', wish)).status).toBe(409);
    const list = await send(server, '/identity-providers');
    expect(list.text).not.toContain('rëader');
    expect(list.json()).toHaveLength(1);
    expect(await login('alice', 'alice-secret')).toBe(200);
    expect((await patch('/identity-providers/corp', { enabled: false })).status).toBe(200);
    expect(await login('alice', 'alice-secret')).toBe(401);
    expect((await patch('/identity-providers/corp', { enabled: true })).status).toBe(200);
    expect(await login('alice', 'alice-secret')).toBe(200);
  });

  test('SEC-D09: other servers ask for the secret again', async () => {
    const moved = await patch('/identity-providers/corp', { settings: settings({ urls: ['ldap://127.0.0.1:1'] }) });
    expect(moved.status).toBe(400);
    expect(moved.text).toContain('the secret must be given again');
    const trial = { kind: 'ldap', settings: settings({ urls: ['ldap://127.0.0.1:1'] }), like: 'corp' };
    expect((await postJson(server, '/identity-providers/test', trial)).status).toBe(400);
  });

  test('SEC-D05: a test says one thing for all that keeps it from speaking with a directory', async () => {
    expect((await postJson(server, '/identity-providers/corp/test', {})).json()).toEqual({ ok: true });
    const web = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('no directory') });
    const trial = (urls: string[], more: Readonly<Record<string, unknown>> = {}) =>
      postJson(server, '/identity-providers/test', { kind: 'ldap', settings: settings({ urls, timeout: '300ms', ...more }), secret: 'x' });
    const places = [
      'ldap://127.0.0.1:1',
      `ldap://127.0.0.1:${web.port}`,
      'ldap://nothing.invalid',
      'ldap://169.254.169.254',
      slapd.url.replace('ldap:', 'ldaps:'),
    ];
    for (const url of places) {
      const startMs = performance.now();
      const answer = await trial([url]);
      expect([url, answer.text]).toEqual([url, '{"ok":false,"failure":"connection"}']);
      expect(performance.now() - startMs).toBeGreaterThan(1200);
    }
    await web.stop(true);
    expect((await trial([slapd.url])).json()).toEqual({ ok: false, failure: 'login' });
    expect(server.logs()).toContain('identity.test-failed');
  }, 60_000);

  test('a group of a directory carries rights into a project, and leaving the group takes them away', async () => {
    expect((await postJson(server, '/projects', { project_name: 'team' })).status).toBe(201);
    expect(await login('alice', 'alice-secret')).toBe(200);
    expect(await actionsOf('alice', 'alice-secret', 'team/app')).toEqual([]);
    database((file) =>
      file.run(
        `insert into project_member (project_id, group_id, role_id, created_at_ms)
         select project.id, user_group.id, 2, 0 from project, user_group where project.name = 'team' and user_group.external_name = ?`,
        [groupDn('devs')],
      ),
    );
    await Bun.sleep(1100);
    expect(await actionsOf('alice', 'alice-secret', 'team/app')).toEqual(['pull', 'push']);
    await slapd.change(`dn: ${groupDn('devs')}\nchangetype: modify\ndelete: member\nmember: ${personDn('uid=alice')}\n`);
    const synced = await postJson(server, '/identity-providers/sync', {});
    expect(synced.json()).toMatchObject([{ provider: 'corp', changed: 1, suspended: 0 }]);
    expect(await actionsOf('alice', 'alice-secret', 'team/app')).toEqual([]);
  });

  test('who leaves the directory is switched off at the next look, remembered or not', async () => {
    expect(await login('leaver', 'leaver-secret')).toBe(200);
    await slapd.remove(personDn('uid=leaver'));
    expect((await postJson(server, '/identity-providers/sync', {})).json()).toMatchObject([{ provider: 'corp', suspended: 1, spared: 0 }]);
    // At once, although the login was remembered.
    expect(await login('leaver', 'leaver-secret')).toBe(401);
    expect(database((file) => file.query("select is_disabled, disabled_by from account where name = 'leaver'").get())).toEqual({
      is_disabled: 1,
      disabled_by: 'directory',
    });
  });

  test('somebody new under the name of who left gets nothing of theirs', async () => {
    await slapd.change(
      `dn: ${personDn('uid=leaver')}\nchangetype: add\n${personLdif({ uid: 'leaver', password: 'other' }).split('\n').slice(2).join('\n')}`,
    );
    expect(await login('leaver', 'other')).toBe(401);
    expect(server.logs()).toContain('identity.login-refused');
  });

  test('a switch by an administrator wins over the directory', async () => {
    expect(await login('bob', 'bob-secret')).toBe(200);
    database((file) => file.run("update account set is_disabled = 1, epoch = epoch + 1 where name = 'bob'"));
    expect(await login('bob', 'bob-secret')).toBe(401);
    await postJson(server, '/identity-providers/sync', {});
    expect(await login('bob', 'bob-secret')).toBe(401);
  });

  test('with accounts a provider is not removed', async () => {
    const answer = await send(server, '/identity-providers/corp', { method: 'DELETE' });
    expect([answer.status, codeOf(answer)]).toEqual([409, 'CONFLICT']);
    const wish = { name: 'spare', kind: 'ldap', settings: settings(), secret: slapd.bindPassword };
    expect((await postJson(server, '/identity-providers', wish)).status).toBe(201);
    expect((await send(server, '/identity-providers/spare', { method: 'DELETE' })).status).toBe(200);
    expect((await send(server, '/identity-providers/spare')).status).toBe(404);
  });

  test("Harbor's ping, searches and import", async () => {
    const conf = {
      ldap_url: slapd.url,
      ldap_base_dn: base,
      ldap_uid: 'uid',
      ldap_search_dn: slapd.bindDn,
      ldap_search_password: slapd.bindPassword,
      ldap_scope: 2,
    };
    expect((await postJson(server, '/ldap/ping', conf)).json()).toEqual({ success: true });
    expect((await postJson(server, '/ldap/ping', { ...conf, ldap_search_password: 'no' })).json()).toMatchObject({ success: false });
    expect((await postJson(server, '/ldap/ping', { ...conf, unknown: 1 })).status).toBe(400);
    expect((await send(server, '/ldap/users/search?username=alice')).json()).toEqual([
      { ldap_username: 'alice', ldap_realname: 'Alice Ä', ldap_email: 'alice@example.org' },
    ]);
    expect((await send(server, '/ldap/users/search?username=*')).json()).toEqual([]);
    expect((await send(server, '/ldap/groups/search?groupname=devs')).json()).toEqual([
      { group_name: 'devs', group_type: 1, ldap_group_dn: groupDn('devs') },
    ]);
    expect((await postJson(server, '/ldap/users/import', { ldap_uid_list: ['extra-0', 'extra-1'] })).status).toBe(200);
    const again = await postJson(server, '/ldap/users/import', { ldap_uid_list: ['extra-0', 'extra-2', 'nobody'] });
    expect([again.status, again.json()]).toEqual([
      404,
      [
        { uid: 'extra-0', error: 'duplicate_user' },
        { uid: 'nobody', error: 'unknown_user' },
      ],
    ]);
  });

  test("Harbor's settings of a directory are one provider", async () => {
    const put = (body: unknown) =>
      send(server, '/configurations', { method: 'PUT', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    const values = { ldap_url: slapd.url, ldap_base_dn: base, ldap_uid: 'uid', ldap_search_dn: slapd.bindDn, ldap_scope: 2 };
    expect((await put({ ...values, ldap_search_password: slapd.bindPassword })).status).toBe(200);
    const read = await send(server, '/configurations');
    expect(read.json()).toMatchObject({ ldap_url: { value: slapd.url }, ldap_uid: { value: 'uid' } });
    expect(read.text).not.toContain('rëader');
    expect((await send(server, '/identity-providers/harbor-ldap')).json()).toMatchObject({ kind: 'ldap', enabled: true, has_secret: true });
    expect((await postJson(server, '/ldap/ping', {})).json()).toEqual({ success: true });
    expect((await put({ ldap_scope: 9 })).status).toBe(400);
    // SEC-D09: the password goes to no other server.
    expect((await put({ ldap_url: 'ldap://127.0.0.1:1' })).status).toBe(400);
    expect((await postJson(server, '/ldap/ping', { ldap_url: 'ldap://127.0.0.1:1' })).status).toBe(400);
    expect((await put({ ldap_url: '' })).status).toBe(200);
    expect((await send(server, '/identity-providers/harbor-ldap')).json()).toMatchObject({ enabled: false });
  });

  test('the command line lists, tests and looks people up', async () => {
    const run = async (...words: string[]) => {
      const child = Bun.spawn([bunBinary, mainFile, 'identity', ...words, '--url', server.url, '--data', server.dataDir], {
        stdout: 'pipe',
        stderr: 'pipe',
      });
      const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
      return { code: await child.exited, out, err };
    };
    const list = await run('list');
    expect([list.code, list.out]).toEqual([0, expect.stringContaining(slapd.url)]);
    expect(JSON.parse((await run('list', '--json')).out)).toMatchObject([{ name: 'corp', kind: 'ldap' }, { name: 'harbor-ldap' }]);
    expect(await run('test', 'corp')).toMatchObject({ code: 0, out: 'corp can be used\n' });
    expect(await run('test', 'absent')).toMatchObject({ code: 1, err: expect.stringContaining('there is no identity provider') });
    expect(JSON.parse((await run('sync', '--json')).out)).toMatchObject([{ provider: 'corp' }]);
  }, 60_000);

  test('only administrators come near', async () => {
    for (const path of ['/identity-providers', '/identity-providers/corp', '/ldap/users/search']) {
      expect([path, (await send(server, path, { password: false })).status]).toEqual([path, 401]);
      const answer = await send(server, path, { password: false, headers: basic('alice', 'alice-secret') });
      expect([path, answer.status]).toEqual([path, 403]);
    }
  });

  test('much of a directory gone at once is taken for a mistake', async () => {
    const names = Array.from({ length: 12 }, (_, index) => `ghost-${index}`);
    database((file) => {
      for (const name of names)
        file.run(
          `insert into account (name, name_folded, display_name, comment, provider, external_id, is_admin, is_auditor, is_disabled, must_change_password,
             epoch, created_at_ms, updated_at_ms) values (?, ?, '', '', 'corp', ?, 0, 0, 0, 0, 0, 0, 0)`,
          [name, name, name],
        );
    });
    expect((await postJson(server, '/identity-providers/sync', {})).json()).toMatchObject([{ suspended: 0, spared: 12 }]);
    expect(server.logs()).toContain('identity.sync-suspicious');
  });
});
