// Whether the claims of a CI's token are those that a rule asks for. Pure. Every condition must hold; a claim that is absent or an object never does.
// Globs are those of lib/glob.ts: `*` stays inside a segment between slashes, `**` does not.

import type { ClaimCondition } from '../db/workload-rules.ts';
import { createGlob } from '../lib/glob.ts';
import { OciError } from '../oci/errors.ts';

const claimsMax = 20;
const valueMaxLength = 512;
/** Items of a claim that is a list; later ones are not looked at. */
const itemsMax = 100;

/** The first condition that the claims do not meet; undefined when they meet all. */
export function findUnmet(conditions: readonly ClaimCondition[], claims: Readonly<Record<string, unknown>>): ClaimCondition | undefined {
  return conditions.find((condition) => !meets(condition, claims));
}

/**
 * BAD_REQUEST unless there is at least one condition, each on a claim, with either `equals` or `glob`, and one of them narrows: a rule
 * that any job of a public CI meets would open the registry to everybody.
 */
export function requireConditions(conditions: readonly ClaimCondition[]): void {
  if (conditions.length === 0 || conditions.length > claimsMax)
    throw new OciError('BAD_REQUEST', `claims: expected 1 to ${claimsMax} conditions, such as {"claim":"repository","equals":"team/app"}`);
  for (const { claim, equals, glob } of conditions) {
    if (claim === '' || claim.length > 255) throw new OciError('BAD_REQUEST', 'claims: the name of a claim has 1 to 255 characters');
    if ((equals === undefined) === (glob === undefined))
      throw new OciError('BAD_REQUEST', `claims: "${claim}" needs either equals or glob`);
    if ((equals ?? glob ?? '').length > valueMaxLength)
      throw new OciError('BAD_REQUEST', `claims: the value for "${claim}" is longer than ${valueMaxLength} characters`);
    if (glob !== undefined && createGlob(glob) === undefined)
      throw new OciError('BAD_REQUEST', `claims: "${glob}" for "${claim}" is no pattern`);
  }
  const ignored = new Set(['iss', 'aud', 'exp', 'nbf', 'iat', 'jti']);
  const narrows = conditions.some(
    ({ claim, equals, glob }) => !ignored.has(claim) && (equals !== undefined || /[^*?/:{},]/.test(glob ?? '')),
  );
  if (!narrows)
    throw new OciError(
      'BAD_REQUEST',
      'claims: at least one condition must narrow whose tokens fit (sub, repository, project_path, ...): otherwise every job of the issuer gets in',
    );
}

function meets({ claim, equals, glob }: ClaimCondition, claims: Readonly<Record<string, unknown>>): boolean {
  const found = readClaim(claims, claim);
  const values = (Array.isArray(found) ? found.slice(0, itemsMax) : [found]).flatMap(textOf);
  if (equals !== undefined) return values.includes(equals);
  const pattern = glob === undefined ? undefined : createGlob(glob);
  return pattern !== undefined && values.some((value) => value.length <= valueMaxLength && pattern.test(value));
}

/** A claim by its name, or by a JSON pointer (RFC 6901) into nested ones. Only what the token itself says counts, nothing inherited. */
function readClaim(claims: Readonly<Record<string, unknown>>, claim: string): unknown {
  if (!claim.startsWith('/')) return Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  let at: unknown = claims;
  for (const step of claim.slice(1).split('/')) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string, unknown>)[key];
  }
  return at;
}

function textOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'number' || typeof value === 'boolean' ? [String(value)] : [];
}
