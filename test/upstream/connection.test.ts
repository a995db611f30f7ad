// How sources are reached: virtual hosts on one address, certificates, dead addresses, egress proxies, the bound per host.

import { describe, expect, test } from 'bun:test';
import { digestOf } from '../../src/oci/digest.ts';
import { startBlackHole } from './black-hole.ts';
import { startEgressProxy } from './egress-proxy.ts';
import { startFakeUpstream, testCa } from './fake-upstream.ts';
import { blobOf, calm, calmBlob, collect, failureOf, manifestBytes, manifestType, setUp, sourceAt } from './set-up.ts';

const names = { 'a.test': ['127.0.0.1'], 'b.test': ['127.0.0.1'], 'c.test': ['127.0.0.1'] };
const tls = { ca: testCa, insecure: false };
const serveManifest = (_: unknown, reply: { send: (status: number, headers: Record<string, string>, body: Uint8Array) => void }): void =>
  reply.send(200, { 'content-type': manifestType }, manifestBytes);

describe('two TLS hosts on one address', () => {
  test('never get each other’s requests, one after the other or at once', async () => {
    await using bench = setUp({ names });
    const server = await bench.start(serveManifest, { tls: 'a.test' });
    const sources = ['a.test', 'b.test'].map((host) => sourceAt(server.urlAt(host), { tls }));
    const pull = (index: number): Promise<unknown> => bench.client.getManifest(sources[index % 2] ?? sourceAt(''), 'a/b', 'v1', calm);
    for (let index = 0; index < 120; index++) await pull(index);
    const sequentialConnections = server.connections();
    await Promise.all(Array.from({ length: 60 }, (_, index) => pull(index)));
    const wrong = server.requests.filter((request) => request.headers['host'] !== `${request.serverName}:${server.port}`);
    expect([server.requests.length, wrong.length, sequentialConnections]).toEqual([180, 0, 2]);
  });

  test('have each their own certificate checked', async () => {
    await using bench = setUp({ names });
    const server = await bench.start(serveManifest, { tls: 'a.test' });
    await bench.client.getManifest(sourceAt(server.urlAt('a.test'), { tls }), 'a/b', 'v1', calm);
    // The server shows the certificate of a.test to everybody it does not know.
    expect((await failureOf(bench.client.getManifest(sourceAt(server.urlAt('c.test'), { tls }), 'a/b', 'v1', calm))).verdict).toBe('tls');
    expect(server.requests).toHaveLength(1);
  });
});

describe('certificates', () => {
  test('without the private CA, expired, or for another name are refused', async () => {
    await using bench = setUp({ names });
    const good = await bench.start(serveManifest, { tls: 'a.test' });
    const expired = await bench.start(serveManifest, { tls: 'expired' });
    expect((await failureOf(bench.client.getManifest(sourceAt(good.urlAt('a.test')), 'a/b', 'v1', calm))).verdict).toBe('tls');
    expect((await failureOf(bench.client.getManifest(sourceAt(expired.urlAt('a.test'), { tls }), 'a/b', 'v1', calm))).verdict).toBe('tls');
    expect((await failureOf(bench.client.getManifest(sourceAt(good.url, { tls }), 'a/b', 'v1', calm))).verdict).toBe('tls');
    expect(good.requests.length + expired.requests.length).toBe(0);
  });

  test('for an address literal are checked against the address', async () => {
    await using bench = setUp();
    const server = await bench.start(serveManifest, { tls: 'loopback' });
    await bench.client.getManifest(sourceAt(server.url, { tls }), 'a/b', 'v1', calm);
    expect(server.requests).toHaveLength(1);
  });

  test('are not checked for an insecure source, and that opens nothing for a secure one at the same place', async () => {
    await using bench = setUp({ names });
    const server = await bench.start(serveManifest, { tls: 'expired' });
    const insecure = sourceAt(server.urlAt('a.test'), { id: 'insecure', tls: { insecure: true } });
    await bench.client.getManifest(insecure, 'a/b', 'v1', calm);
    for (const more of [{ tls }, {}, { tls: { insecure: false } }]) {
      expect((await failureOf(bench.client.getManifest(sourceAt(server.urlAt('a.test'), more), 'a/b', 'v1', calm))).verdict).toBe('tls');
    }
    await bench.client.getManifest(insecure, 'a/b', 'v1', calm);
    expect(server.requests).toHaveLength(2);
  });

  test('of a host an insecure source redirects to are checked', async () => {
    await using bench = setUp({ names });
    const cdn = await bench.start(serveManifest, { tls: 'expired' });
    const registry = await bench.start((_, reply) => reply.send(307, { location: `${cdn.urlAt('a.test')}/x` }), { tls: 'expired' });
    const source = sourceAt(registry.urlAt('b.test'), { tls: { insecure: true }, allowPrivate: true });
    const error = await failureOf(bench.client.getManifest(source, 'a/b', 'v1', calm));
    expect([error.verdict, error.origin]).toEqual(['tls', cdn.urlAt('a.test')]);
  });

  test('are not to be had from a server that speaks no TLS', async () => {
    await using bench = setUp({ names });
    const plain = await bench.start((_, reply) => reply.end());
    const error = await failureOf(
      bench.client.getManifest(sourceAt(`https://a.test:${plain.port}`, { tls }), 'a/b', 'v1', { timeoutMs: 500 }),
    );
    expect(['tls', 'reset', 'timeout']).toContain(error.verdict);
  });
});

