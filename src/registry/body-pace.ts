// The least rate of a body (design 7.3; fault F7): a source that trickles is left for another one, where there is one. It never gives up the
// only source that moves at all, and never blames a source for the time its reader takes.

import type { Clock } from '../lib/clock.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import type { MirrorTimings } from './mirror-timings.ts';

/** It sends, but too little; another source is to go on. */
export class SlowSource extends UpstreamError {
  readonly bytesPerSecond: number;

  constructor(bytesPerSecond: number, windowMs: number) {
    super('stalled', { detail: `only ${Math.round(bytesPerSecond / 1024)} KiB/s over ${Math.round(windowMs / 1000)} s` });
    this.bytesPerSecond = bytesPerSecond;
  }
}

/** The body as it comes. Throws SlowSource at the end of a window below the floor, while there is something better than that rate. */
export async function* measurePace(
  body: AsyncIterable<Uint8Array>,
  { clock, timings }: { readonly clock: Clock; readonly timings: MirrorTimings },
  { source, hasBetter }: { readonly source: Pick<Source, 'limits'>; readonly hasBetter: (bytesPerSecond: number) => boolean },
): AsyncGenerator<Uint8Array> {
  const { windowMs } = timings.floor;
  // One that may not go faster is not slow of itself.
  const floor = Math.min(timings.floor.bytesPerSecond, (source.limits?.bytesPerSecond ?? Number.MAX_SAFE_INTEGER) / 2);
  let waitedMs = 0;
  let bytes = 0;
  let sinceMs = clock.monotonicMs();
  for await (const chunk of body) {
    waitedMs += clock.monotonicMs() - sinceMs;
    bytes += chunk.byteLength;
    yield chunk;
    if (waitedMs >= windowMs) {
      const bytesPerSecond = (bytes * 1000) / waitedMs;
      if (bytesPerSecond < floor && hasBetter(bytesPerSecond)) throw new SlowSource(bytesPerSecond, waitedMs);
      waitedMs = 0;
      bytes = 0;
    }
    sinceMs = clock.monotonicMs();
  }
}
