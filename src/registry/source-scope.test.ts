// Scopes: what a source is asked for.

import { expect, test } from 'bun:test';
import { createSourceScope } from './source-scope.ts';

const covered = (allow: string[], deny: string[], names: string[]): string[] =>
  names.filter((name) => createSourceScope({ allow, deny }).covers(name));

test('without patterns everything is covered', () => {
  expect(covered([], [], ['library/nginx', 'a/b/c'])).toEqual(['library/nginx', 'a/b/c']);
});

test('deny wins over allow, and what neither names is left out when something is allowed', () => {
  expect(covered(['library/*'], ['library/secret*'], ['library/nginx', 'library/secret-app', 'other/app'])).toEqual(['library/nginx']);
});

test('what is no pattern allows nothing and denies everything', () => {
  expect(covered(['{'], [], ['library/nginx'])).toEqual([]);
  expect(covered([], ['{'], ['library/nginx'])).toEqual([]);
});
