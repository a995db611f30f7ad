// A small HTTP proxy on loopback: CONNECT tunnels and absolute-form GETs, to the ports the test names and nowhere else.

import { connect, createServer, type Socket } from 'node:net';

export interface EgressProxy extends AsyncDisposable {
  readonly url: string;
  /** CONNECT targets that were opened. */
  readonly tunnels: () => string[];
  /** URLs of plain requests. */
  readonly forwarded: () => string[];
  /** Proxy-Authorization values seen. */
  readonly logins: () => string[];
}

/** `ports`: host name to the loopback port that stands for it. `login`: `user:password` that is asked for; others get a 407. */
export async function startEgressProxy(ports: Readonly<Record<string, number>>, wanted: { login?: string } = {}): Promise<EgressProxy> {
  const tunnels: string[] = [];
  const forwarded: string[] = [];
  const logins: string[] = [];
  const open = new Set<Socket>();

  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    let buffered = '';
    const onData = (chunk: Buffer): void => {
      buffered += chunk.toString('latin1');
      if (!buffered.includes('\r\n\r\n')) return;
      socket.off('data', onData);
      const [method = '', target = ''] = buffered.split(' ');
      const login = /proxy-authorization: (.*)\r\n/i.exec(buffered)?.[1];
      if (login !== undefined) logins.push(login);
      if (wanted.login !== undefined && login !== `Basic ${btoa(wanted.login)}`) {
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm="p"\r\ncontent-length: 0\r\n\r\n');
        return;
      }
      const host = method === 'CONNECT' ? (target.split(':')[0] ?? '') : new URL(target).hostname;
      const port = ports[host];
      if (port === undefined) {
        socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n');
        return;
      }
      const away = connect({ host: '127.0.0.1', port }, () => {
        if (method === 'CONNECT') {
          tunnels.push(target);
          socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        } else {
          forwarded.push(target);
          away.write(buffered.replace(target, new URL(target).pathname));
        }
        socket.pipe(away).pipe(socket);
      });
      away.on('error', () => socket.destroy());
      socket.on('close', () => away.destroy());
    };
    socket.on('data', onData);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    tunnels: () => tunnels,
    forwarded: () => forwarded,
    logins: () => logins,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
