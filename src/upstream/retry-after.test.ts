import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { parseRetryAfter } from './retry-after.ts';

const nowMs = Date.UTC(2026, 0, 1, 12, 0, 0);
const parse = (header: string | null, message?: string): number | undefined =>
  parseRetryAfter({ header, nowMs, ...(message === undefined ? {} : { message }) });

describe('Retry-After', () => {
  test('in seconds', () => {
    expect(parse('120')).toBe(120_000);
    expect(parse(' 0 ')).toBe(0);
    expect(parse('1.5')).toBe(1_500);
  });

  test('as an HTTP date, never negative', () => {
    expect(parse('Thu, 01 Jan 2026 12:01:00 GMT')).toBe(60_000);
    expect(parse('Thursday, 01-Jan-26 12:00:30 GMT')).toBe(30_000);
    expect(parse('Thu, 01 Jan 2026 11:00:00 GMT')).toBe(0);
  });

  test('in the message, with the units seen in the field', () => {
    expect(parse(null, '{"errors":[{"message":"retry-after: 547.213µs, allowed: 44000/minute"}]}')).toBe(1);
    expect(parse(null, 'Retry after 30s please')).toBe(30_000);
    expect(parse(null, 'retry-after: 250ms')).toBe(250);
    expect(parse(null, 'retry-after: 7')).toBe(7_000);
  });

  test('the header comes before the message, a broken one does not hide it', () => {
    expect(parse('5', 'retry-after: 9s')).toBe(5_000);
    expect(parse('soon', 'retry-after: 9s')).toBe(9_000);
  });

  test('says nothing when nothing is said', () => {
    for (const header of [null, '', '-1', 'soon', '1 week', '5, 6', 'NaN', '0x10'])
      expect(parse(header, 'toomanyrequests: You have reached your pull rate limit')).toBeUndefined();
  });

  test('hostile values give at most a day and never throw', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.nat().map(String), fc.date().map(String)), fc.string(), (header, message) => {
        const found = parse(header, `retry-after: ${message}`);
        if (found !== undefined) expect(found >= 0 && found <= 86_400_000).toBe(true);
      }),
    );
    expect(parse('9999999999')).toBe(86_400_000);
  });
});
