// What the load generator did, kept outside of the crash domain: for each thing the intent before the request and the acknowledgement after it.
// Content derives from seeds, so the checker needs no stored copies.

import { createHash } from 'node:crypto';

export interface PushedBlob {
  readonly repository: string;
  readonly digest: string;
  readonly seed: number;
  readonly sizeBytes: number;
}
export interface PushedManifest {
  readonly repository: string;
  readonly digest: string;
  readonly text: string;
}
/** What a tag was asked to be, in order; one writer per tag, so the order is certain. */
export interface TagHistory {
  readonly repository: string;
  readonly tag: string;
  readonly values: { readonly digest: string; isAcked: boolean }[];
}
export interface OpenSession {
  readonly repository: string;
  readonly location: string;
  readonly seed: number;
  readonly sizeBytes: number;
  /** Bytes a 202 confirmed. */
  ackedBytes: number;
}

export interface Ledger {
  readonly blobs: PushedBlob[];
  readonly manifests: PushedManifest[];
  readonly tags: Map<string, TagHistory>;
  readonly sessions: OpenSession[];
}

export function createLedger(): Ledger {
  return { blobs: [], manifests: [], tags: new Map(), sessions: [] };
}

export function acknowledgedCount(ledger: Ledger): number {
  const tags = [...ledger.tags.values()].reduce((sum, history) => sum + history.values.filter((value) => value.isAcked).length, 0);
  return ledger.blobs.length + ledger.manifests.length + tags;
}

/** The bytes of a seed: different for each seed, not compressible. */
export function contentOf(seed: number, sizeBytes: number): Uint8Array {
  const block = createHash('sha512').update(`content ${seed}`).digest();
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0, turn = 0; at < sizeBytes; at += 64, turn++) {
    block.writeUInt32LE(turn, 0);
    block.copy(bytes, at, 0, Math.min(64, sizeBytes - at));
  }
  return bytes;
}

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A small seeded generator of numbers in [0, 1). */
export function createRandom(seed: number): () => number {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
