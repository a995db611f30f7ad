// Reads of one growing file by many readers: those who are near one another share what is read, so that a hundred of them cost the reads and
// the memory of a few. It must never give bytes that were not there when the block was read.

/** Bytes read at a time. */
export const blockBytes = 128 * 1024;
/** Blocks kept for those who come next. */
const keptMax = 32;

export interface SharedBlocks {
  /** Bytes from `at` on, before `limit` and at most to the end of their block. `readableBytes` can be read now, `limit` among them. */
  read(at: number, limit: number, readableBytes: number): Promise<Uint8Array>;
}

/** `read` gives bytes from an offset on, at most so many. */
export function createSharedBlocks(read: (start: number, lengthMax: number) => Promise<Uint8Array>): SharedBlocks {
  // A Map iterates in the order of insertion: the first block is the one that was asked for least lately.
  const blocks = new Map<number, Promise<Uint8Array>>();
  return {
    read: async (at, limit, readableBytes) => {
      const start = at - (at % blockBytes);
      if (start + blockBytes > readableBytes) return read(at, Math.min(blockBytes, limit - at));
      let block = blocks.get(start);
      if (block === undefined) {
        block = read(start, blockBytes);
        block.catch(() => blocks.delete(start));
      }
      blocks.delete(start);
      blocks.set(start, block);
      const [oldest] = blocks.keys();
      if (blocks.size > keptMax && oldest !== undefined) blocks.delete(oldest);
      return (await block).subarray(at - start, Math.min(limit - start, blockBytes));
    },
  };
}
