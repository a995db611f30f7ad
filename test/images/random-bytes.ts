// Incompressible bytes that are the same on every machine: the AES-128-CTR key stream of a key taken from a seed.
// Test data only; nothing here is a secret.

import { createCipheriv, createHash } from 'node:crypto';

const chunkBytes = 8 * 1024 * 1024;

/** `sizeBytes` pseudo-random bytes that depend on nothing but the seed. */
export function randomBytesOf(seed: string, sizeBytes: number): Uint8Array {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = new Uint8Array(Math.min(chunkBytes, sizeBytes));
  const whole = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes; offset += chunkBytes) {
    whole.set(cipher.update(zeros.subarray(0, Math.min(chunkBytes, sizeBytes - offset))), offset);
  }
  return whole;
}
