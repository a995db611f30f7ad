// A blob's file that the disk has shortened or lost (recovery invariant INV-5): no answer with that digest may look complete and be something
// else, whole or by range, and a blob that is on record never becomes "unknown".

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { contentOf, sha256 } from './ledger.ts';

const sizeBytes = 100_000;
let server: RunningBreakwater;
let headers: Record<string, string>;

beforeAll(async () => {
  server = await startBreakwater({ config: 'presets: false\nmirror: { root: false }\n' });
  headers = { authorization: `Basic ${Buffer.from(`admin:${server.adminPassword}`).toString('base64')}` };
}, 60_000);
afterAll(() => server.stop());

/** Pushes a blob of its own and gives its address and the file that holds it. */
async function pushed(seed: number): Promise<{ url: string; digest: string; file: string }> {
  const bytes = contentOf(seed, sizeBytes);
  const digest = sha256(bytes);
  const begun = await fetch(`${server.url}/v2/library/damaged/blobs/uploads/`, { method: 'POST', headers });
  const location = `${server.url}${begun.headers.get('location')}?digest=${digest}`;
  const done = await fetch(location, { method: 'PUT', headers, body: bytes as Uint8Array<ArrayBuffer> });
  expect(done.status).toBe(201);
  const shard = join(server.dataDir, 'blobs', 'sha256', digest.slice(7, 9));
  const name = readdirSync(shard).find((entry) => entry.startsWith(digest.slice(7)));
  return { url: `${server.url}/v2/library/damaged/blobs/${digest}`, digest, file: join(shard, name ?? '') };
}

/** The status, and the body when it arrived whole. */
async function get(url: string, extra: Record<string, string> = {}): Promise<{ status: number; body: Uint8Array | 'broken off' }> {
  const response = await fetch(url, { headers: { ...headers, ...extra } }).catch(() => undefined);
  if (response === undefined) return { status: 0, body: 'broken off' };
  return { status: response.status, body: await response.bytes().catch(() => 'broken off' as const) };
}

for (const [what, damage] of [
  ['shortened to 40,000 bytes', (file: string) => truncateSync(file, 40_000)],
  ['emptied', (file: string) => truncateSync(file, 0)],
  ['lengthened', (file: string) => truncateSync(file, sizeBytes + 1)],
  ['gone', (file: string) => rmSync(file)],
] as const) {
  test(`a file that is ${what} is never given away as the blob`, async () => {
    const blob = await pushed(what.length);
    expect((await get(blob.url)).status).toBe(200);
    damage(blob.file);
    const whole = await get(blob.url);
    if (whole.status === 200) expect(whole.body === 'broken off' || sha256(whole.body) === blob.digest).toBe(true);
    expect(whole.status).not.toBe(404);
    const range = await get(blob.url, { range: 'bytes=50000-59999' });
    if (range.status === 206 && range.body !== 'broken off') expect(range.body.byteLength).toBe(10_000);
    expect(range.status).not.toBe(404);
  });
}
