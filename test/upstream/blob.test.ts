// Blobs from registries that stop, lie about lengths or ignore ranges: what arrives before the failure and what the failure is called.

import { describe, expect, test } from 'bun:test';
import { digestOf } from '../../src/oci/digest.ts';
import type { BlobOptions } from '../../src/upstream/client.ts';
import { play, type Script } from './fake-upstream.ts';
import { blobOf, calm, calmBlob, collect, failureOf, setUp, sourceAt } from './set-up.ts';

const blob = blobOf(1_000_000);
const digest = digestOf(blob);
const head = (headers: Record<string, string>): string =>
  `HTTP/1.1 200 OK\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;

async function fetchBlob(
  script: Script,
  options: Partial<BlobOptions> = {},
): Promise<{ startOffset: number; totalBytes: number | undefined; bytes: Uint8Array; verdict: string }> {
  await using bench = setUp();
  const registry = await bench.start(script);
  const answer = await bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, { ...calmBlob, ...options });
  const { bytes, error } = await collect(answer.body);
  return { startOffset: answer.startOffset, totalBytes: answer.totalBytes, bytes, verdict: error?.verdict ?? 'complete' };
}

async function refusal(script: Script, options: Partial<BlobOptions> = {}): Promise<string> {
  await using bench = setUp();
  const registry = await bench.start(script);
  return (await failureOf(bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, { ...calmBlob, ...options }))).verdict;
}

describe('a blob', () => {
  test('arrives whole, with or without Content-Length', async () => {
    const whole = await fetchBlob((_, reply) => reply.send(200, {}, blob));
    expect(whole).toMatchObject({ startOffset: 0, totalBytes: blob.length, verdict: 'complete' });
    expect(digestOf(whole.bytes)).toBe(digest);
    const chunked = await fetchBlob(async (_, reply) => {
      await reply.raw(head({ 'transfer-encoding': 'chunked' }));
      for (let at = 0; at < blob.length; at += 100_000) {
        await reply.raw('186a0\r\n');
        await reply.raw(blob.subarray(at, at + 100_000));
        await reply.raw('\r\n');
      }
      await reply.raw('0\r\n\r\n');
    });
    expect([digestOf(chunked.bytes), chunked.verdict]).toEqual([digest, 'complete']);
  });

  test('from an offset arrives as the part asked for', async () => {
    const part = await fetchBlob(
      (request, reply) => {
        expect(request.headers['range']).toBe('bytes=999990-');
        reply.send(206, { 'content-range': 'bytes 999990-999999/1000000' }, blob.subarray(999_990));
      },
      { offset: 999_990, expectedSizeBytes: blob.length },
    );
    expect(part).toMatchObject({ startOffset: 999_990, totalBytes: 1_000_000, verdict: 'complete' });
    expect(part.bytes).toEqual(Buffer.from(blob.subarray(999_990)));
  });

  test('of a source that ignores ranges begins at 0', async () => {
    const whole = await fetchBlob((_, reply) => reply.send(200, {}, blob), { offset: 500, expectedSizeBytes: blob.length });
    expect([whole.startOffset, whole.bytes.length]).toEqual([0, blob.length]);
  });

  test('with a wrong range, size, encoding or a page is refused before a byte', async () => {
    const options = { offset: 10, expectedSizeBytes: blob.length };
    expect(await refusal((_, reply) => reply.send(206, { 'content-range': 'bytes 0-999999/1000000' }, blob), options)).toBe('bad-range');
    expect(await refusal((_, reply) => reply.send(206, { 'content-range': 'bytes 10-999999/1000001' }, blob), options)).toBe('bad-range');
    expect(await refusal((_, reply) => reply.send(416, { 'content-range': 'bytes */5' }), options)).toBe('bad-range');
    expect(await refusal((_, reply) => reply.send(200, {}, 'short'), { expectedSizeBytes: blob.length })).toBe('bad-answer');
    expect(await refusal((_, reply) => reply.send(200, { 'content-encoding': 'gzip' }, 'x'))).toBe('encoding');
    expect(await refusal((_, reply) => reply.send(200, { 'content-type': 'text/html' }, '<html>'))).toBe('html');
    expect(await refusal((_, reply) => reply.send(403))).toBe('denied');
    expect(await refusal((_, reply) => reply.send(200, { 'content-length': ['5', '6'] }, 'hello'))).toBe('bad-answer');
  });

  test('an empty one is complete', async () => {
    expect(await fetchBlob((_, reply) => reply.send(200, {}, ''), { expectedSizeBytes: 0 })).toMatchObject({
      totalBytes: 0,
      verdict: 'complete',
    });
  });
});

describe('a blob that ends early', () => {
  const sent = blob.subarray(0, 300_000);
  const cases: readonly (readonly [string, string, Script, Partial<BlobOptions>])[] = [
    ['by a close', 'truncated', play(head({ 'content-length': '1000000' }), sent, { pauseMs: 100 }, { close: 'end' }), {}],
    ['by a reset', 'truncated', play(head({ 'content-length': '1000000' }), sent, { pauseMs: 100 }, { close: 'reset' }), {}],
    [
      'by chunks without an end',
      'truncated',
      play(`${head({ 'transfer-encoding': 'chunked' })}493e0\r\n`, sent, '\r\n', { pauseMs: 100 }, { close: 'end' }),
      {},
    ],
    [
      'in silence, with a chunked end that comes too early',
      'truncated',
      play(`${head({ 'transfer-encoding': 'chunked' })}493e0\r\n`, sent, '\r\n0\r\n\r\n'),
      { expectedSizeBytes: blob.length },
    ],
    ['in silence, without any framing', 'truncated', play(head({}), sent, { close: 'end' }), { expectedSizeBytes: blob.length }],
    ['by standing still', 'stalled', play(head({ 'content-length': '1000000' }), sent), { idleTimeoutMs: 300 }],
  ];
  for (const [how, verdict, script, options] of cases) {
    test(`${how} gives the bytes that came, then ${verdict}`, async () => {
      const got = await fetchBlob(script, options);
      expect(got.verdict).toBe(verdict);
      expect(got.bytes.length).toBe(sent.length);
      expect(Buffer.from(got.bytes).equals(Buffer.from(sent))).toBe(true);
    });
  }

  test('in the same moment as its last bytes gives a true beginning of them', async () => {
    // The runtime drops what it has not handed over yet when the end comes; a caller counts what it was given, so it goes on at the right place.
    const script: Script = play(head({ 'content-length': '1000000' }), sent, { close: 'end' });
    for (let round = 0; round < 10; round++) {
      const got = await fetchBlob(script);
      expect(got.verdict).toBe('truncated');
      expect(Buffer.from(got.bytes).equals(Buffer.from(sent.subarray(0, got.bytes.length)))).toBe(true);
    }
  });

  test('more bytes than the size are never given out', async () => {
    const got = await fetchBlob(
      play(`${head({ 'transfer-encoding': 'chunked' })}10\r\n0123456789abcdef\r\n`, { pauseMs: 30 }, '4\r\nmore\r\n0\r\n\r\n'),
      { expectedSizeBytes: 16 },
    );
    expect([Buffer.from(got.bytes).toString(), got.verdict]).toEqual(['0123456789abcdef', 'bad-answer']);
  });

  test('never: a slow but steady one is not stalled, and a slow reader is no idle source', async () => {
    const steady = await fetchBlob(
      async (_, reply) => {
        await reply.raw(head({ 'content-length': '8' }));
        for (let count = 0; count < 8; count++) {
          await Bun.sleep(80);
          await reply.raw('x');
        }
      },
      { idleTimeoutMs: 250 },
    );
    expect(steady.verdict).toBe('complete');

    await using bench = setUp();
    const registry = await bench.start((_, reply) => reply.send(200, {}, blob));
    const answer = await bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, { ...calmBlob, idleTimeoutMs: 100 });
    let received = 0;
    for await (const chunk of answer.body) {
      if (received === 0) await Bun.sleep(400);
      received += chunk.length;
    }
    expect(received).toBe(blob.length);
  });

  test('no answer within the first-byte budget is a timeout, and the budget does not count for the body', async () => {
    const startMs = performance.now();
    expect(await refusal(() => undefined, { firstByteTimeoutMs: 200 })).toBe('timeout');
    expect(performance.now() - startMs).toBeWithin(150, 1_000);
    const late = await fetchBlob(
      async (_, reply) => {
        await reply.raw(head({ 'content-length': '2' }));
        await Bun.sleep(400);
        await reply.raw('ok');
      },
      { firstByteTimeoutMs: 200 },
    );
    expect(late.verdict).toBe('complete');
  });
});

describe('the reader', () => {
  const endless: Script = async (_, reply) => {
    await reply.raw(head({ 'content-length': '100000000' }));
    const piece = Buffer.alloc(65_536);
    for (let count = 0; count < 1_000; count++) await reply.raw(piece);
  };
  const settle = async (isSettled: () => boolean): Promise<void> => {
    for (let turn = 0; turn < 100 && !isSettled(); turn++) await Bun.sleep(20);
    expect(isSettled()).toBe(true);
  };

  test('that leaves closes the connection', async () => {
    await using bench = setUp();
    const registry = await bench.start(endless);
    const answer = await bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, calmBlob);
    for await (const _ of answer.body) break;
    await settle(() => registry.openConnections() === 0);
  });

  test('that never begins can discard the answer', async () => {
    await using bench = setUp();
    const registry = await bench.start(endless);
    (await bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, calmBlob)).discard();
    await settle(() => registry.openConnections() === 0);
  });

  test('that aborts gets its failure in mid-body, while waiting, and before the answer', async () => {
    await using bench = setUp();
    const registry = await bench.start(async (request, reply) => {
      if (request.path.endsWith('b0')) return;
      await reply.raw(head({ 'content-length': '100' }));
      await reply.raw('begin');
    });
    const leaving = new AbortController();
    const answer = await bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, { ...calmBlob, signal: leaving.signal });
    setTimeout(() => leaving.abort(), 100);
    const { bytes, error } = await collect(answer.body);
    expect([Buffer.from(bytes).toString(), error?.verdict]).toEqual(['begin', 'aborted']);
    await settle(() => registry.openConnections() === 0);
    expect(
      (await failureOf(bench.client.headBlob(sourceAt(registry.url), 'a/b', digest, { ...calm, signal: AbortSignal.abort() }))).verdict,
    ).toBe('aborted');
  });

  test('that reads slowly holds the source back', async () => {
    await using bench = setUp();
    let sent = 0;
    const registry = await bench.start(async (_, reply) => {
      await reply.raw(head({ 'content-length': '200000000' }));
      const piece = Buffer.alloc(100_000);
      for (let count = 0; count < 2_000; count++) {
        await reply.raw(piece);
        sent += piece.length;
      }
    });
    const answer = await bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, calmBlob);
    for await (const _ of answer.body) {
      await Bun.sleep(500);
      break;
    }
    // What fits into socket buffers and the runtime's own, not the whole.
    expect(sent).toBeLessThan(40_000_000);
  });

  test('a complete body leaves the connection for the next', async () => {
    await using bench = setUp();
    const registry = await bench.start((_, reply) => reply.send(200, {}, blob));
    for (let count = 0; count < 5; count++)
      await collect((await bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, calmBlob)).body);
    expect(registry.connections()).toBe(1);
  });
});

test('the head of a blob tells its size', async () => {
  await using bench = setUp();
  const registry = await bench.start((request, reply) =>
    request.count === 1 ? reply.send(200, { 'content-length': '77' }) : reply.send(404),
  );
  expect(await bench.client.headBlob(sourceAt(registry.url), 'a/b', digest, calm)).toEqual({ sizeBytes: 77 });
  expect((await failureOf(bench.client.headBlob(sourceAt(registry.url), 'a/b', digest, calm))).verdict).toBe('not-found');
});
