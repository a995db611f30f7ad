// Logins: the challenge, tokens, Basic, and what each of them opens. Skipped on a registry that asks for no login.
// Implements the Docker Registry v2 token authentication specification, RFC 6750 section 3, RFC 7617, and distribution-spec v1.1 end-1.

import {
  blobPath,
  closeRequest,
  manifestPath,
  prepareImage,
  pushBlob,
  pushImage,
  putManifestRequest,
  startUpload,
  uploadsPath,
} from '../actions.ts';
import { basicAuthorization, type Challenge, parseChallenge, type WireResponse } from '../client.ts';
import { mediaTypes, randomBlob } from '../content.ts';
import { check, expectBytes, expectError, expectStatus, requireHeader } from '../expect.ts';
import { type CaseContext, requireLogin, spec, type WireCase } from '../wire-case.ts';

const support = spec('Determining support', 'end-1');
const challengeClause = 'Docker token authentication specification "Requesting a Token"';
const tokenClause = 'Docker token authentication specification "Token Response Fields"';
const scopeClause = 'RFC 6750 section 3.1 (insufficient_scope)';

export const authenticationCases: readonly WireCase[] = [
  {
    id: 'auth.base-without-login-answers-a-bearer-challenge',
    level: 'PROMISE',
    clause: support,
    run: async (context) => {
      await requireLogin(context);
      const response = await context.send({ method: 'GET', path: '/v2/', as: 'anonymous' });
      expectError(response, 401, 'UNAUTHORIZED');
      const challenge = challengeOf(response);
      check(/^https?:\/\//.test(challenge.parameters.get('realm') ?? ''), `${response.title}: the realm is no URL`);
      check((challenge.parameters.get('service') ?? '') !== '', `${response.title}: no service`);
    },
  },
  {
    id: 'auth.base-opens-to-basic',
    level: 'PROMISE',
    clause: support,
    run: async (context) => {
      await requireLogin(context);
      expectStatus(await context.send({ method: 'GET', path: '/v2/', as: 'basic' }), 200);
    },
  },
  {
    id: 'auth.base-opens-to-a-token',
    level: 'MUST',
    clause: support,
    run: async (context) => {
      const login = await requireLogin(context);
      const { token } = await context.client.requestToken({ scopes: [], ...login });
      expectStatus(await context.send({ method: 'GET', path: '/v2/', as: bearer(token) }), 200);
    },
  },
  {
    id: 'auth.base-refuses-a-wrong-password',
    level: 'MUST',
    clause: support,
    run: async (context) => {
      const { username } = await requireLogin(context);
      const as = { authorization: basicAuthorization(username, `wrong-${randomBlob(4).digest}`) };
      const response = await context.send({ method: 'GET', path: '/v2/', as });
      expectError(response, 401, 'UNAUTHORIZED');
      challengeOf(response);
    },
  },
  {
    id: 'auth.malformed-authorization-answers-401',
    level: 'MUST',
    clause: 'RFC 9110 11.6.2',
    run: async (context) => {
      await requireLogin(context);
      for (const authorization of ['Basic !!!', 'Basic', 'Bearer', 'Bearer not.a.token', 'Digest username="x"']) {
        expectError(await context.send({ method: 'GET', path: '/v2/', as: { authorization } }), 401, 'UNAUTHORIZED');
      }
    },
  },
  {
    id: 'auth.two-authorization-headers-are-refused',
    level: 'PROMISE',
    clause: 'RFC 9110 5.3 (a field that is no list comes once)',
    run: async (context) => {
      const { username, password } = await requireLogin(context);
      const headers = [['Authorization', basicAuthorization(username, password)]] as const;
      const as = { authorization: basicAuthorization('nobody', 'nothing') };
      expectError(await context.send({ method: 'GET', path: '/v2/', headers, as }), [400, 401]);
    },
  },
  {
    id: 'auth.token-answer-has-its-fields',
    level: 'MUST',
    clause: tokenClause,
    run: async (context) => {
      const login = await requireLogin(context);
      const answer = await context.client.requestToken({ scopes: [`repository:${context.repository}:pull,push`], ...login });
      check(answer.status === 200 && answer.token !== undefined, `the token service answers ${answer.status} without a token`);
      const seconds = answer.json?.['expires_in'];
      check(typeof seconds === 'number' && seconds >= 60, `expires_in is ${String(seconds)}`);
      const issued = answer.json?.['issued_at'];
      check(typeof issued === 'string' && !Number.isNaN(Date.parse(issued)), `issued_at is ${String(issued)}`);
    },
  },
  {
    id: 'auth.token-service-refuses-a-wrong-password',
    level: 'MUST',
    clause: challengeClause,
    run: async (context) => {
      const { username } = await requireLogin(context);
      const wrong = { username, password: 'wrong' };
      const push = await context.client.requestToken({ scopes: [`repository:${context.repository}:pull,push`], ...wrong });
      check(push.status === 401 && push.token === undefined, `a wrong password with a push scope is answered ${push.status}`);
      const login = await context.client.requestToken({ scopes: [], ...wrong });
      check(login.status === 401 && login.token === undefined, `a wrong password without a scope is answered ${login.status}`);
    },
  },
  ...challenged('upload', 'push', (context) => ({ method: 'POST', path: uploadsPath(context.repository) })),
  ...challenged('manifest-put', 'push', (context) => ({ method: 'PUT', path: manifestPath(context.repository, 'v1'), body: '{}' })),
  ...challenged('manifest-delete', 'delete', (context) => ({ method: 'DELETE', path: manifestPath(context.repository, 'v1') })),
  {
    id: 'auth.anonymous-push-changes-nothing',
    level: 'MUST',
    clause: challengeClause,
    run: async (context) => {
      await requireLogin(context);
      const { manifest } = await prepareImage(context);
      const request = putManifestRequest(context.repository, 'v1', manifest);
      expectStatus(await context.send({ ...request, as: 'anonymous' }), 401);
      expectStatus(await context.send({ method: 'HEAD', path: manifestPath(context.repository, 'v1') }), 404);
    },
  },
  {
    id: 'auth.anonymous-client-cannot-continue-a-session',
    level: 'MUST',
    clause: challengeClause,
    run: async (context) => {
      await requireLogin(context);
      const blob = randomBlob(10);
      const location = await startUpload(context);
      expectStatus(await context.send({ ...closeRequest(location, blob.digest, blob.bytes), as: 'anonymous' }), 401);
      expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, blob.digest) }), 404);
    },
  },
  {
    id: 'auth.push-by-challenge-and-token',
    level: 'MUST',
    clause: challengeClause,
    run: async (context) => {
      const login = await requireLogin(context);
      const path = uploadsPath(context.repository);
      const scope = challengeOf(await context.send({ method: 'POST', path, as: 'anonymous' })).parameters.get('scope');
      const { token } = await context.client.requestToken({ scopes: [scope ?? ''], ...login });
      const opened = await context.send({ method: 'POST', path, as: bearer(token) });
      expectStatus(opened, 202);
      const blob = randomBlob(100);
      const close = closeRequest(requireHeader(opened, 'Location'), blob.digest, blob.bytes);
      expectStatus(await context.send({ ...close, as: bearer(token) }), 201);
      expectBytes(await context.send({ method: 'GET', path: blobPath(context.repository, blob.digest), as: bearer(token) }), blob.bytes);
    },
  },
  {
    id: 'auth.push-by-basic',
    level: 'PROMISE',
    clause: 'RFC 7617, end-4, end-6',
    run: async (context) => {
      await requireLogin(context);
      const opened = await context.send({ method: 'POST', path: uploadsPath(context.repository), as: 'basic' });
      expectStatus(opened, 202);
      const blob = randomBlob(100);
      const close = closeRequest(requireHeader(opened, 'Location'), blob.digest, blob.bytes);
      expectStatus(await context.send({ ...close, as: 'basic' }), 201);
      expectBytes(await context.send({ method: 'GET', path: blobPath(context.repository, blob.digest), as: 'basic' }), blob.bytes);
    },
  },
  {
    id: 'auth.pull-token-cannot-push',
    level: 'MUST',
    clause: scopeClause,
    run: async (context) => {
      const login = await requireLogin(context);
      const { token } = await context.client.requestToken({ scopes: [`repository:${context.repository}:pull`], ...login });
      const response = await context.send({ method: 'POST', path: uploadsPath(context.repository), as: bearer(token) });
      expectError(response, 401, ['UNAUTHORIZED', 'DENIED']);
      const challenge = challengeOf(response);
      check(
        challenge.parameters.get('error') === 'insufficient_scope',
        `${response.title}: error is ${String(challenge.parameters.get('error'))}`,
      );
      checkScope(response, challenge, context.repository, 'push');
    },
  },
  {
    id: 'auth.token-of-another-repository-cannot-push',
    level: 'MUST',
    clause: scopeClause,
    run: async (context) => {
      const login = await requireLogin(context);
      const { token } = await context.client.requestToken({
        scopes: [`repository:${context.repositoryNamed('other')}:pull,push`],
        ...login,
      });
      expectStatus(await context.send({ method: 'POST', path: uploadsPath(context.repository), as: bearer(token) }), 401);
    },
  },
  {
    id: 'auth.altered-token-is-refused',
    level: 'MUST',
    clause: 'RFC 7515 section 5.2',
    run: async (context) => {
      const login = await requireLogin(context);
      const { token = '' } = await context.client.requestToken({ scopes: [`repository:${context.repository}:pull,push`], ...login });
      const [head = '', payload = '', signature = ''] = token.split('.');
      const flipped = `${signature.slice(0, 9)}${signature[9] === 'A' ? 'B' : 'A'}${signature.slice(10)}`;
      const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
      const longer = Buffer.from(JSON.stringify({ ...Object(claims), exp: 4_102_444_800 })).toString('base64url');
      const none = Buffer.from('{"alg":"none"}').toString('base64url');
      for (const forged of [`${head}.${payload}.${flipped}`, `${head}.${longer}.${signature}`, `${none}.${payload}.`]) {
        const response = await context.send({ method: 'POST', path: uploadsPath(context.repository), as: bearer(forged) });
        expectError(response, 401, 'UNAUTHORIZED');
      }
    },
  },
  {
    id: 'auth.anonymous-token-pulls-public-content',
    level: 'PROMISE',
    clause: challengeClause,
    run: async (context) => {
      await requireLogin(context);
      const { manifest, layer } = await pushImage(context, { reference: 'v1' });
      const { token } = await context.client.requestToken({ scopes: [`repository:${context.repository}:pull`] });
      const path = manifestPath(context.repository, 'v1');
      const accept = [['Accept', mediaTypes.image]] as const;
      expectBytes(await context.send({ method: 'GET', path, headers: accept, as: bearer(token) }), manifest.bytes);
      expectBytes(await context.send({ method: 'GET', path: blobPath(context.repository, layer.digest), as: bearer(token) }), layer.bytes);
    },
  },
  {
    id: 'auth.public-content-is-readable-without-any-header',
    level: 'PROMISE',
    clause: support,
    run: async (context) => {
      await requireLogin(context);
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const response = await context.send({ method: 'GET', path: manifestPath(context.repository, 'v1'), as: 'anonymous' });
      expectStatus(response, 200);
      expectBytes(response, manifest.bytes);
    },
  },
  {
    id: 'auth.anonymous-token-cannot-push',
    level: 'MUST',
    clause: challengeClause,
    run: async (context) => {
      await requireLogin(context);
      await pushBlob(context, randomBlob(10));
      const { token } = await context.client.requestToken({ scopes: [`repository:${context.repository}:pull,push,delete`] });
      if (token === undefined) return;
      expectStatus(await context.send({ method: 'POST', path: uploadsPath(context.repository), as: bearer(token) }), 401, 403);
      const remove = { method: 'DELETE', path: manifestPath(context.repository, 'v1'), as: bearer(token) };
      expectStatus(await context.send(remove), 401, 403);
    },
  },
];

