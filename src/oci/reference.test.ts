import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { OciError } from './errors.ts';
import {
  formatReference,
  nameComponentMaxLength,
  nameMaxLength,
  parseRepositoryName,
  parseTag,
  requireReference,
  requireRepositoryName,
  requireTag,
} from './reference.ts';

const lower = fc.string({ unit: fc.constantFrom(...'abcxyz0189'), minLength: 1, maxLength: 6 });
const separator = fc.constantFrom('.', '_', '__', '-', '--', '-----');
const component = fc
  .tuple(lower, fc.array(fc.tuple(separator, lower), { maxLength: 3 }))
  .map(([first, rest]) => first + rest.map(([mark, word]) => mark + word).join(''));
const repositoryName = fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
const tagFirst = fc.constantFrom(...'azAZ09_');
const tagRest = fc.string({ unit: fc.constantFrom(...'azAZ09_.-'), maxLength: 127 });

/** The grammar again, as a walk over characters instead of a pattern. */
function isName(text: string): boolean {
  if (text.length > 255) return false;
  return text.split('/').every((part) => {
    const words = part.split(/[._-]+/);
    const marks = part.match(/[._-]+/g) ?? [];
    return (
      part.length <= 128 &&
      words.every((word) => word !== '' && [...word].every((char) => 'abcdefghijklmnopqrstuvwxyz0123456789'.includes(char))) &&
      marks.every((mark) => mark === '.' || mark === '_' || mark === '__' || [...mark].every((char) => char === '-'))
    );
  });
}

describe('parseRepositoryName', () => {
  test('gives every name of the grammar back unchanged', () => {
    fc.assert(
      fc.property(repositoryName, (text) => {
        expect(parseRepositoryName(text) as string).toBe(text);
      }),
    );
  });

  test('agrees with the grammar on any text of its alphabet and never normalises', () => {
    const near = fc.string({ unit: fc.constantFrom(...'ab0._-/A%'), maxLength: 14 });
    fc.assert(
      fc.property(fc.oneof(near, fc.string({ unit: 'binary' }), repositoryName), (text) => {
        const name = parseRepositoryName(text);
        expect(name !== undefined).toBe(isName(text));
        if (name !== undefined) expect(String(name)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '.',
    '..',
    'a/../b',
    'a/./b',
    'A',
    'Library/nginx',
    'a_',
    '_a',
    '-a',
    'a-',
    'a.',
    '.a',
    'a..b',
    'a___b',
    'a._b',
    'a.-b',
    'a-_b',
    'a b',
    'a:b',
    'a@b',
    'a%2fb',
    'a\\b',
    'a\0',
    'a\n',
    '\na',
    'ä',
    'а',
    'ſ',
    '_catalog',
  ])('refuses %j', (text) => {
    expect(parseRepositoryName(text)).toBeUndefined();
    expect(() => requireRepositoryName(text)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }));
  });

  test.each(['docker.io/library/nginx', 'a', '0', 'a.b', 'a_b', 'a__b', 'a-b', 'a----b', 'registry.k8s.io/pause', 'v2', 'blobs/uploads'])(
    'accepts %s',
    (text) => {
      expect(parseRepositoryName(text) as string).toBe(text);
    },
  );

  test('ends at 255 characters and at 128 of one component', () => {
    expect(nameMaxLength).toBe(255);
    expect(nameComponentMaxLength).toBe(128);
    const part = 'a'.repeat(128);
    expect(parseRepositoryName(part)).toBeDefined();
    expect(parseRepositoryName(`${part}a`)).toBeUndefined();
    expect(parseRepositoryName(`${part}/${'b'.repeat(126)}`)).toBeDefined();
    expect(parseRepositoryName(`${part}/${'b'.repeat(127)}`)).toBeUndefined();
  });

  test('a name made to trap a backtracking matcher is refused at once', () => {
    const startedMs = performance.now();
    for (let i = 0; i < 200; i++) parseRepositoryName(`${'a-'.repeat(127)}!`);
    for (let i = 0; i < 200; i++) parseRepositoryName(`${'a'.repeat(254)}!`);
    expect(performance.now() - startedMs).toBeLessThan(500);
  });
});

describe('parseTag', () => {
  test('gives every tag of the grammar back unchanged', () => {
    fc.assert(
      fc.property(tagFirst, tagRest, (first, rest) => {
        expect(parseTag(first + rest) as string).toBe(first + rest);
      }),
    );
  });

  test.each(['', '.a', '-a', 'a/b', 'a:b', 'a@b', 'a+b', 'a b', 'a\n', 'ä', 'a\0', 'a'.repeat(129)])('refuses %j', (text) => {
    expect(parseTag(text)).toBeUndefined();
    expect(() => requireTag(text)).toThrow(expect.objectContaining({ code: 'TAG_INVALID' }));
  });

  test('keeps upper and lower case apart', () => {
    expect(String(requireTag('Latest'))).toBe('Latest');
  });
});

describe('requireReference', () => {
  const hex = 'b'.repeat(64);

  test('tells tags from digests', () => {
    expect(requireReference(`sha256:${hex}`)).toEqual({ kind: 'digest', digest: `sha256:${hex}` } as ReturnType<typeof requireReference>);
    expect(requireReference('v1')).toEqual({ kind: 'tag', tag: 'v1' } as ReturnType<typeof requireReference>);
    // The fallback tag of the referrers schema looks like a digest and is a tag.
    expect(requireReference(`sha256-${hex}`).kind).toBe('tag');
  });

  test('what has a colon and is no digest is a bad digest; everything else a bad tag', () => {
    for (const text of ['sha256:abc', `sha1:${'a'.repeat(40)}`, 'a:b', ':', `SHA256:${hex}`]) {
      expect(() => requireReference(text)).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }));
    }
    for (const text of ['', '.', '..', '-x', 'a/b'])
      expect(() => requireReference(text)).toThrow(expect.objectContaining({ code: 'TAG_INVALID' }));
  });

  test('any text gives a reference that is written as that text, or a coded error', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...'aA0_.-:/') }), tagRest);
    fc.assert(
      fc.property(text, (sent) => {
        try {
          expect(formatReference(requireReference(sent))).toBe(sent);
        } catch (error) {
          if (!(error instanceof OciError)) throw error;
          expect(['TAG_INVALID', 'DIGEST_INVALID']).toContain(error.code);
        }
      }),
      { numRuns: 300 },
    );
  });
});
