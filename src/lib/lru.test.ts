import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { createLru } from './lru.ts';

describe('createLru', () => {
  test('forgets the entry unused for longest', () => {
    const lru = createLru<string, number>({ maxEntries: 2 });
    lru.set('a', 1);
    lru.set('b', 2);
    expect(lru.get('a')).toBe(1);
    lru.set('c', 3);
    expect(lru.get('b')).toBeUndefined();
    expect(lru.get('a')).toBe(1);
    expect(lru.get('c')).toBe(3);
    expect(lru.size).toBe(2);
  });

  test('replacing an entry makes it the youngest and forgets nothing', () => {
    const lru = createLru<string, number>({ maxEntries: 2 });
    lru.set('a', 1);
    lru.set('b', 2);
    lru.set('a', 3);
    expect(lru.size).toBe(2);
    lru.set('c', 4);
    expect(lru.get('b')).toBeUndefined();
    expect(lru.get('a')).toBe(3);
  });

  test('holds undefined as a value and keeps it young', () => {
    const lru = createLru<string, string | undefined>({ maxEntries: 2 });
    lru.set('a', undefined);
    lru.set('b', 'x');
    lru.get('a');
    lru.set('c', 'y');
    expect(lru.get('b')).toBeUndefined();
    expect(lru.delete('a')).toBe(true);
    expect(lru.delete('b')).toBe(false);
  });

  test('refuses a size that is no whole number from 1', () => {
    for (const maxEntries of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => createLru({ maxEntries })).toThrow(RangeError);
  });

  test('behaves like a list ordered by use', () => {
    const key = fc.integer({ min: 0, max: 7 });
    const operation = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('get' as const), key }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('set' as const), key }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const), key }) },
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(operation, { maxLength: 60 }), (maxEntries, operations) => {
        const lru = createLru<number, number>({ maxEntries });
        let model: { key: number; value: number }[] = [];
        for (const [step, { do: verb, key: at }] of operations.entries()) {
          const held = model.find((entry) => entry.key === at);
          if (verb === 'clear') {
            lru.clear();
            model = [];
          } else if (verb === 'get') {
            expect(lru.get(at)).toBe(held?.value as number);
            if (held !== undefined) model = [...model.filter((entry) => entry !== held), held];
          } else if (verb === 'delete') {
            expect(lru.delete(at)).toBe(held !== undefined);
            model = model.filter((entry) => entry !== held);
          } else {
            lru.set(at, step);
            model = [...model.filter((entry) => entry !== held), { key: at, value: step }].slice(-maxEntries);
          }
          expect(lru.size).toBe(model.length);
        }
      }),
    );
  });
});
