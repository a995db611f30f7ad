// The entries of a tar, one after the other, and their bytes within limits.

import { createTarDecoder, type ParsedTarEntry } from 'modern-tar';
import { type Digest, digestAlgorithm } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';

const entriesMax = 1_000_000;

/**
 * Hands each entry to `take`, which reads or cancels its body. BAD_REQUEST for what is no tar, is truncated or has too many entries; what `take` and
 * the stream throw.
 */
export async function readEntries(tar: ReadableStream<Uint8Array>, take: (entry: ParsedTarEntry) => Promise<void>): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  const entries = tar.pipeThrough(createTarDecoder({ strict: true })).getReader();
  let count = 0;
  try {
    for (;;) {
      const next = await entries.read();
      if (next.done) return;
      if (++count > entriesMax) throw new OciError('BAD_REQUEST', `the archive has more than ${entriesMax} entries`);
      await take(next.value).catch((error) => {
        failure = { error };
        throw error;
      });
    }
  } catch (error) {
    await entries.cancel(error).catch(() => undefined);
    if (failure !== undefined && failure.error instanceof OciError) throw failure.error;
    if (error instanceof OciError || !isTarError(error)) throw error;
    throw new OciError('BAD_REQUEST', `this is no whole tar archive (${error.message}); compressed ones have to be unpacked first`);
  }
}

/** The decoder's own words are plain errors; what a connection or a disk throws has a code or a name. */
function isTarError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'Error' && !('code' in error);
}

/** A body that fits into memory; BAD_REQUEST when it is larger than `maxBytes`. */
export async function readSmall(body: ReadableStream<Uint8Array>, sizeBytes: number, maxBytes: number, what: string): Promise<Uint8Array> {
  if (sizeBytes > maxBytes) throw new OciError('BAD_REQUEST', `${what} of the archive is larger than ${maxBytes} bytes`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Reads a body to its end; DIGEST_INVALID when its bytes have another digest. */
export async function hashOnly(digest: Digest, body: ReadableStream<Uint8Array>): Promise<void> {
  const hash = new Bun.CryptoHasher(digestAlgorithm(digest));
  for await (const chunk of body) hash.update(chunk);
  if (`${digestAlgorithm(digest)}:${hash.digest('hex')}` !== digest) throw wrongDigest(digest);
}

export function wrongDigest(digest: Digest): OciError {
  return new OciError('DIGEST_INVALID', `the archive's bytes of ${digest} have another digest; it is damaged`, { detail: { digest } });
}
