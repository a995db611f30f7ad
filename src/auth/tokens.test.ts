import { beforeAll, describe, expect, test } from 'bun:test';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { importJWK, type JWK, SignJWT } from 'jose';
import { createFakeClock, type FakeClock } from '../lib/clock.ts';
import { headerOf, keyAgeMaxMs } from './token-keys.ts';
import { memoryKeyStore, temporaryKeys } from './token-keys-fixture.ts';
import { createTokens, type Tokens, tokenLifeMs, tokenMaxLength, tokenOverlapMs } from './tokens.ts';

let store: ReturnType<typeof memoryKeyStore>;
let clock: FakeClock;
let tokens: Tokens;
const scope = { name: 'team/app', actions: ['pull', 'push'] as const, projectId: 7, projectEpoch: 2 };
const wanted = { subject: 'user:1', epoch: 3, audience: 'here', scopes: [scope], mayListCatalog: false };

beforeAll(async () => {
  clock = createFakeClock();
  store = memoryKeyStore(clock);
  tokens = createTokens({ keys: await temporaryKeys(clock, store), clock, audience: 'here' });
});

async function issue(changes: Partial<typeof wanted> = {}): Promise<string> {
  const issued = await tokens.issue({ ...wanted, ...changes });
  if (issued === undefined) throw new Error('no token was made');
  return issued.token;
}

const encode = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const ownKey = (): JWK => JSON.parse(store.rows[0]?.privateKey ?? '') as JWK;
const ownHeader = () => headerOf(store.rows[0]?.id ?? '');

/** A token with our own signature over any claims. */
async function forge(claims: Record<string, unknown>, header: object = ownHeader()): Promise<string> {
  const seconds = Math.floor(clock.nowMs() / 1000);
  const payload = {
    iss: 'breakwater',
    aud: 'here',
    sub: 'user:1',
    iat: seconds,
    nbf: seconds,
    exp: seconds + 60,
    jti: 'x',
    ep: 3,
    access: [],
    ...claims,
  };
  for (const [name, value] of Object.entries(payload)) if (value === undefined) delete payload[name as keyof typeof payload];
  return new SignJWT(payload).setProtectedHeader(header as { alg: string }).sign(await importJWK(ownKey(), 'EdDSA'));
}

