// The policy table: what it must cover, and how it reads routes.

import { expect, test } from 'bun:test';
import { policyOf } from './api.ts';
import { apiPrefix, checkPolicy, joinPolicies, methodsOf, type PolicyTable, policyKey } from './policy.ts';

const table: PolicyTable = {
  'GET /things': 'public',
  'GET /things/{name}': { system: 'source:read' },
  'DELETE /things/{name}': { system: 'source:delete' },
};
const routes = [
  { method: 'GET', path: '/things' },
  { method: 'GET', path: '/things/:name' },
  { method: 'DELETE', path: '/things/:name' },
];

test('a table that has every route, and nothing else, passes', () => {
  expect(() => checkPolicy(table, routes)).not.toThrow();
});

test('a route without a line is named', () => {
  expect(() => checkPolicy(table, [...routes, { method: 'POST', path: '/things' }])).toThrow('POST /things');
});

test('a catch-all route without a line is named', () => {
  expect(() => checkPolicy(table, [...routes, { method: 'ALL', path: '/things' }])).toThrow('ALL /things');
});

test('a name that every object has is no line', () => {
  expect(() => checkPolicy({}, [{ method: 'GET', path: '/x' }])).toThrow('GET /x');
  expect(() => checkPolicy(table, [...routes, { method: 'constructor', path: '' }])).toThrow('constructor');
});

test('a line without a route is named', () => {
  expect(() => checkPolicy(table, routes.slice(1))).toThrow('GET /things');
});

test('two lines for one route are refused', () => {
  expect(() => joinPolicies([table, { 'GET /things': 'login' }])).toThrow('GET /things');
});

test("the router's parameters are those of the table", () => {
  expect(policyKey({ method: 'GET', path: '/a/:one/b/:two_2' })).toBe('GET /a/{one}/b/{two_2}');
});

test('the methods of a path are told, HEAD with GET', () => {
  expect(methodsOf(table, '/things')).toEqual(['GET', 'HEAD']);
  expect(methodsOf(table, '/things/a')).toEqual(['GET', 'HEAD', 'DELETE']);
  expect(methodsOf(table, '/things/')).toEqual([]);
  expect(methodsOf(table, '/things/a/b')).toEqual([]);
});

test('only what tells nothing is public', () => {
  const open = Object.entries(policyOf()).filter(([, required]) => required === 'public');
  expect(open.map(([key]) => key.replace(apiPrefix, '')).sort()).toEqual([
    'GET /api/docs',
    'GET /api/docs/{file}',
    'GET /api/version',
    'GET /health',
    'GET /openapi.json',
    'GET /ping',
    'GET /systeminfo',
  ]);
});