describe('addresses', () => {
  test('the next one is tried when the first takes no connection, and the dead one is remembered', async () => {
    await using bench = setUp({ names: { 'a.test': ['127.0.0.2', '::1', '127.0.0.1'] } });
    const server = await bench.start(serveManifest);
    for (let count = 0; count < 3; count++) await bench.client.getManifest(sourceAt(server.urlAt('a.test')), 'a/b', 'v1', calm);
    expect(server.requests).toHaveLength(3);
  });

  test('all dead is refused, and says where', async () => {
    await using bench = setUp({ names: { 'a.test': ['127.0.0.2', '127.0.0.3'] } });
    const server = await bench.start(serveManifest);
    const error = await failureOf(bench.client.getManifest(sourceAt(server.urlAt('a.test')), 'a/b', 'v1', calm));
    expect([error.verdict, error.origin]).toEqual(['refused', server.urlAt('a.test')]);
  });

  test('one that swallows connections is given up after the connect budget, and the next one answers', async () => {
    await using bench = setUp({
      names: { 'a.test': ['127.0.0.4', '127.0.0.1'], 'hole.test': ['127.0.0.4'] },
      limits: { connectTimeoutMs: 400, connectWatchDelayMs: 50 },
    });
    const server = await bench.start(serveManifest);
    await using _hole = await startBlackHole('127.0.0.4', server.port);
    const startMs = performance.now();
    await bench.client.getManifest(sourceAt(server.urlAt('a.test')), 'a/b', 'v1', calm);
    expect(performance.now() - startMs).toBeWithin(350, 3_000);
    const error = await failureOf(bench.client.getManifest(sourceAt(server.urlAt('hole.test')), 'a/b', 'v1', calm));
    expect(error.verdict).toBe('connect-timeout');
    const secondMs = performance.now();
    await bench.client.getManifest(sourceAt(server.urlAt('a.test')), 'a/b', 'v1', calm);
    expect(performance.now() - secondMs).toBeLessThan(300);
  });

  test('a slow server is not taken for a dead address', async () => {
    await using bench = setUp({ limits: { connectTimeoutMs: 150, connectWatchDelayMs: 20 } });
    const server = await bench.start(async (request, reply) => {
      await Bun.sleep(500);
      serveManifest(request, reply);
    });
    await bench.client.getManifest(sourceAt(server.url), 'a/b', 'v1', calm);
    expect(server.requests).toHaveLength(1);
  });

  test('a name that does not exist is a dns failure', async () => {
    await using bench = setUp();
    expect((await failureOf(bench.client.getManifest(sourceAt('https://nope.example.com'), 'a/b', 'v1', calm))).verdict).toBe('dns');
  });

  test('an idle connection the server has closed costs no failure', async () => {
    await using bench = setUp();
    const server = await bench.start(async (request, reply) => {
      serveManifest(request, reply);
      await Bun.sleep(20);
      reply.end();
    });
    for (let count = 0; count < 3; count++) {
      await bench.client.getManifest(sourceAt(server.url), 'a/b', 'v1', calm);
      await Bun.sleep(60);
    }
    expect(server.connections()).toBe(3);
  });
});

