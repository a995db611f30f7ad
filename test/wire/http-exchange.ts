// One HTTP/1.1 request and its answer on a connection of its own, with a deadline.
// It must never retry, follow a redirect or hide a connection that ended early.

import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { createMessageReader, encodeMessage, type Header, type HttpMessage } from './http-message.ts';

export interface ExchangeRequest {
  /** Scheme, host and port to connect to. */
  readonly origin: URL;
  readonly method: string;
  /** Path and query exactly as they go on the wire. */
  readonly path: string;
  /** Sent as they are, before `Content-Length` or `Transfer-Encoding`; `Host` must be among them. */
  readonly headers: readonly Header[];
  readonly body: Uint8Array | undefined;
  /** Sends the body with `Transfer-Encoding: chunked` instead of a Content-Length. */
  readonly chunked: boolean;
  readonly timeoutMs: number;
  /** Waits this long after a whole answer for bytes that must not be there. */
  readonly lingerMs?: number;
}

/** Sends one request and gives the whole answer. Throws `Error` on a connection failure, a cut answer, or after `timeoutMs`. */
export async function exchange(request: ExchangeRequest): Promise<HttpMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpMessage>();
  const reader = createMessageReader({ kind: 'response', bodyless: request.method === 'HEAD' });
  const socket = open(request.origin);
  const timer = setTimeout(() => reject(new Error(`no whole answer within ${request.timeoutMs} ms`)), request.timeoutMs);
  let whole: HttpMessage | undefined;
  const finish = (): void => {
    try {
      resolve(whole === undefined ? reader.end() : { ...whole, excess: reader.excess() });
    } catch (cause) {
      reject(cause);
    }
  };
  socket.on('data', (chunk: Buffer) => {
    try {
      const message = reader.feed(chunk);
      if (message === undefined || whole !== undefined) return;
      whole = message;
      if (request.lingerMs === undefined) finish();
      else setTimeout(finish, request.lingerMs);
    } catch (cause) {
      reject(cause);
    }
  });
  socket.on('end', finish);
  socket.on('close', finish);
  // A server may answer and close before it has read the whole body; then the write fails although the answer is here.
  let failure: Error | undefined;
  socket.on('error', (cause: Error) => {
    failure = cause;
  });
  socket.write(encodeRequest(request));
  try {
    return await promise;
  } catch (cause) {
    throw failure === undefined
      ? cause
      : new Error(`${String(failure.message)} (${cause instanceof Error ? cause.message : String(cause)})`);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** Sends the head and the first `bodyBytes` of the body, then drops the connection, as a client does that loses its network. */
export async function sendPart(request: ExchangeRequest, bodyBytes: number): Promise<void> {
  const whole = encodeRequest(request);
  const headBytes = whole.indexOf('\r\n\r\n') + 4;
  const socket = open(request.origin);
  socket.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`could not send within ${request.timeoutMs} ms`)), request.timeoutMs);
    socket.write(whole.subarray(0, headBytes + bodyBytes), () => {
      clearTimeout(timer);
      resolve();
    });
  });
  // Lets the server take what was sent before it sees the end.
  await Bun.sleep(50);
  socket.destroy();
}

function open(origin: URL): Socket {
  const host = origin.hostname.replace(/^\[|\]$/g, '');
  if (origin.protocol === 'https:') {
    return connectTls({ host, port: Number(origin.port || 443), ...(isIP(host) === 0 ? { servername: host } : {}) });
  }
  return connectPlain({ host, port: Number(origin.port || 80) });
}

function encodeRequest(request: ExchangeRequest): Buffer {
  const body = request.body ?? new Uint8Array(0);
  const headers: Header[] = [...request.headers, ['Connection', 'close']];
  if (request.chunked) headers.push(['Transfer-Encoding', 'chunked']);
  else if (request.body !== undefined) headers.push(['Content-Length', String(body.length)]);
  const startLine = `${request.method} ${request.path} HTTP/1.1`;
  return encodeMessage({ startLine, headers, body, framing: request.chunked ? 'chunked' : 'as-is' });
}
