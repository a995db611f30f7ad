// docs/harbor.md tells the truth: an operation it calls supported or different has a route, one it calls absent has none, and nothing is told twice.

import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { policyOf } from '../../src/api/api.ts';
import { apiPrefix } from '../../src/api/policy.ts';

const page = readFileSync(join(import.meta.dir, '../../docs/harbor.md'), 'utf8');
const rows = [...page.matchAll(/^\| `([A-Z]+) (\S+)` \| (\w+) \|/gm)].map(([, method = '', path = '', word = '']) => ({
  method,
  path,
  word,
}));
/** Parameters by their place alone; what `{addition}` stands for is named in the page. */
const shapeOf = (method: string, path: string): string =>
  `${method === 'HEAD' ? 'GET' : method} ${path.replace(/\{\w+\}/g, '{}').replace(/additions\/\w+$/, 'additions/{}')}`;
const routes = new Set(
  Object.keys(policyOf()).map((line) => {
    const [method = '', path = ''] = line.split(' ');
    return shapeOf(method, path.replace(apiPrefix, ''));
  }),
);

test('every operation is told once, in one of three words', () => {
  expect(rows.length).toBeGreaterThan(190);
  expect(new Set(rows.map(({ method, path }) => `${method} ${path}`)).size).toBe(rows.length);
  expect([...new Set(rows.map(({ word }) => word))].sort()).toEqual(['absent', 'different', 'supported']);
});

test('what is there has a route, what is absent has none', () => {
  const wrong = rows.filter(({ method, path, word }) => routes.has(shapeOf(method, path)) === (word === 'absent'));
  expect(wrong).toEqual([]);
});
