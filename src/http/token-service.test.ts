import { describe, expect, test } from 'bun:test';
import { testAdmin, testUser } from '../auth/principal-fixture.ts';
import type { NewToken } from '../auth/tokens.ts';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { createTokenService } from './token-service.ts';

const admin = testAdmin();
const user = testUser(2, 'user');
const project = (id: number, name: string, changes: Partial<Project> = {}): Project => ({
  id,
  name,
  kind: 'local',
  isPublic: false,
  registry: undefined,
  allowsSparse: false,
  epoch: 0,
  ownerId: undefined,
  createdAtMs: 0,
  updatedAtMs: 0,
  ...changes,
});
const projects = [
  project(1, 'open', { isPublic: true }),
  project(2, 'closed'),
  project(3, 'docker.io', { kind: 'mirror', isPublic: true, registry: 'docker.io' }),
];

function setUp(options: { anonymousPull?: boolean; isBusy?: boolean; isTooLong?: boolean } = {}) {
  const issued: NewToken[] = [];
  const checked: string[] = [];
  const service = createTokenService({
    tokens: {
      issue: async (wanted) => {
        issued.push(wanted);
        return options.isTooLong === true ? undefined : { token: 'the token', issuedAtMs: 0 };
      },
      verify: async () => undefined,
    },
    logins: {
      isKnown: async (name) => name === 'admin' || name === 'user',
      login: async (name, password) => {
        checked.push(name);
        if (options.isBusy === true) throw new OciError('TOOMANYREQUESTS', 'too many');
        if (password !== 'right') return undefined;
        const principal = name === 'admin' ? admin : name === 'user' ? user : undefined;
        return principal === undefined ? undefined : { principal, method: 'password' };
      },
    },
    policy: { anonymousPull: options.anonymousPull ?? true },
    names: {
      projects: {
        byName: async (name) => projects.find((item) => item.name === name),
        mirrorOf: async (registry) => projects.find((item) => item.registry === registry),
      },
      registries: new Set(['docker.io']),
      rootRegistry: 'docker.io',
    },
    service: 'here',
  });
  const ask = (query: string, login?: string, method = 'GET'): Promise<Response> =>
    service.answer(
      new Request('http://localhost/service/token', {
        method,
        headers: login === undefined ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` },
      }),
      query,
    );
  const post = (form: string, type = 'application/x-www-form-urlencoded'): Promise<Response> =>
    service.answer(new Request('http://localhost/service/token', { method: 'POST', headers: { 'content-type': type }, body: form }), '');
  return { ask, post, issued, checked };
}

/** Subject and scopes of the token that is made, or the code of the refusal. */
async function granted(query: string, login?: string, options: Parameters<typeof setUp>[0] = {}): Promise<string> {
  const { ask, issued } = setUp(options);
  try {
    expect((await ask(query, login)).status).toBe(200);
  } catch (error) {
    if (error instanceof OciError) return error.code;
    throw error;
  }
  const [token] = issued;
  if (token === undefined) throw new Error('no token was made');
  const scopes = token.scopes.map((scope) => `${scope.name}:${scope.actions.join(',')}#${scope.projectId}`);
  return [token.subject, ...scopes, ...(token.mayListCatalog ? ['catalog'] : [])].join(' ');
}

test('the answer has the fields clients read, and is never kept', async () => {
  const response = await setUp().ask('service=here&scope=repository:open/app:pull');
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(await response.json()).toEqual({
    token: 'the token',
    access_token: 'the token',
    expires_in: 300,
    issued_at: '1970-01-01T00:00:00.000Z',
  });
});

describe('what a token holds', () => {
  test('is what was asked for and is allowed', async () => {
    expect(await granted('scope=repository:closed/app:pull,push', 'admin:right')).toBe('user:1 closed/app:pull,push#2');
    expect(await granted('scope=repository:closed/app:*', 'admin:right')).toBe('user:1 closed/app:pull,push,delete#2');
    expect(await granted('scope=repository:open/app:pull,push', 'user:right')).toBe('user:2 open/app:pull#1');
    expect(await granted('scope=repository:closed/app:pull', 'user:right')).toBe('user:2');
    expect(await granted('scope=repository:open/app:pull,push,delete')).toBe('anonymous open/app:pull#1');
    expect(await granted('scope=repository:closed/app:pull')).toBe('anonymous');
    expect(await granted('scope=repository:open/app:pull', undefined, { anonymousPull: false })).toBe('anonymous');
  });

  test('is nothing in a mirror but pulls', async () => {
    expect(await granted('scope=repository:docker.io/library/debian:pull,push', 'admin:right')).toBe(
      'user:1 docker.io/library/debian:pull#3',
    );
    // A name of no project is asked of the root registry.
    expect(await granted('scope=repository:library/debian:pull')).toBe('anonymous library/debian:pull#3');
  });

  test('is of several scopes, however they are written', async () => {
    const both = 'user:1 closed/app:pull,push#2 open/app:pull#1';
    expect(await granted('scope=repository:closed/app:pull,push&scope=repository:open/app:pull', 'admin:right')).toBe(both);
    expect(await granted('scope=repository:closed/app:push,pull%20repository:open/app:pull', 'admin:right')).toBe(both);
  });

  test('is the catalog only for those who logged in and asked', async () => {
    expect(await granted('scope=registry:catalog:*', 'user:right')).toBe('user:2 catalog');
    expect(await granted('scope=registry:catalog:*')).toBe('anonymous');
    expect(await granted('', 'user:right')).toBe('user:2');
  });

  test('is nothing for scopes that make no sense', async () => {
    const odd = [
      '',
      ':',
      'repository',
      'repository:',
      'repository:a',
      'repository::pull',
      'repository:Open/app:pull',
      'repository:open/../closed/x:pull',
    ];
    odd.push('repository(plugin):open/app:pull', 'repository:open/app:PULL', 'repository:open/app:', 'x:open/app:pull', '__proto__:a:pull');
    for (const scope of odd) expect([scope, await granted(`scope=${encodeURIComponent(scope)}`)]).toEqual([scope, 'anonymous']);
  });
});

describe('a login that is none of ours', () => {
  const pull = 'scope=repository:open/app:pull';

  test('is an anonymous client when it only pulls what is public: Docker sends its Docker Hub login to a mirror', async () => {
    expect(await granted(pull, 'hub-user:hub-password')).toBe('anonymous open/app:pull#1');
    expect(await granted('scope=repository:library/debian:pull', 'hub-user:hub-password')).toBe('anonymous library/debian:pull#3');
    const { ask, checked } = setUp();
    await ask(pull, 'hub-user:hub-password');
    expect(checked).toEqual([]);
  });

  test('is one, too, when the name happens to be known here', async () => {
    expect(await granted(pull, 'user:hub-password')).toBe('anonymous open/app:pull#1');
    expect(await granted(pull, 'user:right')).toBe('user:2 open/app:pull#1');
    expect(await granted(pull, 'user:right', { isBusy: true })).toBe('anonymous open/app:pull#1');
  });

  test('is refused for everything else', async () => {
    const other = [
      '',
      'scope=',
      'service=here&account=hub-user',
      'scope=repository:open/app:pull,push',
      'scope=repository:open/app:push',
      'scope=repository:open/app:*',
      'scope=repository:open/app:',
      'scope=repository:closed/app:pull',
      'scope=repository:NAME:pull',
      'scope=registry:catalog:*',
      `${pull}&scope=registry:catalog:*`,
      `${pull}&scope=repository:closed/app:pull`,
      `${pull}&scope=repository:open/app:push`,
    ];
    for (const query of other) {
      for (const login of ['hub-user:hub-password', 'user:hub-password', 'user:']) {
        expect([query, login, await granted(query, login)]).toEqual([query, login, 'UNAUTHORIZED']);
      }
    }
    expect(await granted(pull, 'hub-user:hub-password', { anonymousPull: false })).toBe('UNAUTHORIZED');
    expect(await granted('', 'user:right', { isBusy: true })).toBe('TOOMANYREQUESTS');
  });
});

describe('a request for a token', () => {
  test('is a GET', async () => {
    for (const method of ['PUT', 'DELETE']) {
      await expect(setUp().ask('', undefined, method)).rejects.toMatchObject({
        code: 'METHOD_NOT_ALLOWED',
        detail: { allowed: ['GET', 'POST'] },
      });
    }
  });

  test('with too many scopes is refused, also when they are few and long', async () => {
    const scopes = Array.from({ length: 51 }, (_, index) => `scope=repository:open/app${index}:pull`).join('&');
    expect(await granted(scopes)).toBe('BAD_REQUEST');
    expect(await granted('scope=repository:open/app:pull', undefined, { isTooLong: true })).toBe('BAD_REQUEST');
  });
});

describe('a form, as containerd sends it first', () => {
  const form = (more: Record<string, string>): string =>
    new URLSearchParams({
      grant_type: 'password',
      service: 'here',
      client_id: 'containerd',
      username: 'user',
      password: 'right',
      ...more,
    }).toString();

  test('gets the token that GET with Basic would', async () => {
    const { post, issued } = setUp();
    const response = await post(`${form({ scope: 'repository:open/app:pull', access_type: 'offline' })}&scope=repository:closed/app:pull`);
    expect(response.status).toBe(200);
    const body = (await response.json()) as Record<string, unknown>;
    expect(body).toMatchObject({ access_token: 'the token', expires_in: 300 });
    expect(body).not.toHaveProperty('refresh_token');
    expect(issued.map((token) => [token.subject, token.scopes.map((scope) => scope.name)])).toEqual([['user:2', ['open/app']]]);
  });

  test('with a wrong password gets none', async () => {
    const { post, issued } = setUp();
    for (const wrong of [{ password: 'wrong' }, { username: 'nobody' }, { username: 'user:x' }, { password: 'right\u0000' }])
      await expect(post(form(wrong))).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    expect(issued).toEqual([]);
  });

  test('of another kind is told so, and falls back to GET', async () => {
    const { post, checked } = setUp();
    const codeOf = async (body: string, type?: string) => {
      const response = await post(body, type);
      return [response.status, ((await response.json()) as { error: string }).error];
    };
    expect(await codeOf(form({ grant_type: 'refresh_token', refresh_token: 'x' }))).toEqual([400, 'unsupported_grant_type']);
    expect(await codeOf('grant_type=password&username=user')).toEqual([400, 'invalid_request']);
    expect(await codeOf('{}', 'application/json')).toEqual([400, 'invalid_request']);
    await expect(post('x'.repeat(20_000))).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
    expect(checked).toEqual([]);
  });
});
