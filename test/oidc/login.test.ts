// Logins through two OpenID providers beside local accounts, on a real server and real providers.

import { Database as SqliteFile } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { asLoggedIn, logIn, reasonOf, sessionCookie } from '../sessions/browser.ts';
import { type Page, Visitor } from '../support/visitor.ts';
import { startTwoIssuers, type TwoIssuers } from './two-issuers.ts';

let running: TwoIssuers;
beforeAll(async () => {
  running = await startTwoIssuers();
}, 60_000);
afterAll(async () => {
  await running?.stop();
}, 30_000);

const startOf = (provider: string, more = ''): string => `${running.server.url}/c/oidc/login?provider=${provider}${more}`;

async function logInAt(provider: string, subject: string): Promise<{ visitor: Visitor; page: Page }> {
  const visitor = new Visitor();
  return { visitor, page: await visitor.travel(startOf(provider), { subject }) };
}
const who = (page: Page): string | undefined => /<strong id="who">([^<]*)</.exec(page.text)?.[1];
describe('a login through a provider', () => {
  test('makes an account at the first time and finds it again', async () => {
    const first = await logInAt('corp', 'alice');
    expect([first.page.url, who(first.page)]).toEqual([`${running.server.url}/account`, 'alice']);
    const second = await logInAt('corp', 'alice');
    expect(who(second.page)).toBe('alice');
    const sessions = JSON.parse((await asLoggedIn(running.server, second.visitor, '').api('/users/current/sessions')).text);
    expect(sessions.map((session: { provider: string; username: string }) => [session.provider, session.username])).toEqual([
      ['corp', 'alice'],
      ['corp', 'alice'],
    ]);
  });

  test('shows its providers on the login page, their names as text', async () => {
    const { text } = await new Visitor().send(`${running.server.url}/login`);
    expect(text).toContain('Corp &amp; Co');
    expect(text).toContain('/c/oidc/login?provider=partner');
  });

  test('makes an administrator of who is in the group, and no other, at each login', async () => {
    const root = await logInAt('corp', 'root');
    const api = asLoggedIn(running.server, root.visitor, '');
    expect((await api.api('/sessions')).status).toBe(200);
    const alice = await logInAt('corp', 'alice');
    expect((await asLoggedIn(running.server, alice.visitor, '').api('/sessions')).status).toBe(403);
    running.corp.people.set('root', { claims: { preferred_username: 'root', groups: [] } });
    const again = await logInAt('corp', 'root');
    expect((await asLoggedIn(running.server, again.visitor, '').api('/sessions')).status).toBe(403);
    // What was begun as an administrator has ended with the right.
    expect((await api.api('/sessions')).status).toBe(401);
  });

  test('never gives the name of another provider away; another name may be chosen', async () => {
    // `alice` is corp's by now.
    await logInAt('corp', 'alice');
    const { visitor, page } = await logInAt('partner', 'alice');
    expect(page.text).toContain('value="alice"');
    const choose = async (from: Page, username: string): Promise<Page> => {
      const field = (name: string): string => new RegExp(`name="${name}" value="([^"]*)"`).exec(from.text)?.[1] ?? '';
      const body = new URLSearchParams({ username, state: field('state'), csrf: field('csrf') });
      return visitor.send(`${running.server.url}/c/oidc/onboard`, { method: 'POST', body });
    };
    const taken = await choose(page, 'Alice');
    expect(taken.text).toContain('belongs to');
    const used = await choose(page, 'alice.partner');
    expect(used.status).toBe(401);
    const wrong = await choose(taken, 'a:b');
    expect(wrong.text).toContain('role="alert"');
    const done = await choose(wrong, 'alice.partner');
    expect([done.status, done.headers.get('location')]).toEqual([303, '/account']);
    expect(who(await visitor.send(`${running.server.url}/account`))).toBe('alice.partner');
    // The name of a local account neither.
    const local = await logInAt('corp', 'admin');
    expect(who(local.page)).toBeUndefined();
    expect(local.page.text).toContain('belongs to');
  });

  test('SEC-B13 lets nobody in whose account is switched off', async () => {
    const before = await logInAt('corp', 'off');
    expect(who(before.page)).toBe('off');
    const file = new SqliteFile(`${running.server.dataDir}/db/breakwater.sqlite`);
    file.run("update account set is_disabled = 1 where name = 'off'");
    file.close();
    await Bun.sleep(1_100);
    const after = await logInAt('corp', 'off');
    expect([after.page.status, after.page.text.includes('switched off')]).toEqual([403, true]);
    expect(after.visitor.cookie(running.server.url, sessionCookie)).toBeUndefined();
    // What was open ends, too.
    expect((await asLoggedIn(running.server, before.visitor, '').api('/users/current/sessions')).status).toBe(401);
  });

  test('SEC-B13 binds the answer to the browser, to the provider and to one use', async () => {
    const callback = `${running.server.url}/c/oidc/callback/corp`;
    const victim = new Visitor();
    const stopped = await victim.travel(startOf('corp'), { subject: 'alice', stopBefore: (url) => url.startsWith(callback) });
    // Another browser brings the victim's answer, or the victim the attacker's.
    const attacker = new Visitor();
    expect((await attacker.send(stopped.url)).status).toBe(401);
    await attacker.send(startOf('corp'));
    expect((await attacker.send(stopped.url)).status).toBe(401);
    // At the other provider's address it is not taken, and it is used up then.
    const other = await victim.send(stopped.url.replace('/callback/corp', '/callback/partner'));
    expect(other.status).toBe(401);
    expect((await victim.send(stopped.url)).status).toBe(401);
    const again = await victim.travel(startOf('corp'), { subject: 'alice', stopBefore: (url) => url.startsWith(callback) });
    expect((await victim.send(again.url)).status).toBe(303);
    expect((await victim.send(again.url)).status).toBe(401);
    expect((await new Visitor().send(callback)).status).toBe(401);
  });

  test('SEC-B10 of 20 that bring one answer at once, one gets in', async () => {
    const callback = `${running.server.url}/c/oidc/callback/corp`;
    const visitor = new Visitor();
    const stopped = await visitor.travel(startOf('corp'), { subject: 'alice', stopBefore: (url) => url.startsWith(callback) });
    const cookie = `breakwater-login=${visitor.cookie(running.server.url, 'breakwater-login')}`;
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => fetch(stopped.url, { redirect: 'manual', headers: { cookie } }).then((answer) => answer.status)),
    );
    expect(answers.filter((status) => status === 303).length).toBe(1);
    expect(answers.filter((status) => status === 401).length).toBe(19);
  });

  test('SEC-E12 goes on to a page of ours, whatever the link said', async () => {
    for (const to of ['//evil.example', '/\\evil.example', 'https://evil.example', '/%2f%2fevil.example']) {
      const visitor = new Visitor();
      const page = await visitor.travel(startOf('corp', `&return_to=${encodeURIComponent(to)}`), { subject: 'alice' });
      expect([to, page.url]).toEqual([to, `${running.server.url}/account`]);
    }
  });

  test('opens no session of the command line, and its password is nobody’s', async () => {
    const answer = await fetch(`${running.server.url}/api/v2.0/users/current/sessions`, {
      headers: { authorization: `Basic ${btoa('alice:any')}` },
    });
    expect(answer.status).toBe(401);
    expect((await new Visitor().send(startOf('nobody'))).status).toBe(404);
  });
});

