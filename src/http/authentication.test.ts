import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { RepositoryTarget } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import { testAdmin, testUser } from '../auth/principal-fixture.ts';
import type { TokenClaims } from '../auth/tokens.ts';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { requireRepositoryName } from '../oci/reference.ts';
import { challenge, createAuthentication, parseBasic } from './authentication.ts';

const anna = testAdmin(1, 'anna');
const basic = (text: string | Uint8Array): string => `Basic ${Buffer.from(text).toString('base64')}`;

function setUp(claims: Partial<TokenClaims> = {}) {
  const checked: string[] = [];
  const state = { account: anna as Principal | undefined };
  const authentication = createAuthentication({
    tokens: {
      issue: async () => undefined,
      verify: async (token) =>
        token === 'good' ? { subject: 'user:1', epoch: 0, scopes: [], mayListCatalog: false, expiresAtMs: 0, ...claims } : undefined,
    },
    logins: {
      login: async (name, password) => {
        checked.push(`${name} ${password}`);
        return name === 'anna' && password === 'right' ? { principal: anna, method: 'password' } : undefined;
      },
      isKnown: async () => true,
    },
    policy: { anonymousPull: true },
    principals: { byKey: async () => state.account },
  });
  return { authentication, checked, state };
}

async function refusal(act: () => unknown): Promise<{ code: string; detail: unknown }> {
  try {
    await act();
  } catch (error) {
    if (error instanceof OciError) return { code: error.code, detail: error.detail };
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('who asks', () => {
  test('nobody, without a header', async () => {
    expect(await setUp().authentication.identify(null)).toEqual({ principal: { kind: 'anonymous' }, method: 'anonymous' });
    expect(await setUp().authentication.identify(null, () => '10.0.0.1')).toEqual({
      principal: { kind: 'anonymous', address: '10.0.0.1' },
      method: 'anonymous',
      address: '10.0.0.1',
    });
  });

  test('the user of a Basic login; a password may hold colons, any letters and none', async () => {
    const { authentication, checked } = setUp();
    expect(await authentication.identify(basic('anna:right'))).toEqual({ principal: anna, method: 'password' });
    expect(await authentication.identify(`bAsIc   ${Buffer.from('anna:right').toString('base64')} `)).toMatchObject({ principal: anna });
    for (const login of ['anna:a:b', 'anna:ünïcode 密码', 'anna:', ':right', 'robot$x:y']) {
      expect((await refusal(() => authentication.identify(basic(login)))).code).toBe('UNAUTHORIZED');
      expect(checked.at(-1)).toBe(login.replace(':', ' '));
    }
  });

  test('nobody it can tell, for credentials that cannot be read; they are not even checked', async () => {
    const { authentication, checked } = setUp();
    const odd = [
      '',
      ' ',
      'Basic',
      'Basic ',
      'Bearer',
      'Basic %%%',
      'Basic AAAA=AAAA',
      basic('no colon'),
      basic('anna\0:right'),
      basic('anna:ri\0ght'),
      basic('anna:right\n'),
      basic(new Uint8Array([0x61, 0x3a, 0xff, 0xfe])),
      basic(`anna:${'x'.repeat(10_000)}`),
      `Basic ${'A'.repeat(1_000_000)}`,
      'Digest username="anna"',
      'Negotiate abc',
      'Bearer bad',
      `Bearer ${'.'.repeat(100_000)}`,
      `Bearer${'\u00a0'}good`,
    ];
    for (const header of odd)
      expect([header.slice(0, 40), await refusal(() => authentication.identify(header))]).toMatchObject([
        header.slice(0, 40),
        { code: 'UNAUTHORIZED' },
      ]);
    expect(checked).toEqual([]);
  });

  test('is not guessed when a request brings two logins', async () => {
    const { authentication } = setUp();
    for (const header of [
      'Bearer good, Bearer good',
      `${basic('anna:right')}, ${basic('anna:right')}`,
      `Bearer good, ${basic('anna:right')}`,
    ]) {
      expect((await refusal(() => authentication.identify(header))).code).toBe('BAD_REQUEST');
    }
  });

  test('any header at all gives a caller or a coded error', async () => {
    const { authentication } = setUp();
    const header = fc
      .tuple(fc.constantFrom('', 'Basic ', 'Bearer ', 'basic', ' '), fc.string({ unit: 'binary' }))
      .map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(header, async (text) => {
        const outcome = await authentication.identify(text).catch((error: unknown) => error);
        expect(outcome instanceof OciError || (typeof outcome === 'object' && outcome !== null && 'principal' in outcome)).toBe(true);
      }),
    );
  });
});

describe('the subject of a token', () => {
  test('is looked up each time', async () => {
    const { authentication, state } = setUp();
    expect(await authentication.identify('Bearer good')).toMatchObject({ principal: anna, method: 'token' });
    state.account = undefined;
    expect(await refusal(() => authentication.identify('Bearer good'))).toEqual({
      code: 'UNAUTHORIZED',
      detail: { reason: 'invalid_token' },
    });
  });
});

describe('a token opens', () => {
  const project: Project = {
    id: 7,
    name: 'team',
    kind: 'local',
    isPublic: false,
    registry: undefined,
    allowsSparse: false,
    epoch: 0,
    ownerId: undefined,
    createdAtMs: 0,
    updatedAtMs: 0,
  };
  const target: RepositoryTarget = { project, name: requireRepositoryName('team/app') };
  const scope = { name: 'team/app', actions: ['pull', 'push'] as const, projectId: 7, projectEpoch: 0 };
  const insufficient = { code: 'UNAUTHORIZED', detail: { reason: 'insufficient_scope' } };

  async function callerWith(scopes: TokenClaims['scopes']) {
    const { authentication } = setUp({ scopes });
    return { authentication, caller: await authentication.identify('Bearer good') };
  }

  test('what its scope names, under the name it was asked for', async () => {
    const { authentication, caller } = await callerWith([scope]);
    expect(authentication.admit(caller, 'push', target, 'team/app')).toMatchObject({ target });
    expect(await refusal(() => authentication.admit(caller, 'delete', target, 'team/app'))).toEqual(insufficient);
    expect(await refusal(() => authentication.admit(caller, 'pull', target, 'team/app2'))).toEqual(insufficient);
    expect(await refusal(() => authentication.admit(caller, 'pull', target, 'team'))).toEqual(insufficient);
  });

  test('no project made anew under its name, except for what everybody may pull', async () => {
    const { authentication, caller } = await callerWith([{ ...scope, projectId: 6 }]);
    expect(await refusal(() => authentication.admit(caller, 'pull', target, 'team/app'))).toEqual(insufficient);
    expect(await refusal(() => authentication.admit(caller, 'push', target, 'team/app'))).toEqual(insufficient);
    const open = { ...target, project: { ...project, isPublic: true } };
    expect(authentication.admit(caller, 'pull', open, 'team/app')).toMatchObject({ target: open });
    expect(await refusal(() => authentication.admit(caller, 'push', open, 'team/app'))).toEqual(insufficient);
  });

  test('nothing of a project whose epoch has passed, nor of an account whose epoch has', async () => {
    const { authentication, caller } = await callerWith([scope]);
    const later = { ...target, project: { ...project, epoch: project.epoch + 1 } };
    expect(await refusal(() => authentication.admit(caller, 'push', later, 'team/app'))).toEqual(insufficient);
    const { authentication: other, state } = setUp({ scopes: [scope] });
    state.account = { ...anna, epoch: 1 } as Principal;
    expect(await refusal(() => other.identify('Bearer good'))).toMatchObject({ detail: { reason: 'invalid_token' } });
  });

  test('nothing that its principal may not do now', async () => {
    const { authentication, state } = setUp({ scopes: [scope] });
    state.account = testUser(1, 'anna');
    const caller = await authentication.identify('Bearer good');
    expect((await refusal(() => authentication.admit(caller, 'push', target, 'team/app'))).code).toBe('DENIED');
  });

  test('the catalog only when it was asked for that', async () => {
    const without = setUp().authentication;
    expect(await refusal(async () => without.admitCatalog(await without.identify('Bearer good')))).toEqual(insufficient);
    const having = setUp({ mayListCatalog: true }).authentication;
    having.admitCatalog(await having.identify('Bearer good'));
    having.admitCatalog(await having.identify(basic('anna:right')));
    expect((await refusal(async () => having.admitCatalog(await having.identify(null)))).code).toBe('UNAUTHORIZED');
  });
});

test('credentials in the alphabet of URLs are read as well', () => {
  expect(parseBasic(Buffer.from('a:???>>>').toString('base64url'))).toEqual({ name: 'a', password: '???>>>' });
});

test('a challenge names realm, service, scope and error', () => {
  expect(
    challenge({ origin: 'https://a.example', service: 'a.example', scope: 'repository:team/app:pull', reason: 'insufficient_scope' }),
  ).toBe('Bearer realm="https://a.example/service/token",service="a.example",scope="repository:team/app:pull",error="insufficient_scope"');
});
