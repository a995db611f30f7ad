// A source's own limits, with real sockets: connections, requests per minute, bytes per second.

import { describe, expect, test } from 'bun:test';
import { createFakeClock } from '../../src/lib/clock.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { blobOf, calm, calmBlob, collect, failureOf, manifestBytes, manifestType, setUp, sourceAt } from './set-up.ts';

describe('the limits of a source', () => {
  test('on connections hold for all of it, where its redirects lead included, and not for another source there', async () => {
    await using bench = setUp();
    const blob = blobOf(2_000);
    let inside = 0;
    let most = 0;
    const cdn = await bench.start(async (_, reply) => {
      most = Math.max(most, ++inside);
      await Bun.sleep(20);
      inside--;
      reply.send(200, {}, blob);
    });
    const registry = await bench.start((_, reply) => reply.send(307, { location: `${cdn.url}/x` }));
    const pull = async (id: string, connections: number | undefined): Promise<void> => {
      const source = sourceAt(registry.url, { id, ...(connections === undefined ? {} : { limits: { connections } }) });
      const answer = await bench.client.getBlob(source, 'a/b', digestOf(blob), calmBlob);
      expect((await collect(answer.body)).bytes.length).toBe(blob.length);
    };
    await Promise.all(Array.from({ length: 12 }, () => pull('few', 2)));
    expect(most).toBe(2);
    await Promise.all(Array.from({ length: 12 }, () => pull('many', undefined)));
    expect(most).toBeGreaterThan(2);
  });

  test('on requests let a burst through, then say busy at once, which is no fault of the source', async () => {
    const clock = createFakeClock();
    await using bench = setUp({ clock });
    const registry = await bench.start((_, reply) => reply.send(200, { 'content-type': manifestType }, manifestBytes));
    const source = sourceAt(registry.url, { limits: { requestsPerMinute: 6 } });
    const get = (): Promise<unknown> => bench.client.getManifest(source, 'a/b', 'v1', calm);
    await get();
    const error = await failureOf(get());
    expect([error.verdict, error.retryAfterMs]).toEqual(['busy', 10_000]);
    expect(registry.requests).toHaveLength(1);
    clock.advance(10_000);
    await get();
    expect(registry.requests).toHaveLength(2);
  });

  test('on bytes are shared by all its bodies, and slow ones are not taken for stalled ones', async () => {
    await using bench = setUp();
    const blob = blobOf(150_000);
    const registry = await bench.start((_, reply) => reply.send(200, {}, blob));
    const source = sourceAt(registry.url, { limits: { bytesPerSecond: 400_000 } });
    const startMs = performance.now();
    const bodies = await Promise.all(
      Array.from({ length: 2 }, async () => {
        const answer = await bench.client.getBlob(source, 'a/b', digestOf(blob), { ...calmBlob, idleTimeoutMs: 300 });
        return collect(answer.body);
      }),
    );
    // 300,000 bytes less the burst of a quarter second's 100,000.
    expect(performance.now() - startMs).toBeGreaterThan(450);
    for (const { bytes, error } of bodies) expect([digestOf(bytes), error]).toEqual([digestOf(blob), undefined]);
  });
});
