// Reads of one growing file by many readers: those who are near one another share what is read, so that a hundred of them cost the reads and
// the memory of a few. It must never give bytes that were not there when the block was read, nor free a block that somebody still looks at.

import { freeBytes } from './spent.ts';

/** Bytes read at a time. */
export const blockBytes = 128 * 1024;
/** Blocks kept for those who come next. */
const keptMax = 32;

/** Bytes of a block, for one reader. */
export interface Lease {
  readonly bytes: Uint8Array;
  /** To be called once, when the reader is done with the bytes: they may be gone afterwards. */
  release(): void;
}

export interface SharedBlocks {
  /** Bytes from `at` on, before `limit` and at most to the end of their block. `readableBytes` can be read now, `limit` among them. */
  read(at: number, limit: number, readableBytes: number): Promise<Lease>;
}

interface Block {
  readonly bytes: Promise<Uint8Array>;
  readers: number;
  isKept: boolean;
}

/** `read` gives bytes from an offset on, at most so many, in memory that nobody else uses. */
export function createSharedBlocks(read: (start: number, lengthMax: number) => Promise<Uint8Array>): SharedBlocks {
  // A Map iterates in the order of insertion: the first block is the one that was asked for least lately.
  const blocks = new Map<number, Block>();
  const freeIfUnused = (block: Block): void => {
    if (!block.isKept && block.readers === 0) void block.bytes.then(freeBytes, () => undefined);
  };
  const drop = (start: number, block: Block): void => {
    if (blocks.get(start) === block) blocks.delete(start);
    block.isKept = false;
    freeIfUnused(block);
  };
  const leave = (block: Block): void => {
    block.readers--;
    freeIfUnused(block);
  };

  return {
    read: async (at, limit, readableBytes) => {
      const start = at - (at % blockBytes);
      if (start + blockBytes > readableBytes) {
        const bytes = await read(at, Math.min(blockBytes, limit - at));
        return { bytes, release: () => freeBytes(bytes) };
      }
      const block = blocks.get(start) ?? { bytes: read(start, blockBytes), readers: 0, isKept: true };
      block.readers++;
      blocks.delete(start);
      blocks.set(start, block);
      const [oldest] = blocks;
      if (blocks.size > keptMax && oldest !== undefined) drop(...oldest);
      try {
        const bytes = await block.bytes;
        return { bytes: bytes.subarray(at - start, Math.min(limit - start, blockBytes)), release: () => leave(block) };
      } catch (error) {
        leave(block);
        drop(start, block);
        throw error;
      }
    },
  };
}
