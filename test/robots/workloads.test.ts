// CI tokens over HTTP: as a password, exchanged for a short secret, and what they open by rule.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type Issuer, type Login, openSite, type Site, startIssuer } from './site.ts';

let site: Site;
let issuer: Issuer;
beforeAll(async () => {
  issuer = await startIssuer();
  site = await openSite();
}, 60_000);
afterAll(async () => {
  await site?.stop();
  issuer?.stop();
});

const pushTeamA = [
  {
    kind: 'project',
    namespace: 'team-a',
    access: [
      { resource: 'repository', action: 'pull' },
      { resource: 'repository', action: 'push' },
    ],
  },
];
let number = 0;

async function makeRule(more: Record<string, unknown> = {}): Promise<{ readonly id: number; readonly name: string }> {
  const made = await site.api(site.admin, 'POST', '/workload-rules', {
    name: `rule-${number++}`,
    issuer: issuer.url,
    audience: 'registry.test',
    claims: [{ claim: 'repository', equals: `team/app-${number}` }],
    permissions: pushTeamA,
    allow_private: true,
    ...more,
  });
  expect([made.status, made.text]).toEqual([201, expect.any(String)]);
  return made.body;
}
const repository = (): Record<string, unknown> => ({ repository: `team/app-${number}` });
const asWorkload = (password: string, rule?: string): Login => ({ name: rule === undefined ? 'workload' : `workload+${rule}`, password });

async function exchange(
  token: string,
  more: Record<string, string> = {},
): Promise<{ status: number; text: string; body: Record<string, unknown> }> {
  const form = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    subject_token: token,
    ...more,
  });
  const response = await fetch(`${site.server.url}/service/exchange`, { method: 'POST', body: form });
  const text = await response.text();
  return { status: response.status, text, body: JSON.parse(text) as Record<string, unknown> };
}

describe('the token of a CI job', () => {
  test('is a password for docker login, and opens what its rule says', async () => {
    const rule = await makeRule();
    const login = asWorkload(await issuer.sign(repository()));
    expect(await site.ping(login)).toBe(200);
    expect(await site.scope(login, 'team-a/app', 'pull,push,delete')).toEqual(['pull', 'push']);
    expect(await site.scope(login, 'team-b/app', 'pull')).toEqual([]);
    expect(await site.ping(asWorkload(login.password, rule.name))).toBe(200);
    expect(await site.ping(asWorkload(login.password, 'no-such-rule'))).toBe(401);
    expect(await site.ping({ name: 'anna', password: login.password })).toBe(401);
    expect((await site.api(login, 'GET', '/workload-rules')).status).toBe(403);
  });

  test('opens nothing with another repository, audience or issuer, after its end, unsigned, or by a rule that is off', async () => {
    const rule = await makeRule();
    const stranger = await startIssuer();
    try {
      const good = await issuer.sign(repository());
      const bad = [
        await issuer.sign({ repository: 'team/other' }),
        await issuer.sign({ ...repository(), aud: 'elsewhere' }),
        await issuer.sign({ ...repository(), iss: 'https://ci.example' }),
        await issuer.sign(repository(), { expiresInS: -120 }),
        await issuer.sign(repository(), { kid: 'unknown' }),
        await stranger.sign(repository()),
        await stranger.sign({ ...repository(), iss: issuer.url }),
        `${good.slice(0, -4)}AAAA`,
        good.split('.').slice(0, 2).join('.').concat('.'),
        '',
      ];
      for (const [index, token] of bad.entries()) expect([index, await site.ping(asWorkload(token))]).toEqual([index, 401]);
      expect(await site.ping(asWorkload(good))).toBe(200);
      const { body } = await site.api(site.admin, 'GET', `/workload-rules/${rule.id}`);
      const { id, creator: _c, created_at: _m, updated_at: _u, last_used_at: _a, last_used_from: _f, ...values } = body;
      expect((await site.api(site.admin, 'PUT', `/workload-rules/${id}`, { ...values, disable: true })).status).toBe(200);
      expect(await site.ping(asWorkload(good))).toBe(401);
    } finally {
      stranger.stop();
    }
  });

  test('tokens of issuers nobody has a rule for have nothing asked anywhere', async () => {
    const stranger = await startIssuer();
    try {
      await site.ping(asWorkload(await stranger.sign()));
      await exchange(await stranger.sign());
      expect(stranger.asked).toEqual([]);
    } finally {
      stranger.stop();
    }
  });

  test('made-up key ids do not make the server ask the issuer again and again', async () => {
    await makeRule();
    await site.ping(asWorkload(await issuer.sign(repository())));
    const before = issuer.asked.length;
    for (let turn = 0; turn < 10; turn++) await site.ping(asWorkload(await issuer.sign(repository(), { kid: `made-up-${turn}` })));
    expect(issuer.asked.length - before).toBeLessThanOrEqual(2);
  });
});

