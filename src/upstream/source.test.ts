import { expect, test } from 'bun:test';
import { bareHost, locateRepository, type Source } from './source.ts';

const sourceAt = (url: string): Source => ({ id: 's', registry: 'docker.io', url, trust: 'authority', priority: 1, realms: [] });

test('a source without a path is asked at /v2/', () => {
  expect(locateRepository(sourceAt('https://registry-1.docker.io'), 'library/debian')).toEqual({
    base: 'https://registry-1.docker.io/v2/library/debian',
    scopeName: 'library/debian',
  });
  expect(locateRepository(sourceAt('http://127.0.0.1:5000/'), 'a/b').base).toBe('http://127.0.0.1:5000/v2/a/b');
});

test('a path prefix stands before /v2/ and is no part of the name', () => {
  expect(locateRepository(sourceAt('https://m.example/foo/'), 'a/b')).toEqual({ base: 'https://m.example/foo/v2/a/b', scopeName: 'a/b' });
});

test('a prefix that begins with /v2/ is part of the name, in the token’s scope too', () => {
  expect(locateRepository(sourceAt('https://m.example/v2/proxy'), 'a/b')).toEqual({
    base: 'https://m.example/v2/proxy/a/b',
    scopeName: 'proxy/a/b',
  });
  expect(locateRepository(sourceAt('https://m.example/v2/'), 'a/b')).toEqual({ base: 'https://m.example/v2/a/b', scopeName: 'a/b' });
});

test('a host is compared without case, brackets and root dot', () => {
  expect(bareHost(new URL('https://Docker.IO./'))).toBe('docker.io');
  expect(bareHost(new URL('https://[::1]:5000/'))).toBe('::1');
});
