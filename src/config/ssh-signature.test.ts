import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { checkSshSignature, parsePublicKey } from './ssh-signature.ts';

// Made by ssh-keygen with a throwaway key: `printf 'hello\\n' > f; ssh-keygen -Y sign -f key -n breakwater-presets f`, and once with `-n file`.
const line = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJUGQDOLkBbqGcfcp5TkDMY6hguqN4kFIaWU7VtJjqAI throwaway';
const good = `-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAglQZAM4uQFuoZx9ynlOQMxjqGC6
o3iQUhpZTtW0mOoAgAAAASYnJlYWt3YXRlci1wcmVzZXRzAAAAAAAAAAZzaGE1MTIAAABT
AAAAC3NzaC1lZDI1NTE5AAAAQPqGO17jXnXBW7f1ikxRdLzasW9Act5OygHxxV9SuKaA3G
vUz0VxRU7one1+s+oERQUzRG6NjEYZYsdXpIUyMw4=
-----END SSH SIGNATURE-----
`;
const ofOtherNamespace = `-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAglQZAM4uQFuoZx9ynlOQMxjqGC6
o3iQUhpZTtW0mOoAgAAAAEZmlsZQAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQyNTUx
OQAAAEAu3+ZDFB3nv06si0mO0dwx45E70f6HRpFVK16kK10ROwKY4V2JMFunAbaRnCDD9d
hn1CTvkctEmESiLTemmTsL
-----END SSH SIGNATURE-----
`;
const data = Buffer.from('hello\n');
const namespace = 'breakwater-presets';
const publicKey = parsePublicKey(line) ?? '';

describe('a key', () => {
  test('is read from a line of a .pub file, without its comment', () => {
    expect(publicKey).toBe(line.split(' ').slice(0, 2).join(' '));
    expect(parsePublicKey(publicKey)).toBe(publicKey);
  });

  test('of another kind, or broken, is none', () => {
    for (const wrong of [
      '',
      'ssh-ed25519',
      'ssh-ed25519 AAAA',
      line.replace('ssh-ed25519 ', 'ssh-rsa '),
      line.slice(0, 60),
      `${publicKey}AAAA`,
    ])
      expect([wrong, parsePublicKey(wrong)]).toEqual([wrong, undefined]);
  });
});

describe('a signature', () => {
  test('that fits is good, with other line ends, too', () => {
    expect(checkSshSignature({ data, signature: good, publicKey, namespace })).toBeUndefined();
    expect(checkSshSignature({ data, signature: good.replaceAll('\n', '\r\n'), publicKey, namespace })).toBeUndefined();
  });

  test('of other bytes, another namespace or another key is not', () => {
    const otherKey = parsePublicKey(
      `ssh-ed25519 ${Buffer.concat([Buffer.from(publicKey.split(' ')[1] ?? '', 'base64').subarray(0, 19), Buffer.alloc(32, 7)]).toString('base64')}`,
    );
    expect(checkSshSignature({ data: Buffer.from('hellO\n'), signature: good, publicKey, namespace })).toBe(
      'the signature does not fit the file',
    );
    expect(checkSshSignature({ data, signature: ofOtherNamespace, publicKey, namespace })).toBe(
      'it is signed for "file", not for breakwater-presets',
    );
    expect(checkSshSignature({ data, signature: good, publicKey: otherKey ?? '', namespace })).toBe('it is signed with another key');
    expect(checkSshSignature({ data, signature: 'good', publicKey, namespace })).toContain('is none of `ssh-keygen -Y sign`');
  });

  test('with any byte changed is refused', () => {
    const lines = good.trim().split('\n');
    const blob = Buffer.from(lines.slice(1, -1).join(''), 'base64');
    fc.assert(
      fc.property(fc.nat({ max: blob.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(blob);
        changed[at] = (changed[at] ?? 0) ^ change;
        const signature = [lines[0], changed.toString('base64'), lines.at(-1)].join('\n');
        expect(checkSshSignature({ data, signature, publicKey, namespace })).toBeString();
      }),
      { numRuns: 200 },
    );
  });

  test('that is any text is refused, and nothing else happens', () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 300 }), (text, bytes) => {
        expect(checkSshSignature({ data, signature: text, publicKey, namespace })).toBeString();
        const armored = `-----BEGIN SSH SIGNATURE-----\n${Buffer.from(bytes).toString('base64')}\n-----END SSH SIGNATURE-----`;
        expect(checkSshSignature({ data, signature: armored, publicKey, namespace })).toBeString();
      }),
    );
  });
});
