import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { OciError } from './errors.ts';
import { jsonDepthMax, parseStrictJson } from './strict-json.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = (text: string): unknown => parseStrictJson(encode(text));

function refusal(bytes: Uint8Array): string {
  try {
    parseStrictJson(bytes);
  } catch (error) {
    if (!(error instanceof OciError) || error.code !== 'MANIFEST_INVALID') throw error;
    return error.message;
  }
  return 'accepted';
}

describe('duplicate keys', () => {
  test.each([
    ['at the top', '{"a":1,"a":2}'],
    ['with equal values', '{"a":1,"a":1}'],
    ['with other keys between', '{"a":1,"b":2,"c":3,"a":4}'],
    ['in a nested object', '{"x":{"a":1,"a":2}}'],
    ['in an object in a list', '[[{"b":1},{"a":1,"a":2}]]'],
    ['after a nested object with that key', '{"a":{"a":1},"a":2}'],
    ['written with an escape', '{"a":1,"\\u0061":2}'],
    ['escaped first', '{"\\u0061":1,"a":2}'],
    ['written with two spellings of one escape', '{"\\u00E4":1,"\\u00e4":2}'],
    ['a slash with and without its escape', '{"a/b":1,"a\\/b":2}'],
    ['a quote in two spellings', '{"\\"":1,"\\u0022":2}'],
    ['an astral character in two spellings', '{"😀":1,"\\ud83d\\ude00":2}'],
    ['that are empty', '{"":1,"":2}'],
    ['with white space before the colons', '{"a" :1,"a"\n\t\r :2}'],
    ['named __proto__', '{"__proto__":1,"__proto__":2}'],
    ['behind a value with braces and quotes in it', '{"a":"}{\\"a\\":[","a":2}'],
    ['behind a value ending in a backslash', '{"a":"\\\\","a":2}'],
  ])('%s are refused', (_, text) => {
    expect(() => JSON.parse(text)).not.toThrow();
    expect(refusal(encode(text))).toContain('stands twice');
  });

  test.each([
    ['the same key in two objects of a list', '[{"a":1},{"a":2}]'],
    ['the same key inside and outside', '{"a":{"a":{"a":1}}}'],
    ['a value that equals a key', '{"a":"a","b":["a","a"]}'],
    ['equal values with colons after them in text', '{"a":"b:","c":"b:"}'],
    ['keys that differ in case', '{"a":1,"A":2}'],
    ['keys equal only after Unicode normalisation', '{"\\u00e4":1,"a\\u0308":2}'],
    ['keys that Object inherits', '{"constructor":1,"toString":2,"__proto__":3,"hasOwnProperty":4}'],
  ])('%s are no duplicates', (_, text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  test('a key with half a surrogate pair is refused: others read U+FFFD there', () => {
    expect(refusal(encode('{"\\ud800":1,"\\ud801":2}'))).toContain('half a surrogate pair');
    expect(refusal(encode('{"a":{"x\\udc00y":1}}'))).toContain('half a surrogate pair');
    expect(parse('{"a":"\\ud800"}')).toEqual({ a: '\ud800' });
  });

  test('a random document is refused exactly when an object of it is given one key twice', () => {
    type Node = string | { readonly entries: readonly (readonly [string, Node])[] } | { readonly items: readonly Node[] };
    const { node } = fc.letrec<{ node: Node }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.constantFrom('1', '"a"', '"}"', 'null', '"\\""'),
        fc.record({ entries: fc.array(fc.tuple(fc.constantFrom('a', 'b', '\\u0061', '{', '"'), tie('node')), { maxLength: 3 }) }),
        fc.record({ items: fc.array(tie('node'), { maxLength: 3 }) }),
      ),
    }));
    const spell = (key: string): string => (key === '"' ? '"\\""' : `"${key}"`);
    const write = (value: Node): string => {
      if (typeof value === 'string') return value;
      if ('items' in value) return `[${value.items.map(write).join(' , ')}]`;
      return `{${value.entries.map(([key, item]) => `${spell(key)} : ${write(item)}`).join(',')}}`;
    };
    const isAmbiguous = (value: Node): boolean => {
      if (typeof value === 'string') return false;
      if ('items' in value) return value.items.some(isAmbiguous);
      const keys = value.entries.map(([key]) => (key === '\\u0061' ? 'a' : key));
      return new Set(keys).size < keys.length || value.entries.some(([, item]) => isAmbiguous(item));
    };
    let ambiguousCount = 0;
    fc.assert(
      fc.property(node, (value) => {
        const text = write(value);
        if (isAmbiguous(value)) {
          ambiguousCount++;
          expect(refusal(encode(text))).toContain('stands twice');
        } else expect(parse(text)).toEqual(JSON.parse(text));
      }),
      { numRuns: 500 },
    );
    expect(ambiguousCount).toBeGreaterThan(10);
  });
});

