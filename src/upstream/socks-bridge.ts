// SOCKS5 for a `fetch` that knows only HTTP proxies: a CONNECT proxy of our own on loopback that speaks SOCKS5 to the operator's proxy. Names go
// there unresolved. It must never serve anybody but this process: each SOCKS5 proxy has a random secret of 256 bits, without which nothing is
// dialled. RFC 1928, RFC 9110 section 9.3.6 (CONNECT).

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { classifyAddress, parseIPv6 } from './address.ts';
import { effectivePort } from './guard.ts';

export interface SocksBridge {
  /** The URL of the HTTP proxy that stands for a `socks5://HOST:PORT`; starts listening at the first call. */
  proxyFor(socksUrl: string): Promise<string>;
  close(): void;
}

export function isSocks(proxy: string): boolean {
  return proxy.startsWith('socks5:') || proxy.startsWith('socks5h:');
}

const headMaxBytes = 16_384;
const connectionsMax = 1_024;
const portDefault = 1_080;

/** `timeoutMs` is given to the proxy's CONNECT head, and to the way through the SOCKS5 proxy. */
export function createSocksBridge(options: { timeoutMs: number }): SocksBridge {
  const proxies = new Map<string, { readonly secret: Buffer; readonly target: URL }>();
  const open = new Set<Socket>();
  let listening: Promise<{ server: Server; port: number }> | undefined;
  let isClosed = false;

  const targetFor = (login: string): URL | undefined => {
    const given = Buffer.from(login);
    for (const { secret, target } of proxies.values()) if (given.length === secret.length && timingSafeEqual(given, secret)) return target;
    return undefined;
  };

  const onConnection = (client: Socket): void => {
    if (open.size >= connectionsMax) {
      client.destroy();
      return;
    }
    open.add(client);
    client.on('close', () => open.delete(client));
    serve(client, targetFor, options.timeoutMs).catch(() => client.destroy());
  };

  const listen = (): Promise<{ server: Server; port: number }> =>
    new Promise((resolve, reject) => {
      const server = createServer(onConnection);
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        server.unref();
        resolve({ server, port: typeof address === 'object' && address !== null ? address.port : 0 });
      });
    });

  return {
    proxyFor: async (socksUrl) => {
      listening ??= listen();
      const { server, port } = await listening;
      if (isClosed) server.close();
      const known = proxies.get(socksUrl) ?? { secret: Buffer.from(randomBytes(32).toString('hex')), target: new URL(socksUrl) };
      proxies.set(socksUrl, known);
      return `http://bridge:${known.secret}@127.0.0.1:${port}`;
    },
    close: () => {
      isClosed = true;
      for (const socket of open) socket.destroy();
      listening?.then(({ server }) => server.close()).catch(() => undefined);
    },
  };
}

async function serve(client: Socket, targetFor: (login: string) => URL | undefined, timeoutMs: number): Promise<void> {
  client.setTimeout(timeoutMs, () => client.destroy());
  client.on('error', () => client.destroy());
  const { head, rest } = await readHead(client);
  const login = /^proxy-authorization: *basic +([a-z0-9+/=]+) *$/im.exec(head)?.[1];
  const proxy =
    login === undefined
      ? undefined
      : targetFor(
          Buffer.from(login, 'base64')
            .toString()
            .replace(/^bridge:/, ''),
        );
  if (proxy === undefined) return refuse(client, '407 Proxy Authentication Required');
  const wanted = /^CONNECT (\[[0-9a-f:.]+\]|[^\s:]+):(\d{1,5}) HTTP\/1\.1\r\n/i.exec(head);
  if (wanted === null) return refuse(client, '501 Not Implemented');
  let away: Socket;
  try {
    away = await dialThrough(proxy, { host: wanted[1] ?? '', port: Number(wanted[2]) }, timeoutMs);
  } catch {
    return refuse(client, '502 Bad Gateway');
  }
  if (client.destroyed) {
    away.destroy();
    return;
  }
  client.setTimeout(0);
  client.on('close', () => away.destroy());
  away.on('close', () => client.destroy());
  client.write('HTTP/1.1 200 Connection established\r\n\r\n');
  if (rest.length > 0) away.write(rest);
  client.pipe(away);
  away.pipe(client);
}

