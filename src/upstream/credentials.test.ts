import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { Secret } from '../lib/secret.ts';
import { parseHelperAnswer } from './credential-helper.ts';
import { environmentCredential, fixedCredential } from './credentials.ts';
import { UpstreamError } from './verdict.ts';

const never = new AbortController().signal;
const nowMs = Date.parse('2026-07-01T00:00:00Z');

function parse(value: unknown): unknown {
  try {
    const { login, lifeMs } = parseHelperAnswer(typeof value === 'string' ? value : JSON.stringify(value), { name: 'h', nowMs });
    return { username: login.username, password: login.password.reveal(), ...(lifeMs === undefined ? {} : { lifeMs }) };
  } catch (error) {
    return error instanceof UpstreamError ? error.verdict : error;
  }
}

describe('what a credential helper prints', () => {
  test('is a login in docker’s form or in the plain one, with its life when it tells one', () => {
    expect(parse({ ServerURL: 'https://x', Username: 'AWS', Secret: 's' })).toEqual({ username: 'AWS', password: 's' });
    expect(parse({ username: 'u', password: 'p', expires_in: 30 })).toEqual({ username: 'u', password: 'p', lifeMs: 30_000 });
    expect(parse({ username: 'u', password: 'p', expires_at: '2026-07-01T00:01:00Z' })).toEqual({
      username: 'u',
      password: 'p',
      lifeMs: 60_000,
    });
    expect(parse({ username: 'u', password: 'p', expires_at: '2020-01-01T00:00:00Z' })).toMatchObject({ lifeMs: 0 });
  });
  test('that is no login is a token error', () => {
    for (const text of [
      '',
      'null',
      '[]',
      '{}',
      '"u:p"',
      'u:p',
      { Username: 'u' },
      { username: '', password: 'p' },
      { Username: '<token>', Secret: 's' },
    ])
      expect(parse(text)).toBe('token-error');
  });
  test('is a login or a token error, whatever it is, and the error holds nothing of it', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const secret = `${text}c0rrect-h0rse`;
        try {
          parseHelperAnswer(secret, { name: 'h', nowMs });
        } catch (error) {
          expect(error).toBeInstanceOf(UpstreamError);
          expect(String(error)).not.toContain('c0rrect-h0rse');
        }
      }),
    );
  });
});

test('a fixed login is what it was made with, and an environment variable is read at each use', async () => {
  const fixed = fixedCredential('alice', new Secret('p'));
  expect([fixed.id, (await fixed.get(never)).password.reveal()]).toEqual(['alice', 'p']);
  const environment: Record<string, string> = { HUB: 'one' };
  const credential = environmentCredential({ username: 'u', variable: 'HUB', environment });
  expect((await credential.get(never)).password.reveal()).toBe('one');
  environment['HUB'] = 'two';
  expect((await credential.get(never)).password.reveal()).toBe('two');
  environment['HUB'] = '';
  expect(await credential.get(never).catch((error: UpstreamError) => error.verdict)).toBe('token-error');
});
