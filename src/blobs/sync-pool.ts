// Threads for the syncs of the blob store. The runtime's own pool has one thread per core and reads files too, so a slow disk's syncs in it
// stop every cold pull (docs/decisions/0002). The threads start with the first sync and end when nothing was to do for a while.

import type { SyncAnswer, SyncJob } from './sync-worker.ts';

export interface SyncPool {
  /** Does the job in a thread. Rejects with the system's error (`code` is its name), or when the thread is lost. */
  run(job: SyncJob): Promise<void>;
  /** Threads alive. */
  readonly size: number;
}

const threadsMax = 4;
const idleMs = 60_000;

interface Task {
  readonly job: SyncJob;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export function createSyncPool(numbers: { readonly threadsMax?: number; readonly idleMs?: number } = {}): SyncPool {
  const limit = numbers.threadsMax ?? threadsMax;
  const queue: Task[] = [];
  const idle: Worker[] = [];
  let threads = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const take = (thread: Worker): void => {
    const task = queue.shift();
    if (task === undefined) {
      idle.push(thread);
      endWhenIdle();
      return;
    }
    thread.onmessage = (event: MessageEvent<SyncAnswer>): void => {
      const { failure } = event.data;
      if (failure === undefined) task.resolve();
      else task.reject(Object.assign(new Error(failure.message), { code: failure.code }));
      take(thread);
    };
    // What it had begun may or may not have happened: the caller treats it as a failed sync.
    thread.onerror = (event): void => {
      threads--;
      task.reject(new Error(`a sync thread failed: ${event.message}`));
      thread.terminate();
      const next = queue.length > 0 ? start() : undefined;
      if (next !== undefined) take(next);
    };
    thread.postMessage(task.job);
  };

  const start = (): Worker => {
    threads++;
    const thread = new Worker(new URL('./sync-worker.ts', import.meta.url).href, { smol: true });
    thread.unref();
    return thread;
  };

  const endWhenIdle = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      threads -= idle.length;
      for (const thread of idle.splice(0)) thread.terminate();
    }, numbers.idleMs ?? idleMs);
    timer.unref();
  };

  return {
    run: (job) =>
      new Promise((resolve, reject) => {
        queue.push({ job, resolve, reject });
        const thread = idle.pop() ?? (threads < limit ? start() : undefined);
        if (thread !== undefined) take(thread);
      }),
    get size() {
      return threads;
    },
  };
}