function refuse(client: Socket, status: string): void {
  client.end(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
}

async function readHead(client: Socket): Promise<{ head: string; rest: Buffer }> {
  const reader = createReader(client);
  const head = await reader.until('\r\n\r\n');
  return { head, rest: reader.release() };
}

/** A connection that leads to the host through the SOCKS5 proxy. Rejects when there is none within `timeoutMs`. */
function dialThrough(proxy: URL, target: { host: string; port: number }, timeoutMs: number): Promise<Socket> {
  const socket = connect({ host: proxy.hostname.replace(/^\[|\]$/g, ''), port: proxy.port === '' ? portDefault : effectivePort(proxy) });
  const work = async (): Promise<Socket> => {
    const reader = createReader(socket);
    socket.write(Uint8Array.of(5, 1, 0));
    const [version, method] = await reader.take(2);
    if (version !== 5 || method !== 0) throw new Error('the SOCKS5 proxy wants a login');
    socket.write(connectRequest(target));
    const [, reply, , kind] = await reader.take(4);
    if (reply !== 0) throw new Error(`the SOCKS5 proxy answered ${reply}`);
    const length = kind === 1 ? 4 : kind === 4 ? 16 : ((await reader.take(1))[0] ?? 0);
    await reader.take(length + 2);
    const early = reader.release();
    if (early.length > 0) socket.unshift(early);
    socket.setTimeout(0);
    return socket;
  };
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error('the SOCKS5 proxy does not answer')));
  return work().catch((error: unknown) => {
    socket.destroy();
    throw error;
  });
}

/** RFC 1928 section 4: CONNECT to a name (resolved by the proxy) or an address. */
function connectRequest({ host, port }: { host: string; port: number }): Buffer {
  const bare = host.replace(/^\[|\]$/g, '');
  const isLiteral = classifyAddress(bare) !== undefined;
  const six = isLiteral ? parseIPv6(bare) : undefined;
  const name = Buffer.from(bare, 'latin1').subarray(0, 255);
  const place = six
    ? Buffer.from([4, ...six.flatMap((group) => [group >> 8, group & 0xff])])
    : isLiteral
      ? Buffer.from([1, ...bare.split('.').map(Number)])
      : Buffer.concat([Buffer.from([3, name.length]), name]);
  return Buffer.concat([Buffer.from([5, 1, 0]), place, Buffer.from([port >> 8, port & 0xff])]);
}

interface Reader {
  take(bytes: number): Promise<Buffer>;
  until(mark: string): Promise<string>;
  /** Lets go of the socket and gives what was read too far. */
  release(): Buffer;
}

/** Reads a few small messages from a socket; rejects when it ends first or more than 16 KiB come. */
function createReader(socket: Socket): Reader {
  let buffered = Buffer.alloc(0);
  let wake: (() => void) | undefined;
  let failure: Error | undefined;
  const onData = (chunk: Buffer): void => {
    buffered = Buffer.concat([buffered, chunk]);
    if (buffered.length > headMaxBytes) failure = new Error('too long');
    wake?.();
  };
  const onEnd = (): void => {
    failure ??= new Error('ended early');
    wake?.();
  };
  const onError = (error: Error): void => {
    failure ??= error;
    wake?.();
  };
  socket.on('data', onData);
  socket.on('close', onEnd);
  socket.on('end', onEnd);
  socket.on('error', onError);
  const lengthWhen = async (find: () => number): Promise<number> => {
    for (;;) {
      const length = find();
      if (length >= 0) return length;
      if (failure !== undefined) throw failure;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const cut = (length: number): Buffer => {
    const part = buffered.subarray(0, length);
    buffered = buffered.subarray(length);
    return part;
  };
  return {
    take: async (bytes) => cut(await lengthWhen(() => (buffered.length >= bytes ? bytes : -1))),
    until: async (mark) =>
      cut(
        await lengthWhen(() => {
          const at = buffered.indexOf(mark);
          return at < 0 ? -1 : at + mark.length;
        }),
      ).toString('latin1'),
    release: () => {
      socket.pause();
      socket.off('data', onData);
      socket.off('close', onEnd);
      socket.off('end', onEnd);
      socket.off('error', onError);
      socket.on('error', () => socket.destroy());
      return buffered;
    },
  };
}
