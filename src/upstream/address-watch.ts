// Tells a dead address from a slow server. `fetch` does not say when it has connected, so when an answer stays away a bare TCP connection
// to the same address is tried beside it; if that cannot connect, the address is given up. It sends no byte.

import { connect, type Socket } from 'node:net';
import type { Clock } from '../lib/clock.ts';
import { classifyFailure } from './classify.ts';
import { UpstreamError } from './verdict.ts';

export interface AddressWatch {
  /** Ends the watch; an open connection of it is closed. */
  stop(): void;
}

/** Calls `onDead` at most once, with `refused`, `unreachable` or `connect-timeout`. */
export function watchAddress(options: {
  clock: Clock;
  address: string;
  port: number;
  origin: string;
  delayMs: number;
  timeoutMs: number;
  onDead: (error: UpstreamError) => void;
}): AddressWatch {
  const stopped = new AbortController();
  let socket: Socket | undefined;
  const finish = (error?: UpstreamError): void => {
    if (stopped.signal.aborted) return;
    stopped.abort();
    socket?.destroy();
    if (error !== undefined) options.onDead(error);
  };
  const run = async (): Promise<void> => {
    await options.clock.sleep(options.delayMs, stopped.signal);
    socket = connect({ host: options.address, port: options.port });
    socket.on('connect', () => finish());
    socket.on('error', (error) => finish(classifyFailure(error, 'answer', options.origin)));
    await options.clock.sleep(Math.max(0, options.timeoutMs - options.delayMs), stopped.signal);
    finish(
      new UpstreamError('connect-timeout', {
        detail: `${options.address} took no connection within ${options.timeoutMs} ms`,
        origin: options.origin,
      }),
    );
  };
  run().catch(() => undefined);
  return { stop: () => finish() };
}
