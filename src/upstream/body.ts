// Reads small bodies whole: manifests, tokens, listings, errors. It must never hold more than its cap.

import { classifyFailure } from './classify.ts';
import type { Hop } from './transport.ts';
import { UpstreamError } from './verdict.ts';

/**
 * The whole body; the hop is over afterwards, whatever happens. Throws `too-large`, `truncated`, or the abort reason.
 */
export async function readWhole(hop: Hop, maxBytes: number): Promise<Uint8Array> {
  const declared = contentLength(hop.headers);
  if (declared !== undefined && declared > maxBytes) throw tooLarge(hop, `${declared}`, maxBytes);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of readChunks(hop)) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(hop, 'more', maxBytes);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? (chunks[0] ?? new Uint8Array()) : Buffer.concat(chunks, size);
}

/**
 * The first `maxBytes` of a body nobody is interested in, as text. What ends within the cap leaves the connection usable; the rest is cut
 * off. Never throws for the body's own faults, only for an abort of the operation.
 */
export async function readError(hop: Hop, options: { maxBytes: number; signal: AbortSignal }): Promise<string> {
  try {
    return new TextDecoder().decode(await readWhole(hop, options.maxBytes));
  } catch {
    if (options.signal.aborted) throw options.signal.reason;
    return '';
  }
}

/**
 * The body chunk by chunk; a failure is thrown as UpstreamError after the bytes before it. Leaving the loop early closes the connection.
 */
export async function* readChunks(hop: Hop): AsyncGenerator<Uint8Array, void, undefined> {
  if (hop.body === undefined) {
    hop.finish();
    return;
  }
  const reader = hop.body.getReader();
  let isComplete = false;
  try {
    for (;;) {
      const next = await reader.read();
      if (next.done) break;
      if (next.value.length > 0) yield next.value;
    }
    isComplete = true;
  } catch (error) {
    throw error instanceof UpstreamError ? error : classifyFailure(error, 'body', hop.url.origin);
  } finally {
    if (isComplete) hop.finish();
    else hop.abort(new UpstreamError('aborted', { detail: 'the rest of the body was not wanted' }));
  }
}

/** Content-Length as a number of bytes, when it is there and well-formed. */
export function contentLength(headers: Headers): number | undefined {
  const text = headers.get('content-length');
  if (text === null || !/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

function tooLarge(hop: Hop, size: string, maxBytes: number): UpstreamError {
  const error = new UpstreamError('too-large', {
    detail: `the body has ${size} bytes, at most ${maxBytes} are taken`,
    origin: hop.url.origin,
  });
  hop.abort(error);
  return error;
}
