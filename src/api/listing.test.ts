// Lists as clients ask for them: what is understood, and that everything else is one coded error. Rows SEC-G01, SEC-I04, SEC-J01 to J03.

import { describe, expect, test } from 'bun:test';
import { z } from '@hono/zod-openapi';
import fc from 'fast-check';
import { OciError } from '../oci/errors.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';

const fields = {
  name: { type: 'text', sortable: true },
  creation_time: { type: 'time', sortable: true },
  id: { type: 'integer' },
  public: { type: 'boolean' },
  labels: { type: 'integer', filter: ['all'] },
  level: { type: ['project', 'system'] },
  size: { type: 'integer', filter: 'none', sortable: true },
} as const;
const schema = z.strictObject(listingQuery);

const listing = (sent: Record<string, unknown>) => parseListing(schema.parse(sent), fields);
const conditions = (q: string) => listing({ q }).conditions;
function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof OciError) return error.code;
    if (error instanceof z.ZodError) return 'ZOD';
    throw error;
  }
  return 'none';
}

describe('paging', () => {
  test('a list is the first ten rows unless it is asked otherwise, at most a hundred', () => {
    expect(listing({})).toEqual({ page: 1, pageSize: 10, offset: 0, limit: 10, conditions: [], order: [] });
    expect(listing({ page: '3', page_size: '100' })).toMatchObject({ offset: 200, limit: 100 });
    expect(listing({ page_size: '0' })).toMatchObject({ pageSize: 100, limit: 100 });
  });

  test('SEC-G01: a page that is no number from 1 on, or larger than a hundred rows, is refused', () => {
    for (const page of ['0', '-1', '1.5', 'NaN', '1e9', '2147483648', '', ' 1', '0x1', ['1', '2'], '99999999999999999999'])
      expect([page, refusal(() => listing({ page }))]).toEqual([page, 'ZOD']);
    for (const size of ['101', '-1', '1e3', 'all', '2147483648', ['5', '5']])
      expect([size, refusal(() => listing({ page_size: size }))]).toEqual([size, 'ZOD']);
    expect(refusal(() => listing({ 'page[]': '1' }))).toBe('ZOD');
  });

  test('the headers count all rows and link to the neighbours, keeping the other parameters', () => {
    const url = 'https://registry.example/api/v2.0/projects?q=name%3D~a&page=2';
    expect(listHeaders(url, { page: 2, pageSize: 10 }, 25)).toEqual({
      'x-total-count': '25',
      link: '</api/v2.0/projects?q=name%3D%7Ea&page=1&page_size=10>; rel="prev", </api/v2.0/projects?q=name%3D%7Ea&page=3&page_size=10>; rel="next"',
    });
    expect(listHeaders(url, { page: 1, pageSize: 10 }, 10)).toEqual({ 'x-total-count': '10' });
  });
});

