import { describe, expect, test } from 'bun:test';
import { OciError, type OciErrorCode } from '../oci/errors.ts';
import { errorResponse, internalError, statusOf } from './errors.ts';

const answer = (code: OciErrorCode, options: { detail?: unknown; retryAfterMs?: number } = {}, head = false): Response =>
  errorResponse(new OciError(code, 'what happened', options), { head });

describe('the answer to a failure', () => {
  test('is the body of the specification with its code', async () => {
    const response = answer('BLOB_UNKNOWN', { detail: { digest: 'x' } });
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toEqual({ errors: [{ code: 'BLOB_UNKNOWN', message: 'what happened', detail: { digest: 'x' } }] });
  });

  test('to HEAD says how long the body would be', async () => {
    const whole = await answer('UNAVAILABLE').text();
    const head = answer('UNAVAILABLE', {}, true);
    expect(head.headers.get('content-length')).toBe(String(whole.length));
    expect(await head.text()).toBe('');
  });

  test('says when to come back wherever that helps', () => {
    expect(answer('TOOMANYREQUESTS').headers.get('retry-after')).toBe('10');
    expect(answer('UNAVAILABLE').headers.get('retry-after')).toBe('10');
    expect(answer('UNAVAILABLE', { retryAfterMs: 1200 }).headers.get('retry-after')).toBe('2');
    expect(answer('DENIED').headers.get('retry-after')).toBeNull();
  });

  test('to a method that is not allowed names those that are', () => {
    expect(answer('METHOD_NOT_ALLOWED', { detail: { allowed: ['GET', 'HEAD'] } }).headers.get('allow')).toBe('GET, HEAD');
  });

  test('to a body that is too slow ends the connection', () => {
    expect(answer('BODY_TOO_SLOW').headers.get('connection')).toBe('close');
  });

  test('that nobody foresaw holds an id and nothing else', async () => {
    const response = errorResponse(internalError('abc123'), { head: false });
    expect(response.status).toBe(500);
    expect(await response.text()).toBe(
      '{"errors":[{"code":"UNKNOWN","message":"internal error abc123; the server\'s log says more under this id"}]}',
    );
  });

  test('has a code the specification knows, where the specification has one for it', () => {
    expect(statusOf('BLOB_UPLOAD_RANGE')).toBe(416);
    expect(statusOf('MANIFEST_TOO_LARGE')).toBe(413);
    expect(statusOf('INSUFFICIENT_STORAGE')).toBe(507);
  });
});
