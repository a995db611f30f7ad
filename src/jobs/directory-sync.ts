// When the people of directories are looked up again: once in an interval, one run at a time. The first run is one interval after the start.

import type { DirectorySync } from '../auth/directory-sync.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';

/** Gives what ends it: no run begins after that, and the one under way stops at its next step. */
export function startDirectorySync(options: {
  readonly sync: DirectorySync;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly log: Log;
}): { close(): Promise<void> } {
  const { sync, intervalMs, clock, log } = options;
  const stop = new AbortController();
  const work = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(intervalMs, stop.signal);
      try {
        await sync.run(stop.signal);
      } catch (error) {
        if (stop.signal.aborted) return;
        log.error('identity.sync-broke', { error });
      }
    }
  };
  const running = work().catch(() => undefined);
  return {
    close: async () => {
      stop.abort();
      await running;
    },
  };
}
