import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { challengeMaxLength, parseChallenges } from './challenge.ts';

const read = (header: string): unknown =>
  parseChallenges(header).map((challenge) => ({ scheme: challenge.scheme, ...Object.fromEntries(challenge.parameters) }));

describe('WWW-Authenticate', () => {
  test('Docker Hub’s challenge', () => {
    expect(
      read(
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull",error="invalid_token"',
      ),
    ).toEqual([
      {
        scheme: 'bearer',
        realm: 'https://auth.docker.io/token',
        service: 'registry.docker.io',
        scope: 'repository:library/debian:pull',
        error: 'invalid_token',
      },
    ]);
  });

  test('several challenges joined by commas stay apart, in both orders', () => {
    const bearer = { scheme: 'bearer', realm: 'https://a/t', service: 's, with "comma"' };
    const basic = { scheme: 'basic', realm: 'x' };
    expect(read('Bearer realm="https://a/t", service="s, with \\"comma\\"", Basic realm="x"')).toEqual([bearer, basic]);
    expect(read('Basic realm="x", Bearer realm="https://a/t",service="s, with \\"comma\\""')).toEqual([basic, bearer]);
  });

  test('scheme and keys in any case, spaces around the equals sign, unquoted values, empty list items', () => {
    expect(read(', ,BEARER Realm = "https://a/t" , SERVICE=plain,,')).toEqual([
      { scheme: 'bearer', realm: 'https://a/t', service: 'plain' },
    ]);
    expect(read('Bearer realm=https://a/t?x=1,service=y')).toEqual([{ scheme: 'bearer', realm: 'https://a/t?x=1', service: 'y' }]);
  });

  test('token68 schemes are skipped', () => {
    expect(read('Negotiate YII+/=, Basic realm="x"')).toEqual([{ scheme: 'negotiate' }, { scheme: 'basic', realm: 'x' }]);
    expect(read('NTLM, Basic realm="x"')).toEqual([{ scheme: 'ntlm' }, { scheme: 'basic', realm: 'x' }]);
  });

  test('the first of two equal keys counts', () => {
    expect(read('Bearer realm="https://good/",realm="https://evil/"')).toEqual([{ scheme: 'bearer', realm: 'https://good/' }]);
  });

  test('broken headers give what was readable before', () => {
    expect(read('')).toEqual([]);
    expect(read('=,=')).toEqual([]);
    expect(read('Bearer realm="unterminated')).toEqual([{ scheme: 'bearer', realm: 'unterminated' }]);
    expect(read('Bearer "x"')).toEqual([{ scheme: 'bearer' }]);
  });

  test('hostile text never throws and never gives more than 16 challenges of 32 parameters', () => {
    const piece = fc.constantFrom(
      'Bearer',
      'Basic',
      ' ',
      ',',
      '=',
      '"',
      '\\',
      'realm',
      'realm="https://a"',
      'a=b',
      '\t',
      '==',
      'é',
      '\u0000',
      'x'.repeat(300),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 200 }).map((parts) => parts.join('')),
        ),
        (header) => {
          const challenges = parseChallenges(header);
          expect(challenges.length).toBeLessThanOrEqual(16);
          for (const challenge of challenges) expect(challenge.parameters.size).toBeLessThanOrEqual(32);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('a well-formed challenge round-trips', () => {
    const key = fc.stringMatching(/^[a-z]{1,10}$/);
    const value = fc.string({ unit: 'grapheme-ascii', maxLength: 40 });
    fc.assert(
      fc.property(fc.dictionary(key, value, { maxKeys: 8 }), (parameters) => {
        const header = `Bearer ${Object.entries(parameters)
          .map(([name, text]) => `${name}="${text.replace(/["\\]/g, '\\$&')}"`)
          .join(', ')}`;
        expect(read(header)).toEqual([{ scheme: 'bearer', ...parameters }]);
      }),
    );
  });

  test('the longest header is read in linear time', () => {
    for (const unit of ['a=', 'Bearer ', 'a="', '=', 'a,', 'a ', 'a', '\\"', 'realm=x,', 'realm="x" ', 'a/=']) {
      const header = `Bearer x=y,${unit.repeat(Math.ceil((challengeMaxLength * 4) / unit.length))}`;
      const startMs = performance.now();
      for (let run = 0; run < 20; run++) parseChallenges(header);
      expect(performance.now() - startMs).toBeLessThan(1_000);
    }
  });
});