function bearer(token: string | undefined): { readonly authorization: string } {
  check(token !== undefined, 'the token service gave no token');
  return { authorization: `Bearer ${token}` };
}

/** The Bearer challenge of a 401. */
function challengeOf(response: WireResponse): Challenge {
  const challenge = response
    .headerAll('www-authenticate')
    .map(parseChallenge)
    .find((value) => value?.scheme === 'bearer');
  check(challenge !== undefined, `${response.title}: no Bearer challenge`);
  return challenge;
}

function checkScope(response: WireResponse, challenge: Challenge, repository: string, action: string): void {
  const scope = challenge.parameters.get('scope') ?? '';
  const actions = /^repository:([^: ]+):([a-z,*]+)$/.exec(scope);
  check(actions?.[1] === repository, `${response.title}: scope is ${JSON.stringify(scope)}`);
  const named = (actions[2] ?? '').split(',');
  check(named.includes(action) || named.includes('*'), `${response.title}: the scope ${scope} lacks ${action}`);
}

/** A write without a login is answered 401 with a challenge that names repository and action. */
function challenged(kind: string, action: string, request: (context: CaseContext) => Parameters<CaseContext['send']>[0]): WireCase[] {
  return [
    {
      id: `auth.anonymous-${kind}-is-challenged-for-its-scope`,
      level: 'MUST',
      clause: challengeClause,
      run: async (context) => {
        await requireLogin(context);
        const response = await context.send({ ...request(context), as: 'anonymous' });
        expectError(response, 401, 'UNAUTHORIZED');
        checkScope(response, challengeOf(response), context.repository, action);
      },
    },
  ];
}
