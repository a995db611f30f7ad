// Sortable unique names for physical keys: 48 bits of time, 80 random bits, Crockford base 32 in lower case (ULID specification).

import { randomBytes } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** 26 characters that sort by `nowMs` (milliseconds since 1970, to the year 10889); names of one millisecond have no order. */
export function createUlid(nowMs: number): string {
  let time = Math.floor(nowMs);
  let head = '';
  for (let i = 0; i < 10; i++) {
    head = alphabet.charAt(time % 32) + head;
    time = Math.floor(time / 32);
  }
  return head + Array.from(randomBytes(16), (byte) => alphabet.charAt(byte & 31)).join('');
}
