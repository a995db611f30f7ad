import { expect, test } from 'bun:test';
import { passwordProblem, requireGoodPassword } from './password-rules.ts';

test('a long enough password that nobody expects is taken, whatever characters it has', () => {
  for (const password of ['correct horse', 'ümläüt-ß', '密码密码很长很长', 'qz7k-w2mv', 'x9'.concat('abcdefghij')])
    expect(passwordProblem(password, 'anna')).toBeUndefined();
});

test('short, known, repeated, unseen and overlong ones are refused, and so is the name itself', () => {
  const refused = [
    '',
    'short',
    'password',
    'Password1!',
    'Harbor12345',
    'admin2024',
    '12345678',
    'aaaaaaaa',
    'abcabcabc',
    'x'.repeat(1025),
  ];
  refused.push('ü'.repeat(513), 'tab\there9', 'null\u0000byte', 'half\ud800pair', 'annaschmidt', 'AnnaSchmidt');
  for (const password of refused) expect(passwordProblem(password, 'annaschmidt')).toBeString();
  expect(() => requireGoodPassword('password', 'anna')).toThrow('the password is widely known');
});

test('what is said of a password does not hold it', () => {
  expect(passwordProblem('swordfish1\u0001', 'anna')).not.toContain('swordfish');
});
