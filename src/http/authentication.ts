// Who sends a request: a Bearer token of ours, Basic, or nobody. And the challenge a client gets when that is not enough.
// distribution's token specification; RFC 9110 section 11; RFC 6750 section 3.

import { isUtf8 } from 'node:buffer';
import { type Access, type AccessPolicy, authorize, type RepositoryAction, type RepositoryTarget } from '../auth/access.ts';
import type { Logins } from '../auth/logins.ts';
import { type Caller as AnyCaller, anonymous, epochOf } from '../auth/principal.ts';
import type { Principals } from '../auth/principals.ts';
import type { TokenClaims, Tokens } from '../auth/tokens.ts';
import { OciError } from '../oci/errors.ts';

export interface Caller extends AnyCaller {
  /** What a token allows at most; undefined for Basic and for nobody. */
  readonly claims?: TokenClaims;
}

export interface Authentication {
  /** UNAUTHORIZED for credentials that do not hold, BAD_REQUEST for a header that cannot be read. */
  identify(authorization: string | null, address?: () => string | undefined): Promise<Caller>;
  /**
   * The access of a caller to a repository under the name the client used. UNAUTHORIZED when a token's scope lacks the action; else what
   * `authorize` throws.
   */
  admit<A extends RepositoryAction>(caller: Caller, action: A, target: RepositoryTarget, requestedName: string): Access<A>;
  /** UNAUTHORIZED unless the caller has logged in and, with a token, asked for the catalog. */
  admitCatalog(caller: Caller): void;
}

export function createAuthentication(options: {
  tokens: Tokens;
  logins: Logins;
  policy: AccessPolicy;
  principals: Pick<Principals, 'byKey'>;
}): Authentication {
  const { tokens, logins, policy, principals } = options;
  return {
    identify: async (authorization, address) => {
      if (authorization === null) {
        const from = originOf(address);
        return { principal: { ...anonymous, ...from }, method: 'anonymous', ...from };
      }
      const { scheme, rest } = splitAuthorization(authorization);
      if (scheme === 'bearer') {
        const claims = await tokens.verify(rest);
        const principal = claims === undefined ? undefined : await principals.byKey(claims.subject);
        // What was signed before the password changed, or the account was switched off and on again, is worth nothing.
        if (claims === undefined || principal === undefined || claims.epoch < epochOf(principal))
          throw new OciError('UNAUTHORIZED', 'the token is not valid or has expired', { detail: { reason: 'invalid_token' } });
        return { principal: principal.kind === 'anonymous' ? { ...principal, ...originOf(address) } : principal, method: 'token', claims };
      }
      const login = scheme === 'basic' ? parseBasic(rest) : undefined;
      if (login === undefined) throw new OciError('UNAUTHORIZED', 'use Bearer or Basic authorization');
      const from = originOf(address);
      const found = await logins.login(login.name, login.password, from);
      if (found === undefined) throw new OciError('UNAUTHORIZED', 'unknown user or wrong password');
      return { ...found, ...from };
    },
    admit: (caller, action, target, requestedName) => {
      const { claims, principal } = caller;
      if (claims !== undefined && !isInScope(claims, action, target, requestedName)) throw insufficientScope();
      return authorize(policy, principal, action, target);
    },
    admitCatalog: ({ claims, principal }) => {
      if (principal.kind === 'anonymous') throw new OciError('UNAUTHORIZED', 'log in to list repositories');
      if (claims !== undefined && !claims.mayListCatalog) throw insufficientScope();
    },
  };
}

function originOf(address: (() => string | undefined) | undefined): { readonly address?: string } {
  const text = address?.();
  return text === undefined ? {} : { address: text };
}

/** Scheme (lower case) and the rest of an Authorization header. BAD_REQUEST when the request had several, which arrive joined. */
export function splitAuthorization(authorization: string): { readonly scheme: string; readonly rest: string } {
  if (authorization.includes(', ')) throw new OciError('BAD_REQUEST', 'more than one Authorization header');
  const space = authorization.indexOf(' ');
  if (space === -1) return { scheme: authorization.toLowerCase(), rest: '' };
  return { scheme: authorization.slice(0, space).toLowerCase(), rest: authorization.slice(space + 1).trim() };
}

/** Passwords may be tokens of CI systems, which have 1 to 6 KiB. */
const basicMaxLength = 8192;

/** Name and password of Basic credentials; undefined when they cannot be read: no UTF-8, or control characters. RFC 7617 section 2. */
export function parseBasic(encoded: string): { readonly name: string; readonly password: string } | undefined {
  if (encoded.length > basicMaxLength || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(encoded)) return undefined;
  const bytes = Buffer.from(encoded, 'base64');
  if (!isUtf8(bytes)) return undefined;
  const text = bytes.toString('utf8');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that they are refused is the point
  if (/[\u0000-\u001f\u007f]/.test(text)) return undefined;
  const colon = text.indexOf(':');
  return colon === -1 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** A token minted for a project that is gone does not open one made anew under its name; for public pulls the name is enough. */
function isInScope(claims: TokenClaims, action: RepositoryAction, target: RepositoryTarget, requestedName: string): boolean {
  return claims.scopes.some((scope) => {
    if (scope.name !== requestedName || !scope.actions.includes(action)) return false;
    if (action === 'pull' && target.project.isPublic) return true;
    return scope.projectId === target.project.id && scope.projectEpoch >= target.project.epoch;
  });
}

/** The token does not say that it may do this, whether it is there or not. */
export function insufficientScope(): OciError {
  return new OciError('UNAUTHORIZED', 'the token does not allow this', { detail: { reason: 'insufficient_scope' } });
}

/** The `WWW-Authenticate` of a 401. `scope` is what the refused request needs. */
export function challenge(options: { origin: string; service: string; scope?: string; reason?: string }): string {
  const parts = [`realm="${options.origin}/service/token"`, `service="${options.service}"`];
  if (options.scope !== undefined) parts.push(`scope="${options.scope}"`);
  if (options.reason !== undefined) parts.push(`error="${options.reason}"`);
  return `Bearer ${parts.join(',')}`;
}
