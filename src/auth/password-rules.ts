// What a password must be: long enough, not widely known, not the name itself, at most 1 KiB of UTF-8. No rule about kinds of characters: those make
// passwords worse (NIST SP 800-63B, 5.1.1.2). Passwords are compared byte for byte; nothing is normalised, so what is typed must be typed alike.

import { OciError } from '../oci/errors.ts';
import { passwordMaxBytes } from './passwords.ts';

const passwordMinLength = 8;

/** Of at least eight characters, without what is put behind them (`password1!`, `admin2024`). */
const weakWords: ReadonlySet<string> = new Set([
  'abcdefgh',
  'admin',
  'administrator',
  'breakwater',
  'changeit',
  'changeme',
  'docker',
  'harbor',
  'iloveyou',
  'letmein',
  'passw0rd',
  'password',
  'qwerty',
  'qwertyui',
  'qwertyuiop',
  'registry',
  'secret',
  'test',
  'welcome',
]);

/** Why this cannot be the password of somebody with this name; undefined when it can. Never shows the password. */
export function passwordProblem(password: string, accountName?: string): string | undefined {
  if (password.length < passwordMinLength) return `is too short; use at least ${passwordMinLength} characters`;
  if (Buffer.byteLength(password) > passwordMaxBytes) return `has more than ${passwordMaxBytes} bytes`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  if (/[\u0000-\u001f\u007f]/.test(password) || !password.isWellFormed()) return 'has control characters in it';
  if (isWidelyKnown(password)) return 'is widely known; use another one';
  if (accountName !== undefined && password.toLowerCase() === accountName.toLowerCase()) return "is the user's name; use another one";
  return undefined;
}

/** BAD_REQUEST when it cannot be the password of that account. */
export function requireGoodPassword(password: string, accountName: string): void {
  const problem = passwordProblem(password, accountName);
  if (problem !== undefined) throw new OciError('BAD_REQUEST', `the password ${problem}`);
}

function isWidelyKnown(password: string): boolean {
  const word = password.toLowerCase().replace(/[^\p{L}]+$/u, '');
  return (word === '' && password.length < 16) || weakWords.has(word) || /^(.{1,4})\1+$/.test(password);
}
