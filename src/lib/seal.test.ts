import { expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { createSealer, fingerprint, masterKeyId, SealError, type SealedPlace, sealedWith } from './seal.ts';
import { Secret } from './secret.ts';

const master = Buffer.alloc(32, 7);
const sealer = createSealer(master);
const place: SealedPlace = { table: 'source', row: 'docker.io https://a.test', field: 'credentials/0/password' };
const text = fc.string({ unit: 'grapheme', maxLength: 200 });
const places = fc.record({ table: fc.string({ maxLength: 10 }), row: fc.string({ maxLength: 10 }), field: fc.string({ maxLength: 10 }) });

function failureOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof SealError) return error.code;
    throw error;
  }
  return 'none';
}

test('what was sealed opens at its place, and two seals of one text differ', () => {
  fc.assert(
    fc.property(text, places, (value, where) => {
      const sealed = sealer.seal(new Secret(value), where);
      expect(sealer.open(sealed, where).reveal()).toBe(value);
      expect(sealer.seal(new Secret(value), where)).not.toBe(sealed);
      expect(sealed).not.toContain(value.length > 6 ? value : '\u0000');
    }),
  );
});

test('a sealed value names its key and nothing else', () => {
  const sealed = sealer.seal(new Secret('x'), place);
  expect(sealed).toMatch(/^v1:[0-9a-f]{8}:[A-Za-z0-9+/=]+$/);
  expect(sealedWith(sealed)).toBe(sealer.keyId);
  expect(masterKeyId(master)).toBe(sealer.keyId);
  expect(masterKeyId(randomBytes(32))).not.toBe(sealer.keyId);
  expect(sealedWith('password')).toBeUndefined();
});

test('SEC-I03: a value moved to another table, row or field does not open', () => {
  fc.assert(
    fc.property(text, places, places, (value, from, to) => {
      fc.pre(JSON.stringify(from) !== JSON.stringify(to));
      expect(failureOf(() => sealer.open(sealer.seal(new Secret(value), from), to))).toBe('broken');
    }),
  );
  // The borders between the parts count: the same letters, cut elsewhere, are another place.
  const sealed = sealer.seal(new Secret('x'), { table: 'ab', row: 'c', field: 'd' });
  expect(failureOf(() => sealer.open(sealed, { table: 'ab', row: '', field: 'cd' }))).toBe('broken');
});

test('SEC-I03: a value with any bit flipped, cut anywhere or made longer does not open', () => {
  const sealed = sealer.seal(new Secret('a password of some length'), place);
  const head = sealed.slice(0, sealed.lastIndexOf(':') + 1);
  const body = Buffer.from(sealed.slice(head.length), 'base64');
  for (let bit = 0; bit < body.byteLength * 8; bit++) {
    const changed = Buffer.from(body);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(failureOf(() => sealer.open(head + changed.toString('base64'), place))).toBe('broken');
  }
  for (let length = 0; length < sealed.length; length++)
    expect(failureOf(() => sealer.open(sealed.slice(0, length), place))).not.toBe('none');
  for (const more of ['A', 'AAAA', '=', ' ', '\n']) expect(failureOf(() => sealer.open(sealed + more, place))).not.toBe('none');
});

test('hostile texts only yield coded errors', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.base64String().map((body) => `v1:${sealer.keyId}:${body}`),
      ),
      (hostile) => {
        expect(['no-seal', 'broken', 'other-key']).toContain(failureOf(() => sealer.open(hostile, place)));
      },
    ),
  );
});

test('SEC-I02: a value of another master key is refused by name of the key, and a plain text is never taken for a value', () => {
  const other = createSealer(randomBytes(32));
  const sealed = other.seal(new Secret('x'), place);
  expect(failureOf(() => sealer.open(sealed, place))).toBe('other-key');
  expect(failureOf(() => sealer.open('plain password', place))).toBe('no-seal');
  // The key id alone convinces nobody.
  expect(failureOf(() => sealer.open(sealed.replace(other.keyId, sealer.keyId), place))).toBe('broken');
});

test('a fingerprint depends on its key', () => {
  expect(fingerprint(new Secret('k'), 'x')).toBe(fingerprint(new Secret('k'), 'x'));
  expect(fingerprint(new Secret('k'), 'x')).not.toBe(fingerprint(new Secret('j'), 'x'));
  expect(fingerprint(new Secret('k'), 'x')).toMatch(/^[0-9a-f]{64}$/);
});

test('a master key of another length is refused', () => {
  expect(() => createSealer(Buffer.alloc(16))).toThrow('32 bytes');
});
