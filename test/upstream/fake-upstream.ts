// A scripted registry on loopback, spoken by hand over TCP so that it can break every rule: short bodies, resets, silence, broken framing.
// It records what it was asked and how many bytes it received. Used by the suites of this folder only.

import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, createServer as createTlsServer, type TLSSocket } from 'node:tls';

export interface FakeRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** From 1, over all connections. */
  readonly count: number;
  /** The TLS server name. */
  readonly serverName: string | undefined;
}

export interface Reply {
  /** A whole answer with Content-Length. A header with a list is sent several times. */
  send(status: number, headers?: Readonly<Record<string, string | readonly string[]>>, body?: string | Uint8Array): void;
  /** Bytes as they are. */
  raw(data: string | Uint8Array): Promise<void>;
  end(): void;
  reset(): void;
}

export type Script = (request: FakeRequest, reply: Reply) => void | Promise<void>;

/** Bytes as they are, a pause, or how the connection is closed. */
export type Step = string | Uint8Array | { readonly pauseMs: number } | { readonly close: 'end' | 'reset' };

/** The same answer to every request, step by step. */
export function play(...steps: readonly Step[]): Script {
  return async (_, reply) => {
    for (const step of steps) {
      if (typeof step === 'string' || step instanceof Uint8Array) await reply.raw(step);
      else if ('pauseMs' in step) await Bun.sleep(step.pauseMs);
      else if (step.close === 'end') reply.end();
      else reply.reset();
    }
  };
}

export interface FakeUpstream {
  readonly port: number;
  /** `http(s)://127.0.0.1:PORT` */
  readonly url: string;
  urlAt(host: string): string;
  readonly requests: FakeRequest[];
  readonly connections: () => number;
  readonly openConnections: () => number;
  readonly bytesReceived: () => number;
  /** All that was received (behind TLS), as Latin-1, up to 4 MiB. */
  readonly received: () => string;
  stop(): Promise<void>;
}

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');
export const testCa = fixture('ca.pem');
const contextFor = (name: string): ReturnType<typeof createSecureContext> =>
  createSecureContext({ cert: fixture(`${name}.pem`), key: fixture(`${name}.pem`) });

export async function startFakeUpstream(
  script: Script,
  options: { tls?: 'a.test' | 'expired' | 'loopback'; host?: string; port?: number } = {},
): Promise<FakeUpstream> {
  const requests: FakeRequest[] = [];
  const open = new Set<Socket>();
  let connections = 0;
  let bytesReceived = 0;
  let received = '';

  const onConnection = (socket: Socket): void => {
    connections++;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    let buffered = '';
    socket.on('data', (chunk) => {
      bytesReceived += chunk.length;
      if (received.length < 4 * 1024 * 1024) received += chunk.toString('latin1');
      buffered += chunk.toString('latin1');
      for (let end = buffered.indexOf('\r\n\r\n'); end !== -1; end = buffered.indexOf('\r\n\r\n')) {
        const request = parseRequest(buffered.slice(0, end), requests.length + 1, (socket as TLSSocket).servername);
        buffered = buffered.slice(end + 4);
        requests.push(request);
        Promise.resolve(script(request, replyOn(socket, request.method))).catch((error: unknown) => {
          console.error('the script of a fake upstream failed', error);
          socket.destroy();
        });
      }
    });
  };

  const server: Server =
    options.tls === undefined
      ? createServer(onConnection)
      : createTlsServer(
          {
            cert: fixture(`${options.tls}.pem`),
            key: fixture(`${options.tls}.pem`),
            SNICallback: (name, done) =>
              done(
                null,
                contextFor(options.tls === 'a.test' && (name === 'a.test' || name === 'b.test') ? name : (options.tls ?? 'a.test')),
              ),
          },
          onConnection,
        );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', () => resolve());
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const scheme = options.tls === undefined ? 'http' : 'https';
  return {
    port,
    url: `${scheme}://${options.host ?? '127.0.0.1'}:${port}`,
    urlAt: (host) => `${scheme}://${host}:${port}`,
    requests,
    connections: () => connections,
    openConnections: () => open.size,
    bytesReceived: () => bytesReceived,
    received: () => received,
    stop: async () => {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function parseRequest(head: string, count: number, serverName: unknown): FakeRequest {
  const [first = '', ...lines] = head.split('\r\n');
  const [method = '', path = ''] = first.split(' ');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { method, path, headers, count, serverName: typeof serverName === 'string' ? serverName : undefined };
}

function replyOn(socket: Socket, method: string): Reply {
  const raw = (data: string | Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      if (socket.destroyed) resolve();
      else socket.write(data, () => resolve());
    });
  return {
    send: (status, headers = {}, body = '') => {
      const bytes = typeof body === 'string' ? Buffer.from(body) : body;
      const lines = Object.entries({ 'content-length': String(bytes.length), ...headers }).flatMap(([name, value]) =>
        (typeof value === 'string' ? [value] : value).map((text) => `${name}: ${text}\r\n`),
      );
      raw(`HTTP/1.1 ${status} X\r\n${lines.join('')}\r\n`).catch(() => undefined);
      if (method !== 'HEAD') raw(bytes).catch(() => undefined);
    },
    raw,
    end: () => {
      socket.end();
    },
    reset: () => {
      socket.resetAndDestroy();
    },
  };
}
