// Unit tests of the raw HTTP reader and writer the wire suite stands on.

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { createMessageReader, encodeMessage, type HttpMessage, headerValues, statusOf } from './http-message.ts';

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,12}$/).filter((name) => !/^(?:content-length|transfer-encoding)$/i.test(name));
const value = fc.stringMatching(/^[!-~]{0,20}$/);
const fields = fc.array(fc.tuple(token, value), { maxLength: 6 });
const bytes = fc.uint8Array({ maxLength: 300 });

/** Feeds the bytes in pieces of the given size. */
function read(reader: ReturnType<typeof createMessageReader>, wire: Buffer, pieceBytes: number): HttpMessage | undefined {
  for (let at = 0; at < wire.length; at += pieceBytes) {
    const message = reader.feed(wire.subarray(at, at + pieceBytes));
    if (message !== undefined) return message;
  }
  return undefined;
}

describe('reading an HTTP message', () => {
  test('gives back what was written, in any pieces and either framing', () => {
    const framings = fc.constantFrom('as-is' as const, 'chunked' as const);
    fc.assert(
      fc.property(fields, bytes, framings, fc.integer({ min: 1, max: 64 }), (headers, body, framing, pieceBytes) => {
        const framed = [
          ...headers,
          framing === 'chunked' ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(body.length)],
        ] as const;
        const lines = framed.map(([name = '', text = '']) => [name, text] as const);
        const wire = encodeMessage({ startLine: 'HTTP/1.1 200 OK', headers: lines, body, framing });
        const message = read(createMessageReader({ kind: 'response' }), wire, pieceBytes);
        expect(message?.startLine).toBe('HTTP/1.1 200 OK');
        expect(message?.headers).toEqual(lines);
        expect(Buffer.compare(message?.body ?? Buffer.from('none'), body)).toBe(0);
      }),
    );
  });

  test('takes the answer to HEAD for whole after its head and keeps the bytes that follow', () => {
    const reader = createMessageReader({ kind: 'response', bodyless: true });
    const message = reader.feed(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'));
    expect(message?.body.length).toBe(0);
    expect(message?.excess.toString()).toBe('hello');
  });

  test('keeps the bytes that follow a counted body', () => {
    const message = createMessageReader({ kind: 'response' }).feed(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello'));
    expect(message?.body.toString()).toBe('he');
    expect(message?.excess.toString()).toBe('llo');
  });

  test('skips interim answers', () => {
    const wire = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n';
    expect(createMessageReader({ kind: 'response' }).feed(Buffer.from(wire))?.startLine).toBe('HTTP/1.1 201 Created');
  });

  test('refuses a body that ends before its length', () => {
    const reader = createMessageReader({ kind: 'response' });
    expect(reader.feed(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello'))).toBeUndefined();
    expect(() => reader.end()).toThrow('4 bytes short');
  });

  test('refuses a chunked body without its last chunk', () => {
    const reader = createMessageReader({ kind: 'response' });
    expect(reader.feed(Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'))).toBeUndefined();
    expect(() => reader.end()).toThrow('inside the body');
  });

  test('ends a body of unknown length with the connection', () => {
    const reader = createMessageReader({ kind: 'response' });
    reader.feed(Buffer.from('HTTP/1.1 200 OK\r\n\r\nhel'));
    reader.feed(Buffer.from('lo'));
    expect(reader.end().body.toString()).toBe('hello');
  });

  test('keeps repeated headers apart and finds them whatever their case', () => {
    const message = createMessageReader({ kind: 'response' }).feed(
      Buffer.from('HTTP/1.1 200 OK\r\nOCI-Tag: a\r\noci-tag: b\r\nContent-Length: 0\r\n\r\n'),
    );
    expect(headerValues(message?.headers ?? [], 'Oci-Tag')).toEqual(['a', 'b']);
  });

  test('refuses a head that is no HTTP', () => {
    expect(() => createMessageReader({ kind: 'response' }).feed(Buffer.from('SSH-2.0-OpenSSH_9\r\n\r\n'))).toThrow('not a status line');
    expect(statusOf('HTTP/2 200')).toBeUndefined();
  });
});
