// What fills do about the disk: whether the next one may be written to it, the places in memory for those that may not, and one alarm for
// each time the disk is full (fault F54). It must never refuse what is here already.

import { type OverflowBlob, type OverflowOptions, withOverflow } from '../blobs/overflow.ts';
import { type BlobStore, BlobStoreError } from '../blobs/store.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import type { OnAlarm } from './alarms.ts';
import { smallBlobMaxBytes } from './blob-race.ts';
import { type DiskReserve, requireSpace } from './disk-reserve.ts';

/** Fetches that go on in memory at a time; each holds a window of the blob. */
const inMemoryMax = 16;
const windowBytes = 2 * 1024 * 1024;
const slackBytes = 128 * 1024;
const patienceMs = 20_000;
/** The alarm comes again only when the disk took everything for so long. */
const calmMs = 60_000;

export interface DiskGuard {
  /**
   * A new object for a fill: on the disk, or in memory when the reserve is reached or the disk is full (`isUncached` then). INSUFFICIENT_STORAGE
   * when there is no place in memory either.
   */
  stage(id: string, wanted: { readonly expectedBytes: number | undefined; readonly inMemory: boolean }): Promise<OverflowBlob>;
  /** Something was kept: the disk takes bytes again. */
  noteKept(): void;
  /** The disk has refused bytes. */
  noteFull(): void;
}

export interface DiskGuardOptions {
  readonly store: BlobStore;
  readonly reserve: DiskReserve | undefined;
  readonly clock: Clock;
  readonly log: Log | undefined;
  /** Logs it, too. */
  readonly onAlarm: OnAlarm;
}

export function createDiskGuard({ store, reserve, clock, log, onAlarm }: DiskGuardOptions): DiskGuard {
  let inMemory = 0;
  let isFull = false;
  let fullAtMs = 0;
  const admit = (): (() => void) | undefined => {
    noteFull();
    if (inMemory >= inMemoryMax) return undefined;
    inMemory++;
    let isInside = true;
    return () => {
      if (isInside) inMemory--;
      isInside = false;
    };
  };
  function noteFull(): void {
    fullAtMs = clock.monotonicMs();
    if (isFull) return;
    isFull = true;
    onAlarm('disk-full', { detail: 'the disk is full or below its reserve: what is not here is passed on and not kept' });
  }
  const hasRoom = async (wantedBytes: number): Promise<boolean> => {
    if (reserve === undefined) return true;
    try {
      await requireSpace(store, reserve, wantedBytes);
      return true;
    } catch (error) {
      if (isStorageFull(error)) return false;
      throw error;
    }
  };
  return {
    noteFull,
    noteKept: () => {
      if (!isFull || clock.monotonicMs() - fullAtMs < calmMs) return;
      isFull = false;
      log?.info('mirror.disk-recovered');
    },
    stage: async (id, wanted) => {
      const { expectedBytes } = wanted;
      // Small ones, and those that may be, are verified as a whole before a byte is given on.
      const isWhole = expectedBytes === undefined || expectedBytes <= smallBlobMaxBytes;
      const options: OverflowOptions = { windowBytes: (isWhole ? smallBlobMaxBytes : windowBytes) + slackBytes, admit, patienceMs };
      try {
        if (!wanted.inMemory && (await hasRoom(expectedBytes ?? 0))) return withOverflow(id, await store.stage(id), options);
      } catch (error) {
        if (!isStorageFull(error)) throw error;
      }
      return withOverflow(id, undefined, options);
    },
  };
}

/** The disk takes no more, whoever says so. */
export function isStorageFull(error: unknown): boolean {
  return (error instanceof BlobStoreError && error.code === 'full') || (error instanceof OciError && error.code === 'INSUFFICIENT_STORAGE');
}
