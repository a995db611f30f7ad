// The fault proxy against a small upstream: what it plants arrives, what it counts is what the client got, and unharmed traffic is unchanged.

import { afterAll, afterEach, beforeAll, expect, test } from 'bun:test';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';

const content = crypto.getRandomValues(new Uint8Array(50_000));
const big = new Uint8Array(8_000_000).fill(7);
let upstream: ReturnType<typeof startUpstream>;
let proxy: FaultProxy;

function startUpstream() {
  return Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const path = new URL(request.url).pathname;
      if (path === '/echo') return new Response(await request.arrayBuffer(), { status: 201 });
      if (path === '/chunked') return new Response(new Response(content).body);
      if (path === '/none') return new Response(null, { status: 204 });
      if (path === '/same') return new Response(null, { status: 304 });
      if (path === '/big') return new Response(big);
      const from = /^bytes=(\d+)-$/.exec(request.headers.get('range') ?? '')?.[1];
      if (from !== undefined) return new Response(content.subarray(Number(from)), { status: 206 });
      return new Response(content);
    },
  });
}

beforeAll(() => {
  upstream = startUpstream();
  proxy = startFaultProxy({ upstreamPort: Number(upstream.port) });
});
afterEach(() => {
  proxy.setFault(undefined);
  proxy.resetCounters();
});
afterAll(async () => {
  proxy.stop();
  await upstream.stop(true);
});

async function get(path: string, init: RequestInit = {}): Promise<{ status: number; body: Uint8Array; failed: boolean }> {
  const parts: Uint8Array[] = [];
  let status = 0;
  try {
    const response = await fetch(`${proxy.url}${path}`, init);
    status = response.status;
    if (response.body !== null) for await (const part of response.body) parts.push(part);
    return { status, body: Buffer.concat(parts), failed: false };
  } catch {
    return { status, body: Buffer.concat(parts), failed: true };
  }
}

const last = () => proxy.counters().at(-1);

test('passes length-framed, chunked, empty and HEAD answers unchanged and counts their bodies', async () => {
  for (const path of ['/fixed', '/chunked']) {
    const answer = await get(path);
    expect(answer).toMatchObject({ status: 200, failed: false });
    expect(Buffer.compare(answer.body, content)).toBe(0);
    expect(last()).toMatchObject({ method: 'GET', path, status: 200, bodyBytes: content.length, complete: true, rangeStart: 0 });
  }
  expect((await get('/none')).status).toBe(204);
  expect((await get('/same')).status).toBe(304);
  const head = await fetch(`${proxy.url}/fixed`, { method: 'HEAD' });
  expect(head.headers.get('content-length')).toBe(String(content.length));
  expect(last()).toMatchObject({ method: 'HEAD', bodyBytes: 0, complete: true });
  expect(Buffer.compare((await get('/fixed')).body, content)).toBe(0);
});

test('keeps one connection for requests one after the other', async () => {
  await get('/fixed');
  const before = proxy.connections;
  for (let round = 0; round < 5; round++) await get(round % 2 === 0 ? '/chunked' : '/fixed');
  expect(proxy.connections).toBe(before);
});

test('carries request bodies, with a length and chunked, and 8 MB answers', async () => {
  const fixed = await get('/echo', { method: 'POST', body: content });
  const stream = await get('/echo', { method: 'POST', body: new Response(content).body ?? '' });
  for (const answer of [fixed, stream]) {
    expect(answer.status).toBe(201);
    expect(Buffer.compare(answer.body, content)).toBe(0);
  }
  expect((await get('/big')).body.length).toBe(big.length);
  expect(last()).toMatchObject({ bodyBytes: big.length, complete: true });
});

test('counts the start of a range', async () => {
  const answer = await get('/fixed', { headers: { range: 'bytes=49000-' } });
  expect(answer.body.length).toBe(1000);
  expect(last()).toMatchObject({ rangeStart: 49_000, bodyBytes: 1000, status: 206 });
});

for (const how of ['fin', 'reset'] as const) {
  for (const path of ['/fixed', '/chunked']) {
    test(`cuts ${path} after 12,345 body bytes with ${how}; the client has exactly those`, async () => {
      proxy.setFault({ path: /./, times: 1, action: { kind: 'cut', afterBodyBytes: 12_345, how } });
      const answer = await get(path);
      expect(answer.failed).toBe(true);
      expect(Buffer.compare(answer.body, content.subarray(0, 12_345))).toBe(0);
      expect(last()).toMatchObject({ bodyBytes: 12_345, complete: false, fault: 'cut' });
      expect((await get(path)).body.length).toBe(content.length);
    });
  }
}