describe('q', () => {
  test('every form is understood with typed values', () => {
    expect(conditions('name=a')).toEqual([{ field: 'name', kind: 'exact', value: 'a' }]);
    expect(conditions('name=~a b%_\\')).toEqual([{ field: 'name', kind: 'part', value: 'a b%_\\' }]);
    expect(conditions('name=\\~a')).toEqual([{ field: 'name', kind: 'exact', value: '~a' }]);
    expect(conditions('id=[1~]')).toEqual([{ field: 'id', kind: 'range', min: 1 }]);
    expect(conditions('id=[1~5],public=true')).toEqual([
      { field: 'id', kind: 'range', min: 1, max: 5 },
      { field: 'public', kind: 'exact', value: true },
    ]);
    expect(conditions('name={a "b"  c}')).toEqual([{ field: 'name', kind: 'any', values: ['a', 'b', 'c'] }]);
    expect(conditions('labels=(3 4)')).toEqual([{ field: 'labels', kind: 'all', values: [3, 4] }]);
    expect(conditions('level=system')).toEqual([{ field: 'level', kind: 'exact', value: 'system' }]);
    expect(conditions('creation_time=[2026-11-24T08:00:00~2026-11-24T09:00:00+01:00]')).toEqual([
      { field: 'creation_time', kind: 'range', min: Date.UTC(2026, 10, 24, 8), max: Date.UTC(2026, 10, 24, 8) },
    ]);
    expect(conditions('name%3Da')).toEqual([{ field: 'name', kind: 'exact', value: 'a' }]);
  });

  test('SEC-I04: a field that the list does not show, or does not compare that way, is refused', () => {
    const wrong = [
      'password=x',
      'password_hash=~x',
      'size=1',
      'name',
      '=a',
      'name=',
      'name=a,',
      'name=a,name=b',
      'name=[a~b]',
      'name=(a b)',
      'id=x',
      'id=~1',
      'id=99999999999999999999',
      'id=1.5',
      'id=[~]',
      'id=[1~2~3]',
      'id=[1]',
      'id={}',
      'id={1',
      'labels=3',
      'public=maybe',
      'level=galaxy',
      'creation_time=yesterday',
      'creation_time=2026-13-41T00:00:00',
    ];
    for (const q of wrong) expect([q, refusal(() => conditions(q))]).toEqual([q, 'BAD_REQUEST']);
  });

  test('SEC-J02: control characters, half surrogates and endless values are refused', () => {
    for (const q of ['name=a\u0000b', 'name=~\n', 'name=\ud800', `name=${'a'.repeat(513)}`, `id={${'1 '.repeat(51)}}`])
      expect(refusal(() => conditions(q))).toBe('BAD_REQUEST');
    expect(refusal(() => conditions(Array.from({ length: 21 }, (_, index) => `k${index}=1`).join(',')))).toBe('BAD_REQUEST');
    expect(refusal(() => conditions('a'.repeat(5000)))).toBe('ZOD');
  });

  test("SEC-J03: names of JavaScript's own are no fields", () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(refusal(() => conditions(`${name}=1`))).toBe('BAD_REQUEST');
      expect(refusal(() => listing({ sort: name }))).toBe('BAD_REQUEST');
    }
  });

  test('SEC-J01: whatever is sent is understood as values of known fields, or refused with a code', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'name',
        'id',
        'public',
        '=',
        '~',
        '[',
        ']',
        '{',
        '}',
        '(',
        ')',
        ',',
        ' ',
        '%',
        "'",
        '"',
        ';',
        '--',
        '\\',
        '\u0000',
        '1',
      ),
      fc.string({ unit: 'binary', maxLength: 6 }),
    );
    const text = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(text, text, (q, sort) => {
        try {
          const parsed = parseListing({ page: 1, page_size: 10, q, sort }, fields);
          for (const { field } of [...parsed.conditions, ...parsed.order]) expect(Object.keys(fields)).toContain(field);
        } catch (error) {
          expect(error).toBeInstanceOf(OciError);
          expect((error as OciError).code).toBe('BAD_REQUEST');
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('a condition that is written out is read back', () => {
    const word = fc.stringMatching(/^[a-z0-9._-]{1,12}$/);
    const number = fc.integer({ min: -1_000_000, max: 1_000_000 });
    const condition = fc.oneof(
      word.map((value) => [`name=${value}`, { field: 'name', kind: 'exact', value }] as const),
      word.map((value) => [`name=~${value}`, { field: 'name', kind: 'part', value }] as const),
      fc
        .array(word, { minLength: 1, maxLength: 5 })
        .map((values) => [`name={${values.join(' ')}}`, { field: 'name', kind: 'any', values }] as const),
      fc.tuple(number, number).map(([min, max]) => [`id=[${min}~${max}]`, { field: 'id', kind: 'range', min, max }] as const),
    );
    fc.assert(
      fc.property(condition, ([text, value]) => {
        expect(conditions(text)).toEqual([value as never]);
        expect(conditions(encodeURIComponent(text))).toEqual([value as never]);
      }),
    );
  });
});

describe('sort', () => {
  test('names sortable fields, each once, `-` for the other way round', () => {
    expect(listing({ sort: 'name,-creation_time' }).order).toEqual([
      { field: 'name', descending: false },
      { field: 'creation_time', descending: true },
    ]);
    for (const sort of ['id', 'password', '--name', 'name,name', ',', '-', 'name;drop table project', 'name desc'])
      expect([sort, refusal(() => listing({ sort }))]).toEqual([sort, 'BAD_REQUEST']);
  });
});
