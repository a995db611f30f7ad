import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { createOriginOf, isHost, type OriginRules } from './origin.ts';

const rules: OriginRules = { externalUrl: undefined, trustedProxies: ['10.0.0.0/8', 'fd00::/8', '192.0.2.7/32'], hasTls: false };
const origin = (headers: Record<string, string>, peer: string | undefined, changes: Partial<OriginRules> = {}): string =>
  createOriginOf({ ...rules, ...changes })(new Headers(headers), peer);
const forwarded = { host: 'inner:5000', 'x-forwarded-host': 'outer.example', 'x-forwarded-proto': 'https' };

describe('the origin a client sees', () => {
  test('is the configured one whatever the request says', () => {
    expect(origin(forwarded, '10.1.2.3', { externalUrl: 'https://registry.example' })).toBe('https://registry.example');
  });

  test('is the Host of the request without one', () => {
    expect(origin({ host: 'registry.lan:5000' }, '127.0.0.1')).toBe('http://registry.lan:5000');
    expect(origin({ host: 'registry.lan' }, '127.0.0.1', { hasTls: true })).toBe('https://registry.lan');
    expect(origin({ host: '[fd00::1]:5000' }, '127.0.0.1')).toBe('http://[fd00::1]:5000');
    expect(origin({ host: 'my_registry:5000' }, '127.0.0.1')).toBe('http://my_registry:5000');
    expect(origin({}, '127.0.0.1')).toBe('http://localhost');
  });

  test('is what a trusted proxy forwards', () => {
    for (const peer of ['10.1.2.3', '::ffff:10.1.2.3', 'fd12::1', '192.0.2.7'])
      expect(origin(forwarded, peer)).toBe('https://outer.example');
    expect(origin({ host: 'inner', 'x-forwarded-proto': 'https' }, '10.1.2.3')).toBe('https://inner');
    expect(origin({ host: 'inner', 'x-forwarded-host': 'outer:8443' }, '10.1.2.3')).toBe('http://outer:8443');
  });

  test('is never what somebody else claims to forward', () => {
    for (const peer of ['11.0.0.1', '127.0.0.1', '::1', 'fe80::1', '192.0.2.8', '::ffff:11.0.0.1', '', 'x', undefined]) {
      expect([peer, origin(forwarded, peer)]).toEqual([peer, 'http://inner:5000']);
    }
    expect(origin(forwarded, '10.1.2.3', { trustedProxies: [] })).toBe('http://inner:5000');
  });

  test('takes what the proxy next to us wrote, when several wrote', () => {
    const headers = { host: 'inner', 'x-forwarded-host': 'evil.example, outer.example', 'x-forwarded-proto': 'http, https' };
    expect(origin(headers, '10.1.2.3')).toBe('https://outer.example');
  });

  test('never holds anything but scheme, host and port', () => {
    const hostile = [
      'a/b',
      'a?b',
      'a#b',
      'u:p@b',
      'a b',
      'a"b',
      'a\\b',
      '[::1',
      '::1',
      'a:',
      'a:port',
      'a:123456',
      '%41',
      'é',
      '-a',
      '.a',
      '',
    ];
    for (const host of hostile) {
      expect([host, isHost(host)]).toEqual([host, false]);
      expect(origin({ 'x-forwarded-host': host === '' ? ',' : encodeURI(host), host: 'inner' }, '10.1.2.3')).toMatch(
        /^http:\/\/(localhost|inner)$/,
      );
    }
    expect(isHost('a, a')).toBe(false);
    expect(origin({ ...forwarded, 'x-forwarded-proto': 'javascript' }, '10.1.2.3')).toBe('http://outer.example');
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), (host) => {
        if (isHost(host)) expect(new URL(`http://${host.replace(/:\d+$/, '')}/`).pathname).toBe('/');
      }),
    );
  });
});
