import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { formatContentRange, formatUploadRange, parseChunkRange, parseRange } from './range.ts';

const all = undefined;
const no = 'unsatisfiable' as const;

describe('parseRange', () => {
  test.each([
    // RFC 9110 section 14.1.2, its examples on 10000 bytes
    ['bytes=0-499', 10_000, { start: 0, end: 500 }],
    ['bytes=500-999', 10_000, { start: 500, end: 1000 }],
    ['bytes=-500', 10_000, { start: 9500, end: 10_000 }],
    ['bytes=9500-', 10_000, { start: 9500, end: 10_000 }],
    ['bytes=0-0', 10_000, { start: 0, end: 1 }],
    ['bytes=-1', 10_000, { start: 9999, end: 10_000 }],
    // the end is cut to the body
    ['bytes=0-', 10, { start: 0, end: 10 }],
    ['bytes=9-9', 10, { start: 9, end: 10 }],
    ['bytes=9-10', 10, { start: 9, end: 10 }],
    ['bytes=0-9999', 10, { start: 0, end: 10 }],
    ['bytes=-11', 10, { start: 0, end: 10 }],
    ['bytes=007-008', 10, { start: 7, end: 9 }],
    // numbers past every body, however long
    ['bytes=0-18446744073709551616', 10, { start: 0, end: 10 }],
    [`bytes=1-${'9'.repeat(40)}`, 10, { start: 1, end: 10 }],
    [`bytes=-${'9'.repeat(40)}`, 10, { start: 0, end: 10 }],
    ['bytes=9223372036854775808-', 10, no],
    [`bytes=${'9'.repeat(40)}-`, 10, no],
    // unit names have no case; white space around the value is not part of it
    ['Bytes=1-2', 10, { start: 1, end: 3 }],
    [' bytes=1-2\t', 10, { start: 1, end: 3 }],
    // nothing there to send
    ['bytes=10-', 10, no],
    ['bytes=10-20', 10, no],
    ['bytes=-0', 10, no],
    ['bytes=0-', 0, no],
    ['bytes=0-0', 0, no],
    ['bytes=-0', 0, no],
    // the last bytes of nothing are all of it
    ['bytes=-5', 0, all],
    // invalid or not ours: ignored
    ['bytes=5-4', 10, all],
    ['bytes=20-19', 10, all],
    ['bytes=-', 10, all],
    ['bytes=', 10, all],
    ['bytes', 10, all],
    ['', 10, all],
    ['bytes=1-2,4-5', 10, all],
    ['bytes=0-0,0-0', 10, all],
    ['bytes=a-b', 10, all],
    ['bytes=0x1-0x2', 10, all],
    ['bytes=1.0-2', 10, all],
    ['bytes=--1', 10, all],
    ['bytes=+1-2', 10, all],
    ['bytes=1 - 2', 10, all],
    ['bytes 1-2', 10, all],
    ['bytes=1-2/10', 10, all],
    ['items=0-1', 10, all],
    ['bytes=٠-٣', 10, all],
    ['bytes=0-1\nbytes=2-3', 10, all],
    [null, 10, all],
    [undefined, 10, all],
  ] as const)('%j of %d bytes', (header, sizeBytes, expected) => {
    expect(parseRange(header, sizeBytes)).toEqual(expected as ReturnType<typeof parseRange>);
  });

  test('agrees with a model that asks of every byte whether it was asked for', () => {
    const bound = fc.oneof(fc.integer({ min: 0, max: 12 }).map(String), fc.constant(''), fc.integer({ min: 0, max: 2 ** 40 }).map(String));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 }), bound, bound, (sizeBytes, first, last) => {
        const range = parseRange(`bytes=${first}-${last}`, sizeBytes);
        const isInvalid = (first === '' && last === '') || (first !== '' && last !== '' && BigInt(last) < BigInt(first));
        const isAskedFor = (at: number): boolean =>
          first === '' ? at >= sizeBytes - Number(last) : at >= Number(first) && (last === '' || at <= Number(last));
        const wanted = Array.from({ length: sizeBytes }, (_, at) => at).filter(isAskedFor);
        const isSatisfiable = first === '' ? Number(last) > 0 : Number(first) < sizeBytes;
        if (isInvalid) expect(range).toBeUndefined();
        else if (!isSatisfiable) expect(range).toBe('unsatisfiable');
        else if (range === undefined) expect(sizeBytes).toBe(0);
        else if (range === 'unsatisfiable') throw new Error('a satisfiable range was refused');
        else expect(Array.from({ length: range.end - range.start }, (_, at) => range.start + at)).toEqual(wanted);
      }),
      { numRuns: 2000 },
    );
  });

  test('whatever is sent, a range lies inside the body and holds a byte', () => {
    const header = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom(...'0123456789-,= bytes') }).map((text) => `bytes=${text}`),
      fc.tuple(fc.bigInt({ min: 0n, max: 2n ** 70n }), fc.bigInt({ min: 0n, max: 2n ** 70n })).map(([a, b]) => `bytes=${a}-${b}`),
    );
    fc.assert(
      fc.property(header, fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (text, sizeBytes) => {
        const range = parseRange(text, sizeBytes);
        if (range === undefined || range === 'unsatisfiable') return;
        expect(Number.isSafeInteger(range.start) && Number.isSafeInteger(range.end)).toBe(true);
        expect(range.start).toBeGreaterThanOrEqual(0);
        expect(range.end).toBeGreaterThan(range.start);
        expect(range.end).toBeLessThanOrEqual(sizeBytes);
      }),
      { numRuns: 500 },
    );
  });

  test('a number too large for any number type is past every body', () => {
    const huge = '9'.repeat(400);
    expect(parseRange(`bytes=1-${huge}`, 10)).toEqual({ start: 1, end: 10 });
    expect(parseRange(`bytes=-${huge}`, 10)).toEqual({ start: 0, end: 10 });
    expect(parseRange(`bytes=${huge}-`, 10)).toBe('unsatisfiable');
    expect(parseRange(`bytes=${huge}-${huge}`, 10)).toBe('unsatisfiable');
  });

  test('a header of ten thousand ranges is ignored at once', () => {
    const header = `bytes=${Array.from({ length: 10_000 }, (_, at) => `${at}-${at}`).join(',')}`;
    const startedMs = performance.now();
    expect(parseRange(header, 1_000_000)).toBeUndefined();
    expect(performance.now() - startedMs).toBeLessThan(1000);
  });
});