describe('an egress proxy', () => {
  test('gets the names of http and https sources, and nothing is resolved here', async () => {
    await using bench = setUp({ names: {} });
    const secure = await bench.start(serveManifest, { tls: 'a.test' });
    const plain = await bench.start(serveManifest);
    await using proxy = await startEgressProxy({ 'a.test': secure.port, 'b.test': secure.port, 'plain.example.com': plain.port });
    const via = { proxy: proxy.url, tls };
    for (let count = 0; count < 20; count++) {
      await bench.client.getManifest(sourceAt(secure.urlAt('a.test'), via), 'a/b', 'v1', calm);
      await bench.client.getManifest(sourceAt(secure.urlAt('b.test'), via), 'a/b', 'v1', calm);
    }
    await bench.client.getManifest(sourceAt('http://plain.example.com', via), 'a/b', 'v1', calm);
    expect(proxy.tunnels()).toEqual([`a.test:${secure.port}`, `b.test:${secure.port}`]);
    expect(proxy.forwarded()).toEqual(['http://plain.example.com/v2/a/b/manifests/v1']);
    expect(secure.requests.filter((request) => request.headers['host'] !== `${request.serverName}:${secure.port}`)).toHaveLength(0);
  });

  test('checks the certificate of the source behind the tunnel', async () => {
    await using bench = setUp();
    const secure = await bench.start(serveManifest, { tls: 'a.test' });
    await using proxy = await startEgressProxy({ 'c.test': secure.port });
    expect(
      (await failureOf(bench.client.getManifest(sourceAt(secure.urlAt('c.test'), { proxy: proxy.url, tls }), 'a/b', 'v1', calm))).verdict,
    ).toBe('tls');
  });

  test('that is down or opens no tunnel is a failure to connect; its login is not shown', async () => {
    await using bench = setUp();
    await using proxy = await startEgressProxy({});
    const refusedTunnel = await failureOf(
      bench.client.getManifest(sourceAt('https://a.example.com', { proxy: proxy.url.replace('//', '//user:hunter2@') }), 'a/b', 'v1', calm),
    );
    const down = await failureOf(
      bench.client.getManifest(sourceAt('https://a.example.com', { proxy: 'http://user:hunter2@127.0.0.1:1' }), 'a/b', 'v1', calm),
    );
    expect([refusedTunnel.verdict, down.verdict]).toEqual(['unreachable', 'refused']);
    expect(proxy.logins()).toEqual([`Basic ${btoa('user:hunter2')}`]);
    expect(`${refusedTunnel} ${down} ${refusedTunnel.detail} ${down.detail} ${bench.logged()}`).not.toContain('hunter2');
  });

  test('is not taken from the environment', async () => {
    await using bench = setUp();
    const server = await bench.start(serveManifest);
    await using proxy = await startEgressProxy({});
    const before = { http: process.env['HTTP_PROXY'], all: process.env['ALL_PROXY'] };
    process.env['HTTP_PROXY'] = proxy.url;
    process.env['ALL_PROXY'] = proxy.url;
    try {
      await bench.client.getManifest(sourceAt(server.url), 'a/b', 'v1', calm);
    } finally {
      for (const [key, value] of [
        ['HTTP_PROXY', before.http],
        ['ALL_PROXY', before.all],
      ] as const) {
        if (value === undefined) delete process.env[key];
        else process.env[key] = value;
      }
    }
    expect([server.requests.length, proxy.forwarded().length]).toEqual([1, 0]);
  });

  test('is used also where NO_PROXY names the host', async () => {
    await using bench = setUp();
    const plain = await bench.start(serveManifest);
    await using proxy = await startEgressProxy({ 'plain.example.com': plain.port });
    const before = process.env['NO_PROXY'];
    process.env['NO_PROXY'] = '*';
    try {
      await bench.client.getManifest(sourceAt('http://plain.example.com', { proxy: proxy.url }), 'a/b', 'v1', calm);
    } finally {
      if (before === undefined) delete process.env['NO_PROXY'];
      else process.env['NO_PROXY'] = before;
    }
    expect(proxy.forwarded()).toHaveLength(1);
  });
});

