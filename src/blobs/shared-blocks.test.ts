// Many readers of one file share its blocks.

import { expect, test } from 'bun:test';
import { blockBytes, createSharedBlocks } from './shared-blocks.ts';

const content = Buffer.from(Array.from({ length: 4 * blockBytes + 1000 }, (_, at) => (at * 31 + (at >> 9)) % 253));

function countedReads(): { reads: number[]; read: (start: number, lengthMax: number) => Promise<Uint8Array> } {
  const reads: number[] = [];
  return {
    reads,
    read: async (start, lengthMax) => {
      reads.push(start);
      await new Promise<void>((resolve) => setImmediate(resolve));
      return content.subarray(start, start + lengthMax);
    },
  };
}

test('fifty readers at once read each block once, and each gets every byte', async () => {
  const { reads, read } = countedReads();
  const blocks = createSharedBlocks(read);
  const readAll = async (from: number): Promise<Buffer> => {
    const chunks: Uint8Array[] = [];
    for (let at = from; at < 4 * blockBytes; ) {
      const chunk = await blocks.read(at, 4 * blockBytes, content.length);
      chunks.push(chunk);
      at += chunk.byteLength;
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
  expect(await blocks.read(100, 500, 1000)).toEqual(content.subarray(100, 500));
  expect(await blocks.read(100, 900, 1000)).toEqual(content.subarray(100, 900));
  expect(reads).toEqual([100, 100]);
  expect(await blocks.read(100, 700, blockBytes)).toEqual(content.subarray(100, 700));
});

test('a read that failed is tried again by the next who asks', async () => {
  let isFailing = true;
  const blocks = createSharedBlocks(async (start, lengthMax) => {
    if (isFailing) throw new Error('planted');
    return content.subarray(start, start + lengthMax);
  });
  expect(blocks.read(0, 10, blockBytes)).rejects.toThrow('planted');
  await new Promise<void>((resolve) => setImmediate(resolve));
  isFailing = false;
  expect(await blocks.read(0, 10, blockBytes)).toEqual(content.subarray(0, 10));
});

test('what is kept is bounded: a block from long ago is read again', async () => {
  const { reads, read } = countedReads();
  const blocks = createSharedBlocks(async (start, lengthMax) => read(start % content.length, lengthMax));
  const total = 100 * blockBytes;
  for (let block = 0; block < 100; block++) await blocks.read(block * blockBytes, total, total);
  await blocks.read(0, total, total);
  expect(reads).toHaveLength(101);
});
