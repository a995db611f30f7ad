// Content digests: `sha256:<64 hex>` and `sha512:<128 hex>`, lower case only. It does no I/O.
// image-spec "Digests"; distribution-spec v1.1 "Definitions".

import { OciError } from './errors.ts';

declare const digestBrand: unique symbol;
/** A well-formed digest of a supported algorithm. Only this file makes one. */
export type Digest = string & { readonly [digestBrand]: true };
export type DigestAlgorithm = 'sha256' | 'sha512';

const pattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** The digest, or undefined when the text is not one (unknown algorithm, upper case, wrong length). */
export function parseDigest(text: string): Digest | undefined {
  return text.length <= 135 && pattern.test(text) ? (text as Digest) : undefined;
}

/** Like `parseDigest`; throws DIGEST_INVALID. */
export function requireDigest(text: string): Digest {
  const digest = parseDigest(text);
  if (digest === undefined) {
    throw new OciError('DIGEST_INVALID', 'not a supported digest: expected sha256:<64 hex> or sha512:<128 hex>, in lower case', {
      detail: { digest: text.slice(0, 200) },
    });
  }
  return digest;
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** The hexadecimal part. */
export function digestHex(digest: Digest): string {
  return digest.slice(7);
}

export function parseDigestAlgorithm(text: string): DigestAlgorithm | undefined {
  return text === 'sha256' || text === 'sha512' ? text : undefined;
}

/** A running hash; `digest()` may be called once, at the end: everything after it throws. */
export interface RunningDigest {
  readonly algorithm: DigestAlgorithm;
  update(chunk: Uint8Array): void;
  digest(): Digest;
}

export function startDigest(algorithm: DigestAlgorithm): RunningDigest {
  const hasher = new Bun.CryptoHasher(algorithm);
  let isEnded = false;
  // Bun's hasher starts anew after its end, so a second call would give the digest of nothing without a word.
  const requireRunning = (): void => {
    if (isEnded) throw new Error('this running digest has ended');
  };
  return {
    algorithm,
    update: (chunk) => {
      requireRunning();
      hasher.update(chunk);
    },
    digest: () => {
      requireRunning();
      isEnded = true;
      return `${algorithm}:${hasher.digest('hex')}` as Digest;
    },
  };
}

/** The digest of bytes already in memory (manifests: at most 4 MiB). */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${Bun.CryptoHasher.hash(algorithm, bytes, 'hex')}` as Digest;
}
