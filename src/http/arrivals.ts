// How requests reach the server, for the login check: what the peer is, what it forwards, and where the server would send the client. A check of
// the server itself waits here for its own request, told by a mark in its User-Agent; while none waits, this costs one comparison.

import { randomBytes } from 'node:crypto';
import type { Arrival } from '../upstream/login-problems.ts';
import type { Clients } from './origin.ts';

export interface Arrivals {
  /** True while a check waits. */
  readonly isWaiting: boolean;
  describe(headers: Headers, peerAddress: string | undefined): Arrival;
  /** Keeps the arrival when a check waits for this request. */
  note(headers: Headers, peerAddress: string | undefined): void;
  /** Begins to wait for requests with this User-Agent. */
  expect(): { readonly userAgent: string; seen(): Arrival | undefined; end(): void };
}

const waitingMax = 16;
const forwardedNames = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-prefix'] as const;
const shownMaxLength = 200;

export function createArrivals({ clients, externalUrl }: { clients: Clients; externalUrl: string | undefined }): Arrivals {
  const waiting = new Map<string, Arrival | undefined>();
  const describe = (headers: Headers, peerAddress: string | undefined): Arrival => ({
    ...(peerAddress === undefined ? {} : { peer: peerAddress.replace(/^::ffff:(?=\d)/i, '') }),
    isTrusted: clients.isTrusted(peerAddress),
    host: headers.get('host')?.slice(0, shownMaxLength),
    forwarded: Object.fromEntries(
      forwardedNames.flatMap((name) => {
        const value = headers.get(name);
        return value === null ? [] : [[name, value.slice(0, shownMaxLength)]];
      }),
    ),
    hasAuthorization: headers.has('authorization'),
    origin: clients.originOf(headers, peerAddress),
    ...(externalUrl === undefined ? {} : { externalUrl }),
  });
  return {
    get isWaiting() {
      return waiting.size > 0;
    },
    describe,
    note: (headers, peerAddress) => {
      const mark = headers.get('user-agent');
      if (mark !== null && waiting.has(mark)) waiting.set(mark, describe(headers, peerAddress));
    },
    expect: () => {
      const userAgent = `breakwater-login-check/${randomBytes(16).toString('hex')}`;
      if (waiting.size < waitingMax) waiting.set(userAgent, undefined);
      return { userAgent, seen: () => waiting.get(userAgent), end: () => waiting.delete(userAgent) };
    },
  };
}
