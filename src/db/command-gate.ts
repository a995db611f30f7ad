// Admission of commands, for both implementations of the port: how many may wait, how many bytes they may hold, and the drain at the end.
// A command it refuses has not begun, so the refusal is coded.

import { OciError } from '../oci/errors.ts';

const commandsMax = 10_000;
/** Of manifest bytes in waiting commands. */
const bytesMax = 128 * 1024 * 1024;

export interface CommandGate {
  /** Runs the task; UNAVAILABLE, without running it, when too much waits or the database is being closed. */
  run<T>(args: unknown, task: () => Promise<T>): Promise<T>;
  /** Admits no more and resolves when all have ended. */
  close(): Promise<void>;
}

export function createCommandGate(): CommandGate {
  const idle = Promise.withResolvers<void>();
  let isClosing = false;
  let commands = 0;
  let bytes = 0;
  return {
    run: async (args, task) => {
      if (isClosing) throw new OciError('UNAVAILABLE', 'the server is shutting down');
      const size = bytesIn(args);
      if (commands >= commandsMax || (commands > 0 && bytes + size > bytesMax))
        throw new OciError('UNAVAILABLE', 'too many writes are waiting', { retryAfterMs: 1000 });
      commands++;
      bytes += size;
      try {
        return await task();
      } finally {
        commands--;
        bytes -= size;
        if (isClosing && commands === 0) idle.resolve();
      }
    },
    close: async () => {
      isClosing = true;
      if (commands === 0) idle.resolve();
      await idle.promise;
    },
  };
}

function bytesIn(args: unknown): number {
  return typeof args === 'object' && args !== null && 'bytes' in args && args.bytes instanceof Uint8Array ? args.bytes.byteLength : 0;
}