describe('an exchange', () => {
  test('gives a short secret that outlives the token, for the user it names', async () => {
    await makeRule({ lifetime_minutes: 5 });
    const token = await issuer.sign(repository());
    const { status, body, text } = await exchange(token);
    expect([status, text]).toEqual([200, expect.any(String)]);
    const login = { name: String(body['username']), password: String(body['access_token']) };
    expect(body).toMatchObject({
      access_token: expect.stringMatching(/^bww_[0-9A-Za-z]{49}$/),
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'N_A',
      username: `workload+rule-${number - 1}`,
    });
    expect(body['expires_in']).toBeGreaterThan(200);
    expect(body['expires_in']).toBeLessThanOrEqual(300);
    expect(await site.ping(login)).toBe(200);
    expect(await site.ping({ ...login, name: 'workload' })).toBe(200);
    expect(await site.scope(login, 'team-a/app', 'push')).toEqual(['push']);
    expect(await site.ping({ ...login, name: 'workload+another' })).toBe(401);
    expect(await site.ping({ ...login, name: 'admin' })).toBe(401);
  });

  test('ends when its rule is changed or deleted', async () => {
    const rule = await makeRule();
    const { body } = await exchange(await issuer.sign(repository()));
    const login = asWorkload(String(body['access_token']));
    expect(await site.ping(login)).toBe(200);
    expect((await site.api(site.admin, 'DELETE', `/workload-rules/${rule.id}`)).status).toBe(200);
    expect(await site.ping(login)).toBe(401);
    expect((await site.api(site.admin, 'GET', `/workload-rules/${rule.id}`)).status).toBe(404);
  });

  test('of a rule for single use is possible once, also in a race, and the token is no password', async () => {
    await makeRule({ single_use: true });
    const token = await issuer.sign(repository());
    expect(await site.ping(asWorkload(token))).toBe(401);
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => exchange(token)));
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409, 409, 409, 409]);
  });

  test.each<[string, Record<string, string>, number]>([
    ['no token', { subject_token: '' }, 400],
    ['another grant', { grant_type: 'client_credentials' }, 400],
    ['another type of token', { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' }, 400],
    ['what is no token', { subject_token: 'x' }, 401],
    ['a rule that there is not', { rule: 'no-such' }, 401],
  ])('is refused with %s', async (_what, more, status) => {
    await makeRule();
    const answer = await exchange(await issuer.sign(repository()), more);
    expect(answer.status).toBe(status);
  });

  test('is refused as JSON, by GET, and when the form is too large', async () => {
    const url = `${site.server.url}/service/exchange`;
    const statusOf = async (init: RequestInit): Promise<number> => {
      const response = await fetch(url, init);
      await response.text();
      return response.status;
    };
    expect(await statusOf({ method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).toBe(400);
    expect(await statusOf({ method: 'GET' })).toBe(405);
    expect(await statusOf({ method: 'POST', body: new URLSearchParams({ subject_token: 'x'.repeat(20_000) }) })).toBe(413);
  });
});

describe('workload rules', () => {
  test.each<[string, Record<string, unknown>]>([
    ['no claims', { claims: [] }],
    ['claims that let everybody in', { claims: [{ claim: 'repository', glob: '**' }] }],
    ['a life over an hour', { lifetime_minutes: 61 }],
    ['an issuer by http that is not allowed to be private', { issuer: 'http://ci.example', allow_private: false }],
    ['an issuer that is no URL', { issuer: 'github' }],
    ['keys that are private', { jwks: { keys: [{ kty: 'oct', k: 'x' }] } }],
    ['two places of keys', { jwks: { keys: [{ kty: 'RSA', n: 'x', e: 'AQAB' }] }, jwks_url: 'https://ci.example/keys' }],
    ['no rights', { permissions: [] }],
    ['an unknown member', { admin: true }],
  ])('are refused with %s', async (_what, more) => {
    const values = {
      name: `rule-${number++}`,
      issuer: issuer.url,
      audience: 'a',
      claims: [{ claim: 'sub', equals: 'x' }],
      permissions: pushTeamA,
    };
    const answer = await site.api(site.admin, 'POST', '/workload-rules', { allow_private: true, ...values, ...more });
    expect([answer.status, answer.body.errors[0].code]).toEqual([400, 'BAD_REQUEST']);
  });

  test("are administrators' business", async () => {
    const rule = await makeRule();
    for (const login of [site.anna, site.ben]) {
      expect((await site.api(login, 'GET', '/workload-rules')).status).toBe(403);
      expect((await site.api(login, 'GET', `/workload-rules/${rule.id}`)).status).toBe(404);
      expect((await site.api(login, 'DELETE', `/workload-rules/${rule.id}`)).status).toBe(404);
      expect((await site.api(login, 'POST', '/workload-rules/check', { token: 'x' })).status).toBe(403);
    }
    expect((await site.api(undefined, 'GET', '/workload-rules')).status).toBe(401);
  });

  test('an administrator is told which rule lets a token in, and why others do not', async () => {
    const rule = await makeRule();
    const check = async (token: string) => (await site.api(site.admin, 'POST', '/workload-rules/check', { token })).body;
    expect(await check(await issuer.sign(repository()))).toEqual({
      rule: rule.name,
      subject: 'repo:team/app:ref:refs/heads/main',
      refusals: [],
    });
    const wrong = await check(await issuer.sign({ repository: 'x' }));
    expect(wrong.rule).toBeNull();
    expect(wrong.refusals).toContainEqual({ rule: rule.name, reason: expect.stringContaining('its claim repository is not') });
    expect((await check(await issuer.sign({ ...repository(), aud: 'x' }))).refusals).toContainEqual({
      rule: rule.name,
      reason: 'its aud is x, not registry.test',
    });
    expect((await check('nothing')).refusals).toEqual([{ rule: null, reason: expect.stringContaining('no token') }]);
  });

  test('SEC-D01 an issuer at a private address is not asked unless its rule allows it, and who sends a token is not told', async () => {
    const stranger = await startIssuer();
    try {
      await makeRule({ issuer: stranger.url.replace('http:', 'https:'), allow_private: false });
      const token = await issuer.sign({ ...repository(), iss: stranger.url.replace('http:', 'https:') });
      const answer = await exchange(token);
      expect([answer.status, answer.text]).toEqual([503, expect.not.stringContaining('127.0.0.1')]);
      expect(stranger.asked).toEqual([]);
      const told = (await site.api(site.admin, 'POST', '/workload-rules/check', { token })).body;
      expect(told.refusals[0].reason).toContain('loopback');
    } finally {
      stranger.stop();
    }
  });
});

test('no token and no secret is in the log', () => {
  expect(site.server.logs()).not.toMatch(/bww_|eyJ/);
});
