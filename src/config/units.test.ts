import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts';

describe('durations', () => {
  test.each([
    ['500ms', 500],
    ['60s', 60_000],
    ['2m', 120_000],
    ['1.5h', 5_400_000],
    ['30d', 2_592_000_000],
    ['0s', 0],
  ])('%s is %d ms', (text, durationMs) => expect(parseDuration(text)).toBe(durationMs));

  test.each(['', '60', '60 seconds', '-1s', '1e3s', '0.1ms', '1w', 'S', '60S', '1s1m', '99999999999999d', '١s'])(
    '%p is no duration',
    (text) => expect(parseDuration(text)).toBeUndefined(),
  );

  test('what is written is read back as the same number of milliseconds', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 10 ** 12 }), (durationMs) => parseDuration(formatDuration(durationMs)) === durationMs));
  });

  test('any text gives a whole number of milliseconds or nothing', () => {
    fc.assert(fc.property(fc.string(), (text) => isAmountOrNothing(parseDuration(text))));
  });
});

describe('sizes', () => {
  test.each([
    ['4MiB', 4_194_304],
    ['100GiB', 107_374_182_400],
    ['1.5KiB', 1536],
    ['4096', 4096],
    ['512B', 512],
    ['0B', 0],
  ])('%s is %d bytes', (text, sizeBytes) => expect(parseSize(text)).toBe(sizeBytes));

  test.each(['', '4MB', '4M', '4mib', '-1B', '0.5B', '1e6', '4 MiB x', '99999TiB9'])('%p is no size', (text) =>
    expect(parseSize(text)).toBeUndefined(),
  );

  test('what is written is read back as the same number of bytes', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 45 }), (sizeBytes) => parseSize(formatSize(sizeBytes)) === sizeBytes));
    fc.assert(fc.property(fc.integer({ min: 0, max: 4096 }), (count) => parseSize(formatSize(count * 2 ** 20)) === count * 2 ** 20));
  });

  test('any text gives a whole number of bytes or nothing', () => {
    fc.assert(fc.property(fc.string(), (text) => isAmountOrNothing(parseSize(text))));
  });
});

function isAmountOrNothing(amount: number | undefined): boolean {
  return amount === undefined || (Number.isSafeInteger(amount) && amount >= 0);
}
