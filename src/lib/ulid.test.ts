import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { createUlid } from './ulid.ts';

const timeMs = fc.integer({ min: 0, max: 2 ** 48 - 1 });

test('is 26 characters of lower-case Crockford base 32', () => {
  fc.assert(fc.property(timeMs, (nowMs) => /^[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(createUlid(nowMs))));
});

test('begins with the time of the ULID specification', () => {
  // The example in the documents of ULID's authors; the first and the last possible millisecond.
  expect(createUlid(1_469_918_176_385).slice(0, 10)).toBe('01aryz6s41');
  expect(createUlid(0).slice(0, 10)).toBe('0000000000');
  expect(createUlid(2 ** 48 - 1).slice(0, 10)).toBe('7zzzzzzzzz');
});

test('sorts by time', () => {
  fc.assert(
    fc.property(timeMs, timeMs, (a, b) => {
      fc.pre(a !== b);
      expect(createUlid(a) < createUlid(b)).toBe(a < b);
    }),
  );
});

test('a time with fractions is the whole millisecond it lies in', () => {
  expect(createUlid(1000.9).slice(0, 10)).toBe(createUlid(1000).slice(0, 10));
});

test('twenty thousand of one millisecond are all different', () => {
  expect(new Set(Array.from({ length: 20_000 }, () => createUlid(1_700_000_000_000))).size).toBe(20_000);
});

test('every one of the 32 letters comes up at every random place', () => {
  const seen = Array.from({ length: 16 }, () => new Set<string>());
  for (let i = 0; i < 2000; i++) {
    const ulid = createUlid(0);
    for (const [at, letters] of seen.entries()) letters.add(ulid.charAt(10 + at));
  }
  // The chance that a letter stays away from a place in 2000 draws is below 1e-24.
  expect(seen.map((letters) => letters.size)).toEqual(Array.from({ length: 16 }, () => 32));
});
