// The thread behind sync-pool.ts: makes one blob at a time durable, blocking itself and nobody else. It keeps nothing.

import { closeSync, fdatasyncSync, fsyncSync, openSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';

/** A file by its descriptor, moved from one path to another between the two syncs. */
export interface SyncJob {
  readonly descriptor: number;
  readonly from: string;
  readonly to: string;
}
export interface SyncAnswer {
  readonly failure?: { readonly message: string; readonly code: string };
}

declare const self: Worker;

self.onmessage = (event: MessageEvent<SyncJob>): void => {
  try {
    run(event.data);
    self.postMessage({} satisfies SyncAnswer);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    self.postMessage({ failure: { message: error instanceof Error ? error.message : String(error), code } } satisfies SyncAnswer);
  }
};

/** fdatasync(file) -> rename -> fsync(folder): the order that durability rests on (design section 5). */
function run(job: SyncJob): void {
  fdatasyncSync(job.descriptor);
  renameSync(job.from, job.to);
  syncFolder(dirname(job.to));
}

function syncFolder(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
