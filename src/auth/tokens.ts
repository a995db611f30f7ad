// Registry tokens: short-lived Ed25519 JWTs saying who asked and for what. They carry the ids and epochs of projects and of the account, so a
// project made anew under an old name is not opened by an old token, nor anything by a token from before the password was changed. A token
// widens nothing: every request is decided again on the resolved project. distribution's token specification; RFC 7519, RFC 8037.

import { randomBytes } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import type { RepositoryAction } from './access.ts';
import { headerOf, type TokenKeys } from './token-keys.ts';

export const tokenLifeMs = 5 * 60 * 1000;
/** All headers of a request may have 16 KiB. A longer token is neither made nor read. */
export const tokenMaxLength = 12 * 1024;
/** Longer tokens are checked each time instead of being remembered. */
const rememberedMaxLength = 4096;
const clockToleranceS = 10;
/** How long a replaced key is believed: until the last token of a server that does not know of it yet has ended. */
export const tokenOverlapMs = tokenLifeMs + 3 * clockToleranceS * 1000;
const issuer = 'breakwater';
const accessMax = 100;

export interface TokenScope {
  /** The repository name as the client wrote it. */
  readonly name: string;
  readonly actions: readonly RepositoryAction[];
  readonly projectId: number;
  readonly projectEpoch: number;
}
export interface TokenClaims {
  /** `principalKey`. */
  readonly subject: string;
  /** Of the principal when the token was made. */
  readonly epoch: number;
  readonly scopes: readonly TokenScope[];
  readonly mayListCatalog: boolean;
  readonly expiresAtMs: number;
}

export interface NewToken {
  readonly subject: string;
  readonly epoch: number;
  readonly audience: string;
  readonly scopes: readonly TokenScope[];
  readonly mayListCatalog: boolean;
}

export interface Tokens {
  /** Gives undefined when so many scopes make it longer than `tokenMaxLength`. */
  issue(wanted: NewToken): Promise<{ token: string; issuedAtMs: number } | undefined>;
  /** The claims of a valid token of this server; undefined for anything else. */
  verify(token: string): Promise<TokenClaims | undefined>;
}

/** With `audience` tokens for another service are refused. */
export function createTokens(options: { keys: TokenKeys; clock: Clock; audience?: string }): Tokens {
  const { keys, clock } = options;
  const verified = createLru<string, { readonly claims: TokenClaims; readonly keyId: string }>({ maxEntries: 5000 });
  return {
    issue: async ({ subject, epoch, audience, scopes, mayListCatalog }) => {
      const issuedAtMs = clock.nowMs();
      const seconds = Math.floor(issuedAtMs / 1000);
      const key = keys.signer();
      const token = await new SignJWT({
        ep: epoch,
        access: [
          ...scopes.map(({ name, actions, projectId, projectEpoch }) => ({
            type: 'repository',
            name,
            actions,
            pid: projectId,
            pep: projectEpoch,
          })),
          ...(mayListCatalog ? [catalogAccess] : []),
        ],
      })
        .setProtectedHeader(headerOf(key.id))
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(subject)
        .setIssuedAt(seconds)
        .setNotBefore(seconds)
        .setExpirationTime(seconds + tokenLifeMs / 1000)
        .setJti(randomBytes(12).toString('base64url'))
        .sign(key.privateKey);
      return token.length > tokenMaxLength ? undefined : { token, issuedAtMs };
    },
    verify: async (token) => {
      const known = verified.get(token);
      if (known !== undefined) {
        if (known.claims.expiresAtMs > clock.nowMs() && keys.isActive(known.keyId)) return known.claims;
        verified.delete(token);
        return undefined;
      }
      if (token.length > tokenMaxLength) return undefined;
      const key = await keys.byHeader(token.slice(0, Math.max(0, token.indexOf('.'))));
      if (key === undefined) return undefined;
      try {
        const { payload } = await jwtVerify(token, key.publicKey, {
          algorithms: ['EdDSA'],
          issuer,
          requiredClaims: ['exp', 'iat', 'nbf', 'jti', 'sub', 'aud'],
          ...(options.audience === undefined ? {} : { audience: options.audience }),
          maxTokenAge: tokenLifeMs / 1000,
          clockTolerance: clockToleranceS,
          currentDate: new Date(clock.nowMs()),
        });
        const claims = readClaims(payload);
        if (claims !== undefined && token.length <= rememberedMaxLength) verified.set(token, { claims, keyId: key.id });
        return claims;
      } catch {
        return undefined;
      }
    },
  };
}

/** What the token service calls the right to list repositories. */
const catalogAccess = { type: 'registry', name: 'catalog', actions: ['*'] } as const;

function readClaims(payload: { sub?: string; exp?: number; [claim: string]: unknown }): TokenClaims | undefined {
  const { sub, exp } = payload;
  const { access, ep: epoch } = payload as { access?: unknown; ep?: unknown };
  if (sub === undefined || exp === undefined || !isCount(epoch) || !Array.isArray(access) || access.length > accessMax) return undefined;
  const scopes: TokenScope[] = [];
  let mayListCatalog = false;
  for (const item of access as unknown[]) {
    if (typeof item !== 'object' || item === null) return undefined;
    const { type, name, actions, pid, pep } = item as Record<string, unknown>;
    if (typeof name !== 'string' || !Array.isArray(actions)) return undefined;
    if (type === catalogAccess.type) mayListCatalog ||= name === catalogAccess.name && actions.includes('*');
    else if (type === 'repository' && isCount(pid) && isCount(pep))
      scopes.push({ name, actions: actions.filter(isAction), projectId: pid, projectEpoch: pep });
    else return undefined;
  }
  return { subject: sub, epoch, scopes, mayListCatalog, expiresAtMs: exp * 1000 };
}

function isAction(value: unknown): value is RepositoryAction {
  return value === 'pull' || value === 'push' || value === 'delete';
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
