// Who sends a request: a Bearer token of ours, Basic, or nobody. And the challenge a client gets when that is not enough.
// distribution's token specification; RFC 9110 section 11; RFC 6750 section 3.

import { type Access, type AccessPolicy, authorize, type RepositoryAction, type RepositoryTarget } from '../auth/access.ts';
import type { Passwords } from '../auth/passwords.ts';
import { anonymous, type Principal } from '../auth/principal.ts';
import type { TokenClaims, Tokens } from '../auth/tokens.ts';
import { OciError } from '../oci/errors.ts';

export interface Caller {
  readonly principal: Principal;
  /** What a token allows at most; undefined for Basic and for nobody. */
  readonly claims?: TokenClaims;
}

export interface Authentication {
  /** UNAUTHORIZED for credentials that do not hold, BAD_REQUEST for a header that cannot be read. */
  identify(authorization: string | null): Promise<Caller>;
  /**
   * The access of a caller to a repository under the name the client used. UNAUTHORIZED when a token's scope lacks the action; else what
   * `authorize` throws.
   */
  admit<A extends RepositoryAction>(caller: Caller, action: A, target: RepositoryTarget, requestedName: string): Access<A>;
}

export function createAuthentication(options: {
  tokens: Tokens;
  passwords: Passwords;
  policy: AccessPolicy;
  findPrincipal: (key: string) => Promise<Principal | undefined>;
}): Authentication {
  const { tokens, passwords, policy, findPrincipal } = options;
  return {
    identify: async (authorization) => {
      if (authorization === null) return { principal: anonymous };
      if (authorization.includes(', ')) throw new OciError('BAD_REQUEST', 'more than one Authorization header');
      const space = authorization.indexOf(' ');
      const scheme = authorization.slice(0, space).toLowerCase();
      const rest = authorization.slice(space + 1).trim();
      if (scheme === 'bearer') {
        const claims = await tokens.verify(rest);
        const principal = claims === undefined ? undefined : await findPrincipal(claims.subject);
        if (claims === undefined || principal === undefined)
          throw new OciError('UNAUTHORIZED', 'the token is not valid or has expired', { detail: { reason: 'invalid_token' } });
        return { principal, claims };
      }
      const login = scheme === 'basic' ? parseBasic(rest) : undefined;
      if (login === undefined) throw new OciError('UNAUTHORIZED', 'use Bearer or Basic authorization');
      const principal = await passwords.check(login.name, login.password);
      if (principal === undefined) throw new OciError('UNAUTHORIZED', 'unknown user or wrong password');
      return { principal };
    },
    admit: (caller, action, target, requestedName) => {
      const { claims, principal } = caller;
      if (claims !== undefined && !isInScope(claims, action, target, requestedName)) {
        throw new OciError('UNAUTHORIZED', 'the token does not allow this', { detail: { reason: 'insufficient_scope' } });
      }
      return authorize(policy, principal, action, target);
    },
  };
}

/** Name and password of Basic credentials; undefined when they cannot be read. RFC 7617. */
export function parseBasic(encoded: string): { readonly name: string; readonly password: string } | undefined {
  if (encoded.length > 4096 || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(encoded)) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon === -1 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** A token minted for a project that is gone does not open one made anew under its name; for public pulls the name is enough. */
function isInScope(claims: TokenClaims, action: RepositoryAction, target: RepositoryTarget, requestedName: string): boolean {
  return claims.scopes.some((scope) => {
    if (scope.name !== requestedName || !scope.actions.includes(action)) return false;
    return (action === 'pull' && target.project.isPublic) || scope.projectId === undefined || scope.projectId === target.project.id;
  });
}

/** The `WWW-Authenticate` of a 401. `scope` is what the refused request needs. */
export function challenge(options: { origin: string; service: string; scope?: string; reason?: string }): string {
  const parts = [`realm="${options.origin}/service/token"`, `service="${options.service}"`];
  if (options.scope !== undefined) parts.push(`scope="${options.scope}"`);
  if (options.reason !== undefined) parts.push(`error="${options.reason}"`);
  return `Bearer ${parts.join(',')}`;
}
