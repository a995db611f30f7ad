// Slows down guessing of passwords without locking anybody out. Failures are counted by account and network, and by address, in the database, so
// that all servers agree. What must hold, whoever attacks from wherever:
//   - a login that was good here lately passes without a look at any count, from the network it was good from;
//   - an account is slowed down only where it was guessed at: elsewhere its owner logs in as ever;
//   - an address that many share is slowed down only for those who have not logged in from there before, and never shut;
//   - a delay ends after 15 minutes at most. Attempts that are refused count for nothing.
// Only failures are written, and the first success of a day: in batches, into a bounded table. LIM-14, HRD-11 of docs/access.md.

import { createHash, createHmac, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import type { LoginTrace, LoginTraceChange } from '../db/login-traces.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { OciError } from '../oci/errors.ts';
import type { Login, LoginOrigin, Logins } from './logins.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** Failures of an account from one network before it has to wait, and of one that has logged in from there before. */
export const freeFailures = 5;
export const freeFailuresOfKnown = 50;
const pairWindowMs = 15 * minuteMs;
const firstDelayMs = 2000;
/** Failures of one address in an hour, of all accounts together; then one more every so often, for those who are not known there. */
export const addressFailures = 100;
const addressWindowMs = 60 * minuteMs;
const addressDelayMs = addressWindowMs / addressFailures;
const knownForMs = 30 * dayMs;
/** How often the same success is written down. */
const successEveryMs = dayMs;
const goodForMs = dayMs;
/** Refused attempts in a window after which a good login has to wait, too: or it could be told from a bad one without end. */
const refusedMax = 100;
const rowsMax = 50_000;
const flushAfterMs = 100;
const sweepEveryMs = minuteMs;
const turnsMax = 5;

export interface ThrottleStore {
  find(place: string): Promise<LoginTrace | undefined>;
  record(changes: readonly LoginTraceChange[]): Promise<void>;
  sweep(max: number): Promise<void>;
}

export interface Throttle {
  /** These logins, slowed down. TOOMANYREQUESTS, with the time to wait, for who has to. */
  slowing(logins: Logins): Logins;
  /** Writes what is still to be written. */
  close(): Promise<void>;
}

export function createThrottle(options: {
  store: ThrottleStore;
  clock: Clock;
  /** Whether many share this address, so that it is not counted by itself. */
  isShared?: (address: string) => boolean;
  onError?: (error: unknown) => void;
}): Throttle {
  const { store, clock, isShared = () => false, onError = () => undefined } = options;
  const key = randomBytes(32);
  const good = createLru<string, number>({ maxEntries: 20_000 });
  const refused = createLru<string, { count: number; readonly untilMs: number }>({ maxEntries: 20_000 });
  const pending = new Map<string, LoginTraceChange>();
  let writes = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let sweptAtMs = clock.monotonicMs();
  let writing: Promise<void> = Promise.resolve();

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(async () => {
      const changes = [...pending.values()];
      if (changes.length === 0) return;
      pending.clear();
      writes++;
      await store.record(changes).catch(onError);
      if (clock.monotonicMs() - sweptAtMs < sweepEveryMs) return;
      sweptAtMs = clock.monotonicMs();
      await store.sweep(rowsMax).catch(onError);
    });
    return writing;
  };
  const note = (change: LoginTraceChange): void => {
    const waiting = change.succeededAtMs === undefined ? pending.get(change.place) : undefined;
    // A success forgets what was before it; failures after it add up beside it.
    const since = waiting?.succeededAtMs === undefined ? {} : { succeededAtMs: waiting.succeededAtMs };
    const expiresAtMs = Math.max(change.expiresAtMs, waiting?.expiresAtMs ?? 0);
    pending.set(change.place, { ...change, ...since, failures: (waiting?.failures ?? 0) + change.failures, expiresAtMs });
    timer ??= setTimeout(() => void flush(), flushAfterMs);
    if (typeof timer === 'object') timer.unref();
  };
  const look = async (place: string, windowMs: number): Promise<LoginTrace> => {
    // What is written meanwhile must not be counted twice.
    let stored: LoginTrace = nothing;
    for (let turn = 0, seen = -1; turn < turnsMax && seen !== writes; turn++) {
      await writing;
      seen = writes;
      stored = (await store.find(place)) ?? nothing;
    }
    const here = pending.get(place);
    const failedAtMs = Math.max(stored.failedAtMs, here?.failedAtMs ?? 0);
    const isOver = failedAtMs <= clock.nowMs() - windowMs;
    return {
      failures: isOver ? 0 : (here?.succeededAtMs === undefined ? stored.failures : 0) + (here?.failures ?? 0),
      failedAtMs,
      succeededAtMs: Math.max(stored.succeededAtMs, here?.succeededAtMs ?? 0),
    };
  };
  /** How long this account has to wait here, in milliseconds; 0: not at all. */
  const waitOf = (pair: LoginTrace, address: LoginTrace | undefined): number => {
    const nowMs = clock.nowMs();
    const isKnown = pair.succeededAtMs > nowMs - knownForMs;
    const over = pair.failures - (isKnown ? freeFailuresOfKnown : freeFailures);
    const pairWaitMs = over < 0 ? 0 : pair.failedAtMs + Math.min(pairWindowMs, firstDelayMs * 2 ** Math.min(over, 20)) - nowMs;
    const addressWaitMs =
      address === undefined || isKnown || address.failures < addressFailures ? 0 : address.failedAtMs + addressDelayMs - nowMs;
    return Math.max(0, pairWaitMs, addressWaitMs);
  };
  const countRefused = (pairPlace: string): void => {
    const known = refused.get(pairPlace);
    if (known !== undefined && known.untilMs > clock.monotonicMs()) known.count++;
    else refused.set(pairPlace, { count: 1, untilMs: clock.monotonicMs() + pairWindowMs });
  };
  const isOracle = (pairPlace: string): boolean => {
    const known = refused.get(pairPlace);
    return known !== undefined && known.untilMs > clock.monotonicMs() && known.count > refusedMax;
  };

  const login = async (logins: Logins, name: string, password: string, origin: LoginOrigin): Promise<Login | undefined> => {
    const places = placesOf(name, origin.address);
    const mark = createHmac('sha256', key).update(`${places.pair} ${name.length}:${name}:${password}`).digest('base64');
    const isGood = (good.get(mark) ?? 0) > clock.monotonicMs() && !isOracle(places.pair);
    if (!isGood) {
      const address = places.address === undefined || isShared(places.address) ? undefined : addressPlace(places.address);
      const pair = await look(places.pair, pairWindowMs);
      const waitMs = waitOf(pair, address === undefined ? undefined : await look(address, addressWindowMs));
      if (waitMs > 0) {
        countRefused(places.pair);
        throw new OciError('TOOMANYREQUESTS', 'too many wrong logins; wait before the next one', { retryAfterMs: waitMs });
      }
    }
    const found = await logins.login(name, password, origin);
    const nowMs = clock.nowMs();
    if (found === undefined) {
      good.delete(mark);
      const failure = { failures: 1, failedAtMs: nowMs };
      note({ place: places.pair, windowMs: pairWindowMs, expiresAtMs: nowMs + pairWindowMs, ...failure });
      if (places.address !== undefined)
        note({ place: addressPlace(places.address), windowMs: addressWindowMs, expiresAtMs: nowMs + addressWindowMs, ...failure });
      return undefined;
    }
    good.set(mark, clock.monotonicMs() + goodForMs);
    if (isGood) return found;
    const pair = await look(places.pair, pairWindowMs);
    if (pair.failures > 0 || pair.succeededAtMs < nowMs - successEveryMs)
      note({
        place: places.pair,
        windowMs: pairWindowMs,
        failures: 0,
        failedAtMs: 0,
        succeededAtMs: nowMs,
        expiresAtMs: nowMs + knownForMs,
      });
    return found;
  };

  return {
    slowing: (logins) => ({ ...logins, login: (name, password, origin = {}) => login(logins, name, password, origin) }),
    close: flush,
  };
}

const nothing: LoginTrace = { failures: 0, failedAtMs: 0, succeededAtMs: 0 };

function placesOf(name: string, address: string | undefined): { readonly pair: string; readonly address: string | undefined } {
  const network = address === undefined ? 'unknown' : networkOf(address);
  // Names are free text of any length: only a part of a hash is kept.
  const account = createHash('sha256').update(name.toLowerCase()).digest('base64url').slice(0, 24);
  return { pair: `account ${account} ${network}`, address };
}

/** An address of IPv6 stands for its /64, which is one line of one customer. */
function addressPlace(address: string): string {
  return `address ${isIP(address) === 6 ? prefixOf(address, 4) : address}`;
}

/** The /24 of an IPv4 address, the /64 of an IPv6 one. */
function networkOf(address: string): string {
  return isIP(address) === 4 ? `${address.split('.').slice(0, 3).join('.')}.0` : prefixOf(address, 4);
}

/** The first groups of an IPv6 address, written out. */
function prefixOf(address: string, groups: number): string {
  const [head = '', tail] = address.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length);
  return [...front, ...Array.from({ length: zeros }, () => '0'), ...back]
    .slice(0, groups)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':');
}
