// How many bytes each project holds. Counted when somebody asks, a stretch of digests at a time with the thread given back in between, because
// the one that serves pulls does it; what was counted stands for a while, the longer the longer it took.

import { setImmediate } from 'node:timers/promises';
import type { Database } from '../db/database.ts';
import { findUsageStretch, readUsage } from '../db/usage.ts';
import type { Clock } from '../lib/clock.ts';

export interface UsageCount {
  /** Bytes of blobs by project id; a blob counts once in a project. */
  readonly byProject: ReadonlyMap<number, number>;
  /** Bytes of blobs that some project shows; each counts once. */
  readonly totalBytes: number;
}
export interface Usage {
  read(): Promise<UsageCount>;
}

const stretchMin = 20;
const stretchMax = 2000;
/** A stretch is made smaller or larger until it takes about this long. */
const stretchTargetMs = 4;
const rememberMinMs = 5_000;
const rememberTimes = 20;

export function createUsage({ database, clock }: { database: Database; clock: Clock }): Usage {
  let known: { readonly count: UsageCount; readonly untilMs: number } | undefined;
  let running: Promise<UsageCount> | undefined;

  const count = async (): Promise<UsageCount> => {
    const startedMs = clock.monotonicMs();
    const byProject = new Map<number, number>();
    let after = '';
    let size = 200;
    for (;;) {
      const stretchMs = clock.monotonicMs();
      const through = await findUsageStretch(database.read, { after, count: size });
      for (const { projectId, sizeBytes } of await readUsage(database.read, { after, through }))
        byProject.set(projectId, (byProject.get(projectId) ?? 0) + sizeBytes);
      if (through === undefined) break;
      after = through;
      size = Math.min(stretchMax, Math.max(stretchMin, clock.monotonicMs() - stretchMs > stretchTargetMs ? size >> 1 : size * 2));
      await setImmediate();
    }
    const totalBytes = byProject.get(0) ?? 0;
    byProject.delete(0);
    const tookMs = clock.monotonicMs() - startedMs;
    const result: UsageCount = { byProject, totalBytes };
    known = { count: result, untilMs: clock.monotonicMs() + Math.max(rememberMinMs, tookMs * rememberTimes) };
    return result;
  };
  return {
    read: async () => {
      if (known !== undefined && known.untilMs > clock.monotonicMs()) return known.count;
      running ??= count().finally(() => {
        running = undefined;
      });
      return running;
    },
  };
}
