import { expect, test } from 'bun:test';
import { format, inspect } from 'node:util';
import { Secret } from './secret.ts';

const secret = new Secret('hunter2');

test('reveal gives the value', () => {
  expect(secret.reveal()).toBe('hunter2');
});

test.each<[string, () => string]>([
  ['a template', () => `${secret}`],
  ['String()', () => String(secret)],
  ['joining to a text', () => ['', secret].join('a')],
  ['adding to a text', () => 'password '.concat(secret as unknown as string)],
  ['JSON.stringify', () => JSON.stringify(secret)],
  ['JSON.stringify of what holds it', () => JSON.stringify({ a: [secret], b: { secret } })],
  ['util.inspect', () => inspect(secret)],
  [
    'util.inspect of what holds it, with hidden members',
    () => inspect({ a: [secret], map: new Map([[secret, secret]]) }, { depth: 10, showHidden: true }),
  ],
  ['util.format', () => format('%s %o %j %O', secret, secret, secret, secret)],
  ['Bun.inspect', () => Bun.inspect({ secret, list: [secret] })],
  ['an error message', () => new Error(`login with ${secret} failed`).message],
  ['an error cause', () => inspect(new Error('x', { cause: secret }))],
  ['a query', () => new URLSearchParams({ password: String(secret) }).toString()],
])('%s shows stars', (_, print) => {
  const text = print();
  expect(text).not.toContain('hunter2');
  expect(text).toMatch(/\*\*\*|%2A%2A%2A/);
});

test('has no member that can be listed, copied or cloned', () => {
  expect(Object.keys(secret)).toEqual([]);
  expect(Reflect.ownKeys(secret)).toEqual([]);
  expect({ ...secret } as object).toEqual({});
  expect(JSON.stringify(structuredClone(secret))).not.toContain('hunter2');
});
