import { describe, expect, test } from 'bun:test';
import type { LoginTrace, LoginTraceChange } from '../db/login-traces.ts';
import { createFakeClock } from '../lib/clock.ts';
import { OciError } from '../oci/errors.ts';
import { testUser } from './principal-fixture.ts';
import { addressFailures, createThrottle, freeFailures, freeFailuresOfKnown, type ThrottleStore } from './throttle.ts';

const minuteMs = 60_000;

/** Servers that share one store; the password of everybody is `right`. */
function setUp({ isShared }: { isShared?: (address: string) => boolean } = {}) {
  const clock = createFakeClock();
  const rows = new Map<string, LoginTrace>();
  const writes: LoginTraceChange[] = [];
  const store: ThrottleStore = {
    find: async (place) => rows.get(place),
    record: async (changes) => {
      for (const change of changes) {
        writes.push(change);
        const found = rows.get(change.place);
        const counted = found !== undefined && found.failedAtMs > change.failedAtMs - change.windowMs ? found.failures : 0;
        rows.set(change.place, {
          failures: change.succeededAtMs === undefined ? counted + change.failures : change.failures,
          failedAtMs: Math.max(change.failedAtMs, found?.failedAtMs ?? 0),
          succeededAtMs: Math.max(change.succeededAtMs ?? 0, found?.succeededAtMs ?? 0),
        });
      }
    },
    sweep: async () => undefined,
  };
  let checks = 0;
  const server = () => {
    const throttle = createThrottle({ store, clock, ...(isShared === undefined ? {} : { isShared }) });
    const logins = throttle.slowing({
      isKnown: async () => true,
      login: async (name, password) => {
        checks++;
        return password === 'right' ? { principal: testUser(1, name), method: 'password' } : undefined;
      },
    });
    const attempt = async (name: string, password: string, address?: string): Promise<'in' | 'wrong' | number> => {
      try {
        return (await logins.login(name, password, address === undefined ? {} : { address })) === undefined ? 'wrong' : 'in';
      } catch (error) {
        if (error instanceof OciError && error.code === 'TOOMANYREQUESTS') return error.retryAfterMs ?? 0;
        throw error;
      }
    };
    return { attempt, flush: () => throttle.close() };
  };
  return { clock, writes, rows, server, checks: () => checks };
}

async function guess(
  server: { attempt: (name: string, password: string, address?: string) => Promise<unknown> },
  times: number,
  name: string,
  address: string,
) {
  for (let index = 0; index < times; index++) await server.attempt(name, `guess ${index}`, address);
}

describe('guessing', () => {
  test('has to wait after five failures, twice as long each time, a quarter of an hour at most', async () => {
    const { clock, server } = setUp();
    const one = server();
    for (let index = 0; index < freeFailures; index++) expect(await one.attempt('anna', `x${index}`, '1.2.3.4')).toBe('wrong');
    const waits: number[] = [];
    for (let index = 0; index < 12; index++) {
      const wait = await one.attempt('anna', 'x', '1.2.3.4');
      if (typeof wait !== 'number') throw new Error('no wait');
      waits.push(wait);
      clock.advance(wait);
      expect(await one.attempt('anna', 'x', '1.2.3.4')).toBe('wrong');
    }
    expect(waits.slice(0, 3)).toEqual([2000, 4000, 8000]);
    expect(Math.max(...waits)).toBeLessThanOrEqual(15 * minuteMs);
    clock.advance(15 * minuteMs);
    expect(await one.attempt('anna', 'right', '1.2.3.4')).toBe('in');
  });

  test('costs no check of a password while it has to wait, and refusals do not lengthen it', async () => {
    const { clock, server, checks } = setUp();
    const one = server();
    await guess(one, freeFailures, 'anna', '1.2.3.4');
    const before = checks();
    await guess(one, 50, 'anna', '1.2.3.4');
    expect(checks()).toBe(before);
    clock.advance(2000);
    expect(await one.attempt('anna', 'right', '1.2.3.4')).toBe('in');
  });

  test('counts over all servers, and over all addresses of a network', async () => {
    const { server } = setUp();
    const [one, two] = [server(), server()];
    await guess(one, 3, 'anna', '1.2.3.4');
    await one.flush();
    await guess(two, 2, 'anna', '1.2.3.99');
    await two.flush();
    for (const each of [one, two]) expect(await each.attempt('Anna', 'right', '1.2.3.200')).toBeNumber();
    expect(await one.attempt('anna', 'right', '2001:db8::1')).toBe('in');
  });

  test('of the name of an account stops nobody at another network, nor another account there', async () => {
    const { server } = setUp();
    const one = server();
    await guess(one, 30, 'anna', '1.2.3.4');
    expect(await one.attempt('anna', 'right', '9.9.9.9')).toBe('in');
    expect(await one.attempt('berta', 'right', '1.2.3.4')).toBe('in');
  });

  test('costs the same for names that nobody has', async () => {
    const { server, checks } = setUp();
    const one = server();
    await guess(one, 20, 'nobody', '1.2.3.4');
    expect(checks()).toBe(freeFailures);
  });
});

