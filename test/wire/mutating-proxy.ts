// A proxy in front of a registry that plants one fault into its answers, to see whether the wire suite notices.
// Without a fault it must be invisible: same status, same headers in the same order, same body, same framing.
// Each connection carries one request; the target sees the proxy's Host, so everything it links to comes back through here.

import { createServer, type Socket } from 'node:net';
import { exchange } from './http-exchange.ts';
import { createMessageReader, encodeMessage, type Header, type HttpMessage, headerValue, headerValues, statusOf } from './http-message.ts';

export interface ProxiedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: readonly Header[];
  readonly body: Buffer;
}

export interface ProxiedAnswer {
  readonly status: number;
  readonly headers: readonly Header[];
  readonly body: Buffer;
}

export interface Fault {
  readonly name: string;
  /** A case of the suite that must fail because of it. */
  readonly caughtBy: string;
  /**
   * Answers a request. `forward` asks the target; an answer other than the one it gave (or none asked for) is the fault firing.
   * Gives undefined to let the request through untouched.
   */
  readonly answer: (request: ProxiedRequest, forward: () => Promise<ProxiedAnswer>) => Promise<ProxiedAnswer | undefined>;
}

export interface MutatingProxy {
  readonly url: string;
  /** How often the fault fired. */
  firedCount(): number;
  stop(): Promise<void>;
}

const targetTimeoutMs = 15_000;

/** Starts a proxy on a free loopback port. */
export async function startMutatingProxy(options: { readonly targetUrl: string; readonly fault?: Fault }): Promise<MutatingProxy> {
  const origin = new URL(options.targetUrl);
  const sockets = new Set<Socket>();
  let fired = 0;

  const handle = async (message: HttpMessage): Promise<Buffer> => {
    const [method = '', path = ''] = message.startLine.split(' ');
    const request: ProxiedRequest = { method, path, headers: message.headers, body: message.body };
    let asked: Promise<HttpMessage> | undefined;
    const forward = async (): Promise<ProxiedAnswer> => {
      asked ??= forwardRequest(origin, request);
      const answer = await asked;
      return { status: statusOf(answer.startLine) ?? 0, headers: answer.headers, body: answer.body };
    };
    const mutated = await options.fault?.answer(request, forward);
    if (mutated !== undefined) fired += 1;
    const answer = mutated ?? (await forward());
    return encodeAnswer(request, answer, mutated === undefined ? (await asked)?.startLine : undefined);
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const reader = createMessageReader({ kind: 'request' });
    let taken = false;
    socket.on('data', (chunk: Buffer) => {
      if (taken) return;
      try {
        const message = reader.feed(chunk);
        if (message === undefined) return;
        taken = true;
        handle(message).then(
          (bytes) => socket.end(bytes),
          () => socket.destroy(),
        );
      } catch {
        socket.destroy();
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    firedCount: () => fired,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** The answer with a header taken away. */
export function withoutHeader(answer: ProxiedAnswer, name: string): ProxiedAnswer {
  const unwanted = name.toLowerCase();
  return { ...answer, headers: answer.headers.filter(([key]) => key.toLowerCase() !== unwanted) };
}

/** The answer with one header replaced, or added at the end. */
export function withHeader(answer: ProxiedAnswer, name: string, value: string): ProxiedAnswer {
  return { ...answer, headers: [...withoutHeader(answer, name).headers, [name, value]] };
}

/** The answer with another body, counted anew. */
export function withBody(answer: ProxiedAnswer, body: Buffer): ProxiedAnswer {
  return withHeader(withoutHeader({ ...answer, body }, 'transfer-encoding'), 'Content-Length', String(body.length));
}

export function hasHeader(answer: ProxiedAnswer, name: string): boolean {
  return headerValues(answer.headers, name).length > 0;
}

function forwardRequest(origin: URL, request: ProxiedRequest): Promise<HttpMessage> {
  const chunked = headerValue(request.headers, 'transfer-encoding') !== undefined;
  const hasBody = chunked || headerValue(request.headers, 'content-length') !== undefined;
  const headers = request.headers.filter(([name]) => !/^(?:connection|content-length|transfer-encoding)$/i.test(name));
  const { method, path, body } = request;
  return exchange({ origin, method, path, headers, body: hasBody ? body : undefined, chunked, timeoutMs: targetTimeoutMs });
}

function encodeAnswer(request: ProxiedRequest, answer: ProxiedAnswer, originalLine: string | undefined): Buffer {
  const startLine = originalLine ?? `HTTP/1.1 ${answer.status} Rewritten`;
  const chunked = headerValue(answer.headers, 'transfer-encoding') !== undefined;
  const headers: Header[] = [...answer.headers.filter(([name]) => name.toLowerCase() !== 'connection'), ['Connection', 'close']];
  const framing = request.method === 'HEAD' || answer.status === 204 || answer.status === 304 ? 'none' : chunked ? 'chunked' : 'as-is';
  return encodeMessage({ startLine, headers, body: answer.body, framing });
}
