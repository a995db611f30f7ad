import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { isSpent, readQuota } from './quota.ts';

const read = (headers: Record<string, string>): unknown => readQuota(new Headers(headers));

describe('the quota headers', () => {
  test('of Docker Hub give limit, remaining, window and what is counted by', () => {
    expect(read({ 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600', 'docker-ratelimit-source': '192.0.2.1' })).toEqual(
      { limit: 100, remaining: 76, windowSeconds: 21_600, countedBy: '192.0.2.1' },
    );
  });
  test('are read without a window, with one header only, and with other parameters', () => {
    expect(read({ 'ratelimit-limit': '200', 'ratelimit-remaining': '3' })).toEqual({ limit: 200, remaining: 3, windowSeconds: 21_600 });
    expect(read({ 'ratelimit-remaining': '9;w=60' })).toEqual({ limit: 9, remaining: 9, windowSeconds: 60 });
    expect(read({ 'ratelimit-limit': '10, 10;w=1', 'ratelimit-remaining': '2; policy="a"; w=30' })).toMatchObject({
      limit: 10,
      remaining: 2,
      windowSeconds: 30,
    });
  });
  test('that are absent or malformed are no quota', () => {
    for (const text of ['', 'many', '-1', '1.5', ';w=60', '99999999999'])
      expect(read({ 'ratelimit-limit': '100', ...(text === '' ? {} : { 'ratelimit-remaining': text }) })).toBeUndefined();
  });
  test('give numbers in range, whatever is in them', () => {
    const text = fc.oneof(fc.string({ unit: fc.constantFrom(...'0123456789;w=, ab') }), fc.constant('5;w=0'));
    fc.assert(
      fc.property(text, text, (limit, remaining) => {
        const quota = readQuota(new Headers({ 'ratelimit-limit': limit, 'ratelimit-remaining': remaining }));
        if (quota === undefined) return;
        expect(quota.limit).toBeGreaterThanOrEqual(quota.remaining);
        expect(quota.remaining).toBeGreaterThanOrEqual(0);
        expect(quota.windowSeconds).toBeWithin(1, 7 * 86_400 + 1);
      }),
    );
  });
});

test('a quota is spent at a twentieth of the limit, five at most, and at nothing', () => {
  const at = (limit: number, remaining: number): boolean => isSpent({ limit, remaining, windowSeconds: 60 });
  expect([at(100, 6), at(100, 5), at(1_000, 6), at(1_000, 5), at(10, 1), at(10, 0)]).toEqual([false, true, false, true, false, true]);
});
