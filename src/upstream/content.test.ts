import { describe, expect, test } from 'bun:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { placeBlob } from './blob.ts';
import { parseNextLink } from './listing.ts';
import { decodeContent, effectiveMediaType, manifestAccept } from './manifest.ts';
import { parseToken } from './token.ts';
import { UpstreamError } from './verdict.ts';

const origin = 'https://m.example';
const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const verdictOf = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error instanceof UpstreamError ? error.verdict : error;
  }
};

describe('the media type of a manifest', () => {
  const typeOf = (body: unknown, header: string | null = null): unknown =>
    verdictOf(() => effectiveMediaType(bytesOf(body), header, origin));
  const oci = { index: 'application/vnd.oci.image.index.v1+json', manifest: 'application/vnd.oci.image.manifest.v1+json' };

  test('is the body’s own before the header’s, without parameters', () => {
    expect(typeOf({ schemaVersion: 2, mediaType: oci.index, manifests: [] }, 'application/json; charset=utf-8')).toBe(oci.index);
    expect(
      typeOf({ schemaVersion: 2, layers: [], config: {} }, 'application/vnd.docker.distribution.manifest.v2+json; charset=utf-8'),
    ).toBe('application/vnd.docker.distribution.manifest.v2+json');
  });

  test('comes from the shape when neither says it, or the header contradicts the shape', () => {
    expect(typeOf({ schemaVersion: 2, manifests: [] }, 'text/plain')).toBe(oci.index);
    expect(typeOf({ schemaVersion: 2, config: {}, layers: [] }, 'application/octet-stream')).toBe(oci.manifest);
    expect(typeOf({ schemaVersion: 2, manifests: [] }, oci.manifest)).toBe(oci.index);
  });

  test('what is no schema 2 manifest is told apart from a page', () => {
    expect(typeOf('<!DOCTYPE html><html>login</html>', 'text/html')).toBe('html');
    expect(typeOf('<html>', 'application/octet-stream')).toBe('html');
    for (const body of [
      '',
      'hello',
      '[]',
      'null',
      '5',
      { errors: [{ code: 'X' }] },
      { schemaVersion: 1, history: [] },
      { schemaVersion: '2' },
      { schemaVersion: 2 },
      { schemaVersion: 2, manifests: [], layers: [] },
      { schemaVersion: 2, mediaType: 5, layers: [] },
      { schemaVersion: 2, mediaType: 'application/vnd.docker.distribution.manifest.v1+prettyjws', layers: [] },
    ]) {
      expect(typeOf(body, 'application/json')).toBe('bad-manifest');
    }
  });

  test('hostile bodies give a type or a coded error', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map(bytesOf)), fc.option(fc.string()), (bytes, header) => {
        const result = verdictOf(() => effectiveMediaType(bytes, header, origin));
        expect(typeof result).toBe('string');
      }),
    );
  });

  test('neither schema 1 nor a wildcard is asked for', () => {
    expect(manifestAccept).not.toContain('*');
    expect(manifestAccept).not.toContain('manifest.v1+json, application/vnd.docker.distribution.manifest.v1');
    expect(manifestAccept.split(', ')).toHaveLength(4);
  });
});

describe('a Content-Encoding', () => {
  const decode = (bytes: Uint8Array, encoding: string | null, maxBytes = 1_000): unknown =>
    verdictOf(() => Buffer.from(decodeContent(bytes, { encoding, maxBytes, origin })).toString());

  test('gzip is undone, identity is nothing, others are refused', () => {
    expect(decode(gzipSync('abc'), 'gzip')).toBe('abc');
    expect(decode(gzipSync('abc'), ' X-GZIP')).toBe('abc');
    expect(decode(bytesOf('abc'), null)).toBe('abc');
    expect(decode(bytesOf('abc'), 'identity')).toBe('abc');
    expect(decode(bytesOf('abc'), 'br')).toBe('encoding');
    expect(decode(bytesOf('abc'), 'gzip')).toBe('encoding');
    expect(decode(gzipSync('abc').subarray(0, 15), 'gzip')).toBe('encoding');
  });

  test('a bomb stops at the cap', () => {
    expect(decode(gzipSync(Buffer.alloc(10_000_000)), 'gzip')).toBe('too-large');
  });
});

