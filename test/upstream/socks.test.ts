// SOCKS5 proxies: names go there unresolved, TLS runs end to end, and the bridge on loopback serves nobody else.

import { describe, expect, test } from 'bun:test';
import { connect, createServer, type Socket } from 'node:net';
import { digestOf } from '../../src/oci/digest.ts';
import { createSocksBridge } from '../../src/upstream/socks-bridge.ts';
import { testCa } from './fake-upstream.ts';
import { blobOf, calm, calmBlob, collect, failureOf, manifestBytes, manifestType, setUp, sourceAt } from './set-up.ts';

const tls = { ca: testCa, insecure: false };

interface SocksProxy extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** `HOST:PORT` as asked for. */
  readonly targets: string[];
  readonly connections: () => number;
}

/** RFC 1928 without a login. `ports`: host name to the loopback port that stands for it; others are refused. `fault` instead of an answer. */
async function startSocksProxy(ports: Readonly<Record<string, number>>, fault?: 'login' | 'silence' | 'close'): Promise<SocksProxy> {
  const targets: string[] = [];
  const open = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    socket.once('data', () => {
      if (fault === 'silence') return;
      if (fault === 'close') {
        socket.destroy();
        return;
      }
      socket.write(Uint8Array.of(5, fault === 'login' ? 0xff : 0));
      socket.once('data', (request: Buffer) => {
        const length = request[4] ?? 0;
        const host = request[3] === 3 ? request.subarray(5, 5 + length).toString() : [...request.subarray(4, 8)].join('.');
        const port = request.readUInt16BE(request.length - 2);
        targets.push(`${host}:${port}`);
        const local = ports[host];
        if (local === undefined) {
          socket.end(Uint8Array.of(5, 4, 0, 1, 0, 0, 0, 0, 0, 0));
          return;
        }
        const away = connect({ host: '127.0.0.1', port: local }, () => {
          // In two pieces, and with a name for the bound address.
          socket.write(Uint8Array.of(5, 0, 0));
          socket.write(Uint8Array.of(3, 2, 0x61, 0x62, 0, 80));
          socket.pipe(away).pipe(socket);
        });
        away.on('error', () => socket.destroy());
        socket.on('close', () => away.destroy());
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    url: `socks5://127.0.0.1:${port}`,
    targets,
    connections: () => connections,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

describe('a SOCKS5 proxy', () => {
  test('gets the names of two hosts, keeps their connections apart, and carries large bodies whole', async () => {
    await using bench = setUp({ names: {} });
    const blob = blobOf(3_000_000);
    const secure = await bench.start(
      (request, reply) =>
        request.path.includes('/blobs/') ? reply.send(200, {}, blob) : reply.send(200, { 'content-type': manifestType }, manifestBytes),
      { tls: 'a.test' },
    );
    await using proxy = await startSocksProxy({ 'a.test': secure.port, 'b.test': secure.port });
    const sources = ['a.test', 'b.test'].map((host) => sourceAt(secure.urlAt(host), { proxy: proxy.url, tls }));
    for (let count = 0; count < 10; count++) for (const source of sources) await bench.client.getManifest(source, 'a/b', 'v1', calm);
    for (const source of sources) {
      const answer = await bench.client.getBlob(source, 'a/b', digestOf(blob), calmBlob);
      expect(digestOf((await collect(answer.body)).bytes)).toBe(digestOf(blob));
    }
    expect(proxy.targets).toEqual([`a.test:${secure.port}`, `b.test:${secure.port}`]);
    expect(secure.requests.filter((request) => request.headers['host'] !== `${request.serverName}:${secure.port}`)).toEqual([]);
    expect(secure.received()).not.toContain('proxy-authorization');
  });

  test('does not spare the source its certificate', async () => {
    await using bench = setUp();
    const secure = await bench.start((_, reply) => reply.send(200), { tls: 'a.test' });
    await using proxy = await startSocksProxy({ 'c.test': secure.port });
    const error = await failureOf(bench.client.getManifest(sourceAt(secure.urlAt('c.test'), { proxy: proxy.url, tls }), 'a/b', 'v1', calm));
    expect(error.verdict).toBe('tls');
  });

  test('that refuses, wants a login, closes or is not there is a failure to connect; silence ends at the deadline', async () => {
    await using bench = setUp();
    const verdict = async (proxy: string): Promise<string> =>
      (await failureOf(bench.client.getManifest(sourceAt('https://x.example', { proxy, tls }), 'a/b', 'v1', { timeoutMs: 1_000 }))).verdict;
    await using refusing = await startSocksProxy({});
    await using login = await startSocksProxy({}, 'login');
    await using closing = await startSocksProxy({}, 'close');
    await using silent = await startSocksProxy({}, 'silence');
    const verdicts = [];
    for (const proxy of [refusing.url, login.url, closing.url, 'socks5://127.0.0.1:1', silent.url]) verdicts.push(await verdict(proxy));
    expect(verdicts).toEqual(['unreachable', 'unreachable', 'unreachable', 'unreachable', 'timeout']);
  }, 20_000);

  test('is not used for a plain http source, and that says why', async () => {
    await using bench = setUp();
    await using proxy = await startSocksProxy({});
    const error = await failureOf(bench.client.getManifest(sourceAt('http://x.example', { proxy: proxy.url }), 'a/b', 'v1', calm));
    expect([error.verdict, error.detail, proxy.connections()]).toEqual(['unreachable', 'a SOCKS5 proxy is used for https only', 0]);
  });
});

describe('the bridge on loopback', () => {
  const ask = (port: number, text: string): Promise<string> =>
    new Promise((resolve) => {
      let answer = '';
      const socket = connect({ host: '127.0.0.1', port }, () => socket.write(text));
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString('latin1');
      });
      socket.on('close', () => resolve(answer));
      socket.on('error', () => resolve(answer));
    });

  test('dials nothing without its secret, and only CONNECT with it', async () => {
    await using proxy = await startSocksProxy({});
    const bridge = createSocksBridge({ timeoutMs: 2_000 });
    try {
      const url = new URL(await bridge.proxyFor(proxy.url));
      expect(url.password).toMatch(/^[0-9a-f]{64}$/);
      expect(await bridge.proxyFor(proxy.url)).toBe(url.href.replace(/\/$/, ''));
      expect(await bridge.proxyFor('socks5://127.0.0.1:2')).not.toContain(url.password);
      const port = Number(url.port);
      const head = (login: string | undefined, first = 'CONNECT x.example:443 HTTP/1.1'): string =>
        `${first}\r\n${login === undefined ? '' : `Proxy-Authorization: Basic ${btoa(login)}\r\n`}\r\n`;
      for (const login of [undefined, 'bridge:', 'bridge:0', `bridge:${'0'.repeat(64)}`, `bridge:${url.password}0`])
        expect(await ask(port, head(login))).toStartWith('HTTP/1.1 407 ');
      const right = `bridge:${url.password}`;
      for (const first of ['GET http://x.example/ HTTP/1.1', 'CONNECT x.example HTTP/1.1', 'CONNECT a b:1 HTTP/1.1'])
        expect(await ask(port, head(right, first))).toStartWith('HTTP/1.1 501 ');
      expect(await ask(port, 'x'.repeat(20_000))).toBe('');
      expect(proxy.connections()).toBe(0);
      expect(await ask(port, head(right))).toStartWith('HTTP/1.1 502 ');
      expect(proxy.targets).toEqual(['x.example:443']);
    } finally {
      bridge.close();
    }
  }, 20_000);
});
