import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { importJWK, type JWK, SignJWT } from 'jose';
import { createFakeClock, type FakeClock } from '../lib/clock.ts';
import { openTokens, type Tokens, tokenLifeMs, tokenMaxLength } from './tokens.ts';

let folder: string;
let keyFile: string;
let clock: FakeClock;
let tokens: Tokens;
const scope = { name: 'team/app', actions: ['pull', 'push'] as const, projectId: 7 };
const wanted = { subject: 'user:1', audience: 'here', scopes: [scope], mayListCatalog: false };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-tokens-'));
  keyFile = join(folder, 'token-key.json');
  clock = createFakeClock();
  tokens = await openTokens({ keyFile, clock, audience: 'here' });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function issue(changes: Partial<typeof wanted> = {}): Promise<string> {
  const issued = await tokens.issue({ ...wanted, ...changes });
  if (issued === undefined) throw new Error('no token was made');
  return issued.token;
}

const encode = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const ownKey = (): JWK => JSON.parse(readFileSync(keyFile, 'utf8')) as JWK;

/** A token with our own signature over any claims. */
async function forge(claims: Record<string, unknown>, header: Record<string, unknown> = {}): Promise<string> {
  const seconds = Math.floor(clock.nowMs() / 1000);
  const payload = {
    iss: 'breakwater',
    aud: 'here',
    sub: 'user:1',
    iat: seconds,
    nbf: seconds,
    exp: seconds + 60,
    jti: 'x',
    access: [],
    ...claims,
  };
  for (const [name, value] of Object.entries(payload)) if (value === undefined) delete payload[name as keyof typeof payload];
  return new SignJWT(payload).setProtectedHeader({ alg: 'EdDSA', ...header }).sign(await importJWK(ownKey(), 'EdDSA'));
}

describe('a token', () => {
  test('says who asked and for what, for five minutes', async () => {
    const token = await issue();
    expect(await tokens.verify(token)).toEqual({
      subject: 'user:1',
      scopes: [{ name: 'team/app', actions: ['pull', 'push'], projectId: 7 }],
      mayListCatalog: false,
      expiresAtMs: Math.floor(clock.nowMs() / 1000) * 1000 + tokenLifeMs,
    });
    clock.advance(tokenLifeMs - 1000);
    expect(await tokens.verify(token)).toBeDefined();
    clock.advance(1001);
    expect(await tokens.verify(token)).toBeUndefined();
    clock.advance(60_000);
    expect(await tokens.verify(token)).toBeUndefined();
  });

  test('may carry the right to list the catalog', async () => {
    expect((await tokens.verify(await issue({ mayListCatalog: true })))?.mayListCatalog).toBe(true);
  });

  test('is good after a restart, and worth nothing to another installation', async () => {
    const token = await issue();
    expect(await (await openTokens({ keyFile, clock })).verify(token)).toBeDefined();
    expect(await (await openTokens({ keyFile: join(folder, 'another.json'), clock })).verify(token)).toBeUndefined();
    expect(await (await openTokens({ keyFile, clock, audience: 'elsewhere' })).verify(token)).toBeUndefined();
  });

  test('is not made when it would be too long for a header', async () => {
    const scopes = Array.from({ length: 90 }, (_, index) => ({ ...scope, name: `team/${'n'.repeat(200)}${index}` }));
    expect(await tokens.issue({ ...wanted, scopes })).toBeUndefined();
  });
});

describe('the key', () => {
  test('is made once, and only its owner can read it', () => {
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    expect(ownKey()).toMatchObject({ kty: 'OKP', crv: 'Ed25519' });
  });

  test('is made anew from an empty file, as a crash may leave one', async () => {
    const file = join(folder, 'empty.json');
    writeFileSync(file, '');
    await openTokens({ keyFile: file, clock });
    expect(readFileSync(file, 'utf8')).toContain('Ed25519');
  });

  test('of another kind stops the start with its name', async () => {
    const file = join(folder, 'foreign.json');
    const { d: _private, ...publicPart } = ownKey();
    for (const text of ['{', 'null', '{}', '{"kid":"a"}', JSON.stringify(publicPart), JSON.stringify({ ...ownKey(), d: 'AA' })]) {
      writeFileSync(file, text);
      await expect(openTokens({ keyFile: file, clock })).rejects.toThrow(`${file} is not a signing key of this server`);
    }
  });
});

