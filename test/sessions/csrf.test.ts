// SEC-H02: what a page of another site can make a logged-in browser send changes nothing, on every route of the admin API that changes
// something, and on the forms.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { policyOf } from '../../src/api/api.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { logIn, reasonOf, tokenHeader } from './browser.ts';

let server: RunningBreakwater;
beforeAll(async () => {
  server = await startBreakwater({ config: 'presets: false\n' });
}, 30_000);
afterAll(async () => {
  await server?.stop();
}, 30_000);

const unsafeRoutes = Object.keys(policyOf()).filter((key) => !key.startsWith('GET '));
const json = { 'content-type': 'application/json' };

describe('SEC-H02 a session', () => {
  test('changes nothing on any route without the token, or for a page of another site', async () => {
    const me = await logIn(server);
    const token = me.token();
    expect(token).not.toBe('');
    expect(unsafeRoutes.length).toBeGreaterThan(10);
    const evil = 'https://evil.example';
    const cases: readonly { readonly headers: Record<string, string>; readonly reason: string }[] = [
      { headers: { 'sec-fetch-site': 'same-origin', origin: server.url }, reason: 'csrf' },
      { headers: {}, reason: 'csrf' },
      { headers: { [tokenHeader]: 'guessed' }, reason: 'csrf' },
      { headers: { [tokenHeader]: token, 'sec-fetch-site': 'cross-site', origin: evil }, reason: 'cross-site' },
      { headers: { [tokenHeader]: token, 'sec-fetch-site': 'same-site' }, reason: 'cross-site' },
      { headers: { [tokenHeader]: token, origin: evil }, reason: 'cross-site' },
      { headers: { [tokenHeader]: token, origin: 'null' }, reason: 'cross-site' },
    ];
    for (const key of unsafeRoutes) {
      const [method = '', pattern = ''] = key.split(' ');
      const url = `${server.url}${pattern.replace(/\{[^}]+\}/g, '1')}`;
      for (const { headers, reason } of cases) {
        const answer = await me.visitor.send(url, {
          method,
          headers: { ...json, ...headers },
          ...(method === 'DELETE' ? {} : { body: '{}' }),
        });
        expect([key, headers, answer.status, reasonOf(answer)]).toEqual([key, headers, 403, reason]);
      }
    }
    expect((await me.api('/users/current/sessions')).status).toBe(200);
  }, 120_000);

  test('takes JSON that says so, and no form and no plain text', async () => {
    const me = await logIn(server);
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      const answer = await me.api('/projects', { method: 'POST', body: { project_name: 'x' }, headers: { 'content-type': type } });
      expect([type, answer.status]).toEqual([type, 400]);
    }
    expect((await me.api('/projects', { method: 'POST', body: { project_name: 'by-json' } })).status).toBe(201);
  });
});

test('SEC-H02 a browser that keeps a password for this server changes nothing for another site either', async () => {
  const answer = await fetch(`${server.url}/api/v2.0/projects`, {
    method: 'POST',
    headers: { ...json, authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}`, 'sec-fetch-site': 'cross-site' },
    body: JSON.stringify({ project_name: 'stolen' }),
  });
  expect(answer.status).toBe(403);
});

test('SEC-H02 no form and no link of another site logs in or out', async () => {
  const me = await logIn(server);
  const cross = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' };
  const body = new URLSearchParams({ principal: 'admin', password: server.adminPassword });
  expect((await me.visitor.send(`${server.url}/c/login`, { method: 'POST', body, headers: cross })).status).toBe(403);
  expect((await me.visitor.send(`${server.url}/c/log_out`, { headers: cross })).status).toBe(403);
  expect((await me.visitor.send(`${server.url}/c/log_out`, { method: 'POST', headers: cross })).status).toBe(403);
  expect((await me.visitor.send(`${server.url}/c/log_out`, { method: 'POST' })).status).toBe(403);
  // A form of the page without its token, as a page that was made before the login may send it.
  const form = new URLSearchParams({ principal: 'admin', password: server.adminPassword, return_to: '/account', csrf: 'other' });
  expect((await me.visitor.send(`${server.url}/c/login`, { method: 'POST', body: form })).status).toBe(403);
  expect((await me.api('/users/current/sessions')).status).toBe(200);
});

test('a change by password or by nobody needs no token', async () => {
  const made = await fetch(`${server.url}/api/v2.0/projects`, {
    method: 'POST',
    headers: { ...json, authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` },
    body: JSON.stringify({ project_name: 'by-password' }),
  });
  expect(made.status).toBe(201);
  expect((await fetch(`${server.url}/api/v2.0/projects`, { method: 'POST', headers: json, body: '{}' })).status).toBe(401);
});
