// One TCP connection as a byte stream with back-pressure both ways, and the HTTP/1.1 heads the fault proxy has to understand.
// `write` resolves when the kernel has taken every byte, so what it counts has left this process. It must never buffer without limit,
// nor change a byte. RFC 9112 sections 2-7 (message format, body length).

import type { Socket } from 'bun';

const pauseAboveBytes = 512 * 1024;
const headMaxBytes = 256 * 1024;

export interface HttpHead {
  /** `GET /v2/ HTTP/1.1` or `HTTP/1.1 200 OK`. */
  readonly firstLine: string;
  /** The head's bytes with the empty line. */
  readonly bytes: Uint8Array;
  /** The value of the first header of that name; names in any case. */
  header(name: string): string | undefined;
}

export type BodyFraming = { readonly kind: 'none' | 'chunked' | 'until-close' } | { readonly kind: 'length'; readonly sizeBytes: number };

/** A piece of a message as it travels: `bytes` on the wire, of which `bodyFrom..bodyTo` is body (not chunk framing). */
export interface Piece {
  readonly bytes: Uint8Array;
  readonly isBody: boolean;
}

export class ByteStream {
  private socket: Socket<unknown> | undefined;
  private readonly chunks: Uint8Array[] = [];
  private bufferedBytes = 0;
  private ended = false;
  private wake: (() => void) | undefined;
  private drained: (() => void) | undefined;
  private closed = false;
  /** Resolves when the connection is gone, whoever closed it. */
  readonly gone: Promise<void>;
  private tellGone: () => void = () => {};

  constructor() {
    this.gone = new Promise((resolve) => {
      this.tellGone = resolve;
    });
  }

  /** Handlers for `Bun.listen` and `Bun.connect`; `pick` finds the stream of a socket. */
  static handlers<T>(pick: (socket: Socket<T>) => ByteStream) {
    return {
      open: (socket: Socket<T>) => pick(socket).opened(socket as Socket<unknown>),
      data: (socket: Socket<T>, data: Uint8Array) => pick(socket).received(data),
      drain: (socket: Socket<T>) => pick(socket).wakeWriter(),
      end: (socket: Socket<T>) => pick(socket).finished(),
      error: (socket: Socket<T>) => pick(socket).lost(),
      close: (socket: Socket<T>) => pick(socket).lost(),
    };
  }

  get isClosed(): boolean {
    return this.closed;
  }

