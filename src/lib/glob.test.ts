import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { createGlob } from './glob.ts';

const matches = (pattern: string, text: string): boolean | undefined => createGlob(pattern)?.test(text);

test.each([
  ['docker.io/library/nginx', 'docker.io/library/nginx', true],
  ['docker.io/library/*', 'docker.io/library/nginx', true],
  ['docker.io/library/*', 'docker.io/library/a/b', false],
  ['docker.io/**', 'docker.io/library/a/b', true],
  ['docker.io/**', 'docker.ioX/library', false],
  ['*.example/app', 'a.example/app', true],
  ['**', '', true],
  ['*', 'a/b', false],
  ['v?.?', 'v1.2', true],
  ['v?', 'v/', false],
  ['{ghcr,quay}.io/*', 'quay.io/app', true],
  ['{ghcr,quay}.io/*', 'docker.io/app', false],
  ['a{,b}c', 'ac', true],
  ['a.c', 'abc', false],
] as const)('%s on %s is %p', (pattern, text, expected) => {
  expect(matches(pattern, text)).toBe(expected);
});

test('what is no pattern gives none', () => {
  for (const text of ['', '{a', 'a}', '{a{b}}', 'x'.repeat(513), '{a,b,c}'.repeat(5)]) expect(createGlob(text)).toBeUndefined();
});

test('SEC-G05: many wildcards on a long text end soon', () => {
  const startMs = performance.now();
  expect(matches(`${'*a'.repeat(200)}b`, 'a'.repeat(400))).toBe(false);
  expect(performance.now() - startMs).toBeLessThan(5000);
});

test('agrees with the same pattern as a regular expression', () => {
  const piece = fc.constantFrom('a', 'b', '/', '*', '**', '?');
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 6 }), fc.stringMatching(/^[ab/]{0,8}$/), (pieces, text) => {
      const source = pieces.join('').replace(/\*{2,}|\*|\?/g, (wild) => (wild === '*' ? '[^/]*' : wild === '?' ? '[^/]' : '.*'));
      expect(matches(pieces.join(''), text)).toBe(new RegExp(`^${source}$`).test(text));
    }),
  );
});
