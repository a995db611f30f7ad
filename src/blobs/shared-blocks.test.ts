// Many readers of one file share its blocks.

import { expect, test } from 'bun:test';
import { blockBytes, createSharedBlocks } from './shared-blocks.ts';

const content = Buffer.from(Array.from({ length: 4 * blockBytes + 1000 }, (_, at) => (at * 31 + (at >> 9)) % 253));

/** In memory of its own, as the port wants it. */
const copyOf = (start: number, length: number): Uint8Array => new Uint8Array(content.subarray(start, start + length));

function countedReads(): { reads: number[]; read: (start: number, lengthMax: number) => Promise<Uint8Array> } {
  const reads: number[] = [];
  return {
    reads,
    read: async (start, lengthMax) => {
      reads.push(start);
      await new Promise<void>((resolve) => setImmediate(resolve));
      return copyOf(start, lengthMax);
    },
  };
}

test('fifty readers at once read each block once, and each gets every byte', async () => {
  const { reads, read } = countedReads();
  const blocks = createSharedBlocks(read);
  const readAll = async (from: number): Promise<Buffer> => {
    const chunks: Uint8Array[] = [];
    for (let at = from; at < 4 * blockBytes; ) {
      const { bytes, release } = await blocks.read(at, 4 * blockBytes, content.length);
      chunks.push(bytes.slice());
      at += bytes.byteLength;
      release();
    }
    return Buffer.concat(chunks);
  };
  const starts = Array.from({ length: 50 }, (_, place) => place * 1000);
  const all = await Promise.all(starts.map(readAll));
  for (const [place, bytes] of all.entries()) expect(bytes.equals(content.subarray(starts[place], 4 * blockBytes))).toBe(true);
  expect(reads).toEqual([0, blockBytes, 2 * blockBytes, 3 * blockBytes]);
});

test('a block that is not whole yet is read for each reader, and only what may be read of it', async () => {
  const { reads, read } = countedReads();
  const blocks = createSharedBlocks(read);
  expect((await blocks.read(100, 500, 1000)).bytes).toEqual(copyOf(100, 400));
  expect((await blocks.read(100, 900, 1000)).bytes).toEqual(copyOf(100, 800));
  expect(reads).toEqual([100, 100]);
  expect((await blocks.read(100, 700, blockBytes)).bytes).toEqual(copyOf(100, 600));
});

test('a read that failed is tried again by the next who asks', async () => {
  let isFailing = true;
  const blocks = createSharedBlocks(async (start, lengthMax) => {
    if (isFailing) throw new Error('planted');
    return copyOf(start, lengthMax);
  });
  expect(blocks.read(0, 10, blockBytes)).rejects.toThrow('planted');
  await new Promise<void>((resolve) => setImmediate(resolve));
  isFailing = false;
  expect((await blocks.read(0, 10, blockBytes)).bytes).toEqual(copyOf(0, 10));
});

test('what is kept is bounded: a block from long ago is read again', async () => {
  const { reads, read } = countedReads();
  const blocks = createSharedBlocks(async (start, lengthMax) => read(start % content.length, lengthMax));
  const total = 100 * blockBytes;
  for (let block = 0; block < 100; block++) await blocks.read(block * blockBytes, total, total);
  await blocks.read(0, total, total);
  expect(reads).toHaveLength(101);
});

test('a block is freed when it is kept no more and its last reader is done, and not before', async () => {
  const read: Uint8Array[] = [];
  const blocks = createSharedBlocks(async (start, lengthMax) => {
    const bytes = copyOf(start % (4 * blockBytes), lengthMax);
    read.push(bytes);
    return bytes;
  });
  const total = 100 * blockBytes;
  const [one, other] = [await blocks.read(0, total, total), await blocks.read(5, total, total)];
  for (let block = 1; block < 50; block++) (await blocks.read(block * blockBytes, total, total)).release();
  one.release();
  await Bun.sleep(0);
  expect(read[0]).toEqual(copyOf(0, blockBytes));
  expect(other.bytes).toEqual(copyOf(5, blockBytes - 5));
  other.release();
  await Bun.sleep(0);
  expect(read[0]?.byteLength).toBe(0);
  expect(read.filter((bytes) => bytes.byteLength > 0)).toHaveLength(32);
  // One that is still kept stays when its reader is done.
  expect(read[49]?.byteLength).toBe(blockBytes);
});

test('what is read for one reader alone is freed when that one is done', async () => {
  const blocks = createSharedBlocks(async (start, lengthMax) => copyOf(start, lengthMax));
  const { bytes, release } = await blocks.read(100, 500, 1000);
  expect(bytes.byteLength).toBe(400);
  release();
  expect(bytes.byteLength).toBe(0);
});