  /** The next bytes, undefined at the end of the stream. */
  async read(): Promise<Uint8Array | undefined> {
    while (this.chunks.length === 0) {
      if (this.ended) return undefined;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const chunk = this.chunks.shift();
    if (chunk !== undefined) this.bufferedBytes -= chunk.length;
    if (this.bufferedBytes < pauseAboveBytes) this.socket?.resume();
    return chunk;
  }

  /** Puts bytes back in front. */
  unread(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.chunks.unshift(bytes);
    this.bufferedBytes += bytes.length;
  }

  /** A head with its empty line; undefined at the end of the stream or above 256 KiB. */
  async readHead(): Promise<HttpHead | undefined> {
    let bytes = new Uint8Array(0);
    for (;;) {
      const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf('\r\n\r\n');
      if (at >= 0) {
        this.unread(bytes.subarray(at + 4));
        return parseHead(bytes.subarray(0, at + 4));
      }
      const next = bytes.length > headMaxBytes ? undefined : await this.read();
      if (next === undefined) return undefined;
      bytes = concat(bytes, next);
    }
  }

  /** A message body in pieces, framing included. Throws when the stream ends before the body does. */
  async *readBody(framing: BodyFraming): AsyncGenerator<Piece> {
    if (framing.kind === 'none') return;
    if (framing.kind === 'chunked') {
      yield* this.readChunked();
    } else if (framing.kind === 'length') {
      yield* this.readExactly(framing.sizeBytes);
    } else {
      for (;;) {
        const bytes = await this.read();
        if (bytes === undefined) return;
        yield { bytes, isBody: true };
      }
    }
  }

  /** Writes all bytes; gives how many the kernel took: fewer only when the connection went away. `onTaken` hears each part at once. */
  async write(bytes: Uint8Array, onTaken?: (countBytes: number) => void): Promise<number> {
    let done = 0;
    while (done < bytes.length) {
      if (this.closed || this.socket === undefined) return done;
      const taken = Math.max(0, this.socket.write(bytes, done, bytes.length - done));
      done += taken;
      if (taken > 0) onTaken?.(taken);
      if (done < bytes.length) {
        await new Promise<void>((resolve) => {
          this.drained = resolve;
        });
      }
    }
    return done;
  }

  /** FIN after what was written. */
  end(): void {
    if (!this.closed) this.socket?.end();
  }

  /** RST; bytes the peer has not received yet are lost. */
  reset(): void {
    if (!this.closed) this.socket?.terminate();
  }

  private async *readExactly(sizeBytes: number): AsyncGenerator<Piece> {
    let left = sizeBytes;
    while (left > 0) {
      const bytes = await this.read();
      if (bytes === undefined) throw new Error(`the body ended ${left} bytes early`);
      this.unread(bytes.subarray(left));
      const part = bytes.subarray(0, left);
      left -= part.length;
      yield { bytes: part, isBody: true };
    }
  }

  private async *readChunked(): AsyncGenerator<Piece> {
    for (;;) {
      const line = await this.readLine();
      yield { bytes: line, isBody: false };
      const sizeBytes = Number.parseInt(Buffer.from(line).toString('latin1'), 16);
      if (!(sizeBytes >= 0)) throw new Error('bad chunk size');
      if (sizeBytes === 0) break;
      yield* this.readExactly(sizeBytes);
      yield { bytes: await this.readLine(), isBody: false };
    }
    for (;;) {
      const line = await this.readLine();
      yield { bytes: line, isBody: false };
      if (line.length <= 2) return;
    }
  }

  private async readLine(): Promise<Uint8Array> {
    let bytes = new Uint8Array(0);
    for (;;) {
      const at = bytes.indexOf(10);
      if (at >= 0) {
        this.unread(bytes.subarray(at + 1));
        return bytes.subarray(0, at + 1);
      }
      const next = await this.read();
      if (next === undefined) throw new Error('the stream ended inside chunk framing');
      bytes = concat(bytes, next);
    }
  }

  private opened(socket: Socket<unknown>): void {
    this.socket = socket;
  }

  private received(data: Uint8Array): void {
    // Bun reuses the buffer it hands out.
    this.chunks.push(data.slice());
    this.bufferedBytes += data.length;
    if (this.bufferedBytes >= pauseAboveBytes) this.socket?.pause();
    this.wake?.();
  }

  private finished(): void {
    this.ended = true;
    this.wake?.();
  }

  private lost(): void {
    this.closed = true;
    this.finished();
    this.wakeWriter();
    this.tellGone();
  }

  private wakeWriter(): void {
    this.drained?.();
  }
}

/** How a request's body is framed (RFC 9112 section 6.3). */
export function requestFraming(head: HttpHead): BodyFraming {
  return explicitFraming(head) ?? { kind: 'none' };
}

/** How a response's body is framed, given the request's method (RFC 9112 section 6.3). */
export function responseFraming(head: HttpHead, options: { readonly method: string; readonly status: number }): BodyFraming {
  const { method, status } = options;
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { kind: 'none' };
  return explicitFraming(head) ?? { kind: 'until-close' };
}

function explicitFraming(head: HttpHead): BodyFraming | undefined {
  if (/(^|,\s*)chunked\s*$/i.test(head.header('transfer-encoding') ?? '')) return { kind: 'chunked' };
  const length = head.header('content-length');
  return length === undefined ? undefined : { kind: 'length', sizeBytes: Number(length) };
}

function parseHead(bytes: Uint8Array): HttpHead {
  const [firstLine = '', ...lines] = Buffer.from(bytes).toString('latin1').split('\r\n');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (colon > 0 && !headers.has(name)) headers.set(name, line.slice(colon + 1).trim());
  }
  return { firstLine, bytes, header: (name) => headers.get(name.toLowerCase()) };
}

function concat(left: Uint8Array<ArrayBuffer>, right: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(left.length + right.length);
  both.set(left);
  both.set(right, left.length);
  return both;
}
