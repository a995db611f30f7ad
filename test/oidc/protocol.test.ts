// The OpenID client against a real provider: the whole way, and each answer that must not be taken.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createOidc, type Oidc, type OidcProvider } from '../../src/auth/oidc.ts';
import { oidcSettings } from '../../src/config/oidc-settings.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { Secret } from '../../src/lib/secret.ts';
import { createUpstreamClient, type UpstreamClient } from '../../src/upstream/client.ts';
import { Visitor } from '../support/visitor.ts';
import { clientId, clientSecret, type RunningProvider, startProvider } from './provider.ts';

const redirectUri = 'http://127.0.0.1:9/c/oidc/callback/corp';
let running: RunningProvider;
let client: UpstreamClient;
let oidc: Oidc;
let logged = '';

beforeAll(async () => {
  running = await startProvider({
    redirectUris: [redirectUri],
    postLogoutUris: ['http://127.0.0.1:9/login'],
    people: { alice: { claims: { preferred_username: 'alice', email: 'a@example.org', email_verified: true, groups: ['devs'] } } },
  });
  const log = createLog({
    write: (line) => {
      logged += line;
    },
  });
  client = createUpstreamClient({ clock: systemClock, log, version: 'test' });
  oidc = createOidc({ call: client.call, clock: systemClock, log });
});
afterAll(async () => {
  client?.close();
  await running?.stop();
});

const provider = (more: Record<string, unknown> = {}, secret = clientSecret): OidcProvider => ({
  name: 'corp',
  settings: oidcSettings.parse({
    issuer: running.issuer,
    client_id: clientId,
    scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
    groups_claim: 'groups',
    allow_private: true,
    extra_redirect_params: { prompt: 'consent' },
    ...more,
  }),
  secret: new Secret(secret),
  version: JSON.stringify([more, secret]),
});
const secrets = (letter: string) => ({ state: letter.repeat(43), nonce: `n${letter}`.repeat(10), verifier: `v${letter}`.repeat(25) });

async function answerFor(letter: string, isAgain = false): Promise<string> {
  const to = await oidc.begin(provider(), { redirectUri, secrets: secrets(letter), isAgain });
  const page = await new Visitor().travel(to.href, { subject: 'alice', stopBefore: (url) => url.startsWith(redirectUri) });
  return new URL(page.url).search.slice(1);
}

describe('a login at a real provider', () => {
  test('says who it is and of which groups', async () => {
    const login = await oidc.finish(provider(), { redirectUri, query: await answerFor('a'), secrets: secrets('a'), isAgain: false });
    expect(login).toEqual({
      externalId: `${running.issuer} alice`,
      name: 'alice',
      email: 'a@example.org',
      groups: ['devs'],
    });
  });

  test('asked for again is a login of now', async () => {
    const login = await oidc.finish(provider(), { redirectUri, query: await answerFor('b', true), secrets: secrets('b'), isAgain: true });
    expect(login.externalId).toBe(`${running.issuer} alice`);
  });

  test('SEC-B13 is refused for another state, nonce, verifier, issuer, a changed or used code, and an error', async () => {
    const finish = (query: string, letter: string, changes: Partial<ReturnType<typeof secrets>> = {}) =>
      oidc.finish(provider(), { redirectUri, query, secrets: { ...secrets(letter), ...changes }, isAgain: false });
    const refused = (work: Promise<unknown>) => expect(work).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await refused(finish(await answerFor('c'), 'c', { state: 'x'.repeat(43) }));
    await refused(finish(await answerFor('d'), 'd', { nonce: 'another' }));
    await refused(finish(await answerFor('e'), 'e', { verifier: 'w'.repeat(50) }));
    const good = await answerFor('f');
    const otherIssuer = new URLSearchParams(good);
    otherIssuer.set('iss', 'https://evil.example');
    await refused(finish(otherIssuer.toString(), 'f'));
    const noIssuer = new URLSearchParams(good);
    noIssuer.delete('iss');
    await refused(finish(noIssuer.toString(), 'f'));
    const otherCode = new URLSearchParams(good);
    otherCode.set('code', `${otherCode.get('code')}x`);
    await refused(finish(otherCode.toString(), 'f'));
    const used = await answerFor('g');
    expect((await finish(used, 'g')).name).toBe('alice');
    await refused(finish(used, 'g'));
    await expect(
      finish(`error=access_denied&state=${secrets('h').state}&iss=${encodeURIComponent(running.issuer)}`, 'h'),
    ).rejects.toMatchObject({
      message: 'corp refused the login',
    });
  });

  test('is refused with a wrong client secret, which nothing tells', async () => {
    const wrong = provider({}, 'a-secret-that-is-wrong');
    const query = await answerFor('i');
    await expect(oidc.finish(wrong, { redirectUri, query, secrets: secrets('i'), isAgain: false })).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    });
    expect(logged).toContain('OAUTH_WWW_AUTHENTICATE_CHALLENGE');
    expect(logged).not.toContain('a-secret-that-is-wrong');
  });

  test('ends there, too, and a provider is tried without a login', async () => {
    const url = await oidc.endSession(provider(), { returnTo: 'http://127.0.0.1:9/login' });
    expect(url?.href).toStartWith(`${running.issuer}/session/end?`);
    await oidc.ping(provider());
    await expect(oidc.ping(provider({ issuer: `${running.issuer}/other` }))).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  test('SEC-D01 a provider at a private address is not asked unless that was allowed, and one that is down is named', async () => {
    const inside = { ...provider(), settings: { ...provider().settings, allow_private: false }, version: 'inside' };
    await expect(oidc.ping(inside)).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('allow_private') });
    await expect(oidc.ping(provider({ issuer: 'http://127.0.0.1:1' }))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('SEC-B13 a provider that says it is another issuer is not taken', async () => {
    using liar = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () =>
        Response.json({
          issuer: running.issuer,
          authorization_endpoint: `${running.issuer}/auth`,
          token_endpoint: `${running.issuer}/token`,
        }),
    });
    await expect(oidc.ping(provider({ issuer: `http://127.0.0.1:${liar.port}` }))).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });
});
