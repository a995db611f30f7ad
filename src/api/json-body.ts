// The JSON body of a request to the admin API: asked for by its content type (which keeps plain HTML forms of other sites out), capped in
// bytes and time, parsed once to see that it is JSON. What its members mean is the route's schema.

import { OciError } from '../oci/errors.ts';

/** Limit LIM-12, unless a route has one of its own (policy.ts). */
export const bodyMaxBytes = 64 * 1024;
const bodyTimeoutMs = 15_000;

/**
 * The text of a JSON body. BAD_REQUEST for another content type and for what is no JSON, BODY_TOO_LARGE, BODY_TOO_SLOW after 15 s.
 * Throws what the connection throws when the client leaves.
 */
export async function readJsonText(request: Request, maxBytes: number = bodyMaxBytes): Promise<string> {
  const contentType = request.headers.get('content-type') ?? '';
  if (!/^application\/json\s*(;|$)/i.test(contentType))
    throw new OciError('BAD_REQUEST', 'the body must be JSON: Content-Type application/json');
  const text = decodeUtf8(await readBytes(request, maxBytes));
  try {
    JSON.parse(text);
  } catch {
    throw new OciError('BAD_REQUEST', text === '' ? 'the body is empty; JSON was expected' : 'the body is not valid JSON');
  }
  return text;
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = (): OciError => new OciError('BODY_TOO_LARGE', `the body may have at most ${maxBytes} bytes`);
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge();
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    void reader.cancel().catch(() => undefined);
  }, bodyTimeoutMs);
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for (;;) {
      const next = await reader.read();
      if (isLate) throw new OciError('BODY_TOO_SLOW', 'the body arrived too slowly');
      if (next.done) return Buffer.concat(chunks);
      sizeBytes += next.value.byteLength;
      if (sizeBytes > maxBytes) throw tooLarge();
      chunks.push(next.value);
    }
  } finally {
    clearTimeout(timer);
    reader.releaseLock();
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new OciError('BAD_REQUEST', 'the body is not valid UTF-8');
  }
}
