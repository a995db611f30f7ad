import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { Secret } from '../lib/secret.ts';
import { fixedCredential } from './credentials.ts';
import { judgeRealm } from './realm.ts';
import type { Source } from './source.ts';

const sourceAt = (url: string, realms: readonly string[] = []): Source => ({
  id: 's',
  registry: 'docker.io',
  url,
  trust: 'authority',
  priority: 1,
  realms,
  credentials: [fixedCredential('u', new Secret('p'))],
});
const judge = (url: string, realm: string, realms: readonly string[] = []): string => judgeRealm(sourceAt(url, realms), realm).kind;

describe('a token realm', () => {
  test('on the source’s own origin gets its login', () => {
    expect(judge('https://quay.io', 'https://quay.io/v2/auth')).toBe('credentials');
    expect(judge('https://quay.io', 'https://quay.io:443/v2/auth')).toBe('credentials');
    expect(judge('http://127.0.0.1:5000', 'http://127.0.0.1:5000/token')).toBe('credentials');
  });

  test('that the operator or the preset pinned gets its login', () => {
    expect(judge('https://registry-1.docker.io', 'https://auth.docker.io/token')).toBe('credentials');
    expect(judge('http://127.0.0.1:15020', 'http://127.0.0.1:15021/token', ['http://127.0.0.1:15021'])).toBe('credentials');
    expect(judge('https://a.example', 'https://b.other/token', ['https://b.other/ignored-path'])).toBe('credentials');
  });

  test('on a host of the same owner is asked without a login', () => {
    expect(judge('https://registry.example.com', 'https://auth.example.com/token')).toBe('anonymous');
    expect(judge('https://registry.example.com:8443', 'https://auth.example.com:8443/token')).toBe('anonymous');
    expect(judge('http://registry.example.com', 'https://registry.example.com/token')).toBe('anonymous');
  });

  test('elsewhere, on another port, without https or with a login in its URL gets nothing', () => {
    for (const realm of [
      'https://evil.example.net/token',
      'http://registry.example.com/token',
      'https://registry.example.com:8443/token',
      'https://auth.example.com:25/token',
      'https://registry.example.com@evil.net/',
      'https://user:x@registry.example.com/',
      'ftp://registry.example.com/',
      'file:///etc/passwd',
      'javascript:alert(1)',
      '//registry.example.com/',
      '/token',
      '',
      'https://',
      'https://registry.example.com.evil.net/',
      'https://127.0.0.1/',
      'https://[::1]/',
      'https://localhost/',
    ]) {
      expect(`${realm} ${judge('https://registry.example.com', realm)}`).toBe(`${realm} refused`);
    }
    expect(judge('http://127.0.0.1:5000', 'http://127.0.0.1:5001/token')).toBe('refused');
    expect(judge('https://mirror.example.org', 'https://auth.docker.io/token')).toBe('refused');
  });

  test('gets the login only at the own origin or a pinned one, whatever it says', () => {
    const pinned = 'https://pinned.example';
    fc.assert(
      fc.property(
        fc.oneof(fc.webUrl({ withQueryParameters: true }), fc.string(), fc.constantFrom('https://own.example', pinned)),
        (realm) => {
          const judged = judgeRealm(sourceAt('https://own.example', [pinned]), realm);
          if (judged.kind === 'credentials') expect(['https://own.example', pinned]).toContain(judged.url.origin);
        },
      ),
      { numRuns: 1_000 },
    );
  }, 60_000);
});
