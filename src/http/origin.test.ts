import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { addBase, createClients, isHost, type OriginRules } from './origin.ts';

const rules: OriginRules = { externalUrl: undefined, trustedProxies: ['10.0.0.0/8', 'fd00::/8', '192.0.2.7/32'], hasTls: false };
const origin = (headers: Record<string, string>, peer: string | undefined, changes: Partial<OriginRules> = {}): string =>
  createClients({ ...rules, ...changes }).originOf(new Headers(headers), peer);
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

describe('a prefix', () => {
  const own = { externalUrl: 'https://tools.example/registry-a' };
  const place = (path: string, headers: Record<string, string> = {}, changes: Partial<OriginRules> = own, peer = '10.1.2.3') =>
    createClients({ ...rules, ...changes }).place(path, new Headers(headers), () => peer);

  test('of external_url is part of the origin and taken off a path', () => {
    expect(origin({ host: 'inner' }, '127.0.0.1', own)).toBe('https://tools.example/registry-a');
    expect(place('/registry-a/service/token')).toEqual({ path: '/service/token', base: '/registry-a' });
    expect(place('/registry-a/v2/library/app/tags/list')).toEqual({ path: '/v2/library/app/tags/list', base: '/registry-a' });
    expect(place('/registry-a')).toEqual({ path: '/', base: '/registry-a' });
    expect(place('/registry-ab/v2/')).toEqual({ path: '/registry-ab/v2/', base: '/registry-a' });
  });

  test('stands before the addresses of an answer, except in the registry API at the root of the host', () => {
    expect(place('/api/v2.0/projects')).toEqual({ path: '/api/v2.0/projects', base: '/registry-a' });
    expect(place('/v2/')).toEqual({ path: '/v2/', base: '' });
    expect(place('/v2/registry-a/x/tags/list')).toEqual({ path: '/v2/registry-a/x/tags/list', base: '' });
    expect(place('/v2/', {}, { externalUrl: 'https://tools.example' })).toEqual({ path: '/v2/', base: '' });
  });

  test('is believed of a trusted proxy, which may have taken it off or not', () => {
    const headers = { 'x-forwarded-prefix': '/registry-a/' };
    const none = { externalUrl: undefined };
    expect(place('/v2/', headers, none)).toEqual({ path: '/v2/', base: '/registry-a' });
    expect(place('/registry-a/v2/', headers, none)).toEqual({ path: '/v2/', base: '/registry-a' });
    expect(place('/v2/', headers, none, '11.0.0.1')).toEqual({ path: '/v2/', base: '' });
    expect(place('/v2/', headers, { trustedProxies: [] })).toEqual({ path: '/v2/', base: '' });
    expect(origin({ host: 'inner', ...headers }, '10.1.2.3')).toBe('http://inner/registry-a');
    for (const bad of ['evil.example', '//evil.example', '/a"b', '/a\\b', '/..', '/a/../b', '/a b', '/%2f', '/'])
      expect([bad, place('/v2/', { 'x-forwarded-prefix': bad }, none)]).toEqual([bad, { path: '/v2/', base: '' }]);
  });

  test('is put before relative addresses only', () => {
    const answer = (location: string) => addBase(new Response(null, { headers: { location } }), '/a').headers.get('location');
    expect(answer('/v2/x')).toBe('/a/v2/x');
    expect(answer('https://other.example/x')).toBe('https://other.example/x');
    expect(answer('//other.example/x')).toBe('//other.example/x');
    const link = '</api/v2.0/x?page=1>; rel="prev" , </api/v2.0/x?page=3>; rel="next"';
    expect(addBase(new Response(null, { headers: { link } }), '/a').headers.get('link')).toBe(link.replaceAll('</', '</a/'));
  });
});

describe('the address of a client', () => {
  const address = (forwardedFor: string | undefined, peer: string | undefined): string | undefined =>
    createClients(rules).addressOf(new Headers(forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor }), peer);

  test('is the peer, unless that is a trusted proxy', () => {
    expect(address('1.2.3.4', '11.0.0.1')).toBe('11.0.0.1');
    expect(address('1.2.3.4', '::ffff:11.0.0.1')).toBe('11.0.0.1');
    expect(address(undefined, '10.0.0.1')).toBe('10.0.0.1');
    expect(address('1.2.3.4', undefined)).toBeUndefined();
  });

  test('is the last hop that is no trusted proxy', () => {
    expect(address('1.2.3.4', '10.0.0.1')).toBe('1.2.3.4');
    expect(address('9.9.9.9, 1.2.3.4, 10.0.0.2', '10.0.0.1')).toBe('1.2.3.4');
    expect(address('9.9.9.9,1.2.3.4:5555 , [fd00::2]:80', '::ffff:10.0.0.1')).toBe('1.2.3.4');
    expect(address('2001:db8::1', '10.0.0.1')).toBe('2001:db8::1');
    expect(address('10.0.0.3, 10.0.0.2', '10.0.0.1')).toBe('10.0.0.3');
  });

  test('is the nearest known one when a proxy writes nonsense', () => {
    for (const nonsense of ['unknown', '', '999.1.1.1', 'fe80::1%eth0', '1.2.3.4\u0000'.slice(0, 7).concat('x'), 'a'.repeat(100_000)])
      expect([nonsense.slice(0, 20), address(nonsense, '10.0.0.1')]).toEqual([nonsense.slice(0, 20), '10.0.0.1']);
    expect(address(`${'1.2.3.4,'.repeat(1_000_000)}10.0.0.2`.slice(-4_000_000), '10.0.0.1')).toBe('1.2.3.4');
  });
});
