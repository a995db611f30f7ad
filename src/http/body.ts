// Request bodies within limits: a cap in bytes and a least rate. No total time: a slow link may push a big blob as long as it moves
// (limits LIM-01, LIM-11). Bun gives back-pressure: what is not read stays in the socket.

import { OciError } from '../oci/errors.ts';

/** The least a body must bring. Only the time spent waiting for the client counts: a slow disk of ours is not its fault. */
export interface BodyPace {
  readonly windowMs: number;
  readonly minBytesPerS: number;
}

const defaultPace: BodyPace = { windowMs: 60_000, minBytesPerS: 10 * 1024 };

/** The chunks of a body. Throws BODY_TOO_SLOW when it hardly moves, and what the connection throws when the client leaves. */
export async function* bodyChunks(request: Request, pace: BodyPace = defaultPace): AsyncGenerator<Uint8Array> {
  if (request.body === null) return;
  const reader = request.body.getReader();
  const watch = watchPace(pace, () => void reader.cancel().catch(() => undefined));
  try {
    for (;;) {
      watch.begin();
      const next = await reader.read();
      if (watch.end(next.value?.byteLength ?? 0)) throw tooSlow(pace);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    watch.stop();
    reader.releaseLock();
  }
}

/** A whole small body; throws `tooLarge` as soon as it has more than `maxBytes`. */
export async function readBody(
  request: Request,
  maxBytes: number,
  tooLarge: () => OciError,
  pace: BodyPace = defaultPace,
): Promise<Uint8Array> {
  const announced = Number(request.headers.get('content-length') ?? 0);
  if (announced > maxBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of bodyChunks(request, pace)) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
}

interface PaceWatch {
  /** The wait for a chunk begins. */
  begin(): void;
  /** It has ended with so many bytes; true when the body was given up. */
  end(bytes: number): boolean;
  stop(): void;
}

/** Judges each window of waiting: `waitedMs` grows only between `begin` and `end`. */
function watchPace(pace: BodyPace, giveUp: () => void): PaceWatch {
  let bytes = 0;
  let waitedMs = 0;
  let waitingSinceMs: number | undefined;
  let isGivenUp = false;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    if (waitingSinceMs !== undefined) {
      waitedMs += nowMs - waitingSinceMs;
      waitingSinceMs = nowMs;
    }
    // A timer may come a little early.
    if (waitedMs < pace.windowMs * 0.95) return;
    if (bytes < (pace.minBytesPerS * waitedMs) / 1000) {
      isGivenUp = true;
      giveUp();
    }
    waitedMs = 0;
    bytes = 0;
  }, pace.windowMs);
  timer.unref();
  return {
    begin: () => {
      waitingSinceMs = performance.now();
    },
    end: (count) => {
      bytes += count;
      if (waitingSinceMs !== undefined) waitedMs += performance.now() - waitingSinceMs;
      waitingSinceMs = undefined;
      return isGivenUp;
    },
    stop: () => clearInterval(timer),
  };
}

function tooSlow(pace: BodyPace): OciError {
  const rate = `${Math.round(pace.minBytesPerS / 1024)} KiB/s for ${Math.round(pace.windowMs / 1000)} s`;
  return new OciError('BODY_TOO_SLOW', `the body arrived too slowly (less than ${rate}); an upload can be resumed at its offset`);
}
