// Connections to checked addresses: two hosts on one address never get each other's requests, directly, through a CONNECT proxy and after
// redirects; and what a dead first address costs. docs/decisions/0004 has the figures of a long run (BREAKWATER_FULL=1).

import { describe, expect, test } from 'bun:test';
import { digestOf } from '../../src/oci/digest.ts';
import type { Source } from '../../src/upstream/source.ts';
import { fullRun } from '../support/requirements.ts';
import { startBlackHole } from './black-hole.ts';
import { startEgressProxy } from './egress-proxy.ts';
import { type FakeRequest, type FakeUpstream, type Reply, type Script, testCa } from './fake-upstream.ts';
import { blobOf, calm, calmBlob, collect, manifestBytes, manifestType, setUp, sourceAt } from './set-up.ts';

const requests = fullRun() ? 1_000 : 150;
const names = { 'a.test': ['127.0.0.1'], 'b.test': ['127.0.0.1'] };
const tls = { ca: testCa, insecure: false };
const hosts = ['a.test', 'b.test'] as const;

/** Requests that came by a connection whose TLS server name is not the host they are for. */
function wrongHosts(server: FakeUpstream): number {
  return server.requests.filter((request) => request.headers['host'] !== `${request.serverName}:${server.port}`).length;
}

/** Answers with the host's own name in the body, so that a mixed-up answer is seen by the client as well. */
const serveOwn = (request: FakeRequest, reply: Reply): void => {
  const manifest = `{ "schemaVersion": 2, "mediaType": "${manifestType}", "layers": [], "annotations": {"host":"${request.headers['host']}"} }`;
  reply.send(200, { 'content-type': manifestType }, manifest);
};

function note(what: string, server: FakeUpstream, startMs: number): void {
  if (!fullRun()) return;
  const ms = performance.now() - startMs;
  console.log(`${what}: ${server.requests.length} requests, ${server.connections()} handshakes, ${(ms / requests).toFixed(2)} ms each`);
}

describe('two hosts on one address', () => {
  const alternate = async (
    bench: ReturnType<typeof setUp>,
    sources: readonly [Source, Source],
    hostOf: (source: Source) => string,
  ): Promise<number> => {
    let mixedUp = 0;
    for (let index = 0; index < requests; index++) {
      const source = sources[index % 2] ?? sources[0];
      const { bytes } = await bench.client.getManifest(source, 'a/b', 'v1', calm);
      if (!new TextDecoder().decode(bytes).includes(`"host":"${hostOf(source)}"`)) mixedUp++;
    }
    return mixedUp;
  };
  const sourcesAt = (server: FakeUpstream, more: Partial<Source>): [Source, Source] => [
    sourceAt(server.urlAt(hosts[0]), { tls, ...more }),
    sourceAt(server.urlAt(hosts[1]), { tls, ...more }),
  ];
  const ownHost = (source: Source): string => new URL(source.url).host;

  test('asked in turns by hundreds of requests: none goes to the wrong one, one handshake each', async () => {
    await using bench = setUp({ names });
    const server = await bench.start(serveOwn, { tls: 'a.test' });
    const startMs = performance.now();
    expect(await alternate(bench, sourcesAt(server, {}), ownHost)).toBe(0);
    note('direct', server, startMs);
    expect([server.requests.length, wrongHosts(server), server.connections()]).toEqual([requests, 0, 2]);
  }, 120_000);

  test('through one CONNECT proxy with a login: the same, one tunnel each, and nothing is resolved here', async () => {
    await using bench = setUp({ names: {} });
    const server = await bench.start(serveOwn, { tls: 'a.test' });
    await using proxy = await startEgressProxy({ 'a.test': server.port, 'b.test': server.port }, { login: 'user:hunter2' });
    const startMs = performance.now();
    expect(await alternate(bench, sourcesAt(server, { proxy: proxy.url.replace('//', '//user:hunter2@') }), ownHost)).toBe(0);
    note('CONNECT', server, startMs);
    expect([wrongHosts(server), server.connections(), proxy.tunnels().length]).toEqual([0, 2, 2]);
    // The login went to the proxy and not through it.
    expect(server.requests.filter((request) => request.headers['proxy-authorization'] !== undefined)).toEqual([]);
  }, 120_000);

  test('each redirecting to the other: the same, also where both share one address and one port', async () => {
    await using bench = setUp({ names });
    const server: FakeUpstream = await bench.start(
      (request, reply) => {
        if (request.path.startsWith('/v2/')) {
          const other = request.headers['host']?.startsWith('a.test') === true ? 'b.test' : 'a.test';
          reply.send(307, { location: `${server.urlAt(other)}/moved` });
        } else serveOwn(request, reply);
      },
      { tls: 'a.test' },
    );
    const sources = sourcesAt(server, { allowPrivate: true });
    const startMs = performance.now();
    const other = (source: Source): string => (source === sources[0] ? `b.test:${server.port}` : `a.test:${server.port}`);
    expect(await alternate(bench, sources, other)).toBe(0);
    note('redirect', server, startMs);
    expect([server.requests.length, wrongHosts(server), server.connections()]).toEqual([2 * requests, 0, 2]);
  }, 120_000);

  test('asked at once, connections broken off in between: none goes to the wrong one', async () => {
    await using bench = setUp({ names });
    const server = await bench.start(
      (request, reply) => {
        if (request.count % 17 === 0) reply.reset();
        else serveOwn(request, reply);
      },
      { tls: 'a.test' },
    );
    const sources = sourcesAt(server, {});
    let wrong = 0;
    for (let round = 0; round < requests / 30; round++) {
      await Promise.all(
        Array.from({ length: 30 }, async (_, index) => {
          const source = sources[index % 2] ?? sources[0];
          const answer = await bench.client.getManifest(source, 'a/b', 'v1', calm).catch(() => undefined);
          if (answer !== undefined && !new TextDecoder().decode(answer.bytes).includes(`"host":"${ownHost(source)}"`)) wrong++;
        }),
      );
    }
    expect([wrong, wrongHosts(server)]).toEqual([0, 0]);
  }, 120_000);
});