describe('the place of a blob answer', () => {
  const place = (status: number, headers: Record<string, string>, offset = 0, expectedSizeBytes?: number): unknown =>
    verdictOf(() => placeBlob({ status, headers: new Headers(headers), url: new URL(origin) }, { offset, expectedSizeBytes }));

  test('a whole answer begins at 0, also to a range', () => {
    expect(place(200, { 'content-length': '10' })).toEqual({ startOffset: 0, totalBytes: 10, length: 10 });
    expect(place(200, { 'content-length': '10' }, 4, 10)).toEqual({ startOffset: 0, totalBytes: 10, length: 10 });
    expect(place(200, {}, 0, 10)).toEqual({ startOffset: 0, totalBytes: 10, length: 10 });
    expect(place(200, {})).toEqual({ startOffset: 0 });
  });

  test('a part has to be exactly the one asked for, up to the end', () => {
    expect(place(206, { 'content-range': 'bytes 4-9/10', 'content-length': '6' }, 4, 10)).toEqual({
      startOffset: 4,
      totalBytes: 10,
      length: 6,
    });
    expect(place(206, { 'content-range': 'bytes 4-9/*' }, 4, 10)).toEqual({ startOffset: 4, totalBytes: 10, length: 6 });
    for (const range of [
      'bytes 3-9/10',
      'bytes 5-9/10',
      'bytes 4-8/10',
      'bytes 4-9/11',
      'bytes 4-10/11',
      'bytes */10',
      '4-9/10',
      'bytes 4-9',
      '',
      'bytes 4-99999999999999999/10',
    ]) {
      expect(`${range}: ${place(206, { 'content-range': range }, 4, 10)}`).toBe(`${range}: bad-range`);
    }
    expect(place(206, { 'content-range': 'bytes 4-9/10', 'content-length': '5' }, 4, 10)).toBe('bad-range');
    expect(place(206, { 'content-range': 'bytes 0-9/10' }, 0, 10)).toBe('bad-range');
  });

  test('another size than the descriptor’s is refused before a byte', () => {
    expect(place(200, { 'content-length': '9' }, 0, 10)).toBe('bad-answer');
    expect(place(200, { 'content-length': '11' }, 0, 10)).toBe('bad-answer');
  });

  test('a page is refused, unless its size is the blob’s', () => {
    expect(place(200, { 'content-type': 'text/html', 'content-length': '9' }, 0, 10)).toBe('html');
    expect(place(200, { 'content-type': 'text/html' })).toBe('html');
    expect(place(200, { 'content-type': 'text/html', 'content-length': '10' }, 0, 10)).toMatchObject({ totalBytes: 10 });
  });

  test('an encoded blob is refused', () => {
    expect(place(200, { 'content-encoding': 'gzip' })).toBe('encoding');
    expect(place(200, { 'content-encoding': 'identity', 'content-length': '3' })).toMatchObject({ totalBytes: 3 });
  });

  test('whatever the headers say, the bytes due are those between start and total', () => {
    const number = fc.nat(20).map(String);
    fc.assert(
      fc.property(
        fc.constantFrom(200, 206),
        fc.tuple(number, number, number),
        fc.option(number),
        fc.nat(20),
        fc.option(fc.nat(20)),
        (status, [first, last, total], length, offset, expected) => {
          const headers = { 'content-range': `bytes ${first}-${last}/${total}`, ...(length === null ? {} : { 'content-length': length }) };
          const result = place(status, headers, offset, expected ?? undefined);
          if (typeof result !== 'object' || result === null) return;
          const { startOffset, totalBytes, length: due } = result as { startOffset: number; totalBytes?: number; length?: number };
          expect(startOffset === 0 || startOffset === offset).toBe(true);
          if (totalBytes !== undefined) expect(due).toBe(totalBytes - startOffset);
          if (expected !== null && totalBytes !== undefined) expect(totalBytes).toBe(expected);
        },
      ),
    );
  });
});

describe('the Link of a listing', () => {
  const url = new URL('https://m.example/v2/a/tags/list?n=2');
  test('gives the query of the next page', () => {
    expect(parseNextLink('</v2/a/tags/list?n=2&last=b>; rel="next"', url)).toBe('?n=2&last=b');
    expect(parseNextLink('<https://m.example/v2/a/tags/list?next_page=xyz>; rel=next', url)).toBe('?next_page=xyz');
    expect(parseNextLink('<?last=b>;rel="next"', url)).toBe('?last=b');
  });
  test('to another place, to itself or malformed gives none', () => {
    for (const header of [
      null,
      '',
      '</v2/b/tags/list?last=b>; rel="next"',
      '<https://evil.example/v2/a/tags/list?last=b>; rel="next"',
      '</v2/a/tags/list?n=2>; rel="next"',
      '</v2/a/tags/list?last=b>; rel="prev"',
      '</v2/a/tags/list>; rel="next"',
      'garbage',
      '<',
    ]) {
      expect(parseNextLink(header, url)).toBeUndefined();
    }
  });
});

describe('a token answer', () => {
  const parse = (body: unknown): unknown =>
    verdictOf(() => {
      const token = parseToken(bytesOf(body), origin);
      return `${token.value.reveal()} ${token.expiresInSeconds}`;
    });
  test('has its token under either name, and a life with a default and bounds', () => {
    expect(parse({ token: 'abc', expires_in: 300 })).toBe('abc 300');
    expect(parse({ access_token: 'abc' })).toBe('abc 60');
    expect(parse({ token: '', access_token: 'abc', expires_in: '300' })).toBe('abc 60');
    expect(parse({ token: 'abc', expires_in: -5 })).toBe('abc 60');
    expect(parse({ token: 'abc', expires_in: 1e12 })).toBe('abc 3600');
    expect(parse({ token: 'abc', expires_in: 0.001 })).toBe('abc 1');
  });
  test('that is no token, or would break a header, is refused', () => {
    for (const body of [
      '',
      '<html>',
      '[]',
      'null',
      {},
      { token: 5 },
      { token: 'a\r\nx: y' },
      { token: 'a b' },
      { token: 'é' },
      { token: 'x'.repeat(70_000) },
    ])
      expect(parse(body)).toBe('token-error');
  });
});
