// Sessions of browsers on a real server: how they begin, what they may, how they end.

import { Database as SqliteFile } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { Visitor } from '../support/visitor.ts';
import { asLoggedIn, logIn, reasonOf, sessionCookie, tokenHeader } from './browser.ts';

let server: RunningBreakwater;

beforeAll(async () => {
  server = await startBreakwater({ config: 'presets: false\n' });
}, 30_000);
afterAll(async () => {
  await server?.stop();
}, 30_000);

const basic = (): Record<string, string> => ({ authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` });
const sessionsOf = async (by: { api: Awaited<ReturnType<typeof logIn>>['api'] }): Promise<{ id: number; current: boolean }[]> =>
  JSON.parse((await by.api('/users/current/sessions')).text);

describe('a login', () => {
  test('opens a session that reads and changes, as Harbor’s clients do it', async () => {
    const visitor = new Visitor();
    const first = await visitor.send(`${server.url}/api/v2.0/systeminfo`);
    const token = first.headers.get(tokenHeader) ?? '';
    expect(token).not.toBe('');
    const body = new URLSearchParams({ principal: 'admin', password: server.adminPassword });
    const answer = await visitor.send(`${server.url}/c/login`, { method: 'POST', body, headers: { [tokenHeader]: token } });
    expect([answer.status, answer.text]).toEqual([200, '']);
    // The token that was got before the login is good after it, without Origin and Sec-Fetch-Site, which no such client sends.
    const made = await visitor.send(`${server.url}/api/v2.0/projects`, {
      method: 'POST',
      headers: { [tokenHeader]: token, 'content-type': 'application/json' },
      body: JSON.stringify({ project_name: 'by-session' }),
    });
    expect(made.status).toBe(201);
  });

  test('with a wrong password, of nobody, or in JSON opens none', async () => {
    const visitor = new Visitor();
    visitor.headers = {};
    for (const [principal, password] of [
      ['admin', 'wrong'],
      ['nobody', 'wrong'],
      ['', ''],
    ] as const) {
      const answer = await visitor.send(`${server.url}/c/login`, { method: 'POST', body: new URLSearchParams({ principal, password }) });
      expect([principal, answer.status, visitor.cookie(server.url, sessionCookie)]).toEqual([principal, 401, undefined]);
    }
    const json = await visitor.send(`${server.url}/c/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ principal: 'admin', password: server.adminPassword }),
    });
    expect(json.status).toBe(400);
    const large = await visitor.send(`${server.url}/c/login`, {
      method: 'POST',
      body: new URLSearchParams({ principal: 'x'.repeat(20_000) }),
    });
    expect(large.status).toBe(413);
  });

  test('SEC-B15 gives another session than the browser brought, and ends that one', async () => {
    const victim = await logIn(server);
    const planted = victim.visitor.cookie(server.url, sessionCookie) ?? '';
    const visitor = new Visitor();
    visitor.headers = {};
    for (const value of [planted, 'p'.repeat(43)]) {
      visitor.setCookie(server.url, sessionCookie, value);
      const body = new URLSearchParams({ principal: 'admin', password: server.adminPassword });
      await visitor.send(`${server.url}/c/login`, { method: 'POST', body });
      expect(visitor.cookie(server.url, sessionCookie)).not.toBe(value);
    }
    expect((await victim.api('/users/current/sessions')).status).toBe(401);
    const attacker = new Visitor();
    attacker.setCookie(server.url, sessionCookie, 'p'.repeat(43));
    expect((await attacker.send(`${server.url}/api/v2.0/users/current/sessions`)).status).toBe(401);
  });

  test('is a cookie that scripts cannot read and other sites do not send', async () => {
    const visitor = new Visitor();
    visitor.headers = {};
    const body = new URLSearchParams({ principal: 'admin', password: server.adminPassword });
    const cookies = (await visitor.send(`${server.url}/c/login`, { method: 'POST', body })).headers.getSetCookie();
    const session = cookies.find((line) => line.startsWith(`${sessionCookie}=`)) ?? '';
    expect(session).toMatch(/^breakwater=[A-Za-z0-9_-]{43}; Path=\/; HttpOnly; SameSite=Lax$/);
  });
});

