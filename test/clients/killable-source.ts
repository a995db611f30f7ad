// A real docker-registry behind a TCP proxy that knows exactly which bytes of which blob it passed on, and that ends the registry
// (SIGKILL) at a chosen body byte. What it counted it also delivered, so the counters can be compared with what the client says it got:
// a connection is flushed and left open for a moment before it ends, because a fetch client (Bun's, measured) throws away what it had
// queued when a body breaks off. (support/fault-proxy.ts harms single responses; this has one budget of bytes over all connections.)
// Only for GET and HEAD over plain HTTP/1.1 without pipelining (RFC 9112).

import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { freePort, type RunningDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';

/** Bytes `from` to `to` (exclusive) of a blob, passed on by the source with this URL. */
export interface Delivery {
  readonly digest: string;
  readonly source: string;
  readonly from: number;
  readonly to: number;
}

export interface KillableSource {
  readonly url: string;
  /** Bodies of blob GETs passed on since the last `revive`, in the order they began. */
  deliveries(): readonly Delivery[];
  /** Kills the registry when so many blob body bytes have been passed on since the last `revive`. */
  killAfter(bodyBytes: number): void;
  /** Kills the registry now: connections end, new ones are refused. */
  kill(): Promise<void>;
  /** From now on connections are accepted and nothing is ever answered. */
  silence(): void;
  isDown(): boolean;
  /** Up again at the same address, counters at zero. */
  revive(): Promise<void>;
  stop(): Promise<void>;
}

interface Counted {
  readonly digest: string;
  readonly from: number;
  to: number;
}

/** Time a client gets to read what was passed on before its connection ends. */
const readOutMs = 500;

/** Starts a registry on an existing storage folder, and its proxy. */
export async function startKillableSource(dataDir: string): Promise<KillableSource> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let registry: RunningDockerRegistry | undefined;
  let server: Server | undefined;
  let bodies: Counted[] = [];
  let remaining = Number.POSITIVE_INFINITY;
  let silent = false;
  let killed: Promise<void> | undefined;
  const clients = new Set<Socket>();

  const kill = (): Promise<void> => {
    killed ??= (async () => {
      server?.close();
      await registry?.kill();
      await Bun.sleep(readOutMs);
      for (const client of clients) client.end();
    })();
    return killed;
  };

  /** Takes the next bytes of a body: counts them, and says how many may pass. */
  const take = (body: Counted, lengthBytes: number): number => {
    const passing = Math.min(lengthBytes, remaining);
    remaining -= passing;
    body.to += passing;
    return passing;
  };

  const serve = (client: Socket): void => {
    clients.add(client);
    client.on('error', () => client.destroy());
    if (silent || registry === undefined) return;
    const upstream = createConnection({ host: '127.0.0.1', port: registry.port });
    const exchange = createExchange(bodies);
    const pass = (bytes: Uint8Array): void => {
      if (bytes.length > 0 && !client.write(bytes)) upstream.pause();
    };
    client.on('data', (bytes: Uint8Array) => {
      if (silent || killed !== undefined) return;
      exchange.request(bytes);
      upstream.write(bytes);
    });
    client.on('drain', () => upstream.resume());
    upstream.on('data', (bytes: Uint8Array) => {
      if (silent || killed !== undefined) return;
      const { head, body, counted } = exchange.response(bytes);
      pass(head);
      if (counted === undefined) return pass(body);
      pass(body.subarray(0, take(counted, body.length)));
      if (remaining === 0) void kill();
    });
    const end = (): void => {
      if (killed === undefined) client.end();
    };
    upstream.on('error', end);
    upstream.on('close', end);
    client.on('close', () => {
      clients.delete(client);
      upstream.destroy();
    });
  };

  const revive = async (): Promise<void> => {
    await close();
    bodies = [];
    remaining = Number.POSITIVE_INFINITY;
    silent = false;
    killed = undefined;
    registry = await startDockerRegistry({ dataDir });
    server = createServer(serve);
    await new Promise<void>((resolve, reject) => server?.once('error', reject).listen(port, '127.0.0.1', resolve));
  };

  const close = async (): Promise<void> => {
    for (const client of clients) client.destroy();
    const listening = server;
    if (listening?.listening === true) await new Promise<void>((resolve) => listening.close(() => resolve()));
    await killed;
    await registry?.stop();
  };

  await revive();
  return {
    url,
    deliveries: () => bodies.map(({ digest, from, to }) => ({ digest, source: url, from, to })),
    killAfter: (bodyBytes) => {
      remaining = bodyBytes;
    },
    kill,
    silence: () => {
      silent = true;
    },
    isDown: () => killed !== undefined,
    revive,
    stop: close,
  };
}

interface Exchange {
  /** Bytes the client sent: a new request begins. */
  request(bytes: Uint8Array): void;
  /** Bytes the registry sent, split at the end of the response's head. `counted` is set for the body of a blob GET. */
  response(bytes: Uint8Array): { readonly head: Uint8Array; readonly body: Uint8Array; readonly counted: Counted | undefined };
}

/** Follows one connection's requests and responses just far enough to know what a body is. */
function createExchange(bodies: Counted[]): Exchange {
  let request = '';
  let head: Buffer | undefined;
  let counted: Counted | undefined;
  return {
    request: (bytes) => {
      if (head !== undefined || request === '') request = '';
      request += Buffer.from(bytes).toString('latin1');
      head = undefined;
      counted = undefined;
    },
    response: (bytes) => {
      if (head?.includes('\r\n\r\n')) return { head: new Uint8Array(0), body: bytes, counted };
      const before = head?.length ?? 0;
      head = Buffer.concat([head ?? Buffer.alloc(0), bytes]);
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) return { head: bytes, body: new Uint8Array(0), counted: undefined };
      const split = end + 4 - before;
      head = head.subarray(0, end + 4);
      counted = startBody(request, head.toString('latin1'));
      if (counted !== undefined) bodies.push(counted);
      return { head: bytes.subarray(0, split), body: bytes.subarray(split), counted };
    },
  };
}

/** The counter of a blob body, or undefined when the response carries none. */
function startBody(request: string, head: string): Counted | undefined {
  const digest = /^GET \/v2\/\S+\/blobs\/([a-z0-9]+:[0-9a-f]+)[ ?]/.exec(request)?.[1];
  const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
  if (digest === undefined || (status !== '200' && status !== '206')) return undefined;
  const from = Number(/^content-range: bytes (\d+)-/im.exec(head)?.[1] ?? 0);
  return { digest, from, to: from };
}
