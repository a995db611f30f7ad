import { expect, test } from 'bun:test';
import { OciError } from './errors.ts';

test('an OciError carries code, message, detail, cause and the time to wait', () => {
  const cause = new Error('below');
  const error = new OciError('TOOMANYREQUESTS', 'slow down', { detail: { limit: 5 }, cause, retryAfterMs: 1500 });
  expect(error).toBeInstanceOf(Error);
  expect(error.name).toBe('OciError');
  expect(error.code).toBe('TOOMANYREQUESTS');
  expect(error.message).toBe('slow down');
  expect(error.detail).toEqual({ limit: 5 });
  expect(error.cause).toBe(cause);
  expect(error.retryAfterMs).toBe(1500);
});

test('an OciError without options has no cause, not a cause that is undefined', () => {
  const error = new OciError('DENIED', 'no');
  expect(error.detail).toBeUndefined();
  expect(error.retryAfterMs).toBeUndefined();
  expect('cause' in error).toBe(false);
});