describe('a session', () => {
  test('is listed and ended by its owner, one or all others', async () => {
    const [first, second, third] = [await logIn(server), await logIn(server), await logIn(server)];
    const listed = await sessionsOf(first);
    expect(listed.filter((session) => session.current).length).toBe(1);
    const secondId = (await sessionsOf(second)).find((session) => session.current)?.id ?? 0;
    expect((await first.api(`/users/current/sessions/${secondId}`, { method: 'DELETE' })).status).toBe(200);
    expect((await second.api('/users/current/sessions')).status).toBe(401);
    expect((await first.api(`/users/current/sessions/${secondId}`, { method: 'DELETE' })).status).toBe(404);
    const rest = await first.api('/users/current/sessions', { method: 'DELETE' });
    expect(JSON.parse(rest.text).ended).toBeGreaterThanOrEqual(1);
    expect((await third.api('/users/current/sessions')).status).toBe(401);
    expect((await sessionsOf(first)).map((session) => session.current)).toEqual([true]);
  });

  test('of anybody is listed and ended by an administrator', async () => {
    const other = await logIn(server);
    const id = (await sessionsOf(other)).find((session) => session.current)?.id ?? 0;
    const all = await fetch(`${server.url}/api/v2.0/sessions?page_size=100`, { headers: basic() });
    expect(Number(all.headers.get('x-total-count'))).toBeGreaterThanOrEqual(1);
    expect(((await all.json()) as { id: number; username: string }[]).find((session) => session.id === id)?.username).toBe('admin');
    const ended = await fetch(`${server.url}/api/v2.0/sessions/${id}`, { method: 'DELETE', headers: basic() });
    expect(ended.status).toBe(200);
    expect((await other.api('/users/current/sessions')).status).toBe(401);
    expect((await fetch(`${server.url}/api/v2.0/sessions`)).status).toBe(401);
  });

  test('ends at the log-out, by GET and by POST, for whoever kept its cookie, too', async () => {
    const { visitor } = await logIn(server);
    const kept = visitor.cookie(server.url, sessionCookie) ?? '';
    const out = await visitor.send(`${server.url}/c/log_out`);
    expect([out.status, out.headers.get('location')]).toEqual([303, '/login']);
    expect(visitor.cookie(server.url, sessionCookie)).toBeUndefined();
    const thief = new Visitor();
    thief.setCookie(server.url, sessionCookie, kept);
    expect((await thief.send(`${server.url}/api/v2.0/users/current/sessions`)).status).toBe(401);

    const again = await logIn(server);
    const posted = await again.visitor.send(`${server.url}/c/log_out`, { method: 'POST', headers: { [tokenHeader]: again.token() } });
    expect(posted.status).toBe(303);
    expect((await again.api('/users/current/sessions')).status).toBe(401);
  });

  test('is nothing to the registry API and the token service', async () => {
    const { visitor } = await logIn(server);
    expect((await visitor.send(`${server.url}/v2/`)).status).toBe(401);
    expect((await visitor.send(`${server.url}/v2/_catalog`)).status).toBe(401);
    const scope = encodeURIComponent('repository:library/secret:push');
    const { text } = await visitor.send(`${server.url}/service/token?service=breakwater&scope=${scope}`);
    const claims = JSON.parse(Buffer.from(JSON.parse(text).token.split('.')[1], 'base64url').toString());
    expect([claims.sub, claims.access]).toEqual(['anonymous', []]);
  });

  test('beside an Authorization header counts only when that holds', async () => {
    const { visitor } = await logIn(server);
    const both = await visitor.send(`${server.url}/api/v2.0/users/current/sessions`, { headers: basic() });
    expect(both.status).toBe(200);
    const other = await visitor.send(`${server.url}/api/v2.0/users/current/sessions`, { headers: { authorization: 'Basic bm9ib2R5Ong=' } });
    expect(other.status).toBe(401);
  });

  test('is asked for its password again, gets a new cookie for it, and the old one is worth nothing', async () => {
    const me = await logIn(server);
    const before = me.visitor.cookie(server.url, sessionCookie) ?? '';
    const wrong = await me.api('/sessions/current/step-up', { method: 'POST', body: { password: 'wrong' } });
    expect([wrong.status, reasonOf(wrong)]).toEqual([403, 'wrong-password']);
    expect((await me.api('/sessions/current/step-up', { method: 'POST', body: { password: server.adminPassword } })).status).toBe(200);
    const after = me.visitor.cookie(server.url, sessionCookie);
    expect(after).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(after).not.toBe(before);
    expect((await me.api('/users/current/sessions')).status).toBe(200);
    const thief = new Visitor();
    thief.setCookie(server.url, sessionCookie, before);
    expect((await thief.send(`${server.url}/api/v2.0/users/current/sessions`)).status).toBe(401);
    const withPassword = await fetch(`${server.url}/api/v2.0/sessions/current/step-up`, {
      method: 'POST',
      headers: { ...basic(), 'content-type': 'application/json' },
      body: JSON.stringify({ password: server.adminPassword }),
    });
    expect(withPassword.status).toBe(400);
  });
});

