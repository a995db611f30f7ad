// `GET /service/token`, and POST of a form: registry tokens for a login, or for nobody. Actions a principal may not do are left out of the token.
// Docker in mirror mode sends its Docker Hub login here: who asks only to pull what is public gets an anonymous token when the login is none of
// ours, its password neither logged nor counted. distribution's token specification.

import { type AccessPolicy, actionOf, decide, type RepositoryAction, type RepositoryTarget, type Resource } from '../auth/access.ts';
import type { LoginOrigin, Logins } from '../auth/logins.ts';
import { anonymous, epochOf, type Principal, principalKey } from '../auth/principal.ts';
import { type TokenScope, type Tokens, tokenLifeMs } from '../auth/tokens.ts';
import { OciError } from '../oci/errors.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { type NameRules, resolveName } from '../registry/names.ts';
import { parseBasic, splitAuthorization } from './authentication.ts';
import { readBody } from './body.ts';
import { statusOf } from './errors.ts';

const scopesMax = 50;
const formMaxBytes = 16 * 1024;

export interface TokenService {
  answer(request: Request, query: string, address?: string): Promise<Response>;
}

export function createTokenService(options: {
  tokens: Tokens;
  logins: Logins;
  policy: AccessPolicy;
  names: NameRules;
  service: string;
}): TokenService {
  const { tokens, logins, policy, names, service } = options;
  return {
    answer: async (request, query, address) => {
      if (request.method === 'POST') return answerForm(request, address);
      if (request.method !== 'GET')
        throw new OciError('METHOD_NOT_ALLOWED', 'ask for a token with GET or POST', { detail: { allowed: ['GET', 'POST'] } });
      const wanted = parseScopes(new URLSearchParams(query).getAll('scope'));
      const nobody: Principal & { kind: 'anonymous' } = address === undefined ? anonymous : { ...anonymous, address };
      return tokenFor(await identify(readBasic(request.headers.get('authorization')), wanted, nobody), wanted);
    },
  };

  /** OAuth 2.0 as containerd and BuildKit speak it first: name and password in a form. There are no refresh tokens. */
  async function answerForm(request: Request, address: string | undefined): Promise<Response> {
    if (request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() !== 'application/x-www-form-urlencoded')
      return oauthError('invalid_request', 'send the form as application/x-www-form-urlencoded');
    const body = await readBody(
      request,
      formMaxBytes,
      () => new OciError('BODY_TOO_LARGE', `the form has more than ${formMaxBytes} bytes`),
    );
    const form = new URLSearchParams(new TextDecoder().decode(body));
    if (form.get('grant_type') !== 'password') return oauthError('unsupported_grant_type', 'use grant_type=password, or GET with Basic');
    const [name, password] = [form.get('username'), form.get('password')];
    if (name === null || password === null) return oauthError('invalid_request', 'username or password is missing');
    const wanted = parseScopes(form.getAll('scope'));
    const nobody: Principal & { kind: 'anonymous' } = address === undefined ? anonymous : { ...anonymous, address };
    // As in a Basic header, and nothing that could not come in one.
    const login = name.includes(':') ? undefined : parseBasic(Buffer.from(`${name}:${password}`).toString('base64'));
    if (login === undefined) throw new OciError('UNAUTHORIZED', 'unknown user or wrong password');
    return tokenFor(await identify(login, wanted, nobody), wanted);
  }

  async function tokenFor(principal: Principal, wanted: WantedScopes): Promise<Response> {
    const scopes = await Promise.all(wanted.repositories.map((scope) => grant(principal, scope)));
    const issued = await tokens.issue({
      subject: principalKey(principal),
      epoch: epochOf(principal),
      audience: service,
      scopes: scopes.filter((scope) => scope !== undefined),
      mayListCatalog: wanted.catalog && principal.kind !== 'anonymous',
    });
    if (issued === undefined) throw tooManyScopes();
    const { token, issuedAtMs } = issued;
    const body = { token, access_token: token, expires_in: tokenLifeMs / 1000, issued_at: new Date(issuedAtMs).toISOString() };
    return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } });
  }

  async function identify(
    login: NameAndPassword | undefined,
    wanted: WantedScopes,
    nobody: Principal & { kind: 'anonymous' },
  ): Promise<Principal> {
    if (login === undefined) return nobody;
    const from = nobody.address === undefined ? {} : { address: nobody.address };
    if (!(await isForEverybody(wanted, nobody))) return requireLogin(login, from);
    if (!(await logins.isKnown(login.name))) return nobody;
    // Somebody may have the same name at Docker Hub and here, with two passwords: what is public is not refused for that.
    return requireLogin(login, from).catch((error) => {
      if (error instanceof OciError) return nobody;
      throw error;
    });
  }

  async function requireLogin({ name, password }: NameAndPassword, from: LoginOrigin): Promise<Principal> {
    const login = await logins.login(name, password, from);
    if (login === undefined) throw new OciError('UNAUTHORIZED', 'unknown user or wrong password');
    return login.principal;
  }

  /** Only pulls, at least one, and each open to an anonymous client. */
  async function isForEverybody({ repositories, catalog }: WantedScopes, nobody: Principal): Promise<boolean> {
    if (catalog || repositories.length === 0) return false;
    return (await Promise.all(repositories.map((scope) => isPublicPull(scope, nobody)))).every(Boolean);
  }

  async function isPublicPull(scope: WantedScope, nobody: Principal): Promise<boolean> {
    if (scope.actions.length === 0 || scope.actions.some((action) => action !== 'pull')) return false;
    const target = await resolveQuietly(scope.name);
    return target !== undefined && decide(policy, nobody, actionOf.pull, resourceOf(target));
  }

  async function grant(principal: Principal, scope: WantedScope): Promise<TokenScope | undefined> {
    const target = await resolveQuietly(scope.name);
    if (target === undefined) return undefined;
    const actions = scope.actions.filter((action) => decide(policy, principal, actionOf[action], resourceOf(target)));
    return actions.length === 0
      ? undefined
      : { name: scope.name, actions, projectId: target.project.id, projectEpoch: target.project.epoch };
  }

  async function resolveQuietly(name: string) {
    const parsed = parseRepositoryName(name);
    if (parsed === undefined) return undefined;
    return resolveName(names, parsed, undefined).catch((error) => {
      if (error instanceof OciError) return undefined;
      throw error;
    });
  }
}

