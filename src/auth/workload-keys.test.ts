import { describe, expect, test } from 'bun:test';
import { exportJWK, generateKeyPair } from 'jose';
import { createFakeClock } from '../lib/clock.ts';
import type { OutboundCall } from '../upstream/outbound-call.ts';
import { createWorkloadKeySets, readKeySet } from './workload-keys.ts';

const issuer = 'https://ci.example';
const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
const jwk = { ...(await exportJWK(publicKey)), kid: 'k1' };
const owner = { issuer, keys: { allowPrivate: false } };
const discoveryUrl = `${issuer}/.well-known/openid-configuration`;

function setUp(answers: Record<string, unknown> = {}) {
  const clock = createFakeClock();
  const pages: Record<string, unknown> = {
    [discoveryUrl]: { issuer, jwks_uri: `${issuer}/keys` },
    [`${issuer}/keys`]: { keys: [jwk] },
    ...answers,
  };
  const asked: string[] = [];
  const call: OutboundCall = async (_target, { url }) => {
    asked.push(url);
    const page = pages[url];
    if (page instanceof Error) throw page;
    const bytes = new TextEncoder().encode(typeof page === 'string' ? page : JSON.stringify(page ?? {}));
    return { status: page === undefined ? 404 : 200, headers: new Headers(), bytes };
  };
  return { clock, asked, pages, keySets: createWorkloadKeySets({ call, clock }) };
}

describe('the keys of an issuer', () => {
  test('come from where its discovery document says, once for ten minutes and once for many askers', async () => {
    const { clock, asked, keySets } = setUp();
    await Promise.all([1, 2, 3].map(() => keySets.keysFor(owner, { kid: 'k1' })));
    await keySets.keysFor(owner, { kid: 'k1' });
    expect(asked).toEqual([discoveryUrl, `${issuer}/keys`]);
    clock.advance(11 * 60 * 1000);
    await keySets.keysFor(owner, { kid: 'k1' });
    expect(asked.length).toBe(4);
  });

  test('are fetched again for a key id nobody knows, but at most once a minute', async () => {
    const { clock, asked, keySets } = setUp();
    await keySets.keysFor(owner, { kid: 'k1' });
    for (let turn = 0; turn < 20; turn++) await keySets.keysFor(owner, { kid: `made-up-${turn}` });
    expect(asked.length).toBe(2);
    clock.advance(61_000);
    for (let turn = 0; turn < 20; turn++) await keySets.keysFor(owner, { kid: `made-up-${turn}` });
    expect(asked.length).toBe(4);
  });

  test('stay in use for a day while the issuer does not answer, and then no longer', async () => {
    const { clock, pages, keySets } = setUp();
    await keySets.keysFor(owner, { kid: 'k1' });
    pages[discoveryUrl] = new Error('no route to host');
    clock.advance(23 * 60 * 60 * 1000);
    await keySets.keysFor(owner, { kid: 'k1' });
    clock.advance(2 * 60 * 60 * 1000);
    await expect(keySets.keysFor(owner, { kid: 'k1' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('after a failure the issuer rests for ten seconds', async () => {
    const { clock, asked, pages, keySets } = setUp({ [discoveryUrl]: new Error('down') });
    for (let turn = 0; turn < 5; turn++)
      await keySets.keysFor(owner, { kid: 'k1' }).then(
        () => expect.unreachable(),
        (error) => expect(error).toMatchObject({ code: 'UNAVAILABLE' }),
      );
    expect(asked.length).toBe(1);
    pages[discoveryUrl] = { issuer, jwks_uri: `${issuer}/keys` };
    clock.advance(11_000);
    await keySets.keysFor(owner, { kid: 'k1' });
    expect(asked.length).toBe(3);
  });

  test.each<[string, Record<string, unknown>]>([
    ['the document is of another issuer', { [discoveryUrl]: { issuer: 'https://evil.example', jwks_uri: `${issuer}/keys` } }],
    ['the keys are not at an https address', { [discoveryUrl]: { issuer, jwks_uri: 'http://ci.example/keys' } }],
    ['the keys are at no address', { [discoveryUrl]: { issuer } }],
    ['the document is no JSON', { [discoveryUrl]: '<html>' }],
    ['the key set is none', { [`${issuer}/keys`]: { keys: 'x' } }],
    ['the key set is empty', { [`${issuer}/keys`]: { keys: [] } }],
    ['the keys are shared secrets', { [`${issuer}/keys`]: { keys: [{ kty: 'oct', k: 'c2VjcmV0' }] } }],
    ['the issuer has none', { [`${issuer}/keys`]: undefined }],
  ])('cannot be had when %s', async (_what, answers) => {
    const { keySets } = setUp(answers);
    await expect(keySets.keysFor(owner, { kid: 'k1' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('that stand in the rule need no request', async () => {
    const { asked, keySets } = setUp();
    await keySets.keysFor({ issuer, keys: { allowPrivate: false, jwks: JSON.stringify({ keys: [jwk] }) } }, { kid: 'k1' });
    expect(asked).toEqual([]);
  });

  test('may not be private ones', async () => {
    const secret = await exportJWK(privateKey);
    expect(() => readKeySet({ keys: [secret] })).toThrow(/private keys/);
  });
});
