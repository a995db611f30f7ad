import { describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { digestAlgorithm, digestHex, digestOf, parseDigest, parseDigestAlgorithm, requireDigest, startDigest } from './digest.ts';
import { OciError } from './errors.ts';

const hexOf = (length: number) => fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
const digestText = fc.oneof(
  hexOf(64).map((hex) => `sha256:${hex}`),
  hexOf(128).map((hex) => `sha512:${hex}`),
);
const a64 = 'a'.repeat(64);

describe('parseDigest', () => {
  test('accepts every sha256 and sha512 digest unchanged and takes it apart', () => {
    fc.assert(
      fc.property(digestText, (text) => {
        const digest = requireDigest(text);
        expect(String(digest)).toBe(text);
        expect(`${digestAlgorithm(digest)}:${digestHex(digest)}`).toBe(text);
      }),
    );
  });

  test.each([
    ['empty', ''],
    ['no algorithm', a64],
    ['no hex', 'sha256:'],
    ['one digit short', `sha256:${'a'.repeat(63)}`],
    ['one digit long', `sha256:${'a'.repeat(65)}`],
    ['sha512 with the length of sha256', `sha512:${a64}`],
    ['sha256 with the length of sha512', `sha256:${a64}${a64}`],
    ['upper-case hex', `sha256:${'A'.repeat(64)}`],
    ['upper-case algorithm', `SHA256:${a64}`],
    ['a letter past f', `sha256:${'g'.repeat(64)}`],
    ['sha1', `sha1:${'a'.repeat(40)}`],
    ['md5', `md5:${'a'.repeat(32)}`],
    ['sha384', `sha384:${'a'.repeat(96)}`],
    ['an unregistered algorithm the grammar allows', 'sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564'],
    ['a path', `sha256:../../${'a'.repeat(58)}`],
    ['a newline behind', `sha256:${a64}\n`],
    ['a newline before', `\nsha256:${a64}`],
    ['a space', `sha256: ${'a'.repeat(63)}`],
    ['a NUL', `sha256:${'a'.repeat(63)}\0`],
    ['full-width digits', `sha256:${'１'.repeat(64)}`],
    ['an @ before', `@sha256:${a64}`],
    ['two colons', `sha256::${'a'.repeat(63)}`],
    ['one megabyte', `sha256:${'a'.repeat(1_000_000)}`],
  ])('refuses %s', (_, text) => {
    expect(parseDigest(text)).toBeUndefined();
    expect(() => requireDigest(text)).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }));
  });

  test('one changed character makes a digest another digest or none', () => {
    fc.assert(
      fc.property(digestText, fc.nat(), fc.string({ unit: 'binary', minLength: 0, maxLength: 2 }), (text, at, put) => {
        const changed = text.slice(0, at % text.length) + put + text.slice((at % text.length) + 1);
        const isOne = /^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/.test(changed) && !changed.includes('\n');
        expect(parseDigest(changed) !== undefined).toBe(isOne);
      }),
    );
  });

  test('the error shows at most 200 characters of what was sent', () => {
    let error: unknown;
    try {
      requireDigest('x'.repeat(10_000));
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(OciError);
    expect((error as OciError).detail).toEqual({ digest: 'x'.repeat(200) });
  });
});

test('parseDigestAlgorithm knows the two supported algorithms alone', () => {
  expect(parseDigestAlgorithm('sha256')).toBe('sha256');
  expect(parseDigestAlgorithm('sha512')).toBe('sha512');
  for (const text of ['', 'SHA256', 'sha1', 'sha384', 'sha256 ', '__proto__', 'constructor'])
    expect(parseDigestAlgorithm(text)).toBeUndefined();
});

describe('computed digests', () => {
  test('agree with the published vectors of "abc" and of nothing (FIPS 180-4)', () => {
    const abc = new TextEncoder().encode('abc');
    expect(String(digestOf(abc))).toBe('sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(String(digestOf(abc, 'sha512'))).toBe(
      'sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    );
    expect(String(startDigest('sha256').digest())).toBe('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });

  test('a running digest gives the digest of all its chunks, however they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }),
        fc.constantFrom('sha256', 'sha512'),
        (chunks, algorithm) => {
          const running = startDigest(algorithm);
          for (const chunk of chunks) running.update(chunk);
          const whole = Buffer.concat(chunks);
          const expected = `${algorithm}:${createHash(algorithm).update(whole).digest('hex')}`;
          expect(running.algorithm).toBe(algorithm);
          expect(String(running.digest())).toBe(expected);
          expect(String(digestOf(whole, algorithm))).toBe(expected);
          expect(parseDigest(expected) as string).toBe(expected);
        },
      ),
    );
  });

  test('a running digest that has ended refuses to go on instead of starting anew', () => {
    const running = startDigest('sha256');
    running.update(new Uint8Array([1]));
    running.digest();
    expect(() => running.digest()).toThrow('has ended');
    expect(() => running.update(new Uint8Array([2]))).toThrow('has ended');
  });
});
