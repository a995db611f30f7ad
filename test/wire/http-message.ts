// HTTP/1.1 messages as they are on the wire: raw header order and spelling, decoded body, bytes that came after the end.
// Used by the wire client and by the mutating proxy, because `fetch` hides what the suite has to see (framing, duplicates, casing).
// It must never repair, join or drop a header, and never accept a message that was cut short. Implements RFC 9112, sections 2-7.

export type Header = readonly [name: string, value: string];

export interface HttpMessage {
  /** The first line without its line end, e.g. `HTTP/1.1 200 OK`. */
  readonly startLine: string;
  readonly headers: readonly Header[];
  /** The body without its transfer coding. */
  readonly body: Buffer;
  /** Bytes that followed the message on the same connection (a body after HEAD or 204, or more than Content-Length). */
  readonly excess: Buffer;
}

export interface MessageReader {
  /** Takes bytes from the connection; gives the message when it is whole. */
  feed(chunk: Buffer): HttpMessage | undefined;
  /** The peer closed: gives a message that ends with the connection, else throws `Error` saying what was missing. */
  end(): HttpMessage;
  /** More bytes of a message already given. */
  excess(): Buffer;
}

interface Head {
  readonly startLine: string;
  readonly headers: readonly Header[];
}

const maxHeadBytes = 64 * 1024;

/** The first value of a header, or undefined. Names are compared without case. */
export function headerValue(headers: readonly Header[], name: string): string | undefined {
  const wanted = name.toLowerCase();
  return headers.find(([key]) => key.toLowerCase() === wanted)?.[1];
}

/** Every value of a header, in order. */
export function headerValues(headers: readonly Header[], name: string): string[] {
  const wanted = name.toLowerCase();
  return headers.filter(([key]) => key.toLowerCase() === wanted).map(([, value]) => value);
}

/** The status of a response's start line, or undefined when the line is none. */
export function statusOf(startLine: string): number | undefined {
  const match = /^HTTP\/1\.[01] ([0-9]{3})(?: .*)?$/.exec(startLine);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** Bytes of one message; `framing` says how the body is delimited (`none` sends no body at all, as after HEAD). */
export function encodeMessage(message: Head & { readonly body: Uint8Array; readonly framing: 'as-is' | 'chunked' | 'none' }): Buffer {
  const lines = [message.startLine, ...message.headers.map(([name, value]) => `${name}: ${value}`), '', ''];
  const parts: Uint8Array[] = [Buffer.from(lines.join('\r\n'), 'latin1')];
  if (message.framing === 'as-is') parts.push(message.body);
  if (message.framing === 'chunked') parts.push(encodeChunks(message.body));
  return Buffer.concat(parts);
}

/**
 * A reader of one message. `bodyless` says that the message has no body whatever its headers say (the answer to HEAD).
 * Interim 1xx answers are skipped. Throws `Error` on a malformed head or chunk.
 */
export function createMessageReader(options: { readonly kind: 'request' | 'response'; readonly bodyless?: boolean }): MessageReader {
  let pending: Buffer = Buffer.alloc(0);
  let head: Head | undefined;
  let framing: 'none' | 'length' | 'chunked' | 'close' = 'none';
  let remaining = 0;
  let phase: 'head' | 'data' | 'size' | 'data-end' | 'trailer' | 'done' = 'head';
  const body: Buffer[] = [];

  const takeLine = (): string | undefined => {
    const end = pending.indexOf('\r\n');
    if (end < 0) return undefined;
    const line = pending.subarray(0, end).toString('latin1');
    pending = pending.subarray(end + 2);
    return line;
  };
  const takeData = (): void => {
    const piece = framing === 'close' ? pending : pending.subarray(0, remaining);
    if (piece.length > 0) body.push(piece);
    remaining -= piece.length;
    pending = pending.subarray(piece.length);
  };
  const startBody = (parsed: Head): void => {
    const status = options.kind === 'response' ? statusOf(parsed.startLine) : undefined;
    if (options.kind === 'response' && status === undefined) throw new Error(`not a status line: ${parsed.startLine.slice(0, 80)}`);
    if (status !== undefined && status >= 100 && status < 200) return;
    head = parsed;
    const length = headerValue(parsed.headers, 'content-length');
    const coding = headerValue(parsed.headers, 'transfer-encoding');
    if (options.bodyless === true || status === 204 || status === 304) framing = 'none';
    else if (coding !== undefined) framing = 'chunked';
    else if (length !== undefined) framing = 'length';
    else framing = options.kind === 'response' ? 'close' : 'none';
    if (framing === 'length') {
      if (!/^[0-9]+$/.test(length ?? '')) throw new Error(`not a Content-Length: ${String(length)}`);
      remaining = Number(length);
    }
    phase = framing === 'chunked' ? 'size' : framing === 'none' || (framing === 'length' && remaining === 0) ? 'done' : 'data';
  };
  /** One step; false when more bytes are needed. */
  const step = (): boolean => {
    if (phase === 'head') {
      const end = pending.indexOf('\r\n\r\n');
      if (end < 0) {
        if (pending.length > maxHeadBytes) throw new Error('the head of the message is too long');
        return false;
      }
      const text = pending.subarray(0, end).toString('latin1');
      pending = pending.subarray(end + 4);
      startBody(parseHead(text));
      return true;
    }
    if (phase === 'size') {
      const line = takeLine();
      if (line === undefined) return false;
      const size = /^([0-9a-fA-F]+)(?:;.*)?$/.exec(line)?.[1];
      if (size === undefined) throw new Error(`not a chunk size: ${line.slice(0, 40)}`);
      remaining = Number.parseInt(size, 16);
      phase = remaining === 0 ? 'trailer' : 'data';
      return true;
    }
    if (phase === 'data') {
      if (pending.length === 0) return false;
      takeData();
      if (framing === 'length' && remaining === 0) phase = 'done';
      if (framing === 'chunked' && remaining === 0) phase = 'data-end';
      return true;
    }
    if (phase === 'data-end' || phase === 'trailer') {
      const line = takeLine();
      if (line === undefined) return false;
      if (phase === 'data-end') phase = 'size';
      else if (line === '') phase = 'done';
      return true;
    }
    return false;
  };
  const result = (): HttpMessage => {
    if (head === undefined) throw new Error('the connection ended before a whole head');
    return { ...head, body: Buffer.concat(body), excess: pending };
  };
  return {
    feed: (chunk) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      while (phase !== 'done' && step());
      return phase === 'done' ? result() : undefined;
    },
    end: () => {
      if (phase === 'done' || (phase === 'data' && framing === 'close')) return result();
      if (head === undefined) throw new Error('the connection ended before a whole head');
      throw new Error(
        `the connection ended inside the body of "${head.startLine}"${framing === 'length' ? `, ${remaining} bytes short` : ''}`,
      );
    },
    excess: () => pending,
  };
}

function parseHead(text: string): Head {
  const [startLine = '', ...lines] = text.split('\r\n');
  const headers = lines.map((line): Header => {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new Error(`not a header line: ${line.slice(0, 80)}`);
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  return { startLine, headers };
}

/** Two chunks where there are at least two bytes, so that a reader of one chunk only is noticed. */
function encodeChunks(body: Uint8Array): Buffer {
  const half = Math.ceil(body.length / 2);
  const parts: Uint8Array[] = [];
  for (const piece of [body.subarray(0, half), body.subarray(half)]) {
    if (piece.length > 0) parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}
