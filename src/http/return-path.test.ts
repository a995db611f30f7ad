import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { readReturnPath } from './return-path.ts';

test('SEC-E12 a browser goes on to one of our pages and nowhere else', () => {
  for (const text of [
    '//evil.example',
    '/\\evil.example',
    '\\/evil.example',
    '/%2f%2fevil.example',
    '%2f%2fevil.example',
    'https:evil.example',
    'https://evil.example/account',
    'https://user@registry/account',
    '/account@evil.example',
    '/account\r\nlocation: https://evil.example',
    '/\t/evil.example',
    'javascript:alert(1)',
    '/account/../../evil',
    '/api/v2.0/users',
    '/c/log_out',
    '',
    null,
    undefined,
    `/account?${'x'.repeat(300)}`,
  ])
    expect([text, readReturnPath(text)]).toEqual([text, '/account']);
  expect(readReturnPath('/login')).toBe('/login');
  expect(readReturnPath('/login?x=1#y')).toBe('/login');
});

test('SEC-E12 whatever is asked for, it is one of two paths', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.webUrl(),
        fc.string().map((text) => `/${text}`),
      ),
      (text) => {
        expect(['/account', '/login']).toContain(readReturnPath(text));
      },
    ),
  );
});