describe('the bound per host', () => {
  const blob = blobOf(2_000);
  const digest = digestOf(blob);

  test('holds while bodies are read, and lets waiters in as they end', async () => {
    await using bench = setUp({ limits: { connectionsPerHost: 3 } });
    let inside = 0;
    let most = 0;
    const server = await bench.start(async (_, reply) => {
      most = Math.max(most, ++inside);
      await Bun.sleep(20);
      inside--;
      reply.send(200, {}, blob);
    });
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const answer = await bench.client.getBlob(sourceAt(server.url), 'a/b', digest, calmBlob);
        expect((await collect(answer.body)).bytes.length).toBe(blob.length);
      }),
    );
    expect(most).toBe(3);
  });

  test('a request that finds no place in time is not held against the source; leaving frees the place', async () => {
    await using bench = setUp({ limits: { connectionsPerHost: 1 } });
    const server = await bench.start((_, reply) => reply.send(200, {}, blob));
    const leaving = new AbortController();
    await bench.client.getBlob(sourceAt(server.url), 'a/b', digest, { ...calmBlob, signal: leaving.signal });
    expect(
      (await failureOf(bench.client.getBlob(sourceAt(server.url), 'a/b', digest, { ...calmBlob, firstByteTimeoutMs: 100 }))).verdict,
    ).toBe('busy');
    leaving.abort();
    expect((await collect((await bench.client.getBlob(sourceAt(server.url), 'a/b', digest, calmBlob)).body)).error).toBeUndefined();
  });

  test('no failure keeps a place', async () => {
    await using bench = setUp({ limits: { connectionsPerHost: 1, redirectsMax: 1 } });
    const scripts: readonly Parameters<typeof startFakeUpstream>[0][] = [
      (_, reply) => reply.send(500),
      (_, reply) => reply.send(302, { location: '/again' }),
      (_, reply) => reply.send(401, { 'www-authenticate': 'Basic realm="x"' }),
      (_, reply) => reply.reset(),
      (_, reply) => reply.send(200, { 'content-type': 'text/html' }, 'x'.repeat(100_000)),
      (_, reply) => reply.send(200, { 'content-length': '5000000' }, 'x'),
      (_, reply) => reply.send(206, {}, 'x'),
      () => undefined,
      serveManifest,
    ];
    const server = await bench.start((request, reply) => scripts[Math.floor((request.count - 1) / 2) % scripts.length]?.(request, reply));
    for (let count = 0; count < 2 * scripts.length; count++) {
      const source = sourceAt(server.url, { id: `source ${count}` });
      await bench.client.getManifest(source, 'a/b', 'v1', { timeoutMs: 300 }).catch(() => undefined);
      await bench.client
        .getBlob(source, 'a/b', digest, { ...calmBlob, firstByteTimeoutMs: 300 })
        .then((answer) => answer.discard())
        .catch(() => undefined);
    }
    const last = await bench.client.getManifest(sourceAt(server.url), 'a/b', 'v1', { timeoutMs: 500 }).catch((caught) => caught);
    expect(last?.verdict).not.toBe('busy');
    expect(server.requests.length).toBeGreaterThan(2 * scripts.length);
  }, 20_000);
});

test('close ends what runs', async () => {
  const server = await startFakeUpstream(() => undefined);
  await using bench = setUp();
  const running = failureOf(bench.client.getManifest(sourceAt(server.url), 'a/b', 'v1', calm));
  await Bun.sleep(50);
  bench.client.close();
  expect((await running).verdict).toBe('aborted');
  await server.stop();
});
