// Request bodies within limits: a cap in bytes and a least rate. No total time: a slow link may push a big blob as long as it moves
// (limits LIM-01, LIM-11). Bun gives back-pressure: what is not read stays in the socket.

import { OciError } from '../oci/errors.ts';

const slowWindowMs = 60_000;
const slowMinBytes = 10 * 1024 * 60;

/** The chunks of a body. Throws BODY_TOO_SLOW when it hardly moves, and what the connection throws when the client leaves. */
export async function* bodyChunks(request: Request): AsyncGenerator<Uint8Array> {
  if (request.body === null) return;
  const reader = request.body.getReader();
  const pace = watchPace(() => void reader.cancel().catch(() => undefined));
  try {
    for (;;) {
      const next = await reader.read();
      if (pace.isTooSlow()) throw tooSlow();
      if (next.done) return;
      pace.add(next.value.byteLength);
      yield next.value;
    }
  } finally {
    pace.stop();
    reader.releaseLock();
  }
}

/** A whole small body; throws `tooLarge` as soon as it has more than `maxBytes`. */
export async function readBody(request: Request, maxBytes: number, tooLarge: () => OciError): Promise<Uint8Array> {
  const announced = Number(request.headers.get('content-length') ?? 0);
  if (announced > maxBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of bodyChunks(request)) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
}

function watchPace(onSlow: () => void): { add(bytes: number): void; isTooSlow(): boolean; stop(): void } {
  let bytes = 0;
  let slow = false;
  const timer = setInterval(() => {
    if (bytes < slowMinBytes) {
      slow = true;
      onSlow();
    }
    bytes = 0;
  }, slowWindowMs);
  timer.unref();
  return {
    add: (count) => {
      bytes += count;
    },
    isTooSlow: () => slow,
    stop: () => clearInterval(timer),
  };
}

function tooSlow(): OciError {
  return new OciError('BODY_TOO_SLOW', 'the body arrived too slowly (less than 10 KiB/s for a minute); resume the upload at its offset');
}
