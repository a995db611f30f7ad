import { describe, expect, test } from 'bun:test';
import { createHmac } from 'node:crypto';
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { readKeySet } from './workload-keys.ts';
import { checkToken, looksLikeToken, readIntro, tokenMaxLength } from './workload-token.ts';

const issuer = 'https://ci.example';
const nowMs = 1_800_000_000_000;
const nowS = nowMs / 1000;
const pair = await generateKeyPair('RS256', { extractable: true });
const stranger = await generateKeyPair('RS256', { extractable: true });
const { find: keys } = readKeySet({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'RS256' }] });

function claimsWith(more: Record<string, unknown> = {}): JWTPayload {
  return { iss: issuer, aud: 'registry', sub: 'repo:team/app', iat: nowS - 5, nbf: nowS - 5, exp: nowS + 300, jti: 'j1', ...more };
}
function sign(claims: JWTPayload, header: Record<string, unknown> = {}, key = pair.privateKey): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k1', ...header }).sign(key);
}
function unsigned(header: object, claims: object): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${encode(header)}.${encode(claims)}`;
}
const check = (token: string) => checkToken(token, { issuer, keys, nowMs });

describe('the token of a CI system', () => {
  test('holds when signature, issuer and times are right, and tells subject, audiences and claims', async () => {
    expect(await check(await sign(claimsWith({ aud: ['other', 'registry'], repository: 'team/app' })))).toMatchObject({
      subject: 'repo:team/app',
      audiences: ['other', 'registry'],
      expiresAtMs: nowMs + 300_000,
      claims: { repository: 'team/app' },
    });
  });

  test.each<[string, Record<string, unknown>]>([
    ['has expired', { exp: nowS - 61 }],
    ['is not valid yet', { nbf: nowS + 61 }],
    ['was made more than a day ago', { iat: nowS - 25 * 3600 }],
    ['is from the future', { iat: nowS + 120 }],
    ['is of another issuer', { iss: 'https://other.example' }],
    ['has no subject', { sub: undefined }],
    ['has an empty subject', { sub: '' }],
    ['has a subject with a line break', { sub: 'a\nb' }],
    ['has a very long subject', { sub: 'x'.repeat(256) }],
    ['has no end', { exp: undefined }],
    ['has no beginning', { iat: undefined }],
    ['has no audience', { aud: undefined }],
    ['has an id that is no text', { jti: 7 }],
    ['has an end that is no number', { exp: 'soon' }],
  ])('is refused when it %s', async (_what, more) => {
    const encoded = unsigned({ alg: 'RS256', kid: 'k1' }, claimsWith(more));
    const signature = await crypto.subtle.sign('RSASSA-PKCS1-v1_5', pair.privateKey, Buffer.from(encoded));
    expect(await check(`${encoded}.${Buffer.from(signature).toString('base64url')}`)).toHaveProperty('refusal');
  });

  test('SEC-B01 is refused when a stranger signed it, whatever key its header offers or names', async () => {
    const jwk = await exportJWK(stranger.publicKey);
    for (const header of [
      {},
      { jwk },
      { jku: 'https://evil.example/keys' },
      { x5u: 'https://evil.example/c' },
      { kid: '../../etc/passwd' },
    ])
      expect(await check(await sign(claimsWith(), header, stranger.privateKey))).toHaveProperty('refusal');
  });

  test('SEC-B02 is refused without a signature, and with one made of the public key as a shared secret', async () => {
    expect(await check(`${unsigned({ alg: 'none' }, claimsWith())}.`)).toHaveProperty('refusal');
    const encoded = unsigned({ alg: 'HS256', kid: 'k1' }, claimsWith());
    const mac = createHmac('sha256', await exportSPKI(pair.publicKey))
      .update(encoded)
      .digest('base64url');
    expect(await check(`${encoded}.${mac}`)).toHaveProperty('refusal');
  });

  test('SEC-B04 what is too long or no token is not even read', async () => {
    const token = await sign(claimsWith());
    expect(readIntro(token)).toEqual({ issuer, kid: 'k1' });
    for (const text of ['', 'x', 'a.b.c', 'eyJ.x.y', '.'.repeat(5000), `eyJ${'x'.repeat(tokenMaxLength)}.a.b`, token.replaceAll('.', ' ')])
      expect([text.length, readIntro(text)]).toEqual([text.length, undefined]);
    expect(looksLikeToken(`${token}.more`)).toBe(false);
    expect(
      readIntro(
        await sign(claimsWith(), {}).then((good) => `${unsigned({ alg: 'RS256', crit: ['x'] }, claimsWith())}.${good.split('.')[2]}`),
      ),
    ).toBeUndefined();
  });
});
