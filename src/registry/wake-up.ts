// Waiting for any change of something shared: everybody who waits is woken, looks again, and waits again.

export interface WakeUp {
  wake(): void;
  /** Resolves at the next `wake`, or rejects with the signal's reason. Nothing is remembered: look first, then wait, with no await between. */
  next(signal: AbortSignal): Promise<void>;
}

export function createWakeUp(): WakeUp {
  let changed = Promise.withResolvers<void>();
  return {
    wake: () => {
      const before = changed;
      changed = Promise.withResolvers<void>();
      before.resolve();
    },
    next: (signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = (): void => reject(signal.reason);
        signal.addEventListener('abort', onAbort, { once: true });
        void changed.promise.then(() => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        });
      }),
  };
}
