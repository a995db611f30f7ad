import { describe, expect, test } from 'bun:test';
import { csrfTokenOf, isCsrfToken, isForeign, isUnsafe } from './csrf.ts';

const cookie = 'c'.repeat(43);
const hosts = ['registry.example.org', 'registry.example.org:5000'];

describe('SEC-H02 a request of another site', () => {
  const from = (headers: Record<string, string>): boolean => isForeign(new Headers(headers), hosts);

  test('is known by Sec-Fetch-Site, whatever else it says', () => {
    for (const site of ['cross-site', 'same-site', 'anything'])
      expect([site, from({ 'sec-fetch-site': site, origin: 'https://registry.example.org' })]).toEqual([site, true]);
    for (const site of ['same-origin', 'none']) expect([site, from({ 'sec-fetch-site': site })]).toEqual([site, false]);
  });

  test('is known by an Origin that is none of our hosts', () => {
    for (const origin of [
      'https://evil.example',
      'null',
      '',
      'https://registry.example.org.evil.example',
      'https://registry.example.org:1',
      'file://',
      'x',
    ])
      expect([origin, from({ origin })]).toEqual([origin, true]);
    for (const origin of ['https://registry.example.org', 'http://registry.example.org:5000'])
      expect([origin, from({ origin })]).toEqual([origin, false]);
  });

  test('a client that is no browser says neither', () => expect(from({})).toBe(false));
});

test('SEC-B05 the token of a cookie is taken, any other text is not', () => {
  expect(isCsrfToken(csrfTokenOf(cookie), cookie)).toBe(true);
  for (const token of [
    null,
    undefined,
    '',
    'x',
    cookie,
    csrfTokenOf('d'.repeat(43)),
    `${csrfTokenOf(cookie)}x`,
    csrfTokenOf(cookie).slice(1),
    'é',
  ])
    expect([token, isCsrfToken(token, cookie)]).toEqual([token, false]);
  for (const other of [undefined, '', 'short', 'c'.repeat(44), ' '.repeat(43)])
    expect([other, isCsrfToken(csrfTokenOf(other ?? ''), other)]).toEqual([other, false]);
});

test('methods that may change something are all but three', () => {
  expect(['GET', 'HEAD', 'OPTIONS'].some(isUnsafe)).toBe(false);
  expect(['POST', 'PUT', 'PATCH', 'DELETE', 'PURGE', 'get'].every(isUnsafe)).toBe(true);
});
