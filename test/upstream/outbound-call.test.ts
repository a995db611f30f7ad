// Calls to services that are no registries: what they send, where they may go, and that they end.

import { describe, expect, test } from 'bun:test';
import { failureOf, setUp } from './set-up.ts';

const names = { 'idp.example.org': ['127.0.0.1'], 'public.example.org': ['93.184.216.34'] };
const limits = { timeoutMs: 5_000, maxBytes: 10_000 };

describe('a call to a service', () => {
  test('sends its method, headers and body once, and gives any status with its body', async () => {
    await using bench = setUp({ names });
    const seen: { method: string; body: string; type: string | null; host: string | null }[] = [];
    using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: async (request) => {
        const { headers } = request;
        seen.push({ method: request.method, body: await request.text(), type: headers.get('content-type'), host: headers.get('host') });
        return new Response('{"error":"invalid_grant"}', { status: 400 });
      },
    });
    const url = `http://idp.example.org:${server.port}`;
    const answer = await bench.client.call(
      { id: 'idp', url, allowPrivate: true },
      { url: `${url}/token`, method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'a=b', ...limits },
    );
    expect(answer.status).toBe(400);
    expect(new TextDecoder().decode(answer.bytes)).toBe('{"error":"invalid_grant"}');
    expect(seen).toEqual([
      { method: 'POST', body: 'a=b', type: 'application/x-www-form-urlencoded', host: `idp.example.org:${server.port}` },
    ]);
  });

  test('SEC-D08: follows no redirect', async () => {
    await using bench = setUp({ names });
    let requests = 0;
    using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () => {
        requests++;
        return new Response(null, { status: 302, headers: { location: '/elsewhere' } });
      },
    });
    const url = `http://127.0.0.1:${server.port}`;
    const answer = await bench.client.call({ id: 'idp', url, allowPrivate: true }, { url: `${url}/a`, method: 'GET', ...limits });
    expect([answer.status, requests]).toEqual([302, 1]);
  });

  test('SEC-D01 goes to no private, loopback or metadata address unless it was allowed, and never to metadata', async () => {
    await using bench = setUp({ names });
    const call = (url: string, allowPrivate: boolean) =>
      failureOf(bench.client.call({ id: 'idp', url, allowPrivate }, { url, method: 'GET', ...limits, timeoutMs: 500 }));
    for (const url of [
      'http://127.0.0.1:1/',
      'http://[::1]:1/',
      'http://localhost:1/',
      'http://10.0.0.1/',
      'http://0x7f.1/',
      'http://idp.example.org:1/',
      'http://169.254.169.254/latest/meta-data',
    ])
      expect([url, (await call(url, false)).verdict]).toEqual([url, 'private-address']);
    for (const url of ['http://169.254.169.254/', 'http://[fd00:ec2::254]/', 'http://0.0.0.0/'])
      expect([url, (await call(url, true)).verdict]).toEqual([url, 'private-address']);
    expect((await call('http://127.0.0.1:1/', true)).verdict).toBe('refused');
  });

  test('takes no more than its limits of bytes and time', async () => {
    await using bench = setUp({ names });
    using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: async (request) => {
        if (request.url.endsWith('/large')) return new Response('x'.repeat(20_000));
        await new Promise(() => undefined);
        return new Response('never');
      },
    });
    const url = `http://127.0.0.1:${server.port}`;
    const call = (path: string, timeoutMs: number) =>
      failureOf(
        bench.client.call({ id: 'idp', url, allowPrivate: true }, { url: `${url}${path}`, method: 'GET', maxBytes: 10_000, timeoutMs }),
      );
    expect((await call('/large', 5_000)).verdict).toBe('too-large');
    expect((await call('/silent', 200)).verdict).toBe('timeout');
  });
});
