// The secrets that programs log in with: robots (`bwr_`), users' tokens (`bwu_`) and exchanged CI tokens (`bww_`). 256 random bits and a checksum
// under a prefix, so that scanners of public code know one when they see it, and a mistyped one costs no look-up. What is stored is a SHA-256:
// with this much randomness a slow hash would add nothing but time.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';

export const secretPrefixes = { robot: 'bwr_', token: 'bwu_', workload: 'bww_' } as const;
export type SecretKind = keyof typeof secretPrefixes;

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** 256 bits and 32 bits in base 62. */
const randomLength = 43;
const checksumLength = 6;
/** What a client may choose itself: longer ones are refused before they are hashed. */
const chosenMinLength = 12;
const chosenMaxLength = 128;

/** A new secret: prefix, 43 characters of randomness, 6 of checksum. */
export function makeSecret(kind: SecretKind): Secret {
  const body = `${secretPrefixes[kind]}${toBase62(BigInt(`0x${randomBytes(32).toString('hex')}`), randomLength)}`;
  return new Secret(`${body}${checksumOf(body)}`);
}

/** Whether a text is such a secret, by prefix, length and checksum: says nothing about whether it opens anything. */
export function isMadeSecret(kind: SecretKind, text: string): boolean {
  const prefix = secretPrefixes[kind];
  if (!text.startsWith(prefix) || text.length !== prefix.length + randomLength + checksumLength) return false;
  return checksumOf(text.slice(0, -checksumLength)) === text.slice(-checksumLength);
}

/** What is stored of a secret: SHA-256 in hex. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret, 'utf8').digest('hex');
}

/** Compares digests of one length in constant time; false for anything else. */
export function isSameDigest(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one, 'hex'), Buffer.from(other, 'hex')];
  return a.length === 32 && b.length === 32 && timingSafeEqual(a, b);
}

/**
 * A secret that a client chose, as Harbor's clients do. BAD_REQUEST unless it has 12 to 128 characters with an upper case letter, a lower case
 * letter and a digit (Harbor asks for 8; a fast hash asks for more), or is one of ours.
 */
export function requireStrongSecret(secret: string): Secret {
  const isStrong =
    secret.length >= chosenMinLength &&
    secret.length <= chosenMaxLength &&
    /^[\x21-\x7e]+$/.test(secret) &&
    /[a-z]/.test(secret) &&
    /[A-Z]/.test(secret) &&
    /[0-9]/.test(secret) &&
    new Set(secret).size >= chosenMinLength / 2;
  if (isStrong) return new Secret(secret);
  throw new OciError(
    'BAD_REQUEST',
    `a secret of your own must have ${chosenMinLength} to ${chosenMaxLength} printable characters without spaces, among them an upper case letter, ` +
      'a lower case letter and a digit, and not the same few over and over; send none to have one made',
  );
}

function checksumOf(body: string): string {
  return toBase62(BigInt(crc32(body)), checksumLength);
}

function toBase62(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; text.length < length; rest /= 62n) text = alphabet.charAt(Number(rest % 62n)) + text;
  return text;
}