describe('a dangerous action', () => {
  test('asks a session for its password when the last proof is ten minutes old, and no other caller', async () => {
    const me = await logIn(server);
    const dangerous = () => me.api('/projects/by-session', { method: 'DELETE' });
    const file = new SqliteFile(`${server.dataDir}/db/breakwater.sqlite`);
    file.run('update session set proved_at_ms = proved_at_ms - 600000');
    file.close();
    const asked = await dangerous();
    expect([asked.status, reasonOf(asked)]).toEqual([403, 'step-up-required']);
    expect((await me.api('/projects', { method: 'POST', body: { project_name: 'every-day' } })).status).toBe(201);
    expect((await me.api('/sessions/current/step-up', { method: 'POST', body: { password: server.adminPassword } })).status).toBe(200);
    expect((await dangerous()).status).toBe(200);
    const byPassword = await fetch(`${server.url}/api/v2.0/projects/every-day`, { method: 'DELETE', headers: basic() });
    expect(byPassword.status).toBe(200);
  });

  test('and logins, log-outs and proofs are in the audit log', async () => {
    const me = await logIn(server);
    await me.visitor.send(`${server.url}/c/log_out`);
    await logIn(server);
    await Bun.sleep(1500);
    const answer = await fetch(`${server.url}/api/v2.0/audit-logs?page_size=100`, { headers: basic() });
    const entries = (await answer.json()) as { operation: string; resource_type: string }[];
    expect(entries.map((entry) => `${entry.operation} ${entry.resource_type}`)).toContain('logout session');
  });
});

