// Registry tokens: short-lived Ed25519 JWTs saying who asked and for what. They carry project ids, so a project made anew under an old
// name is not opened by an old token. A token widens nothing: every request is decided again on the resolved project.
// distribution's token specification; RFC 7519, RFC 8037.

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { exportJWK, generateKeyPair, importJWK, type JWK, jwtVerify, SignJWT } from 'jose';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import type { RepositoryAction } from './access.ts';

export const tokenLifeMs = 5 * 60 * 1000;
const tokenMaxLength = 16 * 1024;
const issuer = 'breakwater';
const scopesMax = 100;

export interface TokenScope {
  /** The repository name as the client wrote it. */
  readonly name: string;
  readonly actions: readonly RepositoryAction[];
  readonly projectId?: number;
}
export interface TokenClaims {
  /** `principalKey`. */
  readonly subject: string;
  readonly scopes: readonly TokenScope[];
  readonly expiresAtMs: number;
}

export interface Tokens {
  issue(claims: { subject: string; audience: string; scopes: readonly TokenScope[] }): Promise<{ token: string; issuedAtMs: number }>;
  /** The claims of a valid token of this server; undefined for anything else. */
  verify(token: string): Promise<TokenClaims | undefined>;
}

/** Tokens signed with the key kept in `keyFile` (made at first use, mode 0600). */
export async function openTokens(options: { keyFile: string; clock: Clock }): Promise<Tokens> {
  const { kid, privateKey, publicKey } = await openKey(options.keyFile);
  const verified = createLru<string, TokenClaims>({ maxEntries: 5000 });
  return {
    issue: async ({ subject, audience, scopes }) => {
      const issuedAtMs = options.clock.nowMs();
      const seconds = Math.floor(issuedAtMs / 1000);
      const token = await new SignJWT({
        access: scopes.map((scope) => ({
          type: 'repository',
          name: scope.name,
          actions: scope.actions,
          ...(scope.projectId === undefined ? {} : { pid: scope.projectId }),
        })),
      })
        .setProtectedHeader({ alg: 'EdDSA', kid, typ: 'JWT' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(subject)
        .setIssuedAt(seconds)
        .setNotBefore(seconds)
        .setExpirationTime(seconds + tokenLifeMs / 1000)
        .setJti(randomBytes(12).toString('base64url'))
        .sign(privateKey);
      return { token, issuedAtMs };
    },
    verify: async (token) => {
      const known = verified.get(token);
      if (known !== undefined) {
        if (known.expiresAtMs > options.clock.nowMs()) return known;
        verified.delete(token);
        return undefined;
      }
      if (token.length > tokenMaxLength) return undefined;
      try {
        const { payload } = await jwtVerify(token, publicKey, {
          algorithms: ['EdDSA'],
          issuer,
          requiredClaims: ['exp', 'iat', 'nbf', 'jti', 'sub', 'aud'],
          clockTolerance: 10,
          currentDate: new Date(options.clock.nowMs()),
        });
        const claims = readClaims(payload);
        if (claims !== undefined) verified.set(token, claims);
        return claims;
      } catch {
        return undefined;
      }
    },
  };
}

function readClaims(payload: { sub?: string; exp?: number; [claim: string]: unknown }): TokenClaims | undefined {
  const { sub, exp } = payload;
  const access = payload['access'];
  if (sub === undefined || exp === undefined || !Array.isArray(access) || access.length > scopesMax) return undefined;
  const scopes: TokenScope[] = [];
  for (const item of access as unknown[]) {
    if (typeof item !== 'object' || item === null) return undefined;
    const { name, actions, pid } = item as Record<string, unknown>;
    if (typeof name !== 'string' || !Array.isArray(actions)) return undefined;
    scopes.push({ name, actions: actions.filter(isAction), ...(typeof pid === 'number' ? { projectId: pid } : {}) });
  }
  return { subject: sub, scopes, expiresAtMs: exp * 1000 };
}

function isAction(value: unknown): value is RepositoryAction {
  return value === 'pull' || value === 'push' || value === 'delete';
}

async function openKey(file: string) {
  if (!existsSync(file)) {
    const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const jwk = { ...(await exportJWK(privateKey)), kid: randomBytes(8).toString('hex') };
    writeFileSync(file, `${JSON.stringify(jwk)}\n`, { mode: 0o600, flag: 'wx' });
  }
  const jwk = JSON.parse(readFileSync(file, 'utf8')) as JWK;
  if (jwk.kid === undefined) throw new Error(`${file} is not a signing key of this server; move it away to have a new one made`);
  const { d: _private, ...publicPart } = jwk;
  return { kid: jwk.kid, privateKey: await importJWK(jwk, 'EdDSA'), publicKey: await importJWK(publicPart, 'EdDSA') };
}