describe('a token', () => {
  test('says who asked and for what, for five minutes', async () => {
    const token = await issue();
    expect(await tokens.verify(token)).toEqual({
      subject: 'user:1',
      epoch: 3,
      scopes: [{ name: 'team/app', actions: ['pull', 'push'], projectId: 7, projectEpoch: 2 }],
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
    const again = await temporaryKeys(clock, store);
    expect(await createTokens({ keys: again, clock }).verify(token)).toBeDefined();
    expect(await createTokens({ keys: await temporaryKeys(clock), clock }).verify(token)).toBeUndefined();
    expect(await createTokens({ keys: again, clock, audience: 'elsewhere' }).verify(token)).toBeUndefined();
  });

  test('is not made when it would be too long for a header', async () => {
    const scopes = Array.from({ length: 90 }, (_, index) => ({ ...scope, name: `team/${'n'.repeat(200)}${index}` }));
    expect(await tokens.issue({ ...wanted, scopes })).toBeUndefined();
  });
});

describe('the keys', () => {
  async function servers() {
    const time = createFakeClock();
    const shared = memoryKeyStore(time);
    const open = async () => {
      const keys = await temporaryKeys(time, shared);
      const made = createTokens({ keys, clock: time, audience: 'here' });
      return { keys, verify: made.verify, issue: async () => (await made.issue(wanted))?.token ?? '' };
    };
    return { time, shared, one: await open(), two: await open(), open };
  }
  const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

  test('are shared: what one server signs another believes, also with a key it has not seen yet', async () => {
    const { time, one, two } = await servers();
    expect(two.keys.signer().id).toBe(one.keys.signer().id);
    expect(await two.verify(await one.issue())).toBeDefined();
    await one.keys.rotate();
    time.advance(1000);
    expect(await two.verify(await one.issue())).toBeDefined();
  });

  test('SEC-B06: a replaced one is believed until the last token of it has ended, and is gone then', async () => {
    const { time, shared, one, two } = await servers();
    const before = await one.issue();
    const old = one.keys.signer().id;
    await one.keys.rotate();
    expect(one.keys.signer().id).not.toBe(old);
    for (const server of [one, two]) expect(await server.verify(before)).toBeDefined();
    time.advance(tokenLifeMs - 2000);
    // Another server may have signed with the old key until just now.
    expect(one.keys.list()).toHaveLength(2);
    expect(await one.verify(before)).toBeDefined();
    time.advance(tokenOverlapMs);
    expect(one.keys.isActive(old)).toBe(false);
    expect(one.keys.list()).toHaveLength(1);
    expect(shared.rows.find((row) => row.id === old)?.retiresAtMs).toBeLessThan(time.nowMs());
  });

  test('a revoked one is worth nothing at once here, and within seconds elsewhere', async () => {
    const { time, one, two } = await servers();
    const before = await one.issue();
    for (const server of [one, two]) expect(await server.verify(before)).toBeDefined();
    await one.keys.rotate({ revoke: true });
    expect(await one.verify(before)).toBeUndefined();
    time.advance(3000);
    await two.verify(before);
    await settle();
    expect(await two.verify(before)).toBeUndefined();
    expect(await two.verify(await one.issue())).toBeDefined();
  });

  test('are changed every thirty days, once however many servers notice', async () => {
    const { time, shared, one, two } = await servers();
    const old = one.keys.signer().id;
    time.advance(keyAgeMaxMs + 1000);
    for (const server of [one, two]) server.keys.signer();
    await settle();
    expect(one.keys.signer().id).not.toBe(old);
    expect(two.keys.signer().id).toBe(one.keys.signer().id);
    expect(shared.rows).toHaveLength(2);
  });

  test('headers nobody knows do not make a server read the keys for each of them', async () => {
    const { time, shared, one } = await servers();
    let reads = 0;
    const list = shared.list;
    shared.list = () => {
      reads++;
      return list();
    };
    time.advance(1000);
    for (let index = 0; index < 1000; index++) await one.verify(`${encode({ alg: 'EdDSA', kid: `${index}`, typ: 'JWT' })}.e30.AAAA`);
    expect(reads).toBe(1);
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

  test('SEC-B04: any text at all, however long, with however many dots', async () => {
    await fc.assert(fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => expect(await tokens.verify(text)).toBeUndefined()));
    for (const text of ['', '.', '..', '...', 'a.b.c', 'e30.e30.', `${'.'.repeat(100_000)}`, 'a'.repeat(1_000_000)]) {
      expect(await tokens.verify(text)).toBeUndefined();
    }
  });

  test('SEC-B01, SEC-B02: one that brings or names a key of its own, or an algorithm', async () => {
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
      { ...ownHeader(), jwk },
      { ...ownHeader(), alg: 'Ed25519' },
      { kid: ownHeader().kid, alg: 'EdDSA', typ: 'JWT' },
    ];
    for (const header of headers) {
      const signed = `${encode(header)}.${body}`;
      expect(await tokens.verify(`${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`)).toBeUndefined();
    }
    for (const header of headers) expect(await tokens.verify(await forge({}, header).catch(() => ''))).toBeUndefined();
    for (const alg of ['none', 'None', 'HS256', 'HS512', 'RS256', 'ES256']) {
      const signed = `${encode({ ...ownHeader(), alg })}.${body}`;
      // The public key used as a shared secret.
      const secret = createHmac('sha256', JSON.stringify(ownPublic)).update(signed).digest('base64url');
      for (const signature of ['', secret]) expect(await tokens.verify(`${signed}.${signature}`)).toBeUndefined();
    }
  });

  test('SEC-B03: one with missing, extreme or mistyped claims, although the signature is right', async () => {
    expect(await tokens.verify(await forge({}))).toBeDefined();
    const seconds = Math.floor(clock.nowMs() / 1000);
    const wrong: Record<string, unknown>[] = [
      ...['iss', 'aud', 'sub', 'iat', 'nbf', 'exp', 'jti', 'access', 'ep'].map((name) => ({ [name]: undefined })),
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
      { ep: '3' },
      { ep: -1 },
      { ep: 1.5 },
      { access: {} },
      { access: 'repository:team/app:pull' },
      { access: [null] },
      { access: [[]] },
      { access: [{ type: 'repository', name: 5, actions: ['pull'], pid: 7 }] },
      { access: [{ type: 'repository', name: 'team/app', actions: 'pull', pid: 7 }] },
      { access: [{ type: 'repository', name: 'team/app', actions: ['pull'] }] },
      { access: [{ type: 'repository', name: 'team/app', actions: ['pull'], pid: '7' }] },
      { access: [{ type: 'repository', name: 'team/app', actions: ['pull'], pid: 7 }] },
      { access: [{ type: 'repository', name: 'team/app', actions: ['pull'], pid: 7, pep: '0' }] },
      { access: [{ type: 'other', name: 'team/app', actions: ['pull'], pid: 7 }] },
      { access: Array.from({ length: 101 }, () => ({ type: 'repository', name: 'a', actions: [], pid: 7 })) },
    ];
    for (const claims of wrong) expect([claims, await tokens.verify(await forge(claims))]).toEqual([claims, undefined]);
  });

  test('one whose actions are none that are known has no rights', async () => {
    const token = await forge({ access: [{ type: 'repository', name: 'team/app', actions: ['*', 'admin', 5, null], pid: 7, pep: 0 }] });
    expect((await tokens.verify(token))?.scopes).toEqual([{ name: 'team/app', actions: [], projectId: 7, projectEpoch: 0 }]);
  });

  test('one that is longer than a header may be, although the signature is right', async () => {
    const token = await forge({ padding: 'x'.repeat(tokenMaxLength) });
    expect(await tokens.verify(token)).toBeUndefined();
  });
});
