// The proof that the counters of killable-source.ts can be trusted: what it says it passed on is what clients received, to the byte,
// also when the registry dies in the middle of several bodies.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '../images/layout-writer.ts';
import { randomBytesOf } from '../images/random-bytes.ts';
import { startDockerRegistry } from '../support/docker-registry.ts';
import { requireTools } from '../support/requirements.ts';
import { type KillableSource, startKillableSource } from './killable-source.ts';
import { createRawClient, pushBlob } from './raw-client.ts';

const ready = requireTools('docker-registry');
const mebibyte = 1024 * 1024;

describe.skipIf(!ready)('a killable source', () => {
  const blobs = ['one', 'two', 'three'].map((seed) => {
    const bytes = randomBytesOf(seed, 20 * mebibyte);
    return { bytes, digest: sha256(bytes) };
  });
  let dataDir: string;
  let source: KillableSource;

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'killable-'));
    const registry = await startDockerRegistry({ dataDir });
    for (const blob of blobs) expect(await pushBlob(createRawClient(registry.url), 'library/blobs', blob, '')).toBe(201);
    await registry.stop();
    source = await startKillableSource(dataDir);
  }, 30_000);

  afterAll(async () => {
    await source?.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const read = async (digest: string, headers: Record<string, string> = {}): Promise<Uint8Array> => {
    const parts: Uint8Array[] = [];
    const answer = await fetch(`${source.url}/v2/library/blobs/blobs/${digest}`, { headers }).catch(() => undefined);
    const reader = answer?.body?.getReader();
    for (;;) {
      const next = await reader?.read().catch(() => undefined);
      if (next?.value === undefined) break;
      parts.push(next.value);
    }
    return Buffer.concat(parts);
  };

  test('counts whole bodies and ranges exactly', async () => {
    await source.revive();
    for (const blob of blobs) expect(sha256(await read(blob.digest))).toBe(blob.digest);
    const first = blobs[0]?.digest ?? '';
    expect((await read(first, { range: 'bytes=1000-1999' })).length).toBe(1000);
    const expected = blobs.map((blob) => ({ digest: blob.digest, source: source.url, from: 0, to: blob.bytes.length }));
    expect(source.deliveries()).toEqual([...expected, { digest: first, source: source.url, from: 1000, to: 2000 }]);
  });

  test.each([1, 65_536, 3_333_333, 30 * mebibyte + 17])(
    'killed after %d bytes, delivers exactly these to its clients and refuses from then on',
    async (killAfterBytes) => {
      await source.revive();
      source.killAfter(killAfterBytes);
      const received = await Promise.all(blobs.map((blob) => read(blob.digest)));
      expect(received.reduce((sum, bytes) => sum + bytes.length, 0)).toBe(killAfterBytes);
      for (const [index, bytes] of received.entries()) {
        const counted = source.deliveries().find((delivery) => delivery.digest === blobs[index]?.digest);
        expect((counted?.to ?? 0) - (counted?.from ?? 0)).toBe(bytes.length);
      }
      expect(source.isDown()).toBe(true);
      await expect(fetch(`${source.url}/v2/`)).rejects.toThrow();
    },
    20_000,
  );

  test('silenced, accepts a connection and never answers', async () => {
    await source.revive();
    source.silence();
    await expect(fetch(`${source.url}/v2/`, { signal: AbortSignal.timeout(500) })).rejects.toThrow();
    expect(source.isDown()).toBe(false);
  });
});
