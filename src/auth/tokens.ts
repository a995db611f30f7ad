// Registry tokens: short-lived Ed25519 JWTs saying who asked and for what. They carry project ids, so a project made anew under an old
// name is not opened by an old token. A token widens nothing: every request is decided again on the resolved project.
// distribution's token specification; RFC 7519, RFC 8037.

import { randomBytes } from 'node:crypto';
import { exportJWK, generateKeyPair, importJWK, type JWK, jwtVerify, SignJWT } from 'jose';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import type { RepositoryAction } from './access.ts';
import { readSecretFile, writeSecretFile } from './secret-file.ts';

export const tokenLifeMs = 5 * 60 * 1000;
/** All headers of a request may have 16 KiB. A longer token is neither made nor read. */
export const tokenMaxLength = 12 * 1024;
/** Longer tokens are checked each time instead of being remembered. */
const rememberedMaxLength = 4096;
const clockToleranceS = 10;
const issuer = 'breakwater';
const accessMax = 100;

export interface TokenScope {
  /** The repository name as the client wrote it. */
  readonly name: string;
  readonly actions: readonly RepositoryAction[];
  readonly projectId: number;
}
export interface TokenClaims {
  /** `principalKey`. */
  readonly subject: string;
  readonly scopes: readonly TokenScope[];
  readonly mayListCatalog: boolean;
  readonly expiresAtMs: number;
}

export interface NewToken {
  readonly subject: string;
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

/** Tokens signed with the key kept in `keyFile` (made at first use, mode 0600). With `audience` those for another service are refused. */
export async function openTokens(options: { keyFile: string; clock: Clock; audience?: string }): Promise<Tokens> {
  const { kid, privateKey, publicKey } = await openKey(options.keyFile);
  const verified = createLru<string, TokenClaims>({ maxEntries: 5000 });
  return {
    issue: async ({ subject, audience, scopes, mayListCatalog }) => {
      const issuedAtMs = options.clock.nowMs();
      const seconds = Math.floor(issuedAtMs / 1000);
      const token = await new SignJWT({
        access: [
          ...scopes.map((scope) => ({ type: 'repository', name: scope.name, actions: scope.actions, pid: scope.projectId })),
          ...(mayListCatalog ? [catalogAccess] : []),
        ],
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
      return token.length > tokenMaxLength ? undefined : { token, issuedAtMs };
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
          ...(options.audience === undefined ? {} : { audience: options.audience }),
          maxTokenAge: tokenLifeMs / 1000,
          clockTolerance: clockToleranceS,
          currentDate: new Date(options.clock.nowMs()),
        });
        const claims = readClaims(payload);
        if (claims !== undefined && token.length <= rememberedMaxLength) verified.set(token, claims);
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
  const access = payload['access'];
  if (sub === undefined || exp === undefined || !Array.isArray(access) || access.length > accessMax) return undefined;
  const scopes: TokenScope[] = [];
  let mayListCatalog = false;
  for (const item of access as unknown[]) {
    if (typeof item !== 'object' || item === null) return undefined;
    const { type, name, actions, pid } = item as Record<string, unknown>;
    if (typeof name !== 'string' || !Array.isArray(actions)) return undefined;
    if (type === catalogAccess.type) mayListCatalog ||= name === catalogAccess.name && actions.includes('*');
    else if (type === 'repository' && typeof pid === 'number') scopes.push({ name, actions: actions.filter(isAction), projectId: pid });
    else return undefined;
  }
  return { subject: sub, scopes, mayListCatalog, expiresAtMs: exp * 1000 };
}

function isAction(value: unknown): value is RepositoryAction {
  return value === 'pull' || value === 'push' || value === 'delete';
}

async function openKey(file: string) {
  let text = readSecretFile(file);
  if (text === undefined) {
    const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    text = JSON.stringify({ ...(await exportJWK(privateKey)), kid: randomBytes(8).toString('hex') });
    writeSecretFile(file, text);
  }
  try {
    const jwk = JSON.parse(text) as JWK;
    if (jwk.kid === undefined || jwk.d === undefined || jwk.crv !== 'Ed25519') throw new Error('it is no Ed25519 private key with an id');
    const { d: _private, ...publicPart } = jwk;
    return { kid: jwk.kid, privateKey: await importJWK(jwk, 'EdDSA'), publicKey: await importJWK(publicPart, 'EdDSA') };
  } catch (cause) {
    throw new Error(`${file} is not a signing key of this server; move it away to have a new one made`, { cause });
  }
}