describe('a dead first address', () => {
  const serve: Script = (_, reply) => reply.send(200, { 'content-type': manifestType }, manifestBytes);
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const startMs = performance.now();
    await work();
    return performance.now() - startMs;
  };

  test('that refuses costs next to nothing, one that swallows connections a second, and both only once', async () => {
    await using bench = setUp({
      names: { 'refuses.test': ['127.0.0.5', '127.0.0.1'], 'swallows.test': ['127.0.0.6', '127.0.0.1'] },
    });
    const server = await bench.start(serve);
    await using _hole = await startBlackHole('127.0.0.6', server.port);
    const pull = (host: string): Promise<unknown> => bench.client.getManifest(sourceAt(server.urlAt(host)), 'a/b', 'v1', calm);
    const refused = [await timed(() => pull('refuses.test')), await timed(() => pull('refuses.test'))];
    const swallowed = [await timed(() => pull('swallows.test')), await timed(() => pull('swallows.test'))];
    if (fullRun()) console.log(`dead first address, ms: refuses ${refused.map(Math.round)}, swallows ${swallowed.map(Math.round)}`);
    expect(refused[0]).toBeLessThan(900);
    expect(swallowed[0]).toBeWithin(900, 4_000);
    expect(swallowed[1]).toBeLessThan(900);
    expect(server.requests).toHaveLength(4);
  }, 30_000);
});

describe('a kept connection', () => {
  const blob = blobOf(3_000);

  test('that the peer resets or closes just as it is used again costs one more connection and no failure', async () => {
    for (const how of ['reset', 'end'] as const) {
      await using bench = setUp();
      let isArmed = false;
      const server = await bench.start((_, reply) => {
        if (isArmed) {
          isArmed = false;
          return reply[how]();
        }
        return reply.send(200, {}, blob);
      });
      const pull = async (): Promise<void> => {
        const answer = await bench.client.getBlob(sourceAt(server.url), 'a/b', digestOf(blob), calmBlob);
        expect((await collect(answer.body)).bytes).toEqual(Buffer.from(blob));
      };
      await pull();
      isArmed = true;
      await pull();
      expect([server.requests.length, server.connections()]).toEqual([3, 2]);
    }
  });

  test('is not what a new connection is: one that is reset is a failure, and nothing is asked again', async () => {
    await using bench = setUp();
    const server = await bench.start((_, reply) => reply.reset());
    const error = await bench.client.getManifest(sourceAt(server.url), 'a/b', 'v1', calm).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ verdict: 'reset' });
    expect(server.requests).toHaveLength(1);
  });
});

test('a signed URL that has expired is not used for the rest: the registry is asked again and the blob goes on at the offset', async () => {
  await using bench = setUp();
  const blob = blobOf(4_000);
  let signature = 0;
  const cdn = await bench.start(async (request, reply) => {
    if (!request.path.endsWith(`sig=${signature}`)) return reply.send(403, {}, '<Error><Code>AccessDenied</Code></Error>');
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers['range'] ?? '')?.[1] ?? 0);
    if (from > 0) return reply.send(206, { 'content-range': `bytes ${from}-3999/4000` }, blob.subarray(from));
    await reply.raw(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n'), blob.subarray(0, 1_500)]));
    // Long enough for the bytes to be read: the runtime drops what it holds when the end comes.
    await Bun.sleep(300);
    return reply.end();
  });
  const registry = await bench.start((_, reply) => reply.send(307, { location: `${cdn.url}/data?sig=${++signature}` }));
  const ask = (offset: number): ReturnType<typeof bench.client.getBlob> =>
    bench.client.getBlob(sourceAt(registry.url), 'a/b', digestOf(blob), { ...calmBlob, offset, expectedSizeBytes: 4_000 });
  const first = await collect((await ask(0)).body);
  expect([first.bytes.length, first.error?.verdict, first.error?.origin]).toEqual([1_500, 'truncated', cdn.url]);
  const rest = await collect((await ask(first.bytes.length)).body);
  expect(Buffer.concat([first.bytes, rest.bytes])).toEqual(Buffer.from(blob));
  expect([registry.requests.length, cdn.requests.length]).toEqual([2, 2]);
});