describe('the plain pages', () => {
  test('log a browser in and out, in English and Chinese', async () => {
    const visitor = new Visitor();
    const page = await visitor.send(`${server.url}/login`);
    expect([page.status, page.headers.get('content-language')]).toEqual([200, 'en']);
    const csrf = /name="csrf" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
    const form = new URLSearchParams({ principal: 'admin', password: server.adminPassword, return_to: '//evil.example', csrf });
    const bad = new URLSearchParams({ ...Object.fromEntries(form), password: 'wrong <b>' });
    const failed = await visitor.send(`${server.url}/c/login`, { method: 'POST', body: bad });
    expect([failed.status, failed.text.includes('role="alert"')]).toEqual([401, true]);
    const answer = await visitor.send(`${server.url}/c/login`, { method: 'POST', body: form });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/account']);
    const account = await visitor.send(`${server.url}/account`, { headers: { 'accept-language': 'zh-CN,en;q=0.5' } });
    expect(account.headers.get('content-language')).toBe('zh-CN');
    expect(account.text).toContain('<strong id="who">admin</strong>');
    expect(account.text).toContain('退出登录');
    const token = /name="csrf" value="([^"]+)"/.exec(account.text)?.[1] ?? '';
    const out = await visitor.send(`${server.url}/c/log_out`, { method: 'POST', body: new URLSearchParams({ csrf: token }) });
    expect([out.status, out.headers.get('location')]).toEqual([303, '/login']);
    expect((await visitor.send(`${server.url}/account`)).headers.get('location')).toBe('/login');
  });

  test('SEC-H04 SEC-H01 are framed by nobody, kept by nobody, and run no script', async () => {
    const paths = [
      '/login',
      '/c/style.css',
      '/c/nothing',
      '/api/v2.0/ping',
      '/api/v2.0/users/current/sessions',
      '/api/v2.0/nothing',
      '/account',
    ];
    for (const path of paths) {
      const { headers } = await fetch(`${server.url}${path}`, { redirect: 'manual' });
      const policy = headers.get('content-security-policy') ?? '';
      expect([path, policy.includes("frame-ancestors 'none'"), policy.includes("default-src 'none'"), policy.includes('unsafe')]).toEqual([
        path,
        true,
        true,
        false,
      ]);
      expect([path, headers.get('x-content-type-options'), headers.get('referrer-policy'), headers.get('x-frame-options')]).toEqual([
        path,
        'nosniff',
        'no-referrer',
        'DENY',
      ]);
      if (path !== '/c/style.css') expect([path, headers.get('cache-control')]).toEqual([path, 'no-store']);
      expect([path, headers.get('strict-transport-security')]).toEqual([path, null]);
    }
    const text = await (await fetch(`${server.url}/login?return_to=%22%3E%3Cscript%3E`)).text();
    expect(text).not.toMatch(/<script|style=| on[a-z]+=/);
  });

  test('a HEAD has no body, another method is told what there is', async () => {
    const head = await fetch(`${server.url}/login`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    const put = await fetch(`${server.url}/c/login`, { method: 'PUT' });
    expect([put.status, put.headers.get('allow')]).toEqual([405, 'GET, POST']);
  });
});

test('SEC-B15 parallel log-outs and uses of one session end with no session', async () => {
  const me = await logIn(server);
  const copies = Array.from({ length: 8 }, () => {
    const visitor = new Visitor();
    visitor.setCookie(server.url, sessionCookie, me.visitor.cookie(server.url, sessionCookie) ?? '');
    return asLoggedIn(server, visitor, '');
  });
  await Promise.all(
    copies.map((copy, index) => (index % 2 === 0 ? copy.visitor.send(`${server.url}/c/log_out`) : copy.api('/users/current/sessions'))),
  );
  for (const copy of copies.filter((_, index) => index % 2 === 1)) expect((await copy.api('/users/current/sessions')).status).toBe(401);
});

test('behind TLS and a path prefix the cookies say so, and browsers are told to stay with TLS', async () => {
  for (const [externalUrl, name, path] of [
    ['https://registry.example.org', '__Host-breakwater', '/'],
    ['https://registry.example.org/hub', '__Secure-breakwater', '/hub/'],
  ] as const) {
    const secure = await startBreakwater({ config: `presets: false\nexternal_url: ${externalUrl}\n` });
    try {
      const body = new URLSearchParams({ principal: 'admin', password: secure.adminPassword });
      const answer = await fetch(`${secure.url}/c/login`, { method: 'POST', body });
      const session = answer.headers.getSetCookie().find((line) => line.startsWith(`${name}=`)) ?? '';
      expect(session.replace(/=[^;]+/, '=')).toBe(`${name}=; Path=${path}; HttpOnly; SameSite=Lax; Secure`);
      expect(answer.headers.get('strict-transport-security')).toBe('max-age=31536000');
      const [pair = ''] = session.split(';');
      const mine = await fetch(`${secure.url}/api/v2.0/users/current/sessions`, { headers: { cookie: pair } });
      expect(mine.status).toBe(200);
      // The name it has without TLS is not read: a page on plain HTTP could plant it.
      const planted = await fetch(`${secure.url}/api/v2.0/users/current/sessions`, {
        headers: { cookie: pair.replace(/^[^=]+/, 'breakwater') },
      });
      expect(planted.status).toBe(401);
      const away = await fetch(`${secure.url}/account`, { redirect: 'manual' });
      expect(away.headers.get('location')).toBe(path === '/' ? '/login' : '/hub/login');
    } finally {
      await secure.stop();
    }
  }
}, 60_000);
