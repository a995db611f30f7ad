// Blobs from a source: the bytes from an offset on, with an end that is never silent. It must never decode, retry or skip by itself: the
// caller knows which bytes it has. wire.md 2.5; faults F6, F8-F10, F15, F38, F39; RFC 9110 section 14.4 (Content-Range).

import type { Clock } from '../lib/clock.ts';
import { contentLength, readChunks } from './body.ts';
import { isHtml } from './classify.ts';
import type { Hop } from './transport.ts';
import { UpstreamError, type Verdict } from './verdict.ts';

export interface BlobAnswer {
  /** Where `body` begins: the offset that was asked for, or 0 when the source ignores ranges (the caller skips). */
  readonly startOffset: number;
  /** The size of the whole blob, when the source or the caller told it. */
  readonly totalBytes?: number;
  /**
   * Single use. Bytes come as they arrive and wait for the reader, whose own they are from then on. Ends only at the announced end; otherwise it throws, after the bytes
   * before it: `truncated`, `stalled`, `aborted`, or `bad-answer` for more bytes than there may be. Leaving the loop closes the connection.
   */
  readonly body: AsyncIterable<Uint8Array>;
  /** Origin of the host that sends the bytes (a CDN, often). */
  readonly finalOrigin: string;
  /** Closes the connection when the body is not going to be read. Does no harm otherwise. */
  discard(): void;
}

export interface BlobExpectation {
  readonly offset: number;
  readonly expectedSizeBytes: number | undefined;
}

/** Where an answer's bytes belong. Throws `bad-range`, `bad-answer`, `html` or `encoding`. */
export function placeBlob(
  hop: Pick<Hop, 'status' | 'headers' | 'url'>,
  expected: BlobExpectation,
): { startOffset: number; totalBytes?: number; length?: number } {
  const fail = (verdict: Verdict, detail: string): UpstreamError =>
    new UpstreamError(verdict, { detail, status: hop.status, origin: hop.url.origin });
  const { offset, expectedSizeBytes } = expected;
  const encoding = hop.headers.get('content-encoding')?.trim().toLowerCase();
  if (encoding !== undefined && encoding !== '' && encoding !== 'identity') throw fail('encoding', 'a blob with a Content-Encoding');
  const length = contentLength(hop.headers);
  const startOffset = hop.status === 206 ? offset : 0;
  const total = hop.status === 206 ? checkRange(hop, expected, fail) : (length ?? expectedSizeBytes);
  const isExpectedSize = expectedSizeBytes !== undefined && length === expectedSizeBytes - startOffset;
  if (isHtml(hop.headers.get('content-type'), '') && !isExpectedSize) throw fail('html', 'an HTML page instead of a blob');
  if (expectedSizeBytes !== undefined && total !== undefined && total !== expectedSizeBytes) {
    throw fail(hop.status === 206 ? 'bad-range' : 'bad-answer', `announced ${total} bytes, the blob has ${expectedSizeBytes}`);
  }
  const due = total === undefined ? length : total - startOffset;
  if (length !== undefined && due !== undefined && length !== due)
    throw fail('bad-range', `announced ${length} bytes where ${due} are due`);
  return { startOffset, ...(total === undefined ? {} : { totalBytes: total }), ...(due === undefined ? {} : { length: due }) };
}

/** The total of a 206, or undefined when it does not say (`*`). */
function checkRange(
  hop: Pick<Hop, 'headers'>,
  expected: BlobExpectation,
  fail: (verdict: Verdict, detail: string) => UpstreamError,
): number | undefined {
  if (expected.offset === 0) throw fail('bad-range', 'a part although everything was asked for');
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(hop.headers.get('content-range')?.trim() ?? '');
  if (match === null) throw fail('bad-range', 'a part without a usable Content-Range');
  const [, first, last, total] = match;
  if (Number(first) !== expected.offset) throw fail('bad-range', `a part from ${first} where ${expected.offset} was asked for`);
  const totalBytes = total === '*' ? expected.expectedSizeBytes : Number(total);
  if (totalBytes !== undefined && Number(last) !== totalBytes - 1)
    throw fail('bad-range', `a part that ends at ${last} of ${totalBytes} bytes`);
  return totalBytes;
}

export async function* streamBlob(options: {
  hop: Hop;
  clock: Clock;
  /** Bytes that have to come; undefined when nobody said. */
  length: number | undefined;
  idleTimeoutMs: number;
  /** Waited for after each piece, which is how a source's byte rate is kept. */
  slow: (bytes: number) => Promise<void>;
  /** `ms`: time spent waiting for the source, neither for the reader nor for `slow`. */
  onEnd: (transfer: { readonly bytes: number; readonly ms: number }) => void;
}): AsyncGenerator<Uint8Array, void, undefined> {
  const { hop, length } = options;
  const idle = watchIdle(options.clock, options.idleTimeoutMs, () => {
    hop.abort(new UpstreamError('stalled', { detail: `no byte for ${options.idleTimeoutMs} ms`, origin: hop.url.origin }));
  });
  let received = 0;
  try {
    idle.begin();
    for await (const chunk of readChunks(hop)) {
      idle.end();
      received += chunk.length;
      if (length !== undefined && received > length) {
        throw new UpstreamError('bad-answer', { detail: `more than the ${length} bytes that are due`, origin: hop.url.origin });
      }
      await options.slow(chunk.length);
      yield chunk;
      idle.begin();
    }
    if (length !== undefined && received < length) {
      throw new UpstreamError('truncated', { detail: `ended after ${received} of ${length} bytes`, origin: hop.url.origin });
    }
  } finally {
    idle.stop();
    options.onEnd({ bytes: received, ms: idle.waitedMs() });
  }
}

/** Calls `onIdle` once when one wait lasts too long; time the reader takes for itself does not count. One timer for the whole body. */
function watchIdle(clock: Clock, idleMs: number, onIdle: () => void): { begin(): void; end(): void; stop(): void; waitedMs(): number } {
  const stopped = new AbortController();
  let sinceMs: number | undefined;
  let totalMs = 0;
  const run = async (): Promise<void> => {
    for (;;) {
      const waitedMs = sinceMs === undefined ? 0 : clock.monotonicMs() - sinceMs;
      if (waitedMs >= idleMs) return onIdle();
      await clock.sleep(idleMs - waitedMs, stopped.signal);
    }
  };
  run().catch(() => undefined);
  return {
    begin: () => {
      sinceMs = clock.monotonicMs();
    },
    end: () => {
      totalMs += sinceMs === undefined ? 0 : clock.monotonicMs() - sinceMs;
      sinceMs = undefined;
    },
    stop: () => stopped.abort(),
    waitedMs: () => totalMs,
  };
}
