import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { classifyFailure, classifyStatus, firstErrorCode, isHtml } from './classify.ts';
import { asciiLine, classOfVerdict, UpstreamError } from './verdict.ts';

const status = (
  code: number,
  body = '',
  headers: Record<string, string> = {},
  trust: 'authority' | 'digest-only' = 'digest-only',
): UpstreamError => classifyStatus({ status: code, headers: new Headers(headers), body, origin: 'https://m.example' }, { trust, nowMs: 0 });
const failure = (code: string, phase: 'answer' | 'body' = 'answer'): string =>
  classifyFailure(Object.assign(new Error('secret words'), { code }), phase, 'https://m.example').verdict;

describe('a failed exchange', () => {
  test('is told by the runtime’s code', () => {
    expect(failure('ECONNREFUSED')).toBe('refused');
    expect(failure('EHOSTUNREACH')).toBe('unreachable');
    expect(failure('ENOTFOUND')).toBe('dns');
    expect(failure('ECONNRESET')).toBe('reset');
    expect(failure('ECONNRESET', 'body')).toBe('truncated');
    expect(failure('ERR_TLS_CERT_ALTNAME_INVALID')).toBe('tls');
    expect(failure('CERT_HAS_EXPIRED')).toBe('tls');
    expect(failure('DEPTH_ZERO_SELF_SIGNED_CERT')).toBe('tls');
    expect(failure('UNABLE_TO_VERIFY_LEAF_SIGNATURE')).toBe('tls');
    expect(failure('EPROTO')).toBe('tls');
    expect(failure('ERR_PROXY_TUNNEL')).toBe('unreachable');
    expect(failure('Malformed_HTTP_Response')).toBe('bad-answer');
  });

  test('never repeats the message it came with', () => {
    expect(classifyFailure(new Error('Bearer abc'), 'answer', 'https://m.example').message).not.toContain('abc');
  });
});

describe('an error status', () => {
  test('gives its verdict', () => {
    const table: readonly (readonly [number, string])[] = [
      [400, 'bad-answer'],
      [401, 'unauthorized'],
      [402, 'denied'],
      [403, 'denied'],
      [404, 'not-found'],
      [405, 'bad-answer'],
      [407, 'unreachable'],
      [408, 'server-error'],
      [410, 'not-found'],
      [412, 'gone'],
      [416, 'bad-range'],
      [425, 'server-error'],
      [429, 'rate-limited'],
      [451, 'denied'],
      [500, 'server-error'],
      [502, 'server-error'],
      [503, 'server-error'],
      [522, 'server-error'],
      [530, 'server-error'],
      [204, 'bad-answer'],
      [304, 'bad-answer'],
    ];
    for (const [code, verdict] of table) expect(`${code} ${status(code).verdict}`).toBe(`${code} ${verdict}`);
  });

  test('a limit dressed up as 401, 403 or 404 is still a limit', () => {
    for (const code of [401, 403, 404]) expect(status(code, '{"errors":[{"code":"TOOMANYREQUESTS"}]}').verdict).toBe('rate-limited');
  });

  test('a 404 page is absence at a mirror and a portal at an authority', () => {
    const page = '<!DOCTYPE html><html>…';
    expect(status(404, page, { 'content-type': 'text/html' }, 'digest-only').verdict).toBe('not-found');
    expect(status(404, page, { 'content-type': 'text/html' }, 'authority').verdict).toBe('html');
    expect(status(404, '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', { 'content-type': 'application/json' }, 'authority').verdict).toBe(
      'not-found',
    );
  });

  test('keeps the status, the origin, the wait and the code word, and nothing else of the body', () => {
    const error = status(429, '{"errors":[{"code":"TOOMANYREQUESTS","message":"Bearer leak"}]}', { 'retry-after': '7' });
    expect({ status: error.status, origin: error.origin, retryAfterMs: error.retryAfterMs }).toEqual({
      status: 429,
      origin: 'https://m.example',
      retryAfterMs: 7_000,
    });
    expect(error.detail).toBe('answered 429 TOOMANYREQUESTS');
  });

  test('any status and body give a coded error with a one-line ASCII detail', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999 }), fc.oneof(fc.string(), fc.json()), (code, body) => {
        const error = status(code, body);
        expect(error).toBeInstanceOf(UpstreamError);
        expect(error.detail).toMatch(/^[\x20-\x7e]{1,200}$/);
        expect(classOfVerdict(error.verdict)).toBeString();
      }),
    );
  });
});

test('error codes are taken only when they are plain words', () => {
  expect(firstErrorCode('{"errors":[{"code":"DENIED"}]}')).toBe('DENIED');
  for (const body of [
    '',
    '{"errors":[]}',
    '{"errors":{}}',
    '{"errors":[{"code":"eyJhbGciOi"}]}',
    '{"errors":[{"code":5}]}',
    '{"errors"',
    '[{"errors":1}]',
  ])
    expect(firstErrorCode(body)).toBeUndefined();
});

test('pages are told by their type, or by their beginning when the type says nothing', () => {
  expect(isHtml('text/html; charset=utf-8', '')).toBe(true);
  expect(isHtml('application/octet-stream', '\n <!doctype HTML>')).toBe(true);
  expect(isHtml('application/json', '<html>')).toBe(false);
  expect(isHtml(null, '{"schemaVersion":2}')).toBe(false);
});

test('a detail is one line of printable ASCII', () => {
  expect(asciiLine('a\r\nb\u001b[31m é')).toBe('a?b?[31m ?');
  expect(asciiLine('x'.repeat(500))).toHaveLength(200);
});
