// `GET /service/token`: registry tokens for a login, or for nobody. Actions a principal may not do are left out of the token.
// Docker in mirror mode sends its Docker Hub login here: an unknown user who asks only to pull what is public gets an anonymous token, its
// password neither logged nor counted. distribution's token specification.

import { type AccessPolicy, decide, type RepositoryAction } from '../auth/access.ts';
import type { Passwords } from '../auth/passwords.ts';
import { anonymous, type Principal, principalKey } from '../auth/principal.ts';
import { type TokenScope, type Tokens, tokenLifeMs } from '../auth/tokens.ts';
import { OciError } from '../oci/errors.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { type NameRules, resolveName } from '../registry/names.ts';
import { parseBasic } from './authentication.ts';

const scopesMax = 50;

export interface TokenService {
  answer(request: Request, query: string): Promise<Response>;
}

export function createTokenService(options: {
  tokens: Tokens;
  passwords: Passwords;
  policy: AccessPolicy;
  names: NameRules;
  service: string;
}): TokenService {
  const { tokens, passwords, policy, names, service } = options;
  return {
    answer: async (request, query) => {
      if (request.method !== 'GET') throw new OciError('METHOD_NOT_ALLOWED', 'ask for a token with GET');
      const parameters = new URLSearchParams(query);
      const wanted = parseScopes(parameters.getAll('scope'));
      const principal = await identify(request.headers.get('authorization'), wanted);
      const scopes: TokenScope[] = [];
      for (const scope of wanted) scopes.push(await grant(principal, scope));
      const { token, issuedAtMs } = await tokens.issue({
        subject: principalKey(principal),
        audience: service,
        scopes: scopes.filter((scope) => scope.actions.length > 0),
      });
      const body = { token, access_token: token, expires_in: tokenLifeMs / 1000, issued_at: new Date(issuedAtMs).toISOString() };
      return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } });
    },
  };

  async function identify(authorization: string | null, wanted: readonly WantedScope[]): Promise<Principal> {
    if (authorization === null) return anonymous;
    const [scheme = '', encoded = ''] = authorization.split(' ', 2);
    const login = scheme.toLowerCase() === 'basic' ? parseBasic(encoded) : undefined;
    if (login === undefined) throw new OciError('UNAUTHORIZED', 'use Basic authorization');
    const mayBeAnonymous = wanted.length > 0 && (await Promise.all(wanted.map(isPublicPull))).every(Boolean);
    if (mayBeAnonymous && !(await passwords.isKnown(login.name))) return anonymous;
    const principal = await passwords.check(login.name, login.password);
    if (principal === undefined) throw new OciError('UNAUTHORIZED', 'unknown user or wrong password');
    return principal;
  }

  async function isPublicPull(scope: WantedScope): Promise<boolean> {
    if (scope.actions.some((action) => action !== 'pull')) return false;
    const target = await resolveQuietly(scope.name);
    return target !== undefined && decide(policy, anonymous, 'pull', target.project);
  }

  async function grant(principal: Principal, scope: WantedScope): Promise<TokenScope> {
    const target = await resolveQuietly(scope.name);
    if (target === undefined) return { name: scope.name, actions: [] };
    const actions = scope.actions.filter((action) => decide(policy, principal, action, target.project));
    return { name: scope.name, actions, projectId: target.project.id };
  }

  async function resolveQuietly(name: string) {
    const parsed = parseRepositoryName(name);
    return parsed === undefined ? undefined : resolveName(names, parsed, undefined).catch(() => undefined);
  }
}

interface WantedScope {
  readonly name: string;
  readonly actions: readonly RepositoryAction[];
}

/** `repository:NAME:pull,push`; other types and actions are ignored. `*` means all actions. */
function parseScopes(texts: readonly string[]): readonly WantedScope[] {
  const words = texts.flatMap((text) => text.split(' ')).filter((word) => word !== '');
  if (words.length > scopesMax) throw new OciError('BAD_REQUEST', `at most ${scopesMax} scopes can be asked for at once`);
  return words.flatMap((word): WantedScope[] => {
    const [type, ...rest] = word.split(':');
    const actions = rest.pop()?.split(',') ?? [];
    if (type !== 'repository' || rest.length === 0) return [];
    const known = (['pull', 'push', 'delete'] as const).filter((action) => actions.includes(action) || actions.includes('*'));
    return [{ name: rest.join(':'), actions: known }];
  });
}