test('a session is confirmed by a new login at its provider, under a new cookie', async () => {
  const { visitor } = await logInAt('corp', 'alice');
  const before = visitor.cookie(running.server.url, sessionCookie);
  const page = await visitor.travel(startOf('corp', '&step_up=1'), { subject: 'alice' });
  expect(who(page)).toBe('alice');
  const after = visitor.cookie(running.server.url, sessionCookie);
  expect(after).not.toBe(before);
  const other = await visitor.travel(startOf('corp', '&step_up=1'), { subject: 'admin' });
  expect([other.status, other.text.includes('another person')]).toEqual([403, true]);
  expect((await new Visitor().send(startOf('corp', '&step_up=1'))).status).toBe(401);
  const local = await logIn(running.server);
  const wrong = await local.visitor.send(startOf('corp', '&step_up=1'));
  expect(wrong.status).toBe(400);
  const password = await asLoggedIn(running.server, visitor, '').api('/sessions/current/step-up', {
    method: 'POST',
    body: { password: 'any' },
  });
  expect(reasonOf(password)).toBe('csrf');
});

test('SEC-B16 a session beside an Authorization header of somebody else is refused', async () => {
  const { visitor } = await logInAt('corp', 'alice');
  const authorization = `Basic ${btoa(`admin:${running.server.adminPassword}`)}`;
  const both = await visitor.send(`${running.server.url}/api/v2.0/users/current/sessions`, { headers: { authorization } });
  expect([both.status, both.text.includes('two callers')]).toEqual([400, true]);
});

test('logging out here logs out at the provider where that is wanted', async () => {
  const { visitor } = await logInAt('corp', 'alice');
  const out = await visitor.send(`${running.server.url}/c/log_out`);
  expect(out.headers.get('location')).toStartWith(`${running.corp.issuer}/session/end?`);
});

test('an administrator tries a provider, and sets one with Harbor’s words', async () => {
  const admin = (path: string, method: string, body?: unknown): Promise<Response> =>
    fetch(`${running.server.url}/api/v2.0${path}`, {
      method,
      headers: { authorization: `Basic ${btoa(`admin:${running.server.adminPassword}`)}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  expect(await (await admin('/identity-providers/corp/test', 'POST', {})).json()).toEqual({ ok: true });
  // A private address is asked only where that was allowed.
  expect((await admin('/system/oidc/ping', 'POST', { url: 'https://127.0.0.1:1', verify_cert: false })).status).toBe(400);
  const settings = {
    oidc_name: 'Other',
    oidc_endpoint: 'https://idp.example.org',
    oidc_client_id: 'c',
    oidc_client_secret: 'registry-secret-2',
  };
  expect((await admin('/configurations', 'PUT', settings)).status).toBe(200);
  const text = await (await admin('/configurations', 'GET')).text();
  expect(JSON.parse(text).oidc_endpoint).toEqual({ value: 'https://idp.example.org', editable: true });
  expect(text).not.toContain('registry-secret-2');
  await Bun.sleep(1_100);
  expect((await new Visitor().send(`${running.server.url}/login`)).text).toContain('provider=harbor-oidc');
  expect((await admin('/configurations', 'PUT', { oidc_endpoint: '' })).status).toBe(200);
});

test('no token and no secret of a provider is in the log', () => {
  const log = running.server.logs();
  expect(log).not.toContain('registry-secret');
  expect(log).not.toMatch(/eyJ[A-Za-z0-9_-]{10}/);
});
