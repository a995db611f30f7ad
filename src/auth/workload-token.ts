// Checks the token that a CI system gave to one of its jobs: signature, issuer, audience, times. RFC 7519, RFC 8725. Nothing of a token is believed
// before its signature was checked, but the issuer, which says whose keys to take; and no key is ever taken from the token.

import { decodeJwt, decodeProtectedHeader, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';

/** Asymmetric ones only: with a shared secret whoever can check a token can make one. */
const tokenAlgorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
/** A header line of a request may have 16 KiB; CI tokens have 1 to 3. */
export const tokenMaxLength = 8 * 1024;
const clockToleranceS = 60;
/** From `iat` to now. Kubernetes gives tokens of an hour to a day. */
const tokenMaxAgeS = 24 * 60 * 60;
const subjectMaxLength = 255;

export interface TokenIntro {
  readonly issuer: string;
  readonly kid: string | undefined;
}
export interface TokenFacts {
  readonly subject: string;
  readonly audiences: readonly string[];
  readonly expiresAtMs: number;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Whether a text could be a JSON Web Token. */
export function looksLikeToken(text: string): boolean {
  return text.length <= tokenMaxLength && /^eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(text);
}

/** Who says to have made it: unchecked. Undefined for what is no token. */
export function readIntro(token: string): TokenIntro | undefined {
  if (!looksLikeToken(token)) return undefined;
  try {
    const { iss } = decodeJwt(token);
    const { kid, crit } = decodeProtectedHeader(token);
    if (typeof iss !== 'string' || iss.length > 1000 || crit !== undefined) return undefined;
    return { issuer: iss, kid: typeof kid === 'string' ? kid : undefined };
  } catch {
    return undefined;
  }
}

/** The token's facts when it holds, else why it does not, in words for an administrator. */
export async function checkToken(
  token: string,
  options: { issuer: string; keys: JWTVerifyGetKey; nowMs: number },
): Promise<TokenFacts | { readonly refusal: string }> {
  try {
    const { payload } = await jwtVerify(token, options.keys, {
      algorithms: tokenAlgorithms,
      issuer: options.issuer,
      requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat'],
      clockTolerance: clockToleranceS,
      maxTokenAge: tokenMaxAgeS,
      currentDate: new Date(options.nowMs),
    });
    const { sub, aud, exp, jti } = payload;
    if (typeof sub !== 'string' || sub === '' || sub.length > subjectMaxLength || !/^[\x21-\x7e]+$/.test(sub))
      return { refusal: `its sub is no text of 1 to ${subjectMaxLength} printable characters` };
    if (jti !== undefined && typeof jti !== 'string') return { refusal: 'its jti is no text' };
    if (exp === undefined || aud === undefined) return { refusal: 'its exp or aud is missing' };
    return { subject: sub, audiences: typeof aud === 'string' ? [aud] : aud, expiresAtMs: exp * 1000, claims: payload };
  } catch (error) {
    if (error instanceof errors.JOSEError) return { refusal: error.message };
    if (error instanceof TypeError) return { refusal: 'its key does not fit its algorithm' };
    throw error;
  }
}
