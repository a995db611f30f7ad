import { describe, expect, test } from 'bun:test';
import { clearCookie, readCookie, writeCookie } from './cookies.ts';

const plain = { isSecure: false, path: '/' };
const secure = { isSecure: true, path: '/' };
const below = { isSecure: true, path: '/registry-a/' };

describe('a cookie', () => {
  test('with TLS is named so that browsers take it from this host alone, and is for TLS only', () => {
    expect(writeCookie('session', 'abc', secure)).toBe('__Host-breakwater=abc; Path=/; HttpOnly; SameSite=Lax; Secure');
    expect(writeCookie('session', 'abc', below)).toBe('__Secure-breakwater=abc; Path=/registry-a/; HttpOnly; SameSite=Lax; Secure');
    expect(writeCookie('session', 'abc', plain)).toBe('breakwater=abc; Path=/; HttpOnly; SameSite=Lax');
    expect(clearCookie('csrf', secure)).toBe('__Host-breakwater-csrf=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0');
  });

  test('is read back under the name it has there, and under no other', () => {
    const header = 'a=1; breakwater=plain; __Host-breakwater=host;__Secure-breakwater=below ;breakwater-csrf=c';
    expect(readCookie(header, 'session', plain)).toBe('plain');
    expect(readCookie(header, 'session', secure)).toBe('host');
    expect(readCookie(header, 'session', below)).toBe('below');
    expect(readCookie(header, 'csrf', plain)).toBe('c');
    expect(readCookie(header, 'csrf', secure)).toBeUndefined();
    expect(readCookie('xbreakwater=1', 'session', plain)).toBeUndefined();
    expect(readCookie(null, 'session', plain)).toBeUndefined();
  });

  test('that came twice with two values is none', () => {
    expect(readCookie('breakwater=a; breakwater=b', 'session', plain)).toBeUndefined();
    expect(readCookie('breakwater=a; breakwater=a', 'session', plain)).toBe('a');
  });
});
