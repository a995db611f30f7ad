import { describe, expect, test } from 'bun:test';
import { hashSecret, isMadeSecret, isSameDigest, makeSecret, requireStrongSecret, secretPrefixes } from './credential-secret.ts';

describe('secrets of robots, tokens and workloads', () => {
  test('a made secret has its prefix, 43 characters of randomness and a checksum, and no two are alike', () => {
    const seen = new Set<string>();
    for (const kind of ['robot', 'token', 'workload'] as const) {
      for (let turn = 0; turn < 50; turn++) {
        const text = makeSecret(kind).reveal();
        expect(text).toMatch(/^bw[ruw]_[0-9A-Za-z]{49}$/);
        expect(text.startsWith(secretPrefixes[kind])).toBe(true);
        expect(isMadeSecret(kind, text)).toBe(true);
        seen.add(text);
      }
    }
    expect(seen.size).toBe(150);
  });

  test('a secret with one character changed, cut off, or under another prefix is not taken for one', () => {
    const text = makeSecret('robot').reveal();
    for (let at = 0; at < text.length; at++) {
      const other = text.charAt(at) === 'x' ? 'y' : 'x';
      expect(isMadeSecret('robot', text.slice(0, at) + other + text.slice(at + 1))).toBe(false);
    }
    expect(isMadeSecret('robot', text.slice(0, -1))).toBe(false);
    expect(isMadeSecret('robot', `${text}0`)).toBe(false);
    expect(isMadeSecret('token', text)).toBe(false);
  });

  test('digests are alike only when they are SHA-256 digests and the same', () => {
    expect(isSameDigest(hashSecret('one'), hashSecret('one'))).toBe(true);
    expect(isSameDigest(hashSecret('one'), hashSecret('two'))).toBe(false);
    expect(isSameDigest('', '')).toBe(false);
    expect(isSameDigest('ab', 'ab')).toBe(false);
    expect(isSameDigest('not hex', 'not hex')).toBe(false);
  });

  test('a printed secret is hidden', () => {
    expect(`${makeSecret('token')} ${JSON.stringify({ secret: makeSecret('token') })}`).toBe('*** {"secret":"***"}');
  });

  test.each([
    ['kF83hd9Qm2xZ9', true],
    ['aB3aB3aB3aB3aB3aB3', false],
    ['kF83hd9Qm2xZ', true],
    ['kF83hd9Qm2x', false],
    ['kf83hd9qm2xz', false],
    ['KF83HD9QM2XZ', false],
    ['kFyyhdtQmwxZ', false],
    ['kF83 hd9Qm2xZ', false],
    ['kF83\u0000hd9Qm2xZ', false],
    [`kF83hd9Qm2xZ${'a'.repeat(117)}`, false],
  ])('of the chosen secret %p it is %p that it is strong enough', (secret, isStrong) => {
    if (isStrong) expect(requireStrongSecret(secret).reveal()).toBe(secret);
    else expect(() => requireStrongSecret(secret)).toThrow(/12 to 128/);
  });

  test('what the server makes itself is strong enough to be sent back by a client', () => {
    const text = makeSecret('robot').reveal();
    expect(requireStrongSecret(text).reveal()).toBe(text);
  });
});
