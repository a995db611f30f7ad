// One operation's time and its end: an AbortSignal that fires with a coded reason. Whoever waits on it throws that reason.

import type { Clock } from '../lib/clock.ts';
import { UpstreamError } from './verdict.ts';

export interface Deadline {
  /** Its reason is always an UpstreamError: `timeout`, `aborted`, or what `fail` was given. */
  readonly signal: AbortSignal;
  fail(error: UpstreamError): void;
  /** No timeout from here on; the caller's signal still counts. */
  disarm(): void;
  /** Ends it: stops the timer and lets go of the caller's signal. */
  release(): void;
}

/** `timeoutMs` from now, or as soon as one of `parents` is aborted. */
export function startDeadline(options: { clock: Clock; timeoutMs: number; parents: readonly (AbortSignal | undefined)[] }): Deadline {
  const controller = new AbortController();
  const timer = new AbortController();
  const onAbort = (): void => controller.abort(new UpstreamError('aborted', { detail: 'given up by the caller' }));
  const parents = options.parents.filter((parent) => parent !== undefined);
  for (const parent of parents) {
    if (parent.aborted) onAbort();
    parent.addEventListener('abort', onAbort, { once: true });
  }
  options.clock.sleep(options.timeoutMs, timer.signal).then(
    () => controller.abort(new UpstreamError('timeout', { detail: `no complete answer within ${options.timeoutMs} ms` })),
    () => undefined,
  );
  return {
    signal: controller.signal,
    fail: (error) => controller.abort(error),
    disarm: () => timer.abort(),
    release: () => {
      timer.abort();
      for (const parent of parents) parent.removeEventListener('abort', onAbort);
    },
  };
}

/** The promise's result, or the signal's reason as soon as it is aborted; the work itself goes on. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    work.catch(() => undefined);
    return Promise.reject(signal.reason);
  }
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
