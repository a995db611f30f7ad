// An object whose disk gets full: every byte can be read once by who reads on, in bounded memory, and none is kept.

import { describe, expect, test } from 'bun:test';
import { digestOf } from '../oci/digest.ts';
import { type OverflowOptions, withOverflow } from './overflow.ts';
import { openSpool } from './spool.ts';
import { BlobStoreError, type StagedBlob } from './store.ts';

const never = new AbortController().signal;

/** A disk that takes so many bytes; what it takes can be read a turn later. */
function diskOf(capacityBytes: number): StagedBlob & { readonly isGone: () => boolean } {
  let bytes = Buffer.alloc(0);
  let isGone = false;
  const disk = {
    id: 'disk',
    get sizeBytes() {
      return bytes.byteLength;
    },
    append: async (chunk: Uint8Array) => {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (bytes.byteLength + chunk.byteLength > capacityBytes) throw new BlobStoreError('full', 'planted');
      bytes = Buffer.concat([bytes, chunk]);
      disk.onGrowth?.();
    },
    flush: async () => undefined,
    read: async (start: number, lengthMax: number) => Buffer.from(bytes.subarray(start, start + lengthMax)),
    truncate: async () => undefined,
    commit: async () => 'key',
    close: async () => undefined,
    discard: async () => {
      isGone = true;
    },
    onGrowth: undefined as (() => void) | undefined,
    isGone: () => isGone,
  };
  return disk;
}

const options = (more: Partial<OverflowOptions> = {}): OverflowOptions => ({
  windowBytes: 10_000,
  patienceMs: 10_000,
  admit: () => () => undefined,
  ...more,
});
const content = Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * 7 + (at >> 8)) % 251));

async function fill(spool: Awaited<ReturnType<typeof openSpool>>, pieceBytes = 1000): Promise<void> {
  for (let at = 0; at < content.length; at += pieceBytes) {
    await spool.append(content.subarray(at, at + pieceBytes));
    spool.release(spool.acceptedBytes);
  }
  spool.complete();
}
async function read(spool: Awaited<ReturnType<typeof openSpool>>, start = 0): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of spool.follow(start, undefined, never)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

describe.each([0, 500, 30_000, 99_500])('a disk that is full after %d bytes', (capacityBytes) => {
  test('its readers get every byte, and it cannot be committed', async () => {
    const spool = await openSpool(withOverflow('a', diskOf(capacityBytes), options()), 'sha256');
    const [one, two] = [read(spool), read(spool)];
    await fill(spool);
    expect((await one).equals(content)).toBe(true);
    expect((await two).equals(content)).toBe(true);
    expect(spool.isUncached).toBe(true);
    expect(spool.digest()).toBe(digestOf(content));
    expect(await spool.commit(digestOf(content)).catch((error) => error.code)).toBe('full');
  });
});

test('without a disk the window moves with the slowest reader, and the writer waits for it', async () => {
  const blob = withOverflow('a', undefined, options());
  const spool = await openSpool(blob, 'sha256');
  const slow = spool.follow(0, undefined, never);
  const fast = read(spool);
  const writing = fill(spool);
  const first = await slow.next();
  await Bun.sleep(20);
  expect(spool.acceptedBytes).toBeLessThanOrEqual(12_000);
  const chunks = [first.value as Uint8Array];
  for await (const chunk of slow) chunks.push(chunk);
  expect(Buffer.concat(chunks).equals(content)).toBe(true);
  expect((await fast).equals(content)).toBe(true);
  await writing;
  // Who comes now is too late for the beginning, and told so.
  expect(spool.isWholeFrom(0)).toBe(false);
  expect(await read(spool).catch((error) => error.code)).toBe('full');
  expect((await read(spool, 95_000)).equals(content.subarray(95_000))).toBe(true);
});

test('a reader that does not move is left behind when another one waits', async () => {
  const spool = await openSpool(withOverflow('a', undefined, options({ patienceMs: 30 })), 'sha256');
  const stuck = spool.follow(0, undefined, never);
  const going = read(spool);
  const writing = fill(spool);
  await stuck.next();
  expect((await going).equals(content)).toBe(true);
  await writing;
  const ended = (async () => {
    for await (const _ of stuck);
  })();
  expect(await ended.catch((error) => error.code)).toBe('full');
});

test('with nobody who reads the writer gives up in the end, and the place in memory is given back', async () => {
  let places = 1;
  const admit = (): (() => void) | undefined => {
    if (places === 0) return undefined;
    places--;
    return () => {
      places++;
    };
  };
  const spool = await openSpool(withOverflow('a', undefined, options({ patienceMs: 20, admit })), 'sha256');
  expect(places).toBe(0);
  expect(() => withOverflow('b', undefined, options({ admit }))).toThrow('full');
  expect(await fill(spool).catch((error) => error.code)).toBe('full');
  await spool.fail(new Error('over'));
  expect(places).toBe(1);
});

test('with room on the disk it is the disk alone', async () => {
  const disk = diskOf(1_000_000);
  const blob = withOverflow('a', disk, options({ admit: () => undefined }));
  const spool = await openSpool(blob, 'sha256');
  const reading = read(spool);
  await fill(spool);
  expect((await reading).equals(content)).toBe(true);
  expect([spool.isUncached, await spool.commit(digestOf(content))]).toEqual([false, 'key']);
  await blob.discard();
  expect(disk.isGone()).toBe(true);
});

test('a failure of another kind is passed on', async () => {
  const disk = diskOf(1_000_000);
  disk.append = async () => {
    throw new BlobStoreError('io', 'planted');
  };
  const spool = await openSpool(withOverflow('a', disk, options()), 'sha256');
  expect(await fill(spool).catch((error) => error.code)).toBe('io');
});