describe('a login that was good', () => {
  test('passes in the middle of an attack on it, from where it was good; a guess there has to wait', async () => {
    const { server } = setUp();
    const one = server();
    expect(await one.attempt('anna', 'right', '1.2.3.4')).toBe('in');
    await guess(one, freeFailuresOfKnown, 'anna', '1.2.3.5');
    expect(await one.attempt('anna', 'another guess', '1.2.3.4')).toBeNumber();
    expect(await one.attempt('anna', 'right', '1.2.3.4')).toBe('in');
  });

  test('cannot be told from a guess without end', async () => {
    const { server } = setUp();
    const one = server();
    await one.attempt('anna', 'right', '1.2.3.4');
    await guess(one, 1000, 'anna', '1.2.3.4');
    expect(await one.attempt('anna', 'right', '1.2.3.4')).toBeNumber();
    expect(await one.attempt('anna', 'right', '9.9.9.9')).toBe('in');
  });

  test('is written once a day, however often it comes', async () => {
    const { clock, server, writes } = setUp();
    const one = server();
    for (let index = 0; index < 1000; index++) await one.attempt('anna', 'right', '1.2.3.4');
    await one.flush();
    expect(writes).toHaveLength(1);
    clock.advance(26 * 60 * minuteMs);
    for (let index = 0; index < 10; index++) await one.attempt('anna', 'right', '1.2.3.4');
    await one.flush();
    expect(writes).toHaveLength(2);
  });

  test('forgets the failures before it', async () => {
    const { server } = setUp();
    const one = server();
    await guess(one, 4, 'anna', '1.2.3.4');
    expect(await one.attempt('anna', 'right', '1.2.3.4')).toBe('in');
    await guess(one, 20, 'anna', '1.2.3.4');
    expect(await one.attempt('anna', 'not right', '1.2.3.4')).toBe('wrong');
  });
});

describe('an address that many share', () => {
  test('shut by nobody: who is known there passes, others get a turn after a while', async () => {
    const { clock, server } = setUp();
    const one = server();
    await one.attempt('anna', 'right', '1.2.3.4');
    for (let index = 0; index < addressFailures + 20; index++) await one.attempt(`name ${index}`, 'x', '1.2.3.4');
    expect(await one.attempt('stranger', 'right', '1.2.3.4')).toBeNumber();
    expect(await one.attempt('anna', 'right', '1.2.3.4')).toBe('in');
    expect(await one.attempt('anna', 'mistyped', '1.2.3.4')).toBe('wrong');
    clock.advance(minuteMs);
    expect(await one.attempt('stranger', 'right', '1.2.3.4')).toBe('in');
  });

  test('is not counted when the operator says that it is shared', async () => {
    const { server } = setUp({ isShared: (address) => address === '1.2.3.4' });
    const one = server();
    for (let index = 0; index < addressFailures * 2; index++) await one.attempt(`name ${index}`, 'x', '1.2.3.4');
    expect(await one.attempt('stranger', 'right', '1.2.3.4')).toBe('in');
  });

  test('of IPv6 is a whole /64', async () => {
    const { server } = setUp();
    const one = server();
    for (let index = 0; index < addressFailures; index++) await one.attempt(`name ${index}`, 'x', `2001:DB8:0:1::${index + 1}`);
    expect(await one.attempt('stranger', 'right', '2001:db8:0:1:ffff::9')).toBeNumber();
    expect(await one.attempt('stranger', 'right', '2001:db8:0:2::9')).toBe('in');
  });

  test('writes a batch, not a row for each failure at once', async () => {
    const { server, writes } = setUp();
    const one = server();
    await Promise.all(Array.from({ length: 50 }, (_, index) => one.attempt('anna', `x${index}`, '1.2.3.4')));
    await one.flush();
    expect(writes.length).toBe(2);
    expect(writes.map((change) => change.failures)).toEqual([50, 50]);
  });

  test('counts what comes while a batch is written, once', async () => {
    const { server, rows } = setUp();
    const one = server();
    for (let turn = 0; turn < 3; turn++) {
      const written = one.flush();
      await one.attempt(`name ${turn}`, 'x', '1.2.3.4');
      await written;
      await one.flush();
    }
    expect(rows.get('address 1.2.3.4')?.failures).toBe(3);
  });
});