describe('what is no token of ours', () => {
  test('an altered one, in any character', async () => {
    const token = await issue();
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom('A', 'z', '0', '.', '-', '~', '\0'), async (at, letter) => {
        const altered = `${token.slice(0, at)}${letter}${token.slice(at + 1)}`;
        if (Buffer.from(altered.split('.').at(-1) ?? '', 'base64url').equals(Buffer.from(token.split('.')[2] ?? '', 'base64url'))) {
          fc.pre(altered.split('.').slice(0, 2).join('.') !== token.split('.').slice(0, 2).join('.'));
        }
        expect(await tokens.verify(altered)).toBeUndefined();
      }),
    );
  });

  test('any text at all', async () => {
    await fc.assert(fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => expect(await tokens.verify(text)).toBeUndefined()));
    for (const text of ['', '.', '..', '...', 'a.b.c', 'e30.e30.', `${'.'.repeat(100_000)}`, 'a'.repeat(1_000_000)]) {
      expect(await tokens.verify(text)).toBeUndefined();
    }
  });

  test('one that brings or names a key of its own, or an algorithm', async () => {
    const [, body = ''] = (await issue()).split('.');
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const jwk = publicKey.export({ format: 'jwk' });
    const { d: _private, ...ownPublic } = ownKey();
    const headers: Record<string, unknown>[] = [
      { alg: 'EdDSA', jwk },
      { alg: 'EdDSA', jku: 'http://127.0.0.1:1/keys' },
      { alg: 'EdDSA', x5c: ['AAAA'], x5u: 'http://127.0.0.1:1/cert' },
      { alg: 'EdDSA', kid: '../../etc/passwd' },
      { alg: 'EdDSA', crit: ['exp'] },
    ];
    for (const header of headers) {
      const signed = `${encode(header)}.${body}`;
      expect(await tokens.verify(`${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`)).toBeUndefined();
    }
    for (const alg of ['none', 'None', 'HS256', 'HS512', 'RS256', 'ES256']) {
      const signed = `${encode({ alg })}.${body}`;
      // The public key used as a shared secret.
      const secret = createHmac('sha256', JSON.stringify(ownPublic)).update(signed).digest('base64url');
      for (const signature of ['', secret]) expect(await tokens.verify(`${signed}.${signature}`)).toBeUndefined();
    }
  });

  test('one with missing, extreme or mistyped claims, although the signature is right', async () => {
    expect(await tokens.verify(await forge({}))).toBeDefined();
    const seconds = Math.floor(clock.nowMs() / 1000);
    const wrong: Record<string, unknown>[] = [
      ...['iss', 'aud', 'sub', 'iat', 'nbf', 'exp', 'jti', 'access'].map((name) => ({ [name]: undefined })),
      { iss: 'another' },
      { aud: 'another' },
      { aud: ['another'] },
      { aud: 5 },
      { exp: 'tomorrow' },
      { exp: seconds - 11 },
      { exp: -1 },
      { nbf: seconds + 11 },
      { nbf: 'now' },
      { iat: seconds + 11 },
      { iat: seconds - 1000 },
      { iat: 'now' },
      { iat: 1e300 },
      { access: {} },
      { access: 'repository:team/app:pull' },
      { access: [null] },
      { access: [[]] },
      { access: [{ type: 'repository', name: 5, actions: ['pull'], pid: 7 }] },
      { access: [{ type: 'repository', name: 'team/app', actions: 'pull', pid: 7 }] },
      { access: [{ type: 'repository', name: 'team/app', actions: ['pull'] }] },
      { access: [{ type: 'repository', name: 'team/app', actions: ['pull'], pid: '7' }] },
      { access: [{ type: 'other', name: 'team/app', actions: ['pull'], pid: 7 }] },
      { access: Array.from({ length: 101 }, () => ({ type: 'repository', name: 'a', actions: [], pid: 7 })) },
    ];
    for (const claims of wrong) expect([claims, await tokens.verify(await forge(claims))]).toEqual([claims, undefined]);
  });

  test('one whose actions are none that are known has no rights', async () => {
    const token = await forge({ access: [{ type: 'repository', name: 'team/app', actions: ['*', 'admin', 5, null], pid: 7 }] });
    expect((await tokens.verify(token))?.scopes).toEqual([{ name: 'team/app', actions: [], projectId: 7 }]);
  });

  test('one that is longer than a header may be, although the signature is right', async () => {
    const token = await forge({ padding: 'x'.repeat(tokenMaxLength) });
    expect(await tokens.verify(token)).toBeUndefined();
  });
});