describe('parseChunkRange', () => {
  test.each([
    ['0-0', { start: 0, end: 1 }],
    ['0-99', { start: 0, end: 100 }],
    ['100-199', { start: 100, end: 200 }],
    ['bytes 0-9/100', { start: 0, end: 10 }],
    ['bytes 0-9/10', { start: 0, end: 10 }],
    ['bytes 0-9/*', { start: 0, end: 10 }],
    ['bytes=0-9', { start: 0, end: 10 }],
    [' 0-9 ', { start: 0, end: 10 }],
    ['9007199254740990-9007199254740990', { start: 9007199254740990, end: 9007199254740991 }],
  ])('reads %j', (header, expected) => {
    expect(parseChunkRange(header)).toEqual(expected);
  });

  test.each([
    '',
    '-',
    '0',
    '0-',
    '-9',
    '5-4',
    '1-0',
    '-1-5',
    '0-9-10',
    '0--9',
    'a-b',
    '0x0-0x9',
    '1e2-1e3',
    '0.0-9.0',
    '0 - 9',
    '0-9,10-19',
    'bytes */10',
    'bytes 0-9/5',
    'bytes 0-9/9',
    'items 0-9/10',
    '0-9/',
    '0-9/x',
    '0-99999999999999999',
    '9007199254740991-9007199254740991',
    '9007199254740992-9007199254740993',
    '0-9\n10-19',
  ])('refuses %j', (header) => {
    expect(parseChunkRange(header)).toBeUndefined();
  });

  test('reads back every range written as start and end', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 30 }), fc.integer({ min: 1, max: 2 ** 30 }), (start, length) => {
        const range = { start, end: start + length };
        expect(parseChunkRange(`${start}-${start + length - 1}`)).toEqual(range);
        expect(parseChunkRange(formatContentRange(range, range.end))).toEqual(range);
      }),
    );
  });
});

test('a Content-Range names the last byte and the whole', () => {
  expect(formatContentRange({ start: 0, end: 10 }, 100)).toBe('bytes 0-9/100');
  expect(formatContentRange({ start: 99, end: 100 }, 100)).toBe('bytes 99-99/100');
});

test('the range of an upload session ends at its last byte, and is 0-0 when empty', () => {
  expect([0, 1, 2, 1000].map(formatUploadRange)).toEqual(['0-0', '0-0', '0-1', '0-999']);
});