describe('what is accepted', () => {
  test('gives what JSON.parse gives, for any JSON', () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: 'grapheme' }), fc.constantFrom(undefined, 1, '\t'), (text, indent) => {
        const spaced = JSON.stringify(JSON.parse(text), null, indent);
        expect(parse(spaced)).toEqual(JSON.parse(spaced));
      }),
      { numRuns: 300 },
    );
  });

  test('a __proto__ key becomes an own key and changes no prototype', () => {
    const value = parse('{"__proto__":{"isAdmin":true},"a":1}') as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['__proto__', 'a']);
    expect(value['isAdmin']).toBeUndefined();
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)['isAdmin']).toBeUndefined();
  });
});

describe('what is refused', () => {
  test.each([
    ['nothing', ''],
    ['a byte order mark', '\ufeff{}'],
    ['data behind the end', '{} {}'],
    ['a comma behind the last member', '{"a":1,}'],
    ['a comment', '{/* */}'],
    ['single quotes', "{'a':1}"],
    ['an unfinished string', '{"a'],
    ['an unfinished escape', '{"a\\'],
    ['a raw newline in a string', '{"a\n":1}'],
    ['NaN', '{"a":NaN}'],
    ['a leading zero', '{"a":01}'],
    ['a NUL behind the end', '{}\0'],
  ])('%s', (_, text) => {
    expect(refusal(encode(text))).toBe('manifest is not valid JSON');
  });

  test.each([
    ['a lone continuation byte', [0x22, 0x80, 0x22]],
    ['an overlong slash', [0x22, 0xc0, 0xaf, 0x22]],
    ['an encoded surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['a cut sequence', [0x22, 0xe2, 0x82, 0x22]],
    ['a value past U+10FFFF', [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]],
  ])('%s', (_, bytes) => {
    expect(refusal(new Uint8Array(bytes))).toBe('manifest is not valid UTF-8');
  });

  test('any bytes give a value or MANIFEST_INVALID', () => {
    const jsonLike = fc.string({ unit: fc.constantFrom(...'{}[]",:\\ua1 '), maxLength: 30 }).map(encode);
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), jsonLike), (bytes) => {
        const reason = refusal(bytes);
        if (reason === 'accepted') expect(parseStrictJson(bytes)).toEqual(JSON.parse(new TextDecoder().decode(bytes)));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('depth', () => {
  const lists = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  const objects = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

  test('64 levels are read', () => {
    expect(jsonDepthMax).toBe(64);
    expect(refusal(encode(lists(64)))).toBe('accepted');
    expect(refusal(encode(objects(64)))).toBe('accepted');
    expect(refusal(encode(`[${Array(1000).fill(lists(63)).join(',')}]`))).toBe('accepted');
  });

  test('65 levels, and two million, are refused', () => {
    for (const text of [lists(65), objects(65), `{"a":[${lists(63)}]}`, lists(2_000_000)])
      expect(refusal(encode(text))).toContain('manifest is n');
    expect(refusal(encode(lists(65)))).toContain('deeper than 64');
  });

  test('brackets in strings are no levels', () => {
    expect(refusal(encode(`["${'['.repeat(100)}","${'{'.repeat(100)}"]`))).toBe('accepted');
  });
});

test('the time to read 4 MiB grows with the size and not with its square', () => {
  const sizeBytes = 4 * 1024 * 1024;
  const fill = (part: (at: number) => string, end: string): Uint8Array => {
    const parts: string[] = [];
    for (let length = 0, at = 0; length < sizeBytes - 64; at++) {
      parts.push(part(at));
      length += part(at).length;
    }
    return encode(`{${parts.join('')}${end}}`);
  };
  const documents = [
    fill((at) => `"k${at}":1,`, '"z":1'),
    fill((at) => `"k${at}":"v"          ,`, '"z":1'),
    encode(`{"a"${' '.repeat(sizeBytes)}:1}`),
    encode(`["${'\\\\'.repeat(sizeBytes / 2)}"]`),
  ];
  for (const document of documents) {
    const startedMs = performance.now();
    parseStrictJson(document);
    // Measured: 20 to 350 ms on a busy machine. Quadratic work on this size would take hours.
    expect(performance.now() - startedMs).toBeLessThan(5000);
  }
}, 30_000);