function resourceOf({ project, name }: RepositoryTarget): Resource {
  return { kind: 'project', project, repository: name };
}

interface NameAndPassword {
  readonly name: string;
  readonly password: string;
}

function readBasic(authorization: string | null): NameAndPassword | undefined {
  if (authorization === null) return undefined;
  const { scheme, rest } = splitAuthorization(authorization);
  const login = scheme === 'basic' ? parseBasic(rest) : undefined;
  if (login === undefined) throw new OciError('UNAUTHORIZED', 'use Basic authorization');
  return login;
}

/** RFC 6749 section 5.2. Clients fall back to GET. */
function oauthError(error: 'invalid_request' | 'unsupported_grant_type', description: string): Response {
  return new Response(JSON.stringify({ error, error_description: description }), {
    status: statusOf('BAD_REQUEST'),
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  });
}

interface WantedScope {
  readonly name: string;
  readonly actions: readonly RepositoryAction[];
}

interface WantedScopes {
  readonly repositories: readonly WantedScope[];
  readonly catalog: boolean;
}

/** `repository:NAME:pull,push` and `registry:catalog:*`; other types and actions are ignored. `*` means all actions. */
function parseScopes(texts: readonly string[]): WantedScopes {
  const words = texts.flatMap((text) => text.split(' ')).filter((word) => word !== '');
  if (words.length > scopesMax) throw tooManyScopes();
  const repositories = words.flatMap((word): WantedScope[] => {
    const [type, ...rest] = word.split(':');
    const actions = rest.pop()?.split(',') ?? [];
    if (type !== 'repository' || rest.length === 0) return [];
    const known = (['pull', 'push', 'delete'] as const).filter((action) => actions.includes(action) || actions.includes('*'));
    return [{ name: rest.join(':'), actions: known }];
  });
  return { repositories, catalog: words.includes('registry:catalog:*') };
}

function tooManyScopes(): OciError {
  return new OciError(
    'BAD_REQUEST',
    `too many scopes were asked for at once, or too long ones; at most ${scopesMax} short ones fit a token`,
  );
}