test('stalls in the middle of a body and goes on afterwards', async () => {
  proxy.setFault({ action: { kind: 'stall', afterBodyBytes: 1000, forMs: 300 } });
  const startMs = performance.now();
  const answer = await get('/fixed');
  expect(performance.now() - startMs).toBeGreaterThan(290);
  expect(Buffer.compare(answer.body, content)).toBe(0);
});

test('an endless stall ends when the client gives up, and the counter says what was given', async () => {
  proxy.setFault({ action: { kind: 'stall', afterBodyBytes: 1000 } });
  const answer = await get('/fixed', { signal: AbortSignal.timeout(200) });
  expect(answer.failed).toBe(true);
  expect(last()).toMatchObject({ bodyBytes: 1000, complete: false });
});

test('trickles at about the rate asked for, from the byte asked for', async () => {
  proxy.setFault({ action: { kind: 'trickle', bytesPerSecond: 20_000, afterBodyBytes: 40_000 } });
  const startMs = performance.now();
  const answer = await get('/fixed');
  const tookMs = performance.now() - startMs;
  expect(Buffer.compare(answer.body, content)).toBe(0);
  expect(tookMs).toBeGreaterThan(450);
  expect(tookMs).toBeLessThan(3000);
});

test('keeps the response head back', async () => {
  proxy.setFault({ action: { kind: 'delay-headers', delayMs: 250 } });
  const startMs = performance.now();
  await get('/fixed');
  expect(performance.now() - startMs).toBeGreaterThan(240);
});

test('flips one bit at the offset asked for, in both framings', async () => {
  for (const path of ['/fixed', '/chunked']) {
    proxy.setFault({ action: { kind: 'flip', atBodyByte: 33_333 } });
    const { body } = await get(path);
    const wrong = [...body.entries()].filter(([at, byte]) => byte !== content[at]).map(([at]) => at);
    expect(wrong).toEqual([33_333]);
  }
});

test('answers in the place of the upstream, after the request body, and keeps the connection', async () => {
  proxy.setFault({ path: /^\/echo/, action: { kind: 'answer', status: 429, headers: { 'Retry-After': '7' }, body: '<html>slow</html>' } });
  await get('/fixed');
  const before = proxy.connections;
  const response = await fetch(`${proxy.url}/echo`, { method: 'POST', body: content });
  expect(response.status).toBe(429);
  expect(response.headers.get('retry-after')).toBe('7');
  expect(await response.text()).toBe('<html>slow</html>');
  expect(last()).toMatchObject({ status: 429, fault: 'answer' });
  expect((await get('/fixed')).status).toBe(200);
  expect(proxy.connections).toBe(before);
});

test('hangs up without an answer', async () => {
  proxy.setFault({ path: /hang/, action: { kind: 'hang-up', how: 'fin' } });
  expect(await get('/hang', { method: 'POST', body: 'x' })).toMatchObject({ status: 0, failed: true });
});

test('harms only matching requests, after `skip`, `times` often', async () => {
  proxy.setFault([
    { method: /^HEAD$/, action: { kind: 'answer', status: 503 } },
    { path: /\/fixed/, skip: 1, times: 2, action: { kind: 'answer', status: 403 } },
  ]);
  const statuses: number[] = [];
  for (const path of ['/fixed', '/chunked', '/fixed', '/fixed', '/fixed']) statuses.push((await get(path)).status);
  expect(statuses).toEqual([200, 200, 403, 403, 200]);
  expect((await fetch(`${proxy.url}/fixed`, { method: 'HEAD' })).status).toBe(503);
});

test('down refuses connections and breaks open ones; up listens on the same port again', async () => {
  proxy.setFault({ action: { kind: 'stall', afterBodyBytes: 1000 } });
  const broken = get('/fixed');
  await Bun.sleep(100);
  proxy.down();
  expect((await broken).failed).toBe(true);
  expect(await get('/fixed')).toMatchObject({ failed: true, status: 0 });
  proxy.up();
  proxy.setFault(undefined);
  expect((await get('/fixed')).body.length).toBe(content.length);
});

test('an upstream that is not there, or ends inside a body, is a lost connection', async () => {
  const dead = startFaultProxy({ upstreamPort: 1 });
  expect(await fetch(dead.url).catch(() => 'lost')).toBe('lost');
  dead.stop();
  const chained = startFaultProxy({ upstreamPort: proxy.port });
  proxy.setFault({ action: { kind: 'cut', afterBodyBytes: 100, how: 'fin' } });
  const response = await fetch(`${chained.url}/fixed`);
  expect(await response.arrayBuffer().catch(() => 'lost')).toBe('lost');
  expect(chained.counters().at(-1)).toMatchObject({ bodyBytes: 100, complete: false });
  chained.stop();
});
