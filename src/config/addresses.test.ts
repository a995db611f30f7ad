import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { formatListen, parseCidr, parseExternalUrl, parseListen, parseOrigin, parseProxyUrl, parseSourceUrl } from './addresses.ts';

describe('listen', () => {
  test.each([
    ['0.0.0.0:5000', '0.0.0.0', 5000],
    ['127.0.0.1:0', '127.0.0.1', 0],
    ['[::]:5000', '::', 5000],
    ['[2001:DB8::1]:443', '2001:db8::1', 443],
    ['Registry.Example.com:80', 'registry.example.com', 80],
    [':5000', '0.0.0.0', 5000],
  ])('%s', (text, hostname, port) => expect(parseListen(text)).toEqual({ hostname, port }));

  test.each([
    '',
    '5000',
    'host',
    'host:',
    'host:65536',
    '::1:80',
    '[::1]',
    '[127.0.0.1]:80',
    '1.2.3:80',
    '999.1.1.1:80',
    'a b:80',
    'http://h:80',
    '-a:80',
    'u@h:80',
  ])('%p is no address', (text) => expect(parseListen(text)).toBeUndefined());

  test('what is written is read back as the same address', () => {
    const hostnames = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.domain().map((name) => name.toLowerCase()),
    );
    fc.assert(
      fc.property(hostnames, fc.integer({ min: 0, max: 65_535 }), (hostname, port) => {
        expect(parseListen(formatListen({ hostname, port }))).toEqual({ hostname, port });
      }),
    );
  });
});

describe('address blocks', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['127.0.0.1', '127.0.0.1/32'],
    ['FD00::/8', 'fd00::/8'],
    ['::1', '::1/128'],
  ])('%s is %s', (text, block) => expect(parseCidr(text)).toBe(block));

  test.each([
    '',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0/8',
    'fd00::/129',
    '10.0.0.0/8/8',
    'fe80::1%eth0',
    'example.com',
    '10.0.0.0/-1',
  ])('%p is none', (text) => expect(parseCidr(text)).toBeUndefined());
});

describe('URLs', () => {
  test.each([
    ['https://registry-1.docker.io', 'https://registry-1.docker.io'],
    ['https://Mirror.example/', 'https://mirror.example'],
    ['https://mirror.example:443/docker/', 'https://mirror.example/docker'],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5000'],
    ['http://[::1]:5000/a/b', 'http://[::1]:5000/a/b'],
  ])('%s is the source %s', (text, url) => expect(parseSourceUrl(text)).toBe(url));

  test.each([
    '',
    'mirror.example',
    'ftp://mirror.example',
    'https://',
    'https://u:p@mirror.example',
    'https://m.example/?q',
    'https://m.example/#f',
    'https:/m',
    'https://m\\x',
    ' https://m',
    'https://@m',
    'https://m:99999',
  ])('%p is no source', (text) => expect(parseSourceUrl(text)).toBeUndefined());

  test('a source in normal form stays as it is', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: false, withFragments: false }), (text) => {
        const url = parseSourceUrl(text);
        if (url !== undefined) expect(parseSourceUrl(url)).toBe(url);
      }),
    );
  });

  test('an origin has no path', () => {
    expect(parseOrigin('https://Auth.docker.io/')).toBe('https://auth.docker.io');
    expect(parseOrigin('https://auth.docker.io/token')).toBeUndefined();
  });

  test('the address of the server may have a path that is none of its own', () => {
    expect(parseExternalUrl('https://Tools.example/registry-a/')).toBe('https://tools.example/registry-a');
    expect(parseExternalUrl('https://tools.example/a/b')).toBe('https://tools.example/a/b');
    expect(parseExternalUrl('http://tools.example:80/')).toBe('http://tools.example');
    for (const bad of ['v2', 'v2/x', 'api', 'service/token', 'c', 'a//b', 'a b', 'a"b', 'ü'])
      expect([bad, parseExternalUrl(`https://tools.example/${bad}`)]).toEqual([bad, undefined]);
  });

  test('a proxy is reached by http', () => {
    expect(parseProxyUrl('http://proxy.lan:3128')).toBe('http://proxy.lan:3128');
    expect(parseProxyUrl('https://proxy.lan:3128')).toBeUndefined();
  });

  test('or by SOCKS5, which resolves the names', () => {
    expect(parseProxyUrl('socks5://Proxy.lan:1080')).toBe('socks5://proxy.lan:1080');
    expect(parseProxyUrl('socks5h://127.0.0.1:80/')).toBe('socks5://127.0.0.1:80');
    expect(parseProxyUrl('socks5://[::1]')).toBe('socks5://[::1]');
    for (const text of ['socks5://', 'socks5://user:pw@h:1', 'socks5://h:1/x', 'socks4://h:1', 'socks5:h:1', 'socks5://h:99999'])
      expect(parseProxyUrl(text)).toBeUndefined();
  });

  test('any text gives an origin, a source or nothing, never an exception', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.webUrl(),
      fc.string().map((tail) => `https://${tail}`),
    );
    fc.assert(
      fc.property(texts, (text) => {
        for (const parse of [parseSourceUrl, parseOrigin, parseExternalUrl, parseProxyUrl]) {
          const url = parse(text);
          if (url !== undefined) expect(url).not.toMatch(/[@?#]|\/$/);
        }
      }),
    );
  });
});
